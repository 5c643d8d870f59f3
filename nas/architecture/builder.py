"""Writing an architecture: a builder whose handles know their shapes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from nas.architecture import operations as op
from nas.architecture.graph import Architecture, checked_input
from nas.architecture.node import INPUT, Node
from nas.architecture.operations import ArchitectureError, Operation, Shape, infer
from nas.architecture.operations.base import Axes, axes
from nas.architecture.operations.layers import Function
from nas.architecture.operations.normalization import NormAxis
from nas.architecture.operations.shaping import Fill, Interpolation
from nas.architecture.padding import Padding as Padding
from nas.architecture.padding import PerAxis as PerAxis
from nas.architecture.padding import Window


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

    Args:
        input_shape: without the batch, channels first.
        norm_epsilon: of every batch norm that is not told otherwise.
        norm_momentum: likewise.

    Raises:
        ArchitectureError: for an ``input_shape`` that is not of positive whole numbers.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        *,
        norm_epsilon: float = 1e-5,
        norm_momentum: float = 0.1,
    ) -> None:
        self.input = Handle(INPUT, checked_input(input_shape))
        self._norm_epsilon = norm_epsilon
        self._norm_momentum = norm_momentum
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
        window = self._window("conv", x, kernel, stride, dilation, name)
        x, sides = self._padded(x, window, padding, "zero", name)
        operation = op.Conv(
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

    def conv_transpose(
        self,
        x: Handle,
        channels: int,
        kernel: PerAxis,
        stride: PerAxis = 1,
        padding: PerAxis = 0,
        output_padding: PerAxis = 0,
        dilation: PerAxis = 1,
        groups: int = 1,
        bias: bool = True,
        name: str | None = None,
    ) -> Handle:
        """Transposed convolution to ``channels``."""
        window = self._window("conv_transpose", x, kernel, stride, dilation, name)
        operation = op.ConvTranspose(
            window.kernel,
            window.stride,
            window.sides("padding", padding),
            channels=channels,
            dilation=window.dilation,
            output_padding=window.sides("output_padding", output_padding),
            groups=groups,
            bias=bias,
        )
        return self.add_operation(operation, x, name=name)

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
        window = self._window("max_pool", x, kernel, stride, dilation, name)
        x, sides = self._padded(x, window, padding, "lowest", name, at_most_half=True)
        operation = op.MaxPool(
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
        window = self._window("avg_pool", x, kernel, stride, 1, name)
        unpadded = x
        x, sides = self._padded(x, window, padding, "zero", name, at_most_half=True)
        if x is not unpadded and not count_include_pad:
            raise ArchitectureError(
                f"avg_pool: padding {padding!r} is uneven or over half the kernel here and becomes "
                "a node of its own, whose zeros count_include_pad=False cannot leave out"
            )
        operation = op.AvgPool(
            window.kernel,
            window.stride,
            sides,
            ceil_mode=ceil_mode,
            count_include_pad=count_include_pad,
        )
        return self.add_operation(operation, x, name=name)

    def adaptive_avg_pool(self, x: Handle, size: PerAxis, name: str | None = None) -> Handle:
        """Average pooling to ``size`` an axis."""
        operation = op.AdaptiveAvgPool(axes("adaptive_avg_pool", "size", size, len(x.spatial)))
        return self.add_operation(operation, x, name=name)

    def global_pool(self, x: Handle, keep_axes: bool = False, name: str | None = None) -> Handle:
        """The mean of each channel: ``(C, ...)`` to ``(C,)``, or to ``(C, 1, ...)``."""
        return self.add_operation(op.Mean(keep_axes), x, name=name)

    def pad(
        self,
        x: Handle,
        amounts: Sequence[tuple[int, int]],
        fill: Fill = "zero",
        name: str | None = None,
    ) -> Handle:
        """Explicit padding: one ``(before, after)`` an axis; a negative one crops."""
        return self.add_operation(op.Pad(tuple(amounts), fill), x, name=name)

    def upsample(
        self,
        x: Handle,
        scale: PerAxis = 2,
        mode: Interpolation = "nearest",
        name: str | None = None,
    ) -> Handle:
        """Each spatial axis ``scale`` times as long."""
        sizes = axes("upsample", "scale", scale, len(x.spatial))
        return self.add_operation(op.Upsample(sizes, mode), x, name=name)

    def _window(
        self,
        kind: str,
        x: Handle,
        kernel: PerAxis,
        stride: PerAxis | None,
        dilation: PerAxis,
        name: str | None,
    ) -> Window:
        try:
            return Window(kind, x.shape, kernel, stride, dilation)
        except ArchitectureError as error:
            path = self._scope + (name or kind)
            raise ArchitectureError(f"node {path!r}: {error}") from None

    def _padded(
        self,
        x: Handle,
        window: Window,
        padding: Padding,
        fill: Fill,
        name: str | None,
        at_most_half: bool = False,
    ) -> tuple[Handle, Axes]:
        """The padding that the operation can do itself; any other becomes a pad node before it.

        A window does even padding; a pool (``at_most_half``), at most half its kernel.
        """
        if not isinstance(padding, str):
            return x, window.sides("padding", padding)
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

    # --- linear, attention, normalisation, activation ---

    def linear(
        self, x: Handle, features: int, bias: bool = True, name: str | None = None
    ) -> Handle:
        """A fully connected layer over the last axis."""
        return self.add_operation(op.Linear(features, bias), x, name=name)

    def attention(
        self, query: Handle, key: Handle, value: Handle, heads: int, name: str | None = None
    ) -> Handle:
        """Multi-head attention without projections; features are on the last axis."""
        return self.add_operation(op.Attention(heads), query, key, value, name=name)

    def scale(self, x: Handle, initial: float = 1e-6, name: str | None = None) -> Handle:
        """A learnt factor a channel, a parameter at the node's own path."""
        return self.add_operation(op.Scale(initial), x, name=name)

    def batch_norm(
        self,
        x: Handle,
        epsilon: float | None = None,
        momentum: float | None = None,
        affine: bool = True,
        name: str | None = None,
    ) -> Handle:
        """Batch normalisation; epsilon and momentum are the builder's unless given."""
        epsilon = self._norm_epsilon if epsilon is None else epsilon
        momentum = self._norm_momentum if momentum is None else momentum
        return self.add_operation(op.BatchNorm(epsilon, momentum, affine), x, name=name)

    def layer_norm(
        self,
        x: Handle,
        axis: NormAxis = "channels",
        epsilon: float = 1e-5,
        affine: bool = True,
        name: str | None = None,
    ) -> Handle:
        """Layer normalisation over the channels, or over the last axis."""
        return self.add_operation(op.LayerNorm(axis, epsilon, affine), x, name=name)

    def group_norm(
        self,
        x: Handle,
        groups: int,
        epsilon: float = 1e-5,
        affine: bool = True,
        name: str | None = None,
    ) -> Handle:
        """Group normalisation."""
        return self.add_operation(op.GroupNorm(groups, epsilon, affine), x, name=name)

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
        return self.add_operation(op.LocalResponseNorm(size, alpha, beta, k), x, name=name)

    def activation(self, x: Handle, function: Function, name: str | None = None) -> Handle:
        """An elementwise nonlinearity by name."""
        return self.add_operation(op.Activation(function), x, name=name)

    def relu(self, x: Handle, name: str | None = None) -> Handle:
        """Rectified linear unit."""
        return self.activation(x, "relu", name)

    def dropout(self, x: Handle, probability: float = 0.5, name: str | None = None) -> Handle:
        """Dropout."""
        return self.add_operation(op.Dropout(probability), x, name=name)

    def drop_path(self, x: Handle, probability: float, name: str | None = None) -> Handle:
        """Stochastic depth: dropout of whole samples."""
        return self.add_operation(op.DropPath(probability), x, name=name)

    # --- wiring ---

    def add(self, *inputs: Handle, name: str | None = None) -> Handle:
        """Elementwise sum."""
        return self.add_operation(op.Add(), *inputs, name=name)

    def multiply(self, a: Handle, b: Handle, name: str | None = None) -> Handle:
        """Elementwise product, axes of size 1 stretched."""
        return self.add_operation(op.Multiply(), a, b, name=name)

    def rescale(self, x: Handle, factor: float, name: str | None = None) -> Handle:
        """The input times a constant."""
        return self.add_operation(op.Rescale(factor), x, name=name)

    def concat(self, *inputs: Handle, name: str | None = None) -> Handle:
        """Concatenation along channels."""
        return self.add_operation(op.Concat(), *inputs, name=name)

    def slice(self, x: Handle, start: int, stop: int, name: str | None = None) -> Handle:
        """Channels ``start`` to ``stop`` (exclusive)."""
        return self.add_operation(op.Slice(start, stop), x, name=name)

    def flatten(self, x: Handle, name: str | None = None) -> Handle:
        """All axes in one."""
        return self.add_operation(op.Flatten(), x, name=name)

    def permute(self, x: Handle, order: Sequence[int], name: str | None = None) -> Handle:
        """The axes in another order."""
        return self.add_operation(op.Permute(tuple(order)), x, name=name)

    def channel_shuffle(self, x: Handle, groups: int, name: str | None = None) -> Handle:
        """The channels of ``groups`` dealt out in turn."""
        return self.add_operation(op.ChannelShuffle(groups), x, name=name)

    def identity(self, x: Handle, name: str | None = None) -> Handle:
        """The input itself."""
        return self.add_operation(op.Identity(), x, name=name)

    def zero(self, x: Handle, stride: int = 1, name: str | None = None) -> Handle:
        """Zeros of the input's shape, subsampled by ``stride``."""
        return self.add_operation(op.Zero(stride), x, name=name)
