"""Rules of early stopping on learning curves: epochs saved, and what is lost by it.

Run: ``python -m tests.benchmarks.early_stopping DATA > results/early_stopping.md``, where DATA
holds the files of SpikeNAS-Bench, which are not part of this package. Trials run one after another.
As in a campaign, a searcher observes a stopped trial as failed.
"""

import argparse
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from nas.benchmark.config import Benchmark, load_benchmark
from nas.campaigns.spec.early_stopping import RULES
from nas.searchers import searcher
from nas.searchers.loop import SearchLoop
from nas.statistics.paired import SignFlip

SEARCHERS: dict[str, dict[str, Any]] = {
    "random": {"name": "random"},
    "evolution": {"name": "evolution", "population_size": 10, "tournament_size": 3},
}


class Run(NamedTuple):
    """A search: its epochs, its stopped trials, and the regret of its best by validation."""

    epochs: int
    stopped: int
    regret: float


def run(benchmark: Benchmark, name: str, rule_name: str | None, seed: int, trials: int) -> Run:
    """Searches for a number of trials, each of which is stopped or trained fully."""
    lookup, table = benchmark.lookup, benchmark.table
    curves, best = table.metrics["validation"], -1.0
    made = searcher(space=benchmark.space, seed=seed, **SEARCHERS[name])
    loop = SearchLoop(made, "reuse")
    rule = RULES[rule_name](10, 5) if rule_name else None
    epochs = stopped = evaluated = 0
    while evaluated < trials and not loop.stuck:
        number, proposal = len(loop.proposals), loop.propose()
        assert proposal is not None
        row = lookup.row(proposal.genotype)
        if loop.enter(proposal, lookup.identity(proposal.genotype)) is not None:
            continue
        evaluated += 1
        curve = curves[row].tolist()
        end = len(curve)
        if rule is not None:
            end = next((n for n in range(1, end) if rule.stops(curve[:n])), end)
        epochs += end
        if end < len(curve):
            stopped += 1
            loop.end(number, None)
            continue
        if rule is not None:
            rule.completed(curve)
        best = max(best, curve[-1])
        loop.end(number, (-curve[-1],))
    return Run(epochs, stopped, float(curves[:, -1].max() - best))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--trials", type=int, default=100)
    arguments = parser.parse_args()
    folder = Path(__file__).parents[2] / "results" / "spikenas"
    benchmark = load_benchmark(folder, arguments.data)
    print(
        f"{arguments.trials} trials of at most 100 epochs on the curves of SpikeNAS-Bench, "
        f"{arguments.seeds} seeds, `grace_epochs: 10, min_trials: 5`. Regret is the distance of "
        "the best completed trial to the best of the table, in points of validation accuracy; its "
        "difference is that to the search without a rule, paired by seed (sign-flip test).\n"
    )
    rows = []
    for name in SEARCHERS:
        full: list[Run] = []
        for rule in (None, *RULES):
            started = time.process_time()
            runs = [
                run(benchmark, name, rule, seed, arguments.trials)
                for seed in range(arguments.seeds)
            ]
            spent = time.process_time() - started
            full = full or runs
            apart = np.array([a.regret - b.regret for a, b in zip(runs, full, strict=True)])
            test = SignFlip(apart)
            rows.append(
                {
                    "searcher": name,
                    "rule": rule or "none",
                    "epochs": f"{np.mean([each.epochs for each in runs]):,.0f}",
                    "share": f"{sum(e.epochs for e in runs) / sum(e.epochs for e in full):.0%}",
                    "stopped": f"{np.mean([each.stopped for each in runs]):.0f}",
                    "mean regret": f"{np.mean([each.regret for each in runs]):.3f}",
                    "difference": f"{apart.mean():+.3f} (p {test.p:.2g})" if rule else "",
                    "CPU s per run": f"{spent / len(runs):.2f}",
                }
            )
    print(pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True))


if __name__ == "__main__":
    main()
