from itertools import combinations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from nas.analysis.plots.style import Label, extent, label_ends, label_points


def boxes(figure: Figure) -> list[Bbox]:
    figure.draw_without_rendering()
    return [extent(text) for text in figure.axes[0].texts if isinstance(text, Annotation)]


def clear(found: list[Bbox]) -> bool:
    return not any(
        min(one.x1, other.x1) - max(one.x0, other.x0) > 0.5
        and min(one.y1, other.y1) - max(one.y0, other.y0) > 0.5
        for one, other in combinations(found, 2)
    )


def test_names_of_lines_that_end_together_do_not_lie_on_each_other() -> None:
    figure = Figure(figsize=(4, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1])
    label_ends(axes, [Label(1, 0.99 + n / 1000, f"line {n}") for n in range(10)])
    found = boxes(figure)
    assert len(found) == 10
    assert clear(found)
    order = np.argsort([box.y0 for box in found])
    assert [axes.texts[i].get_text() for i in order] == [f"line {n}" for n in range(10)]
    assert max(box.y1 for box in found) < axes.bbox.y1 + 10


def test_names_of_points_are_clear_of_each_other_and_within_the_axes() -> None:
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    points = np.array([[0.5, 0.5], [0.52, 0.5], [0.5, 0.53], [0, 0], [1, 1], [1, 0]])
    axes.plot(*points.T, "o")
    label_points(axes, [Label(x, y, f"network {x}") for x, y in points], points)
    found = boxes(figure)
    assert len(found) == len(points)
    assert clear(found)
    assert all(
        axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 and axes.bbox.y0 <= box.y0
        for box in found
    )
