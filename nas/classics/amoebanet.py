"""AmoebaNet."""

from typing import Literal, NamedTuple

from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.classics.scaling import scaled
from nas.pairwise import NASNET, Cell, Stem, pairwise_network


class Cells(NamedTuple):
    """The two cells of a variant."""

    normal: Cell
    reduction: Cell


AMOEBANET = {
    "a": Cells(
        Cell(
            (
                ("avg_pool_3x3", 1), ("max_pool_3x3", 1),
                ("sep_conv_3x3", 0), ("skip_connect", 0),
                ("skip_connect", 1), ("avg_pool_3x3", 0),
                ("sep_conv_3x3", 1), ("sep_conv_5x5", 2),
                ("avg_pool_3x3", 5), ("sep_conv_3x3", 1),
            ),
            (0, 3, 4, 6),
        ),
        Cell(
            (
                ("sep_conv_3x3", 0), ("avg_pool_3x3", 1),
                ("max_pool_3x3", 1), ("sep_conv_7x7", 2),
                ("max_pool_3x3", 0), ("max_pool_3x3", 1),
                ("sep_conv_3x3", 4), ("conv_1x7_7x1", 1),
                ("avg_pool_3x3", 0), ("sep_conv_7x7", 1),
            ),
            (2, 3, 4, 5, 6),
        ),
    ),
    "b": Cells(
        Cell(
            (
                ("conv_1x1", 0), ("max_pool_3x3", 0),
                ("skip_connect", 0), ("sep_conv_3x3", 1),
                ("conv_1x1", 0), ("sep_conv_3x3", 1),
                ("conv_1x1", 2), ("skip_connect", 2),
                ("avg_pool_3x3", 0), ("conv_1x1", 5),
            ),
            (1, 3, 4, 6),
        ),
        Cell(
            (
                ("max_pool_2x2", 1), ("max_pool_3x3", 1),
                ("skip_connect", 2), ("conv_3x3", 0),
                ("dil_sep_conv_5x5", 2), ("max_pool_3x3", 2),
                ("skip_connect", 3), ("sep_conv_3x3", 0),
                ("avg_pool_3x3", 4), ("conv_1x1", 3),
            ),
            (5, 6),
        ),
    ),
    "c": Cells(
        Cell(
            (
                ("avg_pool_3x3", 1), ("sep_conv_3x3", 1),
                ("skip_connect", 1), ("sep_conv_3x3", 1),
                ("avg_pool_3x3", 2), ("sep_conv_3x3", 0),
                ("skip_connect", 1), ("sep_conv_3x3", 0),
                ("avg_pool_3x3", 3), ("sep_conv_3x3", 1),
            ),
            (0, 2, 4, 5, 6),
        ),
        Cell(
            (
                ("max_pool_3x3", 1), ("max_pool_3x3", 1),
                ("sep_conv_7x7", 2), ("sep_conv_3x3", 1),
                ("sep_conv_7x7", 1), ("max_pool_3x3", 0),
                ("sep_conv_5x5", 4), ("sep_conv_5x5", 4),
                ("max_pool_3x3", 0), ("sep_conv_3x3", 0),
            ),
            (1, 2, 3, 4, 5, 6),
        ),
    ),
    "d": Cells(
        Cell(
            (
                ("conv_1x1", 0), ("max_pool_3x3", 0),
                ("skip_connect", 0), ("conv_1x7_7x1", 1),
                ("conv_1x1", 1), ("conv_1x7_7x1", 1),
                ("max_pool_3x3", 2), ("skip_connect", 2),
                ("avg_pool_3x3", 0), ("conv_1x1", 5),
            ),
            (1, 3, 4, 6),
        ),
        Cell(
            (
                ("max_pool_2x2", 1), ("max_pool_3x3", 1),
                ("skip_connect", 2), ("conv_3x3", 0),
                ("conv_1x7_7x1", 2), ("max_pool_3x3", 2),
                ("skip_connect", 3), ("max_pool_2x2", 0),
                ("avg_pool_3x3", 2), ("conv_1x1", 3),
            ),
            (4, 5, 6),
        ),
    ),
}  # fmt: skip
"""The cells as in the authors' code (tensorflow/tpu, ``amoeba_net/model_specs.py``).

The paper's figures concatenate fewer states: only with the code's do the networks have the
parameters of its tables.
"""


def amoebanet(
    input_shape: Shape,
    classes: int,
    variant: Literal["a", "b", "c", "d"],
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
    """AmoebaNet-A to D (Real et al. 2019, arXiv:1802.01548), N = ``cells``, F = ``channels``.

    NASNet's skeleton with cells found by regularized evolution. The stem is that of NASNet's
    large or CIFAR form. Published training has ``dropout=0.5``, an ``auxiliary`` head and drop
    path of 0.3 in the large form; the same in all cells, where ours falls linearly to the first.
    The separable 5x5 of B's reduction is dilated, as in the paper; the authors' code forgets it.
    """
    normal, reduction = AMOEBANET[variant]
    return pairwise_network(
        input_shape,
        classes,
        normal,
        reduction,
        NASNET,
        stages=(cells,) * 3,
        channels=scaled(channels, width),
        stem_channels=scaled(stem_channels, width),
        stem=stem,
        drop_path=drop_path,
        dropout=dropout,
        auxiliary=auxiliary,
    )
