"""Samples of Fashion-MNIST and CIFAR-10 for campaigns under ``results/``, as lists of pairs.

They are read with numpy alone, so that the recorded checksum of this file changes only if the
images do.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

SHARED = Path(__file__).parents[3] / "shared" / "data"


def fashion_mnist() -> tuple[list[Any], list[Any]]:
    """Return the first 1,000 training images of each class, and all 10,000 test images."""
    read, root = _readers().load_idx, SHARED / "fashion-mnist"
    images = read(root / "train-images-idx3-ubyte.gz")
    labels = read(root / "train-labels-idx1-ubyte.gz")
    some = np.concatenate([np.flatnonzero(labels == label)[:1_000] for label in range(10)])
    tested = read(root / "t10k-images-idx3-ubyte.gz"), read(root / "t10k-labels-idx1-ubyte.gz")
    return _pairs(images[some], labels[some]), _pairs(*tested)


def cifar10() -> tuple[list[Any], list[Any]]:
    """Return 5,000 training and 2,000 test images of CIFAR-10, as many of each class."""
    names = ("cifar10_train5k.packed.npz", "cifar10_test2k.packed.npz")
    train, test = (_readers().load_packed(SHARED / "cifar10" / name) for name in names)
    return _pairs(*train), _pairs(*test)


def _pairs(images: Any, labels: Any) -> list[Any]:
    return list(zip(images, labels, strict=True))


def _readers() -> ModuleType:
    """Return the module beside the images that reads their files."""
    spec = importlib.util.spec_from_file_location("load_images", SHARED / "load_images.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
