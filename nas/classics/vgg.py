"""Builds the VGG networks."""

from typing import Literal

from nas.architecture.builder import Builder
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks import conv_norm
from nas.blocks.scaling import scaled

KERNELS = {
    "A": ((3,), (3,), (3, 3), (3, 3), (3, 3)),
    "B": ((3, 3), (3, 3), (3, 3), (3, 3), (3, 3)),
    "C": ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1)),
    "D": ((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    "E": ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3)),
}
"""The convolutions of each stage in the paper's table 1, columns A to E."""


def vgg(
    input_shape: Shape,
    classes: int,
    configuration: str,
    norm: Literal["batch", "local"] | None = None,
    *,
    width: float = 1.0,
    stem: Literal["imagenet", "cifar"] = "imagenet",
) -> Architecture:
    """Build VGG (Simonyan & Zisserman 2015, table 1), as in torchvision.

    ``norm="batch"`` puts batch norm behind each convolution, as in torchvision's ``_bn`` networks.
    ``norm="local"`` makes A-LRN, with AlexNet's normalisation behind the first convolution.
    ``stem="cifar"`` is the usual change for small images: one linear layer on the mean of the last
    maps classifies.
    """
    g = Builder(input_shape)
    x, index = g.input, 0
    for channels, kernels in zip((64, 128, 256, 512, 512), KERNELS[configuration], strict=True):
        out = scaled(channels, width)
        for kernel in kernels:
            x = g.conv(x, out, kernel, padding=kernel // 2, name=f"features.{index}")
            if norm == "batch":
                x = g.batch_norm(x, name=f"features.{index + 1}")
            x = g.relu(x)
            if norm == "local" and index == 0:
                x = g.local_response_norm(x, 5, alpha=5 * 1e-4, beta=0.75, k=2.0)
                index += 1
            index += 3 if norm == "batch" else 2
        x = g.max_pool(x, 2)
        index += 1
    if stem == "cifar":
        return g.build(g.linear(g.global_pool(x), classes, name="classifier"))
    x = g.flatten(g.adaptive_avg_pool(x, 7))
    for layer in (0, 3):
        x = g.relu(g.linear(x, scaled(4096, width), name=f"classifier.{layer}"))
        x = g.dropout(x)
    return g.build(g.linear(x, classes, name="classifier.6"))


def vgg8(input_shape: Shape, classes: int, *, width: float = 1.0) -> Architecture:
    """Build VGG-8 with batch norm for CIFAR (Tian et al. 2020, arXiv:1910.10699).

    It has five convolutions, three poolings and a global one, so that inputs of at least eight
    pixels fit.
    """
    g = Builder(input_shape)
    x = g.input
    for stage, channels in enumerate((64, 128, 256, 512, 512)):
        with g.scope(f"block{stage}.0"):
            x = conv_norm(g, x, scaled(channels, width))
        if stage < 3:
            x = g.max_pool(x, 2)
    return g.build(g.linear(g.global_pool(x), classes, name="classifier"))
