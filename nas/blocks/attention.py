"""Gates and attention: blocks that weigh channels or positions by the whole map."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt

from nas.architecture.builder import Builder, Handle
from nas.architecture.operations.layers import Function
from nas.blocks.convolution import fitted
from nas.blocks.scaling import divisible
from nas.configuration import Config


def squeeze_excitation(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    *,
    reduction: PositiveInt = 16,
    activation: Function = "relu",
    gate: Function = "sigmoid",
    inner: PositiveInt | None = None,
    adaptive: bool = False,
    name: str = "se",
) -> Handle:
    """Scale each channel by a gate computed from all channel means (Hu et al. 2018, eq. 2 to 4).

    Between its two layers there are ``inner`` channels, by default the input's over ``reduction``.
    ``adaptive`` takes the means as torchvision does, by a pooling that fvcore counts. ``name`` is
    the scope of its nodes.
    """
    x = fitted(g, x, channels, stride)
    inner = inner or max(x.channels // reduction, 1)
    with g.scope(name):
        s = g.adaptive_avg_pool(x, 1) if adaptive else g.global_pool(x, keep_axes=True)
        s = g.activation(g.conv(s, inner, 1, name="fc1"), activation)
        s = g.activation(g.conv(s, x.channels, 1, name="fc2"), gate)
    return g.multiply(x, s)


class Excitation(Config):
    """The details in which implementations of squeeze-and-excitation differ.

    The option ``squeeze`` of a block is the ratio of the squeezed channels to those of the block's
    input, or of the map that is weighed (``of: hidden``). The product is rounded to a multiple of
    ``divisor`` that is at most a tenth below. ``adaptive`` takes the means by a pooling that
    fvcore counts.
    """

    of: Literal["input", "hidden"] = "input"
    """The map whose channels the ratio is of: the input of the block, or the weighed map."""
    divisor: PositiveInt = 1
    """The number that the squeezed channels are a multiple of."""
    gate: Function = "sigmoid"
    """The activation that makes the weights."""
    adaptive: bool = False
    """Whether the pooling is an operation that fvcore counts."""

    def apply(self, g: Builder, y: Handle, ratio: float, source: Handle, name: str) -> Handle:
        """Return ``y`` weighed; ``source`` is the input of the block."""
        full = source.channels if self.of == "input" else y.channels
        inner = divisible(ratio * full, self.divisor)
        return squeeze_excitation(
            g, y, gate=self.gate, inner=inner, adaptive=self.adaptive, name=name
        )


PLAIN = Excitation()
"""Squeeze-and-excitation by the rules of Hu et al. 2018."""


def self_attention(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    *,
    heads: PositiveInt = 4,
) -> Handle:
    """Add multi-head self-attention among the positions of a map.

    Vaswani et al. 2017, section 3.2.2. Its four projections are linear layers; ``heads`` must
    divide the channels. It has no norm, no shortcut and no encoding of the positions.
    """
    x = fitted(g, x, channels, stride)
    y = channels_last(g, x)
    query, key, value = (g.linear(y, x.channels, name=name) for name in ("q", "k", "v"))
    y = g.linear(g.attention(query, key, value, heads), x.channels, name="proj")
    return channels_first(g, y)


def channels_last(g: Builder, x: Handle) -> Handle:
    """Permute ``(C, *spatial)`` to ``(*spatial, C)``."""
    return g.permute(x, (*range(1, len(x.shape)), 0))


def channels_first(g: Builder, x: Handle) -> Handle:
    """Permute ``(*spatial, C)`` to ``(C, *spatial)``."""
    last = len(x.shape) - 1
    return g.permute(x, (last, *range(last)))
