from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from nas.analysis.plots.campaign import read
from nas.analysis.plots.kinds import figure
from nas.analysis.plots.parallel import of_choice, of_number
from nas.analysis.plots.style import COLOURS
from tests.analysis.plots.campaigns import ACCURACY, COST, MACS, ask, result, write


def test_options_have_equal_parts_in_order_and_one_for_not_made() -> None:
    chosen = pd.Series([16, 8, np.nan, 8], dtype=object)
    axis = of_choice("width", chosen, np.random.default_rng(0))
    assert list(axis.ticks.values()) == ["8", "16", "not made"]
    assert np.floor(axis.places * 3).tolist() == [1, 0, 2, 0]


def test_an_outlier_lies_at_the_end_of_its_axis_and_does_not_flatten_it() -> None:
    axis = of_number("accuracy", pd.Series([0.9, 0.91, 0.92, 0.93, 0.94, 0.1]), whole=False)
    assert axis.places.tolist() == pytest.approx([0, 0.25, 0.5, 0.75, 1, 0])
    assert list(axis.ticks.values()) == ["≤ 0.9", "0.92", "0.94"]
    counts = of_number("MACs", pd.Series([10_000, 100_000, 1_000_000]), whole=True)
    assert counts.places.tolist() == pytest.approx([0, 0.5, 1])
    assert list(counts.ticks.values()) == ["10K", "100K", "1M"]


def test_at_most_two_hundred_trials_are_drawn_and_the_best_lie_on_top(tmp_path: Path) -> None:
    rng, records = np.random.default_rng(0), []
    for number in range(260):
        trial, cost = f"evolution-{number:04}", {**COST, "macs": int(rng.integers(1e4, 9e4))}
        records.append(ask(trial, genotype={"width": int(rng.choice([8, 16]))}, cost=cost))
        accuracy = 0.99 if number == 7 else float(rng.uniform(0.5, 0.9))
        records.append(result(trial, validation_accuracy=accuracy))
    folder = write(tmp_path / "mine", records, [ACCURACY, MACS])
    drawn = figure("parallel", read(folder))
    assert isinstance(drawn, Figure)
    [lines] = [each for each in drawn.axes[0].collections if isinstance(each, LineCollection)]
    assert len(lines.get_segments()) == 200
    colours = [tuple(each) for each in np.asarray(lines.get_colors())]
    assert colours.count(to_rgba(COLOURS[0])) == 19
    assert colours[-1] == to_rgba(COLOURS[1])
    assert "the best, searched 7" in drawn.get_suptitle()
    titles = [each.get_text() for each in drawn.axes[0].texts if each.get_ha() == "right"]
    assert titles == ["width", "MACs", "validation accuracy"]
