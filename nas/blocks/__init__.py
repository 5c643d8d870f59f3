"""Blocks: functions over the builder that classics and search spaces share.

A block takes a builder and a handle and returns a handle. ``channels`` is the output width, by
default the input's. Arguments behind the star are the block's own options; they are what a search
space may set in YAML (:data:`BLOCKS`). Node names are those of torchvision where it has the block.
"""

from nas.blocks.attention import self_attention, squeeze_excitation
from nas.blocks.convolution import conv_norm, depthwise_separable, inception, separable_conv
from nas.blocks.mobile import convnext_block, inverted_residual, shuffle_unit
from nas.blocks.pooling import avg_pool, identity, max_pool
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
    "avg_pool",
    "bottleneck",
    "conv_norm",
    "convnext_block",
    "depthwise_separable",
    "grouped_bottleneck",
    "identity",
    "inception",
    "inverted_residual",
    "max_pool",
    "preactivation",
    "residual",
    "self_attention",
    "separable_conv",
    "shortcut",
    "shuffle_unit",
    "squeeze_excitation",
]

BLOCKS = Registry(
    "block",
    {
        "conv": "nas.blocks.convolution:conv_norm",
        "depthwise_separable": "nas.blocks.convolution:depthwise_separable",
        "inverted_residual": "nas.blocks.mobile:inverted_residual",
        "residual": "nas.blocks.residual:residual",
        "bottleneck": "nas.blocks.residual:bottleneck",
        "preactivation": "nas.blocks.residual:preactivation",
        "inception": "nas.blocks.convolution:inception",
        "shuffle_unit": "nas.blocks.mobile:shuffle_unit",
        "convnext": "nas.blocks.mobile:convnext_block",
        "squeeze_excitation": "nas.blocks.attention:squeeze_excitation",
        "self_attention": "nas.blocks.attention:self_attention",
        "max_pool": "nas.blocks.pooling:max_pool",
        "avg_pool": "nas.blocks.pooling:avg_pool",
        "identity": "nas.blocks.pooling:identity",
    },
)
"""Blocks that a search space may use as operations: all keep the spatial size."""
