"""Blocks: functions over the builder that classics and search spaces share.

A block takes a builder and a handle and returns a handle. ``channels`` is the output width, by
default the input's. Arguments behind the star are the block's own options; they are what a search
space may set in YAML (:data:`BLOCKS`). Node names are those of torchvision where it has the block.
"""

from __future__ import annotations

from nas.architecture.builder import Builder, Handle
from nas.architecture.operations.layers import Function
from nas.registry import Registry

BLOCKS = Registry(
    "block",
    {
        "conv": "nas.blocks:conv_norm",
        "depthwise_separable": "nas.blocks:depthwise_separable",
        "inverted_residual": "nas.blocks:inverted_residual",
        "residual": "nas.blocks:residual",
        "bottleneck": "nas.blocks:bottleneck",
        "inception": "nas.blocks:inception",
        "squeeze_excitation": "nas.blocks:squeeze_excitation",
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
    stride: int = 1,
    names: tuple[str, str] = ("conv", "bn"),
    *,
    kernel: int = 3,
    dilation: int = 1,
    groups: int = 1,
    activation: Function | None = "relu",
) -> Handle:
    """Convolution, batch normalisation, activation (Ioffe & Szegedy 2015).

    Pads ``dilation * (kernel - 1) // 2`` on both sides, so that an odd kernel at stride 1 keeps
    the size. ``names`` are those of the convolution and the norm.
    """
    padding = dilation * (kernel - 1) // 2
    channels = channels or x.channels
    x = g.conv(x, channels, kernel, stride, padding, dilation, groups, bias=False, name=names[0])
    x = g.batch_norm(x, name=names[1])
    return g.activation(x, activation) if activation else x


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
    """Depthwise, then pointwise convolution, both normed (Howard et al. 2017, fig. 3)."""
    with g.scope("depthwise"):
        x = conv_norm(
            g,
            x,
            stride=stride,
            kernel=kernel,
            dilation=dilation,
            groups=x.channels,
            activation=activation,
        )
    with g.scope("pointwise"):
        return conv_norm(g, x, channels, kernel=1, activation=activation)


def inverted_residual(
    g: Builder,
    x: Handle,
    channels: int | None = None,
    stride: int = 1,
    *,
    expansion: int = 6,
    kernel: int = 3,
    activation: Function = "relu6",
) -> Handle:
    """Expand, depthwise, project without activation (MobileNetV2, Sandler et al. 2018, table 1).

    The shortcut stands where the shape is kept.
    """
    channels = channels or x.channels
    shortcut, hidden = x, x.channels * expansion
    depthwise, project = "conv.0", ("conv.1", "conv.2")
    if expansion > 1:
        with g.scope("conv.0"):
            x = conv_norm(g, x, hidden, 1, ("0", "1"), kernel=1, activation=activation)
        depthwise, project = "conv.1", ("conv.2", "conv.3")
    with g.scope(depthwise):
        x = conv_norm(
            g, x, hidden, stride, ("0", "1"), kernel=kernel, groups=hidden, activation=activation
        )
    x = conv_norm(g, x, channels, 1, project, kernel=1, activation=None)
    return g.add(shortcut, x) if x.shape == shortcut.shape else x


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
    return g.relu(g.add(y, _shortcut(g, x, y, stride, padded_shortcut)))


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

    As torchvision, the stride is in the 3x3 convolution, where the paper has it in the first.
    """
    channels = channels or x.channels
    width = max(channels // reduction, 1)
    y = conv_norm(g, x, width, 1, ("conv1", "bn1"), kernel=1)
    y = conv_norm(g, y, width, stride, ("conv2", "bn2"), groups=groups)
    y = conv_norm(g, y, channels, 1, ("conv3", "bn3"), kernel=1, activation=None)
    if squeeze:
        y = squeeze_excitation(g, y, reduction=squeeze)
    return g.relu(g.add(y, _shortcut(g, x, y, stride, padded=False)))


def _shortcut(g: Builder, x: Handle, y: Handle, stride: int, padded: bool) -> Handle:
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
    with g.scope("branch1"):
        branch1 = conv_norm(g, x, one, kernel=1)
    with g.scope("branch2.0"):
        branch2 = conv_norm(g, x, reduce_three, kernel=1)
    with g.scope("branch2.1"):
        branch2 = conv_norm(g, branch2, three)
    with g.scope("branch3.0"):
        branch3 = conv_norm(g, x, reduce_five, kernel=1)
    with g.scope("branch3.1"):
        branch3 = conv_norm(g, branch3, five, kernel=large_kernel)
    with g.scope("branch4.1"):
        branch4 = conv_norm(g, max_pool(g, x), pool, kernel=1)
    return g.concat(branch1, branch2, branch3, branch4)


def squeeze_excitation(
    g: Builder,
    x: Handle,
    *,
    reduction: int = 16,
    gate: Function = "sigmoid",
) -> Handle:
    """Scale each channel by a gate computed from all channel means (Hu et al. 2018, eq. 2 to 4)."""
    with g.scope("se"):
        s = g.global_pool(x, keep_axes=True)
        s = g.relu(g.conv(s, max(x.channels // reduction, 1), 1, name="fc1"))
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
