"""How shared weights rank networks: ``python -m tests.benchmarks.shared_weights``.

It prints Kendall's tau over training time on cells of NAS-Bench-201 at a reduced size (the sample
of CIFAR-10 at 16x16, few channels), with two truths: the accuracy of each cell after its own
training here, and the published test accuracy on CIFAR-10. Each sampling of the supernet has the
same CPU time; beside it stand the number of parameters and the accuracy after one epoch of each
cell's own training.

Every finished part is a line of OUT.jsonl, so the command can be stopped, and goes on. Two commands
with other ``--seeds`` may write to one file. ``--table`` only prints the table.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table
from scipy.stats import kendalltau

import nas
from nas.architecture.graph import Architecture
from nas.evaluators.sharing import Setting
from nas.evaluators.supernet import _training_images
from nas.supernet.network import Sampling, Supernet, trainer_of
from nas.tasks.classification import Classification
from nas.training import data
from nas.training.batches import batch_bounds
from nas.training.loop import Trainer, measure
from nas.training.recipe import Recipe, resolve
from tests.benchmarks.proxies import EDGES, OPERATIONS
from tests.benchmarks.samples import SHARED

SIDE, CHANNELS = 16, 8
CELLS = 50
OWN_EPOCHS = 15
"""The epochs of each cell's own training, the truth; 1-epoch training is one of one epoch."""
SAMPLINGS: tuple[Sampling, ...] = ("uniform", "fair", "sandwich")
POINTS = 3
"""How often a supernet is measured while it is trained."""
RECIPE = {
    "batch_size": 64, "optimizer": "sgd", "learning_rate": 0.05, "weight_decay": 5e-4,
    "augment": [{"name": "shift", "pixels": 2}, "flip"],
}  # fmt: skip


def space() -> Any:
    return nas.space(
        "nasbench201", (3, SIDE, SIDE), 10, channels=CHANNELS, cells=1, own_weights=True
    )


def images() -> data.SearchData:
    """The sample of CIFAR-10 at 16x16: 4,000 images to train on and 1,000 for validation."""
    return data.search_data(
        data.resolve(
            {
                "name": "python",
                "function": "tests.benchmarks.shared_weights:shrunk",
                "split": {"train": 0.8, "validation": 0.2},
            }
        )
    )


def cells() -> pd.DataFrame:
    """Return the cells with their published accuracy, those of the smallest index of each class."""
    table = pd.read_csv(SHARED / "nb201_accuracy.csv.gz", dtype={"op_code": str})
    table = table[table.arch_idx == table.iso_rep_idx]
    drawn: pd.DataFrame = table.sample(CELLS, random_state=0)
    return drawn


def decode(code: str) -> Architecture:
    chosen = zip(EDGES, code, strict=True)
    found: Architecture = space().decode(
        {f"edge{edge}": OPERATIONS[int(digit)] for edge, digit in chosen}
    )
    return found


def own(code: str, epochs: int, seed: int, split: data.SearchData) -> dict[str, Any]:
    """Train a cell by itself."""
    began = process_time()
    architecture = decode(code)
    recipe = resolve({**RECIPE, "epochs": epochs})
    trained = Trainer(lambda: nas.compile(architecture), split, recipe, seed).run(epochs)
    accuracy = trained.curve[-1].validation["accuracy"]
    return {"accuracy": accuracy, "seconds": process_time() - began}


def shared(
    sampling: Sampling, minutes: float, seed: int, codes: list[str], split: data.SearchData
) -> Iterator[dict[str, Any]]:
    """Train a supernet for so many CPU minutes; yield accuracies of all cells at every point."""

    def trainer(recipe: Recipe) -> Trainer:
        steps = recipe.epochs * len(batch_bounds(len(split.train.labels), recipe.batch_size))
        return trainer_of(sampling)(
            lambda: Supernet(space(), steps, sampling, seed=seed), split, recipe, seed
        )

    tried = trainer(resolve({**RECIPE, "epochs": 2}))
    tried.run(1)  # the first epoch is slower
    began = process_time()
    tried.run(2)
    epochs = max(POINTS, round(60 * minutes / (process_time() - began)))
    recipe = resolve({**RECIPE, "epochs": epochs})
    made, spent = trainer(recipe), 0.0
    for point in range(1, POINTS + 1):
        began = process_time()
        made.run(round(epochs * point / POINTS))
        spent += process_time() - began
        accuracies = []
        assert isinstance(made.network, Supernet)
        for code in codes:
            member = made.network.member(decode(code))
            given = Setting(member.architecture, split, recipe, seed, "cpu", Classification())
            member.recalibrate(_training_images(given, 8))
            accuracies.append(measure(member, split.validation, split)["accuracy"])
        made.network.train()
        yield {"point": point, "epochs": len(made.curve), "seconds": spent, "found": accuracies}


