"""Checks that an exported network computes the same as the original."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from nas.architecture.network import Network

TOLERANCE = 1e-4
"""The largest allowed difference, relative to the largest output."""

Run = Callable[[Tensor], Tensor]


class ExportError(Exception):
    """The export failed, or its outputs differ from those of the network."""


def draw_weights(network: Network, seed: int = 0) -> None:
    """Sets random weights with which every layer influences the output.

    Weights have variance 2 / fan-in (He et al. 2015, eq. 10), scales are around 1, biases around
    0. Each channel of a batch norm gets its own mean around 0, and its own variance around the mean
    square of the whole input. With the means 0 and variances 1 of a new network, two swapped batch
    norms would go unnoticed.

    The batch norms do not get the true statistics of each channel. Subtracting the true mean leaves
    small differences, which grow from layer to layer (Yang et al. 2019, "A Mean Field Theory of
    Batch Normalization"). Rounding errors grow with them, in a deep cell network by 1e5.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0.0, 0.1)
            elif parameter.ndim < 2 or parameter[0].numel() == 1:
                parameter.uniform_(0.5, 1.5)
            else:
                nn.init.kaiming_normal_(parameter)
        norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        hooks = [norm.register_forward_pre_hook(_draw_statistics) for norm in norms]
        training = network.training
        network.eval()(torch.randn(2, *network.architecture.input_shape))
        network.train(training)
        for hook in hooks:
            hook.remove()


def _draw_statistics(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    scale = inputs[0].square().mean()
    if isinstance(norm.running_mean, Tensor) and isinstance(norm.running_var, Tensor):
        norm.running_mean.normal_(0.0, 0.1).mul_(scale.sqrt())
        norm.running_var.uniform_(0.5, 1.5).mul_(scale)


def random_inputs(shape: tuple[int, ...], batches: Iterable[int], seed: int = 0) -> list[Tensor]:
    """Draws one batch of normalised images of each size."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, *shape, generator=generator) for batch in batches]


def random_pixels(shape: tuple[int, ...], batches: Iterable[int], seed: int = 0) -> list[Tensor]:
    """Draws one batch of uint8 images of each size."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randint(256, (batch, *shape), generator=generator, dtype=torch.uint8)
        for batch in batches
    ]


def difference(network: Run, run: Run, inputs: Iterable[Tensor]) -> float:
    """Returns the largest difference from the network, relative to its largest output.

    Args:
        network: the network, on the CPU and in eval mode.
        run: the exported network, with the same inputs and outputs.
        inputs: the batches on which the two are compared.

    Raises:
        ExportError: if the difference is above :data:`TOLERANCE`, if shapes differ, or if an
            output of the network is not finite.
    """
    worst = 0.0
    for x in inputs:
        with torch.no_grad():
            expected, found = network(x), run(x)
        if not expected.isfinite().all():
            raise ExportError("the network's own output is not finite, so it cannot be compared")
        if found.shape != expected.shape:
            raise ExportError(f"output has shape {tuple(found.shape)}, not {tuple(expected.shape)}")
        scale = expected.abs().max().item()
        apart = (found - expected).abs().max().item() / (scale or 1.0)
        if not apart <= TOLERANCE:  # a NaN is not
            raise ExportError(
                f"differs from the network by {apart:.1e} of its largest output, "
                f"more than {TOLERANCE:.0e}"
            )
        worst = max(worst, apart)
    return worst
