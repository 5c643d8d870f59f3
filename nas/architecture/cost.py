"""What an architecture costs: the analytic counts, and fvcore's as the reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from nas.architecture.graph import Architecture


class Cost(NamedTuple):
    """Counts at batch 1 in eval mode, for one operation or a whole architecture.

    Attributes:
        params: trainable parameters.
        macs: multiply-accumulates of convolution, linear and matrix products, without bias.
            Papers print this as "FLOPs" or "multi-adds".
        flops: what ``fvcore.nn.FlopCountAnalysis`` totals: a MAC counts one; norms and adaptive
            average pooling are added.
        activations: elements that convolutions, linear layers and matrix products put out
            (Radosavovic et al. 2020, arXiv:2003.13678, section 3; fvcore's rule).
    """

    params: int = 0
    macs: int = 0
    flops: int = 0
    activations: int = 0


FREE = Cost()


def cost(architecture: Architecture) -> Cost:
    """The analytic cost of an architecture, the same as ``architecture.cost``."""
    return architecture.cost


class ReferenceCost(NamedTuple):
    """fvcore's counts, and the operators in the network that it does not count."""

    cost: Cost
    uncounted: Mapping[str, int]


def reference_cost(architecture: Architecture) -> ReferenceCost:
    """Compile the architecture and let fvcore count it: slow, and independent of our rules.

    Counts the inference network, so auxiliary heads are left out.
    """
    import torch
    from fvcore.nn import ActivationCountAnalysis, FlopCountAnalysis, parameter_count

    from nas.architecture.network import compile

    with torch.device("meta"):
        network = compile(architecture.inference())
    # Tracing runs the network, so weights must be real; what they hold does not matter.
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
