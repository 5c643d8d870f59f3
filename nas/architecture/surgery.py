"""Makes architectures from architectures: a classifier that slides, and heads of other sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from nas.architecture.graph import Architecture
from nas.architecture.node import INPUT, Node
from nas.architecture.operations import (
    Activation,
    AdaptiveAvgPool,
    Add,
    ArchitectureError,
    AvgPool,
    BatchNorm,
    ChannelShuffle,
    Concat,
    Conv,
    Dropout,
    DropPath,
    Flatten,
    Identity,
    L2Norm,
    LayerNorm,
    Linear,
    LogMeanSoftmax,
    Mean,
    Multiply,
    Operation,
    Rescale,
    Scale,
    Shape,
    Slice,
)
from nas.architecture.operations.base import whole

if TYPE_CHECKING:
    from torch import Tensor

_ELEMENTWISE = (Activation, Dropout, DropPath, Identity, Rescale, Add)
"""Operations that mean the same on a vector of features and on the map that was flattened."""

_PER_FEATURE = (
    *_ELEMENTWISE, BatchNorm, ChannelShuffle, Concat, L2Norm, LayerNorm, Multiply, Scale, Slice,
)  # fmt: skip
"""Operations that mean the same on ``(C,)`` and at each position of ``(C, ...)``."""

_MEMBER = "member{}_"
"""What the names of the nodes of an ensemble's members begin with."""


def convolutionalize(
    architecture: Architecture, input_shape: Sequence[int] | None = None
) -> Architecture:
    """Return the classifier as a convolution, which slides over a larger image.

    Sermanet et al. 2014 (OverFeat, arXiv:1312.6229, section 3.5); LeCun et al. 1998, section VII
    (space displacement neural networks). A linear layer becomes a convolution. The kernel of the
    first one behind a flattened map is the map's size; the others have a kernel of one. Global and
    adaptive pooling become plain pooling with the window that they have at this size, and are left
    out if the window is a single position. Those that gate a map (squeeze-and-excitation) stay
    global. The output is a map of scores, ``(classes, 1, 1)`` at the original size.

    Nodes keep their names and parameters their order; :func:`convolutional_weights` converts
    weights. Auxiliary heads are left out. Deviation: pooling that leaves one position has stride 1,
    not its length.

    Args:
        architecture: a classifier over one to three spatial axes.
        input_shape: the input of the result; by default the same as before.

    Raises:
        ArchitectureError: naming a node that cannot slide, such as an adaptive pool whose windows
            are uneven; or for an ``input_shape`` that does not fit.
    """
    original = architecture.inference()
    if len(original.input_shape) < 2:
        raise ArchitectureError(f"nothing to slide over in an input of {original.input_shape}")
    largest = _largest_behind(original)
    rank = len(original.input_shape) - 1
    renamed = {INPUT: INPUT}  # from nodes that are left out to what they read
    maps: dict[str, Shape] = {}  # from nodes that were vectors to the maps that they now are
    nodes = []
    for node in original.nodes:
        source = node.inputs[0]
        x = original.shapes[source]
        if len(original.shapes[node.name]) not in (1, rank + 1):
            raise ArchitectureError(
                f"node {node.name!r}: {original.shapes[node.name]} is no map of the input's axes, "
                "and cannot slide"
            )
        operation: Operation | None = node.operation
        unrolled = {maps.get(name) for name in node.inputs}
        if unrolled != {None}:
            (shape,) = unrolled if len(unrolled) == 1 else (None,)
            operation = _slid(node, shape)
            if operation is not None and shape is not None:
                maps[node.name] = (1,) * rank if isinstance(operation, Conv) else shape
        elif isinstance(operation, Flatten) and len(original.shapes[node.name]) == 1:
            maps[node.name], operation = x[1:], None
        elif isinstance(operation, Mean | AdaptiveAvgPool) and largest[node.name] <= prod(
            operation.size if isinstance(operation, AdaptiveAvgPool) else (1,)
        ):
            count = operation.size if isinstance(operation, AdaptiveAvgPool) else (1,) * rank
            if len(original.shapes[node.name]) == 1:
                maps[node.name] = count
            operation = _pool(node.name, x[1:], count)
        if operation is None:
            renamed[node.name] = renamed[source]
            if node.name not in maps and source in maps:
                maps[node.name] = maps[source]
        else:
            renamed[node.name] = node.name
            inputs = tuple(renamed[name] for name in node.inputs)
            nodes.append(node._replace(operation=operation, inputs=inputs))
    end = original.outputs[0]
    if prod(maps.get(end, (1,))) > 1:
        raise ArchitectureError(f"node {end!r}: the output is a flattened map, not a classifier")
    return Architecture(input_shape or original.input_shape, nodes, [renamed[end]])


