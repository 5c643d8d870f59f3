"""Ends a training at a given time, with schedules that reach their end then."""

from __future__ import annotations

import math
import time

_TRAINED = 0.25
"""The share of the time that a training has, however long the evaluation seems to take. On a busy
machine, single steps take many times as long as others."""


class Deadline:
    """Says how far a training is: by its steps, or by its time if less of that is left.

    So a training that is too slow for all of its steps ends with the learning rate at which it
    would have ended anyway. That a schedule should be adapted to what a training may take is the
    finding of Li, Yumer & Ramanan 2020 (arXiv:1905.04753).

    Args:
        at: the time at which the training and the evaluations after it have ended, in Unix seconds.
        evaluated: how many images are evaluated when the training is over.
        seconds: how long the training and the evaluations after it may take from the first step
            on.

    Attributes:
        images: on how many images steps have trained so far.
        progress: the share of the training that is over. A training that is continued restores it.
        over: whether the training has to end.
        speed: the images on which steps train per second, without evaluations. The first step is
            left out if there are others, because libraries choose and compile their kernels in it.
    """

    def __init__(self, at: float = math.inf, evaluated: int = 0, seconds: float = math.inf) -> None:
        self.images = 0
        self.progress = 0.0
        self.over = False
        self.speed = 0.0
        self._at, self._seconds = at, seconds
        self._evaluated = evaluated
        self._began: tuple[float, float] | None = None  # the time of the first step, and progress
        self._seconds_per_image: float | None = None
        self._first: tuple[float, int] | None = None  # the end of the first step, and its images

    def position(self, step: int, steps: int) -> float:
        """Returns the step at which schedules are: this one, or a later one if time is short.

        Args:
            step: the number of the step, from 0.
            steps: the steps of the whole training.
        """
        now = time.time()
        if self._began is None:
            self._began = now, self.progress
            self._at = min(self._at, now + self._seconds)
        began, before = self._began
        end = self._at - self._evaluated * self._evaluation
        if self._seconds_per_image is None:
            end = max(end, began + _TRAINED * (self._at - began))
        self.over = now >= end
        spent = 1.0 if self.over else before + (1 - before) * (now - began) / (end - began)
        self.progress = max(step / steps, spent)
        return max(step, spent * steps)

    def trained(self, images: int) -> None:
        """Registers that a step has trained on so many images."""
        self.images += images
        now = time.time()
        before, already = self._first or (self._began[0] if self._began else now, 0)
        self.speed = (self.images - already) / max(now - before, 1e-9)
        self._first = self._first or (now, images)

    def evaluated(self, images: int, seconds: float) -> None:
        """Registers how long an evaluation has taken."""
        self._seconds_per_image = seconds / images
        if self._first is not None:
            self._first = self._first[0] + seconds, self._first[1]

    @property
    def _evaluation(self) -> float:
        """The seconds that the evaluation of an image takes.

        Before the first evaluation, it is assumed to take half as long as a training step, whose
        backward pass costs about two forward passes. The first step, which is slow, does not count.
        """
        if self._seconds_per_image is not None:
            return self._seconds_per_image
        known = self._first is not None and self.images > self._first[1]
        return 0.5 / self.speed if known else 0.0
