"""Small questions that the graph alone answers: depth, memory, who costs what."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import NamedTuple

from nas.architecture.graph import Architecture
from nas.architecture.node import INPUT
from nas.architecture.operations import Conv, ConvTranspose, Linear, Shape
from nas.architecture.receptive_field import Field, fields
from nas.errors import InputError

WEIGHTED = (Conv, ConvTranspose, Linear)
"""The layers that papers count: "ResNet-18" has 18 of them on its longest path."""


def depths(architecture: Architecture) -> Mapping[str, int]:
    """Of every node, and of ``"input"`` (0): the weighted layers on the longest path to it.

    The node itself counts if it is one. Batch norm and scales do not.
    """
    depth = {INPUT: 0}
    for node in architecture.nodes:
        before = max(depth[name] for name in node.inputs)
        depth[node.name] = before + isinstance(node.operation, WEIGHTED)
    return depth


def depth(architecture: Architecture) -> int:
    """The weighted layers on the longest path to the main output."""
    return depths(architecture)[architecture.outputs[0]]


def peak_memory(architecture: Architecture, batch: int = 1, bytes_per_element: int = 4) -> int:
    """The most bytes that inference holds in activations at any moment.

    The model: nodes run in their order, each writes a new tensor (nothing in place), and a tensor
    is freed once its last reader has run. Views (flatten, slice, identity, dropout, …) share their
    input's memory and keep it. The caller holds the input throughout. Weights, and what an
    operation needs for itself while it runs, are not counted.
    """
    if batch < 1 or bytes_per_element < 1:
        raise InputError(
            f"batch and bytes_per_element must be at least 1, got {batch} and {bytes_per_element}"
        )
    inference = architecture.inference()
    owner = {INPUT: INPUT}
    last_reader = {}
    for index, node in enumerate(inference.nodes):
        owner[node.name] = owner[node.inputs[0]] if node.operation.view else node.name
        last_reader.update({owner[name]: index for name in (*node.inputs, node.name)})
    end = len(inference.nodes)
    last_reader[owner[inference.outputs[0]]] = end
    freed: list[int] = [0] * (end + 1)
    held = peak = prod(inference.input_shape)
    for index, node in enumerate(inference.nodes):
        if owner[node.name] == node.name:
            size = prod(inference.shapes[node.name])
            held += size
            freed[last_reader[node.name]] += size
        peak = max(peak, held)
        held -= freed[index]
    return peak * batch * bytes_per_element


class NodeSummary(NamedTuple):
    """One node of the inference network.

    Shares are fractions of the whole network's count, 0 where that is 0. ``field`` has a
    :class:`nas.architecture.receptive_field.Field` for each spatial axis of the input.
    """

    name: str
    operation: str
    shape: Shape
    params: int
    params_share: float
    macs: int
    macs_share: float
    field: tuple[Field, ...]


def by_node(architecture: Architecture) -> list[NodeSummary]:
    """Cost and receptive field of every node, in order; auxiliary heads are left out."""
    inference = architecture.inference()
    total, seen = inference.cost, fields(inference)
    return [
        NodeSummary(
            node.name,
            node.operation.label,
            inference.shapes[node.name],
            (cost := inference.costs[node.name]).params,
            cost.params / max(total.params, 1),
            cost.macs,
            cost.macs / max(total.macs, 1),
            seen[node.name],
        )
        for node in inference.nodes
    ]
