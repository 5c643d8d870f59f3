"""How searchers carry over: the same settings on every complete table column at hand.

Run: ``PYTHONHASHSEED=0 python -m tests.benchmarks.columns FOLDER DATA > results/columns.md``, where
DATA holds the tables' files, which are not part of this package. FOLDER keeps the runs that have
ended, so the command can be stopped and goes on, also with more searchers or seeds; ``--seeds 0``
only prints what there is. The settings of BANANAS and of the predictor were chosen on the columns
that say "tuned" alone. Other packages' searchers are those of :mod:`tests.benchmarks.peers`.
"""

import argparse
import json
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml

from nas.benchmark.comparison import pairwise
from nas.benchmark.config import FILE_NAME, Benchmark
from nas.benchmark.pool import Result, Run
from nas.benchmark.regret import Curves, curves
from nas.benchmark.run import as_frame
from nas.benchmark.search import Search
from nas.files import write_whole
from tests.benchmarks.peers import ALL, PEERS, installed, with_peers

SEARCHERS: dict[str, Any] = {
    "random": "random",
    "regularized evolution": {"name": "evolution", "population_size": 10, "tournament_size": 3},
    "evolution, filtered by params": {
        "name": "evolution",
        "population_size": 10,
        "tournament_size": 3,
        "filter": {"proxy": "params", "candidates": 10},
    },
    "evolution, filtered by zen": {
        "name": "evolution",
        "population_size": 10,
        "tournament_size": 3,
        "filter": {"proxy": "ZEN", "candidates": 10},
    },
    "local search": "local_search",
    "TPE": {"name": "optuna", "sampler": "TPE"},
    "BANANAS": "bananas",
    "predictor": "predictor",
    "predictor from large": {
        "name": "predictor",
        "warm_start": {"proxy": "params", "candidates": 50, "keep": 10},
    },
    "predictor, exploring": {
        "name": "predictor",
        "warm_start": {"proxy": "params", "candidates": 50, "keep": 5},
        "initial_size": 5,
        "exploration": 20,
    },
    "predictor: forest": {"name": "predictor", "model": "forest", "refit_every": 5},
    "predictor: ensemble": {"name": "predictor", "model": "ensemble", "refit_every": 5},
}
JUDGED = "predictor, exploring"
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
    scale: float = 1.0
    """What makes percentage points of a difference."""
    zen: str = ""
    """The column of the table that holds the published values of the proxy zen."""


NB201 = {
    "name": "nasbench201",
    "file": "nb201_accuracy.csv.gz",
    "join": {"nas/nb201_zen_15625x2.csv.gz": "op_code"},
}
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


def transnas(task: str, tuned: bool = False, scale: float = 1.0) -> Column:
    """A task of TransNAS-Bench-101, which has one metric of trained networks."""
    metric = f"val_metric_{task}"
    return Column(TRANSNAS, metric, metric, tuned, WITHOUT_POOLING, scale, f"zen_{task}")


COLUMNS = {
    "NAS-Bench-201, CIFAR-10": Column(
        NB201, "c10_val_e12", "c10_test_e200", tuned=True, zen="zen_cifar10"
    ),
    "NAS-Bench-201, ImageNet16-120": Column(
        NB201, "in16_val_e12", "in16_test_e200", zen="zen_ImageNet16-120"
    ),
    "SpikeNAS-Bench, CIFAR-10": Column(SPIKENAS, "final_val_acc", "test_acc"),
    "TransNAS-Bench-101, scene": transnas("class_scene", tuned=True),
    "TransNAS-Bench-101, object": transnas("class_object"),
    "TransNAS-Bench-101, segmentation": transnas("segmentsemantic"),
    "TransNAS-Bench-101, normals": transnas("normal", scale=100),
    "TransNAS-Bench-101, autoencoder": transnas("autoencoder", scale=100),
}


def benchmark(column: Column, searchers: list[str], evaluations: int, data: Path) -> Benchmark:
    """Returns the benchmark of a column."""
    described = {
        "space": column.space,
        "table": dict(column.table),
        "validation": column.validation,
        "test": column.test,
        "searchers": {
            name: json.loads(json.dumps(SEARCHERS[name]).replace("ZEN", column.zen))
            for name in searchers
            if name in SEARCHERS
        },
        "seeds": 1,
        "budget": {"evaluations": evaluations},
    }
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / FILE_NAME).write_text(yaml.safe_dump(described))
        return with_peers(Path(folder), data, [name for name in searchers if name in ALL])


