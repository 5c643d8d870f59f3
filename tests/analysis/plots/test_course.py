from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from nas.analysis.plots.campaign import read
from nas.analysis.plots.course import correlations, lanes
from tests.analysis.plots.campaigns import ask, result, write


def intervals(workers: bool) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    begin = rng.uniform(0, 100, 200)
    return pd.DataFrame(
        {
            "trial": [str(number) for number in range(200)],
            "kind": "searched",
            "stage": "search",
            "status": "completed",
            "worker": rng.choice(["a", "b"], 200) if workers else None,
            "asked_s": begin,
            "ended_s": begin + rng.exponential(10, 200),
        }
    )


@pytest.mark.parametrize("workers", [False, True])
def test_lanes_never_overlap(workers: bool) -> None:
    given = intervals(workers)
    ran = lanes(given)
    assert sorted(ran["trial"]) == sorted(given["trial"])
    for _, lane in ran.groupby("lane"):
        lane = lane.sort_values("end")
        assert (lane["start"].to_numpy()[1:] >= lane["end"].to_numpy()[:-1]).all()
        assert (lane["end"] >= lane["start"]).all()


def test_trials_of_no_known_worker_take_as_few_lanes_as_ran_at_a_time() -> None:
    given = intervals(workers=False)
    ran = lanes(given)
    assert sorted(ran["start"]) == sorted(given["asked_s"])  # nobody waits
    most = max(
        ((given["asked_s"] <= time) & (given["ended_s"] > time)).sum() for time in given["asked_s"]
    )
    assert ran["lane"].nunique() == most


def test_correlations_are_scipys_over_what_completed_at_both(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = {fidelity: rng.random(12) for fidelity in (1, 2, 4)}
    records = []
    number = 0
    for fidelity, reached in values.items():
        for network in range(12 if fidelity < 4 else 5):
            trial, number = f"hyperband-{number:04d}", number + 1
            records.append(ask(trial, fidelity=fidelity, fingerprint=str(network)))
            records.append(result(trial, validation_accuracy=float(reached[network])))
    rho, count = correlations(read(write(tmp_path, records)))
    assert rho.loc[2, 1] == pytest.approx(spearmanr(values[1], values[2]).statistic)
    assert rho.loc[4, 1] == pytest.approx(spearmanr(values[1][:5], values[4][:5]).statistic)
    assert (count.loc[2, 1], count.loc[4, 2]) == (12, 5)
