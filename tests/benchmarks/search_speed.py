"""The speed of searching a table, side by side in one run.

Run: ``python -m tests.benchmarks.search_speed > results/search_speed.md``. The table is made up, an
accuracy for each of the 15,625 cells of NAS-Bench-201: looking up the real one takes as long.
Times are of one process's CPU; ratios are what counts.
"""

import random
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import optuna
import yaml

import nas
from nas.benchmark.config import Benchmark, load_benchmark
from nas.benchmark.search import Search
from nas.searchers import SEARCHERS, Proposal, Searcher
from tests.benchmarks.measure import interleaved, spread, watched

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = 6
SEEDS, EVALUATIONS = 500, 200
TPE_SEEDS = 5
EVOLUTION = {"name": "evolution", "population_size": 10, "tournament_size": 3}

HISTORIES = (100, 1_000, 10_000, 30_000)
PATIENCE = 40
"""CPU seconds for the histories of a searcher; longer ones are left out."""

REPLAYED = ("bananas", "optuna")
"""Searchers that would take too long to ask for a whole history."""

ASKED: dict[str, dict[str, Any]] = {
    "random": {},
    "evolution": {},
    "tournament_evolution": {},
    "local_search": {},
    "multi_objective_evolution": {},
    "nsga2": {},
    "bananas": {},
    "optuna": {"sampler": "TPE"},
    "successive_halving": {"max_fidelity": 81},
    "asha": {"max_fidelity": 81},
    "hyperband": {"max_fidelity": 81},
    "bohb": {"max_fidelity": 81},
}


def benchmark(folder: Path, searcher: dict[str, Any], **changes: Any) -> Benchmark:
    """A benchmark of one searcher on the made-up table."""
    path = folder / "t.csv"
    if not path.exists():
        space, rng = nas.space("nasbench201"), np.random.default_rng(0)
        keys = [space.to_string(genotype) for genotype in space.enumerate()]
        worth = {"none": 0, "skip_connect": 1.5, "avg_pool_3x3": 1, "nor_conv_1x1": 2}
        values = [
            round(80 + sum(worth.get(op, 2.5) for op in genotype.values()) + rng.normal(), 3)
            for genotype in space.enumerate()
        ]
        lines = [f"{key},{value},{value}" for key, value in zip(keys, values, strict=True)]
        path.write_text("\n".join(["architecture,val,test", *lines]) + "\n")
    specification = {
        "space": "nasbench201", "table": {"name": "columns", "file": "t.csv"},
        "validation": "val", "test": "test", "searchers": {"it": searcher}, "seeds": 1,
        "budget": {"evaluations": EVALUATIONS}, **changes,
    }  # fmt: skip
    (folder / "benchmark.yaml").write_text(yaml.safe_dump(specification))
    return load_benchmark(folder)


def bare(table: dict[str, float], seed: int, cells: dict[str, str] | None = None) -> int:
    """Algorithm 1 of Real et al. over dicts, and nothing else; returns its proposals.

    With ``cells``, what names equal cells, a proposal that repeats one costs no evaluation.
    """
    rng = random.Random(seed)
    form = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|"
    population: deque[tuple[float, dict[int, str]]] = deque(maxlen=10)
    history: list[float] = []
    seen: dict[str, float] = {}
    proposals = 0
    while len(history) < EVALUATIONS:
        if proposals < 10:
            child = {edge: rng.choice(OPERATIONS) for edge in range(EDGES)}
        else:
            _, parent = max((rng.choice(population) for _ in range(3)), key=lambda pair: pair[0])
            edge = rng.randrange(EDGES)
            child = dict(parent)
            child[edge] = rng.choice([name for name in OPERATIONS if name != parent[edge]])
        proposals += 1
        name = form.format(*child.values())
        if cells is None:
            value = table[name]
            history.append(value)
        else:
            cell = cells[name]
            if cell not in seen:
                seen[cell] = table[name]
                history.append(seen[cell])
            value = seen[cell]
        population.append((value, child))
    return proposals


def tpe(table: dict[str, float], seed: int) -> int:
    """Optuna's TPE called directly, its own defaults, on the same table; returns its proposals."""
    form = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|"
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    for _ in range(EVALUATIONS):
        trial = study.ask()
        names = [trial.suggest_categorical(f"edge{n}", OPERATIONS) for n in range(EDGES)]
        study.tell(trial, table[form.format(*names)])
    return EVALUATIONS


