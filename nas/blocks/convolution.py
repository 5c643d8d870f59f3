"""Convolutions with their norms, and the inception module of four of them."""

from __future__ import annotations

from pydantic import PositiveInt

from nas.architecture.builder import Builder, Handle
from nas.architecture.operations.layers import Function
from nas.architecture.padding import Padding
from nas.blocks.pooling import max_pool


def conv_norm(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int | tuple[int, int] = 1,
    names: tuple[str, str] = ("conv", "bn"),
    padding: Padding | None = None,
    epsilon: float | None = None,
    *,
    kernel: int | tuple[int, int] = 3,
    dilation: PositiveInt = 1,
    groups: PositiveInt = 1,
    activation: Function | None = "relu",
) -> Handle:
    """Convolution, batch normalisation, activation (Ioffe & Szegedy 2015).

    By default pads ``dilation * (kernel - 1) // 2`` on both sides, so that an odd kernel at
    stride 1 keeps the size. ``names`` are those of the convolution and the norm; ``epsilon`` is
    the norm's, the builder's by default.
    """
    if padding is None:
        sides = (kernel,) * len(x.spatial) if isinstance(kernel, int) else kernel
        padding = [dilation * (side - 1) // 2 for side in sides]
    channels = channels or x.channels
    x = g.conv(x, channels, kernel, stride, padding, dilation, groups, bias=False, name=names[0])
    x = g.batch_norm(x, epsilon, name=names[1])
    return g.activation(x, activation) if activation else x


def separable_conv(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    names: tuple[str, str] = ("depthwise", "pointwise"),
    padding: Padding | None = None,
    *,
    kernel: PositiveInt = 3,
    dilation: PositiveInt = 1,
) -> Handle:
    """Depthwise, then pointwise convolution, nothing between (Chollet 2017, arXiv:1610.02357)."""
    if padding is None:
        padding = dilation * (kernel - 1) // 2
    channels = channels or x.channels
    x = g.depthwise(x, kernel, stride, padding, dilation, bias=False, name=names[0])
    return g.conv(x, channels, 1, bias=False, name=names[1])


def depthwise_separable(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    *,
    kernel: PositiveInt = 3,
    dilation: PositiveInt = 1,
    activation: Function = "relu",
) -> Handle:
    """Depthwise, then pointwise convolution, both normed (Howard et al. 2017, fig. 3).

    Node names are those of timm.
    """
    x = conv_norm(
        g,
        x,
        None,
        stride,
        ("conv_dw", "bn1"),
        kernel=kernel,
        dilation=dilation,
        groups=x.channels,
        activation=activation,
    )
    return conv_norm(g, x, channels, 1, ("conv_pw", "bn2"), kernel=1, activation=activation)


def inception(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    widths: tuple[int, int, int, int, int, int] | None = None,
    *,
    large_kernel: PositiveInt = 5,
) -> Handle:
    """Four branches side by side: 1x1, 3x3, 5x5, pool (GoogLeNet, Szegedy et al. 2015, fig. 2b).

    ``widths`` are those of the paper's table 1: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool
    projection. By default they divide ``channels`` as its module 3a does: 1/4, 3/8, 1/2, 1/16,
    1/8, 1/8. Each convolution is normed, as in torchvision.
    """
    if widths is None:
        total = channels or x.channels
        one, five, pool = (max(total // part, 1) for part in (4, 8, 8))
        widths = (
            one, max(3 * total // 8, 1), total - one - five - pool, max(total // 16, 1), five, pool,
        )  # fmt: skip
    one, reduce_three, three, reduce_five, five, pool = widths

    def conv(x: Handle, channels: int, kernel: int, name: str) -> Handle:
        with g.scope(name):
            return conv_norm(g, x, channels, kernel=kernel)

    branch1 = conv(x, one, 1, "branch1")
    branch2 = conv(conv(x, reduce_three, 1, "branch2.0"), three, 3, "branch2.1")
    branch3 = conv(conv(x, reduce_five, 1, "branch3.0"), five, large_kernel, "branch3.1")
    branch4 = conv(max_pool(g, x), pool, 1, "branch4.1")
    return g.concat(branch1, branch2, branch3, branch4)
