"""Reads CIFAR-10 and CIFAR-100 from either of the official archives."""

from __future__ import annotations

import io
import pickle
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas.configuration import Place
from nas.errors import InputError
from nas.files import at_home
from nas.memory import gunzipped
from nas.training.datasets.download import official
from nas.training.datasets.images import Images, Resolution, check_labels, with_test
from nas.training.datasets.stored import Integers, Pixels

_BASE = "https://www.cs.toronto.edu/~kriz/"
_PIXELS = 3 * 32 * 32
_KINDS = ("python", "binary")
"""The forms in which the archives are published."""


@dataclass(frozen=True)
class _Form:
    """The form in which a data set is published.

    ``batches`` are the names, without ending, of the training files and of the test file.
    ``labels`` is the key of the labels in the Python form. ``bytes`` is the number of bytes before
    an image in the binary form; the last of them is the label.
    """

    name: str
    classes: int
    batches: tuple[str, ...]
    labels: str
    bytes: int
    md5: str


_CIFAR10 = _Form(
    "cifar-10",
    10,
    (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"),
    "labels",
    1,
    "c58f30108f718f92721af3b95e74349a",
)
_CIFAR100 = _Form(
    "cifar-100", 100, ("train", "test"), "fine_labels", 2, "eb9058c3a382ffc7106e4002c42a8d85"
)


def cifar10(*, root: Place | None = None, resolution: Resolution = None) -> Images:
    """CIFAR-10 (Krizhevsky 2009): 50,000 and 10,000 colour 32x32 images of 10 classes.

    Args:
        root: the folder of the official archive (``cifar-10-python.tar.gz`` or
            ``cifar-10-binary.tar.gz``), or of its unpacked content; null downloads it.
        resolution: the side of the images in pixels; 32 if not given.
    """
    return _read(_CIFAR10, root, resolution)


def cifar100(*, root: Place | None = None, resolution: Resolution = None) -> Images:
    """CIFAR-100 (Krizhevsky 2009): like :func:`cifar10` with 100 classes (the fine labels).

    Args:
        root: the folder of the official archive (``cifar-100-python.tar.gz`` or
            ``cifar-100-binary.tar.gz``), or of its unpacked content; null downloads it.
        resolution: the side of the images in pixels; 32 if not given.
    """
    return _read(_CIFAR100, root, resolution)


def cifar_name(folder: Path) -> str | None:
    """Returns the name of the data set whose official files a folder holds; None without them."""
    for name, form in (("cifar10", _CIFAR10), ("cifar100", _CIFAR100)):
        batch = form.batches[0]
        batches = [place / each for place in (folder, *folder.glob(f"{form.name}-*"))
                   for each in (batch, f"{batch}.bin")]  # fmt: skip
        archives = [folder / f"{form.name}-{kind}.tar.gz" for kind in _KINDS]
        if any(path.is_file() for path in (*batches, *archives)):
            return name
    return None


def _read(form: _Form, root: str | None, resolution: int | None) -> Images:
    if root is None:
        archive = f"{form.name}-python.tar.gz"
        (path,) = official(None, form.name, [_BASE], {archive: form.md5})
        files = _archived(path)
    else:
        files = _found(form, at_home(root))
    parts = []
    for batch in form.batches:
        name = next((n for n in (batch, f"{batch}.bin") if n in files), None)
        if name is None:
            held = ", ".join(sorted(files)) or "nothing"
            raise InputError(f"{root or _BASE}: {batch} is missing; there is {held}")
        where, content = files[name]
        read = _binary if name.endswith(".bin") else _pickled
        images, labels = read(form, where, content)
        parts.append((images, check_labels(labels, form.classes, where)))
    train = [np.concatenate(each) for each in zip(*parts[:-1], strict=True)]
    return with_test([(train[0], train[1]), parts[-1]], form.classes, resolution)


def _found(form: _Form, folder: Path) -> dict[str, tuple[str, bytes]]:
    """Returns each batch's name, place and content, from files in ``folder`` or an archive."""
    names = {name for batch in form.batches for name in (batch, f"{batch}.bin")}
    for place in [folder, *sorted(path for path in folder.glob("*") if path.is_dir())]:
        files = {name: place / name for name in names if (place / name).is_file()}
        if files:
            return {name: (str(path), path.read_bytes()) for name, path in files.items()}
    archives = [folder / f"{form.name}-{kind}.tar.gz" for kind in _KINDS]
    for archive in archives:
        if archive.is_file():
            return _archived(archive)
    raise InputError(
        f"{folder}: holds neither {archives[0].name} nor {archives[1].name}, nor what they "
        f"hold ({form.batches[0]}, ...)"
    )


def _archived(archive: Path) -> dict[str, tuple[str, bytes]]:
    try:
        # The whole file is unpacked, because the checksum is at its end and tarfile ignores it.
        content = io.BytesIO(gunzipped(archive.read_bytes(), f"{archive}: its files"))
        with tarfile.open(fileobj=content, mode="r:") as tar:
            members = [member for member in tar if member.isfile()]
            return {
                Path(m.name).name: (f"{archive}: {m.name}", tar.extractfile(m).read())  # type: ignore[union-attr]
                for m in members
            }
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise InputError(f"{archive}: is damaged: {error}") from None


def _binary(form: _Form, where: str, content: bytes) -> tuple[Pixels, Integers]:
    """Reads the binary form: for each image its labels, one byte each, and 3,072 pixel bytes."""
    size = form.bytes + _PIXELS
    if not content or len(content) % size:
        raise InputError(f"{where}: has {len(content)} bytes, not a multiple of {size}")
    rows = np.frombuffer(content, np.uint8).reshape(-1, size)
    images = rows[:, form.bytes :].reshape(-1, 3, 32, 32)
    return images, rows[:, form.bytes - 1].astype(np.int64)


def _pickled(form: _Form, where: str, content: bytes) -> tuple[Pixels, Integers]:
    """Reads the Python form: a pickled dict with ``data`` [N, 3072] and labels."""
    try:
        batch = _Unpickler(io.BytesIO(content), encoding="latin1").load()
        pixels, labels = batch["data"], np.asarray(batch[form.labels])
        images = np.asarray(pixels, np.uint8).reshape(-1, 3, 32, 32)
        labels = labels.astype(np.int64, casting="same_kind")
    except Exception as error:  # a damaged pickle may raise any exception
        raise InputError(
            f"{where}: is not a batch of {form.name} (a pickle with data and {form.labels}): "
            f"{type(error).__name__}: {error}"
        ) from None
    if len(images) != len(labels):
        raise InputError(f"{where}: {len(labels)} labels for {len(images)} images")
    return images, labels


class _Unpickler(pickle.Unpickler):
    """Reads only arrays and plain values, because other pickles could run any program."""

    _ALLOWED = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a data set")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)
