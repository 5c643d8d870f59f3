from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from nas.analysis.plots.campaign import read
from nas.analysis.plots.kinds import figure
from nas.analysis.plots.progress import best_so_far, volume_so_far
from tests.analysis.plots.campaigns import ACCURACY, COST, LOSS, MACS, ask, result, write


def searched(values: list[float | None], metric: str) -> list[dict[str, object]]:
    """One trial after another, each of 90 s with 10 s before the next; None fails."""
    records = []
    for number, value in enumerate(values):
        trial, begin = f"evolution-{number:04d}", 100.0 * number
        metrics = {} if value is None else {metric: value}
        records.append(ask(trial, elapsed=begin, time=begin))
        records.append(result(trial, elapsed=begin + 90, time=begin + 90, **metrics))
    return records


@pytest.mark.parametrize(("objective", "best"), [(ACCURACY, np.fmax), (LOSS, np.fmin)])
def test_the_incumbent_is_the_running_best(
    objective: dict[str, str], best: np.ufunc, tmp_path: Path
) -> None:
    values = [None, 0.5, 0.7, None, 0.4, 0.6, 0.9]
    folder = write(tmp_path, searched(values, objective["metric"]), [objective])
    campaign = read(folder)
    table = best_so_far(campaign)
    expected = best.accumulate(np.array(values, dtype=float))
    assert table["reached"].to_numpy() == pytest.approx(expected, nan_ok=True)
    assert list(table["trials"]) == list(range(1, 8))
    # 90 s a trial: between trials the search was not at work.
    assert table["hours"].to_numpy() * 3600 == pytest.approx(90.0 * np.arange(1, 8))
    drawn = figure("incumbent", campaign)
    assert isinstance(drawn, Figure)
    for panel, time in zip(drawn.axes, (table["trials"], table["hours"] * 60), strict=True):
        (line,) = panel.lines
        x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        at = np.searchsorted(x, time[1:], side="right") - 1
        assert y[at] == pytest.approx(expected[1:])


def test_searches_stand_beside_each_other_whatever_their_order(tmp_path: Path) -> None:
    records = []
    for number, (found, random) in enumerate([(0.5, 0.6), (0.8, 0.1)]):
        for search, value in (("random", random), ("evolution", found)):
            trial = f"{search}-{number:04d}"
            records += [ask(trial), result(trial, validation_accuracy=value)]
    table = best_so_far(read(write(tmp_path, records))).groupby("kind")["reached"].apply(list)
    assert table.to_dict() == {"random": [0.6, 0.6], "searched": [0.5, 0.8]}


def test_duplicates_and_lower_fidelities_are_not_the_best(tmp_path: Path) -> None:
    first, second = "evolution-0000", "evolution-0001"
    records = [
        ask(first, fidelity=2, elapsed=0),
        result(first, validation_accuracy=0.9, elapsed=3),
        ask("evolution-0002", duplicate_of=first, fidelity=2, elapsed=3),
        ask(second, fidelity=4, elapsed=5),
        result(second, validation_accuracy=0.7, elapsed=9),
    ]
    campaign = read(write(tmp_path, records))
    table = best_so_far(campaign)
    assert table["reached"].to_numpy() == pytest.approx([np.nan, 0.7], nan_ok=True)
    assert table["hours"].to_numpy() * 3600 == pytest.approx([3, 7])
    assert campaign.best == second
    assert campaign.values() == {first: 0.9, "evolution-0002": 0.9, second: 0.7}


def test_the_volume_is_what_the_points_dominate_of_the_box(tmp_path: Path) -> None:
    # Accuracy 0 to 1 and 0 to 100 MACs, scaled: squares that can be drawn on paper.
    points = [(0.0, 0), (1.0, 100), (0.5, 50), (0.75, 75), (0.75, 25)]
    records = []
    for number, (accuracy, macs) in enumerate(points):
        trial = f"evolution-{number:04d}"
        records.append(ask(trial, cost={**COST, "macs": macs}))
        records.append(result(trial, validation_accuracy=accuracy))
    volumes = volume_so_far(read(write(tmp_path, records, [ACCURACY, MACS])))["reached"]
    # The ends dominate nothing; (0.5, 0.5) a quarter; (0.75, 0.75) adds a strip of a quarter by a
    # quarter; the last dominates all but itself.
    assert volumes.to_numpy() == pytest.approx([0, 0, 0.25, 0.3125, 0.5625])
