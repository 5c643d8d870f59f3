"""What a warm start by a proxy is worth on real trainings, with the proxy's own seconds charged.

Run: ``python -m tests.benchmarks.charged VALUES.csv``, which prints the second table of
``results/warm_starts.md``. Searchers work on the
table of ``results/digits_table``, whose networks were trained on this package's recipe, and start
from the best of random networks by a zero-cost proxy. The values and seconds of the proxies are
measured for every network of the table on its training images, and kept in VALUES.csv.
"""

import argparse
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch

from nas.benchmark.config import Benchmark, load_benchmark
from nas.benchmark.pool import Result, Run
from nas.benchmark.regret import curves
from nas.benchmark.run import as_frame
from nas.benchmark.search import Search
from nas.campaigns.spec.screening import WarmStart
from nas.configuration import Named
from nas.evaluators.proxies import draw, new_network, scores
from nas.searchers import Searcher, searcher
from nas.spaces.choices import Genotype
from nas.statistics.paired import SignFlip
from nas.tasks import DEFAULT, make
from tests.benchmarks.digits_table import FOLDER, networks, setting

SEARCHERS: dict[str, dict[str, Any]] = {
    "evolution": {"name": "evolution", "population_size": 20, "tournament_size": 5},
    "local search": {"name": "local_search"},
    "predictor": {"name": "predictor"},
}
STARTS = ("none", "params", "nwot", "synflow", "zico")
KEEP, CANDIDATES = 10, 100
LIMITS = (0.6, 0.3)
"""Regrets in percentage points; one of the 362 validation images is 0.28."""


def measured(path: Path) -> pd.DataFrame:
    """Returns the values and CPU seconds of all networks, a row for each fingerprint."""
    if path.exists():
        return pd.read_csv(path, index_col="fingerprint")
    task = make(Named(name=DEFAULT))
    images = setting()[2]
    batch = draw(images, task, 64, "cpu")
    found = []
    for fingerprint, architecture in networks().items():
        row: dict[str, Any] = {"fingerprint": fingerprint, "params": architecture.cost.params}
        network = new_network(architecture, 0, "default", task, images)
        for name in STARTS[2:]:
            value = scores([name], network, batch, 0)
            row |= {name: value[name], f"{name}_seconds": round(value["proxy_seconds"], 5)}
        found.append(row)
    table = pd.DataFrame(found).set_index("fingerprint")
    table.to_csv(path)
    return table


class Warm(Benchmark):
    """A benchmark whose searchers start as their labels say: ``SEARCHER, START``."""

    proxies: ClassVar[pd.DataFrame]

    def searcher(self, label: str, seed: int) -> Searcher:
        name, start = label.split(", ")
        options = dict(SEARCHERS[name])
        kind = options.pop("name")
        initial: Any = ()
        if start != "none":
            warm = WarmStart(proxy=start, candidates=CANDIDATES, keep=KEEP)
            column = self.proxies[start]

            def values(several: Sequence[Genotype]) -> list[float]:
                return [column[self.space.decode(each).fingerprint] for each in several]

            initial = warm.best(self.space, (seed,), values)
        return searcher(kind, space=self.space, seed=seed, initial=initial, **options)


def rows(made: Warm, seeds: int) -> Iterator[dict[str, Any]]:
    """Yields a row for each searcher and start."""
    runs = [Run(label, 1, seed) for label in made.config.searchers for seed in range(seeds)]
    results = []
    for run in runs:
        search = Search(made, run.label, run.seed, 1)
        results.append((run, Result(search.run(), search.stuck)))
    trials = as_frame(made, results)
    start = trials["searcher"].astype(str).str.split(", ").str[1]
    charged = {
        name: CANDIDATES * made.proxies.get(f"{name}_seconds", pd.Series(0.0)).mean()
        for name in STARTS
    }
    found = curves(trials, {"validation": "max", "test": "max"}, made.optimum)
    spent = trials.assign(charged=start.map(charged).astype(float) + trials["seconds"])
    ends: dict[str, np.ndarray] = {}
    for label in found.groups:
        name, begun = label.split(", ")
        mine = found.rows(label)
        regret = 100 * found.regret["validation"][mine]
        ends[label] = regret.mean(axis=1)
        clock = spent[spent["searcher"] == label].groupby("evaluation")["charged"].median()
        row = {"searcher": name, "start": begun, "proxy's seconds": f"{charged[begun]:.1f}"}
        for limit in LIMITS:
            below = np.flatnonzero(np.median(regret, axis=0) < limit)
            at = int(found.grid[below[0]]) if len(below) else None
            row[f"evaluations until < {limit}"] = str(at or f"> {int(found.grid[-1])}")
            row[f"seconds until < {limit}"] = f"{clock[at]:.0f}" if at else "-"
        row["mean regret over the budget"] = f"{regret.mean():.3f}"
        if begun != "none":
            test = SignFlip(ends[label] - ends[f"{name}, none"])
            row["regret, against none"] = f"{test.mean:+.3f} (p {test.p:.2g})"
        yield row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("values", type=Path)
    parser.add_argument("--seeds", type=int, default=100)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    ours = load_benchmark(FOLDER, None)
    labels = {f"{name}, {start}": Named(name=name) for name, start in product(SEARCHERS, STARTS)}
    config = ours.config.model_copy(update={"searchers": labels, "seeds": arguments.seeds})
    made = Warm(FOLDER, config, ours.table, ours.space, ours.space_definition)
    Warm.proxies = measured(arguments.values)
    print(pd.DataFrame(rows(made, arguments.seeds)).to_markdown(index=False, disable_numparse=True))


if __name__ == "__main__":
    main()
