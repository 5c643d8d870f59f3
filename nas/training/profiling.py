"""Measures the operations of a search space on this device: ``nas profile``."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

import numpy as np
import torch
from torch import fx, nn

from nas.architecture.graph import Architecture
from nas.architecture.network import compile
from nas.architecture.operations import Identity
from nas.architecture.profile import About, Piece, Profile, pieces
from nas.errors import InputError
from nas.statistics.correlation import spearman
from nas.training.batches import weights_layout
from nas.training.hardware import device_name
from nas.training.latency import measure_latency, timed

_FEWEST = 4
"""The least number of different networks: two that are fitted, and two that are predicted."""


def profile(networks: Sequence[Architecture], device: str = "cpu") -> Profile:
    """Measures each operation of some networks once, and the networks.

    An operation is timed alone, as a whole network is (:func:`measure_latency`), and the time of a
    network that does nothing is subtracted. Every second network gives the scale, the median of
    measured by summed times. How well these networks alone predict the others is the error and the
    rank correlation; so it includes the error of what is estimated.

    Args:
        networks: networks such as random members of a space. Equal ones count once.
        device: a torch device such as "cpu" or "cuda".

    Raises :class:`InputError` if fewer than four of them are different.
    """
    given = len(networks)
    networks = list({each.fingerprint: each for each in networks}.values())
    if len(networks) < _FEWEST:
        raise InputError(
            f"at least {_FEWEST} different networks are needed, but {given} draws made only "
            f"{len(networks)}"
        )
    wanted = dict.fromkeys(piece for each in networks for piece in pieces(each))
    with torch.random.fork_rng(devices=[]):
        nothing = _median((Identity(), (networks[0].input_shape,)), device)
        times = {piece: max(_median(piece, device) - nothing, 0.0) for piece in wanted}
        measured = np.array([
            measure_latency(compile(each), each.input_shape, device)["latency_ms"]
            for each in networks
        ])  # fmt: skip
    fitted, others = networks[::2], networks[1::2]
    known = {piece: times[piece] for each in fitted for piece in pieces(each)}
    summed = np.array([sum(known[piece] for piece in pieces(each)) for each in fitted])
    about = About(
        device=device_name(device),
        threads=torch.get_num_threads(),
        scale=float(np.median(measured[::2] / np.maximum(summed, 1e-9))),
        networks=len(networks),
        error=0.0,
        rank_correlation=None,
    )
    predicted = np.array([Profile(known, about).latency(each) for each in others])
    correlation = spearman(predicted, measured[1::2])
    judged = {
        "error": float(np.median(np.abs(predicted / measured[1::2] - 1))),
        "rank_correlation": None if isnan(correlation) else correlation,
    }
    return Profile(times, about.model_copy(update=judged))


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
    network = fx.GraphModule(root, graph).eval()
    how = weights_layout(network)
    network = network.to(device, memory_format=how)  # type: ignore[call-overload]
    return float(np.median(timed(network, [(1, *shape) for shape in inputs], device)))
