"""Convolutions with their norms and activations, one behind the other."""

from __future__ import annotations

from pydantic import PositiveInt

from nas.architecture.builder import Builder, Handle
from nas.architecture.operations.layers import Function
from nas.architecture.padding import Padding

Kernel = int | tuple[int, int]

_LAYERS = (("op.0", "op.1", "op.2", "op.3"), ("op.4", "op.5", "op.6", "op.7"))


def conv_norm(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int | tuple[int, int] = 1,
    *,
    kernel: Kernel = 3,
    dilation: PositiveInt = 1,
    groups: PositiveInt = 1,
    activation: Function | None = "relu",
    norm: bool = True,
    padding: Padding | None = None,
    names: tuple[str, str] = ("conv", "bn"),
) -> Handle:
    """Add a convolution, batch normalisation and an activation (Ioffe & Szegedy 2015).

    ``activation: null`` leaves the activation out.
    By default it pads ``dilation * (kernel - 1) // 2`` on both sides, so that an odd kernel at
    stride 1 keeps the size. Without ``norm`` the convolution has a bias instead. ``names`` are
    those of the convolution and the norm.
    """
    if padding is None:
        sides = (kernel,) * len(x.spatial) if isinstance(kernel, int) else kernel
        padding = [dilation * (side - 1) // 2 for side in sides]
    channels = channels or x.channels
    x = g.conv(x, channels, kernel, stride, padding, dilation, groups, not norm, names[0])
    if norm:
        x = g.batch_norm(x, name=names[1])
    return g.activation(x, activation) if activation else x


def fitted(g: Builder, x: Handle, channels: int | None, stride: int = 1) -> Handle:
    """Return ``x`` if it has the channels and the stride is 1, else a 1x1 projection of it.

    Blocks that keep the shape by themselves change it by this.
    """
    if stride == 1 and channels in (None, x.channels):
        return x
    return conv_norm(g, x, channels, stride, kernel=1, activation=None)


def depthwise(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    *,
    kernel: PositiveInt = 3,
    dilation: PositiveInt = 1,
    activation: Function | None = "relu",
) -> Handle:
    """Add a depthwise convolution, batch normalisation and an activation."""
    with g.scope("projection"):
        x = fitted(g, x, channels)
    return conv_norm(
        g,
        x,
        stride=stride,
        kernel=kernel,
        dilation=dilation,
        groups=x.channels,
        activation=activation,
    )


def separable_conv(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    *,
    kernel: PositiveInt = 3,
    dilation: PositiveInt = 1,
    padding: Padding | None = None,
    names: tuple[str, str] = ("depthwise", "pointwise"),
) -> Handle:
    """Add a depthwise and a pointwise convolution, nothing else (Chollet 2017, arXiv:1610.02357).

    ``names`` are those of the two convolutions.
    """
    if padding is None:
        padding = dilation * (kernel - 1) // 2
    channels = channels or x.channels
    x = g.depthwise(x, kernel, stride, padding, dilation, bias=False, name=names[0])
    return g.conv(x, channels, 1, bias=False, name=names[1])


def separable(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    *,
    kernel: PositiveInt = 3,
    dilation: PositiveInt = 1,
    activation: Function | None = "relu",
) -> Handle:
    """Add a separable convolution, batch normalisation and an activation."""
    x = separable_conv(g, x, channels, stride, kernel=kernel, dilation=dilation)
    x = g.batch_norm(x)
    return g.activation(x, activation) if activation else x


def depthwise_separable(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    *,
    kernel: PositiveInt = 3,
    dilation: PositiveInt = 1,
    activation: Function | None = "relu",
) -> Handle:
    """Add a depthwise and a pointwise convolution, each normed and activated.

    MobileNet's block (Howard et al. 2017, fig. 3). Node names are those of timm.
    """
    x = conv_norm(
        g,
        x,
        stride=stride,
        kernel=kernel,
        dilation=dilation,
        groups=x.channels,
        activation=activation,
        names=("conv_dw", "bn1"),
    )
    names = ("conv_pw", "bn2")
    return conv_norm(g, x, channels, kernel=1, activation=activation, names=names)


def relu_conv(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int | tuple[int, int] = 1,
    *,
    kernel: Kernel = 3,
    padding: Padding | None = None,
    names: tuple[str, str, str] = ("op.0", "op.1", "op.2"),
) -> Handle:
    """Add a ReLU, a convolution and batch normalisation: ``ReLUConvBN`` in the code of DARTS.

    ``names`` are those of the three nodes, here and below by default those of DARTS.
    """
    relu, *rest = names
    x = g.relu(x, name=relu)
    return conv_norm(
        g,
        x,
        channels,
        stride,
        kernel=kernel,
        activation=None,
        padding=padding,
        names=(rest[0], rest[1]),
    )


def relu_separable(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    *,
    kernel: PositiveInt = 3,
    dilation: PositiveInt = 1,
    padding: Padding | None = None,
    names: tuple[tuple[str, str, str, str], ...] = _LAYERS,
) -> Handle:
    """Add layers of ReLU, depthwise and pointwise convolution, and batch normalisation.

    ``SepConv`` and ``DilConv`` in the code of DARTS. The first layer has the stride. There is one
    layer for each item of ``names``, which names its four nodes.
    """
    for relu, *convolutions, norm in names:
        x = separable_conv(
            g,
            g.relu(x, name=relu),
            channels,
            stride,
            kernel=kernel,
            dilation=dilation,
            padding=padding,
            names=(convolutions[0], convolutions[1]),
        )
        x, stride = g.batch_norm(x, name=norm), 1
    return x


def relu_bottleneck(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    *,
    kernels: tuple[tuple[int, int], ...] = ((3, 3),),
    inner: float = 1 / 4,
    padding: Padding | None = None,
    names: tuple[str, str, str] = ("op.0", "op.1", "op.2"),
) -> Handle:
    """Add convolutions of fewer channels between two 1x1 ones, each behind a ReLU and normed.

    The bottlenecks of AmoebaNet (tensorflow/tpu, ``network_utils.py``). ``inner`` is the share of
    the channels that the convolutions between have. A kernel strides only over the axes on which
    it is longer than 1.
    """
    channels = channels or x.channels
    width = max(int(channels * inner), 1)
    with g.scope("pre_1x1"):
        x = relu_conv(g, x, width, kernel=1, names=names)
    for high, wide in kernels:
        strides = (stride if high > 1 else 1, stride if wide > 1 else 1)
        with g.scope(f"conv_{high}x{wide}"):
            x = relu_conv(g, x, width, strides, kernel=(high, wide), padding=padding, names=names)
    with g.scope("post_1x1"):
        return relu_conv(g, x, channels, kernel=1, names=names)


def factorized_reduction(
    g: Builder,
    x: Handle,
    channels: int,
    *,
    active: bool = True,
    names: tuple[str, str, str, str] = ("relu", "conv_1", "conv_2", "bn"),
) -> Handle:
    """Halve the map by two strided 1x1 convolutions side by side, one of them a pixel on; norm.

    ``FactorizedReduce`` in the code of DARTS. ``active`` puts a ReLU before. On an odd map the
    convolution that is a pixel on reads a border of zeros; DARTS's own code cannot take odd maps.
    """
    relu, first, second, norm = names
    if active:
        x = g.relu(x, name=relu)
    shifted = g.pad(x, [(-1, 1)] * len(x.spatial))
    half = channels // 2
    x = g.concat(
        g.conv(x, half, 1, 2, bias=False, name=first),
        g.conv(shifted, channels - half, 1, 2, bias=False, name=second),
    )
    return g.batch_norm(x, name=norm)
