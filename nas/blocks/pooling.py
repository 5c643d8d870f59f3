"""Pooling, the identity, and zeros: blocks without weights, as long as they keep the channels."""

from __future__ import annotations

from math import ceil

from pydantic import PositiveInt

from nas.architecture.builder import Builder, Handle
from nas.architecture.padding import Padding
from nas.blocks.convolution import fitted


def max_pool(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    *,
    kernel: PositiveInt = 3,
    padding: Padding | None = None,
    ceil_mode: bool = False,
    name: str | None = None,
) -> Handle:
    """Add max pooling; at stride 1 an odd kernel keeps the size.

    ``ceil_mode`` rounds the size up. Other channels than the input's come from a 1x1 projection
    behind it.
    """
    padding = kernel // 2 if padding is None else padding
    return fitted(
        g, g.max_pool(x, kernel, stride, padding, ceil_mode=ceil_mode, name=name), channels
    )


def avg_pool(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    *,
    kernel: PositiveInt = 3,
    padding: Padding | None = None,
    ceil_mode: bool = False,
    name: str | None = None,
) -> Handle:
    """Add average pooling; at stride 1 an odd kernel keeps the size.

    The border is left out of the mean, but a window that strides with the padding "same" counts
    its zeros, as in timm. ``ceil_mode`` rounds the size up. Other channels than the input's come
    from a 1x1 projection behind it.
    """
    counted = padding == 0 or (stride > 1 and padding == "same")
    padding = kernel // 2 if padding is None else padding
    pooled = g.avg_pool(x, kernel, stride, padding, ceil_mode, counted, name)
    return fitted(g, pooled, channels)


def identity(g: Builder, x: Handle, channels: int | None = None, stride: int = 1) -> Handle:
    """Pass the input on; where the shape must change, project it by a 1x1 convolution."""
    y = fitted(g, x, channels, stride)
    return g.identity(x) if y is x else y


def zero(g: Builder, x: Handle, channels: int | None = None, stride: int = 1) -> Handle:
    """Add zeros: the absent edge of a cell."""
    channels = channels or x.channels
    if x.channels != channels:
        x = g.slice(g.concat(*[x] * ceil(channels / x.channels)), 0, channels)
    return g.zero(x, stride)
