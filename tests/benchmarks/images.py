"""The reference images beside the checkout, as a training takes them."""

import numpy as np

from nas.training import data
from nas.training.data import Part, SearchData
from tests.benchmarks.samples import SHARED


def fashion_mnist() -> tuple[SearchData, Part]:
    """Fashion-MNIST, 57,000 images to train on, and its official test part."""
    split = {"train": 0.95, "validation": 0.05}
    root = str(SHARED / "fashion-mnist")
    config = data.resolve({"name": "fashion_mnist", "root": root, "split": split})
    return data.search_data(config), data.held_out(config)


def cifar10() -> tuple[SearchData, Part]:
    """The sample of CIFAR-10: 4,500 images to train on, and its test part."""
    config = data.resolve(
        {
            "name": "python",
            "function": "tests.benchmarks.samples:cifar10",
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
