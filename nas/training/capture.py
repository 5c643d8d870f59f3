"""CUDA graphs: the kernels of a network's forward and backward pass, launched at once.

Small search networks are bound by launches: a GPU waits for Python between kernels that take
microseconds. The passes are captured once (:func:`torch.cuda.make_graphed_callables`) and replayed
for each batch; augmentation, loss and the fused optimizer, few launches, stay as they are.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nas.architecture.network import Network, in_training
from nas.training.data import Part
from nas.training.recipe import Recipe


def captures(device: torch.device, recipe: Recipe, drop_paths: int, part: Part) -> bool:
    """Whether a training can be captured.

    On CUDA, unless drop path changes at each step, or images are streamed: what pins their memory
    would break the capture.

    Args:
        device: of the training.
        recipe: of the training.
        drop_paths: how many the network has.
        part: what it is trained on.
    """
    scheduled = bool(drop_paths) and recipe.drop_path_schedule != "constant"
    return device.type == "cuda" and not scheduled and part.pipeline == "resident"


def capture(network: Network, images: Tensor) -> Callable[[Tensor], Any]:
    """The network, in training, for batches of one shape.

    Batch norm's statistics, which the rounds before a capture change, and CUDA's generator are as
    before afterwards.

    Args:
        network: in training mode; left as it is, for batches of other shapes.
        images: a normalised batch, of the shape of those to come.
    """
    # The nodes that add up gradients stay on the stream of the capture: torch waits for it where
    # it must, and warns.
    warnings.filterwarnings("ignore", message="The AccumulateGrad node's stream does not match")
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    state = torch.cuda.get_rng_state(images.device)
    sample = torch.empty_like(images).copy_(images)
    # Where a cell's operation is "zero", what is before it has no gradient.
    graphed: Callable[[Tensor], Any] = torch.cuda.make_graphed_callables(
        in_training(network), (sample,), allow_unused_input=True
    )
    torch.cuda.set_rng_state(state, images.device)
    with torch.no_grad():
        for name, buffer in network.named_buffers():
            buffer.copy_(buffers[name])
    return graphed
