"""Proxies of what a network makes of the images: its Jacobian, activation patterns and maps."""

import math

import torch

from nas.architecture.graph import Architecture
from nas.architecture.operations import BatchNorm
from nas.proxies.base import Probe, Proxy, is_map

_SMALL = 1e-5
"""What the papers' code adds before a logarithm."""


@Proxy
def jacob_cov(probe: Probe) -> float:
    """Scores how little the Jacobians of different images correlate (Mellor et al. 2020,
    arXiv:2006.04647 version 1, section 3).

    The Jacobian is the gradient of the sum of all outputs by the images. The score is minus the sum
    of log(v + k) + 1 / (v + k) over the eigenvalues v of the correlation matrix, k = 1e-5. NaN if
    the output does not depend on the image.
    """
    eigenvalues = _eigenvalues(_correlations(probe.jacobian)).clamp(min=0) + _SMALL
    return -(eigenvalues.log() + 1 / eigenvalues).sum().item()


@Proxy
def epe_nas(probe: Probe) -> float:
    """Scores how the Jacobians of images of one class correlate: EPE-NAS (Lopes et al. 2021,
    arXiv:2102.08099, section 3).

    For each class in the batch, log(|r| + k) is summed over its correlation matrix. Up to 100
    outputs, the score sums the absolute values of the classes; with more outputs, the sum is
    divided by the images of the class, and the score is the mean absolute difference of classes.
    NaN if the labels of the images are not classes.
    """
    scores = []
    if probe.batch.labels.ndim > 1:
        return math.nan
    many = probe.output.shape[-1] > 100
    for label in set(probe.batch.labels.tolist()):
        rows = probe.jacobian[probe.batch.labels == label]
        score = (_correlations(rows).abs() + _SMALL).log().sum()
        scores.append(score / len(rows) if many else score)
    found = torch.stack(scores)
    if many:
        return ((found[:, None] - found).abs().sum() / len(found)).item()
    return found.abs().sum().item()


@Proxy
def nwot(probe: Probe) -> float:
    """Returns the log-determinant of the kernel of activation patterns: NASWOT (Mellor et al. 2021,
    arXiv:2006.04647 version 3, eqs. 1 and 2).

    The kernel counts, for each two images, the inputs of activations that have the same sign. The
    paper counts those of ReLU; here every activation counts, also several with one input.
    -Infinity if two images have the same pattern.
    """
    size = len(probe.batch.labels)
    kernel = torch.zeros(size, size, dtype=torch.float64, device=probe.batch.images.device)
    for name in probe.before_activations:
        positive = (probe.forward[name].detach().flatten(1) > 0).float()
        negative = 1 - positive
        kernel += positive @ positive.T + negative @ negative.T
    return float(torch.linalg.slogdet(kernel)[1])


@Proxy
def zen(probe: Probe) -> float:
    """Scores how much the last map changes with the image: Zen-NAS (Lin et al. 2021,
    arXiv:2102.01063, algorithm 1).

    Weights of convolutions and linear layers and the image are standard normal, the image is
    disturbed by 0.01 times another one. The score is the logarithm of the mean absolute change,
    summed over the map before the last pooling, plus those of the deviations that batch norms
    divide by. As in the paper's code, residual connections are kept, there is one repetition, and
    the deviations are the running ones of new norms after both passes, with a momentum of 0.1. So
    they are not zero where a part of the network is dead. NaN without convolutions and linear
    layers.
    """
    if not probe.layers:
        return math.nan
    last = _last_map(probe.architecture)
    norms = [node for node in probe.architecture.nodes if isinstance(node.operation, BatchNorm)]
    normalized = [node.inputs[0] for node in norms]
    run = probe.build(probe.architecture, [last, *normalized])
    generator = probe.generator
    shape = probe.batch.images.shape
    with torch.no_grad():
        for name in probe.layers:
            weight = run.network.get_parameter(f"{name}.weight")
            weight.copy_(torch.randn(weight.shape, generator=generator))
        image, other = (torch.randn(shape, generator=generator).to(weight) for _ in range(2))
        before = run(image)
        after = run(image + 0.01 * other)
    score = (after[last] - before[last]).abs().flatten(1).sum(1).mean().log()
    for name in normalized:
        first, second = (each[name].transpose(0, 1).flatten(1).var(1) for each in (before, after))
        score += (0.81 + 0.09 * first + 0.1 * second).mean().sqrt().log()
    return score.item()


def _last_map(architecture: Architecture) -> str:
    """Returns the last node with several positions; the output if there is none."""
    maps = [node.name for node in architecture.nodes if is_map(architecture.shapes[node.name])]
    return maps[-1] if maps else architecture.outputs[0]


def _correlations(rows: torch.Tensor) -> torch.Tensor:
    """Returns the correlation matrix of rows; NaN where a row is constant."""
    centered = rows - rows.mean(1, keepdim=True)
    unit = centered / centered.norm(dim=1, keepdim=True)
    found: torch.Tensor = unit @ unit.T
    return found


def _eigenvalues(matrix: torch.Tensor) -> torch.Tensor:
    """Returns the eigenvalues of a symmetric matrix; NaN if it has NaN."""
    if not matrix.isfinite().all():
        return matrix.new_full((len(matrix),), torch.nan)
    found: torch.Tensor = torch.linalg.eigvalsh(matrix)
    return found
