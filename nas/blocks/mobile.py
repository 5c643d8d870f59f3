"""Blocks of networks for mobile devices, and ConvNeXt's, which descends from them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

from pydantic import PositiveInt

from nas.architecture.builder import Builder, Handle
from nas.architecture.operations.layers import Function
from nas.blocks.attention import channels_first, channels_last, squeeze_excitation
from nas.blocks.convolution import conv_norm, fitted


def inverted_residual(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    *,
    expansion: PositiveInt = 6,
    kernel: PositiveInt = 3,
    activation: Function | None = "relu6",
    squeeze: PositiveInt | None = None,
    drop_path: float = 0.0,
    container: Literal["conv", "layers", "block"] = "conv",
    hidden: PositiveInt | None = None,
    excitation: Callable[..., Handle] | None = None,
    shortcut: bool = True,
) -> Handle:
    """Expand, convolve depthwise, project without activation.

    MobileNetV2's block (Sandler et al. 2018, table 1). The shortcut is added if the shape is kept,
    unless ``shortcut`` is false; in training, ``drop_path`` is the probability that the shortcut
    alone is taken. ``squeeze`` puts squeeze-and-excitation with that reduction before the
    projection (Tan et al. 2019, fig. 7). ``excitation`` is another function to put there; it is
    called with the builder, the map and the ``name`` of its scope. ``hidden`` is the expanded
    width itself. ``container`` is what torchvision calls the layers: "conv" in MobileNetV2,
    "layers" in MnasNet, "block" in later networks.
    """
    channels, hidden = channels or x.channels, hidden or x.channels * expansion
    if squeeze and not excitation:
        excitation = partial(squeeze_excitation, reduction=squeeze)
    y, index = x, 0

    def names(last: bool = False) -> tuple[str, str]:
        if container == "layers":
            return f"layers.{3 * index}", f"layers.{3 * index + 1}"
        if container == "conv" and last:
            return f"conv.{index}", f"conv.{index + 1}"
        return f"{container}.{index}.0", f"{container}.{index}.1"

    if hidden != x.channels:
        y = conv_norm(g, y, hidden, kernel=1, activation=activation, names=names())
        index += 1
    y = conv_norm(
        g,
        y,
        hidden,
        stride,
        kernel=kernel,
        groups=hidden,
        activation=activation,
        names=names(),
    )
    index += 1
    if excitation:
        y = excitation(g, y, name=f"{container}.{index}")
        index += 1
    y = conv_norm(g, y, channels, kernel=1, activation=None, names=names(last=True))
    if not shortcut or stride > 1 or y.shape != x.shape:
        return y
    return g.add(x, g.drop_path(y, drop_path) if drop_path else y)


def shuffle_unit(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    *,
    kernel: PositiveInt = 3,
) -> Handle:
    """Pass half of the channels on, convolve the other half, then shuffle both.

    ShuffleNet V2's unit (Ma et al. 2018, arXiv:1807.11164, fig. 3c). With a stride, or where the
    width changes, both branches see all channels and are convolved (fig. 3d). ``channels`` must be
    even.
    """
    channels = channels or x.channels
    half = channels // 2
    split = stride == 1 and x.channels == channels
    branch1 = g.slice(x, 0, half) if split else x
    branch2 = g.slice(x, half, channels) if split else x

    def depthwise(y: Handle, at: int) -> Handle:
        return conv_norm(
            g,
            y,
            stride=stride,
            kernel=kernel,
            groups=y.channels,
            activation=None,
            names=(str(at), str(at + 1)),
        )

    if not split:
        with g.scope("branch1"):
            branch1 = conv_norm(g, depthwise(branch1, 0), half, kernel=1, names=("2", "3"))
    with g.scope("branch2"):
        branch2 = conv_norm(g, branch2, channels - half, kernel=1, names=("0", "1"))
        branch2 = depthwise(branch2, 3)
        branch2 = conv_norm(g, branch2, channels - half, kernel=1, names=("5", "6"))
    return g.channel_shuffle(g.concat(branch1, branch2), 2)


def shuffle_choice(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    *,
    kernel: PositiveInt = 3,
    xception: bool = False,
) -> Handle:
    """Add a choice block of Single Path One-Shot (Guo et al. 2020, arXiv:1904.00420, section 4).

    The channels of even places are passed on, and the others convolved as in ShuffleNet V2 or, with
    ``xception``, by three depthwise separable convolutions. With a stride, or where the width
    changes, both see all channels, and those that are passed on are convolved too, but keep their
    number. Node names are those of the authors' code. ``channels`` must be even, and more than the
    input has where the width changes.
    """
    channels = channels or x.channels
    inner = channels // 2
    passed = y = x
    if split := stride == 1 and x.channels == channels:
        x = g.channel_shuffle(x, inner)
        passed, y = g.slice(x, 0, inner), g.slice(x, inner, channels)

    def depthwise(y: Handle, at: int, stride: int = 1) -> Handle:
        names = (str(at), str(at + 1))
        return conv_norm(
            g, y, stride=stride, kernel=kernel, groups=y.channels, activation=None, names=names
        )

    def pointwise(y: Handle, at: int, width: int) -> Handle:
        return conv_norm(g, y, width, kernel=1, names=(str(at), str(at + 1)))

    if not split:
        with g.scope("branch_proj"):
            passed = pointwise(depthwise(x, 0, stride), 2, x.channels)
    added = channels - passed.channels
    with g.scope("branch_main"):
        if xception:
            y = pointwise(depthwise(y, 0, stride), 2, inner)
            y = pointwise(depthwise(y, 5), 7, inner)
            y = pointwise(depthwise(y, 10), 12, added)
        else:
            y = depthwise(pointwise(y, 0, inner), 3, stride)
            y = pointwise(y, 5, added)
    return g.concat(passed, y)


def convnext_block(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    *,
    kernel: PositiveInt = 7,
    expansion: PositiveInt = 4,
    layer_scale: float = 1e-6,
    drop_path: float = 0.0,
) -> Handle:
    """Add a depthwise convolution, layer norm and two linear layers (Liu et al. 2022, fig. 4).

    The branch is multiplied by one learnt factor per channel, which begins as ``layer_scale``;
    ``drop_path`` is the probability that training leaves the branch out.
    """
    x = fitted(g, x, channels, stride)
    y = g.depthwise(x, kernel, padding=kernel // 2, name="block.0")
    y = g.layer_norm(channels_last(g, y), "last", epsilon=1e-6, name="block.2")
    y = g.activation(g.linear(y, expansion * x.channels, name="block.3"), "gelu")
    y = channels_first(g, g.linear(y, x.channels, name="block.5"))
    y = g.scale(y, layer_scale, name="layer_scale")
    return g.add(x, g.drop_path(y, drop_path) if drop_path else y)
