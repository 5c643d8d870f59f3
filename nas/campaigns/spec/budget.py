"""The budget of each search of a campaign, and its spending, which is computed from the records."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, model_validator

from nas.campaigns.store.types import Ask, Failure, Result
from nas.configuration import Config
from nas.errors import InputError

_SECONDS_PER_HOUR = 3600

Amount = Annotated[float, Field(gt=0, le=10**9)] | None
Count = Annotated[int, Field(ge=1, le=10**9)] | None


class Budget(Config):
    """The budget of each search, with at least one limit; the first limit that is reached ends it.

    Attributes:
        trials: all trials that were started, also failed ones; duplicates that are answered from
            the records do not count.
        hours: the wall-clock time during which the search had running trials or was proposing one;
            time between runs of the campaign does not count.
        accelerator_hours: the wall-clock time of the trials in their workers, including lost
            attempts, times the GPUs of a trial, or times its CPU cores if it has no GPU; and the
            time in which the searcher measures zero-cost proxies, counted as one GPU or core.
        epochs: all trained epochs, including those of failed trials as far as they are known.

    Trials that are running when their search ends are finished.
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
        """Returns the limits that are set, by name."""
        return {name: limit for name, limit in self if limit is not None}


class Spending:
    """The spending of one search, computed from its records in their order.

    Attributes:
        trials: the number of started trials, without duplicates.
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
        """Registers an ask; a duplicate costs nothing but what was measured to propose it."""
        self._accelerator_seconds += ask.proposal_seconds
        if ask.is_duplicate:
            self._seconds += 0.0 if self._under_way else ask.proposal_seconds
            return
        self.trials += 1
        if not self._under_way:
            self._since = ask.elapsed
        self._under_way += 1

    def lost(self, attempt: Failure | Result) -> None:
        """Registers that an attempt at a trial was lost and that the trial is repeated."""
        self._epochs += attempt.epochs
        self._accelerator_seconds += attempt.seconds * attempt.accelerators

    def ended(self, result: Result) -> None:
        """Registers that a trial has ended."""
        self.lost(result)
        self._under_way -= 1
        if not self._under_way:
            self._seconds += result.elapsed - self._since

    def shares(self, elapsed: float) -> dict[str, tuple[float, float]]:
        """Returns, for each limit that is set, how much of it is spent, and the limit.

        Args:
            elapsed: the seconds that all runs of the campaign have taken so far.
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
        """Tells if a limit is reached."""
        return any(spent >= limit for spent, limit in self.shares(elapsed).values())

    def tightest(self, elapsed: float) -> str:
        """Describes the nearest limit: ``hours 0.25 of 2``."""
        shares = self.shares(elapsed)
        name = max(shares, key=lambda name: shares[name][0] / shares[name][1])
        spent, limit = shares[name]
        return f"{name} {spent:.4g} of {limit:g}"

    def expected_trials(self, elapsed: float) -> int | None:
        """Estimates the number of trials at the end; None if that is unknown yet."""
        if self.is_over(elapsed):
            return self.trials
        return min(map(round, self._expected(elapsed)), default=None)

    def _expected(self, elapsed: float) -> Iterator[float]:
        for name, (spent, limit) in self.shares(elapsed).items():
            if name == "trials":
                yield limit
            elif spent > 0:
                yield max(self.trials, self.trials * limit / spent)
