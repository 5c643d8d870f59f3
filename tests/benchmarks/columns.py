"""How searchers carry over: the same settings on every complete table column at hand.

Run: ``python -m tests.benchmarks.columns DATA > results/columns.md``, where DATA holds the tables'
files, which are not part of this package. The settings of BANANAS and of the predictor were chosen
on the columns that say "tuned" alone.
"""

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml
from rich.console import Console

from nas.benchmark.comparison import pairwise
from nas.benchmark.config import FILE_NAME, load_benchmark
from nas.benchmark.pool import run_all
from nas.benchmark.regret import Curves, curves
from nas.benchmark.run import as_frame

SEARCHERS: dict[str, Any] = {
    "random": "random",
    "regularized evolution": {"name": "evolution", "population_size": 10, "tournament_size": 3},
    "local search": "local_search",
    "TPE": {"name": "optuna", "sampler": "TPE"},
    "BANANAS": "bananas",
    "predictor": "predictor",
    "predictor: forest": {"name": "predictor", "model": "forest", "refit_every": 5},
    "predictor: ensemble": {"name": "predictor", "model": "ensemble", "refit_every": 5},
}
JUDGED = "predictor"
"""The searcher that is compared with all others."""
LIMITS = (0.5, 0.1)
"""Regrets, in percentage points."""


class Column(NamedTuple):
    """A column that searchers optimise, and the one by which their incumbents are scored."""

    table: Mapping[str, Any]
    validation: str
    test: str
    tuned: bool = False
    space: Any = "nasbench201"


NB201 = {"name": "nasbench201", "file": "nb201_accuracy.csv.gz"}
SPIKENAS = {
    "name": "spikenas",
    "file": "spikenas_cifar10_summary.csv.gz",
    "curves": "spikenas_cifar10_curves.npz",
}
TRANSNAS = {"name": "transnasbench101", "file": "nas/tnb101_micro_val_zen.csv.gz"}
WITHOUT_POOLING = {
    "name": "nasbench201",
    "operations": ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3"],
}


def transnas(task: str, tuned: bool = False) -> Column:
    """A task of TransNAS-Bench-101, which has one metric of trained networks."""
    metric = f"val_metric_{task}"
    return Column(TRANSNAS, metric, metric, tuned, WITHOUT_POOLING)


COLUMNS = {
    "NAS-Bench-201, CIFAR-10": Column(NB201, "c10_val_e12", "c10_test_e200", tuned=True),
    "NAS-Bench-201, ImageNet16-120": Column(NB201, "in16_val_e12", "in16_test_e200"),
    "SpikeNAS-Bench, CIFAR-10": Column(SPIKENAS, "final_val_acc", "test_acc"),
    "TransNAS-Bench-101, scene": transnas("class_scene", tuned=True),
    "TransNAS-Bench-101, object": transnas("class_object"),
    "TransNAS-Bench-101, segmentation": transnas("segmentsemantic"),
    "TransNAS-Bench-101, normals": transnas("normal"),
    "TransNAS-Bench-101, autoencoder": transnas("autoencoder"),
}


def followed(
    column: Column, searchers: list[str], seeds: int, evaluations: int, data: Path
) -> Curves:
    """Runs the searchers on a column; returns the regrets of all runs."""
    described = {
        "space": column.space,
        "table": dict(column.table),
        "validation": column.validation,
        "test": column.test,
        "searchers": {name: SEARCHERS[name] for name in searchers},
        "seeds": seeds,
        "budget": {"evaluations": evaluations},
    }
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / FILE_NAME).write_text(yaml.safe_dump(described))
        benchmark = load_benchmark(Path(folder), data)
        results = run_all(benchmark, 1, Console(stderr=True))
        trials = as_frame(benchmark, results)
    direction = {"validation": "max", "test": "max"}
    return curves(trials, direction, benchmark.optimum)


def rows(found: Curves) -> Iterator[dict[str, Any]]:
    """Yields one row per searcher: its end, and the verdict on the judged one against it."""
    compared = pairwise(found)
    for group in found.groups:
        mine = found.rows(group)
        regret = found.regret["validation"][mine, -1]
        best, sign = found.scale["test"]
        yield {
            "searcher": group,
            "mean regret": f"{regret.mean():.4g}",
            "median regret": f"{np.median(regret):.4g}",
            "at the optimum": f"{(regret < 1e-9).mean():.0%}",
            **{f"until < {limit}": until(found, group, limit) for limit in LIMITS},
            "mean test": f"{(best + sign * found.regret['test'][mine, -1]).mean():.4g}",
            **{
                f"{JUDGED} is ({metric})": verdict(compared, metric, group)
                for metric in found.regret
            },
        }


def until(found: Curves, group: str, limit: float) -> str:
    """Returns after how many evaluations the median regret is below a limit."""
    median = np.median(found.regret["validation"][found.rows(group)], axis=0)
    below = np.flatnonzero(median < limit)
    return str(int(found.grid[below[0]])) if len(below) else f"> {int(found.grid[-1])}"


def verdict(compared: pd.DataFrame, metric: str, other: str) -> str:
    """Says in words how the judged searcher compares with another one by a metric."""
    pairs = compared[compared["metric"] == metric]
    for row in pairs.to_dict("records"):
        if {row["first"], row["second"]} == {JUDGED, other}:
            turned = {"better": "worse", "worse": "better"}
            word = row["verdict"]
            if row["first"] == other:
                word = turned.get(word, word)
            return f"{word} (p {row['corrected_p']:.2g})"
    return "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--evaluations", type=int, default=150)
    parser.add_argument("--searchers", nargs="*", default=list(SEARCHERS), choices=list(SEARCHERS))
    parser.add_argument("--columns", nargs="*", default=list(COLUMNS), choices=list(COLUMNS))
    arguments = parser.parse_args()
    print(
        f"{arguments.evaluations} evaluations, {arguments.seeds} seeds, paired; duplicates are "
        "reused. Regret is the distance of the incumbent's validation metric to the best of the "
        "column; the columns until count the evaluations until its median over seeds is below; "
        "test is the metric of the incumbent after full training (in TransNAS-Bench-101, "
        "the validation metric itself). A verdict is that of `nas bench`: a sign-flip test on the "
        "regrets at the end, corrected by Holm over all pairs of the column.",
        flush=True,
    )
    for name in arguments.columns:
        column = COLUMNS[name]
        found = followed(
            column, arguments.searchers, arguments.seeds, arguments.evaluations, arguments.data
        )
        table = pd.DataFrame(rows(found)).to_markdown(index=False, disable_numparse=True)
        print(f"\n## {name}{' (tuned)' if column.tuned else ''}\n\n{table}", flush=True)


if __name__ == "__main__":
    main()
