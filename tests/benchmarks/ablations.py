"""What augmentation and the parts of a recipe are worth: ``python -m tests.benchmarks.ablations``.

VGG-8 at a quarter of its width on the sample of CIFAR-10 (4,500 images to train on), 30 epochs;
accuracy on the 2,000 test images, which nothing is chosen by. Each row changes one thing of the
first, or as it says, and has the same three seeds. On a GPU where there is one; a process a core.
"""

import multiprocessing
import time
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch

import nas
from nas.training.data import Part, SearchData
from nas.training.hardware import cores, device_name
from nas.training.loop import measure, train
from nas.training.recipe import resolve
from tests.benchmarks.images import cifar10, classes

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SEEDS = (0, 1, 2)
SHIFT = {"name": "shift", "pixels": 4}
CUTOUT = {"name": "cutout", "size": 8}
BASE = {
    "epochs": 30,
    "batch_size": 64,
    "optimizer": "sgd",
    "learning_rate": 0.05,
    "weight_decay": 5e-4,
    "schedule": "cosine",
    "warmup_epochs": 2,
    "augment": [SHIFT, "flip"],
}
FIRST = "shift by 4 and flip, cosine"
VARIANTS: dict[str, tuple[dict[str, Any], str]] = {
    FIRST: ({}, ""),
    "no augmentation": ({"augment": []}, "worse"),
    "shift alone": ({"augment": [SHIFT]}, "worse"),
    "and cutout of 8": (
        {"augment": [SHIFT, "flip", CUTOUT]},
        "better once a network overfits",
    ),
    "and mixup": (
        {"augment": [SHIFT, "flip", {"name": "mixup", "alpha": 0.2}]},
        "better once a network overfits",
    ),
    "label smoothing of 0.1": ({"label_smoothing": 0.1}, "no worse"),
    "no weight decay": ({"weight_decay": 0.0}, "worse"),
    "constant learning rate": ({"schedule": "constant"}, "worse"),
    "constant, weights averaged (0.99)": (
        {"schedule": "constant", "weight_average": 0.99},
        "better than constant",
    ),
}


@cache
def images() -> tuple[SearchData, Part]:
    found, test = cifar10()
    return replace(found, validation=classes(found.validation, 0, 10, per_class=1)), test


@cache
def architecture() -> nas.Architecture:
    data, _ = images()
    return nas.classic("vgg8", data.input_shape, data.classes, width=0.25)


def trained(run: tuple[str, int]) -> tuple[float, float]:
    """Test accuracy in percent and the last training loss of a variant and a seed."""
    torch.set_num_threads(1)
    variant, seed = run
    data, test = images()
    recipe = resolve({**BASE, **VARIANTS[variant][0]})
    result = train(lambda: nas.compile(architecture()), data, recipe, seed, DEVICE)
    return 100 * measure(result.network, test, data)["accuracy"], result.curve[-1].train_loss


def main() -> None:
    started = time.perf_counter()
    runs = [(variant, seed) for variant in VARIANTS for seed in SEEDS]
    with multiprocessing.get_context("spawn").Pool(min(cores(), len(runs))) as pool:
        found = dict(zip(runs, pool.map(trained, runs, chunksize=1), strict=True))
    print(
        "| recipe | test accuracy, % | of each seed | train loss | against the first | expected |"
    )
    print("|---|---|---|---|---|---|")
    first = np.array([found[FIRST, seed][0] for seed in SEEDS])
    for name, (_, expected) in VARIANTS.items():
        accuracies, losses = np.array([found[name, seed] for seed in SEEDS]).T
        gain = accuracies - first
        error = gain.std(ddof=1) / len(SEEDS) ** 0.5
        against = f"{gain.mean():+.1f} ± {error:.1f}" if expected else ""
        each = ", ".join(f"{accuracy:.1f}" for accuracy in accuracies)
        print(
            f"| {name} | {accuracies.mean():.1f} | {each} | {losses.mean():.2f} | {against} "
            f"| {expected} |"
        )
    print(
        f"\n{architecture().cost.params:,} parameters, {len(images()[0].train.labels):,} images; "
        f"{time.perf_counter() - started:,.0f} s on {device_name(DEVICE)}, {cores()} processes at "
        "a time. ± is the standard error of the difference over seeds; one image is 0.05 %."
    )


if __name__ == "__main__":
    main()
