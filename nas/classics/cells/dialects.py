"""Dialects: how implementations of pairwise cells decide what the papers leave open."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Dialect:
    """Describes the rules of one implementation, and the names in its state dict.

    Attributes:
        padding: how windows pad: TensorFlow's rule "same", or None for half the kernel on both
            sides, which leaves zeros out of averages.
        epsilon: the epsilon of every batch norm.
        projects_stem: whether the first cell projects the stem twice. Otherwise its older state is
            the stem as it is, and edges that read it project.
        strided_skip: what replaces an identity that must shrink the map: ReLU, strided 1x1
            convolution and norm ("projection"); a factorized reduction; or that without its ReLU.
        final_relu: whether there is a ReLU before the global pooling.
        deeper_drops_more: whether the probability of drop path grows linearly with the depth.
        reduction_counts: whether the cell that reduces is the first of its stage's cells.
            Otherwise it comes before them.
        auxiliary: which cell the auxiliary head reads, counted from the last reduction.
        stem: names of the stem's convolution and norm.
        normal, reduction: scope of a cell, formatted with its numbers: ``cell`` among all cells,
            ``normal`` among the normal cells, and ``reduction`` among the reductions.
        older, newer: scopes of the projections of a cell's two inputs.
        newer_again: scope of a second projection of the newer input; "" if there is none.
        older_reduced: scope of the older input's projection if its map is larger; "" is the cell's
            own scope.
        edge: scope of an edge, formatted with its number ``edge``, its ``node`` and ``side``.
        projection: names of ReLU, convolution and norm.
        separable: for both layers, names of ReLU, depthwise, pointwise convolution and norm.
        factorized: names of ReLU, of both convolutions and of the norm.
        classifier: name of the last linear layer.
    """

    padding: Literal["same"] | None
    epsilon: float
    projects_stem: bool
    strided_skip: Literal["projection", "factorized", "factorized_linear"]
    final_relu: bool
    deeper_drops_more: bool
    reduction_counts: bool
    auxiliary: int
    stem: tuple[str, str]
    normal: str
    reduction: str
    older: str
    newer: str
    newer_again: str
    older_reduced: str
    edge: str
    projection: tuple[str, str, str]
    separable: tuple[tuple[str, str, str, str], ...]
    factorized: tuple[str, str, str, str]
    classifier: str


NASNET = Dialect(
    padding="same",
    epsilon=1e-3,
    projects_stem=False,
    strided_skip="projection",
    final_relu=True,
    deeper_drops_more=True,
    reduction_counts=False,
    auxiliary=-1,
    stem=("conv0.conv", "conv0.bn"),
    normal="cell_{normal}",
    reduction="reduction_cell_{reduction}",
    older="conv_prev_1x1",
    newer="conv_1x1",
    newer_again="",
    older_reduced="",
    edge="comb_iter_{node}_{side}",
    projection=("act", "conv", "bn"),
    separable=(
        ("act_1", "separable_1.depthwise_conv2d", "separable_1.pointwise_conv2d", "bn_sep_1"),
        ("act_2", "separable_2.depthwise_conv2d", "separable_2.pointwise_conv2d", "bn_sep_2"),
    ),
    factorized=("act", "path_1.conv", "path_2.conv", "final_path_bn"),
    classifier="last_linear",
)
"""Follows the authors' code (tensorflow/models, ``slim/nets/nasnet``), with timm's names.

As in timm, and unlike TensorFlow, a strided average counts the zeros of its padding.
"""

PNASNET = replace(
    NASNET,
    reduction_counts=True,
    stem=("conv_0.conv", "conv_0.bn"),
    normal="cell_{cell}",
    reduction="cell_{cell}",
    older_reduced="conv_prev_1x1",
)
"""Follows the same code, with the names of timm's PNASNet."""

DARTS = Dialect(
    padding=None,
    epsilon=1e-5,
    projects_stem=True,
    strided_skip="factorized",
    final_relu=False,
    deeper_drops_more=False,
    reduction_counts=False,
    auxiliary=0,
    stem=("stem.0", "stem.1"),
    normal="cells.{cell}",
    reduction="cells.{cell}",
    older="preprocess0",
    newer="preprocess1",
    newer_again="",
    older_reduced="preprocess0",
    edge="_ops.{edge}",
    projection=("op.0", "op.1", "op.2"),
    separable=(("op.0", "op.1", "op.2", "op.3"), ("op.4", "op.5", "op.6", "op.7")),
    factorized=("relu", "conv_1", "conv_2", "bn"),
    classifier="classifier",
)
"""Follows the code of DARTS (quark0/darts, ``cnn``)."""

ENAS = replace(
    NASNET,
    epsilon=1e-5,
    projects_stem=True,
    strided_skip="factorized_linear",
    auxiliary=1,
    newer_again="layer_base",
)
"""Follows the code of ENAS (melodyguan/enas, ``micro_child.py``), with NASNet's names.

Deviations: the authors' code does not project an input that has the right channels already, and
its classifier has no bias. Here all inputs are projected, and the classifier has one.
"""

DIALECTS = {"nasnet": NASNET, "pnasnet": PNASNET, "darts": DARTS, "enas": ENAS}
"""Every dialect by name."""
