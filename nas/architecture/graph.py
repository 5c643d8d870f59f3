"""The architecture: an immutable graph of operations. One that is not valid cannot be made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any

from nas.architecture.cost import Cost
from nas.architecture.fingerprint import DIGITS, earlier_fingerprint, fingerprint
from nas.architecture.node import (
    INPUT,
    Known,
    Node,
    Piece,
    ancestors,
    check_names,
    concatenates,
    expanded,
    in_order,
    total_cost,
)
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
        outputs: names of the nodes to return. The first is the main output; the others are
            auxiliary heads, which take part in training only.

    Raises:
        ArchitectureError: naming the node whose shapes do not fit, the cycle, the unknown input,
            or the name that is given twice.

    Two architectures are equal if their graphs are equal in every detail. Those with an equal
    ``fingerprint`` may differ in names and order.
    """

    input_shape: Shape
    outputs: tuple[str, ...]
    _pieces: tuple[Piece, ...]
    _known: Known

    def __init__(
        self, input_shape: Sequence[int], nodes: Iterable[Node], outputs: Sequence[str]
    ) -> None:
        shape = checked_input(input_shape)
        ordered = in_order([node._replace(inputs=tuple(node.inputs)) for node in nodes])
        self._set(shape, ordered, _inferred(shape, ordered), outputs)

    @classmethod
    def composed(
        cls, input_shape: Shape, pieces: Iterable[Piece], known: Known, outputs: Sequence[str]
    ) -> Architecture:
        """Return the architecture that a writer has composed of nodes and of parts that repeat.

        Args:
            input_shape: the shape of the input.
            pieces: nodes and parts, each after its inputs; all names are checked already.
            known: the shape and the cost of every piece.
            outputs: the names of the pieces to return.
        """
        architecture = cls.__new__(cls)
        architecture._set(input_shape, pieces, known, outputs)
        return architecture

    def _set(
        self, input_shape: Shape, pieces: Iterable[Piece], known: Known, outputs: Sequence[str]
    ) -> None:
        if not outputs:
            raise ArchitectureError("an architecture needs at least one output")
        for name in outputs:
            if name not in known and name != INPUT:
                raise ArchitectureError(f"output {name!r} is not a node")
        if len(set(outputs)) < len(outputs):
            raise ArchitectureError(f"an output is given twice: {', '.join(outputs)}")
        given = tuple(pieces)
        needed = ancestors(given, outputs)
        pieces = tuple([piece for piece in given if piece.name in needed])
        self.__dict__.update(
            input_shape=input_shape,
            outputs=tuple(outputs),
            _pieces=pieces,
            _known=_counted_once(
                input_shape, pieces, {piece.name: known[piece.name] for piece in pieces}
            ),
        )

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"an Architecture is immutable: cannot set {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"an Architecture is immutable: cannot delete {name!r}")

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The operations, each after its inputs."""
        return tuple([node for node, _ in self._expanded])

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """The shape of the output of every node, and of ``"input"``."""
        return _shapes(self.input_shape, {node.name: known for node, known in self._expanded})

    @cached_property
    def costs(self) -> Mapping[str, Cost]:
        """The cost of every single node."""
        return MappingProxyType({node.name: cost for node, (_, cost) in self._expanded})

    @cached_property
    def _expanded(self) -> Sequence[tuple[Node, tuple[Shape, Cost]]]:
        return list(expanded(self._pieces, self._known))

    @property
    def output_shape(self) -> Shape:
        """The shape of the main output."""
        return self.shapes[self.outputs[0]]

    @cached_property
    def cost(self) -> Cost:
        """The analytic cost of inference, without auxiliary heads."""
        return total_cost(cost for _, cost in self.inference()._known.values())

    @property
    def macs_without_flops(self) -> int:
        """The part of ``cost.macs`` for which fvcore counts no FLOPs: that of attention."""
        return sum(max(cost.macs - cost.flops, 0) for cost in self.inference().costs.values())

    @cached_property
    def fingerprint(self) -> str:
        """40 hexadecimal digits: equal exactly for graphs that differ in names and orders only.

        :func:`nas.architecture.fingerprint.fingerprint` says which orders do not matter.
        """
        if concatenates(self._pieces):  # whether its inputs have an order depends on all nodes
            return fingerprint(self.nodes, self.outputs, self.shapes)
        return fingerprint(self._pieces, self.outputs, _shapes(self.input_shape, self._known))

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

    def inference(self) -> Architecture:
        """Return the same architecture without its auxiliary heads."""
        if len(self.outputs) == 1:
            return self
        main = self.outputs[:1]
        return Architecture.composed(self.input_shape, self._pieces, self._known, main)

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
                        **({"weights": node.weights} if node.weights else {}),
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


def _inferred(input_shape: Shape, ordered: Iterable[Node]) -> Known:
    """Return shape and cost of every node; raise :class:`ArchitectureError` where none fits."""
    known: dict[str, tuple[Shape, Cost]] = {}
    shapes = {INPUT: input_shape}
    for name, operation, inputs, _ in ordered:
        try:
            known[name] = infer(operation, tuple([shapes[each] for each in inputs]))
        except ArchitectureError as error:
            raise ArchitectureError(f"node {name!r}: {error}") from None
        shapes[name] = known[name][0]
    return known


def _counted_once(input_shape: Shape, pieces: Sequence[Piece], known: Known) -> Known:
    """Return what is known of pieces, with parameters at the first node that uses them.

    Raises:
        ArchitectureError: if nodes that differ are to use the same parameters.
    """
    nodes = [piece for piece in pieces if isinstance(piece, Node)]
    if not any(node.weights for node in nodes):
        return known
    check_names({*(node.name for node in nodes), *(node.owner for node in nodes)})
    shapes = _shapes(input_shape, known)
    first: dict[str, tuple[Node, Shape, int]] = {}
    result = dict(known)
    for node in nodes:
        x = shapes[node.inputs[0]]
        shape, cost = infer(node.operation, tuple([shapes[name] for name in node.inputs]))
        of, y, params = first.setdefault(node.owner, (node, x, cost.params))
        alike = node.operation == of.operation and len(x) == len(y) and cost.params == params
        if not alike or (params == 0 and x[0] != y[0]):
            raise ArchitectureError(
                f"node {node.name!r}: {node.operation} of {x} cannot use the weights "
                f"{node.owner!r} of {of.operation} of {y}"
            )
        result[node.name] = shape, cost if node is of else cost._replace(params=0)
    return result


def _shapes(input_shape: Shape, known: Known) -> Mapping[str, Shape]:
    """Return all shapes by name, that of the input included."""
    inner = {name: shape for name, (shape, _) in known.items()}
    return MappingProxyType({INPUT: input_shape, **inner})


def _node(data: Any) -> Node:
    if not isinstance(data, dict) or not {"name", "operation", "inputs"} <= set(data):
        raise ArchitectureError(f"a node has name, operation, inputs and attributes, got {data!r}")
    attributes = dict(data)
    name, kind, inputs = (attributes.pop(key) for key in ("name", "operation", "inputs"))
    weights = attributes.pop("weights", "")
    if not _texts([name, kind, weights]) or not isinstance(inputs, list) or not _texts(inputs):
        raise ArchitectureError(
            "a node's name and operation are text and its inputs a list of names; weights, if "
            f"given, is the name of a node; got {data!r}"
        )
    try:
        return Node(name, from_attributes(kind, attributes), tuple(inputs), weights)
    except ArchitectureError as error:
        raise ArchitectureError(f"node {name!r}: {error}") from None


def _texts(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def cost(architecture: Architecture) -> Cost:
    """Returns the analytic cost of an architecture, the same as ``architecture.cost``."""
    return architecture.cost
