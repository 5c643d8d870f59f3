"""Train every network of ``results/digits_table/space.yaml``: a tabular benchmark of our own.

    python -m tests.benchmarks.digits_table [--processes N]

The data and the recipe are those of ``results/quickstart``. Every network is trained once, with
seed 0. The script continues where it was stopped. Its trainings are in ``trained.jsonl`` until the
table is written.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

import nas
from nas.architecture.graph import Architecture
from nas.evaluators.training import evaluate
from nas.evaluators.work import complete
from nas.files import write_whole
from nas.training import data
from nas.training.curve import Diverged
from nas.training.data import Part, SearchData
from nas.yaml_files import read_yaml

FOLDER = Path("results/digits_table")
TRAINED = FOLDER / "trained.jsonl"
TABLE = FOLDER / "table.csv.gz"
SETTING = Path("results/quickstart/campaign.yaml")


def networks() -> dict[str, Architecture]:
    """Return all networks of the space by fingerprint, in the order of its genotypes."""
    space = nas.space(str(FOLDER / "space.yaml"), input_shape=(1, 16, 16), classes=10)
    return {each.fingerprint: each for each in map(space.decode, space.enumerate())}


@cache
def setting() -> tuple[Any, Any, SearchData, Part]:
    """Return the data's description, the recipe and the images."""
    campaign = read_yaml(SETTING)
    described = data.resolve(campaign["data"])
    return (
        campaign["data"],
        campaign["recipe"],
        data.search_data(described),
        data.held_out(described),
    )


def train(architecture: str) -> dict[str, Any]:
    """Train a network and return its row; a training that diverges has the accuracy of chance."""
    description, recipe, images, tested = setting()
    before = time.process_time()
    network = Architecture.from_json(architecture)
    request = {
        "architecture": architecture,
        "data": description,
        "recipe": recipe,
        "seed": 0,
        "test": True,
        "search_data": images,
        "test_data": tested,
    }
    try:
        result = complete(evaluate(request))
        curve = [each["validation_accuracy"] for each in result["curve"]]
        test = result["test_accuracy"]
    except Diverged:
        test = 1 / images.classes
        curve = [test] * recipe["epochs"]
    return {
        "fingerprint": network.fingerprint,
        "params": network.cost.params,
        "macs": network.cost.macs,
        "seconds": round(time.process_time() - before, 3),
        **{f"validation_{epoch}": round(value, 5) for epoch, value in enumerate(curve, 1)},
        "test": round(test, 5),
    }


def main() -> None:
    """Train what is not trained yet, then write the table, sorted by fingerprint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    found = networks()
    lines = TRAINED.read_text().splitlines() if TRAINED.exists() else []
    rows = {row["fingerprint"]: row for row in map(json.loads, lines)}
    left = [each.to_json() for name, each in found.items() if name not in rows]
    spawn = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(parser.parse_args().processes, spawn) as pool,
        TRAINED.open("a") as log,
    ):
        for done, row in enumerate(pool.map(train, left), 1):
            rows[row["fingerprint"]] = row
            if done % 100 == 0 or done == len(left):
                print(f"{done} of {len(left)} trained", flush=True)
            print(json.dumps(row), file=log, flush=True)
    table = pd.DataFrame([rows[name] for name in sorted(found)])
    write_whole(TABLE, gzip.compress(table.to_csv(index=False).encode(), mtime=0))


if __name__ == "__main__":
    main()
