"""Measures activations and gradients through the depth of a new network."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from nas.architecture.graph import Architecture
from nas.architecture.network import compile
from nas.architecture.operations import ArchitectureError
from nas.architecture.passes import WEIGHTED, depths
from nas.training.initialization import initialize


class Signal(NamedTuple):
    """The scale of one weighted layer's output, and of the loss's gradient by this output.

    Both are root mean squares over batch and elements. ``depth`` is the number of weighted layers
    on the longest path to the layer, including itself.
    """

    depth: int
    name: str
    activation: float
    gradient: float


def signals(
    architecture: Architecture,
    initialization: str = "default",
    seed: int = 0,
    batch: int = 8,
) -> list[Signal]:
    """Runs one step of backpropagation in a new network and returns the signals by depth.

    This shows vanishing or exploding gradients as in Glorot & Bengio 2010, figures 6 and 7. Images
    are standard normal, labels are random, and the loss is cross entropy. The network is in
    training mode, so batch norm uses the batch. ``initialization`` is a scheme of
    :func:`nas.training.initialization.initialize`. Auxiliary heads are left out. Torch's global
    generators are restored afterwards.
    """
    inference = architecture.inference()
    if len(inference.output_shape) != 1:
        raise ArchitectureError(f"must be a classifier, but the output is {inference.output_shape}")
    depth = depths(inference)
    layers = [
        node.name
        for node in inference.nodes
        if isinstance(node.operation, WEIGHTED) and not node.weights
    ]
    outputs: dict[str, Tensor] = {}
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        network = compile(inference).train()
        initialize(network, initialization)
        for name in layers:

            def keep(_: object, __: object, output: Tensor, name: str = name) -> None:
                output.retain_grad()
                outputs[name] = output

            network.get_submodule(name).register_forward_hook(keep)
        images = torch.randn(batch, *inference.input_shape)
        labels = torch.randint(inference.output_shape[0], (batch,))
        loss = cross_entropy(network(images), labels)
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
    found = [Signal(depth[n], n, _scale(outputs[n]), _scale(outputs[n].grad)) for n in layers]
    return sorted(found, key=lambda signal: signal.depth)


def _scale(values: Tensor | None) -> float:
    return 0.0 if values is None else values.detach().double().square().mean().sqrt().item()
