"""Builds the squeeze-and-excitation networks."""

from typing import Literal

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks import conv_norm, shortcut, squeeze_excitation
from nas.blocks.scaling import scaled


def legacy_seresnet(
    input_shape: Shape,
    classes: int,
    blocks: tuple[int, int, int, int],
    bottlenecks: bool = False,
    *,
    width: float = 1.0,
    stem: Literal["imagenet", "cifar"] = "imagenet",
) -> Architecture:
    """Build SE-ResNet (Hu et al. 2018, table 1), as timm has it from the authors' Caffe model.

    It differs from :func:`nas.classics.resnet.resnet`: a bottleneck's stride is in its first
    convolution, a basic block activates before it squeezes, the pooling of the stem rounds up, and
    there is dropout before the classifier. ``stem="cifar"`` is the usual change for small images: a
    3x3 convolution at stride 1 and no pooling.
    """
    g = Builder(input_shape)
    base = scaled(64, width)
    with g.scope("layer0"):
        if stem == "imagenet":
            x = conv_norm(g, g.input, base, 2, kernel=7, names=("conv1", "bn1"))
        else:
            x = conv_norm(g, g.input, base, names=("conv1", "bn1"))
    if stem == "imagenet":
        x = g.max_pool(x, 3, 2, ceil_mode=True)
    for stage, count in enumerate(blocks):
        for index in range(count):
            stride = 2 if stage > 0 and index == 0 else 1
            with g.scope(f"layer{stage + 1}.{index}"):
                x = _block(g, x, base * 2**stage, stride, bottlenecks)
    x = g.flatten(g.adaptive_avg_pool(x, 1))
    return g.build(g.linear(g.dropout(x, 0.2), classes, name="last_linear"))


def _block(g: Builder, x: Handle, channels: int, stride: int, bottlenecks: bool) -> Handle:
    if bottlenecks:
        y = conv_norm(g, x, channels, stride, kernel=1, names=("conv1", "bn1"))
        y = conv_norm(g, y, channels, names=("conv2", "bn2"))
        y = conv_norm(g, y, 4 * channels, kernel=1, activation=None, names=("conv3", "bn3"))
    else:
        y = conv_norm(g, x, channels, stride, names=("conv1", "bn1"))
        y = conv_norm(g, y, channels, names=("conv2", "bn2"))
    y = squeeze_excitation(g, y, name="se_module")
    return g.relu(g.add(y, shortcut(g, x, y, stride)))
