"""Blocks: functions over the builder that classics and search spaces share.

A block takes a builder and a handle and returns a handle. ``channels`` is the output width, by
default the input's. Arguments behind the star are the block's own options; they are what a search
space may set in YAML (:data:`BLOCKS`). Node names are those of torchvision where it has the block.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

from nas.architecture.builder import Builder, Handle
from nas.architecture.operations.layers import Function
from nas.architecture.padding import Padding
from nas.registry import Registry

BLOCKS = Registry(
    "block",
    {
        "conv": "nas.blocks:conv_norm",
        "depthwise_separable": "nas.blocks:depthwise_separable",
        "inverted_residual": "nas.blocks:inverted_residual",
        "residual": "nas.blocks:residual",
        "bottleneck": "nas.blocks:bottleneck",
        "preactivation": "nas.blocks:preactivation",
        "inception": "nas.blocks:inception",
        "shuffle_unit": "nas.blocks:shuffle_unit",
        "convnext": "nas.blocks:convnext_block",
        "squeeze_excitation": "nas.blocks:squeeze_excitation",
        "self_attention": "nas.blocks:self_attention",
        "max_pool": "nas.blocks:max_pool",
        "avg_pool": "nas.blocks:avg_pool",
        "identity": "nas.blocks:identity",
    },
)
"""Blocks that a search space may use as operations: all keep the spatial size."""


def conv_norm(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int | tuple[int, int] = 1,
    names: tuple[str, str] = ("conv", "bn"),
    padding: Padding | None = None,
    epsilon: float | None = None,
    *,
    kernel: int | tuple[int, int] = 3,
    dilation: int = 1,
    groups: int = 1,
    activation: Function | None = "relu",
) -> Handle:
    """Convolution, batch normalisation, activation (Ioffe & Szegedy 2015).

    By default pads ``dilation * (kernel - 1) // 2`` on both sides, so that an odd kernel at
    stride 1 keeps the size. ``names`` are those of the convolution and the norm; ``epsilon`` is
    the norm's, the builder's by default.
    """
    if padding is None:
        sides = (kernel,) * len(x.spatial) if isinstance(kernel, int) else kernel
        padding = [dilation * (side - 1) // 2 for side in sides]
    channels = channels or x.channels
    x = g.conv(x, channels, kernel, stride, padding, dilation, groups, bias=False, name=names[0])
    x = g.batch_norm(x, epsilon, name=names[1])
    return g.activation(x, activation) if activation else x


def separable_conv(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    names: tuple[str, str] = ("depthwise", "pointwise"),
    padding: Padding | None = None,
    *,
    kernel: int = 3,
    dilation: int = 1,
) -> Handle:
    """Depthwise, then pointwise convolution, nothing between (Chollet 2017, arXiv:1610.02357)."""
    if padding is None:
        padding = dilation * (kernel - 1) // 2
    channels = channels or x.channels
    x = g.depthwise(x, kernel, stride, padding, dilation, bias=False, name=names[0])
    return g.conv(x, channels, 1, bias=False, name=names[1])


def depthwise_separable(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    *,
    kernel: int = 3,
    dilation: int = 1,
    activation: Function = "relu",
) -> Handle:
    """Depthwise, then pointwise convolution, both normed (Howard et al. 2017, fig. 3).

    Node names are those of timm.
    """
    x = conv_norm(
        g,
        x,
        None,
        stride,
        ("conv_dw", "bn1"),
        kernel=kernel,
        dilation=dilation,
        groups=x.channels,
        activation=activation,
    )
    return conv_norm(g, x, channels, 1, ("conv_pw", "bn2"), kernel=1, activation=activation)


def inverted_residual(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    container: Literal["conv", "layers", "block"] = "conv",
    hidden: int | None = None,
    excitation: Callable[[Builder, Handle, str], Handle] | None = None,
    *,
    expansion: int = 6,
    kernel: int = 3,
    activation: Function = "relu6",
    squeeze: int | None = None,
    drop_path: float = 0.0,
) -> Handle:
    """Expand, depthwise, project without activation (MobileNetV2, Sandler et al. 2018, table 1).

    The shortcut stands where the shape is kept; in training ``drop_path`` is the probability of
    taking it alone. ``squeeze`` puts squeeze-and-excitation with that reduction before the
    projection (Tan et al. 2019, fig. 7); ``excitation`` is one that the caller makes, given its
    name. ``hidden`` is the expanded width itself. ``container`` is what torchvision calls the
    layers: "conv" in MobileNetV2, "layers" in MnasNet, "block" in later ones.
    """
    channels, hidden = channels or x.channels, hidden or x.channels * expansion
    if squeeze and not excitation:
        excitation = partial(squeeze_excitation, reduction=squeeze)
    y, index = x, 0

    def names(last: bool = False) -> tuple[str, str]:
        if container == "layers":
            return f"layers.{3 * index}", f"layers.{3 * index + 1}"
        if container == "conv" and last:
            return f"conv.{index}", f"conv.{index + 1}"
        return f"{container}.{index}.0", f"{container}.{index}.1"

    if hidden != x.channels:
        y = conv_norm(g, y, hidden, 1, names(), kernel=1, activation=activation)
        index += 1
    y = conv_norm(
        g, y, hidden, stride, names(), kernel=kernel, groups=hidden, activation=activation
    )
    index += 1
    if excitation:
        y = excitation(g, y, f"{container}.{index}")
        index += 1
    y = conv_norm(g, y, channels, 1, names(last=True), kernel=1, activation=None)
    if stride > 1 or y.shape != x.shape:
        return y
    return g.add(x, g.drop_path(y, drop_path) if drop_path else y)


def shuffle_unit(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    *,
    kernel: int = 3,
) -> Handle:
    """Half of the channels pass, half are convolved, then both are shuffled.

    ShuffleNet V2 (Ma et al. 2018, arXiv:1807.11164, fig. 3c). With a stride, both branches see
    all channels and are convolved (fig. 3d); so they are where the width changes. ``channels``
    must be even.
    """
    channels = channels or x.channels
    half = channels // 2
    split = stride == 1 and x.channels == channels
    branch1 = g.slice(x, 0, half) if split else x
    branch2 = g.slice(x, half, channels) if split else x

    def depthwise(y: Handle, at: int) -> Handle:
        names = (str(at), str(at + 1))
        return conv_norm(
            g, y, None, stride, names, kernel=kernel, groups=y.channels, activation=None
        )

    if not split:
        with g.scope("branch1"):
            branch1 = conv_norm(g, depthwise(branch1, 0), half, 1, ("2", "3"), kernel=1)
    with g.scope("branch2"):
        branch2 = conv_norm(g, branch2, channels - half, 1, ("0", "1"), kernel=1)
        branch2 = conv_norm(g, depthwise(branch2, 3), channels - half, 1, ("5", "6"), kernel=1)
    return g.channel_shuffle(g.concat(branch1, branch2), 2)


def convnext_block(
    g: Builder,
    x: Handle,
    *,
    kernel: int = 7,
    expansion: int = 4,
    layer_scale: float = 1e-6,
    drop_path: float = 0.0,
) -> Handle:
    """Depthwise convolution, layer norm, and two linear layers (Liu et al. 2022, fig. 4).

    The branch is multiplied by a learnt factor a channel, which begins as ``layer_scale``;
    ``drop_path`` is the probability that training leaves it out.
    """
    y = g.depthwise(x, kernel, padding=kernel // 2, name="block.0")
    y = g.layer_norm(_channels_last(g, y), "last", epsilon=1e-6, name="block.2")
    y = g.activation(g.linear(y, expansion * x.channels, name="block.3"), "gelu")
    y = _channels_first(g, g.linear(y, x.channels, name="block.5"))
    y = g.scale(y, layer_scale, name="layer_scale")
    return g.add(x, g.drop_path(y, drop_path) if drop_path else y)


def self_attention(g: Builder, x: Handle, *, heads: int = 4) -> Handle:
    """Multi-head self-attention among the positions of a map (Vaswani et al. 2017, section 3.2.2).

    Its four projections are linear layers; ``heads`` must divide the channels. Neither norm nor
    shortcut nor a code of the positions is part of it.
    """
    y = _channels_last(g, x)
    query, key, value = (g.linear(y, x.channels, name=name) for name in ("q", "k", "v"))
    y = g.linear(g.attention(query, key, value, heads), x.channels, name="proj")
    return _channels_first(g, y)


def _channels_last(g: Builder, x: Handle) -> Handle:
    return g.permute(x, (*range(1, len(x.shape)), 0))


def _channels_first(g: Builder, x: Handle) -> Handle:
    last = len(x.shape) - 1
    return g.permute(x, (last, *range(last)))


def residual(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    padded_shortcut: bool = False,
    *,
    kernel: int = 3,
    squeeze: int | None = None,
) -> Handle:
    """The basic residual block: two convolutions and a shortcut (He et al. 2016, fig. 5 left).

    Where the shape changes the shortcut is a strided 1x1 convolution (the paper's option B), or,
    if ``padded_shortcut``, subsampling with zeros for the new channels (option A), which needs no
    parameters. ``squeeze`` adds squeeze-and-excitation with that reduction before the sum.
    """
    channels = channels or x.channels
    y = conv_norm(g, x, channels, stride, ("conv1", "bn1"), kernel=kernel)
    y = conv_norm(g, y, channels, 1, ("conv2", "bn2"), kernel=kernel, activation=None)
    if squeeze:
        y = squeeze_excitation(g, y, reduction=squeeze)
    return g.relu(g.add(y, shortcut(g, x, y, stride, padded_shortcut)))


def bottleneck(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    *,
    reduction: int = 4,
    groups: int = 1,
    squeeze: int | None = None,
) -> Handle:
    """The bottleneck residual block: 1x1, 3x3, 1x1 (He et al. 2016, fig. 5 right).

    As torchvision, the stride is in the 3x3 convolution, where the paper has it in the first. With
    ``groups`` it is ResNeXt's (Xie et al. 2017, fig. 3c): the inner width, ``channels //
    reduction``, is rounded down to a multiple of them.
    """
    channels = channels or x.channels
    width = max(channels // reduction // groups, 1) * groups
    y = conv_norm(g, x, width, 1, ("conv1", "bn1"), kernel=1)
    y = conv_norm(g, y, width, stride, ("conv2", "bn2"), groups=groups)
    y = conv_norm(g, y, channels, 1, ("conv3", "bn3"), kernel=1, activation=None)
    if squeeze:
        y = squeeze_excitation(g, y, reduction=squeeze)
    return g.relu(g.add(y, shortcut(g, x, y, stride)))


def preactivation(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    *,
    kernel: int = 3,
    dropout: float = 0.0,
) -> Handle:
    """The residual block that norms and activates before it convolves (He et al. 2016, fig. 4e).

    arXiv:1603.05027. Where the shape changes the shortcut is a strided 1x1 convolution of the
    activated input. ``dropout`` stands between the convolutions (Zagoruyko & Komodakis 2016,
    fig. 1d). Node names are those of xternalz/WideResNet-pytorch.
    """
    channels = channels or x.channels
    active = g.relu(g.batch_norm(x, name="bn1"))
    y = g.conv(active, channels, kernel, stride, kernel // 2, bias=False, name="conv1")
    y = g.relu(g.batch_norm(y, name="bn2"))
    if dropout:
        y = g.dropout(y, dropout)
    y = g.conv(y, channels, kernel, 1, kernel // 2, bias=False, name="conv2")
    if x.shape != y.shape:
        x = g.conv(active, channels, 1, stride, bias=False, name="convShortcut")
    return g.add(x, y)


def shortcut(g: Builder, x: Handle, y: Handle, stride: int = 1, padded: bool = False) -> Handle:
    """``x`` in the shape of ``y``, to be added to it: :func:`residual` says how."""
    if x.shape == y.shape:
        return x
    if not padded:
        return conv_norm(
            g, x, y.channels, stride, ("downsample.0", "downsample.1"), kernel=1, activation=None
        )
    x = g.avg_pool(x, 1, stride)
    missing = y.channels - x.channels
    while missing > 0:
        part = x if missing >= x.channels else g.slice(x, 0, missing)
        x, missing = g.concat(x, g.zero(part)), missing - part.channels
    return x


def inception(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    widths: tuple[int, int, int, int, int, int] | None = None,
    *,
    large_kernel: int = 5,
) -> Handle:
    """Four branches side by side: 1x1, 3x3, 5x5, pool (GoogLeNet, Szegedy et al. 2015, fig. 2b).

    ``widths`` are those of the paper's table 1: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool
    projection. By default they divide ``channels`` as its module 3a does: 1/4, 3/8, 1/2, 1/16,
    1/8, 1/8. Each convolution is normed, as in torchvision.
    """
    if widths is None:
        total = channels or x.channels
        one, five, pool = (max(total // part, 1) for part in (4, 8, 8))
        widths = (
            one, max(3 * total // 8, 1), total - one - five - pool, max(total // 16, 1), five, pool,
        )  # fmt: skip
    one, reduce_three, three, reduce_five, five, pool = widths

    def conv(x: Handle, channels: int, kernel: int, name: str) -> Handle:
        with g.scope(name):
            return conv_norm(g, x, channels, kernel=kernel)

    branch1 = conv(x, one, 1, "branch1")
    branch2 = conv(conv(x, reduce_three, 1, "branch2.0"), three, 3, "branch2.1")
    branch3 = conv(conv(x, reduce_five, 1, "branch3.0"), five, large_kernel, "branch3.1")
    branch4 = conv(max_pool(g, x), pool, 1, "branch4.1")
    return g.concat(branch1, branch2, branch3, branch4)


def squeeze_excitation(
    g: Builder,
    x: Handle,
    name: str = "se",
    channels: int | None = None,
    adaptive: bool = False,
    *,
    reduction: int = 16,
    activation: Function = "relu",
    gate: Function = "sigmoid",
) -> Handle:
    """Scale each channel by a gate computed from all channel means (Hu et al. 2018, eq. 2 to 4).

    ``channels`` between the two layers, by default the input's over ``reduction``. ``adaptive``
    takes the means as torchvision does, by a pooling that fvcore counts.
    """
    channels = channels or max(x.channels // reduction, 1)
    with g.scope(name):
        s = g.adaptive_avg_pool(x, 1) if adaptive else g.global_pool(x, keep_axes=True)
        s = g.activation(g.conv(s, channels, 1, name="fc1"), activation)
        s = g.activation(g.conv(s, x.channels, 1, name="fc2"), gate)
    return g.multiply(x, s)


def max_pool(g: Builder, x: Handle, *, kernel: int = 3) -> Handle:
    """Max pooling at stride 1 that keeps the size."""
    return g.max_pool(x, kernel, 1, kernel // 2)


def avg_pool(g: Builder, x: Handle, *, kernel: int = 3) -> Handle:
    """Average pooling at stride 1 that keeps the size; the border is left out of the mean."""
    return g.avg_pool(x, kernel, 1, kernel // 2, count_include_pad=False)


def identity(g: Builder, x: Handle) -> Handle:
    """The input itself."""
    return g.identity(x)
