"""VGG networks."""

from nas.architecture.builder import Builder
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks import conv_norm
from nas.classics.scaling import scaled


def vgg(input_shape: Shape, classes: int, *, width: float = 1.0) -> Architecture:
    """VGG configuration D, 16 layers (Simonyan & Zisserman 2015, table 1), as in torchvision."""
    g = Builder(input_shape)
    x, index = g.input, 0
    for channels, convolutions in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(convolutions):
            out = scaled(channels, width)
            x = g.relu(g.conv(x, out, 3, padding=1, name=f"features.{index}"))
            index += 2
        x = g.max_pool(x, 2)
        index += 1
    x = g.flatten(g.adaptive_avg_pool(x, 7))
    for layer in (0, 3):
        x = g.relu(g.linear(x, scaled(4096, width), name=f"classifier.{layer}"))
        x = g.dropout(x)
    return g.build(g.linear(x, classes, name="classifier.6"))


def vgg8(input_shape: Shape, classes: int, *, width: float = 1.0) -> Architecture:
    """VGG-8 with batch norm for CIFAR (Tian et al. 2020, arXiv:1910.10699): five convolutions.

    Three poolings and a global one, so that inputs from eight pixels on fit.
    """
    g = Builder(input_shape)
    x = g.input
    for stage, channels in enumerate((64, 128, 256, 512, 512)):
        with g.scope(f"block{stage}.0"):
            x = conv_norm(g, x, scaled(channels, width))
        if stage < 3:
            x = g.max_pool(x, 2)
    return g.build(g.linear(g.global_pool(x), classes, name="classifier"))
