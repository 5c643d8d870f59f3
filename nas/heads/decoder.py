"""The decoder of an autoencoder, which returns to the size of the image without skips."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt

from nas.architecture.builder import Builder, Handle
from nas.architecture.operations.shaping import Interpolation
from nas.blocks import conv_norm
from nas.heads import Taps


def decoder(
    g: Builder,
    taps: Taps,
    channels: int,
    *,
    bottleneck: PositiveInt | None = 64,
    width: PositiveInt = 16,
    mode: Literal["transposed"] | Interpolation = "transposed",
) -> Handle:
    """Enlarge the last map, or a vector that it is brought to, step by step to the image's size.

    An autoencoder's decoder (Hinton & Salakhutdinov 2006; transposed convolutions as in Radford et
    al. 2016, DCGAN, arXiv:1511.06434, but with kernels of 3, which reach every odd size). A
    convolution over the whole last map makes a vector of ``bottleneck`` numbers, and a transposed
    one makes a map of it again; with null, the last map is enlarged as it is. Each step doubles the
    sides and halves the channels, down to ``width``, by a transposed convolution, or by
    interpolation (``nearest``, ``linear``) and a convolution.
    """
    x = taps[max(taps)]
    sizes = [g.input.spatial]
    while any(size > end for size, end in zip(sizes[-1], x.spatial, strict=True)):
        sizes.append(tuple(-(-size // 2) for size in sizes[-1]))
    if bottleneck is not None:
        wide = x.channels
        x = g.conv(x, bottleneck, x.spatial, name="bottleneck")
        x = g.conv_transpose(x, wide, sizes[-1], bias=False, name="spread")
        x = g.relu(g.batch_norm(x, name="spread_norm"))
    for size in reversed(sizes[:-1]):
        wide = max(x.channels // 2, width)
        with g.scope(f"up{size[0]}"):
            if mode == "transposed":
                left = [to - (2 * of - 1) for to, of in zip(size, x.spatial, strict=True)]
                x = g.conv_transpose(
                    x, wide, 3, stride=2, padding=1, output_padding=left, bias=False, name="0"
                )
                x = g.relu(g.batch_norm(x, name="1"))
            else:
                x = conv_norm(g, g.resize(x, size, mode), wide, names=("0", "1"))
    return g.conv(x, channels, 3, padding="same", name="last")
