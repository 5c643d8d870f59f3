"""Measures how long a network takes for a batch."""

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import nn

from nas.training.batches import layout, weights_layout
from nas.training.hardware import device_name

WARM_UP = 10
"""The number of runs before the first timed one, in which torch chooses kernels and memory."""

REPETITIONS = 50


def measure_latency(
    network: nn.Module, input_shape: tuple[int, ...], device: str, batch: int = 1
) -> dict[str, Any]:
    """Measures the latency of a network in eval mode, without gradients, in float32, channels last.

    Each of :data:`REPETITIONS` runs is timed from the call to the end of its work, also on a GPU,
    so the time to launch kernels is included. Median and spread are robust against occasional
    other work of the machine. If the machine trains other networks at the same time, they are those
    of a network that shares it.

    Args:
        network: the network, which is moved to the device and left in eval mode.
        input_shape: (channels, height, width).
        device: a torch device such as "cpu" or "cuda".
        batch: the number of images per run.

    Returns ``latency_ms`` (the median), ``latency_iqr_ms`` (the interquartile range), and the
    conditions of the measurement: ``latency_batch``, ``latency_dtype``, ``latency_threads`` (of
    torch on the CPU), ``latency_device`` (its model), ``latency_repetitions``.
    """
    how = weights_layout(network)
    network = network.eval().to(device, memory_format=how)  # type: ignore[call-overload]
    first, median, third = np.percentile(
        timed(network, [(batch, *input_shape)], device), [25, 50, 75]
    )
    return {
        "latency_ms": float(median),
        "latency_iqr_ms": float(third - first),
        "latency_batch": batch,
        "latency_dtype": "float32",
        "latency_threads": torch.get_num_threads(),
        "latency_device": device_name(device),
        "latency_repetitions": REPETITIONS,
    }


def timed(network: nn.Module, shapes: Sequence[tuple[int, ...]], device: str) -> list[float]:
    """Returns the milliseconds of each run of a network on inputs of these shapes."""
    inputs = [
        torch.zeros(shape, device=device).contiguous(memory_format=layout(len(shape)))
        for shape in shapes
    ]
    milliseconds = []
    with torch.inference_mode():
        for _ in range(WARM_UP + REPETITIONS):
            _wait(device)
            started = perf_counter()
            network(*inputs)
            _wait(device)
            milliseconds.append(1000 * (perf_counter() - started))
    return milliseconds[WARM_UP:]


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
