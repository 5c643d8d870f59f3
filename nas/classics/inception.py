"""A small network of the Inception family."""

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks import conv_norm
from nas.blocks.scaling import scaled


def inception_small(input_shape: Shape, classes: int, *, width: float = 1.0) -> Architecture:
    """Build a small GoogLeNet for CIFAR (Zhang et al. 2017, arXiv:1611.03530, fig. 3).

    Modules have a 1x1 and a 3x3 branch; reductions have a strided 3x3 branch beside max pooling.
    Deviations: the paper crops to 28x28, while here the last maps are averaged whatever their
    size. The paper's batch norm has no scale, while ours has one; so there are 1,712 parameters
    more than the paper's 1,649,402.
    """
    g = Builder(input_shape)

    def module(x: Handle, one: int, three: int) -> Handle:
        with g.scope("branch1"):
            a = conv_norm(g, x, scaled(one, width), kernel=1)
        with g.scope("branch2"):
            b = conv_norm(g, x, scaled(three, width), kernel=3)
        return g.concat(a, b)

    def reduction(x: Handle, three: int) -> Handle:
        with g.scope("branch1"):
            a = conv_norm(g, x, scaled(three, width), 2, kernel=3)
        return g.concat(a, g.max_pool(x, 3, 2, padding=1))

    with g.scope("stem"):
        x = conv_norm(g, g.input, scaled(96, width))
    stages = (
        ((32, 32), (32, 48), 80),
        ((112, 48), (96, 64), (80, 80), (48, 96), 96),
        ((176, 160), (176, 160)),
    )
    for stage, modules in enumerate(stages, start=1):
        for index, widths in enumerate(modules):
            with g.scope(f"stage{stage}.{index}"):
                x = reduction(x, widths) if isinstance(widths, int) else module(x, *widths)
    return g.build(g.linear(g.global_pool(x), classes, name="fc"))
