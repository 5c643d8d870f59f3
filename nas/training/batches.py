"""Makes batches on the device, from images that are kept there or read while it computes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from nas.architecture.graph import Architecture
from nas.architecture.operations import Conv
from nas.training.data import Part
from nas.training.datasets import Stored

EVALUATION_BATCH = 512

Bounds = Sequence[tuple[int, int]]
"""The bounds (first, last + 1) of each batch."""

_RESIDENT: WeakKeyDictionary[Part, dict[torch.device, tuple[Tensor, Tensor]]] = WeakKeyDictionary()


def batches(
    part: Part, bounds: Bounds, device: torch.device, order: Tensor | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields the uint8 images [N, C, H, W] and the labels [N] of each batch, on the device.

    Images in memory are copied to the device once, for as long as the part exists, and shared by
    all trainings. Stored images are read ahead by other processes. Both give the same batches.

    Args:
        part: a part of a data set.
        bounds: the bounds of each batch, in order.
        device: a CPU or a GPU.
        order: a permutation of the images, on the device; None keeps their order.
    """
    if not isinstance(part.images, Stored):
        images, labels = resident(part, device)
        for first, last in bounds:
            chosen = slice(first, last) if order is None else order[first:last]
            yield images[chosen], labels[chosen]
        return
    order = torch.arange(len(part.labels)) if order is None else order.cpu()
    lists = [order[first:last].tolist() for first, last in bounds]
    truth = torch.from_numpy(part.labels)
    pinned = device.type == "cuda"
    for indices, pixels in zip(lists, part.images.batches(lists, pinned), strict=True):
        yield pixels.to(device, non_blocking=True), truth[indices].to(device, non_blocking=True)


def resident(part: Part, device: torch.device) -> tuple[Tensor, Tensor]:
    """Returns the uint8 images and the labels of a part in memory, copied to the device."""
    assert not isinstance(part.images, Stored)
    held = _RESIDENT.setdefault(part, {})
    if device not in held:
        with warnings.catch_warnings():
            # Images shared between processes are read-only, and nothing here writes into them.
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            images, labels = map(torch.from_numpy, (part.images, part.labels))
        held[device] = images.to(device), labels.to(device)
    return held[device]


def batch_bounds(images: int, batch_size: int) -> list[tuple[int, int]]:
    """Returns (first, last + 1) of each batch of an epoch, so that no batch has a single image.

    The last batch may be smaller. A single last image joins the batch before it, because batch norm
    has no variance for a single image.
    """
    starts = list(range(0, images, batch_size))
    if len(starts) > 1 and images - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], images], strict=True))


def evaluation_bounds(images: int) -> list[tuple[int, int]]:
    """Returns (first, last + 1) of each batch in evaluation."""
    starts = range(0, images, EVALUATION_BATCH)
    return [(first, min(first + EVALUATION_BATCH, images)) for first in starts]


def layout(axes: int) -> torch.memory_format:
    """Returns the memory format of batches with this many axes, with channels last if possible."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return formats.get(axes, torch.contiguous_format)


def weights_layout(network: nn.Module) -> torch.memory_format:
    """Returns the memory format of a network's weights, with channels last if possible.

    A network may read images as volumes, so its windows decide, and not its images.
    """
    axes = {weights.ndim for weights in network.parameters() if weights.ndim > 3}
    return layout(axes.pop()) if len(axes) == 1 else torch.contiguous_format


def crashes(trained: Architecture | tuple[int, ...]) -> bool:
    """Tells if training with channels last may crash on a CPU, in oneDNN 3.12, as in torch 2.13.

    It writes outside its memory for the gradient of the weights of a strided 1x1 convolution of
    fewer than 16 channels on maps of 46x46 or more; 44x44 and 16 channels were found to be safe.

    Args:
        trained: the network, or the shape of an image if the networks are not known beforehand, as
            where they share weights.
    """
    if isinstance(trained, tuple):
        return math.prod(trained[1:]) > 40**2
    return any(
        isinstance(node.operation, Conv)
        and set(node.operation.kernel) == {1}
        and max(node.operation.stride) > 1
        and trained.shapes[node.inputs[0]][0] < 16
        and math.prod(trained.shapes[node.name][1:]) > 20**2
        for node in trained.nodes
    )
