"""The pictures of a report."""

from __future__ import annotations

from pathlib import Path

from nas.campaigns.records import Record
from nas.campaigns.references import built
from nas.drawing.cells import cell_diagram
from nas.drawing.diagram import in_a_row
from nas.drawing.networks import in_short, network_diagram
from nas.drawing.svg import svg
from nas.errors import InputError


def drawing(folder: Path, ask: Record, name: str) -> tuple[str, str]:
    """The network of an ask, its cells beside it, as SVG; or "", and why there is none."""
    try:
        architecture, space = built(folder, ask)
    except (InputError, OSError) as error:
        return "", str(error)
    diagram = network_diagram(architecture)
    cells = {} if space is None else space.cell_graphs(ask["genotype"])
    if cells:
        drawn = {f"cell {label}": cell_diagram(cell) for label, cell in cells.items()}
        diagram = in_a_row(drawn | {"network": diagram})
    return svg(diagram, name, in_short(architecture)), ""
