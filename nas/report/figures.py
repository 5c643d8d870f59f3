"""Draws the figures that a report embeds as images; the page itself draws the other ones."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import NamedTuple

from nas.analysis.plots.campaign import read
from nas.analysis.plots.kinds import figure
from nas.analysis.plots.style import picture

KINDS = {
    "operations": "Operations over the course of the search",
    "lineage": "Ancestors of the best",
    "mixtures": "Weights of operations in the search by gradients",
    "hypervolume": "Hypervolume over time",
    "importance": "Importance of choices",
    "fidelities": "Rank correlation between fidelities",
    "ranks": "Ranks over seeds",
    "workers": "When workers were busy",
}
"""The titles of the figures that are shown, by kind in :data:`nas.analysis.plots.kinds.KINDS`."""


class Figure(NamedTuple):
    """A figure: its title, and an SVG file as the source of an image."""

    kind: str
    title: str
    source: str


def figures(folder: Path) -> tuple[list[Figure], list[str]]:
    """Returns a campaign's figures, and the reasons why others are missing."""
    campaign = read(folder)
    found, missing = [], []
    for kind, title in KINDS.items():
        drawn = figure(kind, campaign)
        if isinstance(drawn, str):
            missing.append(f"{title}: {drawn}")
            continue
        source = f"data:image/svg+xml;base64,{b64encode(picture(drawn, 'svg')).decode()}"
        found.append(Figure(kind, title, source))
    return found, missing
