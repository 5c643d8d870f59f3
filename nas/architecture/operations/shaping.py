"""Operations without weights that move, pad, average or resize a map."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from nas.architecture.cost import FREE, Cost
from nas.architecture.operations.base import (
    ArchitectureError,
    Axes,
    Operation,
    Reach,
    Shape,
    all_of,
    assign,
    axes,
    flag,
    one_of,
    per_rank,
    rank_of,
    spatial_axes,
    whole,
)

if TYPE_CHECKING:
    from torch import fx, nn


@dataclass(frozen=True)
class Flatten(Operation):
    """Flattens the axes from ``start`` to ``end`` into one, as ``torch.flatten``.

    By default these are all: ``(C, H, W)`` to ``(C * H * W,)``; with ``start`` 1, to
    ``(C, H * W)``. Axes are counted without the batch; -1 is the last one.
    """

    kind: ClassVar[str] = "flatten"
    channelwise: ClassVar[bool] = True
    view: ClassVar[bool] = True
    start: int = 0
    end: int = -1

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            whole(self.kind, name, getattr(self, name), minimum=None)

    def attributes(self) -> dict[str, Any]:
        """Return what is not as by default, because earlier versions knew no attributes."""
        return {name: v for name, v in super().attributes().items() if v != getattr(Flatten, name)}

    def shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        first, last = self._ends(x)
        return (*x[:first], prod(x[first : last + 1]), *x[last + 1 :])

    def _ends(self, x: Shape) -> tuple[int, int]:
        """Return the first and the last axis, counted from 0."""
        first, last = (axis + len(x) * (axis < 0) for axis in (self.start, self.end))
        if not 0 <= first <= last < len(x):
            raise ArchitectureError(
                f"flatten: start and end must be axes of {x} in this order, got {self.start} and "
                f"{self.end}"
            )
        return first, last

    def reach(self, source: Shape, output: Shape) -> tuple[Reach | None, ...]:
        first, last = self._ends(source)
        kept = [Reach(axis) for axis in range(len(source))]
        joined = kept[first] if first == last else None
        return (*kept[:first], joined, *kept[last + 1 :])

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        import torch

        first, last = self._ends(inputs[0].meta["shape"])
        rest = () if last == len(inputs[0].meta["shape"]) - 1 else (last + 1,)
        return graph.call_function(torch.flatten, (inputs[0], first + 1, *rest))


@dataclass(frozen=True)
class Unflatten(Operation):
    """Splits an axis into axes of ``sizes``, as ``torch.unflatten``; it undoes :class:`Flatten`.

    With axis 0 and sizes (1, 9), ``(9, H, W)`` becomes the volume ``(1, 9, H, W)``. Axes are
    counted without the batch.
    """

    kind: ClassVar[str] = "unflatten"
    view: ClassVar[bool] = True
    axis: int
    sizes: Axes

    def __post_init__(self) -> None:
        whole(self.kind, "axis", self.axis, minimum=0)
        rank = len(self.sizes) if isinstance(self.sizes, tuple | list) else 1
        assign(self, sizes=axes(self.kind, "sizes", self.sizes, rank))
        if not rank:
            raise ArchitectureError("unflatten: sizes must be one or more, got []")

    def shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if self.axis >= len(x) or prod(self.sizes) != x[self.axis]:
            raise ArchitectureError(
                f"unflatten: sizes {self.sizes} must multiply to axis {self.axis} of {x}"
            )
        return (*x[: self.axis], *self.sizes, *x[self.axis + 1 :])

    def reach(self, source: Shape, output: Shape) -> tuple[Reach | None, ...]:
        kept = [Reach(axis) for axis in range(len(source))]
        longer = [size > 1 for size in self.sizes]
        # Of several, each sees positions that are apart; an axis that is not named is seen whole.
        split = [kept[self.axis] if one and sum(longer) == 1 else None for one in longer]
        return (*kept[: self.axis], *split, *kept[self.axis + 1 :])

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        return graph.call_method("unflatten", (inputs[0], self.axis + 1, self.sizes))


@dataclass(frozen=True)
class Permute(Operation):
    """Puts the axes in another ``order``: ``(1, 2, 0)`` makes ``(H, W, C)`` of ``(C, H, W)``."""

    kind: ClassVar[str] = "permute"
    view: ClassVar[bool] = True
    order: Axes

    def __post_init__(self) -> None:
        rank = len(self.order) if isinstance(self.order, tuple | list) else 1
        assign(self, order=axes(self.kind, "order", self.order, rank, minimum=0))
        if sorted(self.order) != list(range(rank)) or not rank:
            raise ArchitectureError(
                f"permute: order must name each axis once, from 0, got {list(self.order)}"
            )

    def shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if len(x) != len(self.order):
            raise ArchitectureError(f"permute: order {self.order} is not that of the axes of {x}")
        return tuple(x[axis] for axis in self.order)

    def reach(self, source: Shape, output: Shape) -> tuple[Reach | None, ...]:
        return tuple(map(Reach, self.order))

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        import torch

        return graph.call_function(torch.permute, (inputs[0], (0, *(a + 1 for a in self.order))))


@dataclass(frozen=True)
class ChannelShuffle(Operation):
    """Takes one channel per group in turn (Zhang et al. 2018, arXiv:1707.01083, section 3.1)."""

    kind: ClassVar[str] = "channel_shuffle"
    groups: int

    def __post_init__(self) -> None:
        whole(self.kind, "groups", self.groups)

    def shape(self, *inputs: Shape) -> Shape:
        if inputs[0][0] % self.groups:
            raise ArchitectureError(
                f"channel_shuffle: groups must divide the channels, got {self.groups} groups for "
                f"{inputs[0][0]} channels"
            )
        return inputs[0]

    def reach(self, source: Shape, output: Shape) -> tuple[Reach | None, ...]:
        return (all_of(0), *(Reach(axis) for axis in range(1, len(output))))

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        x = graph.call_method("unflatten", (inputs[0], 1, (self.groups, -1)))
        x = graph.call_method("transpose", (x, 1, 2))
        return graph.call_method("flatten", (x, 1, 2))


@dataclass(frozen=True)
class Mean(Operation):
    """Averages over all spatial axes: ``(C, ...)`` to ``(C,)``, or to ``(C, 1, ...)`` if kept."""

    kind: ClassVar[str] = "mean"
    channelwise: ClassVar[bool] = True
    keep_axes: bool = False

    def __post_init__(self) -> None:
        flag(self.kind, "keep_axes", self.keep_axes)

    def shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if len(x) < 2:
            raise ArchitectureError(f"mean needs spatial axes, got {x}")
        return (x[0], *(1,) * (len(x) - 1)) if self.keep_axes else (x[0],)

    def reach(self, source: Shape, output: Shape) -> tuple[Reach | None, ...]:
        return (Reach(0), *(None for _ in output[1:]))

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        rank = len(inputs[0].meta["shape"]) - 1
        return graph.call_method(
            "mean", (inputs[0], tuple(range(2, 2 + rank))), {"keepdim": self.keep_axes}
        )


@dataclass(frozen=True)
class AdaptiveAvgPool(Operation):
    """Averages to a given size. fvcore counts its input, but only over two axes."""

    kind: ClassVar[str] = "adaptive_avg_pool"
    channelwise: ClassVar[bool] = True
    size: Axes

    def __post_init__(self) -> None:
        rank = rank_of(self.kind, "size", self.size)
        assign(self, size=axes(self.kind, "size", self.size, rank))

    def shape(self, *inputs: Shape) -> Shape:
        spatial_axes(self.kind, inputs[0], len(self.size))
        return (inputs[0][0], *self.size)

    def cost(self, inputs: tuple[Shape, ...], output: Shape) -> Cost:
        return Cost(flops=prod(inputs[0])) if len(self.size) == 2 else FREE

    def reach(self, source: Shape, output: Shape) -> tuple[Reach | None, ...]:
        reaches: list[Reach | None] = [Reach(0)]
        for axis, (size, count) in enumerate(zip(source[1:], self.size, strict=True), start=1):
            stride = Fraction(size, count)
            # The windows differ in length if their number does not divide the size.
            slack = Fraction(count - 1, count) if size % count else Fraction(0)
            window = Reach(axis, stride, -slack, stride - 1 + slack)
            reaches.append(window if count > 1 else None)
        return tuple(reaches)

    def module(self, inputs: tuple[Shape, ...]) -> nn.Module:
        from torch import nn

        pools = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
        pool: Any = per_rank(pools, len(self.size))
        return pool(self.size)  # type: ignore[no-any-return]


Fill = Literal["zero", "lowest"]


@dataclass(frozen=True)
class Pad(Operation):
    """Pads each axis by ``amounts``, one ``(before, after)`` per axis; a negative number crops.

    ``fill`` is "zero", or "lowest" (minus infinity) in front of a max pool.
    """

    kind: ClassVar[str] = "pad"
    channelwise: ClassVar[bool] = True
    amounts: tuple[tuple[int, int], ...]
    fill: Fill = "zero"

    def __post_init__(self) -> None:
        rank_of(self.kind, "amounts", self.amounts)
        pairs = self.amounts if isinstance(self.amounts, tuple | list) else (self.amounts,)
        assign(self, amounts=tuple(axes(self.kind, "amounts", p, 2, minimum=None) for p in pairs))
        one_of(self.kind, "fill", self.fill, Fill)

    def shape(self, *inputs: Shape) -> Shape:
        sizes = spatial_axes(self.kind, inputs[0], len(self.amounts))
        for size, amounts in zip(sizes, self.amounts, strict=True):
            if size + sum(min(amount, 0) for amount in amounts) < 1:
                raise ArchitectureError(f"pad: amounts {amounts} crop all of size {size}")
        padded = (s + sum(a) for s, a in zip(sizes, self.amounts, strict=True))
        return (inputs[0][0], *padded)

    def reach(self, source: Shape, output: Shape) -> tuple[Reach | None, ...]:
        befores = (Fraction(-before) for before, _ in self.amounts)
        return (Reach(0), *(Reach(i, Fraction(1), b, b) for i, b in enumerate(befores, start=1)))

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        from torch.nn import functional

        flat = [n for pair in reversed(self.amounts) for n in pair]  # torch has the last axis first
        value = 0.0 if self.fill == "zero" else float("-inf")
        return graph.call_function(functional.pad, (inputs[0], flat), {"value": value})


Interpolation = Literal["nearest", "linear"]


@dataclass(frozen=True)
class Upsample(Operation):
    """Enlarges each spatial axis ``scale`` times, without weights.

    ``mode`` is "nearest" or "linear" (bilinear over two axes, trilinear over three; corners are
    not aligned). fvcore counts 1 and 4 per output element, but only over two axes.
    """

    kind: ClassVar[str] = "upsample"
    channelwise: ClassVar[bool] = True
    scale: Axes
    mode: Interpolation = "nearest"

    def __post_init__(self) -> None:
        rank = rank_of(self.kind, "scale", self.scale)
        assign(self, scale=axes(self.kind, "scale", self.scale, rank))
        one_of(self.kind, "mode", self.mode, Interpolation)

    def shape(self, *inputs: Shape) -> Shape:
        sizes = spatial_axes(self.kind, inputs[0], len(self.scale))
        return (inputs[0][0], *(n * s for n, s in zip(sizes, self.scale, strict=True)))

    def cost(self, inputs: tuple[Shape, ...], output: Shape) -> Cost:
        return _interpolation_cost(self.mode, output)

    def reach(self, source: Shape, output: Shape) -> tuple[Reach | None, ...]:
        return _interpolation_reach(self.mode, source, output)

    def module(self, inputs: tuple[Shape, ...]) -> nn.Module:
        from torch import nn

        scale: Any = tuple(map(float, self.scale))
        return nn.Upsample(scale_factor=scale, mode=_interpolation(self.mode, len(self.scale)))


@dataclass(frozen=True)
class Resize(Operation):
    """Brings each spatial axis to ``size``, without weights; otherwise it is :class:`Upsample`."""

    kind: ClassVar[str] = "resize"
    channelwise: ClassVar[bool] = True
    size: Axes
    mode: Interpolation = "nearest"

    def __post_init__(self) -> None:
        rank = rank_of(self.kind, "size", self.size)
        assign(self, size=axes(self.kind, "size", self.size, rank))
        one_of(self.kind, "mode", self.mode, Interpolation)

    def shape(self, *inputs: Shape) -> Shape:
        spatial_axes(self.kind, inputs[0], len(self.size))
        return (inputs[0][0], *self.size)

    def cost(self, inputs: tuple[Shape, ...], output: Shape) -> Cost:
        return _interpolation_cost(self.mode, output)

    def reach(self, source: Shape, output: Shape) -> tuple[Reach | None, ...]:
        return _interpolation_reach(self.mode, source, output)

    def module(self, inputs: tuple[Shape, ...]) -> nn.Module:
        from torch import nn

        return nn.Upsample(size=self.size, mode=_interpolation(self.mode, len(self.size)))


def _interpolation(mode: Interpolation, rank: int) -> str:
    return mode if mode == "nearest" else per_rank(("linear", "bilinear", "trilinear"), rank)


def _interpolation_cost(mode: Interpolation, output: Shape) -> Cost:
    return Cost(flops=(1 if mode == "nearest" else 4) * prod(output)) if len(output) == 3 else FREE


def _interpolation_reach(
    mode: Interpolation, source: Shape, output: Shape
) -> tuple[Reach | None, ...]:
    reaches = [Reach(0)]
    for axis, sizes in enumerate(zip(source[1:], output[1:], strict=True), start=1):
        stride = Fraction(*sizes)
        parts = stride.denominator
        first, last = Fraction(1, parts) - 1, Fraction(0)  # the floor of i * stride
        if mode == "linear":  # two positions around (i + 1/2) * stride - 1/2, one if it is whole
            whole_at_times = (stride.numerator - parts) % 2 == 0
            side = 1 - Fraction(1, parts if whole_at_times else 2 * parts)
            first, last = (stride - 1) / 2 - side, (stride - 1) / 2 + side
        reaches.append(Reach(axis, stride, first, last))
    return tuple(reaches)