def followed(made: Benchmark, name: str, searcher: str, seeds: int, kept: Path) -> pd.DataFrame:
    """Returns the trials of a searcher on a column; runs that are kept are not made again."""
    path = kept / f"{name}, {searcher}.parquet"
    found = pd.read_parquet(path) if path.exists() else pd.DataFrame({"seed": []})
    for seed in sorted(set(range(seeds)) - set(found["seed"])):
        search = Search(made, searcher, seed, 1)
        new = as_frame(made, [(Run(searcher, 1, seed), Result(search.run(), search.stuck))])
        new = new.drop(columns="key").astype({"searcher": str, "status": str})
        found = pd.concat([found, new], ignore_index=True) if len(found) else new
        if seed % 10 == 9 or seed == seeds - 1:
            write_whole(path, found.to_parquet(index=False))
            print(f"{name}: {searcher}: {seed + 1} of {seeds} seeds", file=sys.stderr)
    return found[found["seed"] < seeds] if seeds else found


def rows(found: Curves, scale: float) -> Iterator[dict[str, Any]]:
    """Yields one row per searcher: its end, and the verdict on the judged one against it."""
    compared = pairwise(found)
    regrets = found.regret["validation"] * scale
    for group in found.groups:
        mine = found.rows(group)
        regret = regrets[mine]
        best, sign = found.scale["test"]
        yield {
            "searcher": group,
            "seeds": str(len(regret)),
            "mean regret": f"{regret[:, -1].mean():.3g}",
            "median regret": f"{np.median(regret[:, -1]):.3g}",
            "at the optimum": f"{(regret[:, -1] < 1e-9).mean():.0%}",
            **{f"until < {limit}": until(found.grid, regret, limit) for limit in LIMITS},
            "mean test": f"{(best + sign * found.regret['test'][mine, -1]).mean():.4g}",
            **{
                f"{JUDGED} is ({metric})": verdict(compared, metric, group)
                for metric in found.regret
            },
        }


def until(grid: np.ndarray, regret: np.ndarray, limit: float) -> str:
    """Returns after how many evaluations the median regret is below a limit."""
    below = np.flatnonzero(np.median(regret, axis=0) < limit)
    return str(int(grid[below[0]])) if len(below) else f"> {int(grid[-1])}"


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
    parser.add_argument("folder", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--evaluations", type=int, default=150)
    every = [*SEARCHERS, *ALL]
    parser.add_argument("--searchers", nargs="*", default=[*SEARCHERS, *PEERS], choices=every)
    parser.add_argument("--columns", nargs="*", default=list(COLUMNS), choices=list(COLUMNS))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    kept = arguments.folder / f"{arguments.evaluations} evaluations"
    kept.mkdir(parents=True, exist_ok=True)
    searchers = [name for name in arguments.searchers if name in SEARCHERS or installed(name)]
    print(
        f"{arguments.evaluations} evaluations; runs of one seed are paired; duplicates are "
        "reused. Regret is the distance of the incumbent's validation metric to the best of the "
        "column, in percentage points; the columns `until <` count the evaluations until the "
        "median regret over seeds is below this value; "
        "test is the metric of the incumbent after full training (in TransNAS-Bench-101, "
        "the validation metric itself). A verdict is that of `nas bench`: a sign-flip test on the "
        "regrets at the end, corrected by Holm over all pairs of the column.",
        flush=True,
    )
    for name in arguments.columns:
        column = COLUMNS[name]
        here = [each for each in searchers if column.zen or "ZEN" not in str(SEARCHERS.get(each))]
        made = benchmark(column, here, arguments.evaluations, arguments.data)
        trials = [followed(made, name, each, arguments.seeds, kept) for each in here]
        directions = {"validation": "max", "test": "max"}
        found = curves(pd.concat(trials, ignore_index=True), directions, made.optimum)
        table = pd.DataFrame(rows(found, column.scale)).to_markdown(
            index=False, disable_numparse=True
        )
        print(f"\n## {name}{' (tuned)' if column.tuned else ''}\n\n{table}", flush=True)


if __name__ == "__main__":
    main()
