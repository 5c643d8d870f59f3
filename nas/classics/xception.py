"""Builds Xception."""

from typing import Literal

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks import conv_norm, separable_conv
from nas.blocks.scaling import scaled


def xception(
    input_shape: Shape,
    classes: int,
    *,
    width: float = 1.0,
    stem: Literal["imagenet", "cifar"] = "imagenet",
) -> Architecture:
    """Build Xception (Chollet 2017, arXiv:1610.02357, figure 5), as timm's ``legacy_xception``.

    ``stem="cifar"`` is for small images: the first two convolutions have stride 1 and keep the
    size.
    """
    g = Builder(input_shape)
    stride, padding = (2, 0) if stem == "imagenet" else (1, 1)
    x = conv_norm(g, g.input, scaled(32, width), stride, names=("conv1", "bn1"), padding=padding)
    x = conv_norm(g, x, scaled(64, width), names=("conv2", "bn2"), padding=padding)
    entry = [((128, 128), 2), ((256, 256), 2), ((728, 728), 2)]
    middle = [((728, 728, 728), 1)] * 8
    for index, (widths, stride) in enumerate([*entry, *middle, ((728, 1024), 2)], start=1):
        with g.scope(f"block{index}"):
            x = _block(g, x, [scaled(n, width) for n in widths], stride, index > 1)
    for index, channels in ((3, 1536), (4, 2048)):
        names = (f"conv{index}.conv1", f"conv{index}.pointwise")
        x = separable_conv(g, x, scaled(channels, width), names=names)
        x = g.relu(g.batch_norm(x, name=f"bn{index}"))
    x = g.flatten(g.adaptive_avg_pool(x, 1))
    return g.build(g.linear(x, classes, name="fc"))


def _block(g: Builder, x: Handle, widths: list[int], stride: int, active: bool) -> Handle:
    """Add separable convolutions, each behind a ReLU (the first if ``active``), and a shortcut."""
    shortcut = x
    if stride > 1 or x.channels != widths[-1]:
        names = ("skip", "skipbn")
        shortcut = conv_norm(g, x, widths[-1], stride, kernel=1, activation=None, names=names)
    with g.scope("rep"):
        for index, channels in enumerate(widths):
            if index or active:
                x = g.relu(x)
            at = 3 * index + active  # the convolution's place in the reference's sequence
            x = separable_conv(g, x, channels, names=(f"{at}.conv1", f"{at}.pointwise"))
            x = g.batch_norm(x, name=str(at + 1))
        if stride > 1:
            x = g.max_pool(x, 3, stride, 1)
    return g.add(x, shortcut)
