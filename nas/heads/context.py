"""Heads that look at the last map: FCN, DeepLab v3 and LR-ASPP, as in torchvision."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt

from nas.architecture.builder import Builder, Handle
from nas.blocks import conv_norm
from nas.heads import Taps

Share = Annotated[float, Field(ge=0, lt=1)]


def fcn(g: Builder, taps: Taps, channels: int, *, dropout: Share = 0.1) -> Handle:
    """Score the last map by a 3x3 and a 1x1 convolution.

    Long et al. 2015 (arXiv:1411.4038), as in torchvision: the hidden layer has a quarter of the
    map's channels and batch norm, and there are no skips.
    """
    x = taps[max(taps)]
    x = conv_norm(g, x, max(x.channels // 4, 1), names=("0", "1"))
    return g.conv(g.dropout(x, dropout, name="3"), channels, 1, name="4")


def deeplab_v3(
    g: Builder,
    taps: Taps,
    channels: int,
    *,
    width: PositiveInt = 256,
    rates: tuple[PositiveInt, ...] = (12, 24, 36),
    dropout: Share = 0.5,
) -> Handle:
    """Score the last map by atrous spatial pyramid pooling, ASPP.

    Chen et al. 2017 (arXiv:1706.05587, section 3.3), as in torchvision: a 1x1 convolution, 3x3
    convolutions with the dilation ``rates``, and the mean of the whole map are concatenated. Rates
    suit a map of stride 8.
    """
    x = taps[max(taps)]
    with g.scope("0"):
        branches = []
        with g.scope("convs.0"):
            branches.append(conv_norm(g, x, width, kernel=1, names=("0", "1")))
        for index, rate in enumerate(rates, start=1):
            with g.scope(f"convs.{index}"):
                branches.append(conv_norm(g, x, width, dilation=rate, names=("0", "1")))
        with g.scope(f"convs.{len(rates) + 1}"):
            pooled = g.adaptive_avg_pool(x, 1, name="0")
            pooled = conv_norm(g, pooled, width, kernel=1, names=("1", "2"))
            branches.append(g.resize(pooled, x.spatial, "linear"))
        with g.scope("project"):
            x = conv_norm(g, g.concat(*branches), width, kernel=1, names=("0", "1"))
            x = g.dropout(x, dropout)
    return g.conv(conv_norm(g, x, width, names=("1", "2")), channels, 1, name="4")


def lraspp(
    g: Builder, taps: Taps, channels: int, *, width: PositiveInt = 128, stride: PositiveInt = 8
) -> Handle:
    """Score the last map, gated by its mean, and the map of ``stride``, and add both.

    Howard et al. 2019 (MobileNetV3, arXiv:1905.02244, figure 10), as in torchvision, whose pooling
    is global. Deviation: torchvision reads the first map of ``stride``, this the last.
    """
    high = taps[max(taps)]
    low = taps[max((each for each in taps if each <= stride), default=max(taps))]
    with g.scope("cbr"):
        x = conv_norm(g, high, width, kernel=1, names=("0", "1"))
    with g.scope("scale"):
        gate = g.conv(g.adaptive_avg_pool(high, 1, name="0"), width, 1, bias=False, name="1")
        gate = g.activation(gate, "sigmoid", name="2")
    x = g.resize(g.multiply(x, gate), low.spatial, "linear")
    return g.add(
        g.conv(low, channels, 1, name="low_classifier"),
        g.conv(x, channels, 1, name="high_classifier"),
    )
