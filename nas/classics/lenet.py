"""LeNet-5."""

from nas.architecture.builder import Builder
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.classics.scaling import scaled


def lenet5(input_shape: Shape, classes: int, *, width: float = 1.0) -> Architecture:
    """LeNet-5 (LeCun et al. 1998, Proc. IEEE 86(11), fig. 2) in its modern form.

    Deviations, as is usual today: max pooling and ReLU for the trainable subsampling and tanh,
    full connections in C3, a linear output for the radial basis functions. An input under 32
    pixels is padded in the first convolution, as the paper pads MNIST's 28 to 32.
    """
    g = Builder(input_shape)
    small = min(g.input.spatial) < 32
    widths = [scaled(n, width) for n in (6, 16, 120, 84)]
    x = g.relu(g.conv(g.input, widths[0], 5, padding=2 if small else 0, name="conv1"))
    x = g.max_pool(x, 2)
    x = g.relu(g.conv(x, widths[1], 5, name="conv2"))
    x = g.flatten(g.max_pool(x, 2))
    x = g.relu(g.linear(x, widths[2], name="fc1"))
    x = g.relu(g.linear(x, widths[3], name="fc2"))
    return g.build(g.linear(x, classes, name="fc3"))
