"""Images that are not in memory: read when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from nas.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

Pixels = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
Gigabytes = Annotated[float, Field(ge=0, allow_inf_nan=False)]

MEMORY_GB = 4.0
"""What a data set takes of memory, before it is streamed; 10^9 bytes each."""


class Stored:
    """What an array of images is, but for where it is.

    Args:
        read: gives the uint8 image [C, H, W] of a position; pickled where processes are spawned.
        positions: of the images that there are, in order.
        image_shape: (C, H, W).
        described: what tells these images from others without reading them.

    Attributes:
        shape: (N, C, H, W).
        described: see there.
    """

    def __init__(
        self,
        read: Callable[[int], Pixels],
        positions: Integers,
        image_shape: tuple[int, ...],
        described: bytes = b"",
    ) -> None:
        self.shape = (len(positions), *image_shape)
        self.described = described
        self._read = read
        self._positions = positions

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, indices: Integers) -> Stored:
        """The images of some indices; none of them is read."""
        return Stored(self._read, self._positions[indices], self.shape[1:])

    def __getitems__(self, indices: Sequence[int]) -> Pixels:
        """Those images, read: [len(indices), C, H, W]; what torch's loader asks a data set for."""
        return self[np.asarray(indices)].read()

    def read(self) -> Pixels:
        """All of them, in memory."""
        images = np.empty(self.shape, np.uint8)
        for place, position in enumerate(self._positions):
            images[place] = self._read(int(position))
        return images

    def batches(self, batches: Sequence[Sequence[int]], pinned: bool = False) -> Iterator[Tensor]:
        """The images of each list of indices, read ahead by as many processes as torch has threads.

        Args:
            batches: the lists.
            pinned: into memory that a GPU copies from while it computes.
        """
        import torch
        from torch.utils.data import DataLoader

        loader: DataLoader[Pixels] = DataLoader(
            self,  # type: ignore[arg-type]
            batch_sampler=[list(indices) for indices in batches],
            num_workers=min(torch.get_num_threads(), len(batches)),
            collate_fn=torch.from_numpy,
            pin_memory=pinned,
            # Its own, or torch's global one would be another than with images in memory.
            generator=torch.Generator(),
        )
        try:
            yield from loader
        except InputError as error:  # with the traceback of the other process before it
            message = str(error).rstrip().rpartition(f"{InputError.__name__}: ")[2]
            raise InputError(message) from None


def fits(count: int, image_shape: tuple[int, ...], memory_gb: float) -> bool:
    """Whether so many images are held in memory."""
    return count * math.prod(image_shape) <= memory_gb * 1e9
