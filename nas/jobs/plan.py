"""Plans a search for a data set that nobody has tuned anything for: ``nas search``.

The plan is an ordinary ``campaign.yaml`` with its reasons as comments. Every number in it comes
from the data set, from the time, or from short trainings on this machine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nas.architecture.graph import Architecture
from nas.campaigns.spec.contestants import contestants
from nas.campaigns.spec.data_argument import Given
from nas.campaigns.spec.scaffold import commented, data_section
from nas.configuration import Named
from nas.errors import InputError
from nas.jobs.probe import SMOOTH, Probe, probe, smoothness
from nas.spaces import space
from nas.tasks import DEFAULT, make
from nas.training.data import Loaded
from nas.training.hardware import cores, free_cores, resolve_device
from nas.training.loop import Diverged
from nas.training.recipe import resolve
from nas.words import compact, counted

SPACE = "primitives"
_WIDTHS = (0.0625, 0.125, 0.1875, 0.25, 0.3125, 0.375, 0.4375, 0.5, 0.625, 0.75, 1.0)
"""Multipliers of all widths. There are more than in the space itself, so that its classics can be
almost as large as the limit allows."""

_CLASSIC, _FINAL = 0.08, 0.6
"""The shares of the campaign's time for the first network, which is a classic, and for the final
trainings of the best networks."""
_PROBE = 0.015
"""The share of the time that one short training takes."""
_SHORT = 2.0
"""Short trainings of fewer seconds tell nothing, and are left out."""
_RAY = 150.0
"""With fewer seconds, trials run in this process, because workers take ten seconds to start, and
longer on a busy machine."""
_PASSES, _IMAGES, _MOST_PASSES = 12, 300_000, 200
"""How long a training of the final stage should be: so many passes over the training images, and
at least so many images, but not more than so many passes."""
_PART, _SLOW = 24, 1.5
"""A trial of the search makes this part of the passes of a training of the final stage, and may
take so many times that part of its time."""
_MOST = 2
"""A training of the final stage may make so many times the passes that were planned, if its network
is fast."""
_SPEED = 2e9
"""The multiply-accumulates of forward passes that a core trains in a second, until it is
measured."""
_CLASSICS = ("vgg8", "lenet5", "resnet20")
"""Classics that learn quickly, of which the best is trained first."""
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


@dataclass(frozen=True)
class Division:
    """How the time is divided.

    Attributes:
        seconds: the time of the campaign.
        workers: how many trials run at the same time.
        top: how many networks of the search are retrained.
        training: the seconds of a training of the final stage.
        passes: how many passes over the training images it should make.
    """

    seconds: float
    workers: int
    top: int
    training: float
    passes: float

    @property
    def trial(self) -> float:
        """The seconds that a trial of the search takes, about."""
        return self.training / _PART

    @classmethod
    def of(cls, seconds: float, images: int, workers: int) -> Division:
        """Divides the time of a campaign on so many training images."""
        top = min(workers, 4) if workers > 1 else 1 if seconds < 2 * _RAY else 2
        passes = min(max(_PASSES, _IMAGES / images), _MOST_PASSES)
        return cls(seconds, workers, top, _FINAL * seconds / -(-top // workers), passes)

    @property
    def trials(self) -> int:
        """How many trials the search has time for, about."""
        share = 1 - _CLASSIC - _FINAL
        return round(share * self.seconds * self.workers / self.trial)

    @property
    def epochs(self) -> int:
        """The epochs of a trial of the search."""
        return max(1, round(self.passes / _PART))


class Planner:
    """Looks at a data set, measures, and writes a campaign.

    Args:
        given: the section ``data`` that the user has named.
        loaded: the data set.
        folder: the folder of the campaign.
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
        ends: float,
        macs: int | None,
        seed: int,
        say: Callable[[str], None],
    ) -> None:
        self._given, self._loaded, self._folder, self._seed = given, loaded, folder, seed
        self._began, self._ends, self._given_macs = time.monotonic(), ends, macs
        self._cpu_before = time.process_time()
        if loaded.images.kind != "classes" or len(loaded.images.input_shape) != 3:
            shape = "x".join(map(str, loaded.images.input_shape))
            raise InputError(
                f"--data: a search is planned for images with classes; these are of {shape} with "
                f"{loaded.images.kind}: write a campaign with nas new"
            )
        self._say = say
        self._images = loaded.search()
        self._task = make(Named(name=DEFAULT))
        self._task.check_labels(loaded.images.kind)
        self._task.check_parts(loaded.labels)
        self._device = resolve_device("auto")
        self._whole = ends - self._began
        self._count = len(self._images.train.labels)
        self._outputs = self._task.outputs(self._images.input_shape, self._images.classes)
        self._threads = free_cores()
        self._batch = 32 if self._count < 5_000 else 64 if self._count < 30_000 else 128
        sample = self._loaded.split.train[:: max(1, self._count // 500)]
        chosen = loaded.images.images[sample]
        self._smooth = smoothness(chosen if isinstance(chosen, np.ndarray) else chosen.read())
        several = self._whole >= _RAY * self._slower
        gpus = torch.cuda.device_count() if self._device == "cuda" else 0
        self._workers = max(1, min(cores(), 4 * gpus or cores())) if several else 1

    def campaign(self) -> str:
        """Returns the text of ``campaign.yaml``; this takes a tenth of the time."""
        self._left()
        torch.set_num_threads(self._threads)
        # The first optimizer of a process imports for seconds, which is not the networks' speed.
        torch.optim.AdamW([torch.zeros(1, requires_grad=True)])
        self._look()
        division = Division.of(0.9 * self._whole, self._count, self._workers)
        macs, reason = self._limit(division)
        augment, chosen, notes = self._chosen(macs)
        division = Division.of(self._left(), self._count, self._workers)
        return self._text(division, macs, reason, augment, chosen, notes)

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
        left = self._ends - time.monotonic() - closing
        if left < _LEAST:
            raise InputError(
                f"--minutes: are too few: {max(0.0, left):.0f} s are left after looking at the "
                f"data; at least {_LEAST:.0f} s are needed"
            )
        return left

    def _look(self) -> None:
        images, parts = self._images, self._loaded.split
        counts = np.bincount(images.train.labels, minlength=images.classes)
        low, high = counts.min(), counts.max()
        balance = f"{low:,} of each" if low == high else f"{low:,} to {high:,} images of a class"
        shape = "x".join(map(str, images.input_shape))
        kind = "like pictures" if self._smooth >= SMOOTH else "not like pictures"
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
            return probe(architecture, self._images, how, self._task, seconds, self._device)
        except Diverged:
            return None

    def _limit(self, division: Division) -> tuple[int, str]:
        """Returns the limit of multiply-accumulates, and its reason."""
        found = space(SPACE, self._images.input_shape, self._outputs, multiplier=list(_WIDTHS))
        rng = np.random.default_rng(self._seed)
        members = sorted(
            (found.decode(found.sample(rng)) for _ in range(_MEMBERS)),
            key=lambda member: member.cost.macs,
        )
        # A worker has a core, and without workers, a trial has the threads of the measurement.
        share = cores() / self._threads / division.workers if division.workers > 1 else 1.0
        speed = _SPEED * self._threads * share
        images = division.passes * self._count
        for _ in range(2):  # the speed depends on the size
            most = self._given_macs or division.training * speed / images
            near = [made for _, made in self._classics(int(most))]
            near = near or [each for each in members if each.cost.macs <= most][-2:] or members[:1]
            seconds = min(1.5, max(0.3, 0.005 * self._whole))
            probes = [self._probe(member, [], seconds) for member in near]
            speeds = [each.speed for each in probes if each is not None]
            speed = max(speeds) * share if speeds else speed
        told = f"measured: {compact(speed)} multiply-accumulates a second and worker"
        self._say(told)
        if self._given_macs is not None:
            return self._given_macs, "--macs"
        limit = int(division.training * speed / images)
        least = members[_MEMBERS // 20].cost.macs
        if limit < least:
            return _rounded(least), (
                f"a twentieth of the space's networks are smaller; {compact(limit)} would be as "
                f"many as the time allows ({told})"
            )
        return _rounded(limit), (
            f"a training of the final stage has {division.training:.0f} s, for "
            f"{division.passes:.3g} passes over {self._count:,} images; {told}"
        )

    def _classics(self, macs: int) -> Iterator[tuple[str, Architecture]]:
        """Yields the classics that fit the limit and the images."""
        for name in _CLASSICS:
            entry = Named.model_validate({"name": name, "fit": {"macs": macs}})
            try:
                made, _ = contestants([entry], self._images.input_shape, self._outputs, {})
            except InputError:  # it is too large, or the images are too small for it
                continue
            yield name, next(iter(made.values())).architecture

    def _chosen(self, macs: int) -> tuple[list[Any], list[str], dict[str, str]]:
        """Chooses augmentation and classics by short trainings, as far as there is time for them.

        Returns the transformations, the classics, the best first, and reasons by key.
        """
        seconds = _PROBE * self._whole
        side = max(self._images.input_shape[1:])
        is_smooth = self._smooth >= SMOOTH
        shift = [{"name": "shift", "pixels": max(1, side // 16) if is_smooth else 1}]
        best = shift if is_smooth else []
        name = "shift" if is_smooth else "none"
        reason = f"neighbouring values correlate by {self._smooth:.2f}"
        classics = dict(self._classics(macs))
        if seconds < _SHORT or not classics:
            return best, [*classics], {"augment": f"{reason}; there is no time to measure more"}
        scores = {each: self._score(classics[each], best, seconds) for each in classics}
        ranked = sorted(classics, key=scores.__getitem__, reverse=True)
        told = {name: scores[ranked[0]]}

        def score(other: str, augment: list[Any]) -> float:
            told[other] = self._score(classics[ranked[0]], augment, seconds)
            return told[other]

        # A training this short hardly profits from augmentation. So what costs little is taken.
        if not is_smooth:
            best = shift if score("shift", shift) > told[name] else best
        elif score("none", []) > told[name] / _TOLERATED:
            best = []
        else:
            further: tuple[tuple[str, Any], ...] = (
                ("flip", "flip"),
                ("cutout", {"name": "cutout", "size": max(2, side // 3)}),
            )
            for other, more in further:
                if score(f"{name} and {other}", [*best, more]) > _EQUAL * told[name]:
                    best, name = [*best, more], f"{name} and {other}"
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

    def _score(self, architecture: Architecture, augment: list[Any], seconds: float) -> float:
        found = self._probe(architecture, augment, seconds)
        return -math.inf if found is None else found.score

    def _text(
        self,
        division: Division,
        macs: int,
        reason: str,
        augment: list[Any],
        classics: list[str],
        reasons: Mapping[str, str],
    ) -> str:
        whole, minutes = self._whole / 60, division.seconds / 60
        entries = ", ".join(
            f"{{name: {each}, fit: constraints}}" for each in classics[: division.workers]
        )
        population = min(24, max(8, division.trials // 3))
        epochs = division.epochs
        most = max(10, math.ceil(_MOST * division.passes))
        sizes = sorted({2, division.top} - {1}) if division.top > 1 else []
        engine = (
            "engine: {name: ray, gpus_per_trial: 0.25}"
            if self._device == "cuda" and division.workers > 1
            else "engine: ray"
            if division.workers > 1
            else f"engine: {{name: serial, cpus_per_trial: {self._threads}}}"
        )
        lines = [
            f"# Planned by `nas search` for {whole:.3g} minutes. `nas run FOLDER` also runs or",
            "# resumes it. Every key can be changed: docs/reference.md lists them.",
            "",
            "space:",
            f"  name: {SPACE}",
            f"  multiplier: {list(_WIDTHS)}",
            commented(
                f"searcher: {{name: evolution, population_size: {population}, tournament_size: 5, "
                "initial: classics}",
                f"time for about {division.trials} trials; it begins with the classics that are in "
                "the space",
            ),
            commented("random_baseline: false", "it would take half of the time"),
            "constraints:",
            commented(f"  macs: {macs:_}", reason),
            "time_limit:",
            commented(
                f"  minutes: {minutes:.4g}",
                f"of {whole:.3g}: the rest is for looking at the data, measuring, predictions and "
                "the export",
            ),
            commented(
                f"  final: {_FINAL}",
                f"{division.training:.0f} s for each training of the best networks",
            ),
            commented(f"  classics: {_CLASSIC}", "so that there is a trained network early"),
            commented(f"  epochs: {most}", "as a rule, the time of a training is over earlier"),
            commented(f"  trial_seconds: {_SLOW * division.trial:.3g}",
                      "a slow network of the search has no time for all epochs"),
            commented("budget: {trials: 10_000}", "the time limit ends the search earlier"),
            "",
            data_section(self._given, self._loaded, self._folder),
            "",
            "recipe:",
            "  preset: quick",
            commented(
                f"  epochs: {epochs}",
                f"of a trial of the search; a training of the final stage makes about "
                f"{division.passes:.3g} passes",
            ),
            commented(f"  batch_size: {self._batch}", f"{self._count:,} training images"),
            f"  warmup_epochs: {min(1.0, 0.4 * epochs):.2g}",
            commented(f"  augment: {_flow(augment)}", reasons.get("augment", "")),
            "",
            "final:",
            commented(f"  top: {division.top}", f"{counted(division.workers, 'trial')} at a time"),
            "  seeds: [0]",
            *([f"  ensembles: {sizes}"] if sizes else []),
            commented(
                f"  classics: [{entries}]",
                reasons.get("classics", "trained first, so that there is a network early"),
            ),
            "",
            f"seed: {self._seed}",
            commented(
                engine,
                f"trials run {'side by side' if division.workers > 1 else 'one after the other'}",
            ),
        ]  # fmt: skip
        return "".join(f"{line.rstrip()}\n" for line in "\n".join(lines).splitlines())


def _rounded(macs: int) -> int:
    """Rounds up to two digits."""
    unit: int = 10 ** max(0, len(str(macs)) - 2)
    return -(-macs // unit) * unit


def _flow(augment: list[Any]) -> str:
    """Writes transformations in one line of YAML."""
    written = [
        each
        if isinstance(each, str)
        else "{" + ", ".join(f"{key}: {value}" for key, value in each.items()) + "}"
        for each in augment
    ]
    return f"[{', '.join(written)}]"
