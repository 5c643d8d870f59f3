"""How a graph is written: handles that know their shapes, names, and scopes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from nas.architecture.cost import Cost
from nas.architecture.graph import Architecture, checked_input
from nas.architecture.node import INPUT, Node, check_names
from nas.architecture.operations import ArchitectureError, Operation, Shape, infer


class Handle(NamedTuple):
    """The name and the shape (without the batch) of a node that others may read."""

    name: str
    shape: Shape

    @property
    def channels(self) -> int:
        """The number of channels (or features)."""
        return self.shape[0]

    @property
    def spatial(self) -> Shape:
        """The spatial part of the shape."""
        return self.shape[1:]


class _Part(NamedTuple):
    """What a function has added to an empty builder, and the handle that it returned."""

    nodes: Mapping[str, Node]
    known: Mapping[str, tuple[Shape, Cost]]
    output: Handle


MOST_NODES = 100_000
"""The largest number of nodes of an architecture."""

_PARTS: dict[Hashable, _Part] = {}
_MOST_PARTS = 1 << 13


class Writer:
    """Adds operations one by one, names them, and makes the architecture.

    Args:
        input_shape: the shape of the input without the batch, channels first.
        settings: what a builder's defaults depend on, by the names of its arguments.

    Raises:
        ArchitectureError: if a size in ``input_shape`` is not a positive whole number.
    """

    def __init__(self, input_shape: Sequence[int], **settings: float) -> None:
        self.input = Handle(INPUT, checked_input(input_shape))
        self._nodes: dict[str, Node] = {}
        self._known: dict[str, tuple[Shape, Cost]] = {}
        self._all_known = True
        self._added: list[str] = []
        self._scopes: dict[str, str] = {}  # those of parts, and the name of one node in each
        self._settings = settings
        self._scope = ""
        self._counts: dict[tuple[str, str], int] = {}

    def build(self, *outputs: Handle) -> Architecture:
        """Return the architecture with these outputs. Nodes that they do not need are left out."""
        names = [out.name for out in outputs]
        known = self._known if self._all_known else None
        if known is not None:
            check_names(self._to_check())
        return Architecture(self.input.shape, self._nodes.values(), names, known=known)

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Put ``name`` and a dot before the names of the nodes that are added inside."""
        outer = self._scope
        self._scope = f"{outer}{name}."
        try:
            yield
        finally:
            self._scope = outer

    def add_operation(
        self, operation: Operation, *inputs: Handle, name: str | None = None
    ) -> Handle:
        """Add any operation.

        Raises:
            ArchitectureError: naming the node, if the name is taken or the shapes do not fit.
        """
        self._check_size(1)
        path = self._scope + (name or self._free_name(operation))
        if path in self._nodes:
            raise ArchitectureError(f"node {path!r}: the name is already used")
        self._check(*inputs)
        try:
            known = infer(operation, tuple(handle.shape for handle in inputs))
        except ArchitectureError as error:
            raise ArchitectureError(f"node {path!r}: {error}") from None
        self._nodes[path] = Node(path, operation, tuple(handle.name for handle in inputs))
        self._known[path] = known
        self._added.append(path)
        return Handle(path, known[0])

    def repeated(
        self, name: str, function: Callable[..., Handle], x: Handle, *arguments: Hashable
    ) -> Handle:
        """Return ``function(self, x, *arguments)`` as built in a scope of its own, ``name``.

        What a function adds for one shape of ``x`` and the same arguments is built and checked
        once, and remembered, also by other builders; from then on it is copied. So the function
        must read no other node than ``x``, and depend on nothing but its arguments, which must be
        hashable. Repeated cells are written in a fraction of the time.
        """
        key = (type(self), *self._settings.items(), function, x.shape, arguments)
        part = _PARTS.get(key)
        if part is None:
            inner = type(self)(x.shape, **self._settings)
            try:
                output = function(inner, inner.input, *arguments)
            except ArchitectureError:  # its message is to have the whole path
                with self.scope(name):
                    return function(self, x, *arguments)
            check_names(inner._to_check())
            part = _Part(inner._nodes, inner._known, output)
            if len(_PARTS) >= _MOST_PARTS:
                _PARTS.clear()
            _PARTS[key] = part
        self._check(x)
        nodes, known, output = part
        self._check_size(len(nodes))
        scope = f"{self._scope}{name}."
        names = {INPUT: x.name}
        if nodes:
            self._scopes[scope] = scope + next(iter(nodes))
        ours, all_known = self._nodes, self._known
        for own, (_, operation, inputs) in nodes.items():
            names[own] = path = scope + own
            if path in ours:
                raise ArchitectureError(f"node {path!r}: the name is already used")
            ours[path] = Node(path, operation, tuple([names[name] for name in inputs]))
            all_known[path] = known[own]
        return Handle(names[output.name], output.shape)

    def _check_size(self, more: int) -> None:
        if len(self._nodes) + more > MOST_NODES:
            raise ArchitectureError(f"an architecture has at most {MOST_NODES:,} nodes")

    def _to_check(self) -> list[Node]:
        """The nodes whose names stand for all: the parts' own names are checked already."""
        scopes = tuple(self._scopes)
        nodes = self._nodes
        if any(name.startswith(scopes) for name in self._added):
            return list(nodes.values())
        return [nodes[name] for name in (*self._added, *self._scopes.values())]

    def _check(self, *inputs: Handle) -> None:
        """Remember whether all handles are of this builder; others are checked at the end."""
        for handle in inputs:
            own = self._known.get(handle.name)
            if (own[0] if own else self.input.shape) != handle.shape or not (
                own or handle.name == INPUT
            ):
                self._all_known = False

    def _free_name(self, operation: Operation) -> str:
        stem = operation.label
        while True:
            count = self._counts.get((self._scope, stem), 0) + 1
            self._counts[self._scope, stem] = count
            if f"{self._scope}{stem}{count}" not in self._nodes:
                return f"{stem}{count}"
