"""The architecture: an immutable graph of operations. One that is not valid cannot be made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any

from nas.architecture.cost import Cost
from nas.architecture.fingerprint import DIGITS, earlier_fingerprint, fingerprint
from nas.architecture.node import INPUT, Node, ancestors, in_order
from nas.architecture.operations import (
    ArchitectureError,
    Shape,
    from_attributes,
    infer,
)
from nas.architecture.operations.base import LARGEST
from nas.files import parse_json


class Architecture:
    """A directed acyclic graph of operations with a known shape at every node.

    Nodes that no output needs are left out. Nodes keep the order in which they are given, except
    that a node which stands before its inputs moves behind them. The order matters: random
    weights are drawn in it.

    Args:
        input_shape: the input without the batch, channels first: ``(3, 224, 224)``.
        nodes: the operations.
        known: the shape and the cost of every node, where a writer has inferred them. The names are
            then checked, too, and each node stands behind its inputs.
        outputs: names of the nodes to return. The first is the main output; the others are
            auxiliary heads, which take part in training only.

    Raises:
        ArchitectureError: naming the node whose shapes do not fit, the cycle, the unknown input,
            or the name that is given twice.

    Two architectures are equal if their graphs are equal in every detail. Those with an equal
    ``fingerprint`` may differ in names and order.
    """

    input_shape: Shape
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    shapes: Mapping[str, Shape]
    """The shape of the output of every node, and of ``"input"``."""
    costs: Mapping[str, Cost]
    """The cost of every single node."""

    def __init__(
        self,
        input_shape: Sequence[int],
        nodes: Iterable[Node],
        outputs: Sequence[str],
        *,
        known: Mapping[str, tuple[Shape, Cost]] | None = None,
    ) -> None:
        shape = checked_input(input_shape)
        shapes = {INPUT: shape}
        costs = {}
        if known is not None:
            ordered = list(nodes)
            for name, both in known.items():
                shapes[name], costs[name] = both
        else:
            ordered = in_order([node._replace(inputs=tuple(node.inputs)) for node in nodes])
            for node in ordered:
                inputs = tuple(shapes[name] for name in node.inputs)
                try:
                    shapes[node.name], costs[node.name] = infer(node.operation, inputs)
                except ArchitectureError as error:
                    raise ArchitectureError(f"node {node.name!r}: {error}") from None
        if not outputs:
            raise ArchitectureError("an architecture needs at least one output")
        for name in outputs:
            if name not in shapes:
                raise ArchitectureError(f"output {name!r} is not a node")
        if len(set(outputs)) < len(outputs):
            raise ArchitectureError(f"an output is given twice: {', '.join(outputs)}")
        needed = ancestors(ordered, outputs) | {INPUT}
        if len(needed) <= len(ordered):
            ordered = [node for node in ordered if node.name in needed]
            shapes = {name: s for name, s in shapes.items() if name in needed}
            costs = {name: c for name, c in costs.items() if name in needed}
        fields = {
            "input_shape": shape,
            "nodes": tuple(ordered),
            "outputs": tuple(outputs),
            "shapes": MappingProxyType(shapes),
            "costs": MappingProxyType(costs),
        }
        self.__dict__.update(fields)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"an Architecture is immutable: cannot set {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"an Architecture is immutable: cannot delete {name!r}")

    @property
    def output_shape(self) -> Shape:
        """The shape of the main output."""
        return self.shapes[self.outputs[0]]

    @cached_property
    def cost(self) -> Cost:
        """The analytic cost of inference, without auxiliary heads."""
        costs = self._costs_of_inference()
        return Cost(*map(sum, zip(*costs, strict=True))) if costs else Cost()

    @property
    def macs_without_flops(self) -> int:
        """The part of ``cost.macs`` for which fvcore counts no FLOPs: that of attention."""
        return sum(max(each.macs - each.flops, 0) for each in self._costs_of_inference())

    @cached_property
    def fingerprint(self) -> str:
        """40 hexadecimal digits: equal exactly for graphs that differ in names and orders only.

        :func:`nas.architecture.fingerprint.fingerprint` says which orders do not matter.
        """
        return fingerprint(self.nodes, self.outputs, self.shapes)

    def recorded_as(self, fingerprint: str) -> tuple[str, Cost]:
        """Return fingerprint and cost as they were in the version that recorded ``fingerprint``.

        Versions before this one recorded 32 digits of another hash, and counted no MACs for
        attention. Both rules are applied where such a value is given, so what was recorded then can
        still be found and checked.
        """
        if len(fingerprint) == DIGITS:
            return self.fingerprint, self.cost
        earlier = self.cost._replace(macs=self.cost.macs - self.macs_without_flops)
        return earlier_fingerprint(self.nodes, self.outputs, self.shapes), earlier

    def _costs_of_inference(self) -> list[Cost]:
        if len(self.outputs) == 1:
            return list(self.costs.values())
        needed = ancestors(self.nodes, self.outputs[:1])
        return [self.costs[node.name] for node in self.nodes if node.name in needed]

    def inference(self) -> Architecture:
        """Return the same architecture without its auxiliary heads."""
        if len(self.outputs) == 1:
            return self
        return Architecture(self.input_shape, self.nodes, self.outputs[:1])

    def to_json(self) -> str:
        """Return the architecture as one line of JSON, which :meth:`from_json` reads."""
        return json.dumps(
            {
                "input_shape": self.input_shape,
                "nodes": [
                    {
                        "name": node.name,
                        "operation": node.operation.kind,
                        "inputs": node.inputs,
                        **node.operation.attributes(),
                    }
                    for node in self.nodes
                ],
                "outputs": self.outputs,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Architecture:
        """Read the JSON that :meth:`to_json` writes.

        Raises:
            ArchitectureError: saying what is wrong with it.
        """
        try:
            data = parse_json(text)
        except ValueError as error:  # incomplete, or nested too deeply
            raise ArchitectureError(f"not JSON: {error}") from None
        if not isinstance(data, dict) or set(data) != {"input_shape", "nodes", "outputs"}:
            raise ArchitectureError(
                "an architecture in JSON has the keys input_shape, nodes and outputs"
            )
        for key, value in data.items():
            if not isinstance(value, list):
                raise ArchitectureError(f"{key} must be a list, got {value!r}")
        if not _texts(data["outputs"]):
            raise ArchitectureError(f"outputs must be names, got {data['outputs']!r}")
        return cls(data["input_shape"], map(_node, data["nodes"]), data["outputs"])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Architecture):
            return NotImplemented
        return (self.input_shape, self.nodes, self.outputs) == (
            other.input_shape,
            other.nodes,
            other.outputs,
        )

    def __hash__(self) -> int:
        return hash((self.input_shape, self.nodes, self.outputs))

    def __reduce__(self) -> tuple[Any, ...]:
        return Architecture, (self.input_shape, self.nodes, self.outputs)

    def __repr__(self) -> str:
        return (
            f"<Architecture {self.input_shape} -> {self.output_shape}: "
            f"{len(self.nodes)} nodes, {self.cost.params:,} params, {self.cost.macs:,} MACs>"
        )


def checked_input(shape: Sequence[int]) -> Shape:
    """Return an input's shape as a tuple.

    Raises:
        ArchitectureError: unless all sizes are positive whole numbers.
    """
    sizes = tuple(shape) if isinstance(shape, Sequence) else ()
    if not sizes or any(type(size) is not int or not 1 <= size <= LARGEST for size in sizes):
        raise ArchitectureError(
            f"input shape must be positive whole numbers, got {sizes or shape}; the largest is "
            f"{LARGEST}"
        )
    return sizes


def _node(data: Any) -> Node:
    if not isinstance(data, dict) or not {"name", "operation", "inputs"} <= set(data):
        raise ArchitectureError(f"a node has name, operation, inputs and attributes, got {data!r}")
    attributes = dict(data)
    name, kind, inputs = (attributes.pop(key) for key in ("name", "operation", "inputs"))
    if not _texts([name, kind]) or not isinstance(inputs, list) or not _texts(inputs):
        raise ArchitectureError(
            f"a node's name and operation are text and its inputs a list of names, got {data!r}"
        )
    try:
        return Node(name, from_attributes(kind, attributes), tuple(inputs))
    except ArchitectureError as error:
        raise ArchitectureError(f"node {name!r}: {error}") from None


def _texts(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def cost(architecture: Architecture) -> Cost:
    """Returns the analytic cost of an architecture, the same as ``architecture.cost``."""
    return architecture.cost
