"""The reference images beside the checkout, as a training takes them."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from nas.training import data
from nas.training.data import Part, SearchData
from nas.training.datasets import DATASETS

SHARED = Path(__file__).parents[3] / "shared" / "data"


def fashion_mnist() -> tuple[SearchData, Part]:
    """Fashion-MNIST, 57,000 images to train on, and its official test part."""
    split = {"train": 0.95, "validation": 0.05}
    root = str(SHARED / "fashion-mnist")
    config = data.resolve({"name": "fashion_mnist", "root": root, "split": split})
    return data.search_data(config), data.held_out(config)


def fashion_mnist_sample() -> Any:
    """10,000 training images, 1,000 a class, and all test images, for the data set ``python``."""
    images = DATASETS["fashion_mnist"](root=str(SHARED / "fashion-mnist"))
    free = len(images.labels) - images.official_test
    some = classes(Part(images.images[:free], images.labels[:free]), 0, images.classes, 1_000)
    return (
        list(zip(some.images, some.labels, strict=True)),
        list(zip(images.images[free:], images.labels[free:], strict=True)),
    )


def cifar10_sample() -> Any:
    """5,000 training and 2,000 test images of CIFAR-10, for the data set ``python``."""
    path = SHARED / "load_images.py"
    spec = importlib.util.spec_from_file_location("load_images", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    names = ("cifar10_train5k.packed.npz", "cifar10_test2k.packed.npz")
    loaded = (module.load_packed(SHARED / "cifar10" / name) for name in names)
    return tuple(list(zip(images, labels, strict=True)) for images, labels in loaded)


def cifar10() -> tuple[SearchData, Part]:
    """The sample of CIFAR-10: 4,500 images to train on, and its test part."""
    config = data.resolve(
        {
            "name": "python",
            "function": "tests.benchmarks.images:cifar10_sample",
            "split": {"train": 0.9, "validation": 0.1},
        },
        "benchmark",
    )
    return data.search_data(config), data.held_out(config)


def classes(part: Part, first: int, count: int, per_class: int | None = None) -> Part:
    """The images of ``count`` classes, renumbered from 0; only so many of each, if asked."""
    chosen = [np.flatnonzero(part.labels == first + label)[:per_class] for label in range(count)]
    index = np.concatenate(chosen)
    return Part(part.images[index], part.labels[index] - first)
