"""Operations that join and split. They have no weights and, by fvcore's rules, no cost."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import TYPE_CHECKING, ClassVar

from nas.architecture.operations.base import (
    ArchitectureError,
    Operation,
    Reach,
    Shape,
    all_of,
    assign,
    listed,
    number,
    whole,
)

if TYPE_CHECKING:
    from torch import fx


@dataclass(frozen=True)
class Identity(Operation):
    """Returns its input."""

    kind: ClassVar[str] = "identity"
    channelwise: ClassVar[bool] = True
    view: ClassVar[bool] = True

    def shape(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        return inputs[0]


@dataclass(frozen=True)
class Zero(Operation):
    """Makes zeros at every ``stride``-th position of the input: the absent edge of a cell."""

    kind: ClassVar[str] = "zero"
    channelwise: ClassVar[bool] = True
    stride: int = 1

    def __post_init__(self) -> None:
        whole(self.kind, "stride", self.stride)

    def shape(self, *inputs: Shape) -> Shape:
        return (inputs[0][0], *(math.ceil(size / self.stride) for size in inputs[0][1:]))

    def reach(self, source: Shape, output: Shape) -> tuple[Reach | None, ...]:
        stride = Fraction(self.stride)
        return (Reach(0), *(Reach(axis, stride) for axis in range(1, len(output))))

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
    """Adds its inputs, which have one shape, elementwise."""

    kind: ClassVar[str] = "add"
    channelwise: ClassVar[bool] = True
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
class LogMeanSoftmax(Operation):
    """The logarithm of the mean of its inputs' softmax: scores of an ensemble of classifiers.

    The softmax is over the channels. That of the result is the mean of the inputs' probabilities.
    """

    kind: ClassVar[str] = "log_mean_softmax"
    channelwise: ClassVar[bool] = True
    arity: ClassVar[int | None] = None
    commutative: ClassVar[bool] = True

    def shape(self, *inputs: Shape) -> Shape:
        if len(set(inputs)) > 1:
            raise ArchitectureError(f"{self.kind} needs inputs of one shape, got {listed(inputs)}")
        return inputs[0]

    def reach(self, source: Shape, output: Shape) -> tuple[Reach | None, ...]:
        return (all_of(0), *(Reach(axis) for axis in range(1, len(output))))

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        import torch

        # Sums of logarithms instead of probabilities, which may all be rounded to 0.
        scores = graph.call_function(torch.stack, (list(inputs),))
        logarithms = graph.call_function(torch.log_softmax, (scores,), {"dim": 2})
        total = graph.call_function(torch.logsumexp, (logarithms,), {"dim": 0})
        return graph.call_function(torch.add, (total, -math.log(len(inputs))))


@dataclass(frozen=True)
class Multiply(Operation):
    """Multiplies two inputs elementwise; an axis of size 1 is stretched to the other's size."""

    kind: ClassVar[str] = "multiply"
    channelwise: ClassVar[bool] = True
    arity: ClassVar[int | None] = 2
    commutative: ClassVar[bool] = True

    def shape(self, *inputs: Shape) -> Shape:
        a, b = inputs
        if len(a) != len(b) or any(m != n and 1 not in (m, n) for m, n in zip(a, b, strict=True)):
            raise ArchitectureError(
                f"multiply needs shapes that are equal or 1 on each axis, got {listed(inputs)}"
            )
        return tuple(map(max, a, b))

    def reach(self, source: Shape, output: Shape) -> tuple[Reach | None, ...]:
        sizes = zip(source, output, strict=True)
        return tuple(Reach(axis) if m == n else None for axis, (m, n) in enumerate(sizes))

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        import torch

        return graph.call_function(torch.mul, inputs)


@dataclass(frozen=True)
class Rescale(Operation):
    """Multiplies its input by a constant, as in Szegedy et al. 2017, section 3.3."""

    kind: ClassVar[str] = "rescale"
    channelwise: ClassVar[bool] = True
    factor: float

    def __post_init__(self) -> None:
        assign(self, factor=number(self.kind, "factor", self.factor, 0.0))

    def shape(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        import torch

        return graph.call_function(torch.mul, (inputs[0], self.factor))


@dataclass(frozen=True)
class Concat(Operation):
    """Concatenates its inputs along the channels; their order matters."""

    kind: ClassVar[str] = "concat"
    arity: ClassVar[int | None] = None

    def shape(self, *inputs: Shape) -> Shape:
        if len({shape[1:] for shape in inputs}) > 1:
            raise ArchitectureError(
                f"concat needs inputs of one spatial size, got {listed(inputs)}"
            )
        return (sum(shape[0] for shape in inputs), *inputs[0][1:])

    def reach(self, source: Shape, output: Shape) -> tuple[Reach | None, ...]:
        return (all_of(0), *(Reach(axis) for axis in range(1, len(output))))

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        import torch

        return graph.call_function(torch.cat, (list(inputs), 1))


@dataclass(frozen=True)
class Slice(Operation):
    """Takes channels ``start`` to ``stop`` (exclusive), for splits and partial connections."""

    kind: ClassVar[str] = "slice"
    view: ClassVar[bool] = True
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

    def reach(self, source: Shape, output: Shape) -> tuple[Reach | None, ...]:
        start = Fraction(self.start)
        sliced = Reach(0, Fraction(1), start, start)
        return (sliced, *(Reach(axis) for axis in range(1, len(output))))

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        window = (slice(None), slice(self.start, self.stop))
        return graph.call_function(operator.getitem, (inputs[0], window))
