"""Whether an exported network computes what the network computes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from nas.architecture.network import Network

TOLERANCE = 1e-4
"""The largest difference allowed, as a part of the largest output."""

Run = Callable[[Tensor], Tensor]


class ExportError(Exception):
    """An export that could not be made, or does not compute what the network does."""


def draw_weights(network: Network, seed: int = 0) -> None:
    """Random values under which every layer matters to the output, for a network without weights.

    Weights have variance 2 / fan-in (He et al. 2015, eq. 10), scales are around 1, biases around
    0, and batch norms hold the statistics of a random batch: in a new network they would be 1 and
    0, and an exchange of two of them would not show.
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
        update_bn([torch.randn(2, *network.architecture.input_shape)], network)


def difference(network: Network, run: Run, batches: Iterable[int], seed: int = 0) -> float:
    """The largest difference to the network in eval mode, as a part of its largest output.

    Args:
        network: on the CPU, in eval mode.
        run: takes and returns what the network does.
        batches: a random batch of each of these sizes is compared.

    Raises:
        ExportError: above :data:`TOLERANCE`, for another shape, or for an output of the network
            that is not finite.
    """
    generator = torch.Generator().manual_seed(seed)
    worst = 0.0
    for batch in batches:
        x = torch.randn(batch, *network.architecture.input_shape, generator=generator)
        with torch.no_grad():
            expected, found = network(x), run(x)
        if not expected.isfinite().all():
            raise ExportError("the network's own output is not finite: nothing can be compared")
        if found.shape != expected.shape:
            raise ExportError(f"gives {tuple(found.shape)}, the network {tuple(expected.shape)}")
        scale = expected.abs().max().item()
        apart = (found - expected).abs().max().item() / (scale or 1.0)
        if not apart <= TOLERANCE:  # a NaN is not
            raise ExportError(
                f"differs from the network by {apart:.1e} of its largest output, "
                f"more than {TOLERANCE:.0e}"
            )
        worst = max(worst, apart)
    return worst
