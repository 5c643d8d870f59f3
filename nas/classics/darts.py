"""DARTS."""

from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.classics.scaling import scaled
from nas.pairwise import DARTS, Cell, pairwise_network

DARTS_V2_NORMAL = Cell(
    (
        ("sep_conv_3x3", 0), ("sep_conv_3x3", 1),
        ("sep_conv_3x3", 0), ("sep_conv_3x3", 1),
        ("sep_conv_3x3", 1), ("skip_connect", 0),
        ("skip_connect", 0), ("dil_conv_3x3", 2),
    ),
    (2, 3, 4, 5),
)  # fmt: skip
DARTS_V2_REDUCTION = Cell(
    (
        ("max_pool_3x3", 0), ("max_pool_3x3", 1),
        ("skip_connect", 2), ("max_pool_3x3", 1),
        ("max_pool_3x3", 0), ("skip_connect", 2),
        ("skip_connect", 2), ("max_pool_3x3", 1),
    ),
    (2, 3, 4, 5),
)  # fmt: skip
"""The cells that second-order search found (figures 4 and 5; ``DARTS_V2`` in the code)."""


def darts_v2(
    input_shape: Shape,
    classes: int,
    cells: int,
    channels: int,
    *,
    width: float = 1.0,
    drop_path: float = 0.0,
    auxiliary: bool = False,
) -> Architecture:
    """DARTS, second order (Liu et al. 2019, arXiv:1806.09055), its CIFAR network.

    3 times ``cells`` normal cells and two reductions; names of the authors' code (quark0/darts).
    Published training has ``drop_path=0.2``, risen to linearly, and the ``auxiliary`` head.
    """
    channels = scaled(channels, width)
    return pairwise_network(
        input_shape,
        classes,
        DARTS_V2_NORMAL,
        DARTS_V2_REDUCTION,
        DARTS,
        stages=(cells,) * 3,
        channels=channels,
        stem_channels=3 * channels,
        stem="cifar",
        drop_path=drop_path,
        auxiliary=auxiliary,
    )
