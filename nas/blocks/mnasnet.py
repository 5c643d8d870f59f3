"""The layers of MnasNet's search space, which its successors share (Tan et al. 2019, fig. 7).

arXiv:1807.11626. Each has squeeze-and-excitation of a ratio that may be chosen, and a skip that may
be chosen.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from pydantic import AfterValidator, PositiveFloat, PositiveInt

from nas.architecture.builder import Builder, Handle
from nas.architecture.operations.layers import Function
from nas.blocks import mobile
from nas.blocks.attention import PLAIN, Excitation
from nas.blocks.convolution import conv_norm
from nas.blocks.residual import Ratio


def _odd(kernel: int) -> int:
    if kernel % 2 == 0:
        raise ValueError("a kernel must be odd, or it does not keep the size")
    return kernel


Kernel = Annotated[PositiveInt, AfterValidator(_odd)]
Skip = Literal["identity", "pool", "none"]
"""What is added to a layer's output, if the layer keeps the channels.

``identity`` adds the layer's input, if the stride is 1; ``pool`` adds its 3x3 average at the
layer's stride; ``none`` adds nothing.
"""


def conv(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    *,
    kernel: Kernel = 3,
    squeeze: Ratio = 0.0,
    skip: Skip = "none",
    activation: Function | None = "relu",
    excitation: Excitation = PLAIN,
) -> Handle:
    """Add a convolution, normed and activated, with squeeze-and-excitation behind it."""
    y = conv_norm(g, x, channels, stride, kernel=kernel, activation=activation)
    if squeeze:
        y = excitation.apply(g, y, squeeze, x, "se")
    return _skipped(g, x, y, stride, skip)


def separable(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    *,
    kernel: Kernel = 3,
    squeeze: Ratio = 0.0,
    skip: Skip = "none",
    activation: Function | None = "relu",
    excitation: Excitation = PLAIN,
) -> Handle:
    """Add a depthwise, then a pointwise convolution without activation (figure 7c)."""
    y = conv_norm(
        g,
        x,
        stride=stride,
        kernel=kernel,
        groups=x.channels,
        activation=activation,
        names=("depthwise", "bn1"),
    )
    if squeeze:
        y = excitation.apply(g, y, squeeze, x, "se")
    names = ("pointwise", "bn2")
    y = conv_norm(g, y, channels or x.channels, kernel=1, activation=None, names=names)
    return _skipped(g, x, y, stride, skip)


def inverted_residual(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    *,
    kernel: Kernel = 3,
    expansion: PositiveFloat = 6.0,
    squeeze: Ratio = 0.0,
    skip: Skip = "identity",
    activation: Function | None = "relu",
    excitation: Excitation = PLAIN,
) -> Handle:
    """Add the inverted residual (:func:`nas.blocks.inverted_residual`).

    The expanded width is ``expansion`` times the input's, rounded.
    """
    y = mobile.inverted_residual(
        g,
        x,
        channels,
        stride,
        kernel=kernel,
        activation=activation,
        container="block",
        hidden=max(round(x.channels * expansion), 1),
        excitation=partial(excitation.apply, ratio=squeeze, source=x) if squeeze else None,
        shortcut=False,
    )
    return _skipped(g, x, y, stride, skip)


def _skipped(g: Builder, x: Handle, y: Handle, stride: int, skip: Skip) -> Handle:
    """Return ``y``, with what ``skip`` says added."""
    if skip == "none" or x.channels != y.channels:
        return y
    if skip == "identity":
        return g.add(x, y) if stride == 1 else y
    return g.add(g.avg_pool(x, 3, stride, 1, count_include_pad=False), y)
