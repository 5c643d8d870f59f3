"""Zero-cost proxies: numbers that rank networks before any training."""

from nas.proxies.base import Batch, Count, Probe, Proxy, Value, measure
from nas.registry import Registry

PROXIES = Registry(
    "proxy",
    {
        "params": "nas.proxies.counts:params",
        "flops": "nas.proxies.counts:flops",
        "depth": "nas.proxies.counts:depth",
        "grad_norm": "nas.proxies.gradients:grad_norm",
        "snip": "nas.proxies.gradients:snip",
        "fisher": "nas.proxies.gradients:fisher",
        "l2_norm": "nas.proxies.gradients:l2_norm",
        "plain": "nas.proxies.gradients:plain",
        "grasp": "nas.proxies.gradients:grasp",
        "synflow": "nas.proxies.gradients:synflow",
        "zico": "nas.proxies.gradients:zico",
        "jacob_cov": "nas.proxies.activations:jacob_cov",
        "epe_nas": "nas.proxies.activations:epe_nas",
        "nwot": "nas.proxies.activations:nwot",
        "zen": "nas.proxies.activations:zen",
        "expressivity": "nas.proxies.blocks:expressivity",
        "progressivity": "nas.proxies.blocks:progressivity",
        "trainability": "nas.proxies.blocks:trainability",
        "complexity": "nas.proxies.counts:flops",
    },
)
"""The proxies by name. A user's proxy is ``file.py:function``, a function from a network, a batch
and a generator to a float; it gets a copy of the network, which it may change."""

YARDSTICKS = ("params", "flops", "depth")
"""What any proxy should be better than, because counting costs nothing."""

__all__ = [
    "PROXIES",
    "YARDSTICKS",
    "Batch",
    "Count",
    "Probe",
    "Proxy",
    "Value",
    "measure",
]
