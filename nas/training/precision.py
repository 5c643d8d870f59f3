"""Whether a network trains in bf16: where that is faster, and the recipe leaves it open."""

from __future__ import annotations

from functools import cache
from typing import Literal

import torch
from torch import nn

from nas.architecture.graph import Architecture
from nas.architecture.network import Network
from nas.architecture.operations import Conv

Precision = Literal["fp32", "bf16"]

DEPTHWISE_SHARE = 0.2
"""On a CPU, bf16 loses where depthwise convolutions put out more of all activations than this.

`tests/benchmarks/training_speed.py` shows both sides of it.
"""


def resolve_precision(asked: str, network: nn.Module, device: torch.device) -> Precision:
    """What "auto" becomes; the others are themselves.

    "auto" is bf16 autocast on hardware that multiplies bf16 matrices (a GPU since Ampere, a CPU
    with AMX or AVX-512 BF16), but on a CPU not for networks that are largely depthwise: oneDNN's
    depthwise kernels gain nothing there, and the casts cost. It is a rule and not a measurement,
    so that it is the same each time.
    """
    if asked == "bf16" or asked == "fp32":
        return "bf16" if asked == "bf16" else "fp32"
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if not isinstance(network, Network) or not _cpu_has_bf16():
        return "fp32"
    return "bf16" if depthwise_share(network.architecture) <= DEPTHWISE_SHARE else "fp32"


def depthwise_share(architecture: Architecture) -> float:
    """The share of depthwise convolutions in all that convolutions put out."""
    depthwise = total = 0
    for node in architecture.nodes:
        if isinstance(node.operation, Conv):
            activations = architecture.costs[node.name].activations
            total += activations
            channels = architecture.shapes[node.inputs[0]][0]
            depthwise += activations * (1 < node.operation.groups == channels)
    return depthwise / total if total else 0.0


@cache
def _cpu_has_bf16() -> bool:
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