def run(out: Path, seeds: list[int], minutes: float) -> None:
    done = {_key(row) for row in read(out)}
    split, codes = images(), cells().op_code.tolist()

    def write(row: dict[str, Any]) -> None:
        with out.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print({k: v for k, v in row.items() if k != "found"}, flush=True)

    def train_own(epochs: int, seed: int) -> None:
        for code in codes:
            row: dict[str, Any] = {"kind": f"own {epochs}", "cell": code, "seed": seed}
            if _key(row) not in done:
                write({**row, **own(code, epochs, seed, split)})

    for seed in seeds:
        for sampling in SAMPLINGS:
            row: dict[str, Any] = {"kind": sampling, "minutes": minutes, "seed": seed}
            if _key({**row, "point": POINTS}) not in done:
                for found in shared(sampling, minutes, seed, codes, split):
                    write({**row, **found})
        train_own(1, seed)
    for seed in seeds:
        train_own(OWN_EPOCHS, seed)


def read(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row.get(name) for name in ("kind", "cell", "seed", "minutes", "point"))


def table(rows: list[dict[str, Any]]) -> Table:
    """Kendall's tau with both truths; the mean over seeds, and the smallest and the largest."""
    known = cells().set_index("op_code")
    codes = known.index.tolist()
    by: dict[Any, dict[str, float]] = {}
    for row in rows:
        if "cell" in row:
            by.setdefault((row["kind"], row["seed"]), {})[row["cell"]] = row["accuracy"]
    whole = {key: [of[code] for code in codes] for key, of in by.items() if len(of) == len(codes)}
    truths = [found for (kind, _), found in whole.items() if kind == f"own {OWN_EPOCHS}"]
    truth = np.mean(truths, axis=0) if truths else np.full(len(codes), np.nan)
    predictors: dict[tuple[Any, ...], list[tuple[list[Any], float]]] = {
        ("params",): [([decode(code).cost.params for code in codes], 0.0)]
    }
    for (kind, seed), found in whole.items():
        if kind == "own 1":
            spent = sum(r["seconds"] for r in rows if (r["kind"], r["seed"]) == (kind, seed))
            predictors.setdefault(("1 epoch each",), []).append((found, spent))
    for row in rows:
        if "found" in row:
            key = (row["kind"], row["minutes"], row["point"])
            predictors.setdefault(key, []).append((row["found"], row["seconds"]))
    made = Table("predictor", "CPU minutes", "seeds", "tau, own training", "tau, published")
    for (name, *_), measured in predictors.items():
        taus = [
            [kendalltau(each, against).statistic for each, _ in measured]
            for against in (truth, known.c10_test_e200)
        ]
        minutes = fmean(spent for _, spent in measured) / 60
        made.add_row(name, f"{minutes:.2f}", str(len(measured)), *map(_told, taus))
    return made


def _told(taus: list[float]) -> str:
    if not np.isfinite(taus).all():  # there is no truth yet
        return ""
    return f"{fmean(taus):.2f}" + (f" ({min(taus):.2f} to {max(taus):.2f})" if taus[1:] else "")


def shrunk() -> tuple[list[Any], list[Any]]:
    """Return the sample of CIFAR-10, each image the means of 2x2 pixels."""
    from tests.benchmarks.samples import cifar10

    parts = cifar10()
    return tuple(  # type: ignore[return-value]
        [
            (image.reshape(SIDE, 2, SIDE, 2, 3).mean((1, 3)).round().astype(np.uint8), label)
            for image, label in part
        ]
        for part in parts
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, nargs="?", default=Path("shared_weights.jsonl"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=8.0, help="CPU minutes of each supernet")
    parser.add_argument("--table", action="store_true", help="only print the table")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if not given.table:
        run(given.out, given.seeds, given.minutes)
    Console(width=110).print(table(read(given.out)))


if __name__ == "__main__":
    main()
