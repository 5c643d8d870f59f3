"""Gates and attention: what weighs channels or positions by what all of them hold."""

from __future__ import annotations

from pydantic import PositiveInt

from nas.architecture.builder import Builder, Handle
from nas.architecture.operations.layers import Function


def squeeze_excitation(
    g: Builder,
    x: Handle,
    name: str = "se",
    channels: int | None = None,
    adaptive: bool = False,
    *,
    reduction: PositiveInt = 16,
    activation: Function = "relu",
    gate: Function = "sigmoid",
) -> Handle:
    """Scale each channel by a gate computed from all channel means (Hu et al. 2018, eq. 2 to 4).

    ``channels`` between the two layers, by default the input's over ``reduction``. ``adaptive``
    takes the means as torchvision does, by a pooling that fvcore counts.
    """
    channels = channels or max(x.channels // reduction, 1)
    with g.scope(name):
        s = g.adaptive_avg_pool(x, 1) if adaptive else g.global_pool(x, keep_axes=True)
        s = g.activation(g.conv(s, channels, 1, name="fc1"), activation)
        s = g.activation(g.conv(s, x.channels, 1, name="fc2"), gate)
    return g.multiply(x, s)


def self_attention(g: Builder, x: Handle, *, heads: PositiveInt = 4) -> Handle:
    """Multi-head self-attention among the positions of a map (Vaswani et al. 2017, section 3.2.2).

    Its four projections are linear layers; ``heads`` must divide the channels. Neither norm nor
    shortcut nor a code of the positions is part of it.
    """
    y = channels_last(g, x)
    query, key, value = (g.linear(y, x.channels, name=name) for name in ("q", "k", "v"))
    y = g.linear(g.attention(query, key, value, heads), x.channels, name="proj")
    return channels_first(g, y)


def channels_last(g: Builder, x: Handle) -> Handle:
    """``(C, *spatial)`` to ``(*spatial, C)``."""
    return g.permute(x, (*range(1, len(x.shape)), 0))


def channels_first(g: Builder, x: Handle) -> Handle:
    """``(*spatial, C)`` to ``(C, *spatial)``."""
    last = len(x.shape) - 1
    return g.permute(x, (last, *range(last)))
