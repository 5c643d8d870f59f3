"""Campaigns that were never run: records written by hand."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nas.campaigns.store.types import SCHEMA

ACCURACY = {"metric": "validation_accuracy", "direction": "maximize"}
MACS = {"metric": "macs", "direction": "minimize"}
LOSS = {"metric": "validation_loss", "direction": "minimize"}
COST = {"params": 1000, "macs": 20000, "flops": 30000, "activations": 400}


def ask(trial: str, **fields: Any) -> dict[str, Any]:
    search, _, number = trial.rpartition("-")
    kind = "random" if search == "random" else "searched"
    return {
        "type": "ask", "trial": trial, "stage": "search", "kind": kind, "search": search,
        "number": int(number), "note": {}, "genotype": {}, "seed": 0, "fingerprint": trial,
        "cost": COST, **fields,
    }  # fmt: skip


def retrained(label: str, kind: str, seed: int, **fields: Any) -> dict[str, Any]:
    return {
        "type": "ask", "trial": f"final-{label}-seed{seed}", "stage": "final", "kind": kind,
        "label": label, "seed": seed, "fingerprint": label, "cost": COST, "genotype": {},
        "classic": label, "options": {}, **fields,
    }  # fmt: skip


def result(trial: str, *, worker: str = "", **metrics: Any) -> dict[str, Any]:
    """Completed, or failed if it has no metrics; ``time`` and ``elapsed`` are the record's."""
    told = {key: metrics.pop(key) for key in ("time", "elapsed") if key in metrics}
    status = "completed" if metrics else "failed"
    named = {"worker": worker} if worker else {}
    return {
        "type": "result", "trial": trial, "status": status, "metrics": metrics, "error": None,
        "seconds": 1.0, **named, **told,
    }  # fmt: skip


def write(
    folder: Path,
    records: Sequence[dict[str, Any]],
    objectives: Sequence[dict[str, str]] = (ACCURACY,),
    **specification: Any,
) -> Path:
    asked = {"objectives": list(objectives), "recipe": {"epochs": 4}, **specification}
    first = {"type": "campaign", "time": 0.0, "schema": SCHEMA, "specification": asked}
    lines = [json.dumps(record) + "\n" for record in (first, *records)]
    folder.mkdir(exist_ok=True)
    (folder / "records.jsonl").write_text("".join(lines))
    return folder


def rich(folder: Path) -> Path:
    """One that every plot has something to show of."""
    rng = np.random.default_rng(0)
    records = []
    clock = 0.0
    for search in ("evolution", "random"):
        for number in range(24):
            trial, clock = f"{search}-{number:04d}", clock + 2
            genotype = {
                "width": int(rng.choice([8, 16])),
                **{f"node{n}.operation": str(rng.choice(["conv", "pool"])) for n in range(3)},
            }
            cost = {**COST, "macs": int(rng.integers(10_000, 90_000))}
            note = {"parent": number - 1} if search == "evolution" and number else {}
            curve = [
                {"epoch": e, "validation_accuracy": float(rng.random()), "train_seconds": 1.0}
                for e in (1, 2)
            ]
            # Every second repeats the architecture before it at the larger fidelity.
            same, fidelity = f"{search}-{number // 2}", 2 + 2 * (number % 2)
            times = {"time": clock, "elapsed": clock}
            records.append(
                ask(trial, genotype=genotype, cost=cost, note=note, fidelity=fidelity,
                    fingerprint=same, **times)
            )  # fmt: skip
            times = {"time": clock + 3, "elapsed": clock + 3}
            accuracy = 0.9 if trial == "evolution-0021" else float(rng.random()) * 0.8
            records.append(
                result(trial, worker=f"host:{number % 2}", validation_accuracy=accuracy,
                       curve=curve, latency_ms=1 + float(rng.random()), **times)
                if number != 7
                else result(trial, **times)
            )  # fmt: skip
    for label, kind in (("evolution-0021", "searched"), ("random-0003", "random"),
                        ("lenet5", "classic"), ("resnet20", "classic")):  # fmt: skip
        cost = {**COST, "macs": int(rng.integers(10_000, 90_000))}
        for seed in range(5):
            clock += 2
            records.append(retrained(label, kind, seed, cost=cost, time=clock, elapsed=clock))
            accuracy, trial = float(rng.random()), records[-1]["trial"]
            curve = [{"epoch": e, "validation_accuracy": float(rng.random())} for e in (1, 2)]
            bins = [[0, 0, 0.0], [20, 12, 10.0], [80, 72, 76.0]]
            test = {"calibration_error": 0.06, "reliability": bins}
            records.append(
                result(trial, validation_accuracy=accuracy, test_accuracy=accuracy - 0.01,
                       curve=curve, time=clock + 1, elapsed=clock + 1,
                       evaluations={"single": {"test": test}})
            )  # fmt: skip
    mixture = {"edge0-1": [0.6, 0.4], "edge0-2": [0.3, 0.7]}
    mixed = {"mixed": ["none", "skip_connect"], "mixture": mixture, "skips": 0.5}
    first = next(record for record in records if record["type"] == "result")
    first["metrics"]["shared_curve"] = [{"epoch": epoch, **mixed} for epoch in (1, 2)]
    return write(folder, records, [ACCURACY, MACS])
