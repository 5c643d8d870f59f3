"""Tables and verdicts of the campaigns of tasks: ``python -m tests.benchmarks.tasks``.

Reads what ``nas run results/faces`` and the others recorded, and writes ``results/tasks.md``. The
section of a campaign whose records are not here stays as it is.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from nas.analysis.tables.columns import recorded
from nas.analysis.tables.networks import campaign_table
from nas.analysis.tables.render import render
from nas.campaigns.store.log import read_records
from nas.files import write_whole
from nas.tasks.embedding import Embedding
from nas.training.data import load, resolve
from nas.yaml_files import read_yaml

RESULTS = Path(__file__).parents[2] / "results"


class Run(NamedTuple):
    """A campaign, and what is known from elsewhere."""

    title: str
    beside: str


RUNS = {
    "faces": Run("Embedding: faces of persons who were never seen", "No number is published for "
                 "this split of persons."),
    "digits_autoencoder": Run("Reconstruction: digits through 16 numbers",
                              "No number is published for these digits at 16x16."),
    "landmarks": Run("Landmarks: 68 points in faces", "No number is published for these crops."),
    "italy_power": Run("A series: ItalyPowerDemand", "Published: ResNet 0.966 on all 67 training "
                       "series (Ismail Fawaz et al. 2019, arXiv:1809.04356, the "
                       "first of their runs). Chance: 0.501."),
    "adrenal": Run("Volumes: AdrenalMNIST3D", "Accuracies are published for 28x28x28 voxels "
                   "(Yang et al. 2023, MedMNIST v2, doi:10.1038/s41597-022-01721-8), which are not "
                   "comparable with these of 8x8x8. Chance, the commoner class: 0.768."),
    "camvid": Run("Segmentation: street scenes", "No number is published for 48x48 and so few "
                  "epochs."),
    "cells": Run("Detection: blood cells", "No number is published for 160x120 and so few epochs. "
                 "Chance, the commonest boxes of the training images: AP 0.016."),
}  # fmt: skip
INTRODUCTION = """\
# Campaigns of tasks

Each campaign compares evolution, random search with as many trials, and two classics, as backbones
under the same head and by the same recipe. Each network is as wide as the limit allows. The best
network of each search in the campaigns of boxes and masks, or the three best in all others, and the
classics were retrained with three or four seeds. All campaigns were cut so that each takes one to
ten minutes of one core: they show that a task can be searched, and say little about the searchers,
or about what can be reached. Each search ran once.
"""


def main() -> None:
    """Write a section for each campaign."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    results = parser.parse_args().results
    file = RESULTS / "tasks.md"
    parts = file.read_text().split("\n## ")[1:]
    before = {part.partition("\n")[0]: f"## {part.rstrip()}\n" for part in parts}
    made = {run.title: _section(results / name, run) for name, run in RUNS.items()}
    sections = {**before, **{title: text for title, text in made.items() if text}}
    write_whole(file, "\n".join([INTRODUCTION, *sections.values()]).encode())


def _section(folder: Path, run: Run) -> str:
    """Return the section of a campaign; empty if its records are not here."""
    records = read_records(folder)
    if not records:
        return ""
    metrics = recorded(records[0].specification)
    columns = ["name", "kind", "params", "macs", metrics.search, metrics.validation,
               metrics.test, "test_std", "seeds"]  # fmt: skip
    table = render(campaign_table([folder]), "markdown", columns)
    pixels = [_of_pixels(folder)] if folder.name == "faces" else []
    command = f"`nas run results/{folder.name}`. {run.beside}"
    return "\n\n".join([f"## {run.title}", command, *pixels, table]) + "\n"


def _of_pixels(folder: Path) -> str:
    """Return what the pixels themselves are worth as embeddings."""
    loaded = load(resolve(read_yaml(folder / "campaign.yaml")["data"], folder))
    chosen = loaded.split.test
    images = np.asarray(loaded.images.images[chosen]).reshape(len(chosen), -1)
    found = Embedding().evaluate(
        torch.from_numpy(images.astype(np.float32)), torch.from_numpy(loaded.images.labels[chosen])
    )
    return (
        f"The pixels themselves have on these test images: ROC AUC {found['roc_auc']:.4f}, equal "
        f"error rate {found['eer']:.4f}, recall at 1 {found['recall_at_1']:.4f}."
    )


if __name__ == "__main__":
    main()
