"""The time limit of a campaign, and how it is divided."""

import math
from collections.abc import Callable
from typing import Annotated

from pydantic import Field, model_validator

from nas.campaigns.store.types import Ask
from nas.configuration import Config
from nas.errors import InputError

_CLOSING = (0.05, 3.0, 0.01)
"""What is kept to end workers and write files: at most the first share of the time; as a rule the
seconds and the last share."""

_FIRST = 0.1
"""The share of the time that is left for a first trial of the searches, if they have no more."""

_ENSEMBLES = 0.03
"""The share of the time that is kept for ensembles, if there are any."""


class TimeLimit(Config):
    """The time in which the whole campaign has to be over.

    Classics are trained first, so that there is a trained network early. Then the searches run, and
    then the final stage.
    """

    minutes: Annotated[float, Field(gt=0, le=10**6)]
    """The wall-clock time of all runs of the campaign together, which ends them."""
    final: Annotated[float, Field(gt=0, lt=1)] = 0.4
    """The share of the time that is kept for the trainings of the final stage, with classics unless
    these have their own share."""
    classics: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The share of the time for classics, if they need less than other trainings of the final
    stage: a network that is trained early in case the others are not. Their rows cannot be compared
    with the others then. By default all trainings have the same time."""
    epochs: Annotated[int, Field(ge=1, le=10**6)] | None = None
    """The most epochs of a training of the final stage, which ends earlier if its time is over; by
    default those of the recipe."""
    trial_seconds: Annotated[float, Field(gt=0, le=10**9)] | None = None
    """The most seconds of a training of a search, from its first step on. If they end it before its
    last epoch, its learning rate follows the time, and it counts as completed; so networks are
    compared that were trained for the same time. By default, only the end of the searches ends it.
    """

    @model_validator(mode="after")
    def _leaves_time(self) -> "TimeLimit":
        if self.final + (self.classics or 0) >= 1:
            raise InputError(
                f"classics: {self.classics:g} and final: {self.final:g} must be less than 1 "
                "together, because the searches have the rest"
            )
        return self


class Timetable:
    """Divides the time of a campaign: classics, searches, retrainings, ensembles.

    All times are seconds since the start of the campaign, without those between its runs. If
    trainings take all of their time, those of classics and of searched networks take the same.

    Args:
        limit: the time limit.
        classics: the number of trainings before the searches.
        retrained: the number of trainings after the searches.
        ensembles: whether ensembles are evaluated then.
        slots: returns how many trials run at the same time.

    Attributes:
        end: when the last trial has ended.
        over: when the campaign is over, whatever is still running.
    """

    def __init__(
        self,
        limit: TimeLimit,
        classics: int,
        retrained: int,
        ensembles: bool,
        slots: Callable[[], int],
    ) -> None:
        whole = 60 * limit.minutes
        most, seconds, share = _CLOSING
        closing = min(most * whole, seconds + share * whole)
        self.end = whole - closing
        self.over = whole - closing / 2
        self._retrained_by = self.end - _ENSEMBLES * whole * ensembles
        self._final, self._share = limit.final * self._retrained_by, limit.classics
        self._classics, self._retrained = classics, retrained
        self._slots = slots

    @property
    def searched_by(self) -> float:
        """When the searches end."""
        return self._retrained_by - self._training * self._rounds(self._retrained)

    def searches(self, now: float, found: bool) -> bool:
        """Tells if the searches go on.

        As long as nothing is found that could be retrained, they may take a half of the time for
        retrainings: on a busy machine, the start of the workers and the classics may have taken all
        of theirs.
        """
        longer = 0 if found else (self._retrained_by - self.searched_by) / 2
        return now < self.searched_by + longer

    def ends(self, ask: Ask, now: float, left: int, found: bool = True) -> float:
        """Returns when a trial has to have ended that starts now.

        Args:
            ask: the ask of the trial.
            now: the present time.
            left: how many retrainings have not started yet, with this one.
            found: whether a trial of the searches has been completed.
        """
        if ask.stage == "search":
            late = now + _FIRST * (self._retrained_by - now)
            return self.searched_by if found else max(self.searched_by, late)
        if not ask.is_retrained:
            return self.end
        if not ask.is_of_space:
            longest = self._training if self._share is None else math.inf  # see seconds
            return min(now + longest, self._retrained_by)
        return now + (self._retrained_by - now) / max(1, self._rounds(left))

    def seconds(self, ask: Ask) -> float | None:
        """Returns how long a trial may take from its first step; None if only its end counts.

        Classics with a share of their own are trained while workers start and read the data.
        """
        if self._share is None or not ask.is_retrained or ask.is_of_space:
            return None
        return self._share * self._retrained_by / max(1, self._rounds(self._classics))

    @property
    def _training(self) -> float:
        """How long a training of the final stage takes."""
        classics = self._rounds(self._classics) if self._share is None else 0
        return self._final / max(1, classics + self._rounds(self._retrained))

    def _rounds(self, trainings: int) -> int:
        return -(-trainings // self._slots())
