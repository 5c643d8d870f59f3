"""What each search of a campaign may spend, and what it has spent: from its records alone."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, model_validator

from nas.campaigns.store.types import Ask, Failure, Result
from nas.configuration import Config
from nas.errors import InputError

_SECONDS_PER_HOUR = 3600

Amount = Annotated[float, Field(gt=0)] | None
Count = Annotated[int, Field(ge=1)] | None


class Budget(Config):
    """What each search may spend; the first limit that is reached ends it, any will do.

    Attributes:
        trials: failed ones included.
        hours: of wall clock in which the search had trials under way, or was proposing one; while
            no run is at work on the campaign, none pass.
        accelerator_hours: of its trials, lost attempts included: wall clock in the worker times
            the GPUs of a trial, or, where it has none, times its CPU cores.
        epochs: trained, by trials that failed too as far as is known.

    A trial that is under way when its search ends is finished.
    """

    trials: Count = None
    hours: Amount = None
    accelerator_hours: Amount = None
    epochs: Count = None

    @model_validator(mode="after")
    def _limits_something(self) -> "Budget":
        if not self.limits:
            raise InputError(f"must be one or more of {', '.join(Budget.model_fields)}, got none")
        return self

    @property
    def limits(self) -> dict[str, float]:
        """What is limited, and to how much."""
        return {name: limit for name, limit in self if limit is not None}


class Spending:
    """What one search has spent. It is told the records, in their order.

    Attributes:
        trials: that were given out; duplicates are not.
    """

    def __init__(self, budget: Budget) -> None:
        self.trials = 0
        self._limits = budget.limits
        self._epochs = 0
        self._accelerator_seconds = 0.0
        self._seconds = 0.0
        self._under_way = 0
        self._since = 0.0

    def asked(self, ask: Ask) -> None:
        """A trial is given out."""
        self.trials += 1
        if not self._under_way:
            self._since = ask.elapsed
        self._under_way += 1

    def lost(self, attempt: Failure | Result) -> None:
        """An attempt at a trial has ended, and it is tried again."""
        self._epochs += attempt.epochs
        self._accelerator_seconds += attempt.seconds * attempt.accelerators

    def ended(self, result: Result) -> None:
        """A trial has ended."""
        self.lost(result)
        self._under_way -= 1
        if not self._under_way:
            self._seconds += result.elapsed - self._since

    def shares(self, elapsed: float) -> dict[str, tuple[float, float]]:
        """What is limited: how much of it is spent, and the limit.

        Args:
            elapsed: seconds that runs of the campaign have taken up to now.
        """
        under_way = elapsed - self._since if self._under_way else 0.0
        spent = {
            "trials": self.trials,
            "hours": (self._seconds + under_way) / _SECONDS_PER_HOUR,
            "accelerator_hours": self._accelerator_seconds / _SECONDS_PER_HOUR,
            "epochs": self._epochs,
        }
        return {name: (spent[name], limit) for name, limit in self._limits.items()}

    def is_over(self, elapsed: float) -> bool:
        """Whether a limit is reached."""
        return any(spent >= limit for spent, limit in self.shares(elapsed).values())

    def tightest(self, elapsed: float) -> str:
        """The limit that is nearest, as people read it: ``hours 0.25 of 2``."""
        shares = self.shares(elapsed)
        name = max(shares, key=lambda name: shares[name][0] / shares[name][1])
        spent, limit = shares[name]
        return f"{name} {spent:.4g} of {limit:g}"

    def expected_trials(self, elapsed: float) -> int | None:
        """How many trials there will have been in the end; None: nobody knows yet."""
        if self.is_over(elapsed):
            return self.trials
        return min(map(round, self._expected(elapsed)), default=None)

    def _expected(self, elapsed: float) -> Iterator[float]:
        for name, (spent, limit) in self.shares(elapsed).items():
            if name == "trials":
                yield limit
            elif spent > 0:
                yield max(self.trials, self.trials * limit / spent)
