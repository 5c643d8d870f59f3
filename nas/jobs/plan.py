"""Plans a search for a data set that nobody has tuned anything for: ``nas search``.

The plan is an ordinary ``campaign.yaml`` with its reasons as comments. Every number in it comes
from the data set, from the time, or from short trainings on this machine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from nas.architecture.graph import Architecture
from nas.architecture.reading import Reading
from nas.campaigns.spec.contestants import contestants
from nas.campaigns.spec.data_argument import Given
from nas.campaigns.spec.frame import Frame
from nas.campaigns.spec.initial import initial_genotypes
from nas.campaigns.spec.space import read_space
from nas.configuration import Named
from nas.errors import InputError
from nas.jobs.division import RAY, Division
from nas.jobs.plan_file import FITTED, SPACE, WIDTHS, Plan
from nas.jobs.probe import SMOOTH, Probe, probe, smoothness
from nas.memory import TooLarge
from nas.spaces.constrained_space import constrained
from nas.spaces.constraints import Constraints
from nas.spaces.search_space import SearchSpace
from nas.tasks import DEFAULT, make
from nas.training.data import Loaded, Part, SearchData
from nas.training.hardware import cores, free_cores, resolve_device
from nas.training.loop import Diverged
from nas.training.recipe import resolve
from nas.words import compact

_PROBE = 0.015
"""The share of the time that one short training takes."""
_SHORT = 2.0
"""Short trainings of fewer seconds tell nothing, and are left out."""
_MOST = 0.02
"""The largest share of the time that one short training takes to choose a reading."""
_SPEED = 2e9
"""The multiply-accumulates of forward passes that a core trains in a second, until it is
measured."""
_CLASSICS = ("vgg8", "lenet5", "resnet20")
"""Classics that learn quickly, of which the best is trained first."""
_SMALL = 5_000_000
"""The most multiply-accumulates of the networks that readings are compared by."""
_TOLERATED, _EQUAL = 0.9, 0.97
"""Pictures are shifted if this share of the score is left after seconds of training, and mirrored
or covered if this share of that is left."""
_MEMBERS = 40
"""How many networks of the space are counted to see how large they are."""
_CLOSING, _CLOSING_CPU, _CLOSING_SHARE = 6.0, 2.0, 0.01
"""The seconds that are kept for predictions and the export, the CPU seconds that these take, and
the share of the time that is kept besides."""
_LEAST = 5.0
"""The fewest seconds that a campaign is planned for."""
_TOGETHER = 0.7
"""The speed of a worker beside others, as a share of its speed alone: they share caches, and often
two of them a core."""
_PASS = 1 / 3
"""The cost of a prediction in training steps, whose backward pass takes about two forward ones."""
_VALIDATED = 500
"""Short trainings are judged on so many validation images, or on as many as there are training
images, if these are more."""
_NARROW = 8
"""Images with a shorter side are not shifted."""


class Planner:
    """Looks at a data set, measures, and writes a campaign.

    Args:
        given: the section ``data`` that the user has named.
        loaded: the data set.
        folder: the folder of the campaign.
        minutes: the time for everything, as the user has given it.
        ends: when everything has to be over, on the clock time.monotonic.
        macs: the user's limit of multiply-accumulates; None if there is none.
        seed: the seed of the search.
        say: takes lines for the user.
    """

    def __init__(
        self,
        given: Given,
        loaded: Loaded,
        folder: Path,
        minutes: float,
        ends: float,
        macs: int | None,
        seed: int,
        say: Callable[[str], None],
    ) -> None:
        self._given, self._loaded, self._folder, self._seed = given, loaded, folder, seed
        self._minutes, self._given_macs = minutes, macs
        self._began, self._ends = time.monotonic(), ends
        self._cpu_before = time.process_time()
        if loaded.images.kind != "classes":
            raise InputError(
                "a search is planned for data with classes; these have "
                f"{loaded.images.kind}: write a campaign with nas new"
            )
        self._say = say
        self._images = loaded.search()
        self._few = _with_fewer(self._images)
        self._task = make(Named(name=DEFAULT))
        self._task.check_labels(loaded.images.kind)
        self._task.check_parts(loaded.labels)
        self._device = resolve_device("auto")
        self._whole = ends - self._began
        self._count = len(self._images.train.labels)
        shape = self._images.input_shape
        self._frame = Frame(shape, self._task.outputs(shape, self._images.classes), self._task)
        self._predicting = 0.0
        self._batch = 32 if self._count < 5_000 else 64 if self._count < 30_000 else 128
        sample = self._loaded.split.train[:: max(1, self._count // 500)]
        chosen = loaded.images.images[sample]
        self._smooth = smoothness(chosen if isinstance(chosen, np.ndarray) else chosen.read())
        several = self._whole >= RAY * self._slower
        gpus = torch.cuda.device_count() if self._device == "cuda" else 0
        self._workers = max(1, min(cores(), 4 * gpus or cores())) if several else 1
        # Workers share the GPUs, or each has a core beside others.
        self._share = 1.0 if not several else gpus / self._workers if gpus else _TOGETHER
        # A worker has one thread. A single trial may be faster with one, too: on a busy machine,
        # threads that wait for each other can be a hundred times slower.
        self._threads = 1 if several else free_cores()

    def campaign(self) -> str:
        """Returns the text of ``campaign.yaml``; this takes a tenth of the time."""
        if (left := self._left()) < _LEAST:
            least = self._minutes + (_LEAST - left) / 60
            raise InputError(
                f"--minutes: {self._minutes:g} is too few: {max(0.0, left):.0f} s are left after "
                f"looking at the data, and a campaign needs {_LEAST:.0f} s; give at least "
                f"{math.ceil(10 * least) / 10:g}"
            )
        torch.set_num_threads(self._threads)
        # The first optimizer of a process imports for seconds, which is not the networks' speed.
        torch.optim.AdamW([torch.zeros(1, requires_grad=True)])
        self._look()
        reading = self._reading()
        division = Division.of(0.9 * self._whole, self._count, self._workers)
        macs, reason = self._limit(division)
        augment, classics, reasons = self._chosen(macs)
        plan = Plan(
            minutes=self._minutes,
            division=Division.of(max(1.0, self._left()), self._count, self._workers),
            macs=macs,
            augment=augment,
            classics=classics,
            started=self._started(macs, classics),
            reading=self._frame.reading,
            reasons={"macs": reason, "reading": reading, **reasons},
            batch=self._batch,
            device=self._device,
            threads=self._threads,
            seed=self._seed,
        )
        return plan.text(self._given, self._loaded, self._folder)

    @property
    def _slower(self) -> float:
        """How much slower everything is because other processes have a part of the machine.

        It is seen from the CPU time of what was done so far.
        """
        spent = time.process_time() - self._cpu_before
        return max(1.0, (time.monotonic() - self._began) / max(1e-3, spent))

    def _left(self) -> float:
        """Returns the seconds that the campaign may take from now on."""
        closing = max(_CLOSING, _CLOSING_CPU * self._slower) + _CLOSING_SHARE * self._whole
        return self._ends - time.monotonic() - closing - self._predicting

    def _look(self) -> None:
        images, parts = self._images, self._loaded.split
        counts = np.bincount(images.train.labels, minlength=images.classes)
        low, high = counts.min(), counts.max()
        balance = f"{low:,} of each" if low == high else f"{low:,} to {high:,} images of a class"
        shape = "x".join(map(str, images.input_shape))
        kind = "like photographs" if self._like_photographs else "not like photographs"
        self._say(
            f"{self._count:,} training, {len(parts.validation):,} validation and "
            f"{len(parts.test):,} test images, {shape}, {images.classes} classes, "
            f"{balance}; neighbouring values correlate by {self._smooth:.2f}, {kind}"
        )

    def _recipe(self, augment: list[Any]) -> dict[str, Any]:
        return {"preset": "quick", "batch_size": self._batch, "augment": augment}

    def _probe(
        self, architecture: Architecture, augment: list[Any], seconds: float
    ) -> Probe | None:
        how = resolve(self._recipe(augment))
        try:
            return probe(architecture, self._few, how, self._task, seconds, self._device)
        except (Diverged, TooLarge):
            return None

    def _reading(self) -> str:
        """Chooses how networks read images by short trainings of a classic, and returns a reason.

        Texts, boards and tables are often given as images. Photographs are, so nothing else is
        tried for them. Another reading must be better by more than noise.
        """
        seconds = max(_SHORT, _PROBE * self._whole)
        if not self._pictures or self._like_photographs or seconds > _MOST * self._whole:
            return ""
        image, scores = self._frame, dict[Reading, float]()
        size = min(_SMALL, int(_SPEED * self._threads * seconds / self._count))
        for reading in get_args(Reading):
            self._frame = replace(image, reading=reading)
            for _, first in islice(self._classics(size), 1):
                scores[reading] = self._score(first, [], seconds)
        best: Reading = max(scores, key=lambda each: scores[each]) if scores else "image"
        if scores.get(best, 0.0) <= scores.get("image", -math.inf) + self._noise:
            best = "image"
        self._frame = replace(image, reading=best)
        told = ", ".join(f"{each} {score:.3f}" for each, score in scores.items())
        self._say(f"read as {told}, after {seconds:.0f} s each")
        return f"validation after {seconds:.0f} s each: {told}"

    def _limit(self, division: Division) -> tuple[int, str]:
        """Returns the limit of multiply-accumulates, and its reason."""
        rng = np.random.default_rng(self._seed)
        found = self._space
        drawn = [found.sample(rng) for _ in range(_MEMBERS)]
        members = sorted(map(found.decode, drawn), key=lambda member: member.cost.macs)
        macs = [each.cost.macs for each in members]
        least, most = macs[_MEMBERS // 20], macs[3 * _MEMBERS // 4]
        if self._given_macs is not None:
            narrow = ({**each, FITTED: WIDTHS[0]} for each in drawn)
            smallest = min(found.decode(each).cost.macs for each in narrow)
            if self._given_macs < smallest:
                raise InputError(
                    f"--macs: {self._given_macs:,} is too few: the smallest of {_MEMBERS} networks "
                    f"for these data has {smallest:,}; give at least as many"
                )
        speed = _SPEED * self._threads * self._share
        validated, tested = len(self._images.validation.labels), len(self._loaded.split.test)
        # Every pass ends with an evaluation; the test images are evaluated once, and predicted.
        images = division.passes * (self._count + _PASS * validated) + 2 * _PASS * tested
        for _ in range(2):  # the speed depends on the size
            size = self._given_macs or min(int(division.training * speed / images), most)
            near = [made for _, made in self._classics(size)]
            near = near or [each for each in members if each.cost.macs <= size][-2:] or members[:1]
            seconds = min(1.5, max(0.3, 0.005 * self._whole))
            speed = self._speed(near, seconds) * self._share or speed
        told = f"measured: {compact(speed)} multiply-accumulates a second and worker"
        self._say(told)
        size = self._given_macs or min(int(division.training * speed / images), most)
        # In the end, all threads predict together with all networks of an average.
        self._predicting = _PASS * tested * size * division.top / (speed * division.workers)
        if self._given_macs is not None:
            return self._given_macs, "--macs"
        limit = int(division.training * speed / images)
        if limit > most:
            return _rounded(most), (
                f"three quarters of the space's networks are smaller; there would be time for "
                f"{compact(limit)} ({told})"
            )
        if limit < least:
            return _rounded(least), (
                f"a twentieth of the space's networks are smaller; {compact(limit)} would be as "
                f"many as the time allows ({told})"
            )
        return _rounded(limit), (
            f"a training of the final stage has {division.training:.0f} s, for "
            f"{division.passes:.3g} passes over {self._count:,} images; {told}"
        )

    def _speed(self, networks: list[Architecture], seconds: float) -> float:
        """Returns the speed of the fastest of some networks, with one thread if that is faster.

        It is 0 if none of them trains. What is faster is kept.
        """
        found = {}
        for threads in {1, self._threads}:
            torch.set_num_threads(threads)
            probes = [self._probe(each, [], seconds) for each in networks]
            found[threads] = max((each.speed for each in probes if each is not None), default=0.0)
        self._threads = max(found, key=found.__getitem__)
        torch.set_num_threads(self._threads)
        return found[self._threads]

    def _started(self, macs: int, classics: list[str]) -> list[str]:
        """Returns the classics that the space has within the limit.

        A classic may be narrower than the space's narrowest member, and then the search cannot
        start from it.
        """
        limits = Constraints.model_validate({"macs": macs, "fit": FITTED})
        within, found = constrained(self._space, limits, self._folder), []
        for name in classics:
            with suppress(InputError):
                initial_genotypes([name], within, self._folder)
                found.append(name)
        return found

    def _classics(self, macs: int) -> Iterator[tuple[str, Architecture]]:
        """Yields the classics that fit the limit and the images."""
        for name in _CLASSICS:
            entry = Named.model_validate({"name": name, "fit": {"macs": macs}})
            try:
                made, _ = contestants([entry], self._frame, {})
            except InputError:  # it is too large, or the images are too small for it
                continue
            yield name, next(iter(made.values())).architecture

    def _chosen(self, macs: int) -> tuple[list[Any], list[str], dict[str, str]]:
        """Chooses augmentation and classics by short trainings, as far as there is time for them.

        Returns the transformations, the classics, the best first, and reasons by key.
        """
        seconds = _PROBE * self._whole
        reason = f"neighbouring values correlate by {self._smooth:.2f}"
        if not self._pictures:
            reason = "transformations are for images"
        best = self._shift if self._like_photographs and self._shiftable else []
        classics = dict(self._classics(macs))
        if seconds < _SHORT or not classics:
            return best, [*classics], {"augment": f"{reason}; there is no time to measure more"}
        scores = {each: self._score(classics[each], best, seconds) for each in classics}
        ranked = sorted(classics, key=scores.__getitem__, reverse=True)
        first = classics[ranked[0]]
        best, told = self._augmentation(
            lambda augment: self._score(first, augment, seconds), best, scores[ranked[0]]
        )
        seen = ", ".join(f"{each} {score:.3f}" for each, score in told.items())
        compared = ", ".join(f"{each} {scores[each]:.3f}" for each in ranked)
        self._say(f"classics, {seconds:.0f} s each: {compared}; augmentation: {seen}")
        return (
            best,
            ranked,
            {
                "augment": f"{reason}; validation after {seconds:.0f} s of {ranked[0]}: {seen}",
                "classics": f"validation after {seconds:.0f} s each: {compared}",
            },
        )

    def _augmentation(
        self, score: Callable[[list[Any]], float], best: list[Any], known: float
    ) -> tuple[list[Any], dict[str, float]]:
        """Chooses transformations, and returns them and the scores by name.

        A training this short hardly profits from augmentation. So what costs little is taken, and
        photographs are shifted unless this is worse by more than noise.
        """
        name = "shift" if best else "none"
        told = {name: known}
        if not self._shiftable:
            return best, told
        if not best:
            told["shift"] = score(self._shift)
            return self._shift if told["shift"] > known + self._noise else best, told
        told["none"] = score([])
        if told["none"] > max(known / _TOLERATED, known + self._noise):
            return [], told
        size = max(2, min(self._images.input_shape[1:]) // 3)
        further: dict[str, Any] = {"flip": "flip", "cutout": {"name": "cutout", "size": size}}
        for other, more in further.items():
            both = f"{name} and {other}"
            told[both] = score([*best, more])
            if told[both] > _EQUAL * known:
                best, name = [*best, more], both
        return best, told

    @property
    def _space(self) -> SearchSpace:
        entry = Named.model_validate({"name": SPACE, "multiplier": list(WIDTHS)})
        return read_space(entry, self._folder, self._frame)[0]

    @property
    def _noise(self) -> float:
        """Three standard errors of a difference of two accuracies on the validation images."""
        return 3 * math.sqrt(0.5 / len(self._few.validation.labels))

    @property
    def _pictures(self) -> bool:
        return len(self._images.input_shape) == 3

    @property
    def _shiftable(self) -> bool:
        return self._pictures and min(self._images.input_shape[1:]) >= _NARROW

    @property
    def _like_photographs(self) -> bool:
        return self._pictures and self._smooth >= SMOOTH

    @property
    def _shift(self) -> list[Any]:
        side = min(self._images.input_shape[1:])
        return [{"name": "shift", "pixels": max(1, side // 16) if self._like_photographs else 1}]

    def _score(self, architecture: Architecture, augment: list[Any], seconds: float) -> float:
        found = self._probe(architecture, augment, seconds)
        return -math.inf if found is None else found.score


def _rounded(macs: int) -> int:
    """Rounds up to two digits."""
    unit: int = 10 ** max(0, len(str(macs)) - 2)
    return -(-macs // unit) * unit


def _with_fewer(images: SearchData) -> SearchData:
    """Returns the parts with no more validation images than short trainings have time for."""
    part = images.validation
    most = max(_VALIDATED, len(images.train.labels))
    if len(part.labels) <= most:
        return images
    chosen = np.sort(np.random.default_rng(0).permutation(len(part.labels))[:most])
    return replace(images, validation=Part(part.images[chosen], part.labels[chosen]))
