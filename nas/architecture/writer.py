"""How a graph is written: handles that know their shapes, names, and scopes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from nas.architecture.cost import Cost
from nas.architecture.graph import Architecture, checked_input
from nas.architecture.node import (
    INPUT,
    Node,
    Part,
    Piece,
    Placed,
    ancestors,
    check_names,
    expanded,
)
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


MOST_NODES = 100_000
"""The largest number of nodes of an architecture."""

_PARTS: dict[Hashable, Part] = {}
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
        self._pieces: dict[str, Piece] = {}
        self._known: dict[str, tuple[Shape, Cost]] = {}
        self._all_known = True
        self._names: list[str] = []  # of nodes, and the scopes of parts
        self._size = 0
        self._settings = settings
        self._scope = ""
        self._shared: tuple[str, str] | None = None  # this scope, and the one with its weights
        self._counts: dict[tuple[str, str], int] = {}

    def build(self, *outputs: Handle) -> Architecture:
        """Return the architecture with these outputs. Nodes that they do not need are left out."""
        names = [out.name for out in outputs]
        if not self._all_known:
            return Architecture(self.input.shape, self._expanded(), names)
        self._check_names()
        return Architecture.composed(self.input.shape, self._pieces.values(), self._known, names)

    @contextmanager
    def scope(self, name: str, weights: str | None = None) -> Iterator[None]:
        """Put ``name`` and a dot before the names of the nodes that are added inside.

        Args:
            name: the name of the scope.
            weights: the name of an earlier scope beside it, or "" for the surrounding one. Each
                node that has parameters or statistics then uses those of the node that has its
                name in that scope, as a torch module that is called again: parameters count once.
        """
        outer, shared = self._scope, self._shared
        self._scope = f"{outer}{name}."
        if weights is not None:
            self._shared = self._scope, f"{outer}{weights}." if weights else outer
        try:
            yield
        finally:
            self._scope, self._shared = outer, shared

    def add_operation(
        self, operation: Operation, *inputs: Handle, name: str | None = None
    ) -> Handle:
        """Add any operation.

        Raises:
            ArchitectureError: naming the node, if the name is taken or the shapes do not fit.
        """
        path = self._new(self._scope + (name or self._free_name(operation)), 1)
        self._check(*inputs)
        try:
            known = infer(operation, tuple(handle.shape for handle in inputs))
        except ArchitectureError as error:
            raise ArchitectureError(f"node {path!r}: {error}") from None
        node = Node(path, operation, tuple([handle.name for handle in inputs]))
        if self._shared and (known[1].params or operation.statistics):
            node = self._sharing(node)
        self._pieces[path] = node
        self._known[path] = known
        self._names.append(path)
        return Handle(path, known[0])

    def _handle(self, name: str) -> Handle:
        """Return the handle of the node with this name, or of the input."""
        return self.input if name == INPUT else Handle(name, self._found(name)[1])

    def _found(self, name: str) -> tuple[Node, Shape]:
        """Return the node with this name, also of a part, and its shape."""
        piece = self._pieces.get(name)
        if isinstance(piece, Node):
            return piece, self._known[name][0]
        for piece in self._pieces.values():
            if isinstance(piece, Placed) and name.startswith(piece.scope):
                for node, (shape, _) in expanded([piece], self._known):
                    if node.name == name:
                        return node, shape
        raise ArchitectureError(f"there is no node {name!r}")

    def _sharing(self, node: Node) -> Node:
        """Return the node with the weights of the scope that it shares them with."""
        assert self._shared is not None
        here, there = self._shared
        try:
            of, _ = self._found(there + node.name.removeprefix(here))
        except ArchitectureError as error:
            raise ArchitectureError(f"node {node.name!r}: weights: {error}") from None
        self._all_known = False  # the architecture is checked as a whole
        return node._replace(weights=of.owner)

    def include(self, architecture: Architecture, x: Handle | None = None) -> dict[str, Handle]:
        """Add all nodes of an architecture below the current scope, and return them by its names.

        So an architecture can be extended: what reads its nodes is added behind them, and nodes
        that nothing needs are left out by :meth:`build`.

        Args:
            architecture: the architecture, of which every node is added.
            x: what it reads; by default the input.

        Raises:
            ArchitectureError: if the architecture has another input shape than ``x``, or a name
                is taken.
        """
        x = self.input if x is None else x
        if x.shape != architecture.input_shape:
            raise ArchitectureError(
                f"an architecture for {architecture.input_shape} cannot read {x.shape}"
            )
        self._check(x)
        scope = self._scope
        if self._shared or any(node.weights for node in architecture.nodes):
            return self._include_nodes(architecture, x)
        for piece in architecture._pieces:
            path = scope + piece.name
            read = tuple([x.name if each == INPUT else scope + each for each in piece.inputs])
            if isinstance(piece, Placed):
                self._new(path, piece.part.size)
                self._pieces[path] = Placed(path, piece.part, (read[0],))
                self._names.append(scope + piece.scope[:-1])
            else:
                self._new(path, 1)
                self._pieces[path] = Node(path, piece.operation, read)
                self._names.append(path)
            self._known[path] = architecture._known[piece.name]
        inner = {name: Handle(scope + name, shape) for name, shape in architecture.shapes.items()}
        return {**inner, INPUT: x}

    def _include_nodes(self, architecture: Architecture, x: Handle) -> dict[str, Handle]:
        """Add the nodes of an architecture one by one, some of which share weights."""
        self._all_known = False
        handles = {INPUT: x}
        for node in architecture.nodes:
            read = [handles[name] for name in node.inputs]
            handles[node.name] = handle = self.add_operation(node.operation, *read, name=node.name)
            if node.weights and not self._shared:
                made, _ = self._found(handle.name)
                self._pieces[handle.name] = made._replace(weights=self._scope + node.weights)
        return handles

    def repeated(
        self, name: str, function: Callable[..., Handle], x: Handle, *arguments: Hashable
    ) -> Handle:
        """Return ``function(self, x, *arguments)`` as built in a scope of its own, ``name``.

        What a function adds for one shape of ``x`` and the same arguments is a
        :class:`~nas.architecture.node.Part`. It is built, checked, counted and hashed once, and
        remembered, also for other builders. So the function must read no other node than ``x``, and
        depend on nothing but its arguments, which must be hashable.
        """
        key = (type(self), *self._settings.items(), function, x.shape, arguments)
        part = _PARTS.get(key)
        if part is None and not self._shared:
            inner = type(self)(x.shape, **self._settings)
            try:
                part = inner._part(function(inner, inner.input, *arguments))
            except ArchitectureError:
                part = None  # its message is to have the whole path
            if part is not None:
                inner._check_names()
                if len(_PARTS) >= _MOST_PARTS:
                    _PARTS.clear()
                _PARTS[key] = part
        if part is None or self._shared:
            with self.scope(name):
                return function(self, x, *arguments)
        scope = self._scope + name
        path = self._new(f"{scope}.{part.output}", part.size)
        self._check(x)
        self._pieces[path] = Placed(path, part, (x.name,))
        self._known[path] = part.totals
        self._names.append(scope)
        return Handle(path, part.totals[0])

    def _part(self, output: Handle) -> Part | None:
        """Return what ``output`` needs; None if it is the input, or reads what is not here."""
        self._check(output)
        if not self._all_known or output.name == INPUT:
            return None
        needed = ancestors(list(self._pieces.values()), [output.name])
        pieces = tuple([piece for name, piece in self._pieces.items() if name in needed])
        known = {piece.name: self._known[piece.name] for piece in pieces}
        return Part(self.input.shape, pieces, known, output.name)

    def _new(self, path: str, nodes: int) -> str:
        """Return the path of a piece of so many nodes.

        Raises:
            ArchitectureError: if the path is taken, or the nodes are too many.
        """
        self._size += nodes
        if self._size > MOST_NODES:
            raise ArchitectureError(f"an architecture has at most {MOST_NODES:,} nodes")
        if path in self._pieces:
            raise ArchitectureError(f"node {path!r}: the name is already used")
        return path

    def _expanded(self) -> list[Node]:
        return [node for node, _ in expanded(self._pieces.values(), self._known)]

    def _check_names(self) -> None:
        """Check all names: those in a part are checked already, its scope stands for them."""
        try:
            check_names(self._names)
        except ArchitectureError:  # a scope that is not a part's own is no error by itself
            check_names([node.name for node in self._expanded()])

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
            if f"{self._scope}{stem}{count}" not in self._pieces:
                return f"{stem}{count}"
