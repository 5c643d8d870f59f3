"""NASNet, and PNASNet, which has its skeleton."""

from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.classics.scaling import scaled
from nas.pairwise import NASNET, PNASNET, Cell, Stem, pairwise_network

NASNET_A_NORMAL = Cell(
    (
        ("sep_conv_5x5", 1), ("sep_conv_3x3", 0),
        ("sep_conv_5x5", 0), ("sep_conv_3x3", 0),
        ("avg_pool_3x3", 1), ("skip_connect", 0),
        ("avg_pool_3x3", 0), ("avg_pool_3x3", 0),
        ("sep_conv_3x3", 1), ("skip_connect", 1),
    ),
    (0, 2, 3, 4, 5, 6),
)  # fmt: skip
NASNET_A_REDUCTION = Cell(
    (
        ("sep_conv_5x5", 1), ("sep_conv_7x7", 0),
        ("max_pool_3x3", 1), ("sep_conv_7x7", 0),
        ("avg_pool_3x3", 1), ("sep_conv_5x5", 0),
        ("skip_connect", 3), ("avg_pool_3x3", 2),
        ("sep_conv_3x3", 2), ("max_pool_3x3", 1),
    ),
    (3, 4, 5, 6),
)  # fmt: skip
"""The cells of NASNet-A: figure 4, with the authors' code for the concatenated states."""

PNASNET_5 = Cell(
    (
        ("sep_conv_5x5", 0), ("max_pool_3x3", 0),
        ("sep_conv_7x7", 1), ("max_pool_3x3", 1),
        ("sep_conv_5x5", 1), ("sep_conv_3x3", 1),
        ("sep_conv_3x3", 4), ("max_pool_3x3", 1),
        ("sep_conv_3x3", 0), ("skip_connect", 1),
    ),
    (2, 3, 4, 5, 6),
)  # fmt: skip
"""The cell of PNASNet-5 (figure 1), in strides of 1 and 2."""


def nasnet_a(
    input_shape: Shape,
    classes: int,
    cells: int,
    channels: int,
    stem_channels: int,
    reach_back: bool = False,
    *,
    width: float = 1.0,
    stem: Stem = "imagenet",
    drop_path: float = 0.0,
    dropout: float = 0.0,
    auxiliary: bool = False,
) -> Architecture:
    """NASNet-A (Zoph et al. 2018, arXiv:1707.07012): ``cells`` @ 24 ``channels``.

    The large form is timm's. Published training has ``dropout=0.5`` (not for CIFAR), an
    ``auxiliary`` head and scheduled drop path: 0.3 in the large form, 0.4 for CIFAR, none in the
    mobile one. ``drop_path`` is the last cell's probability and falls linearly to the first;
    raising it in the course of training is the training's.
    """
    return pairwise_network(
        input_shape,
        classes,
        NASNET_A_NORMAL,
        NASNET_A_REDUCTION,
        NASNET,
        stages=(cells,) * 3,
        channels=scaled(channels, width),
        stem_channels=scaled(stem_channels, width),
        stem=stem,
        reach_back=reach_back,
        drop_path=drop_path,
        dropout=dropout,
        auxiliary=auxiliary,
    )


def pnasnet5(
    input_shape: Shape,
    classes: int,
    cells: int,
    channels: int,
    stem_channels: int,
    *,
    width: float = 1.0,
    stem: Stem = "imagenet",
    drop_path: float = 0.0,
    dropout: float = 0.0,
    auxiliary: bool = False,
) -> Architecture:
    """PNASNet-5 (Liu et al. 2018, arXiv:1712.00559, figures 1 and 2): 3 times ``cells`` cells.

    The large form is timm's. Of each stage but the first, the first cell is the one that reduces.
    Published training has ``drop_path=0.4``, ``dropout=0.5`` and an ``auxiliary`` head; the
    authors' code also spares the strided skip from drop path.
    """
    return pairwise_network(
        input_shape,
        classes,
        PNASNET_5,
        PNASNET_5,
        PNASNET,
        stages=(cells, cells - 1, cells - 1),
        channels=scaled(channels, width),
        stem_channels=scaled(stem_channels, width),
        stem=stem,
        drop_path=drop_path,
        dropout=dropout,
        auxiliary=auxiliary,
    )
