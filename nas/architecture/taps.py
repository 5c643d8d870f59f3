"""Finds where a network can be tapped, and keeps its maps large by dilation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from itertools import takewhile

from nas.architecture.graph import Architecture
from nas.architecture.node import INPUT, Node
from nas.architecture.operations import (
    AdaptiveAvgPool,
    ArchitectureError,
    AvgPool,
    Conv,
    Dropout,
    DropPath,
    Flatten,
    Linear,
    MaxPool,
    Mean,
    Operation,
    Pad,
)
from nas.architecture.receptive_field import Field, fields
from nas.architecture.surgery import head_layer


def taps(architecture: Architecture) -> dict[int, str]:
    """Return the node from which a head should read, for each stride, the smallest stride first.

    It is an articulation node: every path from the input to the output passes through it, so it
    holds all that the network knows at that resolution. Of those with one stride, it is the last at
    the end of a block, that is the last of those whose readers share the fewest scopes with it. So
    it is the output of a stage, and not the expansion in the block that strides next.

    The head of the network itself, from its last layer, its flattening or its pooling of whole maps
    on, has no taps. A network whose cells read two earlier cells has few articulation nodes, at its
    stem and at its end. The stride is the number of input positions between neighbours, on the axis
    where it is largest.

    Raises:
        ArchitectureError: if there is no map that can be tapped.
    """
    main = architecture.inference()
    seen = fields(main)
    last_layer = ""
    with suppress(ArchitectureError):
        last_layer = head_layer(main, main.outputs[0])
    readers: dict[str, list[str]] = {name: [] for name in main.shapes}
    for node in main.nodes:
        for name in node.inputs:
            readers[name].append(node.name)
    found: dict[int, str] = {}
    depths: dict[int, int] = {}
    for node in _articulation(main):
        shape = main.shapes[node.name]
        if len(shape) != len(main.input_shape) or node.name == last_layer or _pools(node, main):
            break
        stride = _stride(seen[node.name])
        depth = min((_shared(node.name, name) for name in readers[node.name]), default=0)
        if isinstance(node.operation, Dropout | DropPath) or depth > depths.get(stride, depth):
            continue
        found[stride], depths[stride] = node.name, depth
    if not found:
        raise ArchitectureError("the network has no map before its head that a head could read")
    return dict(sorted(found.items()))


def _shared(name: str, other: str) -> int:
    """Return how many scopes two nodes share."""
    pairs = zip(name.split(".")[:-1], other.split(".")[:-1], strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _articulation(architecture: Architecture) -> Iterator[Node]:
    """Yield the nodes that every path from the input to the output passes through, in order.

    At such a node, whatever the order, no other value is left that a later node reads.
    """
    readers = Counter(name for node in architecture.nodes for name in set(node.inputs))
    open_values = {INPUT}
    for node in architecture.nodes:
        for name in set(node.inputs):
            readers[name] -= 1
            if not readers[name]:
                open_values.discard(name)
        open_values.add(node.name)
        if len(open_values) == 1:
            yield node


def _pools(node: Node, architecture: Architecture) -> bool:
    """Tell if a node reads whole maps."""
    operation, sizes = node.operation, architecture.shapes[node.inputs[0]][1:]
    whole = isinstance(operation, AvgPool | MaxPool) and operation.kernel == sizes
    return whole or isinstance(operation, Mean | AdaptiveAvgPool | Flatten | Linear)


def _stride(seen: tuple[Field, ...]) -> int:
    return max((round(field.stride) for field in seen), default=1)


def dilated(architecture: Architecture, stride: int) -> Architecture:
    """Return the network with its strides beyond ``stride`` replaced by dilation.

    Chen et al. 2017 (DeepLab v3, arXiv:1706.05587, section 3.1): a window that would make the
    stride larger moves by one position, and all windows behind it are dilated instead. So maps stay
    large, and weights stay as they are. Nodes keep their names. As in torchvision's ResNet, the
    window whose stride is left out is not dilated by it.

    Raises:
        ArchitectureError: naming a node that cannot be dilated, such as average pooling with a
            window larger than one, or one whose shape does not fit any more.
    """
    seen = fields(architecture)
    rates: dict[str, int] = {INPUT: 1}
    nodes = []
    for node in architecture.nodes:
        rate = max(rates[name] for name in node.inputs)
        operation = node.operation
        if isinstance(operation, Conv | MaxPool | AvgPool):
            step = max(operation.stride)
            before = Fraction(_stride(seen[node.inputs[0]]), rate)
            left_out = step > 1 and before * step > stride
            operation = _atrous(node, rate, left_out)
            rate *= step if left_out else 1
        elif rate > 1 and isinstance(operation, Pad):
            raise ArchitectureError(f"node {node.name!r}: padding of its own cannot be dilated")
        rates[node.name] = rate
        nodes.append(node._replace(operation=operation))
    return Architecture(architecture.input_shape, nodes, architecture.outputs)


def _atrous(node: Node, rate: int, left_out: bool) -> Operation:
    """Return the window with a dilation ``rate`` times as large, and without its stride."""
    operation = node.operation
    assert isinstance(operation, Conv | MaxPool | AvgPool)
    if left_out:
        operation = replace(operation, stride=(1,) * len(operation.stride))
    if rate == 1 or max(operation.kernel) == 1:
        return operation
    if isinstance(operation, AvgPool):
        raise ArchitectureError(f"node {node.name!r}: average pooling cannot be dilated")
    return replace(
        operation,
        dilation=tuple(rate * each for each in operation.dilation),
        padding=tuple(rate * each for each in operation.padding),
    )
