"""Counts with fvcore, the reference that the analytic cost is compared with."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from fvcore.nn import ActivationCountAnalysis, FlopCountAnalysis, parameter_count

from nas.architecture.cost import Cost
from nas.architecture.graph import Architecture
from nas.architecture.network import compile
from nas.architecture.passes import check_memory_to_run


class ReferenceCost(NamedTuple):
    """Holds fvcore's counts, and the operators of the network that fvcore does not count."""

    cost: Cost
    uncounted: Mapping[str, int]


def reference_cost(architecture: Architecture) -> ReferenceCost:
    """Compile the architecture and let fvcore count it.

    This is slow, and independent of our own rules. Auxiliary heads are left out.
    """
    check_memory_to_run(architecture)
    with torch.device("meta"):
        network = compile(architecture.inference())
    # Tracing runs the network, so it needs weights, of any values.
    network = network.to_empty(device="cpu").eval()
    example = torch.zeros(1, *architecture.input_shape)
    flops = FlopCountAnalysis(network, example).unsupported_ops_warnings(False)
    activations = ActivationCountAnalysis(network, example).unsupported_ops_warnings(False)
    flops.uncalled_modules_warnings(False)
    activations.uncalled_modules_warnings(False)
    multiplying = ("conv", "linear", "addmm", "matmul", "mm", "bmm", "einsum")
    by_operator = flops.by_operator()
    cost = Cost(
        params=int(parameter_count(network)[""]),
        macs=int(sum(by_operator[name] for name in multiplying)),
        flops=int(flops.total()),
        activations=int(activations.total()),
    )
    return ReferenceCost(cost, dict(flops.unsupported_ops()))
