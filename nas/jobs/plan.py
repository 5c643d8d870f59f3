"""Plans a search for a data set that nobody has tuned anything for: ``nas search``.

The plan is an ordinary ``campaign.yaml`` with its reasons as comments. Every number in it comes
from the data set, from the time, or from short trainings on this machine.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nas.architecture.graph import Architecture
from nas.campaigns.spec.contestants import fitting
from nas.campaigns.spec.data_argument import Given
from nas.campaigns.spec.frame import Frame
from nas.campaigns.spec.initial import initial_genotypes
from nas.campaigns.spec.space import read_space
from nas.configuration import Named
from nas.errors import InputError
from nas.jobs.division import PART, RAY, SLOWLY, Division
from nas.jobs.plan_file import BEST, FITTED, SPACE, WIDTHS, Plan
from nas.jobs.probe import SMOOTH, alike, smoothness
from nas.jobs.tryouts import Tryouts
from nas.spaces.constrained_space import constrained
from nas.spaces.constraints import Constraints
from nas.spaces.search_space import SearchSpace
from nas.tasks import DEFAULT, make
from nas.training.data import Loaded
from nas.training.hardware import cores, free_cores, resolve_device
from nas.words import compact

_PROBE, _LONGEST = 0.015, 60.0
"""The share of the time that one short training takes, and its most seconds."""
_SHORT = 2.0
"""Short trainings of fewer seconds tell nothing, and are left out."""
_SMALL = 5_000_000
"""The most multiply-accumulates of the networks by which readings are compared."""
_MOST = 0.02
"""The largest share of the time that one short training takes to choose a reading, unless channels
are like pictures of their own."""
_LOOKED_AT = 2**25
"""The most values that are looked at, in a sample of the images."""
_EVALUATED = 0.5
"""The largest share of a short training for its evaluation, before the speed is measured."""
_SPEED = 2e9
"""The multiply-accumulates of forward passes that a core trains in a second, until it is
measured."""
_STEPS = 10
"""Networks are small enough for so many steps in a short training."""
_JUDGED = 0.2
"""In fewer seconds, clocks cannot tell how busy the machine is."""
_CHOSEN = 0.92
"""The share of the time that is left after measuring and choosing classics and augmentation."""
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


class Planner:
    """Looks at a data set, measures, and writes a campaign.

    Args:
        given: the section ``data`` that the user has named.
        loaded: the data set.
        folder: the folder of the campaign.
        minutes: the time for everything, as the user has given it.
        ends: when everything has to be over, on the clock time.monotonic.
        loading: how many seconds it takes to load the data set, which is loaded again at the end.
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
        loading: float,
        macs: int | None,
        seed: int,
        say: Callable[[str], None],
    ) -> None:
        self._given, self._loaded, self._folder, self._seed = given, loaded, folder, seed
        self._minutes, self._given_macs = minutes, macs
        self._began, self._ends = time.monotonic(), ends
        self._cpu_before = _cpu_seconds()
        if loaded.images.kind != "classes":
            raise InputError(
                "a search is planned for data with classes; these have "
                f"{loaded.images.kind}: write a campaign with nas new"
            )
        self._say = say
        before = time.monotonic()
        self._images = loaded.search()
        parts = loaded.split
        reading = time.monotonic() - before
        self._task = make(Named(name=DEFAULT))
        self._task.check_labels(loaded.images.kind)
        self._task.check_parts(loaded.labels)
        self._device = resolve_device("auto")
        self._whole = ends - self._began
        self._count = len(self._images.train.labels)
        if self._count < 2:
            raise InputError("the training part holds a single image; a search needs two or more")
        self._probing = min(_LONGEST, _PROBE * self._whole)
        shape = self._images.input_shape
        self._frame = Frame(shape, self._task.outputs(shape, self._images.classes), self._task)
        self._predicting = 0.0
        self._scores: dict[str, float] = {}
        self._batch = 32 if self._count < 5_000 else 64 if self._count < 30_000 else 128
        some = min(500, max(1, _LOOKED_AT // math.prod(shape)))
        chosen = loaded.images.images[parts.train[:: max(1, -(-self._count // some))]]
        before = time.monotonic()
        values = chosen if isinstance(chosen, np.ndarray) else chosen.read()
        # Pictures of the test part are decoded for the final stage, and for the predictions.
        each = 0.0 if loaded.images.streamed else (time.monotonic() - before) / len(values)
        self._loading = loading + each * len(parts.test)
        # The campaign loads the data for its networks, for its trials and for the final stage.
        self._waiting = reading + 2 * loading + self._loading
        self._smooth = smoothness(values)
        preset = {"preset": "quick", "batch_size": self._batch}
        self._tryouts = Tryouts(
            self._images,
            self._task,
            preset,
            self._device,
            self._smooth,
            self._smooth >= SMOOTH and alike(values),
            int(_EVALUATED * self._probing * _SPEED / (_PASS * _SMALL)),
        )
        several = self._whole >= RAY * self._slower
        gpus = torch.cuda.device_count() if self._device == "cuda" else 0
        self._workers = max(1, min(cores(), 4 * gpus or cores())) if several else 1
        # Workers share the GPUs, or each has a core beside others.
        self._share = 1.0 if not several else gpus / self._workers if gpus else _TOGETHER
        # A worker has one thread. A single trial may be faster with one, too: on a busy machine,
        # threads that wait for each other can be a hundred times slower.
        self._threads = 1 if several else free_cores()

    def campaign(self) -> str:
        """Returns the text of ``campaign.yaml``; this takes up to a sixth of the time."""
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
        division = Division.of(max(1.0, _CHOSEN * self._left()), self._count, self._workers)
        macs, reason = self._limit(division)
        augment, classics, reasons = self._chosen(macs)
        started = self._started(macs, classics)
        plan = Plan(
            minutes=self._minutes,
            division=Division.of(
                max(1.0, self._left()),
                self._count,
                self._workers,
                PART if self._learned else SLOWLY,
            ),
            macs=macs,
            augment=augment,
            classics=classics,
            started=started,
            lineages=self._rivals(started),
            reading=self._frame.reading,
            reasons={"macs": reason, "reading": reading, **reasons},
            batch=self._batch,
            device=self._device,
            threads=self._threads,
            seed=self._seed,
            waiting=self._waiting,
        )
        return plan.text(self._given, self._loaded, self._folder)

    @property
    def _slower(self) -> float:
        """How much slower everything is because other processes have a part of the machine.

        It is seen from the CPU time of what was done so far.
        """
        spent, passed = _cpu_seconds() - self._cpu_before, time.monotonic() - self._began
        return 1.0 if passed < _JUDGED else max(1.0, passed / max(1e-3, spent))

    def _left(self) -> float:
        """Returns the seconds that the campaign may take for its trials from now on."""
        closing = max(_CLOSING, _CLOSING_CPU * self._slower) + _CLOSING_SHARE * self._whole
        closing += self._loading + self._predicting
        return self._ends - time.monotonic() - self._waiting - closing

    def _look(self) -> None:
        images, parts = self._images, self._loaded.split
        counts = np.bincount(images.train.labels, minlength=images.classes)
        low, high = counts.min(), counts.max()
        balance = f"{low:,} of each" if low == high else f"{low:,} to {high:,} images of a class"
        shape = "x".join(map(str, images.input_shape))
        kind = "like photographs" if self._tryouts.like_photographs else "not like photographs"
        self._say(
            f"{self._count:,} training, {len(parts.validation):,} validation and "
            f"{len(parts.test):,} test images, {shape}, {images.classes} classes, "
            f"{balance}; neighbouring values correlate by {self._smooth:.2f}, {kind}"
        )

    def _reading(self) -> str:
        """Chooses how networks read images, if there is time, and returns the reason."""
        seconds = max(_SHORT, self._probing)
        if seconds > _MOST * self._whole:
            return ""
        torch.set_num_threads(1)  # several may be slow, see __init__, and nothing is measured yet
        # The narrowest classic for large images may be larger than there is time for.
        most = min(_SMALL, self._given_macs or _SMALL)
        sizes = [min(most, int(_SPEED * seconds / self._count)), most]
        reading, told = self._tryouts.reading(self._frame, sizes, seconds)
        torch.set_num_threads(self._threads)
        self._frame = replace(self._frame, reading=reading)
        if told:
            self._say(f"reading: {reading}; {told}")
        return told

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
        self._speed = _SPEED * self._threads * self._share
        validated, tested = len(self._images.validation.labels), len(self._loaded.split.test)

        def affordable(passes: float) -> int:
            # Every pass ends with an evaluation; the test images are evaluated once, and predicted.
            images = passes * (self._count + _PASS * validated) + 2 * _PASS * tested
            return int(division.training * self._speed / images)

        def planned() -> int:
            if self._given_macs is None:
                return min(affordable(division.passes), most)
            return min(self._given_macs, max(affordable(1), least))

        for _ in range(2):  # the speed depends on the size
            seconds = min(1.5, max(0.3, 0.005 * self._whole))
            size = self._probed(planned(), seconds)
            near = [*fitting(self._frame, size).values()]
            near = near or [each for each in members if each.cost.macs <= size][-2:] or members[:1]
            self._speed = self._measured(near, seconds) * self._share or self._speed
        told = f"measured: {compact(self._speed)} multiply-accumulates a second and worker"
        self._say(told)
        # In the end, all networks of an average predict. If others use the machine, this has one
        # thread.
        self._predicting = _PASS * tested * planned() * division.top / self._speed
        if self._given_macs is not None:
            if planned() == self._given_macs:
                return planned(), "--macs"
            if planned() == least:
                return least, f"a twentieth of the space's networks are smaller; {told}"
            return min(_rounded(planned()), self._given_macs), (
                f"--macs allows {compact(self._given_macs)}, but a training of the final stage has "
                f"{division.training:.0f} s, for one pass over {self._count:,} images; {told}"
            )
        limit = affordable(division.passes)
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

    def _probed(self, macs: int, seconds: float) -> int:
        """Returns how large a network may be that is trained for so many seconds only."""
        return min(macs, max(_SMALL, int(self._speed * seconds / (_STEPS * self._batch))))

    def _measured(self, networks: list[Architecture], seconds: float) -> float:
        """Returns the speed of the fastest of some networks, with one thread if that is faster.

        It is 0 if none of them trains. What is faster is kept.
        """
        found = {}
        for threads in {1, self._threads}:
            torch.set_num_threads(threads)
            probes = [self._tryouts.probe(each, [], seconds) for each in networks]
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

    @property
    def _learned(self) -> bool:
        """Whether short trainings have learned the images, as far as is known."""
        scores = self._scores.values()
        return not scores or self._tryouts.learned(max(scores))

    def _rivals(self, started: list[str]) -> bool:
        """Tells if the search starts from two classics of which either may become the better one.

        Without short trainings, nothing is known about them.
        """
        known = [self._scores[each] for each in started[:BEST] if each in self._scores]
        return len(known) > 1 and self._tryouts.rivals(*known)

    def _chosen(self, macs: int) -> tuple[list[Any], list[str], dict[str, str]]:
        """Chooses augmentation and classics by short trainings, as far as there is time for them.

        Returns the transformations, the classics, the best first, and reasons by key.
        """
        seconds = self._probing
        reason = f"neighbouring values correlate by {self._smooth:.2f}"
        if not self._tryouts.pictures:
            reason = "transformations are for images"
        best = self._tryouts.default
        largest = [*fitting(self._frame, macs)]
        classics = fitting(self._frame, self._probed(macs, seconds))
        if seconds < _SHORT or not classics:
            return best, largest, {"augment": f"{reason}; there is no time to measure more"}
        scores = {each: self._tryouts.score(classics[each], best, seconds) for each in classics}
        self._scores = scores
        ranked = [*classics]
        if self._learned:  # otherwise the order would be chance
            ranked.sort(key=scores.__getitem__, reverse=True)
        first = classics[ranked[0]]
        best, told = self._tryouts.augmentation(
            lambda augment: self._tryouts.score(first, augment, seconds), scores[ranked[0]]
        )
        seen = ", ".join(f"{each} {score:.3f}" for each, score in told.items())
        compared = ", ".join(f"{each} {scores[each]:.3f}" for each in ranked)
        self._say(f"classics, {seconds:.0f} s each: {compared}; augmentation: {seen}")
        return (
            best,
            [*ranked, *(each for each in largest if each not in ranked)],
            {
                "augment": f"{reason}; validation after {seconds:.0f} s of {ranked[0]}: {seen}",
                "classics": f"validation after {seconds:.0f} s each: {compared}",
            },
        )

    @property
    def _space(self) -> SearchSpace:
        entry = Named.model_validate({"name": SPACE, "multiplier": list(WIDTHS)})
        return read_space(entry, self._folder, self._frame)[0]


def _cpu_seconds() -> float:
    """Returns the CPU time of this process and of its children that have ended."""
    return time.process_time() + sum(os.times()[2:4])


def _rounded(macs: int) -> int:
    """Rounds up to two digits."""
    unit: int = 10 ** max(0, len(str(macs)) - 2)
    return -(-macs // unit) * unit
