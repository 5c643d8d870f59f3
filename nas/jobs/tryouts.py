"""What ``nas search`` chooses by training networks for seconds on this machine."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import numpy as np

from nas.architecture.graph import Architecture
from nas.architecture.reading import OF_CHANNELS, Reading
from nas.campaigns.engines.base import cause
from nas.campaigns.spec.contestants import QUICK, fitting
from nas.campaigns.spec.frame import Frame
from nas.jobs.probe import SMOOTH, Probe, probe
from nas.memory import TooLarge
from nas.tasks import Task
from nas.training.augmentation import usual_shift
from nas.training.curve import Diverged
from nas.training.data import Part, SearchData
from nas.training.recipe import resolve

_TOLERATED, _EQUAL = 0.75, 0.97
"""Photographs are shifted, and channels that are pictures of their own are stacked, if the first
share of the score is left after seconds of training: networks learn more slowly then, but reach
more. They are mirrored or covered if the second share is left. What guessing would reach does not
count."""
_RIVAL = 0.5
"""The share of the score of the best network that a rival has after seconds."""
_LONGER = 2
"""Photographs in channels of their own are trained for so many times as long as other readings."""
_VALIDATED = 500
"""Short trainings are judged on so many validation images, or on more if there is time for
them, but not on more than there are training images."""


class Tryouts:
    """Trains networks for seconds and compares them on validation images.

    Args:
        images: the data set.
        task: the task.
        preset: the recipe without augmentation.
        device: a torch device.
        smooth: the correlation of neighbouring values.
        alike: whether the channels are like draws of one kind of picture.
        validated: the most validation images that there is time for.
    """

    def __init__(
        self,
        images: SearchData,
        task: Task,
        preset: dict[str, Any],
        device: str,
        smooth: float,
        alike: bool,
        validated: int,
    ) -> None:
        self._images, self._task, self._smooth = _with_fewer(images, validated), task, smooth
        self._preset, self._device, self._alike = preset, device, alike

    def probe(self, architecture: Architecture, augment: list[Any], seconds: float) -> Probe | None:
        """Trains a network for so many seconds; the result is None if it cannot be trained."""
        how = resolve({**self._preset, "augment": augment})
        try:
            return probe(architecture, self._images, how, self._task, seconds, self._device)
        except (Diverged, TooLarge):
            return None
        except (MemoryError, RuntimeError) as error:
            if cause(error) != "out_of_memory":
                raise
            return None

    def score(self, architecture: Architecture, augment: list[Any], seconds: float) -> float:
        """Returns the validation accuracy after a short training, or minus infinity."""
        found = self.probe(architecture, augment, seconds)
        return -math.inf if found is None else found.score

    @property
    def pictures(self) -> bool:
        """Whether the data are images, and not series or volumes."""
        return len(self._images.input_shape) == 3

    @property
    def like_photographs(self) -> bool:
        """Whether they are images whose neighbouring values are similar."""
        return self.pictures and self._smooth >= SMOOTH

    def reading(self, frame: Frame, sizes: list[int], seconds: float) -> tuple[Reading, str]:
        """Chooses how networks read images, by short trainings of one classic.

        Texts, boards and tables are often given as images. So another reading is chosen if it is
        better by more than noise. Photographs are images, and nothing else is tried for them. But
        if the channels look like photographs of their own, they are read as a stack unless this is
        clearly worse: such networks learn more slowly, and so they are trained for longer.

        Args:
            frame: what all networks have in common.
            sizes: the most multiply-accumulates of the classic; the first that any classic fits,
                as an image and otherwise, is used.
            seconds: the time of one training.

        Returns the reading, and a remark on the accuracies, which is empty if none were compared.
        """
        readings = self._readings(frame)
        for size in sizes:
            for name in QUICK:
                built = {
                    each: made
                    for each in readings
                    for made in fitting(replace(frame, reading=each), size, [name]).values()
                }
                if "image" in built and len(built) > 1:
                    return self._best_reading(built, seconds)
        return "image", ""

    def _readings(self, frame: Frame) -> tuple[Reading, ...]:
        """Returns the readings that may be better than ``image``, and ``image``."""
        if not self.pictures or (self.like_photographs and not self._alike):
            return ("image",)
        if self.like_photographs:
            return "image", "stack"
        one = frame.input_shape[0] == 1
        return tuple(each for each in get_args(Reading) if not one or each not in OF_CHANNELS)

    def _best_reading(
        self, built: dict[Reading, Architecture], seconds: float
    ) -> tuple[Reading, str]:
        seconds *= _LONGER if self.like_photographs else 1
        scores = {each: self.score(made, [], seconds) for each, made in built.items()}
        told = ", ".join(f"{each} {score:.3f}" for each, score in scores.items())
        told = f"validation after {seconds:.0f} s each: {told}"
        image = scores["image"]
        if self.like_photographs:
            stack = scores["stack"]
            kept = self.learned(max(image, stack)) and stack >= self._left(image, _TOLERATED)
            best: Reading = "stack" if kept else "image"
            told = f"the channels are like pictures of their own; {told}"
        else:
            best = max(scores, key=lambda each: scores[each])
            best = best if scores[best] > image + self._noise else "image"
        return "image" if image == -math.inf else best, told

    @property
    def default(self) -> list[Any]:
        """Returns the transformations that are used if nothing is measured."""
        return self._shift if self.like_photographs and self._shiftable else []

    def augmentation(
        self, score: Callable[[list[Any]], float], known: float
    ) -> tuple[list[Any], dict[str, float]]:
        """Chooses transformations, and returns them and the scores by name.

        A training this short hardly profits from augmentation. So what costs little is taken, and
        photographs are shifted unless a quarter of the score is lost. If they are not
        learned in this time with shifts, nothing more is tried.

        Args:
            score: returns the score with some transformations.
            known: the score with :attr:`default`.
        """
        best = self.default
        name = "shift" if best else "none"
        told = {name: known}
        if not self._shiftable:
            return best, told
        if not best:
            told["shift"] = score(self._shift)
            return self._shift if told["shift"] > known + self._noise else best, told
        told["none"] = score([])
        if known < min(self._left(told["none"], _TOLERATED), told["none"] - self._noise):
            return [], told
        if not self.learned(known):
            return best, told
        size = max(2, min(self._images.input_shape[1:]) // 3)
        further: dict[str, Any] = {"flip": "flip", "cutout": {"name": "cutout", "size": size}}
        for other, more in further.items():
            both = f"{name} and {other}"
            told[both] = score([*best, more])
            if told[both] > self._left(known, _EQUAL):
                best, name = [*best, more], both
        return best, told

    def learned(self, score: float) -> bool:
        """Tells if a score is better than that of guessing by more than noise."""
        return score > self._chance + self._noise

    def rivals(self, best: float, other: float) -> bool:
        """Tells if a network may become as good as the best after seconds, if it is trained longer.

        It has learned something, and no less than half of what the best has over guessing; or
        neither has learned anything yet.
        """
        if not self.learned(best):
            return True
        return self.learned(other) and other >= self._left(best, _RIVAL)

    def _left(self, score: float, share: float) -> float:
        """Returns the score that has a share of what a score has over guessing."""
        return self._chance + share * (score - self._chance)

    @property
    def _chance(self) -> float:
        """The accuracy of a network that always says the commonest class."""
        return float(np.bincount(self._images.validation.labels).max() / self._validated)

    @property
    def _noise(self) -> float:
        """Three standard errors of a difference of two accuracies on the validation images."""
        return 3 * math.sqrt(0.5 / self._validated)

    @property
    def _validated(self) -> int:
        return len(self._images.validation.labels)

    @property
    def _shiftable(self) -> bool:
        return self.pictures and usual_shift(self._images.input_shape[1:]) > 0

    @property
    def _shift(self) -> list[Any]:
        pixels = usual_shift(self._images.input_shape[1:])
        return [{"name": "shift", "pixels": pixels if self.like_photographs else 1}]


def _with_fewer(images: SearchData, most: int) -> SearchData:
    """Returns the parts with no more validation images than short trainings have time for."""
    part = images.validation
    most = max(_VALIDATED, min(most, len(images.train.labels)))
    if len(part.labels) <= most:
        return images
    chosen = np.sort(np.random.default_rng(0).permutation(len(part.labels))[:most])
    return replace(images, validation=Part(part.images[chosen], part.labels[chosen]))
