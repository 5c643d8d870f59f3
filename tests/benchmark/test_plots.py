"""What the figures draw, read back from them."""

import numpy as np
import pytest

from nas.analysis.plots.ranks import critical_difference_figure
from nas.analysis.plots.style import picture
from nas.benchmark.plots import fronts_figure, regret_figure
from nas.benchmark.regret import curves
from tests.analysis.runs import MAX, drawn


def test_the_curve_is_the_median_of_the_runs() -> None:
    found = curves(drawn({"a": 0, "b": 2}, 15, 30), MAX, {"validation": 100, "test": 100})
    figure = regret_figure(found)
    assert [panel.get_title() for panel in figure.axes] == [
        "validation regret of the incumbent",
        "test regret of the incumbent",
    ]
    for panel, metric in zip(figure.axes, ("validation", "test"), strict=True):
        for line, group in zip(panel.lines, found.groups, strict=True):
            median = np.median(found.regret[metric][found.rows(group)], axis=0)
            x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
            steps = np.searchsorted(x, found.grid, side="right") - 1
            assert y[steps] == pytest.approx(median)


def test_a_diagram_bars_what_lies_within_the_critical_difference() -> None:
    ranks = {"a": 3.9, "b": 1.0, "c": 1.5, "d": 3.6}
    figure = critical_difference_figure(ranks, 0.6, "caption")
    (panel,) = figure.axes
    bars = [np.asarray(line.get_xdata()) for line in panel.lines if line.get_linewidth() == 3]
    assert len(bars) == 2
    assert np.concatenate(bars) == pytest.approx([1.0, 1.5, 3.6, 3.9], abs=0.03)
    said = {text.get_text().strip() for text in panel.texts}
    assert {"1.00  b", "1.50  c", "d  3.60", "a  3.90", "CD = 0.6", "caption"} <= said


def test_fronts_run_between_the_points_that_the_run_found() -> None:
    trials = drawn({"a": 0}, seeds=1, evaluations=20)
    objectives = {"validation": "max", "latency": "min"}
    truth = [[100.0, 1.0], [99.0, 2.0]]  # the second is dominated
    found = curves(
        trials, {}, {}, objectives=objectives, true_front=truth, reference_point=[80, 30]
    )
    last = fronts_figure(trials, found, objectives, truth).axes[-1]
    true, own = (np.asarray(line.get_xydata()) for line in last.lines)
    assert true.tolist() == [[100.0, 1.0]]
    points = trials[list(objectives)].to_numpy()
    best = [
        p.tolist()
        for p in points
        if not any((q[0] >= p[0] and q[1] <= p[1] and (q != p).any()) for q in points)
    ]
    assert sorted(own.tolist()) == sorted(best)


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_every_form_is_written_the_same_twice(suffix: str) -> None:
    one, two = (
        picture(critical_difference_figure({"x": 1.2, "y": 1.8}, 0.4, ""), suffix) for _ in "ab"
    )
    assert one == two
