"""Learning curves that are extrapolated: what stopping and promoting trials by them is worth.

Run: ``python -m tests.benchmarks.early_stopping DATA > results/early_stopping.md``, where DATA
holds the files of SpikeNAS-Bench, which are not part of this package; and the same with
``--promotion > results/promotion.md``. Trials run one after another. As in a campaign, a searcher
observes a stopped trial as failed.
"""

import argparse
import time
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from nas.benchmark.config import Benchmark, load_benchmark
from nas.campaigns.spec.early_stopping import RULES
from nas.searchers import searcher
from nas.searchers.loop import SearchLoop
from nas.searchers.multi_fidelity import fidelities
from nas.statistics.correlation import spearman
from nas.statistics.learning_curves import expected_end
from nas.statistics.paired import SignFlip

SEARCHERS: dict[str, dict[str, Any]] = {
    "random": {"name": "random"},
    "evolution": {"name": "evolution", "population_size": 10, "tournament_size": 3},
}


NEAR = 0.5
"""A regret, in points of validation accuracy, that is near the best of the table."""


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


def promoted(
    benchmark: Benchmark, options: dict[str, Any], seed: int, budget: int
) -> tuple[float, float]:
    """Searches by a schedule; returns its regret, and the epochs until that is near.

    If it never is, these are all epochs of the budget.
    """
    lookup, values = benchmark.lookup, benchmark.table.metrics["validation"]
    loop = SearchLoop(searcher(space=benchmark.space, seed=seed, **options), "reuse")
    best, epochs, regret, near = values[:, -1].max(), 0, np.inf, budget
    while not loop.stuck:
        number, proposal = len(loop.proposals), loop.propose()
        assert proposal is not None
        fidelity = proposal.fidelity
        assert fidelity is not None
        if loop.enter(proposal, (lookup.identity(proposal.genotype), fidelity)) is not None:
            continue
        before = proposal.continues
        epochs += fidelity - ((before is not None and loop.proposals[before].fidelity) or 0)
        if epochs > budget:
            break
        curve = benchmark.curve(lookup.row(proposal.genotype), fidelity)
        if fidelity == values.shape[1]:
            regret = min(regret, best + curve[-1])
            near = min(near, epochs if regret <= NEAR else budget)
        loop.end(number, (curve[-1],), curve=curve)
    return regret, near


def correlations(benchmark: Benchmark, cells: int = 1000) -> pd.DataFrame:
    """How values and extrapolated values rank what is reached at the end."""
    curves = benchmark.table.metrics["validation"]
    some = curves[np.random.default_rng(0).choice(len(curves), cells, replace=False)]
    top = some[:, -1] >= np.quantile(some[:, -1], 0.8)
    rows = []
    for epoch in (4, 11, 33):
        ends = np.array([expected_end(curve[:epoch], some.shape[1]) for curve in some.tolist()])
        predictors = {
            "value": some[:, epoch - 1],
            "extrapolated": ends,
            "capped": np.minimum(ends, curves[:, -1].max()),
        }
        row: dict[str, Any] = {"epoch": epoch}
        for label, among in (("all", slice(None)), ("best fifth", top)):
            for name, predictor in predictors.items():
                row[f"{name}, {label}"] = f"{spearman(predictor[among], some[among, -1]):.2f}"
        rows.append(row)
    return pd.DataFrame(rows)


def promotions(benchmark: Benchmark, seeds: int, budget: int) -> None:
    """Prints what promotion by learning curves is worth."""
    print(
        f"Promotion by value and by learning curve on the curves of SpikeNAS-Bench: {budget:,} "
        f"epochs per search, {seeds} seeds, full trainings of 100 epochs, a reduction factor of 3, "
        "random new configurations. Regret is the distance of the best full training to the best "
        "of the table, in points of validation accuracy; epochs are those until it is at most "
        f"{NEAR}, and all {budget:,} if it never is. Differences are those of the means to "
        "promotion by value, paired by seed (sign-flip test).\n"
    )
    rows = []
    for name, least in product(("asha", "successive_halving"), (3, 11)):
        options = {"name": name, "min_fidelity": least, "max_fidelity": 100}
        rungs = ", ".join(map(str, fidelities(least, 100, 3)))
        for promotion in ("value", "learning_curve"):
            given = {**options, "promotion": promotion}
            runs = np.array([promoted(benchmark, given, seed, budget) for seed in range(seeds)])
            row = {"searcher": name, "rungs": rungs, "promotion": promotion}
            if promotion == "value":
                by_value = runs
            for column, (label, form) in enumerate((("regret", ".3f"), ("epochs", ",.0f"))):
                row[f"median {label}"] = f"{np.median(runs[:, column]):{form}}"
                apart = SignFlip((runs - by_value)[:, column])
                difference = f"{apart.mean:+{form}} (p {apart.p:.2g})"
                row[f"difference of {label}"] = "" if promotion == "value" else difference
            rows.append(row)
    print(pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True))
    print(
        "\nSpearman's rank correlation with the value after 100 epochs: of the value at an epoch, "
        "of the extrapolated value, and of the same capped at the best of the table, which a "
        "search does not know; for 1,000 random cells, and the best fifth of them.\n"
    )
    print(correlations(benchmark).to_markdown(index=False, disable_numparse=True))


def rules(benchmark: Benchmark, seeds: int, trials: int) -> None:
    """Prints what the rules of early stopping are worth."""
    print(
        f"{trials} trials of at most 100 epochs on the curves of SpikeNAS-Bench, "
        f"{seeds} seeds, `grace_epochs: 10, min_trials: 5`. Regret is the distance of "
        "the best completed trial to the best of the table, in points of validation accuracy; its "
        "difference is that to the search without a rule, paired by seed (sign-flip test).\n"
    )
    rows = []
    for name in SEARCHERS:
        full: list[Run] = []
        for rule in (None, *RULES):
            started = time.process_time()
            runs = [run(benchmark, name, rule, seed, trials) for seed in range(seeds)]
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--trials", type=int, default=100, help="as many epochs as full trainings")
    parser.add_argument("--promotion", action="store_true", help="promotion instead of stopping")
    arguments = parser.parse_args()
    folder = Path(__file__).parents[2] / "results" / "spikenas"
    benchmark = load_benchmark(folder, arguments.data)
    if arguments.promotion:
        promotions(benchmark, arguments.seeds, 100 * arguments.trials)
    else:
        rules(benchmark, arguments.seeds, arguments.trials)


if __name__ == "__main__":
    main()
