"""Trials of a benchmark for tests: runs written by hand, and searchers of known difference."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

MAX = {"validation": "max", "test": "max"}


def run(
    searcher: str, seed: int, validation: Sequence[float], test: Sequence[float], **columns: Any
) -> pd.DataFrame:
    """One run, an evaluation a trial unless a column says otherwise; NaN validation: it failed."""
    count = len(validation)
    table = {
        "searcher": searcher, "seed": seed, "trial": range(count),
        "evaluation": np.arange(1, count + 1), "seconds": np.nan, "status": "completed",
        "reused": False, "fidelity": np.nan, "validation": validation, "test": test, **columns,
    }  # fmt: skip
    frame = pd.DataFrame(table)
    frame.loc[frame["validation"].isna(), "status"] = "failed"
    return frame


def drawn(
    gains: Mapping[str, float], seeds: int, evaluations: int, generator: int = 0
) -> pd.DataFrame:
    """Searchers whose validations are noise about 90 plus a gain; the table's best is 100."""
    rng = np.random.default_rng(generator)
    runs = []
    for searcher, gain in gains.items():
        for seed in range(seeds):
            validation = np.minimum(rng.normal(90 + gain, 2, evaluations).round(1), 100)
            test = np.minimum(validation + rng.normal(0, 0.5, evaluations).round(1), 100)
            latency = rng.gamma(4, 2, evaluations)
            runs.append(run(searcher, seed, validation, test, latency=latency))
    return pd.concat(runs, ignore_index=True)
