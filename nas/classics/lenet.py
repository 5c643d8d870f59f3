"""Builds LeNet-5."""

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.operations import ArchitectureError, Shape
from nas.blocks.scaling import scaled


def lenet5(
    input_shape: Shape, classes: int, *, width: float = 1.0, original: bool = False
) -> Architecture:
    """Build LeNet-5 (LeCun et al. 1998, Proc. IEEE 86(11), fig. 2) in its modern form.

    As is usual today, it deviates from the paper: max pooling and ReLU replace the trainable
    subsampling and tanh, C3 is fully connected, and a linear output replaces the radial basis
    functions. An input smaller than 32 pixels is padded in the first convolution, as the paper
    pads MNIST's 28 to 32.

    ``original=True`` undoes the first three deviations: it averages, with one trainable scale and
    bias per map, has tanh (without the paper's constants 1.7159 and 2/3), and connects C3 as in
    table I. Layers up to F6 then have the paper's 60,000 parameters. Its widths are fixed, so
    ``width`` must be 1.
    """
    g = Builder(input_shape)
    if original:
        if width != 1.0:
            raise ArchitectureError(f"lenet5: original=True has one width, 1; got width={width}")
        return _original(g, classes)
    widths = [scaled(n, width) for n in (6, 16, 120, 84)]
    x = g.relu(g.conv(g.input, widths[0], 5, padding=_border(g), name="conv1"))
    x = g.max_pool(x, 2)
    x = g.relu(g.conv(x, widths[1], 5, name="conv2"))
    x = g.flatten(g.max_pool(x, 2))
    x = g.relu(g.linear(x, widths[2], name="fc1"))
    x = g.relu(g.linear(x, widths[3], name="fc2"))
    return g.build(g.linear(x, classes, name="fc3"))


C3 = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5),
)  # fmt: skip
"""Table I: the maps of S2 that each map of C3 reads."""


def _original(g: Builder, classes: int) -> Architecture:
    def subsampled(x: Handle, name: str) -> Handle:
        return g.activation(g.depthwise(g.avg_pool(x, 2), 1, name=name), "tanh")

    x = g.activation(g.conv(g.input, 6, 5, padding=_border(g), name="conv1"), "tanh")
    x = subsampled(x, "pool1")
    maps = [g.slice(x, index, index + 1) for index in range(6)]
    seen = (g.concat(*(maps[index] for index in read)) for read in C3)
    c3 = [g.conv(x, 1, 5, name=f"conv2.{index}") for index, x in enumerate(seen)]
    x = subsampled(g.activation(g.concat(*c3), "tanh"), "pool2")
    x = g.activation(g.linear(g.flatten(x), 120, name="fc1"), "tanh")
    x = g.activation(g.linear(x, 84, name="fc2"), "tanh")
    return g.build(g.linear(x, classes, name="fc3"))


def _border(g: Builder) -> int:
    return 2 if min(g.input.spatial) < 32 else 0
