"""Decides if a network is trained in bf16, when the recipe leaves it open."""

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
"""On a CPU, bf16 is slower if depthwise convolutions produce more than this share of activations.

`tests/benchmarks/training_speed.py` shows cases on both sides of it.
"""

SMALL_STEP = 10_000_000
"""On a CPU, bf16 is slower if a batch needs fewer multiply-accumulates than this.

The casts then take longer than they save. Measured with batches of 32 and 128 and without AMX:
LeNet-5 takes 1.6 times as long at 1.6 million, and about as long at 6 and at 13 million; networks
of the quickstart take 1.1 times as long at 1 million, VGG-8 and ResNet-20 at most 0.9 times as long
from 60 million on.
"""


def resolve_precision(
    asked: str, network: nn.Module, device: torch.device, batch_size: int
) -> Precision:
    """Replaces "auto" by the precision for this network and device; returns others unchanged.

    "auto" becomes bf16 autocast on hardware that multiplies bf16 matrices (a GPU since Ampere, a
    CPU with AMX or AVX-512 BF16). On a CPU this excludes networks that are largely depthwise,
    because oneDNN's depthwise kernels are no faster in bf16, and small networks, because casts take
    time. This is a rule rather than a measurement, so that the result is the same each time.
    """
    if asked == "bf16" or asked == "fp32":
        return "bf16" if asked == "bf16" else "fp32"
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if not isinstance(network, Network) or not _cpu_has_bf16():
        return "fp32"
    architecture = network.architecture
    if _has_wrong_gradients(architecture):
        return "fp32"
    small = batch_size * architecture.cost.macs < SMALL_STEP
    return "fp32" if small or depthwise_share(architecture) > DEPTHWISE_SHARE else "bf16"


def _has_wrong_gradients(architecture: Architecture) -> bool:
    """Tells if oneDNN 3.12 computes gradients of weights wrongly in bf16, as in torch 2.13.

    It does for convolutions of volumes whose kernel is longer than the map: they come from memory
    that was never written.
    """
    return any(
        isinstance(node.operation, Conv)
        and len(node.operation.kernel) == 3
        and any(
            kernel > side
            for kernel, side in zip(
                node.operation.kernel, architecture.shapes[node.inputs[0]][1:], strict=True
            )
        )
        for node in architecture.nodes
    )


def depthwise_share(architecture: Architecture) -> float:
    """Returns the share of all convolutions' outputs that depthwise convolutions produce."""
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
