"""What augmentation and the parts of a recipe are worth: ``python -m tests.benchmarks.ablations``.

VGG-8 at a quarter of its width on the sample of CIFAR-10 (4,500 images to train on), 16 epochs;
accuracy on the 2,000 test images, which nothing is chosen by. Each row changes one thing of the
first, or as it says, and has the same two seeds.
"""

import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch

import nas
from nas.training.loop import measure, train
from nas.training.recipe import resolve
from tests.benchmarks.images import cifar10, classes

SEEDS = (0, 1)
SHIFT = {"name": "shift", "pixels": 4}
BASE = {
    "epochs": 16,
    "batch_size": 64,
    "optimizer": "sgd",
    "learning_rate": 0.05,
    "weight_decay": 5e-4,
    "schedule": "cosine",
    "warmup_epochs": 2,
    "augment": [SHIFT, "flip"],
}
VARIANTS: dict[str, tuple[dict[str, Any], str]] = {
    "shift by 4 and flip, cosine": ({}, ""),
    "no augmentation": ({"augment": []}, "worse"),
    "and cutout of 8": (
        {"augment": [SHIFT, "flip", {"name": "cutout", "size": 8}]},
        "no worse, better if trained for long",
    ),
    "no weight decay": ({"weight_decay": 0.0}, "worse"),
    "constant learning rate": ({"schedule": "constant"}, "worse"),
    "constant, weights averaged (0.99)": (
        {"schedule": "constant", "weight_average": 0.99},
        "better than constant",
    ),
}


def main() -> None:
    torch.set_num_threads(1)
    images, test = cifar10()
    images = replace(images, validation=classes(images.validation, 0, 10, per_class=1))
    architecture = nas.classic("vgg8", images.input_shape, images.classes, width=0.25)
    started = time.process_time()
    print(
        "| recipe | test accuracy, % | of the seeds | train loss | against the first | expected |"
    )
    print("|---|---|---|---|---|---|", flush=True)
    first: np.ndarray[Any, Any] | None = None
    for name, (changes, expected) in VARIANTS.items():
        recipe = resolve({**BASE, **changes}, "benchmark")
        accuracies, losses = [], []
        for seed in SEEDS:
            result = train(lambda: nas.compile(architecture), images, recipe, seed)
            accuracies.append(100 * measure(result.network, test, images)[1])
            losses.append(result.curve[-1].train_loss)
        found = np.array(accuracies)
        first = found if first is None else first
        gain = found - first
        error = gain.std(ddof=1) / len(SEEDS) ** 0.5
        against = f"{gain.mean():+.1f} ± {error:.1f}" if expected else ""
        each = ", ".join(f"{accuracy:.1f}" for accuracy in found)
        print(
            f"| {name} | {found.mean():.1f} | {each} | {np.mean(losses):.2f} | {against} "
            f"| {expected} |",
            flush=True,
        )
    print(
        f"\n{architecture.cost.params:,} parameters, {len(images.train.labels):,} images, "
        f"one thread; {time.process_time() - started:,.0f} s of CPU time in all. "
        "± is the standard error of the difference over seeds; one image is 0.05 %."
    )


if __name__ == "__main__":
    main()
