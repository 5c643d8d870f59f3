"""Computes depth, memory and costs per node, from the graph alone."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import NamedTuple

from nas.architecture.graph import Architecture
from nas.architecture.node import INPUT
from nas.architecture.operations import Conv, ConvTranspose, Linear, Shape
from nas.architecture.receptive_field import Field, fields
from nas.errors import InputError
from nas.memory import check_memory

WEIGHTED = (Conv, ConvTranspose, Linear)
"""The layers that papers count. "ResNet-18" has 18 of them on its longest path."""


def depths(architecture: Architecture) -> Mapping[str, int]:
    """Return the number of weighted layers on the longest path to each node and to ``"input"``.

    The node itself counts if it is a weighted layer. Batch norm and scales do not count.
    """
    depth = {INPUT: 0}
    for node in architecture.nodes:
        before = max(depth[name] for name in node.inputs)
        depth[node.name] = before + isinstance(node.operation, WEIGHTED)
    return depth


def depth(architecture: Architecture) -> int:
    """Return the number of weighted layers on the longest path to the main output."""
    return depths(architecture)[architecture.outputs[0]]


def peak_memory(architecture: Architecture, batch: int = 1, bytes_per_element: int = 4) -> int:
    """Return the largest number of bytes that activations take at any moment of inference.

    It is assumed that nodes run in their order, that each writes a new tensor (nothing in place),
    and that a tensor is freed once its last reader has run. Views (flatten, slice, identity,
    dropout, …) share the memory of their input and keep it. The caller holds the input throughout.
    Weights, and what an operation needs for itself while it runs, are not counted.
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


def check_memory_to_run(architecture: Architecture) -> None:
    """Raises :class:`nas.memory.TooLarge` if inference at batch 1 needs too much memory."""
    needed = peak_memory(architecture) + 4 * architecture.cost.params
    check_memory(needed, "the weights and activations of the network")


def check_memory_to_train(architecture: Architecture, batch: int) -> None:
    """Raises :class:`nas.memory.TooLarge` if training needs more memory than there is.

    Counted are weights, their gradients, and the outputs of convolutions and linear layers for the
    whole batch, which the backward pass reads, with two bytes per element as in bfloat16. Training
    needs at least this much, so nothing is refused that would run.
    """
    cost = architecture.cost
    needed = 2 * 4 * cost.params + 2 * batch * cost.activations
    check_memory(needed, f"the weights, gradients and activations of a batch of {batch}")


class NodeSummary(NamedTuple):
    """Describes one node of the inference network.

    Shares are fractions of the whole network's count, or 0 if that is 0. ``field`` has one
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
    """Return cost and receptive field of every node, in order, without auxiliary heads."""
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
