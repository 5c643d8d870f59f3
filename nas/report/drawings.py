"""Draws the networks of a report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nas.architecture.node import INPUT
from nas.architecture.operations.windows import Conv
from nas.architecture.passes import NodeSummary, by_node
from nas.architecture.weights import read_weights
from nas.campaigns.store.checkpoints import verify_weights, weights_path
from nas.campaigns.store.history import History, parent_of
from nas.campaigns.store.types import Ask
from nas.drawing.cells import cell_diagram
from nas.drawing.diagram import in_a_row
from nas.drawing.networks import in_short, network_diagram
from nas.drawing.svg import svg
from nas.errors import InputError
from nas.jobs.references import built
from nas.report.figures import png
from nas.tasks.pictures import plain

DRAWN = 40
"""How many rows of the table have their network drawn, from the best."""

_ROW = 8


class Drawing(NamedTuple):
    """The drawings of a network as SVG texts; "" if not drawn.

    Attributes:
        network: the network, whose boxes open.
        cells: its cells, if its space has cells.
        nodes: what opens, by the name of a node: operation, shape, params, MACs, receptive field.
        parent: the name of the trial from which it was mutated, or of its first parent.
        before: the parent.
        after: the network, with its differences from the parent marked.
        kernels: the sources of pictures of kernels, by the name of a node; None if no weights are
            kept.
    """

    network: str
    cells: str = ""
    nodes: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    parent: str = ""
    before: str = ""
    after: str = ""
    kernels: Mapping[str, str] | None = None


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


def kernels(folder: Path, history: History, ask: Ask, name: str) -> dict[str, str] | None:
    """Draws the kernels of the convolutions that read the picture; None if no weights are kept.

    The weights are those of the first seed of a row of the table that has some. Zero is grey, and
    the largest weight of a convolution is black or white; at most 64 kernels are drawn.

    Raises :class:`nas.errors.InputError` if the file of the weights is damaged.
    """
    own = [trial for trial, each in history.asks.items() if name in (trial, each.label)]
    trial = next((each for each in own if weights_path(folder, each).is_file()), None)
    if trial is None:
        return None
    path, architecture = weights_path(folder, trial), built(folder, history, ask)[0]
    verify_weights(path, history.results[trial].weights if trial in history.results else "")
    weights = read_weights(path).tensors
    found = {
        node.name: weights[key].float().numpy()
        for node in architecture.nodes
        if isinstance(node.operation, Conv) and node.inputs == (INPUT,)
        if (key := f"{node.name}.weight") in weights
    }
    return {
        node: png(_grid(each[:64]))
        for node, each in found.items()
        if each.ndim == 4 and each.shape[1] in (1, 3) and max(each.shape[2:]) > 1
    }


def _grid(weights: NDArray[np.floating]) -> Image.Image:
    """Draws kernels [N, C, H, W] in rows of eight."""
    largest = np.abs(weights).max() or 1.0
    pixels = (128 + 127 * weights / largest).round().astype(np.uint8)
    _, channels, height, width = pixels.shape
    rows = -(-len(pixels) // _ROW)
    grid = np.full((rows * _ROW, channels, height + 1, width + 1), 255, np.uint8)
    grid[: len(pixels), :, :height, :width] = pixels
    tiled = grid.reshape(rows, _ROW, channels, height + 1, width + 1).transpose(2, 0, 3, 1, 4)
    return plain(tiled.reshape(channels, rows * (height + 1), _ROW * (width + 1)))


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
            seen = kernels(folder, history, asks[name], name)
            pictures[name] = pictures[name]._replace(kernels=seen)
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