def _slid(node: Node, shape: Shape | None) -> Operation | None:
    """Return the operation on the map that ``shape`` was flattened from; None for none."""
    operation = node.operation
    if shape is not None:
        single = prod(shape) == 1
        if isinstance(operation, Flatten):
            return None
        if isinstance(operation, Linear):
            return Conv(shape, channels=operation.features, bias=operation.bias)
        if isinstance(operation, LayerNorm) and single:
            return replace(operation, axis="channels")
        if isinstance(operation, _PER_FEATURE if single else _ELEMENTWISE):
            return operation
    raise ArchitectureError(f"node {node.name!r}: {operation.kind} of flattened maps cannot slide")


def _pool(name: str, sizes: Shape, counts: Shape) -> AvgPool | None:
    if sizes == counts:
        return None
    kernel, stride = [], []
    for size, count in zip(sizes, counts, strict=True):
        if size % count:
            raise ArchitectureError(
                f"node {name!r}: pooling {size} positions to {count} has windows of uneven length, "
                "which cannot slide"
            )
        kernel.append(size // count)
        stride.append(size // count if count > 1 else 1)
    return AvgPool(tuple(kernel), tuple(stride))


def _largest_behind(architecture: Architecture) -> dict[str, int]:
    """Return for each node the most positions that any node which depends on it has."""
    rank = len(architecture.input_shape)
    largest = dict.fromkeys(architecture.shapes, 1)
    for node in reversed(architecture.nodes):
        shape = architecture.shapes[node.name]
        here = prod(shape[1:]) if len(shape) == rank else 1
        for name in node.inputs:
            largest[name] = max(largest[name], largest[node.name], here)
    return largest


def convolutional_weights(
    architecture: Architecture, weights: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the state dict of a classifier in the shapes of its convolutional form.

    A linear layer's ``(features, C * H * W)`` becomes the convolution's ``(features, C, H, W)``,
    and a scale's ``(C,)`` becomes ``(C, 1, 1)``; all others stay. Nothing is copied.

    Args:
        architecture: the result of :func:`convolutionalize`.
        weights: the classifier's state dict.
    """
    operations = {node.name: node.operation for node in architecture.nodes}
    rank = len(architecture.input_shape) - 1
    converted = {}
    for key, tensor in weights.items():
        operation = operations.get(key) or operations.get(key.rpartition(".")[0])
        if isinstance(operation, Conv) and tensor.ndim == 2:
            tensor = tensor.reshape(len(tensor), -1, *operation.kernel)
        elif isinstance(operation, Scale) and tensor.ndim == 1:
            tensor = tensor.reshape(-1, *(1,) * rank)
        if operation is not None:
            converted[key] = tensor
    return converted


def ensemble(members: Sequence[Architecture], *, softmax: bool) -> Architecture:
    """Return the network whose predictions are the mean of its members' predictions.

    The nodes of member ``k`` are named ``member{k}_NAME``, from 1; :func:`ensemble_weights` renames
    weights. Auxiliary heads are left out.

    Args:
        members: networks of one input and output shape.
        softmax: whether predictions are the softmax of outputs, over the channels; otherwise they
            are the outputs.
    """
    nodes, outputs = [], []
    for number, member in enumerate(members, start=1):
        prefix = _MEMBER.format(number)
        graph = member.inference()
        for node in graph.nodes:
            inputs = (name if name == INPUT else prefix + name for name in node.inputs)
            weights = node.weights and prefix + node.weights
            nodes.append(Node(prefix + node.name, node.operation, tuple(inputs), weights))
        outputs.append(prefix + graph.outputs[0])
    if softmax:
        nodes.append(Node("mean", LogMeanSoftmax(), tuple(outputs)))
    else:
        nodes.append(Node("sum", Add(), tuple(outputs)))
        nodes.append(Node("mean", Rescale(1 / len(outputs)), ("sum",)))
    return Architecture(members[0].input_shape, nodes, ["mean"])


def tempered(architecture: Architecture, temperature: float) -> Architecture:
    """Return the network whose outputs are divided by a temperature.

    Above 1, the softmax of them is less sure (Guo et al. 2017, arXiv:1706.04599, section 4.2,
    temperature scaling). Weights keep their names; auxiliary heads are left out.
    """
    graph = architecture.inference()
    name = "tempered"
    while name in graph.shapes:
        name += "_"
    node = Node(name, Rescale(1 / temperature), graph.outputs)
    return Architecture(graph.input_shape, [*graph.nodes, node], [name])


def ensemble_weights(
    network: Architecture, members: Sequence[Mapping[str, Tensor]]
) -> dict[str, Tensor]:
    """Return the state dict of an :func:`ensemble` from those of its members; nothing is copied.

    Args:
        network: the ensemble, which has no auxiliary heads.
        members: the state dicts of its members, in their order.
    """
    names = {node.name for node in network.nodes}
    found = {
        _MEMBER.format(number) + key: tensor
        for number, weights in enumerate(members, start=1)
        for key, tensor in weights.items()
    }
    return {
        key: tensor
        for key, tensor in found.items()
        if key in names or key.rpartition(".")[0] in names
    }


def with_classes(architecture: Architecture, classes: int) -> Architecture:
    """Return the same body with a head for ``classes``: the last layer gets that width.

    The last layer is linear or a convolution. Auxiliary heads change in the same way. All nodes
    keep their names, so weights of the body still load.

    Raises:
        ArchitectureError: if an output is not made by one such layer, or if the layer has other
            readers than the output.
    """
    whole("with_classes", "classes", classes)
    heads = {head_layer(architecture, output) for output in architecture.outputs}
    nodes = []
    for node in architecture.nodes:
        operation = node.operation
        if node.name in heads and isinstance(operation, Linear):
            operation = replace(operation, features=classes)
        elif node.name in heads and isinstance(operation, Conv):
            operation = replace(operation, channels=classes)
        nodes.append(node._replace(operation=operation))
    changed = Architecture(architecture.input_shape, nodes, architecture.outputs)
    for output in architecture.outputs:
        if changed.shapes[output][0] != classes:
            raise ArchitectureError(
                f"output {output!r}: has {changed.shapes[output][0]} features for {classes} "
                "channels of its last layer"
            )
    return changed


def head_layer(architecture: Architecture, output: str) -> str:
    """Return the layer that makes an output, with no branch between the two."""
    nodes = {node.name: node for node in architecture.nodes}
    readers = Counter(name for node in architecture.nodes for name in node.inputs)
    name = output
    while name != INPUT and readers[name] == (name != output):
        if isinstance(nodes[name].operation, Linear | Conv):
            return name
        if len(nodes[name].inputs) > 1:
            break
        name = nodes[name].inputs[0]
    raise ArchitectureError(
        f"output {output!r}: is not made by one linear layer or convolution for it alone, "
        f"see node {name!r}"
    )
