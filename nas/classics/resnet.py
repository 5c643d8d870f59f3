"""Builds residual networks."""

from typing import Literal

from nas.architecture.builder import Builder
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks import bottleneck, conv_norm, preactivation, residual
from nas.blocks.scaling import scaled


def resnet(
    input_shape: Shape,
    classes: int,
    blocks: tuple[int, int, int, int],
    bottlenecks: bool = False,
    reduction: int = 4,
    groups: int = 1,
    squeeze: int | None = None,
    *,
    width: float = 1.0,
    stem: Literal["imagenet", "cifar"] = "imagenet",
) -> Architecture:
    """Build ResNet for ImageNet (He et al. 2016, table 1), as in torchvision.

    ``bottlenecks`` with half the ``reduction`` make Wide ResNet-50-2 (Zagoruyko & Komodakis 2016);
    with 32 ``groups`` as well, they make ResNeXt-50 32x4d (Xie et al. 2017). ``squeeze`` puts
    squeeze-and-excitation with that reduction into each block, as in timm's ``seresnet50``.
    ``stem="cifar"`` is the usual change for small images: a 3x3 convolution at stride 1 and no
    max pooling.
    """
    g = Builder(input_shape)
    base = scaled(64, width)
    if stem == "imagenet":
        x = conv_norm(g, g.input, base, 2, kernel=7, names=("conv1", "bn1"))
        x = g.max_pool(x, 3, 2, padding=1)
    else:
        x = conv_norm(g, g.input, base, names=("conv1", "bn1"))
    for stage, count in enumerate(blocks):
        for index in range(count):
            stride = 2 if stage > 0 and index == 0 else 1
            channels = base * 2**stage
            with g.scope(f"layer{stage + 1}.{index}"):
                if bottlenecks:
                    x = bottleneck(
                        g,
                        x,
                        4 * channels,
                        stride,
                        reduction=reduction,
                        groups=groups,
                        squeeze=squeeze,
                    )
                else:
                    x = residual(g, x, channels, stride, squeeze=squeeze)
    x = g.flatten(g.adaptive_avg_pool(x, 1))
    return g.build(g.linear(x, classes, name="fc"))


def resnet_cifar(
    input_shape: Shape,
    classes: int,
    blocks: int,
    squeeze: int | None = None,
    *,
    width: float = 1.0,
    shortcut: Literal["padded", "projection"] = "padded",
) -> Architecture:
    """Build ResNet for CIFAR: 6n+2 layers, n ``blocks`` per stage (He et al. 2016, section 4.2).

    Where a stage doubles the channels, the ``shortcut`` is "padded" with zeros (option A, which has
    no parameters: ResNet-20 has 269,722), or a "projection" by a 1x1 convolution (option B, 2,752
    parameters more, as in pycls). ``squeeze`` puts squeeze-and-excitation with that reduction into
    each block (Hu et al. 2018).
    """
    g = Builder(input_shape)
    base = scaled(16, width)
    x = conv_norm(g, g.input, base, names=("conv1", "bn1"))
    for stage in range(3):
        for index in range(blocks):
            stride = 2 if stage > 0 and index == 0 else 1
            with g.scope(f"layer{stage + 1}.{index}"):
                padded = shortcut == "padded"
                x = residual(g, x, base * 2**stage, stride, padded_shortcut=padded, squeeze=squeeze)
    return g.build(g.linear(g.global_pool(x), classes, name="fc"))


def wide_resnet_cifar(
    input_shape: Shape,
    classes: int,
    blocks: int,
    factor: int,
    *,
    width: float = 1.0,
    dropout: float = 0.0,
) -> Architecture:
    """Build Wide ResNet for CIFAR: 6n+4 layers, n ``blocks`` per stage.

    Zagoruyko & Komodakis 2016, arXiv:1605.07146, table 1, where ``factor`` is k. WRN-28-10 has
    36,479,194 parameters. ``dropout`` is between the convolutions of a block; the paper also tries
    0.3. Node names are those of xternalz/WideResNet-pytorch.
    """
    g = Builder(input_shape)
    x = g.conv(g.input, scaled(16, width), 3, padding=1, bias=False, name="conv1")
    for stage in range(3):
        for index in range(blocks):
            stride = 2 if stage > 0 and index == 0 else 1
            with g.scope(f"block{stage + 1}.layer.{index}"):
                channels = scaled(16 * factor, width) * 2**stage
                x = preactivation(g, x, channels, stride, dropout=dropout)
    x = g.relu(g.batch_norm(x, name="bn1"))
    return g.build(g.linear(g.global_pool(x), classes, name="fc"))
