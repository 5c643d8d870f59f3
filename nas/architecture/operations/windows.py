"""Operations whose window slides over the spatial axes: convolution and pooling."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, prod
from operator import getitem, gt
from typing import TYPE_CHECKING, Any, ClassVar

from nas.architecture.cost import Cost
from nas.architecture.operations.base import (
    ArchitectureError,
    Axes,
    Channels,
    Operation,
    Reach,
    Shape,
    assign,
    axes,
    flag,
    per_rank,
    rank_of,
    spatial_axes,
    whole,
)

if TYPE_CHECKING:
    from torch import fx, nn


@dataclass(frozen=True)
class _Window(Operation):
    """A window that slides over the spatial axes; zero padding is symmetric."""

    kernel: Axes
    stride: Axes = 1  # type: ignore[assignment]
    padding: Axes = 0  # type: ignore[assignment]

    def __post_init__(self) -> None:
        rank = rank_of(self.kind, "kernel", self.kernel)
        assign(
            self,
            kernel=axes(self.kind, "kernel", self.kernel, rank),
            stride=axes(self.kind, "stride", self.stride, rank),
            padding=axes(self.kind, "padding", self.padding, rank, minimum=0),
        )

    def _slide(self, shape: Shape, dilation: Axes, ceil_mode: bool = False) -> Shape:
        sizes = spatial_axes(self.kind, shape, len(self.kernel))
        windows = zip(sizes, self.kernel, self.stride, self.padding, dilation, strict=True)
        return tuple(self._positions(*window, ceil_mode) for window in windows)

    def _positions(
        self, size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool
    ) -> int:
        room = size + 2 * padding - dilation * (kernel - 1) - 1
        count = (ceil(room / stride) if ceil_mode else room // stride) + 1
        if count < 1:
            raise ArchitectureError(
                f"{self.kind}: a window of {dilation * (kernel - 1) + 1} does not fit into "
                f"size {size} with padding {padding}"
            )
        if not ceil_mode:
            return count
        # As in torch, a last window that would start in the right-hand padding is dropped.
        return count - 1 if (count - 1) * stride >= size + padding else count

    def _reach(self, dilation: Axes) -> tuple[Reach, ...]:
        windows = zip(self.kernel, self.stride, self.padding, dilation, strict=True)
        return tuple(
            Reach(axis, Fraction(s), Fraction(-p), Fraction(d * (k - 1) - p))
            for axis, (k, s, p, d) in enumerate(windows, start=1)
        )

    def _check_pool_padding(self) -> None:
        for kernel, padding in zip(self.kernel, self.padding, strict=True):
            if 2 * padding > kernel:
                raise ArchitectureError(
                    f"{self.kind}: padding must be at most half the kernel, got "
                    f"padding {self.padding} for kernel {self.kernel}"
                )


@dataclass(frozen=True)
class Conv(_Window):
    """Convolves (cross-correlates); as many ``groups`` as input channels make it depthwise."""

    kind: ClassVar[str] = "conv"
    channels: int = field(kw_only=True)
    dilation: Axes = 1  # type: ignore[assignment]
    groups: int = 1
    bias: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        assign(self, dilation=axes(self.kind, "dilation", self.dilation, len(self.kernel)))
        whole(self.kind, "channels", self.channels)
        whole(self.kind, "groups", self.groups)
        flag(self.kind, "bias", self.bias)

    def shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        spatial = self._slide(x, self.dilation)
        _check_groups(self.kind, self.groups, x[0], self.channels)
        return (self.channels, *spatial)

    def cost(self, inputs: tuple[Shape, ...], output: Shape) -> Cost:
        weights = self.channels * (inputs[0][0] // self.groups) * prod(self.kernel)
        macs = weights * prod(output[1:])
        return Cost(weights + self.channels * self.bias, macs, macs, prod(output))

    def channels_as(self, inputs: tuple[Shape, ...]) -> Channels:
        return _convolved(self.groups, inputs[0][0], self.channels)

    def reach(self, source: Shape, output: Shape) -> tuple[Reach | None, ...]:
        return (None, *self._reach(self.dilation))

    def module(self, inputs: tuple[Shape, ...]) -> nn.Module:
        from torch import nn

        convs = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
        conv: type[Any] = per_rank(convs, len(self.kernel))
        module: nn.Module = conv(
            inputs[0][0],
            self.channels,
            self.kernel,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            self.bias,
        )
        return module


@dataclass(frozen=True)
class ConvTranspose(_Window):
    """Applies a transposed convolution, the gradient of a convolution.

    It enlarges the map ``stride`` times. ``output_padding`` adds positions at the end of each
    axis, whose number a stride leaves open.
    """

    kind: ClassVar[str] = "conv_transpose"
    channels: int = field(kw_only=True)
    dilation: Axes = 1  # type: ignore[assignment]
    output_padding: Axes = 0  # type: ignore[assignment]
    groups: int = 1
    bias: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        rank = len(self.kernel)
        assign(
            self,
            dilation=axes(self.kind, "dilation", self.dilation, rank),
            output_padding=axes(self.kind, "output_padding", self.output_padding, rank, minimum=0),
        )
        whole(self.kind, "channels", self.channels)
        whole(self.kind, "groups", self.groups)
        flag(self.kind, "bias", self.bias)
        for extra, *limits in zip(self.output_padding, self.stride, self.dilation, strict=True):
            if extra >= max(limits):
                raise ArchitectureError(
                    "conv_transpose: output_padding must be smaller than stride or dilation, got "
                    f"{self.output_padding} for {self.stride} and {self.dilation}"
                )

    def shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        sizes = spatial_axes(self.kind, x, len(self.kernel))
        _check_groups(self.kind, self.groups, x[0], self.channels)
        windows = zip(
            sizes, self.kernel, self.stride, self.padding, self.dilation, self.output_padding,
            strict=True,
        )  # fmt: skip
        return (
            self.channels,
            *((n - 1) * s - 2 * p + d * (k - 1) + 1 + extra for n, k, s, p, d, extra in windows),
        )

    def cost(self, inputs: tuple[Shape, ...], output: Shape) -> Cost:
        weights = inputs[0][0] * (self.channels // self.groups) * prod(self.kernel)
        macs = weights * prod(inputs[0][1:])
        return Cost(weights + self.channels * self.bias, macs, macs, prod(output))

    def channels_as(self, inputs: tuple[Shape, ...]) -> Channels:
        return _convolved(self.groups, inputs[0][0], self.channels)

    def reach(self, source: Shape, output: Shape) -> tuple[Reach | None, ...]:
        windows = zip(self.kernel, self.stride, self.padding, self.dilation, strict=True)
        return (
            None,
            *(
                Reach(axis, Fraction(1, s), Fraction(p - d * (k - 1), s), Fraction(p, s))
                for axis, (k, s, p, d) in enumerate(windows, start=1)
            ),
        )

    def module(self, inputs: tuple[Shape, ...]) -> nn.Module:
        from torch import nn

        convs = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
        conv: type[Any] = per_rank(convs, len(self.kernel))
        module: nn.Module = conv(
            inputs[0][0],
            self.channels,
            self.kernel,
            self.stride,
            self.padding,
            self.output_padding,
            self.groups,
            self.bias,
            self.dilation,
        )
        return module


def _convolved(groups: int, channels_in: int, channels_out: int) -> Channels:
    if groups == 1:
        return "mixed"
    return "kept" if groups == channels_in == channels_out else "ordered"


def _check_groups(kind: str, groups: int, channels_in: int, channels_out: int) -> None:
    if channels_in % groups or channels_out % groups:
        raise ArchitectureError(
            f"{kind}: groups must divide the channels, got {groups} groups for "
            f"{channels_in} channels in and {channels_out} out"
        )


@dataclass(frozen=True)
class MaxPool(_Window):
    """Takes the largest value under the window; padding counts as minus infinity."""

    kind: ClassVar[str] = "max_pool"
    channelwise: ClassVar[bool] = True
    dilation: Axes = 1  # type: ignore[assignment]
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        assign(self, dilation=axes(self.kind, "dilation", self.dilation, len(self.kernel)))
        flag(self.kind, "ceil_mode", self.ceil_mode)
        self._check_pool_padding()

    def shape(self, *inputs: Shape) -> Shape:
        return (inputs[0][0], *self._slide(inputs[0], self.dilation, self.ceil_mode))

    def reach(self, source: Shape, output: Shape) -> tuple[Reach | None, ...]:
        return (Reach(0), *self._reach(self.dilation))

    def module(self, inputs: tuple[Shape, ...]) -> nn.Module:
        from torch import nn

        pool = per_rank((nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d), len(self.kernel))
        return pool(self.kernel, self.stride, self.padding, self.dilation, ceil_mode=self.ceil_mode)


@dataclass(frozen=True)
class MaxUnpool(_Window):
    """Puts each value where max pooling found the largest one; all other positions are 0.

    The first input is what is put, and the second one is the map that was pooled with this kernel,
    stride and padding; the output has its size. So SegNet enlarges maps (Badrinarayanan et al.
    2017, arXiv:1511.00561, section 3). It equals torch's ``max_unpool`` with the pool's indices;
    deviation: the indices are found again instead of being kept, so the pooled map is kept.
    Windows must not overlap, because then several values could belong to one position.
    """

    kind: ClassVar[str] = "max_unpool"
    channelwise: ClassVar[bool] = True
    arity: ClassVar[int | None] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_pool_padding()
        if any(map(gt, self.kernel, self.stride)):
            raise ArchitectureError(
                f"max_unpool: stride must be at least the kernel, got stride {self.stride} for "
                f"kernel {self.kernel}"
            )

    @classmethod
    def of(cls, pool: Operation) -> MaxUnpool:
        """Return what undoes a max pooling.

        Raises:
            ArchitectureError: if it is none, or has a dilation or ``ceil_mode``.
        """
        plain = isinstance(pool, MaxPool) and max(pool.dilation) == 1 and not pool.ceil_mode
        if not plain:
            raise ArchitectureError(
                f"max_unpool: needs max_pool without dilation and ceil_mode, got {pool}"
            )
        assert isinstance(pool, MaxPool)
        return cls(pool.kernel, pool.stride, pool.padding)

    def shape(self, *inputs: Shape) -> Shape:
        x, source = inputs
        pooled = (source[0], *self._slide(source, (1,) * len(self.kernel)))
        if x != pooled:
            raise ArchitectureError(
                f"max_unpool: pooling {source} makes {pooled}, the values to be put are {x}"
            )
        return source

    def reach(self, source: Shape, output: Shape) -> tuple[Reach | None, ...]:
        windows = zip(self.kernel, self.stride, self.padding, strict=True)
        if source == output:  # a position depends on all others of its window
            reaches = [
                Reach(axis, Fraction(1), Fraction(1 - k), Fraction(k - 1))
                for axis, (k, _, _) in enumerate(windows, start=1)
            ]
        else:
            reaches = [
                Reach(axis, Fraction(1, s), Fraction(p + 1 - k, s), Fraction(p, s))
                for axis, (k, s, p) in enumerate(windows, start=1)
            ]
        return (Reach(0), *reaches)

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        import torch
        from torch.nn import functional

        x, source = inputs
        rank = len(self.kernel)
        pools = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)
        window = (source, self.kernel, self.stride, self.padding)
        found = graph.call_function(per_rank(pools, rank), window, {"return_indices": True})
        places = graph.call_method("flatten", (graph.call_function(getitem, (found, 1)), 2))
        values = graph.call_method("flatten", (x, 2))
        zeros = graph.call_method("flatten", (graph.call_function(torch.zeros_like, (source,)), 2))
        put = graph.call_function(torch.scatter, (zeros, 2, places, values))
        return graph.call_method("unflatten", (put, 2, source.meta["shape"][1:]))


@dataclass(frozen=True)
class AvgPool(_Window):
    """Averages under the window; ``count_include_pad`` says whether padding counts as zeros."""

    kind: ClassVar[str] = "avg_pool"
    channelwise: ClassVar[bool] = True
    ceil_mode: bool = False
    count_include_pad: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        flag(self.kind, "ceil_mode", self.ceil_mode)
        flag(self.kind, "count_include_pad", self.count_include_pad)
        self._check_pool_padding()

    def shape(self, *inputs: Shape) -> Shape:
        if len(self.kernel) == 3 and any(map(gt, self.kernel, inputs[0][1:])):
            raise ArchitectureError(
                "avg_pool: torch needs a kernel no larger than the input over three axes, got "
                f"{self.kernel} for {inputs[0]}"
            )
        no_dilation = (1,) * len(self.kernel)
        return (inputs[0][0], *self._slide(inputs[0], no_dilation, self.ceil_mode))

    def reach(self, source: Shape, output: Shape) -> tuple[Reach | None, ...]:
        return (Reach(0), *self._reach((1,) * len(self.kernel)))

    def module(self, inputs: tuple[Shape, ...]) -> nn.Module:
        from torch import nn

        pool: Any = per_rank((nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d), len(self.kernel))
        return pool(self.kernel, self.stride, self.padding, self.ceil_mode, self.count_include_pad)  # type: ignore[no-any-return]
