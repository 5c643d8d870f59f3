"""Writes the plan of ``nas search`` as a ``campaign.yaml`` with its reasons as comments."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.architecture.reading import Reading
from nas.campaigns.spec.data_argument import Given
from nas.campaigns.spec.draft import commented, data_section, draft
from nas.jobs.division import CLASSIC, FINAL, MOST, PART, SLOW, Division
from nas.training.data import Loaded
from nas.words import counted

SPACE = "primitives"

FITTED = "multiplier"
"""The choice of the space by which each network is as large as the limit allows."""

BEST = 2
"""How many classics the search begins with. With more, a short one would only repeat classics."""

_TELLING = 500
"""So many validation images tell which epoch is the best; with fewer, it would be chance."""

WIDTHS = tuple(round(2 ** (step / 6 - 4), 3) for step in range(37))
"""Multipliers of all widths, each an eighth larger than the one before. The space itself has fewer;
with these, each network can be almost as large as the limit allows."""


@dataclass(frozen=True)
class Plan:
    """What is decided.

    Attributes:
        minutes: the time for everything.
        division: how the campaign's time is divided.
        macs: the limit of multiply-accumulates.
        augment: the transformations of the recipe.
        classics: the names of classics, the best first.
        started: those from which the search can start, the best first.
        lineages: whether the best descendant of each of these is retrained.
        reasons: why, by key: "macs", "reading", "augment", "classics".
        batch: the size of a batch.
        device: a torch device.
        threads: the threads of a trial where trials run one after the other.
        seed: the seed of the search.
        reading: how networks read an image.
        waiting: the seconds in which the campaign reads the images, before its first trial.
    """

    minutes: float
    division: Division
    macs: int
    augment: list[Any]
    classics: list[str]
    started: list[str]
    lineages: bool
    reasons: Mapping[str, str]
    batch: int
    device: str
    threads: int
    seed: int
    reading: Reading
    waiting: float

    def text(self, given: Given, loaded: Loaded, folder: Path) -> str:
        """Returns the text of ``campaign.yaml`` in a folder, for a data set that a user named."""
        division = self.division
        whole = division.seconds + self.waiting
        final = FINAL * division.seconds / whole
        entries = ", ".join(
            f"{{name: {each}, fit: constraints}}" for each in self.classics[: division.workers]
        )
        population = min(24, max(4, division.trials // 4))
        started = f", initial: [{', '.join(self.started[:BEST])}]" if self.started else ""
        epochs = division.epochs
        most = max(10, math.ceil(MOST * division.passes))
        sizes = sorted({2, division.top} - {1}) if division.top > 1 else []
        engine = (
            "engine: {name: ray, gpus_per_trial: 0.25}"
            if self.device == "cuda" and division.workers > 1
            else "engine: ray"
            if division.workers > 1
            else f"engine: {{name: serial, cpus_per_trial: {self.threads}}}"
        )
        lines = [
            f"# Planned by `nas search` for {self.minutes:.3g} minutes. `nas run FOLDER` also runs",
            "# or resumes it. Every key can be changed: docs/reference.md lists them.",
            "",
            "space:",
            f"  name: {SPACE}",
            textwrap.fill(
                f"multiplier: {list(WIDTHS)}", 98, initial_indent="  ", subsequent_indent=4 * " "
            ),
            commented(
                f"searcher: {{name: tournament_evolution, population_size: {population}, "
                f"tournament_size: {min(5, population - 1)}{started}}}",
                f"time for about {division.trials} trials"
                + ("; it begins with the best classics" if started else ""),
            ),
            commented("random_baseline: false", "it would take half of the time"),
            "constraints:",
            commented(f"  macs: {self.macs:_}", self.reasons["macs"]),
            commented(f"  fit: {FITTED}", "each network is as wide as the limit allows"),
            "time_limit:",
            commented(
                f"  minutes: {whole / 60:.4g}",
                f"of {self.minutes:.3g}: the rest is for looking at the data, measuring, "
                "predictions and the export",
            ),
            commented(
                f"  final: {final:.3g}",
                f"{division.training:.0f} s for each training of the best networks",
            ),
            commented(f"  classics: {CLASSIC}", "so that there is a trained network early"),
            commented(f"  epochs: {most}", "as a rule, the time of a training is over earlier"),
            commented(f"  trial_seconds: {SLOW * division.trial:.3g}",
                      "a slow network of the search has no time for all epochs"),
            commented("budget: {trials: 10_000}", "the time limit ends the search earlier"),
            "",
            data_section(given, loaded, folder),
            *(
                ["", commented(f"reading: {self.reading}", self.reasons["reading"])]
                if self.reasons.get("reading")
                else []
            ),
            "",
            "recipe:",
            "  preset: quick",
            commented(
                f"  epochs: {epochs}",
                f"of a trial of the search; a training of the final stage makes about "
                f"{division.passes:.3g} passes"
                + ("" if division.part == PART else "; networks learn these images slowly"),
            ),
            commented(
                f"  batch_size: {self.batch}", f"{len(loaded.split.train):,} training images"
            ),
            f"  warmup_epochs: {min(1.0, 0.4 * epochs):.2g}",
            *(
                [commented("  keep: best", "the weights after the best epoch: few images are "
                           "soon learned by heart")]
                if len(loaded.split.validation) >= _TELLING
                else []
            ),
            commented(f"  augment: {_flow(self.augment)}", self.reasons.get("augment", "")),
            "",
            "final:",
            commented(f"  top: {division.top}", f"{counted(division.workers, 'trial')} at a time"),
            *([commented("  lineages: true", "short trainings favour what learns fast, so one of "
                         "each kind is trained")]
              if self.lineages and division.top > 1 else []),
            "  seeds: [0]",
            *([f"  ensembles: {sizes}",
               commented("  calibrated: true", "members that are too sure of themselves count for "
                         "less")] if sizes else []),
            commented(
                f"  classics: [{entries}]",
                self.reasons.get("classics", "trained first, so that there is a network early"),
            ),
            "",
            f"seed: {self.seed}",
            commented(
                engine,
                f"trials run {'side by side' if division.workers > 1 else 'one after the other'}",
            ),
        ]  # fmt: skip
        return draft("\n".join(lines))


def _flow(augment: list[Any]) -> str:
    """Writes transformations in one line of YAML."""
    written = [
        each
        if isinstance(each, str)
        else "{" + ", ".join(f"{key}: {value}" for key, value in each.items()) + "}"
        for each in augment
    ]
    return f"[{', '.join(written)}]"
