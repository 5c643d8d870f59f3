"""What a trained body is worth for other classes: ``python -m tests.benchmarks.transfer``.

VGG-8 at a quarter of its width is trained on classes 0 to 4 of Fashion-MNIST (28,500 images, one
epoch). Then classes 5 to 9 are learned from few images of each, 30 epochs in every case,

- from scratch;
- frozen: the body as it is, a new linear head (``freeze="body"``), at ten times the learning rate,
  for a linear layer alone is far from converged at the others';
- frozen but for the last block: the last convolution moves, too (``freeze="until=NODE"``). Classes
  0 to 4 are clothes and 5 to 9 mostly shoes, and what the last layer extracts is special to its
  classes (Yosinski et al. 2014, arXiv:1411.1792, section 4);
- fine-tuned: the same start, and everything moves, at a fifth of the learning rate.

Accuracy on the 5,000 test images of classes 5 to 9; three seeds, of body and training alike.
"""

import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch

import nas
from nas.training.data import Part, SearchData
from nas.training.loop import Trainer, measure, train
from nas.training.recipe import Recipe, resolve
from nas.training.transfer import Start
from tests.benchmarks.images import classes, fashion_mnist

SEEDS = (0, 1, 2)
PER_CLASS = (20, 200)
AUGMENT = [{"name": "shift", "pixels": 2}, "flip"]


def recipe(**changes: Any) -> Recipe:
    given = {
        "epochs": 30, "batch_size": 32, "optimizer": "adamw", "learning_rate": 3e-3,
        "weight_decay": 0.02, "warmup_epochs": 3, "augment": AUGMENT, **changes,
    }  # fmt: skip
    return resolve(given, "benchmark")


BODY = recipe(epochs=1, batch_size=128, warmup_epochs=0.3)
HOW: dict[str, tuple[Recipe, str | None]] = {
    "scratch": (recipe(), None),
    "frozen": (recipe(learning_rate=3e-2), "body"),
    "frozen but for the last block": (recipe(), "until=block3.0.relu1"),
    "fine-tuned": (recipe(learning_rate=6e-4), "none"),
}
"""The recipe, and what is frozen of the body; None: there is no body to start from."""


def some(images: SearchData, first: int, per_class: int | None = None) -> SearchData:
    """Five classes of the images; the normalisation stays what the body knows."""
    return replace(
        images,
        train=classes(images.train, first, 5, per_class),
        validation=classes(images.validation, first, 5, 20),
        classes=5,
    )


def accuracy(
    architecture: nas.Architecture,
    images: SearchData,
    test: Part,
    how: str,
    body: dict[str, torch.Tensor],
    seed: int,
) -> float:
    """In percent."""
    given, freeze = HOW[how]
    start = None if freeze is None else Start(body, freeze)
    trainer = Trainer(lambda: nas.compile(architecture), images, given, seed, start=start)
    network = trainer.run(given.epochs).network
    return 100 * measure(network, test, images)[1]


def main() -> None:
    torch.set_num_threads(1)
    images, whole_test = fashion_mnist()
    test = classes(whole_test, 5, 5)
    architecture = nas.classic("vgg8", images.input_shape, 5, width=0.25)
    started = time.process_time()
    found: dict[tuple[int, str], list[float]] = {}
    for seed in SEEDS:
        known = train(lambda: nas.compile(architecture), some(images, 0), BODY, seed).network
        # The classifier is of other classes.
        body = {k: v for k, v in known.state_dict().items() if not k.startswith("classifier")}
        for per_class in PER_CLASS:
            few = some(images, 5, per_class)
            for how in HOW:
                reached = accuracy(architecture, few, test, how, body, seed)
                found.setdefault((per_class, how), []).append(reached)
    print("| images a class | " + " | ".join(HOW) + " |")
    print("|---" * (len(HOW) + 1) + "|")
    for per_class in PER_CLASS:
        cells = []
        for how in HOW:
            values = np.array(found[per_class, how])
            each = ", ".join(f"{value:.1f}" for value in values)
            cells.append(f"{values.mean():.1f} ({each})")
        print(f"| {per_class} | " + " | ".join(cells) + " |")
    print(
        f"\nTest accuracy in percent: mean, and each seed. One thread, "
        f"{time.process_time() - started:,.0f} s of CPU time in all."
    )


if __name__ == "__main__":
    main()
