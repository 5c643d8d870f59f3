"""The figures of a report that are pictures: all but those that the page itself draws."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import matplotlib

from nas.analysis.plots.campaign import read
from nas.analysis.plots.kinds import figure
from nas.analysis.plots.style import STYLE

KINDS = {
    "operations": "Operations over the course of the search",
    "lineage": "Ancestors of the best",
    "hypervolume": "Hypervolume over time",
    "fidelities": "Rank correlation between fidelities",
    "ranks": "Ranks over seeds",
    "workers": "When workers were busy",
}
"""Titles of the kinds of :data:`nas.analysis.plots.kinds.KINDS` that are shown: not importance,
whose fANOVA takes minutes where a choice has many options."""


class Figure(NamedTuple):
    """An SVG file as the source of an image."""

    kind: str
    title: str
    source: str


def figures(folder: Path) -> tuple[list[Figure], list[str]]:
    """The figures that a campaign has, and in words why it has no others."""
    campaign = read(folder)
    found, missing = [], []
    for kind, title in KINDS.items():
        drawn = figure(kind, campaign)
        if isinstance(drawn, str):
            missing.append(f"{title}: {drawn}")
            continue
        file = BytesIO()
        with matplotlib.rc_context(STYLE):
            drawn.savefig(file, format="svg", metadata={"Date": None}, dpi=150)
        source = f"data:image/svg+xml;base64,{b64encode(file.getvalue()).decode()}"
        found.append(Figure(kind, title, source))
    return found, missing
