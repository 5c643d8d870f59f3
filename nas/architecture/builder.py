"""The builder: one method for each operation, to write an architecture with."""

from __future__ import annotations

from collections.abc import Sequence

from nas.architecture import operations as op
from nas.architecture.operations import ArchitectureError
from nas.architecture.operations.base import Axes, axes
from nas.architecture.operations.boxes import Coder
from nas.architecture.operations.layers import Function
from nas.architecture.operations.normalization import NormAxis
from nas.architecture.operations.shaping import Fill, Interpolation
from nas.architecture.padding import Padding as Padding
from nas.architecture.padding import PerAxis as PerAxis
from nas.architecture.padding import Window
from nas.architecture.writer import Handle as Handle
from nas.architecture.writer import Writer


class Builder(Writer):
    """Adds operations one by one and ends in :meth:`build`.

    Every method takes handles and returns a handle. ``name`` is the node's path below the current
    :meth:`scope`. Without a name, the node is called after its operation (``conv1``, ``conv2``).

    Args:
        input_shape: the shape of the input without the batch, channels first.
        norm_epsilon: the default epsilon of every batch norm.
        norm_momentum: the default momentum of every batch norm.

    Raises:
        ArchitectureError: if a size in ``input_shape`` is not a positive whole number.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        *,
        norm_epsilon: float = 1e-5,
        norm_momentum: float = 0.1,
    ) -> None:
        super().__init__(input_shape, norm_epsilon=norm_epsilon, norm_momentum=norm_momentum)
        self._norm_epsilon = norm_epsilon
        self._norm_momentum = norm_momentum

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
        """Add a convolution to ``channels``."""
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
        """Add a depthwise convolution: one filter per channel."""
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
        """Add a transposed convolution to ``channels``."""
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
        """Add max pooling; by default, ``stride`` is the kernel."""
        window = self._window("max_pool", x, kernel, stride, dilation, name)
        x, sides = self._padded(x, window, padding, "lowest", name, at_most_half=True)
        operation = op.MaxPool(
            window.kernel, window.stride, sides, dilation=window.dilation, ceil_mode=ceil_mode
        )
        return self.add_operation(operation, x, name=name)

    def max_unpool(self, x: Handle, pool: Handle, name: str | None = None) -> Handle:
        """Put values where the max pooling ``pool`` found the largest ones; all others are 0."""
        node, _ = self._found(pool.name)
        back = op.MaxUnpool.of(node.operation)
        return self.add_operation(back, x, self._handle(node.inputs[0]), name=name)

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
        """Add average pooling; by default, ``stride`` is the kernel.

        ``count_include_pad=False`` needs padding that the operation itself can do, which is equal
        on both sides and at most half the kernel.
        """
        window = self._window("avg_pool", x, kernel, stride, 1, name)
        unpadded = x
        x, sides = self._padded(x, window, padding, "zero", name, at_most_half=True)
        if x is not unpadded and not count_include_pad:
            raise ArchitectureError(
                f"avg_pool: padding {padding!r} is uneven or over half the kernel here and becomes "
                "a separate node, whose zeros count_include_pad=False cannot leave out"
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
        """Add average pooling to a map of ``size``."""
        operation = op.AdaptiveAvgPool(axes("adaptive_avg_pool", "size", size, len(x.spatial)))
        return self.add_operation(operation, x, name=name)

    def global_pool(self, x: Handle, keep_axes: bool = False, name: str | None = None) -> Handle:
        """Add the mean of each channel: ``(C, ...)`` to ``(C,)``, or to ``(C, 1, ...)``."""
        return self.add_operation(op.Mean(keep_axes), x, name=name)

    def pad(
        self,
        x: Handle,
        amounts: Sequence[tuple[int, int]],
        fill: Fill = "zero",
        name: str | None = None,
    ) -> Handle:
        """Add padding: one ``(before, after)`` per axis; a negative number crops."""
        return self.add_operation(op.Pad(tuple(amounts), fill), x, name=name)

    def upsample(
        self,
        x: Handle,
        scale: PerAxis = 2,
        mode: Interpolation = "nearest",
        name: str | None = None,
    ) -> Handle:
        """Make each spatial axis ``scale`` times as long."""
        sizes = axes("upsample", "scale", scale, len(x.spatial))
        return self.add_operation(op.Upsample(sizes, mode), x, name=name)

    def resize(
        self,
        x: Handle,
        size: PerAxis,
        mode: Interpolation = "nearest",
        name: str | None = None,
    ) -> Handle:
        """Bring the spatial axes to ``size``."""
        sizes = axes("resize", "size", size, len(x.spatial))
        return self.add_operation(op.Resize(sizes, mode), x, name=name)

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
        """Return the input and the padding of an operation, after a pad node where one is needed.

        An operation pads both sides equally, and a pool (``at_most_half``) at most by half its
        kernel. Other padding becomes a node of its own before it.
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
        """Add a fully connected layer over the last axis."""
        return self.add_operation(op.Linear(features, bias), x, name=name)

    def attention(
        self, query: Handle, key: Handle, value: Handle, heads: int, name: str | None = None
    ) -> Handle:
        """Add multi-head attention without projections; features are on the last axis."""
        return self.add_operation(op.Attention(heads), query, key, value, name=name)

    def scale(self, x: Handle, initial: float = 1e-6, name: str | None = None) -> Handle:
        """Multiply each channel by a learnt factor, a parameter at the node's own path."""
        return self.add_operation(op.Scale(initial), x, name=name)

    def batch_norm(
        self,
        x: Handle,
        epsilon: float | None = None,
        momentum: float | None = None,
        affine: bool = True,
        name: str | None = None,
    ) -> Handle:
        """Add batch normalisation; by default, epsilon and momentum are the builder's."""
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
        """Add layer normalisation over the channels, or over the last axis."""
        return self.add_operation(op.LayerNorm(axis, epsilon, affine), x, name=name)

    def group_norm(
        self,
        x: Handle,
        groups: int,
        epsilon: float = 1e-5,
        affine: bool = True,
        name: str | None = None,
    ) -> Handle:
        """Add group normalisation."""
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
        """Add local response normalisation across channels."""
        return self.add_operation(op.LocalResponseNorm(size, alpha, beta, k), x, name=name)

    def l2_norm(self, x: Handle, epsilon: float = 1e-12, name: str | None = None) -> Handle:
        """Divide each position by the Euclidean length of its channels."""
        return self.add_operation(op.L2Norm(epsilon), x, name=name)

    def activation(self, x: Handle, function: Function, name: str | None = None) -> Handle:
        """Add an elementwise nonlinearity by name."""
        return self.add_operation(op.Activation(function), x, name=name)

    def relu(self, x: Handle, name: str | None = None) -> Handle:
        """Add a rectified linear unit."""
        return self.activation(x, "relu", name)

    def dropout(self, x: Handle, probability: float = 0.5, name: str | None = None) -> Handle:
        """Add dropout."""
        return self.add_operation(op.Dropout(probability), x, name=name)

    def drop_path(self, x: Handle, probability: float, name: str | None = None) -> Handle:
        """Add stochastic depth, the dropout of whole samples."""
        return self.add_operation(op.DropPath(probability), x, name=name)

    # --- wiring ---

    def add(self, *inputs: Handle, name: str | None = None) -> Handle:
        """Add the elementwise sum of the inputs."""
        return self.add_operation(op.Add(), *inputs, name=name)

    def log_mean_softmax(self, *inputs: Handle, name: str | None = None) -> Handle:
        """Add scores whose softmax is the mean of the inputs' softmax over the channels."""
        return self.add_operation(op.LogMeanSoftmax(), *inputs, name=name)

    def multiply(self, a: Handle, b: Handle, name: str | None = None) -> Handle:
        """Multiply two inputs elementwise; axes of size 1 are stretched."""
        return self.add_operation(op.Multiply(), a, b, name=name)

    def rescale(self, x: Handle, factor: float, name: str | None = None) -> Handle:
        """Multiply the input by a constant."""
        return self.add_operation(op.Rescale(factor), x, name=name)

    def concat(self, *inputs: Handle, name: str | None = None) -> Handle:
        """Concatenate the inputs along the channels."""
        return self.add_operation(op.Concat(), *inputs, name=name)

    def slice(self, x: Handle, start: int, stop: int, name: str | None = None) -> Handle:
        """Take channels ``start`` to ``stop`` (exclusive)."""
        return self.add_operation(op.Slice(start, stop), x, name=name)

    def flatten(self, x: Handle, start: int = 0, end: int = -1, name: str | None = None) -> Handle:
        """Flatten the axes from ``start`` to ``end`` into one, by default all; channels are 0."""
        return self.add_operation(op.Flatten(start, end), x, name=name)

    def unflatten(
        self, x: Handle, axis: int, sizes: Sequence[int], name: str | None = None
    ) -> Handle:
        """Split an axis into axes of ``sizes``; channels are 0."""
        return self.add_operation(op.Unflatten(axis, tuple(sizes)), x, name=name)

    def permute(self, x: Handle, order: Sequence[int], name: str | None = None) -> Handle:
        """Put the axes in another order."""
        return self.add_operation(op.Permute(tuple(order)), x, name=name)

    def channel_shuffle(self, x: Handle, groups: int, name: str | None = None) -> Handle:
        """Shuffle the channels: take one from each of ``groups`` in turn."""
        return self.add_operation(op.ChannelShuffle(groups), x, name=name)

    def identity(self, x: Handle, name: str | None = None) -> Handle:
        """Pass the input on."""
        return self.add_operation(op.Identity(), x, name=name)

    def zero(self, x: Handle, stride: int = 1, name: str | None = None) -> Handle:
        """Add zeros of the input's shape, subsampled by ``stride``."""
        return self.add_operation(op.Zero(stride), x, name=name)

    def boxes(
        self,
        x: Handle,
        stride: PerAxis,
        sizes: Sequence[tuple[float, float]],
        coder: Coder = "centres",
        name: str | None = None,
    ) -> Handle:
        """Decode the boxes of a map; ``sizes`` are the width and height of each anchor."""
        strides = axes("boxes", "stride", stride, 2)
        return self.add_operation(op.Boxes(strides, tuple(sizes), coder), x, name=name)
