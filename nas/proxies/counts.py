"""The yardsticks: what is counted, and needs no pass."""

from nas.architecture import passes
from nas.architecture.graph import Architecture
from nas.proxies.base import Count


@Count
def params(architecture: Architecture) -> float:
    """Counts the trainable parameters."""
    return architecture.cost.params


@Count
def flops(architecture: Architecture) -> float:
    """Counts FLOPs as fvcore does; AZ-NAS (arXiv:2403.19232) calls them complexity."""
    return architecture.cost.flops


@Count
def depth(architecture: Architecture) -> float:
    """Counts the weighted layers on the longest path."""
    return passes.depth(architecture)
