"""Blocks: the functions that classics and search spaces build networks from.

A block is a function ``block(g, x, channels, stride, *, option=...)``. It adds operations to the
builder ``g`` behind the handle ``x`` and returns the handle of its output, which has ``channels``
channels and 1/``stride`` of the size. ``channels`` and ``stride`` may be left out: the block then
keeps the shape. The keyword arguments are the block's options, which a search space may set in
YAML. Options such as ``names`` choose the names of the nodes, so that a classic has the names of
its reference implementation, and published weights load.

:data:`BLOCKS` names every block. A search space in YAML may also name one of a user's own, as
``file.py:my_block`` or ``package.module:my_block``.
"""

from collections.abc import Callable

from nas.architecture.builder import Builder, Handle
from nas.blocks.attention import Excitation, self_attention, squeeze_excitation
from nas.blocks.convolution import (
    conv_norm,
    depthwise,
    depthwise_separable,
    factorized_reduction,
    relu_bottleneck,
    relu_conv,
    relu_separable,
    separable,
    separable_conv,
)
from nas.blocks.inception import conv_beside_pool, inception
from nas.blocks.mobile import (
    convnext_block,
    inverted_residual,
    shuffle_choice,
    shuffle_unit,
)
from nas.blocks.pooling import avg_pool, identity, max_pool, zero
from nas.blocks.residual import (
    bottleneck,
    grouped_bottleneck,
    preactivation,
    residual,
    shortcut,
)
from nas.registry import Registry

__all__ = [
    "BLOCKS",
    "Block",
    "Excitation",
    "avg_pool",
    "bottleneck",
    "conv_beside_pool",
    "conv_norm",
    "convnext_block",
    "depthwise",
    "depthwise_separable",
    "factorized_reduction",
    "grouped_bottleneck",
    "identity",
    "inception",
    "inverted_residual",
    "max_pool",
    "preactivation",
    "relu_bottleneck",
    "relu_conv",
    "relu_separable",
    "residual",
    "self_attention",
    "separable",
    "separable_conv",
    "shortcut",
    "shuffle_choice",
    "shuffle_unit",
    "squeeze_excitation",
    "zero",
]

Block = Callable[[Builder, Handle, int, int], Handle]
"""A block whose options are set: it takes the builder, the input, channels and stride."""

BLOCKS = Registry(
    "block",
    {
        "conv": "nas.blocks.convolution:conv_norm",
        "depthwise": "nas.blocks.convolution:depthwise",
        "separable": "nas.blocks.convolution:separable",
        "depthwise_separable": "nas.blocks.convolution:depthwise_separable",
        "relu_conv": "nas.blocks.convolution:relu_conv",
        "relu_separable": "nas.blocks.convolution:relu_separable",
        "relu_bottleneck": "nas.blocks.convolution:relu_bottleneck",
        "inverted_residual": "nas.blocks.mobile:inverted_residual",
        "mnasnet_conv": "nas.blocks.mnasnet:conv",
        "mnasnet_separable": "nas.blocks.mnasnet:separable",
        "mnasnet_inverted_residual": "nas.blocks.mnasnet:inverted_residual",
        "residual": "nas.blocks.residual:residual",
        "bottleneck": "nas.blocks.residual:bottleneck",
        "grouped_bottleneck": "nas.blocks.residual:grouped_bottleneck",
        "preactivation": "nas.blocks.residual:preactivation",
        "inception": "nas.blocks.inception:inception",
        "shuffle_unit": "nas.blocks.mobile:shuffle_unit",
        "shuffle_choice": "nas.blocks.mobile:shuffle_choice",
        "convnext": "nas.blocks.mobile:convnext_block",
        "squeeze_excitation": "nas.blocks.attention:squeeze_excitation",
        "self_attention": "nas.blocks.attention:self_attention",
        "max_pool": "nas.blocks.pooling:max_pool",
        "avg_pool": "nas.blocks.pooling:avg_pool",
        "identity": "nas.blocks.pooling:identity",
        "zero": "nas.blocks.pooling:zero",
    },
)
"""Every block by the name that a search space gives it."""
