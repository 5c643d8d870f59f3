"""Captures CUDA graphs, which launch all kernels of a network's forward and backward pass at once.

Kernel launches limit the speed of small networks: the GPU waits for Python between kernels that
take microseconds. So the passes are captured once (:func:`torch.cuda.make_graphed_callables`) and
replayed for each batch. Augmentation, loss and the fused optimizer have few launches and are not
captured.
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
    """Tells if a training can be captured.

    It can on CUDA, unless drop path changes at each step or images are streamed, because pinning
    their memory would break the capture.

    Args:
        device: the device of the training.
        recipe: the recipe of the training.
        drop_paths: how many drop paths the network has.
        part: the training images.
    """
    scheduled = bool(drop_paths) and recipe.drop_path_schedule != "constant"
    return device.type == "cuda" and not scheduled and part.pipeline == "resident"


def capture(network: Network, images: Tensor) -> Callable[[Tensor], Any]:
    """Captures the network's training passes for batches of one shape.

    The statistics of batch norms, which the warm-up before a capture changes, and CUDA's generator
    are restored afterwards.

    Args:
        network: the network in training mode, which is not changed; use it for other shapes.
        images: a normalised batch with the shape of all later ones.
    """
    # The nodes that accumulate gradients stay on the stream of the capture. Torch waits for that
    # stream where necessary, and warns.
    warnings.filterwarnings("ignore", message="The AccumulateGrad node's stream does not match")
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    state = torch.cuda.get_rng_state(images.device)
    sample = torch.empty_like(images).copy_(images)
    # Layers before a "zero" operation of a cell have no gradient.
    graphed: Callable[[Tensor], Any] = torch.cuda.make_graphed_callables(
        in_training(network), (sample,), allow_unused_input=True
    )
    torch.cuda.set_rng_state(state, images.device)
    with torch.no_grad():
        for name, buffer in network.named_buffers():
            buffer.copy_(buffers[name])
    return graphed
