"""How well sums of operations' times predict latencies: ``python -m tests.benchmarks.latency``.

The devices of HELP (Lee et al. 2021, arXiv:2106.08630) have published times of whole networks of
NAS-Bench-201 alone. So the times of the operations are fitted to some of these networks, as
non-negative rates, and predict the others. On this machine, operations are timed one by one, as
``nas profile`` does, by the CPU time of the thread, so that other work counts little.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import stats
from scipy.optimize import nnls

import nas
from nas.architecture.profile import About, Profile, pieces
from nas.spaces import space
from nas.training import latency, profiling

DATA = Path(__file__).parents[3] / "shared" / "data"
FITTED, TESTED = 100, 1_000


def fitted(networks: Sequence[nas.Architecture], milliseconds: np.ndarray) -> Profile:
    """Fits the times of operations to the times of networks, by errors relative to the latter."""
    weights = 1 / milliseconds
    counted = [Counter(pieces(each)) for each in networks]
    known = list(dict.fromkeys(piece for each in counted for piece in each))
    counts = np.array([[each[piece] for piece in known] for each in counted], float)
    times, _ = nnls(counts * weights[:, None], np.ones(len(networks)), maxiter=10_000)
    about = About(device="HELP", threads=1, scale=1, networks=FITTED, error=0, rank_correlation=0)
    return Profile(dict(zip(known, times.tolist(), strict=True)), about)


def published() -> None:
    """Prints a row for each device of HELP."""
    cells, found = (
        pd.read_csv(DATA / "nb201_accuracy.csv.gz"),
        space("nasbench201", (3, 32, 32), 10),
    )
    table = pd.read_csv(DATA / "nb201_latency_help.csv.gz").merge(cells, on="arch_idx")
    sample = table.sample(FITTED + TESTED, random_state=0, ignore_index=True)
    networks = [found.decode(found.from_string(text)) for text in sample["arch_str"]]
    macs = np.array([each.cost.macs for each in networks])
    for device in [name for name in table if str(name).startswith("help_")]:
        known = sample[device].to_numpy(float)
        # Some devices do not run a network whose cells have no path.
        whole = np.flatnonzero(known > np.median(known) / 10)
        first, rest = whole[:FITTED], whole[FITTED:]
        profile = fitted([networks[index] for index in first], known[first])
        predicted = np.array([profile.latency(networks[index]) for index in rest])
        _row(str(device), predicted, known[rest], macs[rest])


def here() -> None:
    """Prints a row for some spaces on this machine."""
    torch.set_num_threads(1)
    latency.perf_counter = time.thread_time
    for name in ("nasbench201", "primitives", "mobilenetv3_ofa"):
        found, rng = space(name, (3, 32, 32), 10), np.random.default_rng(0)
        networks = [found.decode(found.sample(rng)) for _ in range(40)]
        profile = profiling.profile(networks[:20])
        known = np.array([
            latency.measure_latency(nas.compile(each), each.input_shape, "cpu")["latency_ms"]
            for each in networks[20:]
        ])  # fmt: skip
        predicted = np.array([profile.latency(each) for each in networks[20:]])
        macs = np.array([each.cost.macs for each in networks[20:]])
        _row(f"{name}, {profile.about.device}, scale {profile.about.scale:.2f}", predicted, known,
             macs)  # fmt: skip


def _row(name: str, predicted: np.ndarray, known: np.ndarray, macs: np.ndarray) -> None:
    errors = np.abs(predicted / known - 1)
    ranks = [stats.spearmanr(each, known).statistic for each in (predicted, macs)]
    print(
        f"| {name} | {len(known):,} | {np.median(errors):.1%} | {np.quantile(errors, 0.9):.1%} | "
        f"{ranks[0]:.3f} | {ranks[1]:.3f} |",
        flush=True,
    )


def main() -> None:
    """Prints the table."""
    print(
        "| device | networks | median error | 90 % of errors below | rank correlation | "
        "that of MACs |\n|---|---|---|---|---|---|"
    )
    parts = {"published": published, "here": here}
    for name in sys.argv[1:] or parts:
        parts[name]()


if __name__ == "__main__":
    main()
