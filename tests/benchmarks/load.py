"""How CPU time and memory grow with large inputs: ``python -m tests.benchmarks.load``.

Each row carries out the same work for a small and a large input, in processes of their own. If the
time is linear, the last column is about 1 or less: it is the ratio of the times above the ratio of
the sizes.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import nas
from nas.analysis.tables.networks import campaign_table
from nas.analysis.tables.render import render
from nas.campaigns.store.history import History
from nas.campaigns.store.log import read_records
from nas.spaces.search_space import SearchSpace

OLD = Path(__file__).parents[1] / "campaigns" / "schema2" / "finished"

Work = Callable[[], object]


def _campaign(folder: Path, trials: int) -> None:
    """Writes the records of so many trials."""
    header, *_ = (OLD / "records.jsonl").read_text().splitlines()
    cost = {"params": 1, "macs": 2, "flops": 2, "activations": 3}
    with open(folder / "records.jsonl", "w") as file:
        file.write(header + "\n")
        for number in range(trials):
            trial = f"a-{number:04d}"
            ask = {
                "type": "ask", "trial": trial, "stage": "search", "kind": "searched",
                "search": "a", "number": number, "note": {}, "genotype": {"width": number},
                "seed": 0, "fingerprint": f"{number:032x}", "cost": cost,
            }  # fmt: skip
            metrics = {"validation_accuracy": number / trials, "train_seconds": 1.0}
            result = {"type": "result", "trial": trial, "status": "completed",
                      "metrics": metrics, "error": None, "seconds": 1.0}  # fmt: skip
            file.write(f"{json.dumps(ask)}\n{json.dumps(result)}\n")


def records(size: int, folder: Path) -> Work:
    """Reads records with so many lines."""
    _campaign(folder, size // 2)
    return lambda: History(folder, read_records(folder))


def table(size: int, folder: Path) -> Work:
    """Prints the table of a campaign with so many trials."""
    _campaign(folder, size)
    return lambda: render(campaign_table(folder, every_trial=True), "csv")


def compare(size: int, folder: Path) -> Work:
    """Compares so many campaigns."""
    folders = [folder / str(number) for number in range(size)]
    for each in folders:
        shutil.copytree(OLD, each)
    return lambda: campaign_table(folders)


def chain(size: int, folder: Path) -> Work:
    """Builds a chain of so many nodes, and counts and identifies it."""

    def work() -> str:
        g = nas.Builder((4, 8, 8))
        x = g.input
        for _ in range(size // 2):
            x = g.relu(g.conv(x, 4, 3, padding=1))
        found = g.build(x)
        assert found.cost.macs > 0
        return found.fingerprint

    return work


def options(size: int, folder: Path) -> Work:
    """Draws from a choice with so many options, ten times."""

    def function(choose: Any) -> nas.Architecture:
        width = choose("width", list(range(size)))
        g = nas.Builder((1, 8, 8))
        return g.build(g.linear(g.global_pool(g.conv(g.input, 1 + width % 7, 1)), 10))

    found, generator = SearchSpace(function, "options"), np.random.default_rng(0)
    return lambda: [found.sample(generator) for _ in range(10)]


def classes(size: int, folder: Path) -> Work:
    """Builds and compiles ResNet-20 for so many classes."""
    return lambda: nas.compile(nas.classic("resnet20", (3, 32, 32), size))


ROWS: dict[str, tuple[Callable[[int, Path], Work], int, int]] = {
    "lines of records": (records, 10_000, 100_000),
    "trials in a table": (table, 2_000, 20_000),
    "folders in compare": (compare, 10, 100),
    "nodes in a chain": (chain, 1_000, 8_000),
    "options of a choice": (options, 10_000, 100_000),
    "classes": (classes, 200, 2_000),
}


def _measured(make: Callable[[int, Path], Work], size: int, results: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        work = make(size, Path(folder))
        started = time.process_time()
        work()
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        results.put((time.process_time() - started, memory))


def measured(make: Callable[[int, Path], Work], size: int) -> tuple[float, float]:
    """Returns the CPU seconds of the work, and the largest memory of its process in MiB."""
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    process = context.Process(target=_measured, args=(make, size, results))
    process.start()
    process.join()
    found: tuple[float, float] = results.get()
    return found


def main() -> None:
    """Prints the table."""
    print(f"{'':20} {'size':>8} {'CPU s':>8} {'MiB':>6} {'size':>8} {'CPU s':>8} {'MiB':>6} ratio")
    for name, (make, few, many) in ROWS.items():
        small, large = measured(make, few), measured(make, many)
        growth = large[0] / small[0] / (many / few)
        print(
            f"{name:20} {few:8,} {small[0]:8.2f} {small[1]:6.0f} {many:8,} {large[0]:8.2f} "
            f"{large[1]:6.0f} {growth:5.1f}"
        )


if __name__ == "__main__":
    main()
