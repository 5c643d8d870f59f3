"""How a graph is written: handles that know their shapes, names, and scopes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from nas.architecture.graph import Architecture, checked_input
from nas.architecture.node import INPUT, Node
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


class Writer:
    """Adds operations one by one, names them, and makes the architecture.

    Args:
        input_shape: the shape of the input without the batch, channels first.

    Raises:
        ArchitectureError: if a size in ``input_shape`` is not a positive whole number.
    """

    def __init__(self, input_shape: Sequence[int]) -> None:
        self.input = Handle(INPUT, checked_input(input_shape))
        self._nodes: dict[str, Node] = {}
        self._scope = ""
        self._counts: dict[tuple[str, str], int] = {}

    def build(self, *outputs: Handle) -> Architecture:
        """Return the architecture with these outputs. Nodes that they do not need are left out."""
        return Architecture(self.input.shape, self._nodes.values(), [out.name for out in outputs])

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
        path = self._scope + (name or self._free_name(operation))
        if path in self._nodes:
            raise ArchitectureError(f"node {path!r}: the name is taken")
        try:
            shape, _ = infer(operation, tuple(handle.shape for handle in inputs))
        except ArchitectureError as error:
            raise ArchitectureError(f"node {path!r}: {error}") from None
        self._nodes[path] = Node(path, operation, tuple(handle.name for handle in inputs))
        return Handle(path, shape)

    def _free_name(self, operation: Operation) -> str:
        stem = operation.label
        while True:
            count = self._counts.get((self._scope, stem), 0) + 1
            self._counts[self._scope, stem] = count
            if f"{self._scope}{stem}{count}" not in self._nodes:
                return f"{stem}{count}"
