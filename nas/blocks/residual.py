"""Blocks around a shortcut, from the residual network to its pre-activation form."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt

from nas.architecture.builder import Builder, Handle
from nas.blocks.attention import squeeze_excitation
from nas.blocks.convolution import conv_norm

Ratio = Annotated[float, Field(ge=0, le=1)]


def residual(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    *,
    kernel: PositiveInt = 3,
    squeeze: PositiveInt | None = None,
    padded_shortcut: bool = False,
) -> Handle:
    """Add the basic residual block: two convolutions and a shortcut (He et al. 2016, fig. 5 left).

    Where the shape changes, the shortcut is a strided 1x1 convolution (the paper's option B) or,
    if ``padded_shortcut``, subsampling with zeros for the new channels (option A), which needs no
    parameters. ``squeeze`` adds squeeze-and-excitation with that reduction before the sum.
    """
    channels = channels or x.channels
    y = conv_norm(g, x, channels, stride, kernel=kernel, names=("conv1", "bn1"))
    y = conv_norm(g, y, channels, kernel=kernel, activation=None, names=("conv2", "bn2"))
    if squeeze:
        y = squeeze_excitation(g, y, reduction=squeeze)
    return g.relu(g.add(y, shortcut(g, x, y, stride, padded_shortcut)))


def bottleneck(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    *,
    reduction: PositiveInt = 4,
    groups: PositiveInt = 1,
    squeeze: PositiveInt | None = None,
) -> Handle:
    """Add the bottleneck residual block: 1x1, 3x3, 1x1 (He et al. 2016, fig. 5 right).

    The stride is in the 3x3 convolution, as in torchvision; the paper has it in the first. With
    ``groups`` it is ResNeXt's block (Xie et al. 2017, fig. 3c): the inner width, ``channels //
    reduction``, is rounded down to a multiple of ``groups``.
    """
    channels = channels or x.channels
    width = max(channels // reduction // groups, 1) * groups
    y = conv_norm(g, x, width, kernel=1, names=("conv1", "bn1"))
    y = conv_norm(g, y, width, stride, groups=groups, names=("conv2", "bn2"))
    y = conv_norm(g, y, channels, kernel=1, activation=None, names=("conv3", "bn3"))
    if squeeze:
        y = squeeze_excitation(g, y, reduction=squeeze)
    return g.relu(g.add(y, shortcut(g, x, y, stride)))


def grouped_bottleneck(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    *,
    group_width: PositiveInt = 8,
    reduction: PositiveInt = 1,
    squeeze: Ratio = 0.0,
) -> Handle:
    """Add RegNet's X or Y block (Radosavovic et al. 2020, arXiv:2003.13678, fig. 4 and 5.1).

    It is a 1x1 convolution, a 3x3 one in groups of ``group_width`` channels, and a 1x1 one. The
    inner width is ``channels // reduction``, rounded to the nearest multiple of ``group_width``.
    ``squeeze`` makes it the Y block: squeeze-and-excitation behind the 3x3 convolution, with that
    share of the input's channels inside. Node names are those of torchvision's RegNet.
    """
    channels = channels or x.channels
    inner = max(channels // reduction, 1)
    group_width = min(group_width, inner)
    groups = max(round(inner / group_width), 1)
    shortcut = x
    if stride > 1 or x.channels != channels:
        with g.scope("proj"):
            shortcut = conv_norm(
                g, x, channels, stride, kernel=1, activation=None, names=("0", "1")
            )
    y = conv_norm(g, x, groups * group_width, kernel=1, names=("f.a.0", "f.a.1"))
    y = conv_norm(g, y, stride=stride, groups=groups, names=("f.b.0", "f.b.1"))
    if squeeze:
        inner = max(round(squeeze * x.channels), 1)
        y = squeeze_excitation(g, y, inner=inner, adaptive=True, name="f.se")
    y = conv_norm(g, y, channels, kernel=1, activation=None, names=("f.c.0", "f.c.1"))
    return g.relu(g.add(shortcut, y))


def preactivation(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    *,
    kernel: PositiveInt = 3,
    dropout: float = 0.0,
) -> Handle:
    """Add the residual block that norms and activates before it convolves.

    He et al. 2016, arXiv:1603.05027, fig. 4e. Where the shape changes, the shortcut is a strided
    1x1 convolution of the activated input. ``dropout`` is between the convolutions (Zagoruyko &
    Komodakis 2016, fig. 1d). Node names are those of xternalz/WideResNet-pytorch.
    """
    channels = channels or x.channels
    active = g.relu(g.batch_norm(x, name="bn1"))
    y = g.conv(active, channels, kernel, stride, kernel // 2, bias=False, name="conv1")
    y = g.relu(g.batch_norm(y, name="bn2"))
    if dropout:
        y = g.dropout(y, dropout)
    y = g.conv(y, channels, kernel, 1, kernel // 2, bias=False, name="conv2")
    if x.shape != y.shape:
        x = g.conv(active, channels, 1, stride, bias=False, name="convShortcut")
    return g.add(x, y)


def shortcut(g: Builder, x: Handle, y: Handle, stride: int = 1, padded: bool = False) -> Handle:
    """Return ``x`` in the shape of ``y``, to be added to it; :func:`residual` says how."""
    if x.shape == y.shape:
        return x
    if not padded or y.channels < x.channels:
        names = ("downsample.0", "downsample.1")
        return conv_norm(g, x, y.channels, stride, kernel=1, activation=None, names=names)
    x = g.avg_pool(x, 1, stride)
    missing = y.channels - x.channels
    while missing > 0:
        part = x if missing >= x.channels else g.slice(x, 0, missing)
        x, missing = g.concat(x, g.zero(part)), missing - part.channels
    return x
