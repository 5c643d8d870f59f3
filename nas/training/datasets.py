"""Image data sets in memory: where they are read from and what they are called."""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from nas.errors import InputError
from nas.registry import Registry

DATASETS = Registry(
    "data set",
    {
        "digits": "nas.training.datasets:digits",
        "fashion_mnist": "nas.training.datasets:mnist",
        "mnist": "nas.training.datasets:mnist",
    },
)
"""What ``data.name`` may say; the options of each are its keyword-only arguments."""

Pixels = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
Resolution = Annotated[int, Field(ge=1)] | None


@dataclass(frozen=True, eq=False)
class Images:
    """A whole data set.

    Args:
        images: uint8, [N, C, H, W].
        labels: int64, [N], 0 to ``classes`` - 1.
        classes: the number of classes.
        official_test: how many images at the end are the official test part; 0 if there is none.
    """

    images: Pixels
    labels: Integers
    classes: int
    official_test: int = 0

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(C, H, W)."""
        return self.images.shape[1:]


def digits(*, resolution: Resolution = None) -> Images:
    """scikit-learn's bundled digits: 1,797 grey 8x8 images of 10 classes, no official test part.

    Half of the UCI set (Alpaydin & Kaynak 1998, doi:10.24432/C50P49); values 0 to 16 are scaled
    to 0 to 255.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    return Images(resize(pixels, resolution), bunch.target.astype(np.int64), classes=10)


def mnist(*, root: str, resolution: Resolution = None) -> Images:
    """MNIST (LeCun et al. 1998) or Fashion-MNIST (Xiao et al., arXiv:1708.07747).

    Args:
        root: the directory of the four official files, named alike for both:
            ``{train,t10k}-{images-idx3,labels-idx1}-ubyte.gz``.
        resolution: side of the images, in pixels; 28 as they come.
    """
    folder = Path(root).expanduser()
    images, labels = [], []
    for part in ("train", "t10k"):
        path = folder / f"{part}-labels-idx1-ubyte.gz"
        images.append(read_idx(folder / f"{part}-images-idx3-ubyte.gz", dimensions=3))
        labels.append(read_idx(path, dimensions=1))
        if len(images[-1]) != len(labels[-1]):
            raise InputError(f"{path}: {len(labels[-1])} labels for {len(images[-1])} images")
        if labels[-1].max(initial=0) > 9:
            raise InputError(f"{path}: holds label {labels[-1].max()}; expected 0 to 9")
    if images[0].shape[1:] != images[1].shape[1:]:
        sizes = " and ".join("x".join(map(str, array.shape[1:])) for array in images)
        raise InputError(f"{folder}: train and test images differ in size: {sizes}")
    return Images(
        resize(np.concatenate(images)[:, None], resolution),
        np.concatenate(labels).astype(np.int64),
        classes=10,
        official_test=len(labels[1]),
    )


def read_idx(path: Path, dimensions: int) -> Pixels:
    """The uint8 array of a gzipped idx file (the format of http://yann.lecun.com/exdb/mnist).

    The file is: two zero bytes, the type (8: uint8), the number of dimensions, each dimension
    as a big-endian 32-bit integer, the values. :class:`InputError` names the path otherwise.
    """
    expected = f"expected a gzipped idx file of uint8 in {dimensions} dimension(s)"
    try:
        content = gzip.decompress(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; {expected}") from None
    except (EOFError, zlib.error) as error:
        raise InputError(f"{path}: is torn or corrupted: {error}; {expected}") from None
    start = 4 + 4 * dimensions
    if content[:4] != bytes((0, 0, 8, dimensions)) or len(content) < start:
        raise InputError(f"{path}: starts with bytes {content[:4].hex(' ')}; {expected}")
    shape = tuple(int(side) for side in np.frombuffer(content, ">u4", dimensions, offset=4))
    values = np.frombuffer(content, np.uint8, offset=start)
    if values.size != np.prod(shape, dtype=object):
        size = "x".join(map(str, shape))
        raise InputError(f"{path}: holds {values.size} values for a size of {size}; {expected}")
    return values.reshape(shape)


def resize(images: Pixels, resolution: int | None) -> Pixels:
    """``images`` at ``resolution`` x ``resolution`` pixels: bilinear, with antialiasing."""
    if resolution is None or images.shape[2:] == (resolution, resolution):
        return images
    import torch
    from torch.nn.functional import interpolate

    def one(chunk: Pixels) -> Pixels:
        pixels = torch.from_numpy(chunk.astype(np.float32))
        side = (resolution, resolution)
        pixels = interpolate(pixels, side, mode="bilinear", antialias=True, align_corners=False)
        resized: Pixels = pixels.round_().clamp_(0, 255).to(torch.uint8).numpy()
        return resized

    # In chunks: as floats, a whole data set would take four times its memory.
    return np.concatenate([one(images[i : i + 4096]) for i in range(0, len(images), 4096)])
