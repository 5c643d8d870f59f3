"""Makes data sets that nobody has tuned anything for: ``python -m tests.benchmarks.unseen FOLDER``.

They are small relatives of those of the contest "NAS on Unseen Data" (Geada et al. 2024,
arXiv:2404.02189), in its format, each a function of a seed. The labels of the test part are written
too, as ``test_y.npy``, so that accuracies can be measured.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks import samples

Array = Any
Sizes = tuple[int, int, int]
"""The numbers of training, validation and test images."""

SIZES: Sizes = (6_000, 1_500, 3_000)


def write(folder: Path, name: str, seed: int, sizes: Sizes | None = None) -> Path:
    """Writes a data set and returns its folder."""
    rng = np.random.default_rng((seed, [*SETS].index(name)))
    make, classes = SETS[name]
    sizes = sizes or (SIZES if name != "stripes" else (300, 100, 100))
    folder.mkdir(parents=True, exist_ok=True)
    for part, (count, which) in {"train": (sizes[0], 0), "valid": (sizes[1], 1),
                                 "test": (sizes[2], 2)}.items():  # fmt: skip
        images, labels = make(rng, count, which)
        np.save(folder / f"{part}_x.npy", images)
        np.save(folder / f"{part}_y.npy", labels)
    told = {"codename": name, "input_shape": [sizes[0], *images.shape[1:]],
            "num_classes": classes, "benchmark": None, "time_limit": 0.5}  # fmt: skip
    (folder / "metadata").write_text(json.dumps(told) + "\n")
    return folder


def stripes(rng: np.random.Generator, count: int, part: int) -> tuple[Array, Array]:
    """Returns noisy stripes, upright or not: an easy set for tests."""
    labels = np.arange(count) % 2
    phase = rng.uniform(0, 2 * np.pi, (count, 1, 1))
    down, right = np.mgrid[:12, :12]
    along = np.where(labels[:, None, None], down, right)
    images = np.sin(along + phase) + rng.normal(0, 0.3, (count, 12, 12))
    return images[:, None].astype(np.float32), labels


def _clothes(part: int) -> tuple[Array, Array]:
    """Returns four kinds of Fashion-MNIST pictures, numbered from 0; parts share no picture."""
    train, test = samples.fashion_mnist()
    pairs = test if part == 2 else train[part::2]
    kinds = {1: 0, 3: 1, 8: 2, 9: 3}  # trouser, dress, bag, boot
    chosen = [(image, kinds[int(label)]) for image, label in pairs if int(label) in kinds]
    return np.stack([image for image, _ in chosen]), np.array([label for _, label in chosen])


def sums(rng: np.random.Generator, count: int, part: int) -> tuple[Array, Array]:
    """Returns three pictures as channels; the label is the sum of their kinds, after AddNIST."""
    images, labels = _clothes(part)
    drawn = rng.integers(len(images), size=(count, 3))
    return images[drawn], labels[drawn].sum(1)


PRODUCTS = (1, 2, 3, 4, 6, 8, 9, 12, 18, 27)


def products(rng: np.random.Generator, count: int, part: int) -> tuple[Array, Array]:
    """Returns three pictures as channels; the label is the product of their kinds, 1 to 3.

    After MultNIST. The values are normalised, and so may be negative.
    """
    images, labels = _clothes(part)
    images, labels = images[labels > 0], labels[labels > 0]
    drawn = rng.integers(len(images), size=(count, 3))
    found = np.searchsorted(PRODUCTS, labels[drawn].prod(1))
    return ((images[drawn] - 70.0) / 80.0).astype(np.float32), found


def tiles(rng: np.random.Generator, count: int, part: int) -> tuple[Array, Array]:
    """Returns four CIFAR-10 pictures as tiles; the label is the number of classes, less one.

    After CIFARTile.
    """
    train, test = samples.cifar10()
    pairs = test if part == 2 else train[part::2]
    images = np.stack([np.asarray(image) for image, _ in pairs])
    if images.shape[-1] == 3:
        images = images.transpose(0, 3, 1, 2)
    half = images.reshape(len(images), 3, 16, 2, 16, 2).mean((3, 5))
    labels = np.array([int(label) for _, label in pairs])
    of_class = [np.flatnonzero(labels == label) for label in range(10)]
    made, found = np.empty((count, 3, 32, 32), np.uint8), rng.integers(4, size=count)
    for position, more in enumerate(found):
        kinds = rng.permutation(10)[: more + 1]
        four = rng.permutation([*kinds, *rng.choice(kinds, 3 - more)])
        for place, kind in enumerate(four):
            down, right = divmod(place, 2)
            picture = half[rng.choice(of_class[kind])]
            made[position, :, 16 * down : 16 * down + 16, 16 * right : 16 * right + 16] = picture
    return made, found


def language(rng: np.random.Generator, count: int, part: int) -> tuple[Array, Array]:
    """Returns 24 letters as a plane of ones, from one of ten languages, after Language.

    The languages are made up: each has its own probabilities of what letter follows a letter.
    """
    of_languages = np.random.default_rng(1)  # the languages do not depend on the part
    follows = of_languages.dirichlet(np.full(24, 0.3), (10, 24)).cumsum(-1)
    labels = rng.integers(10, size=count)
    images = np.zeros((count, 1, 24, 24), np.uint8)
    letters = rng.integers(24, size=count)
    for place in range(24):
        images[np.arange(count), 0, place, letters] = 1
        drawn = rng.random((count, 1))
        letters = (drawn > follows[labels, letters]).sum(1).clip(max=23)
    return images, labels


def grids(rng: np.random.Generator, count: int, part: int) -> tuple[Array, Array]:
    """Returns 9x9 grids as nine planes; the label says whether it is a valid Sudoku."""
    labels = rng.integers(2, size=count)
    images = np.zeros((count, 9, 9, 9), np.int64)
    down, right = np.mgrid[:9, :9]
    pattern = (3 * (down % 3) + down // 3 + right) % 9
    for position, valid in enumerate(labels):
        lines = [np.concatenate([3 * band + rng.permutation(3) for band in rng.permutation(3)])
                 for _ in range(2)]  # fmt: skip
        grid = rng.permutation(9)[pattern][lines[0]][:, lines[1]]
        for _ in range(0 if valid else 4):
            (a, b), (c, d) = rng.integers(9, size=(2, 2))
            grid[a, b], grid[c, d] = grid[c, d], grid[a, b]
        # A swap may change nothing, or make another valid grid; that is very rare after four.
        images[position, grid, down, right] = 1
    return images, labels


def shapes(rng: np.random.Generator, count: int, part: int) -> tuple[Array, Array]:
    """Returns voxels of 16x16x16: balls, boxes, cylinders, cones, rings and crosses, turned."""
    labels = rng.integers(6, size=count)
    axes = np.stack(np.meshgrid(*[np.linspace(-1, 1, 16)] * 3, indexing="ij")).reshape(3, -1)
    images = np.empty((count, 16, 16, 16), bool)
    for position, label in enumerate(labels):
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        size = rng.uniform(0.5, 0.8)
        x, y, z = (turn @ (axes - rng.uniform(-0.2, 0.2, (3, 1)))) / size
        round_ = np.hypot(x, y)
        inside = [
            x**2 + y**2 + z**2 < 1,
            np.maximum(abs(x), np.maximum(abs(y), abs(z))) < 0.8,
            (round_ < 0.6) & (abs(z) < 1),
            (round_ < (1 - z) / 2) & (abs(z) < 1),
            np.hypot(round_ - 0.8, z) < 0.3,
            ((abs(x) < 0.3) | (abs(y) < 0.3)) & (abs(z) < 0.3) & (round_ < 1),
        ][label]
        images[position] = inside.reshape(16, 16, 16)
    return images, labels


SETS: dict[str, tuple[Callable[[np.random.Generator, int, int], tuple[Array, Array]], int]] = {
    "stripes": (stripes, 2),
    "sums": (sums, 10),
    "products": (products, 10),
    "tiles": (tiles, 4),
    "language": (language, 10),
    "grids": (grids, 2),
    "shapes": (shapes, 6),
}
"""The functions that make the data sets, and their numbers of classes."""


def main() -> None:
    """Writes all data sets but the one for tests."""
    for name in SETS:
        if name != "stripes":
            print(write(Path(sys.argv[1]) / name, name, seed=0))


if __name__ == "__main__":
    main()
