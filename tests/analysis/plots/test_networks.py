from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy.stats import rankdata

from nas.analysis.plots.campaign import read
from nas.analysis.plots.kinds import figure
from nas.analysis.plots.networks import front, mean_ranks, points
from nas.metrics import METRICS
from tests.analysis.plots.campaigns import ask, result, retrained, rich, write


def test_the_front_is_what_nothing_of_equal_conditions_beats() -> None:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "group": rng.choice(["A", "B"], 60),
            "macs": rng.integers(1, 20, 60),
            "value": rng.integers(1, 20, 60) / 20,
        }
    )
    for _, group in rows.groupby("group"):
        expected = {
            i
            for i, row in group.iterrows()
            if not any(
                other["macs"] <= row["macs"]
                and other["value"] >= row["value"]
                and (other["macs"], other["value"]) != (row["macs"], row["value"])
                for _, other in group.iterrows()
            )
        }
        assert set(front(rows, "macs", METRICS.primary).index) & set(group.index) == expected


def test_a_point_is_the_mean_of_the_retrained_or_what_the_search_saw(tmp_path: Path) -> None:
    records = [
        ask("evolution-0000"), result("evolution-0000", validation_accuracy=0.9),
        ask("evolution-0001"), result("evolution-0001", validation_accuracy=0.6),
    ]  # fmt: skip
    for seed, accuracy in enumerate((0.7, 0.8)):
        records.append(retrained("evolution-0000", "searched", seed))
        told = {"validation_accuracy": accuracy, "test_accuracy": 0.5}
        records.append(result(records[-1]["trial"], **told))
    table = points(read(write(tmp_path, records))).set_index("name")
    assert table["value"].to_dict() == pytest.approx(
        {"evolution-0000": 0.75, "evolution-0001": 0.6}
    )
    assert list(table["retrained"]) == [True, False]
    assert table["deviation"]["evolution-0000"] == pytest.approx(np.std([0.7, 0.8], ddof=1))


def test_ranks_are_by_seed_over_those_that_all_have(tmp_path: Path) -> None:
    accuracies = {"lenet5": [0.5, 0.9, 0.7], "vgg8": [0.6, 0.9, 0.1], "nin": [0.7, 0.8, None]}
    records = []
    for label, values in accuracies.items():
        for seed, value in enumerate(values):
            records.append(retrained(label, "classic", seed))
            told = {} if value is None else {"test_accuracy": value, "validation_accuracy": 0.1}
            records.append(result(records[-1]["trial"], **told))
    ranks, told = mean_ranks(read(write(tmp_path, records)))
    for seed in (0, 1):
        expected = rankdata([-values[seed] for values in accuracies.values()])
        assert list(ranks.loc[seed, list(accuracies)]) == list(expected)
    assert len(ranks) == 2
    assert told.startswith("test accuracy, 2 seeds: Friedman p = ")


def test_curves_of_retrained_networks_are_means_over_seeds(tmp_path: Path) -> None:
    campaign = read(rich(tmp_path / "mine"))
    drawn = figure("curves", campaign)
    assert isinstance(drawn, Figure)
    search, final = drawn.axes
    assert search.get_title() == "search: 46 trials"  # two of 48 failed
    for axes in drawn.axes:
        assert axes.get_ylim()[1] <= 1  # there is no accuracy of 1.02
    lines = {str(line.get_label()): np.asarray(line.get_xydata()) for line in final.lines}
    curves = campaign.curves[campaign.curves["trial"].str.startswith("final-lenet5-")]
    expected = curves.groupby("epoch")["validation_accuracy"].mean()
    assert lines["lenet5"].tolist() == [[1, expected[1]], [2, expected[2]]]
