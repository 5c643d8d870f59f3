"""Batches on the device: of images that lie there, or that are read while it computes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from nas.training.data import Part
from nas.training.datasets import Stored

Bounds = Sequence[tuple[int, int]]
"""(first, last + 1) of each batch."""

_RESIDENT: WeakKeyDictionary[Part, dict[torch.device, tuple[Tensor, Tensor]]] = WeakKeyDictionary()


def batches(
    part: Part, bounds: Bounds, device: torch.device, order: Tensor | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """The uint8 images [N, C, H, W] and the labels [N] of each batch, on the device.

    What is in memory is put on the device once for as long as the part lives, whoever trains on
    it; the rest is read ahead by other processes. The batches are the same.

    Args:
        part: of a data set.
        bounds: of each batch, in the order.
        device: a CPU or a GPU.
        order: a permutation, on the device; None: as they come.
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
    """The images, uint8, and labels of a part that is in memory, in the device's."""
    assert not isinstance(part.images, Stored)
    held = _RESIDENT.setdefault(part, {})
    if device not in held:
        with warnings.catch_warnings():
            # Images that processes share are read-only; nothing here writes into its images.
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            images, labels = map(torch.from_numpy, (part.images, part.labels))
        held[device] = images.to(device), labels.to(device)
    return held[device]
