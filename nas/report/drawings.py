"""Draws the networks of a report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from nas.analysis.tables.trials import parent_of
from nas.architecture.passes import NodeSummary, by_node
from nas.campaigns.store.history import History
from nas.campaigns.store.types import Ask
from nas.drawing.cells import cell_diagram
from nas.drawing.diagram import in_a_row
from nas.drawing.networks import in_short, network_diagram
from nas.drawing.svg import svg
from nas.errors import InputError
from nas.jobs.references import built

DRAWN = 40
"""How many rows of the table have their network drawn, from the best."""


class Drawing(NamedTuple):
    """The drawings of a network as SVG texts; "" if not drawn.

    Attributes:
        network: the network, whose boxes open.
        cells: its cells, if its space has cells.
        nodes: what opens, by the name of a node: operation, shape, params, MACs, receptive field.
        parent: the name of the trial from which it was mutated.
        before: the parent.
        after: the network, with its differences from the parent marked.
    """

    network: str
    cells: str = ""
    nodes: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    parent: str = ""
    before: str = ""
    after: str = ""


def drawing(folder: Path, history: History, ask: Ask, name: str) -> Drawing:
    """Draws the network of a trial.

    Raises :class:`nas.errors.InputError` if the network cannot be built again, for example if
    ``campaign.yaml`` is missing.
    """
    architecture, space = built(folder, history, ask)
    found = Drawing(
        svg(network_diagram(architecture), name, in_short(architecture), opens=True),
        nodes={each.name: _facts(each) for each in by_node(architecture)},
    )
    if (mutated := history.asks.get(parent_of(ask) or "")) is not None:
        was, _ = built(folder, history, mutated)
        found = found._replace(
            parent=mutated.trial,
            before=svg(network_diagram(was), mutated.trial, in_short(was)),
            after=svg(network_diagram(architecture, was), name, in_short(architecture)),
        )
    cells = {} if space is None else space.cell_graphs(ask.genotype)
    if not cells:
        return found
    diagram = in_a_row({label: cell_diagram(cell) for label, cell in cells.items()})
    return found._replace(cells=svg(diagram, f"{name}, cells"))


def _facts(node: NodeSummary) -> tuple[str, ...]:
    fields = dict.fromkeys(field.size for field in node.field)
    return (
        node.operation,
        "x".join(map(str, node.shape)),
        f"{node.params:,}",
        f"{node.macs:,}",
        "x".join(map(str, fields)),
    )


def drawings(
    folder: Path, history: History, names: Iterable[str]
) -> tuple[dict[str, Drawing], str]:
    """Draws the networks of table rows; also returns why the first missing one is missing."""
    asks = dict(history.asks)
    for ask in history.asks.values():
        asks.setdefault(ask.label, ask)
    pictures: dict[str, Drawing] = {}
    fault = ""
    for name in names:
        try:
            pictures[name] = drawing(folder, history, asks[name], name)
        except (InputError, OSError) as error:
            fault = fault or f"{name}: {error}"
    return pictures, fault


def genotypes(history: History, names: Iterable[str]) -> dict[str, Any]:
    """Returns the genotypes of those table rows that are members of the campaign's space."""
    return {
        name: history.asks[name].genotype
        for name in names
        if name in history.asks and history.asks[name].is_of_space
    }
