"""Folders of records for tests, without any training."""

import json
import random
from pathlib import Path
from typing import Any

from nas.campaigns.store.types import SCHEMA

SPECIFICATION: dict[str, Any] = {
    "space": {"family": "free_graph"},
    "searcher": {"name": "evolution", "population_size": 5},
    "objectives": [{"metric": "validation_accuracy", "direction": "maximize"}],
    "recipe": {"epochs": 8},
    "data": {"name": "digits", "split": {"seed": 0}},
    "seed": 0,
}


def write(
    folder: Path, records: list[dict[str, Any]], schema: int = SCHEMA, **specification: Any
) -> Path:
    """A campaign of these records, the first of them added."""
    asked = SPECIFICATION | specification
    first = {"type": "campaign", "time": 0.0, "schema": schema, "specification": asked}
    lines = [json.dumps(record) + "\n" for record in [first, *records]]
    (folder / "records.jsonl").write_text("".join(lines))
    return folder


def synthetic(trials: int, finals: int = 3, seeds: int = 3, failed: float = 0.02) -> list[Any]:
    """Searched trials of two searches, half each, some failed; of the first, some retrained."""
    rng = random.Random(0)
    records: list[dict[str, Any]] = []
    for index in range(trials):
        search, kind = [("evolution", "searched"), ("random", "random")][index % 2]
        trial = f"{search}-{index // 2:04}"
        fields = {"number": index // 2, "note": {}, "genotype": {"width": index}}
        fails = rng.random() < failed
        records += _trial(rng, trial, kind, "search", index, fails, search=search, **fields)
    rows = [(f"evolution-{i:04}", "searched", {"genotype": {"width": i}}) for i in range(finals)]
    rows += [("random-0000", "random", {"genotype": {"width": 0}})] * bool(finals)
    rows += [("lenet5", "classic", {"classic": "lenet5", "options": {}})] * bool(finals)
    for label, kind, what in rows:
        for seed in range(seeds):
            trial = f"final-{label}-seed{seed}"
            records += _trial(rng, trial, kind, "final", seed, False, label=label, **what)
    return records


def _trial(
    rng: random.Random, trial: str, kind: str, stage: str, seed: int, fails: bool, **fields: Any
) -> list[dict[str, Any]]:
    size = rng.uniform(0, 1)
    macs = int(10 ** (5 + 2 * size))
    cost = {"params": macs // 40, "macs": macs, "flops": macs + 999, "activations": macs // 50}
    accuracy = min(0.999, 0.6 + 0.3 * size + rng.gauss(0, 0.03))
    ask = {"type": "ask", "trial": trial, "stage": stage, "kind": kind, "seed": seed,
           "fingerprint": f"{macs:032x}", "cost": cost, "time": 1.0, **fields}  # fmt: skip
    curve = [
        {"epoch": epoch, "train_loss": 1 / epoch, "validation_loss": 1 / epoch,
         "validation_accuracy": accuracy * (1 - 0.5**epoch), "train_seconds": 0.5,
         "evaluation_seconds": 0.1}
        for epoch in range(1, 9)
    ]  # fmt: skip
    metrics = {"validation_accuracy": accuracy, "train_seconds": 4.0, "epochs": 8, "curve": curve}
    if stage == "final":
        metrics["test_accuracy"] = accuracy - 0.01
    error = "Traceback (most recent call last):\n  File x\nRuntimeError: <b>out of memory</b>"
    return [
        ask,
        {"type": "result", "trial": trial, "time": 2.0 + seed, "elapsed": 5.0 + seed,
         "seconds": 5.0, "epochs": 8, "accelerators": 1,
         "status": "failed" if fails else "completed", "metrics": {} if fails else metrics,
         "error": error if fails else None, "cause": "out_of_memory" if fails else None},
    ]  # fmt: skip
