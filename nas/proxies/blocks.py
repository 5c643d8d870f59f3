"""Three proxies of AZ-NAS (Lee & Ham 2024, arXiv:2403.19232), which compare maps block by block.

A block ends at a node that every path passes through, so any graph has blocks: between two ends
lies at least one convolution or linear layer. As in the paper's code, weights are drawn again with
variance 2 / fan-in, biases are 0, and images are standard normal. The fourth proxy, complexity,
counts FLOPs. The paper ranks the networks of a population by each proxy and sums the logarithms of
the ranks; that needs a population, so it is left to the caller.
"""

from __future__ import annotations

from itertools import pairwise
from math import inf

import torch
from torch import Tensor

from nas.architecture.graph import Architecture
from nas.architecture.node import INPUT
from nas.architecture.operations import Conv, ConvTranspose, Linear, Permute, Unflatten
from nas.architecture.passes import WEIGHTED
from nas.proxies.base import Probe, Proxy, gradients, is_map


@Proxy
def expressivity(probe: Probe) -> float:
    """Sums the entropies of the principal components of the maps (AZ-NAS, section 3)."""
    return sum(_entropies(probe))


@Proxy
def progressivity(probe: Probe) -> float:
    """Returns the smallest growth of the entropy from a block to the next (AZ-NAS, section 3).

    NaN if there is one block, or if one has no entropy because its map is constant.
    """
    growths = torch.tensor(_entropies(probe), dtype=torch.float64).diff()
    return growths.min().item() if len(growths) else torch.nan


@Proxy
def trainability(probe: Probe) -> float:
    """Returns the mean of 2 - s - 1 / s over blocks, s the spectral norm of a block's Jacobian
    (AZ-NAS, section 3).

    The Jacobian is estimated at each position from one random gradient of -1 and 1. Positions of a
    map that is larger become channels, as by pixel unshuffling; what is left of it at the border is
    cut off, and blocks that enlarge the map are left out. -Infinity if a block changes nothing, NaN
    if there is no pair of blocks.
    """
    maps, axes = _maps(probe, differentiable=True)
    generator = probe.generator
    scores = []
    for before, after in pairwise(maps):
        output = maps[after]
        signs = torch.randint(2, output.shape, generator=generator).to(output) * 2 - 1
        (found,) = gradients((output * signs).sum(), [maps[before]])
        signs, found = signs.movedim(axes[after] + 1, 1), found.movedim(axes[before] + 1, 1)
        if signs.ndim != found.ndim:
            continue
        if torch.equal(signs, found):
            return -inf
        for axis in range(2, signs.ndim):
            stride = found.shape[axis] // signs.shape[axis]
            if not stride:
                break
            found = found.unfold(axis, stride, stride).narrow(axis, 0, signs.shape[axis])
        else:
            positions = signs.shape[2:].numel() * len(signs)
            rows = found.movedim(1, signs.ndim - 1).reshape(positions, -1)
            matrix = rows.T @ signs.movedim(1, -1).reshape(positions, -1) / positions
            norm = torch.linalg.matrix_norm(matrix, 2).item()
            scores.append(2 - norm - 1 / (norm + 1e-6))
    return sum(scores) / len(scores) if scores else torch.nan


def _entropies(probe: Probe) -> list[float]:
    """Returns the entropy of the principal components of each block's map, positions pooled."""
    maps, axes = _maps(probe)
    found = []
    for name, values in maps.items():
        rows = values.movedim(axes[name] + 1, -1).flatten(0, -2).double()
        parts = torch.linalg.eigvalsh(torch.cov(rows.T).reshape(rows.shape[1], -1)).clamp(min=0)
        shares = parts / parts.sum()
        found.append(-(shares * (shares + 1e-8).log()).sum().item())
    return found


def _maps(probe: Probe, differentiable: bool = False) -> tuple[dict[str, Tensor], dict[str, int]]:
    """Returns the maps at the ends of blocks, and which axis of each shape has the channels."""
    ends = block_ends(probe.architecture)
    run = probe.build(probe.architecture, ends)
    generator = probe.generator
    parameters = dict(run.network.named_parameters())
    with torch.no_grad():
        for name in probe.layers:
            weight = parameters[f"{name}.weight"]
            drawn = torch.randn(weight.shape, generator=generator)
            weight.copy_(drawn * (2 / weight[0].numel()) ** 0.5)
            if (bias := parameters.get(f"{name}.bias")) is not None:
                bias.zero_()
    images = torch.randn(probe.batch.images.shape, generator=generator).to(probe.batch.images)
    with torch.set_grad_enabled(differentiable):
        found = run(images)
    axes = _channel_axes(probe.architecture)
    return {name: found[name] for name in ends}, {name: axes[name] for name in ends}


def block_ends(architecture: Architecture) -> list[str]:
    """Returns the nodes at which blocks end: all paths pass them, and they have several positions.

    Of several such nodes with no convolution or linear layer between, the last one is taken.
    """
    nodes = architecture.nodes
    last_reader = {name: i for i, node in enumerate(nodes) for name in node.inputs}
    last_reader[architecture.outputs[0]] = len(nodes)
    needed_until = last_reader[INPUT]
    layers = 0
    ends: dict[int, str] = {}
    for i, node in enumerate(nodes):
        layers += isinstance(node.operation, WEIGHTED)
        if needed_until <= i and layers and is_map(architecture.shapes[node.name]):
            ends[layers] = node.name
        needed_until = max(needed_until, last_reader[node.name])
    return list(ends.values())


def _channel_axes(architecture: Architecture) -> dict[str, int]:
    """Returns which axis of each node's shape has the channels: the first, except of features."""
    axes = {INPUT: 0}
    for node in architecture.nodes:
        axis = axes[node.inputs[0]]
        rank = len(architecture.shapes[node.name])
        match node.operation:
            case Linear():
                axis = rank - 1
            case Conv() | ConvTranspose():
                axis = 0
            case Permute(order=order):
                axis = order.index(axis)
            case Unflatten(axis=split, sizes=sizes) if split < axis:
                axis += len(sizes) - 1
        axes[node.name] = min(axis, rank - 1)
    return axes
