"""The cells that papers have published. Classics and search spaces read them here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from nas.classics.cells.dialects import DARTS, ENAS, NASNET, PNASNET, Dialect
from nas.classics.cells.network import Cell


class Published(NamedTuple):
    """Holds two cells, and the dialect of the implementation that they were published with."""

    normal: Cell
    reduction: Cell
    dialect: Dialect


_PNASNET_5 = Cell(
    (
        ("sep_conv_5x5", 0), ("max_pool_3x3", 0),
        ("sep_conv_7x7", 1), ("max_pool_3x3", 1),
        ("sep_conv_5x5", 1), ("sep_conv_3x3", 1),
        ("sep_conv_3x3", 4), ("max_pool_3x3", 1),
        ("sep_conv_3x3", 0), ("skip_connect", 1),
    ),
    (2, 3, 4, 5, 6),
)  # fmt: skip

PUBLISHED: Mapping[str, Published] = {
    "nasnet_a": Published(
        Cell(
            (
                ("sep_conv_5x5", 1), ("sep_conv_3x3", 0),
                ("sep_conv_5x5", 0), ("sep_conv_3x3", 0),
                ("avg_pool_3x3", 1), ("skip_connect", 0),
                ("avg_pool_3x3", 0), ("avg_pool_3x3", 0),
                ("sep_conv_3x3", 1), ("skip_connect", 1),
            ),
            (0, 2, 3, 4, 5, 6),
        ),
        Cell(
            (
                ("sep_conv_5x5", 1), ("sep_conv_7x7", 0),
                ("max_pool_3x3", 1), ("sep_conv_7x7", 0),
                ("avg_pool_3x3", 1), ("sep_conv_5x5", 0),
                ("skip_connect", 3), ("avg_pool_3x3", 2),
                ("sep_conv_3x3", 2), ("max_pool_3x3", 1),
            ),
            (3, 4, 5, 6),
        ),
        NASNET,
    ),
    "amoebanet_a": Published(
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
        NASNET,
    ),
    "amoebanet_b": Published(
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
        NASNET,
    ),
    "amoebanet_c": Published(
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
        NASNET,
    ),
    "amoebanet_d": Published(
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
        NASNET,
    ),
    "pnasnet_5": Published(_PNASNET_5, _PNASNET_5, PNASNET),
    "enas": Published(
        Cell(
            (
                ("avg_pool_3x3", 0), ("sep_conv_3x3", 0),
                ("skip_connect", 0), ("sep_conv_5x5", 0),
                ("skip_connect", 0), ("sep_conv_5x5", 1),
                ("sep_conv_3x3", 1), ("sep_conv_5x5", 0),
                ("avg_pool_3x3", 0), ("sep_conv_5x5", 1),
            ),
            (2, 3, 4, 5, 6),
        ),
        Cell(
            (
                ("sep_conv_3x3", 1), ("sep_conv_3x3", 1),
                ("max_pool_3x3", 0), ("avg_pool_3x3", 0),
                ("sep_conv_5x5", 1), ("sep_conv_5x5", 3),
                ("sep_conv_3x3", 1), ("skip_connect", 0),
                ("max_pool_3x3", 0), ("sep_conv_5x5", 1),
            ),
            (2, 4, 5, 6),
        ),
        ENAS,
    ),
    "darts_v1": Published(
        Cell(
            (
                ("sep_conv_3x3", 1), ("sep_conv_3x3", 0),
                ("skip_connect", 0), ("sep_conv_3x3", 1),
                ("skip_connect", 0), ("sep_conv_3x3", 1),
                ("sep_conv_3x3", 0), ("skip_connect", 2),
            ),
            (2, 3, 4, 5),
        ),
        Cell(
            (
                ("max_pool_3x3", 0), ("max_pool_3x3", 1),
                ("skip_connect", 2), ("max_pool_3x3", 0),
                ("max_pool_3x3", 0), ("skip_connect", 2),
                ("skip_connect", 2), ("avg_pool_3x3", 0),
            ),
            (2, 3, 4, 5),
        ),
        DARTS,
    ),
    "darts_v2": Published(
        Cell(
            (
                ("sep_conv_3x3", 0), ("sep_conv_3x3", 1),
                ("sep_conv_3x3", 0), ("sep_conv_3x3", 1),
                ("sep_conv_3x3", 1), ("skip_connect", 0),
                ("skip_connect", 0), ("dil_conv_3x3", 2),
            ),
            (2, 3, 4, 5),
        ),
        Cell(
            (
                ("max_pool_3x3", 0), ("max_pool_3x3", 1),
                ("skip_connect", 2), ("max_pool_3x3", 1),
                ("max_pool_3x3", 0), ("skip_connect", 2),
                ("skip_connect", 2), ("max_pool_3x3", 1),
            ),
            (2, 3, 4, 5),
        ),
        DARTS,
    ),
}  # fmt: skip
"""The published cells by name.

- NASNet-A: Zoph et al. 2018 (arXiv:1707.07012), figure 4.
- AmoebaNet-A to D: Real et al. 2019 (arXiv:1802.01548); tensorflow/tpu, ``model_specs.py``. The
  separable 5x5 of B's reduction is dilated, as in the paper; the authors' code forgets it.
- PNASNet-5: Liu et al. 2018 (arXiv:1712.00559), figure 1: one cell, in strides of 1 and 2.
- ENAS: Pham et al. 2018 (arXiv:1802.03268), micro space; ``cifar10_micro_final.sh``.
- DARTS v1 and v2, found by first- and second-order search: Liu et al. 2019 (arXiv:1806.09055);
  ``genotypes.py``.

NASNet-A and AmoebaNet concatenate the states that the authors' code concatenates. The figures show
fewer, those that no edge reads; but only with those of the code do the networks have as many
parameters as in the papers' tables.
"""
