"""The yardsticks: what is counted, and needs no pass."""

from nas.architecture import passes
from nas.proxies.base import Probe, Proxy


@Proxy
def params(probe: Probe) -> float:
    """Counts the trainable parameters."""
    return float(probe.architecture.cost.params)


@Proxy
def flops(probe: Probe) -> float:
    """Counts FLOPs as fvcore does; AZ-NAS (arXiv:2403.19232) calls them complexity."""
    return float(probe.architecture.cost.flops)


@Proxy
def depth(probe: Probe) -> float:
    """Counts the weighted layers on the longest path."""
    return float(passes.depth(probe.architecture))
