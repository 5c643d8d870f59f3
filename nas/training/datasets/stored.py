"""Images that are stored elsewhere and read when they are needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from nas.errors import InputError
from nas.memory import available, check_memory

if TYPE_CHECKING:
    from torch import Tensor

Pixels = npt.NDArray[np.uint8]
Inputs = Pixels | npt.NDArray[np.float32]
"""Images or volumes as pixels, or series as floats."""

Integers = npt.NDArray[np.int64]
Gigabytes = Annotated[float, Field(ge=0, allow_inf_nan=False)]

MEMORY_GB = 4.0
"""The largest size of a data set in memory, in 10^9 bytes; larger ones are streamed."""


_BATCH = 64
"""How many images must fit into memory at the same time, even if they are streamed."""


class Stored:
    """An array of images that are not in memory.

    Args:
        read: returns the uint8 image [C, H, W] at a position; it must be picklable.
        positions: the positions of the images, in order.
        image_shape: (C, H, W).
        described: a description that distinguishes these images from others without reading them.

    Attributes:
        shape: (N, C, H, W).
        described: the description.
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
        """Selects images by their indices without reading them."""
        return Stored(self._read, self._positions[indices], self.shape[1:])

    def __getitems__(self, indices: Sequence[int]) -> Pixels:
        """Reads images by their indices, [len(indices), C, H, W]; torch's loader calls this."""
        return self[np.asarray(indices)].read()

    def read(self) -> Pixels:
        """Reads all images into memory."""
        images = np.empty(self.shape, np.uint8)
        for place, position in enumerate(self._positions):
            images[place] = self._read(int(position))
        return images

    def batches(self, batches: Sequence[Sequence[int]], pinned: bool = False) -> Iterator[Tensor]:
        """Yields the images of each list of indices, read ahead by one process per torch thread.

        Args:
            batches: the lists of indices.
            pinned: whether to use pinned memory, from which a GPU copies while it computes.
        """
        import torch
        from torch.utils.data import DataLoader

        loader: DataLoader[Pixels] = DataLoader(
            self,  # type: ignore[arg-type]
            batch_sampler=[list(indices) for indices in batches],
            num_workers=min(torch.get_num_threads(), len(batches)),
            # As arrays, batches pass through pipes. As tensors, they would need /dev/shm, which is
            # small in containers; where it is full, torch crashes or waits for ever.
            collate_fn=np.asarray,
            # A separate generator, so that torch's global one is the same as with images in memory.
            generator=torch.Generator(),
        )
        try:
            for images in loader:
                batch = torch.from_numpy(images)
                yield batch.pin_memory() if pinned else batch
        except InputError as error:  # its text begins with the other process's traceback
            message = str(error).rstrip().rpartition(f"{InputError.__name__}: ")[2]
            raise InputError(message) from None


def check_memory_of(count: int, image_shape: tuple[int, ...], where: object) -> None:
    """Checks that there is memory for this many images and a copy of them, before they are made.

    Raises :class:`InputError` with the largest resolution that is possible.
    """
    channels, *sides = image_shape
    limit = int((available() / max(2 * count * channels, 1)) ** (1 / len(sides)))
    check_memory(
        2 * count * math.prod(image_shape),
        f"{where}: {count:,} images of {'x'.join(map(str, sides))} pixels",
        f"set a resolution of at most {limit:,}",
    )


def is_streamed(count: int, image_shape: tuple[int, ...], memory_gb: float, where: object) -> bool:
    """Tells if this many images stay on the disk, because they need more than ``memory_gb``.

    Raises :class:`InputError` if there is not enough memory for the images, or, if they are
    streamed, for a batch of them.
    """
    streamed = count * math.prod(image_shape) > memory_gb * 1e9
    check_memory_of(min(count, _BATCH) if streamed else count, image_shape, where)
    return streamed
