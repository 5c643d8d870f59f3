"""Draws the networks of a report."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from nas.campaigns.store.history import History
from nas.campaigns.store.types import Ask
from nas.drawing.cells import cell_diagram
from nas.drawing.diagram import in_a_row
from nas.drawing.networks import in_short, network_diagram
from nas.drawing.svg import svg
from nas.jobs.references import built


class Drawing(NamedTuple):
    """The SVG texts of a network and, if its space has cells, of its cells; "" if not drawn."""

    network: str
    cells: str = ""


def drawing(folder: Path, history: History, ask: Ask, name: str) -> Drawing:
    """Draws the network of a trial.

    Raises :class:`nas.errors.InputError` if the network cannot be built again, for example if
    ``campaign.yaml`` is missing.
    """
    architecture, space = built(folder, history, ask)
    network = svg(network_diagram(architecture), name, in_short(architecture))
    cells = {} if space is None else space.cell_graphs(ask.genotype)
    if not cells:
        return Drawing(network)
    diagram = in_a_row({label: cell_diagram(cell) for label, cell in cells.items()})
    return Drawing(network, svg(diagram, f"{name}, cells"))