def harness(folder: Path) -> None:
    """Regularized evolution on the table: the harness, a bare loop and Optuna's TPE."""
    reuse = benchmark(folder, EVOLUTION)
    evaluate = benchmark(folder, EVOLUTION, duplicates="evaluate")
    space, keys = reuse.space, reuse.table.keys
    table = dict(zip(keys, reuse.table.metric("val").tolist(), strict=True))
    cells = {key: space.identity(space.from_string(key)) for key in keys}

    def on_harness(of: Benchmark, seed: int) -> int:
        return len(Search(of, "it", seed, 1).run()["trial"])

    what: dict[str, Callable[[int], int]] = {
        "bare": lambda seed: bare(table, seed),
        "bare reuse": lambda seed: bare(table, seed, cells),
        "harness": lambda seed: on_harness(evaluate, seed),
        "harness reuse": lambda seed: on_harness(reuse, seed),
        "tpe": lambda seed: tpe(table, seed),
    }
    spent: dict[str, list[float]] = {name: [] for name in what}
    proposals = dict.fromkeys(what, 0)
    bare(table, 0)
    for seed in range(SEEDS):  # by turns, so that all have the same machine
        for name, run in what.items():
            if name != "tpe" or seed < TPE_SEEDS:
                started = time.process_time()
                made = run(seed)
                spent[name].append((time.process_time() - started) / made)
                proposals[name] += made
    evaluations = SEEDS * EVALUATIONS
    print(f"## {SEEDS} seeds x {EVALUATIONS} evaluations of regularized evolution (P=10, S=3)\n")
    print("| what | us per proposal: median [quartiles] over seeds | times the bare loop |")
    print("|---|---|---|")

    def row(what: str, name: str, against: str) -> None:
        times = median(spent[name]) / median(spent[against])
        print(f"| {what} | {spread(spent[name], 1e6)} | {times:,.1f} |")

    row("a bare loop of the algorithm over dicts", "bare", "bare")
    row("`nas bench`, every proposal evaluated", "harness", "bare")
    row("a bare loop that reuses duplicates", "bare reuse", "bare reuse")
    row("`nas bench`, duplicates reused", "harness reuse", "bare reuse")
    row(f"Optuna's TPE called directly, {TPE_SEEDS} seeds", "tpe", "bare")
    print(
        f"\n{proposals['harness reuse']:,} proposals of ours and {proposals['bare reuse']:,} of the"
        f" bare loop make {evaluations:,} evaluations with duplicates reused. `nas bench` has to"
        " find out which cells are equal, and this time counts; the bare loop does not need to."
    )


def amoebanet(folder: Path) -> None:
    """20,000 evaluations, as many as AmoebaNet's search had, with its P and S."""
    searcher = {"name": "evolution", "population_size": 100, "tournament_size": 25}
    long = benchmark(folder, searcher, budget={"evaluations": 20_000}, duplicates="evaluate")
    space = nas.space("amoebanet")

    def search() -> None:
        evolution = SEARCHERS["evolution"](space, 0)
        for trial in range(20_000):
            proposal = evolution.ask(trial)
            value = float(hash(tuple(proposal.genotype.values())) % 1000)
            evolution.tell(nas.Observation(trial, proposal.genotype, (value,), proposal.note))

    seconds = interleaved(
        {
            "on the table, one simulated worker": (lambda: Search(long, "it", 0, 1).run(), 1),
            "on the table, 450 simulated workers": (lambda: Search(long, "it", 0, 450).run(), 1),
            "ask and tell alone, in the space of AmoebaNet": (search, 1),
        },
        5,
    )
    print("\n## 20,000 evaluations (AmoebaNet's search; P=100, S=25)\n")
    print("| what | s: median of 5 [quartiles] |\n|---|---|")
    for what, each in seconds.items():
        print(f"| {what} | {spread(each, 1)} |", flush=True)


def grow(searcher: Searcher, replayed: bool, ended: int, to: int, until: float) -> bool:
    """Trials that have ended, with random values; whether there was the time for them."""
    rng = np.random.default_rng(ended)
    for trial in range(ended, to):
        if replayed:
            proposal = Proposal(searcher.space.sample(rng))
            searcher.replay(trial, proposal)
        else:
            asked = searcher.ask(trial)
            assert asked is not None
            proposal = asked
        values = tuple(rng.random(searcher.objectives).tolist())
        searcher.tell(
            nas.Observation(trial, proposal.genotype, values, proposal.note, proposal.fidelity)
        )
        if time.process_time() > until:
            return False
    return True


def ask(searcher: Searcher, trial: int) -> float:
    """CPU seconds of one ask."""
    started = time.process_time()
    searcher.ask(trial)
    return time.process_time() - started


def asks() -> None:
    """What a proposal costs as the history grows."""
    space = nas.space("darts")
    print("\n## Milliseconds per proposal after so many trials, in the space of DARTS\n")
    print("| searcher | " + " | ".join(f"{n:,}" for n in HISTORIES) + " |")
    print("|---" * (1 + len(HISTORIES)) + "|")
    for name, options in ASKED.items():
        objectives = 2 if name in ("multi_objective_evolution", "nsga2") else 1
        searcher = SEARCHERS[name](space, 0, objectives, **options)
        until, ended, cells = time.process_time() + PATIENCE, 0, []
        for history in HISTORIES:
            if not grow(searcher, name in REPLAYED, ended, history, until):
                break
            ended = history
            cells.append(spread([ask(searcher, history + n) for n in range(9)]))
        cells += [""] * (len(HISTORIES) - len(cells))
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    print(
        f"\nThe median of nine asks [quartiles]. Empty: a history that took over {PATIENCE} s to "
        "make; its values are random. Those of bananas and Optuna's TPE are random trials, "
        "replayed, the others what the searcher asked."
    )


def main() -> None:
    """Print the tables."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with watched():
        with tempfile.TemporaryDirectory() as folder:
            harness(Path(folder))
            amoebanet(Path(folder))
        asks()


if __name__ == "__main__":
    main()
