"""How CPU time and memory grow with large inputs: ``python -m tests.benchmarks.load [ROW...]``.

Each row carries out the same work for a small and a large input, in processes of their own. If the
time is linear, the last column is about 1 or less: it is the ratio of the times above the ratio of
the sizes. Rows are chosen by the beginning of their names; without any, all are made.
"""

from __future__ import annotations

import json
import multiprocessing
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import nas
from nas.analysis.tables.networks import campaign_table
from nas.analysis.tables.render import render
from nas.architecture.reference import reference_cost
from nas.campaigns.drive.run import run
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
    """Compares so many campaigns with different results of three seeds, each with each."""
    header, *lines = (OLD / "records.jsonl").read_text().splitlines(keepends=True)
    second = [line for line in lines if "-seed1" in line and "ensemble" not in line]
    lines += [line.replace("seed1", "seed2").replace('"seed":1', '"seed":2') for line in second]
    folders = [folder / str(number) for number in range(size)]
    for number, each in enumerate(folders):
        each.mkdir()
        results = re.sub('(?<="test_accuracy":0.)', f"{number:03}", "".join(lines))
        (each / "records.jsonl").write_text(header + results)
    return lambda: campaign_table(folders)


LOOKED_UP = """
space: {{name: nasbench201, cells: 1, channels: 4}}
searcher: {{name: evolution, population_size: 100, tournament_size: 10}}
budget: {{trials: {trials}}}
duplicates: evaluate
evaluator:
  name: tabular
  table: {{name: columns, file: t.csv, seconds: seconds}}
  validation: val
  test: test
  scale: 0.01
final: {{top: 2, top_random: 0}}
engine: {{name: simulated, concurrency: {workers}}}
"""


def _looked_up(trials: int, workers: int, folder: Path) -> Work:
    """Runs a campaign that looks its trials up, among all 15,625 cells of NAS-Bench-201."""
    (folder / "campaign.yaml").write_text(LOOKED_UP.format(trials=trials, workers=workers))
    found, generator = nas.space("nasbench201"), np.random.default_rng(0)
    with open(folder / "t.csv", "w") as file:
        file.write("architecture,val,test,seconds\n")
        for genotype in found.enumerate():
            val, test, seconds = generator.integers(1000, 9000, 3)
            file.write(f"{found.to_string(genotype)},{val / 100},{test / 100},{seconds}\n")
    return lambda: run(folder, console=Console(quiet=True))


def table_campaign(size: int, folder: Path) -> Work:
    """Runs a campaign of so many trials that are looked up."""
    return _looked_up(size, 1, folder)


def workers(size: int, folder: Path) -> Work:
    """Runs a campaign of 5,000 trials that are looked up on so many simulated workers."""
    return _looked_up(5_000, size, folder)


def _chain(size: int) -> nas.Architecture:
    g = nas.Builder((4, 8, 8))
    x = g.input
    for _ in range(size // 2):
        x = g.relu(g.conv(x, 4, 3, padding=1))
    return g.build(x)


def chain(size: int, folder: Path) -> Work:
    """Builds a chain of so many nodes, and counts and identifies it."""
    return lambda: (_chain(size).cost, _chain(size).fingerprint)


def counted(size: int, folder: Path) -> Work:
    """Lets fvcore count a chain of so many nodes."""
    found = _chain(size)
    return lambda: reference_cost(found)


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
    "trials of a campaign that looks them up": (table_campaign, 2_000, 20_000),
    "simulated workers of such a campaign": (workers, 64, 512),
    "folders in compare": (compare, 10, 100),
    "nodes in a chain": (chain, 1_000, 8_000),
    "nodes in a chain, counted by fvcore": (counted, 1_000, 8_000),
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
    print(
        "| | size | CPU s | MiB | size | CPU s | MiB | growth |\n|---|---|---|---|---|---|---|---|"
    )
    for name, (make, few, many) in ROWS.items():
        if name.startswith(tuple(sys.argv[1:] or [""])):
            small, large = measured(make, few), measured(make, many)
            growth = large[0] / small[0] / (many / few)
            print(
                f"| {name} | {few:,} | {small[0]:.2f} | {small[1]:.0f} | {many:,} | "
                f"{large[0]:.2f} | {large[1]:.0f} | {growth:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
