"""Reads the Street View House Numbers (SVHN)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nas.configuration import Place
from nas.errors import InputError
from nas.training.datasets.download import official
from nas.training.datasets.images import Images, Resolution, check_labels, with_test
from nas.training.datasets.stored import Integers, Pixels

_BASES = ["http://ufldl.stanford.edu/housenumbers/"]
_TRAIN = {"train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373"}
_EXTRA = {"extra_32x32.mat": "a93ce644f1a588dc4d68dda5feec44a7"}
_TEST = {"test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3"}


def svhn(
    *, root: Place | None = None, extra: bool = False, resolution: Resolution = None
) -> Images:
    """SVHN's cropped digits (Netzer et al. 2011): 73,257 and 26,032 colour 32x32 images.

    Args:
        root: the folder of the official ``{train,test}_32x32.mat``; null downloads them.
        extra: whether to add the 531,131 easier images of ``extra_32x32.mat`` to the training part.
        resolution: the side of the images in pixels; 32 if not given.
    """
    files = {**_TRAIN, **(_EXTRA if extra else {}), **_TEST}
    *training, test = [_read(path) for path in official(root, "svhn", _BASES, files)]
    images, labels = (np.concatenate(each) for each in zip(*training, strict=True))
    return with_test([(images, labels), test], 10, resolution)


def _read(path: Path) -> tuple[Pixels, Integers]:
    """Reads a MATLAB 5 file with ``X`` [32, 32, 3, N] and ``y`` [N, 1]; 10 is the digit 0."""
    from scipy.io import loadmat

    expected = "expected a MATLAB 5 file with X, uint8 of 32x32x3xN, and y, N labels from 1 to 10"
    if not path.is_file():
        raise InputError(f"{path}: No such file; {expected}")
    try:
        held = loadmat(path, variable_names=["X", "y"])
    except Exception as error:  # a damaged file may raise any exception
        raise InputError(f"{path}: is damaged: {error}; {expected}") from None
    images, labels = held.get("X"), held.get("y")
    if (
        images is None
        or labels is None
        or images.dtype != np.uint8
        or images.shape[:3] != (32, 32, 3)
    ):
        raise InputError(f"{path}: holds {', '.join(k for k in held if k[0] != '_')}; {expected}")
    labels = labels.ravel().astype(np.int64)
    if images.shape[3] != len(labels):
        raise InputError(f"{path}: {len(labels)} labels for {images.shape[3]} images")
    labels[labels == 10] = 0
    return np.ascontiguousarray(images.transpose(3, 2, 0, 1)), check_labels(labels, 10, path)
