"""Heads: functions over the builder that turn the maps of a backbone into scores.

A head is called as ``head(g, taps, channels, *, options)``. ``taps`` are the maps of the backbone
by their stride (:func:`nas.architecture.taps.taps`), and ``channels`` is the number of scores per
position. It returns the scores at the size that suits it; :func:`dense` brings them to the size of
the image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.taps import dilated, taps
from nas.registry import Registry

__all__ = ["BOX_HEADS", "HEADS", "Head", "Taps", "dense"]

Taps = Mapping[int, Handle]
"""The maps of a backbone by their stride, the smallest stride first."""

Head = Callable[..., Handle]

HEADS = Registry(
    "head",
    {
        "fcn": "nas.heads.context:fcn",
        "deeplab_v3": "nas.heads.context:deeplab_v3",
        "lraspp": "nas.heads.context:lraspp",
        "unet": "nas.heads.pyramid:unet",
        "fpn": "nas.heads.pyramid:fpn",
        "decoder": "nas.heads.decoder:decoder",
    },
)
"""The heads that a task may name; their options are their keyword-only arguments."""

BOX_HEADS = Registry(
    "head",
    {"grid": "nas.heads.boxes:grid", "towers": "nas.heads.boxes:towers"},
)
"""The heads of detectors, for :func:`nas.heads.boxes.detector`.

A head is called as ``head(g, maps, channels, *, options)``: ``maps`` are those of each level by
their stride, and ``channels`` the numbers of values per position. It returns a map for each stride.
"""


def dense(
    backbone: Architecture,
    head: str,
    channels: int,
    options: Mapping[str, Any],
    output_stride: int | None = None,
) -> Architecture:
    """Return a network with ``channels`` scores for every position of the input.

    The backbone's nodes are below ``backbone``, the head's below ``classifier``, as in torchvision.
    The backbone's own head is left out. Scores are enlarged bilinearly.

    Args:
        backbone: any network over one to three spatial axes.
        head: a name of :data:`HEADS`.
        channels: the number of scores per position.
        options: the options of the head.
        output_stride: the largest stride of the backbone, which dilation keeps
            (:func:`nas.architecture.taps.dilated`); None leaves its strides as they are.

    Raises:
        nas.architecture.operations.ArchitectureError: if the backbone has no map that a head can
            read, or if it cannot be dilated.
    """
    if output_stride is not None:
        backbone = dilated(backbone.inference(), output_stride)
    g = Builder(backbone.input_shape)
    with g.scope("backbone"):
        handles = g.include(backbone)
    found = {stride: handles[name] for stride, name in taps(backbone).items()}
    with g.scope("classifier"):
        scores = HEADS[head](g, found, channels, **options)
    if scores.spatial != g.input.spatial:
        scores = g.resize(scores, g.input.spatial, "linear", name="scores")
    return g.build(scores)
