"""AlexNet."""

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.classics.scaling import scaled


def alexnet(input_shape: Shape, classes: int, *, width: float = 1.0) -> Architecture:
    """AlexNet in its one-tower form (Krizhevsky 2014, arXiv:1404.5997), as torchvision has it."""
    g = Builder(input_shape)

    def conv(
        x: Handle, channels: int, kernel: int, stride: int, padding: int, index: int
    ) -> Handle:
        channels = scaled(channels, width)
        return g.relu(g.conv(x, channels, kernel, stride, padding, name=f"features.{index}"))

    x = g.max_pool(conv(g.input, 64, 11, 4, 2, 0), 3, 2)
    x = g.max_pool(conv(x, 192, 5, 1, 2, 3), 3, 2)
    x = conv(x, 384, 3, 1, 1, 6)
    x = conv(x, 256, 3, 1, 1, 8)
    x = g.max_pool(conv(x, 256, 3, 1, 1, 10), 3, 2)
    x = g.flatten(g.adaptive_avg_pool(x, 6))
    for index in (1, 4):
        x = g.dropout(x)
        x = g.relu(g.linear(x, scaled(4096, width), name=f"classifier.{index}"))
    return g.build(g.linear(x, classes, name="classifier.6"))
