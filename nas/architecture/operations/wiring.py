"""What joins, splits and reshapes: no weights and, by fvcore's rules, no cost."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import reduce
from math import ceil, prod
from typing import TYPE_CHECKING, ClassVar, Literal

from nas.architecture.operations.base import (
    ArchitectureError,
    Operation,
    Shape,
    assign,
    axes,
    flag,
    listed,
    rank_of,
    spatial_axes,
    whole,
)
from nas.registry import unknown

if TYPE_CHECKING:
    from torch import fx


@dataclass(frozen=True)
class Identity(Operation):
    """Passes its input on."""

    kind: ClassVar[str] = "identity"

    def shape(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        return inputs[0]


@dataclass(frozen=True)
class Zero(Operation):
    """Zeros of the input's shape, every ``stride``-th position: the absent edge of a cell space."""

    kind: ClassVar[str] = "zero"
    stride: int = 1

    def __post_init__(self) -> None:
        whole(self.kind, "stride", self.stride)

    def shape(self, *inputs: Shape) -> Shape:
        return (inputs[0][0], *(ceil(size / self.stride) for size in inputs[0][1:]))

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        import torch

        (x,) = inputs
        if self.stride > 1:
            every = slice(None, None, self.stride)
            steps = (slice(None), slice(None), *(every for _ in x.meta["shape"][1:]))
            x = graph.call_function(operator.getitem, (x, steps))
        return graph.call_function(torch.zeros_like, (x,))


@dataclass(frozen=True)
class Add(Operation):
    """The elementwise sum of its inputs, which have one shape."""

    kind: ClassVar[str] = "add"
    arity: ClassVar[int | None] = None
    commutative: ClassVar[bool] = True

    def shape(self, *inputs: Shape) -> Shape:
        if len(set(inputs)) > 1:
            raise ArchitectureError(f"add needs inputs of one shape, got {listed(inputs)}")
        return inputs[0]

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        import torch

        return reduce(lambda a, b: graph.call_function(torch.add, (a, b)), inputs)


@dataclass(frozen=True)
class Multiply(Operation):
    """The elementwise product of two inputs; an axis of size 1 is stretched to the other's."""

    kind: ClassVar[str] = "multiply"
    arity: ClassVar[int | None] = 2
    commutative: ClassVar[bool] = True

    def shape(self, *inputs: Shape) -> Shape:
        a, b = inputs
        if len(a) != len(b) or any(m != n and 1 not in (m, n) for m, n in zip(a, b, strict=True)):
            raise ArchitectureError(
                f"multiply needs shapes that are equal or 1 on each axis, got {listed(inputs)}"
            )
        return tuple(map(max, a, b))

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        import torch

        return graph.call_function(torch.mul, inputs)


@dataclass(frozen=True)
class Concat(Operation):
    """Its inputs one behind the other along the channels; their order matters."""

    kind: ClassVar[str] = "concat"
    arity: ClassVar[int | None] = None

    def shape(self, *inputs: Shape) -> Shape:
        if len({shape[1:] for shape in inputs}) > 1:
            raise ArchitectureError(
                f"concat needs inputs of one spatial size, got {listed(inputs)}"
            )
        return (sum(shape[0] for shape in inputs), *inputs[0][1:])

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        import torch

        return graph.call_function(torch.cat, (list(inputs), 1))


@dataclass(frozen=True)
class Slice(Operation):
    """Channels ``start`` to ``stop`` (exclusive): serves split, chunk and partial connections."""

    kind: ClassVar[str] = "slice"
    start: int
    stop: int

    def __post_init__(self) -> None:
        whole(self.kind, "start", self.start, minimum=0)
        whole(self.kind, "stop", self.stop)
        if self.stop <= self.start:
            raise ArchitectureError(
                f"slice: stop must be greater than start, got {self.stop} and {self.start}"
            )

    def shape(self, *inputs: Shape) -> Shape:
        if self.stop > inputs[0][0]:
            raise ArchitectureError(f"slice to {self.stop} of only {inputs[0][0]} channels")
        return (self.stop - self.start, *inputs[0][1:])

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        window = (slice(None), slice(self.start, self.stop))
        return graph.call_function(operator.getitem, (inputs[0], window))


@dataclass(frozen=True)
class Flatten(Operation):
    """All axes in one: ``(C, H, W)`` to ``(C * H * W,)``."""

    kind: ClassVar[str] = "flatten"

    def shape(self, *inputs: Shape) -> Shape:
        return (prod(inputs[0]),)

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        import torch

        return graph.call_function(torch.flatten, (inputs[0], 1))


@dataclass(frozen=True)
class Mean(Operation):
    """The mean over all spatial axes: ``(C, ...)`` to ``(C,)``, or ``(C, 1, ...)`` if kept."""

    kind: ClassVar[str] = "mean"
    keep_axes: bool = False

    def __post_init__(self) -> None:
        flag(self.kind, "keep_axes", self.keep_axes)

    def shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if len(x) < 2:
            raise ArchitectureError(f"mean needs spatial axes, got {x}")
        return (x[0], *(1,) * (len(x) - 1)) if self.keep_axes else (x[0],)

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        rank = len(inputs[0].meta["shape"]) - 1
        return graph.call_method(
            "mean", (inputs[0], tuple(range(2, 2 + rank))), {"keepdim": self.keep_axes}
        )


@dataclass(frozen=True)
class Pad(Operation):
    """Explicit padding, ``amounts`` = one ``(before, after)`` an axis.

    ``fill`` is "zero", or "lowest" (minus infinity) for what a max pool follows.
    """

    kind: ClassVar[str] = "pad"
    amounts: tuple[tuple[int, int], ...]
    fill: Literal["zero", "lowest"] = "zero"

    def __post_init__(self) -> None:
        rank_of(self.kind, "amounts", self.amounts)
        pairs = self.amounts if isinstance(self.amounts, tuple | list) else (self.amounts,)
        assign(self, amounts=tuple(axes(self.kind, "amounts", p, 2, minimum=0) for p in pairs))
        if self.fill not in ("zero", "lowest"):
            raise ArchitectureError(f"pad: {unknown('fill', self.fill, ['zero', 'lowest'])}")

    def shape(self, *inputs: Shape) -> Shape:
        sizes = spatial_axes(self.kind, inputs[0], len(self.amounts))
        padded = (s + sum(a) for s, a in zip(sizes, self.amounts, strict=True))
        return (inputs[0][0], *padded)

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        from torch.nn import functional

        flat = [n for pair in reversed(self.amounts) for n in pair]  # torch: last axis first
        value = 0.0 if self.fill == "zero" else float("-inf")
        return graph.call_function(functional.pad, (inputs[0], flat), {"value": value})
