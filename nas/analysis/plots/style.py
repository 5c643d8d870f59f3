"""The common style of all figures: colours, lines, and labels that do not overlap.

The colours are those of Okabe and Ito, which colour-blind people can distinguish.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from itertools import pairwise, product
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression

COLOURS = [
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31",
    "#7F7F7F", "#882255",
]  # fmt: skip
FAINT = "#b4b4b4"
"""The colour of the background marks."""

STYLE: Any = {  # its type is every key of matplotlib
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.hashsalt": "nas",  # one input, one file
    "svg.fonttype": "none",  # text stays text
}


class Mark(NamedTuple):
    """The shape and the colour that distinguish a kind of trial."""

    colour: str
    shape: str


KINDS = {
    "searched": Mark(COLOURS[0], "o"),
    "random": Mark(COLOURS[1], "^"),
    "classic": Mark(COLOURS[2], "s"),
    "ensemble": Mark(COLOURS[3], "D"),
    "shared weights": Mark(COLOURS[4], "v"),
}
"""The marks by kind, as in the column ``kind`` of :func:`nas.analysis.tables.trials.trials`."""

MANY = 1000
"""Above this number, marks are an image within a vector file, which stays small."""


def picture(figure: Figure, form: str) -> bytes:
    """Returns a figure as a file of svg, png or pdf; the same figure gives the same bytes."""
    dated = {"svg": "Date", "pdf": "CreationDate"}
    metadata = {dated[form]: None} if form in dated else None
    file = BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(file, format=form, metadata=metadata, dpi=150)
    return file.getvalue()


def within(axes: Axes, bounds: tuple[float, float]) -> None:
    """Ends the vertical axis at what is possible: there is no accuracy of 1.02."""
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, bounds[0]), min(high, bounds[1]))


class Label(NamedTuple):
    """A text and its position, in the units of the data."""

    x: float
    y: float
    text: str
    colour: str = "#333333"


def label_ends(axes: Axes, labels: Sequence[Label], gap: float = 11.0) -> None:
    """Writes labels of lines to the right of the axes, near their ends and without overlaps.

    Args:
        axes: the axes with final limits, in a figure that is otherwise complete.
        labels: the last points of the lines.
        gap: the distance between lines of text, in points.
    """
    if not labels:
        return
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # now the layout knows how high the axes are
    ordered = sorted(labels, key=lambda label: label.y)
    heights = axes.transData.transform([(label.x, label.y) for label in ordered])[:, 1]
    heights = (heights - axes.bbox.y0) * 72 / figure.dpi
    least = gap * np.arange(len(ordered))
    room = max(axes.bbox.height * 72 / figure.dpi - least[-1], 0.0)
    placed = np.clip(isotonic_regression(heights - least).x, 0, room) + least
    for label, moved in zip(ordered, placed - heights, strict=True):
        axes.annotate(
            label.text, (1, label.y), (16, moved), xycoords=axes.get_yaxis_transform(),
            textcoords="offset points", color=label.colour, va="center", fontsize=8,
            annotation_clip=False, arrowprops=_LEADER,
        )  # fmt: skip


_LEADER = {"arrowstyle": "-", "color": FAINT, "lw": 0.6, "shrinkA": 0, "shrinkB": 3}
"""The style of the line from a label to its point."""

_AROUND = [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)]


def label_points(axes: Axes, labels: Sequence[Label], marks: ArrayLike) -> None:
    """Writes labels beside points, without overlaps with labels, marks and lines if possible.

    Args:
        axes: the axes with final limits; its lines are parallel to the axes or short.
        labels: the labels, the most important first.
        marks: the positions of all marks, [points, 2].
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    centers = axes.transData.transform(np.asarray(marks, dtype=float).reshape(-1, 2))
    drawn = [Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in centers]
    for line in axes.lines:
        corners = axes.transData.transform(line.get_xydata())
        drawn += [
            Bbox([np.minimum(*ends) - 1, np.maximum(*ends) + 1]) for ends in pairwise(corners)
        ]
    written: list[Bbox] = []
    for label in labels:
        best: tuple[float, Annotation] | None = None
        for distance, (right, up) in product((7, 16, 28), _AROUND):
            text = _beside(axes, label, right * distance, up * distance)
            box = extent(text)
            outside = box.width * box.height - _shared(box, axes.bbox)
            trouble = sum(_shared(box, other) for other in drawn)
            trouble += 4 * (outside + sum(_shared(box, other) for other in written))
            if best is None or trouble < best[0]:
                if best is not None:
                    best[1].remove()
                best = trouble, text
            else:
                text.remove()
            if trouble == 0:
                break
        assert best is not None
        written.append(extent(best[1]))


def _beside(axes: Axes, label: Label, right: float, up: float) -> Annotation:
    far = max(abs(right), abs(up)) > 10
    return axes.annotate(
        label.text,
        (label.x, label.y),
        (right, up),
        textcoords="offset points",
        color=label.colour,
        fontsize=8,
        ha="left" if right > 0 else "right" if right < 0 else "center",
        va="bottom" if up > 0 else "top" if up < 0 else "center",
        arrowprops=_LEADER if far else None,
        bbox={"facecolor": "white", "alpha": 0.6, "pad": 0.4, "edgecolor": "none"},
    )


def extent(text: Annotation) -> Bbox:
    """Returns the box of a text without its line."""
    text.get_window_extent()  # this sets its position
    return Text.get_window_extent(text)


def _shared(one: Bbox, other: Any) -> float:
    """Returns the area of the intersection of two boxes."""
    both = Bbox.intersection(one, other)
    return 0.0 if both is None else both.width * both.height
