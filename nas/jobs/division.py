"""How the time of ``nas search`` is divided."""

from __future__ import annotations

from dataclasses import dataclass

CLASSIC, FINAL = 0.05, 0.72
"""The shares of the campaign's time for the first network, which is a classic, and for the final
trainings of the best networks."""
RAY = 150.0
"""With fewer seconds, trials run in this process, because workers take ten seconds to start, and
longer on a busy machine."""
_PASSES, _IMAGES, _MOST_PASSES = 12, 300_000, 200
"""How long a training of the final stage should be: so many passes over the training images, and
at least so many images, but not more than so many passes."""
PART, SLOWLY, SLOW = 40, 12, 1.5
"""A trial of the search makes the first part of the passes of a training of the final stage, or the
second if networks learn the images slowly. It may take so many times that part of its time."""
MOST = 2
"""A training of the final stage may make so many times the passes that were planned, if its network
is fast."""


@dataclass(frozen=True)
class Division:
    """How the time is divided.

    Attributes:
        seconds: the time of the campaign.
        workers: how many trials run at the same time.
        top: how many networks of the search are retrained.
        training: the seconds of a training of the final stage.
        passes: how many passes over the training images it should make.
        part: a trial of the search makes this part of them.
    """

    seconds: float
    workers: int
    top: int
    training: float
    passes: float
    part: int = PART

    @property
    def trial(self) -> float:
        """The seconds that a trial of the search takes, about."""
        return self.training / self.part

    @classmethod
    def of(cls, seconds: float, images: int, workers: int, part: int = PART) -> Division:
        """Divides the time of a campaign on so many training images."""
        top = min(workers, 4) if workers > 1 else 1 if seconds < 2 * RAY else 2
        passes = min(max(_PASSES, _IMAGES / images), _MOST_PASSES)
        return cls(seconds, workers, top, FINAL * seconds / -(-top // workers), passes, part)

    @property
    def trials(self) -> int:
        """How many trials the search has time for, about."""
        share = 1 - CLASSIC - FINAL
        return round(share * self.seconds * self.workers / self.trial)

    @property
    def epochs(self) -> int:
        """The epochs of a trial of the search."""
        return max(1, round(self.passes / self.part))
