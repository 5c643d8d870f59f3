"""Writing an architecture: a builder whose handles know their shapes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from typing import Literal, NamedTuple

from nas.architecture.graph import INPUT, Architecture, Node
from nas.architecture.operations import (
    Activation,
    AdaptiveAvgPool,
    Add,
    ArchitectureError,
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    Dropout,
    Flatten,
    Identity,
    Linear,
    LocalResponseNorm,
    MaxPool,
    Mean,
    Multiply,
    Operation,
    Pad,
    Shape,
    Slice,
    Zero,
    infer,
)
from nas.architecture.operations.base import Axes, axes
from nas.architecture.operations.layers import Function

PerAxis = int | Sequence[int]
"""One number for all spatial axes, or one an axis."""

Padding = Literal["valid", "same", "full"] | PerAxis
"""How a window treats the border: "valid" (none), "same" (the output is ``ceil(size / stride)``,
TensorFlow's rule), "full" (every window that touches the input), or zeros on both sides."""


class Handle(NamedTuple):
    """A node that is being built upon: its name and its shape (without the batch)."""

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


class Builder:
    """Adds operations one by one and ends in :meth:`build`.

    Every method takes handles and returns one. ``name`` is the node's path below the current
    :meth:`scope`; without it the node is called after its operation (``conv1``, ``conv2``).
    """

    def __init__(self, input_shape: Sequence[int]) -> None:
        self.input = Handle(INPUT, tuple(input_shape))
        self._nodes: dict[str, Node] = {}
        self._scope = ""
        self._counts: dict[tuple[str, str], int] = {}

    def build(self, *outputs: Handle) -> Architecture:
        """The architecture that returns ``outputs``; nodes that they do not need are left out."""
        return Architecture(self.input.shape, self._nodes.values(), [out.name for out in outputs])

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Put ``name`` and a dot before the names of the nodes added inside."""
        outer = self._scope
        self._scope = f"{outer}{name}."
        try:
            yield
        finally:
            self._scope = outer

    def add_operation(
        self, operation: Operation, *inputs: Handle, name: str | None = None
    ) -> Handle:
        """Add any operation. :class:`ArchitectureError` names the node that does not fit."""
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

    # --- windows ---

    def conv(
        self,
        x: Handle,
        channels: int,
        kernel: PerAxis,
        stride: PerAxis = 1,
        padding: Padding = 0,
        dilation: PerAxis = 1,
        groups: int = 1,
        bias: bool = True,
        name: str | None = None,
    ) -> Handle:
        """Convolution to ``channels``."""
        window = _Window("conv", x, kernel, stride, dilation)
        x, sides = self._padded(x, window, padding, "zero", name)
        operation = Conv(
            window.kernel,
            window.stride,
            sides,
            channels=channels,
            dilation=window.dilation,
            groups=groups,
            bias=bias,
        )
        return self.add_operation(operation, x, name=name)

    def depthwise(
        self,
        x: Handle,
        kernel: PerAxis,
        stride: PerAxis = 1,
        padding: Padding = 0,
        dilation: PerAxis = 1,
        bias: bool = True,
        name: str | None = None,
    ) -> Handle:
        """Depthwise convolution: one filter a channel."""
        channels = x.channels
        return self.conv(x, channels, kernel, stride, padding, dilation, channels, bias, name)

    def max_pool(
        self,
        x: Handle,
        kernel: PerAxis,
        stride: PerAxis | None = None,
        padding: Padding = 0,
        dilation: PerAxis = 1,
        ceil_mode: bool = False,
        name: str | None = None,
    ) -> Handle:
        """Max pooling; ``stride`` is the kernel unless given."""
        window = _Window("max_pool", x, kernel, stride, dilation)
        x, sides = self._padded(x, window, padding, "lowest", name, at_most_half=True)
        operation = MaxPool(
            window.kernel, window.stride, sides, dilation=window.dilation, ceil_mode=ceil_mode
        )
        return self.add_operation(operation, x, name=name)

    def avg_pool(
        self,
        x: Handle,
        kernel: PerAxis,
        stride: PerAxis | None = None,
        padding: Padding = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        name: str | None = None,
    ) -> Handle:
        """Average pooling; ``stride`` is the kernel unless given.

        ``count_include_pad=False`` needs padding that the operation itself can do: even, and at
        most half the kernel.
        """
        window = _Window("avg_pool", x, kernel, stride, 1)
        unpadded = x
        x, sides = self._padded(x, window, padding, "zero", name, at_most_half=True)
        if x is not unpadded and not count_include_pad:
            raise ArchitectureError(
                f"avg_pool: padding {padding!r} is uneven or over half the kernel here and becomes "
                "a node of its own, whose zeros count_include_pad=False cannot leave out"
            )
        operation = AvgPool(
            window.kernel,
            window.stride,
            sides,
            ceil_mode=ceil_mode,
            count_include_pad=count_include_pad,
        )
        return self.add_operation(operation, x, name=name)

    def adaptive_avg_pool(self, x: Handle, size: PerAxis, name: str | None = None) -> Handle:
        """Average pooling to ``size`` an axis."""
        operation = AdaptiveAvgPool(axes("adaptive_avg_pool", "size", size, len(x.spatial)))
        return self.add_operation(operation, x, name=name)

    def global_pool(self, x: Handle, keep_axes: bool = False, name: str | None = None) -> Handle:
        """The mean of each channel: ``(C, ...)`` to ``(C,)``, or to ``(C, 1, ...)``."""
        return self.add_operation(Mean(keep_axes), x, name=name)

    def pad(
        self,
        x: Handle,
        amounts: Sequence[tuple[int, int]],
        fill: Literal["zero", "lowest"] = "zero",
        name: str | None = None,
    ) -> Handle:
        """Explicit padding: one ``(before, after)`` an axis."""
        return self.add_operation(Pad(tuple(amounts), fill), x, name=name)

    def _padded(
        self,
        x: Handle,
        window: _Window,
        padding: Padding,
        fill: Literal["zero", "lowest"],
        name: str | None,
        at_most_half: bool = False,
    ) -> tuple[Handle, Axes]:
        """The padding that the operation can do itself; any other becomes a pad node before it.

        A window does even padding; a pool (``at_most_half``), at most half its kernel.
        """
        if not isinstance(padding, str):
            return x, axes(window.kind, "padding", padding, len(window.kernel), minimum=0)
        if padding not in ("valid", "same", "full"):
            raise ArchitectureError(
                f"{window.kind}: padding must be valid, same, full or numbers, got {padding!r}"
            )
        amounts = window.border(x.spatial, padding)
        sides = tuple(before for before, _ in amounts)
        small = all(2 * side <= k for side, k in zip(sides, window.kernel, strict=True))
        if all(before == after for before, after in amounts) and (small or not at_most_half):
            return x, sides
        x = self.pad(x, amounts, fill, name=f"{name}_pad" if name else None)
        return x, (0,) * len(amounts)

    # --- linear, normalisation, activation ---

    def linear(
        self, x: Handle, features: int, bias: bool = True, name: str | None = None
    ) -> Handle:
        """A fully connected layer over the last axis."""
        return self.add_operation(Linear(features, bias), x, name=name)

    def batch_norm(
        self,
        x: Handle,
        epsilon: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        name: str | None = None,
    ) -> Handle:
        """Batch normalisation."""
        return self.add_operation(BatchNorm(epsilon, momentum, affine), x, name=name)

    def local_response_norm(
        self,
        x: Handle,
        size: int = 5,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 1.0,
        name: str | None = None,
    ) -> Handle:
        """Local response normalisation across channels."""
        return self.add_operation(LocalResponseNorm(size, alpha, beta, k), x, name=name)

    def activation(self, x: Handle, function: Function, name: str | None = None) -> Handle:
        """An elementwise nonlinearity by name."""
        return self.add_operation(Activation(function), x, name=name)

    def relu(self, x: Handle, name: str | None = None) -> Handle:
        """Rectified linear unit."""
        return self.activation(x, "relu", name)

    def dropout(self, x: Handle, probability: float = 0.5, name: str | None = None) -> Handle:
        """Dropout."""
        return self.add_operation(Dropout(probability), x, name=name)

    # --- wiring ---

    def add(self, *inputs: Handle, name: str | None = None) -> Handle:
        """Elementwise sum."""
        return self.add_operation(Add(), *inputs, name=name)

    def multiply(self, a: Handle, b: Handle, name: str | None = None) -> Handle:
        """Elementwise product, axes of size 1 stretched."""
        return self.add_operation(Multiply(), a, b, name=name)

    def concat(self, *inputs: Handle, name: str | None = None) -> Handle:
        """Concatenation along channels."""
        return self.add_operation(Concat(), *inputs, name=name)

    def slice(self, x: Handle, start: int, stop: int, name: str | None = None) -> Handle:
        """Channels ``start`` to ``stop`` (exclusive)."""
        return self.add_operation(Slice(start, stop), x, name=name)

    def flatten(self, x: Handle, name: str | None = None) -> Handle:
        """All axes in one."""
        return self.add_operation(Flatten(), x, name=name)

    def identity(self, x: Handle, name: str | None = None) -> Handle:
        """The input itself."""
        return self.add_operation(Identity(), x, name=name)

    def zero(self, x: Handle, stride: int = 1, name: str | None = None) -> Handle:
        """Zeros of the input's shape, subsampled by ``stride``."""
        return self.add_operation(Zero(stride), x, name=name)


class _Window:
    """Kernel, stride (the kernel unless given) and dilation with one number an axis."""

    def __init__(
        self, kind: str, x: Handle, kernel: PerAxis, stride: PerAxis | None, dilation: PerAxis
    ) -> None:
        rank = len(x.spatial)
        self.kind = kind
        self.kernel = axes(kind, "kernel", kernel, rank)
        self.stride = self.kernel if stride is None else axes(kind, "stride", stride, rank)
        self.dilation = axes(kind, "dilation", dilation, rank)

    def border(self, sizes: Shape, padding: str) -> list[tuple[int, int]]:
        """``(before, after)`` an axis for "valid", "same" or "full"."""
        amounts = []
        for size, k, s, d in zip(sizes, self.kernel, self.stride, self.dilation, strict=True):
            reach = d * (k - 1)
            if padding == "valid":
                amounts.append((0, 0))
            elif padding == "full":
                amounts.append((reach, reach))
            else:
                total = max((ceil(size / s) - 1) * s + reach + 1 - size, 0)
                amounts.append((total // 2, total - total // 2))
        return amounts
