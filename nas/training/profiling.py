"""Measures the operations of a search space on this device: ``nas profile``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import stats
from torch import fx, nn

from nas.architecture.graph import Architecture
from nas.architecture.network import compile
from nas.architecture.operations import Identity
from nas.architecture.profile import About, Piece, Profile, pieces
from nas.training.batches import layout
from nas.training.hardware import device_name
from nas.training.latency import measure_latency, timed


def profile(networks: Sequence[Architecture], device: str = "cpu") -> Profile:
    """Measures each operation of some networks once, and the networks.

    An operation is timed alone, as a whole network is (:func:`measure_latency`), and the time of a
    network that does nothing is subtracted. Every second network gives the scale, the median of
    measured by summed times; the others give the error.

    Args:
        networks: at least four networks, such as random members of a space.
        device: a torch device such as "cpu" or "cuda".
    """
    wanted = dict.fromkeys(piece for each in networks for piece in pieces(each))
    with torch.random.fork_rng(devices=[]):
        nothing = _median((Identity(), (networks[0].input_shape,)), device)
        times = {piece: max(_median(piece, device) - nothing, 0.0) for piece in wanted}
        measured = np.array([
            measure_latency(compile(each), each.input_shape, device)["latency_ms"]
            for each in networks
        ])  # fmt: skip
    summed = np.array([sum(times[piece] for piece in pieces(each)) for each in networks])
    ratios = measured / np.maximum(summed, 1e-9)
    scale = float(np.median(ratios[::2]))
    about = About(
        device=device_name(device),
        threads=torch.get_num_threads(),
        scale=scale,
        networks=len(networks),
        error=float(np.median(np.abs(scale / ratios[1::2] - 1))),
        rank_correlation=float(np.nan_to_num(stats.spearmanr(summed, measured).statistic)),
    )
    return Profile(times, about)


def _median(piece: Piece, device: str) -> float:
    """Returns the milliseconds of an operation that stands alone in a network."""
    operation, inputs = piece
    graph, placeholders = fx.Graph(), []
    for number, shape in enumerate(inputs):
        placeholders.append(graph.placeholder(f"input{number}"))
        placeholders[-1].meta["shape"] = shape
    graph.output(operation.emit(graph, "operation", tuple(placeholders)))
    module = operation.module(inputs)
    root: dict[str, nn.Module | nn.Parameter] = {} if module is None else {"operation": module}
    how = layout(len(inputs[0]) + 1)
    network = fx.GraphModule(root, graph).eval().to(device, memory_format=how)  # type: ignore[call-overload]
    return float(np.median(timed(network, [(1, *shape) for shape in inputs], device)))
