"""Draws the figures and test images that a report embeds; the page itself draws other ones."""

from __future__ import annotations

import io
from base64 import b64encode
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from nas.analysis.plots.campaign import read
from nas.analysis.plots.kinds import figure
from nas.analysis.plots.style import picture
from nas.errors import InputError
from nas.jobs import names as named
from nas.jobs.inputs import examples
from nas.training.datasets.download import offline

KINDS = {
    "operations": "Operations over the course of the search",
    "lineage": "Ancestors of the best",
    "mixtures": "Weights of operations in the search by gradients",
    "hypervolume": "Hypervolume over time",
    "importance": "Importance of choices",
    "choices": "Values by choice",
    "parallel": "Choices, costs and values of trials",
    "fidelities": "Rank correlation between fidelities",
    "ranks": "Ranks over seeds",
    "workers": "When workers were busy",
    "durations": "Durations of trials",
    "reliability": "Reliability of confidences",
}
"""The titles of the figures that are shown, by kind in :data:`nas.analysis.plots.kinds.KINDS`."""


class Figure(NamedTuple):
    """A figure: its title, what it shows in words, and an SVG file as the source of an image."""

    kind: str
    title: str
    about: str
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
        about = f"{title}. {drawn.get_suptitle()}".strip()
        found.append(Figure(kind, title, about, source))
    return found, missing


def tested_images(folder: Path) -> tuple[list[dict[str, str]], str]:
    """Returns the pictures of test images that the task shows for the best searched network.

    Each item is one image: the sources of its pictures by their titles. The text says why there are
    none, unless the task shows none.
    """
    name = f"{folder}:best"
    try:
        with offline():
            shown = examples(name, named.reference(name))
    except InputError as error:
        return [], str(error)
    return [{title: png(image) for title, image in each.items()} for each in shown], ""


def png(image: Image.Image) -> str:
    """Returns a picture as the source of an image: a PNG file."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"
