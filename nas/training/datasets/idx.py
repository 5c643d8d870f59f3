"""Reads MNIST, and data sets in the same format, from idx files."""

import zlib
from pathlib import Path

import numpy as np

from nas.configuration import Place
from nas.errors import InputError
from nas.files import at_home, read_bytes
from nas.memory import gunzipped
from nas.training.datasets.download import official
from nas.training.datasets.images import Images, Resolution, check_labels, with_test
from nas.training.datasets.stored import Pixels

_PARTS = ("train", "t10k")
_FILES = [f"{part}-{kind}-ubyte.gz" for part in _PARTS for kind in ("images-idx3", "labels-idx1")]
_FOLDERS = ("", "raw", "MNIST/raw", "FashionMNIST/raw")
"""Where the files are in a root: there, or where torchvision puts them."""


def mnist(*, root: Place | None = None, resolution: Resolution = None) -> Images:
    """MNIST (LeCun et al. 1998): 60,000 and 10,000 grey 28x28 images of 10 digits.

    Args:
        root: the folder of the four official files,
            ``{train,t10k}-{images-idx3,labels-idx1}-ubyte.gz``, also unpacked, or torchvision's
            folder, which holds them in ``MNIST/raw``; null downloads them.
        resolution: the side of the images in pixels; 28 if not given.
    """
    bases = ["https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"]
    checksums = [
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ]
    files = dict(zip(_FILES, checksums, strict=True))
    return _read(root, "mnist", bases, files, resolution)


def fashion_mnist(*, root: Place | None = None, resolution: Resolution = None) -> Images:
    """Fashion-MNIST (Xiao et al., arXiv:1708.07747): clothes in the format and files of MNIST.

    Args:
        root: the folder of the four official files, as for :func:`mnist`; null downloads them.
        resolution: the side of the images in pixels; 28 if not given.
    """
    bases = ["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"]
    checksums = [
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ]
    files = dict(zip(_FILES, checksums, strict=True))
    return _read(root, "fashion_mnist", bases, files, resolution)


def idx_files(root: Path) -> list[Path] | None:
    """Returns the four files in a root, packed or not; None if the first is in no known place."""
    for folder in _FOLDERS:
        if (root / folder).is_dir():
            found = [_as_it_is(root / folder / name) for name in _FILES]
            if found[0].is_file():
                return found
    return None


def _as_it_is(packed: Path) -> Path:
    """Returns the path of a file, or of its unpacked form, whose name may have a dot in it."""
    plain = packed.with_suffix("")
    forms = (packed, plain, plain.with_name(plain.name.replace("-idx", ".idx")))
    return next((path for path in forms if path.is_file()), packed)


def _read(
    root: str | None,
    name: str,
    bases: list[str],
    files: dict[str, str],
    resolution: int | None,
) -> Images:
    paths = None if root is None else idx_files(at_home(root))
    paths = paths or official(root, name, bases, files)
    parts = []
    for images_path, labels_path in (paths[:2], paths[2:]):
        images = read_idx(images_path, dimensions=3)
        labels = read_idx(labels_path, dimensions=1)
        if len(images) != len(labels):
            raise InputError(f"{labels_path}: {len(labels)} labels for {len(images)} images")
        parts.append((images[:, None], check_labels(labels, 10, labels_path)))
    sizes = ["x".join(map(str, images.shape[2:])) for images, _ in parts]
    if sizes[0] != sizes[1]:
        raise InputError(
            f"{paths[0].parent}: train and test images differ in size: {' and '.join(sizes)}"
        )
    return with_test(parts, 10, resolution)


def read_idx(path: Path, dimensions: int) -> Pixels:
    """Reads a uint8 array from an idx file (the format of http://yann.lecun.com/exdb/mnist).

    The file holds two zero bytes, the type (8 for uint8), the number of dimensions, each dimension
    as a big-endian 32-bit integer, and the values. It is gzipped if its name ends in ``.gz``. For
    any other file, :class:`InputError` names the path.
    """
    packed = path.suffix == ".gz"
    kind = "a gzipped idx file" if packed else "an idx file"
    expected = f"expected {kind} of uint8 in {dimensions} dimension(s)"
    content = read_bytes(path)
    try:
        content = gunzipped(content, f"{path}: its values") if packed else content
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: is damaged: {error}; {expected}") from None
    start = 4 + 4 * dimensions
    if content[:4] != bytes((0, 0, 8, dimensions)) or len(content) < start:
        raise InputError(f"{path}: starts with bytes {content[:4].hex(' ')}; {expected}")
    shape = tuple(int(side) for side in np.frombuffer(content, ">u4", dimensions, offset=4))
    values = np.frombuffer(content, np.uint8, offset=start)
    if values.size != np.prod(shape, dtype=object):
        size = "x".join(map(str, shape))
        raise InputError(f"{path}: holds {values.size} values for a size of {size}; {expected}")
    return values.reshape(shape)
