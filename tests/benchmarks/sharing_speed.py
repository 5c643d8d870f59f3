"""The step time of shared weights: ``python -m tests.benchmarks.sharing_speed [SPACE...]``.

Members make steps in turn, as a step of the supernet, which decodes and binds the member, and as a
step of its compiled network, which was made before. The first step of a shape takes longer, because
oneDNN makes its kernels then: of every second member it is the supernet's, of the others that of
the compiled network. The table has CPU times of steps that are repeated, their ratio, and how much
longer first steps take than repeated ones of the compiled network. The bank is as large as that of
``DRAWN`` members, a few of which are measured. Then a short campaign with
``evaluator: supernet`` says how many trials the search makes per minute of CPU time.
"""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch

import nas
from nas.campaigns.drive.run import run
from nas.spaces.constrained_space import constrained
from nas.spaces.constraints import Constraints
from nas.supernet.network import Supernet, SupernetTrainer
from nas.training.data import Part, SearchData
from nas.training.loop import Trainer
from nas.training.recipe import resolve
from tests.benchmarks.measure import watched

SPACES: dict[str, dict[str, Any]] = {
    "nasbench201": {"channels": 8, "cells": 1, "own_weights": True},
    "darts": {"channels": 8, "cells": 4},
    "primitives": {},
    "mobilenetv3_ofa": {},
}
LIMITS = {"primitives": 800_000}
"""The most multiply-accumulates of a member, where a bank has no room for all members."""
SIDE, MEMBERS, DRAWN, BATCH = 16, 12, 200, 64
CAMPAIGN = """
space: {name: nasbench201, channels: 4, cells: 1}
searcher: {name: evolution, population_size: 20, tournament_size: 6}
random_baseline: false
budget: {trials: 300}
evaluator: {name: supernet, epochs: 1}
data: {name: digits}
recipe: {preset: quick, epochs: 1}
final: {top: 1, seeds: [0]}
engine: {name: serial}
"""


def timed(trainer: Trainer, images: torch.Tensor, targets: torch.Tensor) -> float:
    began = process_time()
    trainer._update(images, targets)
    return process_time() - began


def steps(name: str) -> tuple[float, float, float, float]:
    """Return CPU seconds of steps: shared, compiled; and the ratios of first steps."""
    space = nas.space(name, (3, SIDE, SIDE), 10, **SPACES[name])
    space = constrained(space, Constraints(macs=LIMITS.get(name)), Path())
    few = Part(np.zeros((BATCH, 3, SIDE, SIDE), np.uint8), np.arange(BATCH) % 10)
    data = SearchData(few, few, (120.0,) * 3, (60.0,) * 3, 10, "")
    recipe = resolve({"preset": "cifar", "epochs": 1, "batch_size": BATCH, "precision": "fp32"})
    shared = SupernetTrainer(lambda: Supernet(space, DRAWN), data, recipe, 0)
    supernet = shared.network.train()
    assert isinstance(supernet, Supernet)
    images, targets = torch.randn(BATCH, 3, SIDE, SIDE), torch.arange(BATCH) % 10
    first, again = np.zeros((MEMBERS, 2)), np.zeros((MEMBERS, 2))
    for place, genotype in enumerate(supernet._members[:MEMBERS]):
        network = nas.compile(space.decode(genotype))
        pair = shared, Trainer(lambda: network, data, recipe, 0)  # noqa: B023
        for seconds in (first, again):
            for which in (place % 2, 1 - place % 2):
                supernet.step.fill_(place)
                seconds[place, which] = timed(pair[which], images, targets)
    ratios = [first[which::2, which].sum() / again[which::2, 1].sum() for which in (0, 1)]
    return (*again.mean(0), *ratios)


def main() -> None:
    torch.set_num_threads(1)
    names = sys.argv[1:] or list(SPACES)
    with watched():
        print(f"{BATCH} images at {SIDE}x{SIDE} per step, {MEMBERS} members, one thread.\n")
        print("| space | ms, compiled | ms, shared | ratio | first step, compiled | "
              "first step, shared |\n|:--|--:|--:|--:|--:|--:|")  # fmt: skip
        for name in names:
            ours, theirs, *ratios = steps(name)
            print(f"| {name} | {1e3 * theirs:.1f} | {1e3 * ours:.1f} | {ours / theirs:.2f} | "
                  f"{ratios[1]:.2f} | {ratios[0]:.2f} |", flush=True)  # fmt: skip
        if names == list(SPACES):
            print(f"\n{trials()}")


def trials() -> str:
    """Run the campaign and say how long its trials took after the shared weights were trained."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "campaign.yaml").write_text(CAMPAIGN)
        began = process_time()
        with redirect_stdout(sys.stderr):
            run(Path(folder))
        whole = process_time() - began
        lines = Path(folder, "records.jsonl").read_text().splitlines()
    results = [each for each in map(json.loads, lines) if each["type"] == "result"]
    trained = sum(each["metrics"]["train_seconds"] for each in results)
    count = len(results) - 1
    return f"{count} trials: {60 * count / (whole - trained):,.0f} per minute of CPU time"


if __name__ == "__main__":
    main()
