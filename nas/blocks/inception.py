"""The inception module, and the reduction of Inception networks."""

from __future__ import annotations

from pydantic import PositiveInt

from nas.architecture.builder import Builder, Handle
from nas.blocks.convolution import conv_norm
from nas.blocks.pooling import max_pool


def inception(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    *,
    large_kernel: PositiveInt = 5,
    widths: tuple[int, int, int, int, int, int] | None = None,
) -> Handle:
    """Add four branches side by side: 1x1, 3x3, 5x5 and pooling.

    GoogLeNet's module (Szegedy et al. 2015, fig. 2b). ``widths`` are those of the paper's table 1:
    1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection. By default they divide ``channels`` as
    its module 3a does: 1/4, 3/8, 1/2, 1/16, 1/8, 1/8, and at least one channel each. Each
    convolution is normed, as in torchvision. The paper has no stride; here the last convolution of
    each branch has it.
    """
    if widths is None:
        total = channels or x.channels
        one, five, pool = (max(total // part, 1) for part in (4, 8, 8))
        widths = (
            one, max(3 * total // 8, 1), max(total - one - five - pool, 1), max(total // 16, 1),
            five, pool,
        )  # fmt: skip
    one, reduce_three, three, reduce_five, five, pool = widths

    def conv(x: Handle, channels: int, kernel: int, name: str, stride: int = 1) -> Handle:
        with g.scope(name):
            return conv_norm(g, x, channels, stride, kernel=kernel)

    branch1 = conv(x, one, 1, "branch1", stride)
    branch2 = conv(conv(x, reduce_three, 1, "branch2.0"), three, 3, "branch2.1", stride)
    branch3 = conv(conv(x, reduce_five, 1, "branch3.0"), five, large_kernel, "branch3.1", stride)
    branch4 = conv(max_pool(g, x), pool, 1, "branch4.1", stride)
    return g.concat(branch1, branch2, branch3, branch4)


def conv_beside_pool(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    *,
    kernel: PositiveInt = 3,
) -> Handle:
    """Add a convolution of ``channels`` beside max pooling of the input.

    The reduction of Inception networks (Szegedy et al. 2016, arXiv:1512.00567, fig. 10), in the
    small form of Zhang et al. 2017 (arXiv:1611.03530, fig. 3). The output has the channels of both.
    """
    with g.scope("branch1"):
        y = conv_norm(g, x, channels, stride, kernel=kernel)
    return g.concat(y, g.max_pool(x, kernel, stride, kernel // 2))
