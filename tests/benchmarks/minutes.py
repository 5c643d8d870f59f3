"""Judges ``nas search`` on data that nobody has tuned it for, with everything charged.

``python -m tests.benchmarks.minutes FOLDER --minutes 10 --seeds 0 1 2`` makes the data sets of
:mod:`tests.benchmarks.unseen` in FOLDER, and gives each competitor the same time on each:

- ``search``: ``nas search``, with looking at the data, measuring, predicting and exporting.
- ``random``: the same plan with random search.
- a classic: as large as the plan's limit allows, trained for the whole time by the plan's recipe.
  All have the plan of ``search``, if that has run, so they have the same limit.
- ``no_search``: the classics that the plan trains first, for the whole time.
- ``resnet18``: the contest's reference, at its published width, trained in the same way; it reads
  images as they are. ``--reference-minutes`` gives it more time.
- ``image``: the plan of ``search``, but with networks that read images as they are.

What has ended is kept in FOLDER, so the command can be stopped and goes on. It prints the accuracy
on the test part, the contest's score against ResNet-18, and how late each was. ``--only`` and
``--sets`` choose competitors and data sets; ``--table`` prints what there is.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from nas.training.hardware import cores
from tests.benchmarks import unseen

CLASSICS = ("vgg8", "lenet5", "resnet20", "inception_small")
ABLATIONS = ("no_search", "image", "no_augment_choice", "no_ensemble")
COMPETITORS = ("search", "random", *CLASSICS, "resnet18", *ABLATIONS)
SETS = [name for name in unseen.SETS if name != "stripes"]


def command(*arguments: str) -> None:
    """Calls the command line, which may fail."""
    subprocess.run([sys.executable, "-m", "nas.cli", *arguments], check=False)


def compete(folder: Path, data: Path, name: str, minutes: float, seed: int) -> dict[str, Any]:
    """Lets a competitor run and returns what it has reached."""
    out = folder / f"{data.name}-{name}-{seed}"
    given = ("search", str(data), "--minutes", f"{minutes:g}", "--seed", str(seed))
    began = time.monotonic()
    if name == "search":
        command(*given, "--out", str(out))
    else:
        path, plan = out / "campaign.yaml", folder / f"{data.name}-search-{seed}" / "campaign.yaml"
        if not plan.exists():
            plan = path
            command(*given, "--out", str(out), "--plan")
        out.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(changed(yaml.safe_load(plan.read_text()), name, minutes)))
        began = time.monotonic()
        command(*given, "--out", str(out))
    seconds = time.monotonic() - began
    truth = np.load(data / "test_y.npy")
    valid = None
    try:
        with (out / "predictions.csv").open() as file:
            found = np.array([int(row["class"]) for row in csv.DictReader(file)])
        valid = best_validation(out)
    except OSError:
        found = np.full(len(truth), -1)
    late = seconds / (60 * minutes) - 1 if name == "search" else None
    return {"set": data.name, "competitor": name, "seed": seed, "validation": valid,
            "test": float((found == truth).mean()), "seconds": seconds, "late": late}  # fmt: skip


def changed(plan: dict[str, Any], name: str, minutes: float) -> dict[str, Any]:
    """Changes the plan for another competitor."""
    if name == "random":
        return {**plan, "searcher": "random"}
    if name == "no_ensemble":
        return {**plan, "final": {**plan["final"], "ensembles": [], "calibrated": False}}
    if name == "no_augment_choice":
        return {**plan, "recipe": {**plan["recipe"], "augment": [{"name": "shift", "pixels": 1}]}}
    classics = [{"name": name, "fit": "constraints"}]
    if name == "no_search":
        classics = plan["final"]["classics"]
    if name == "image":
        return {**plan, "reading": "image"}
    if name == "resnet18":
        plan = {**plan, "reading": "image"}
        classics = [{"name": name, "stem": "cifar"}]
    return {
        **plan,
        "time_limit": {"minutes": minutes - 0.1, "final": 0.98, "epochs": 1000},
        "budget": {"trials": 1},
        "searcher": "random",
        "final": {"top": 0, "seeds": [0], "classics": classics},
        "engine": {"name": "serial", "cpus_per_trial": cores()},
    }


def best_validation(out: Path) -> float | None:
    """Returns the best validation accuracy of the final stage."""
    lines = (out / "records.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    final = {r["trial"] for r in records if r["type"] == "ask" and r["stage"] == "final"}
    ended = (r for r in records if r["type"] == "result" and r["status"] == "completed")
    values = [r["metrics"]["validation_accuracy"] for r in ended if r["trial"] in final]
    return max(values, default=None)


def table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Returns one row per data set: accuracies in percent, the score, and the largest lateness."""
    frame = pd.DataFrame(rows)
    means = frame.groupby(["set", "competitor"])[["validation", "test"]].mean()
    lines = []
    for name, part in frame.groupby("set", sort=False):
        test = means.loc[name, "test"] * 100
        classics = means.loc[name, "validation"].reindex(CLASSICS).dropna()
        b = test.get("resnet18", np.nan)
        line = {"set": name, "seeds": part["seed"].nunique(), "search": test.get("search")}
        if len(classics):
            line |= {"best classic": classics.idxmax(), "its accuracy": test[classics.idxmax()]}
        others = ("random", "resnet18", *ABLATIONS)
        line |= {each: test[each] for each in others if each in test}
        line["score"] = 10 * (test.get("search", np.nan) - b) / (100 - b)
        line["latest"] = f"{100 * part['late'].max():.1f} %"
        lines.append(line)
    return pd.DataFrame(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--reference-minutes", type=float, help="default: as --minutes")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument("--only", nargs="+", choices=COMPETITORS,
                        default=[n for n in COMPETITORS if n not in ABLATIONS])  # fmt: skip
    parser.add_argument("--table", action="store_true", help="only print what there is")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    kept = arguments.folder / "rows.jsonl"
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    done = {(row["set"], row["competitor"], row["seed"]) for row in rows}
    for seed in [] if arguments.table else arguments.seeds:
        for name in arguments.sets:
            data = arguments.folder / "data" / str(seed) / name
            if not (data / "metadata").exists():
                unseen.write(data, name, seed)
            for competitor in arguments.only:
                if (name, competitor, seed) in done:
                    continue
                own = arguments.reference_minutes if competitor == "resnet18" else None
                minutes = own or arguments.minutes
                row = compete(arguments.folder, data, competitor, minutes, seed)
                rows.append(row)
                with kept.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(row, flush=True)
    print(table(rows).to_markdown(index=False, floatfmt=".1f"))


if __name__ == "__main__":
    main()
