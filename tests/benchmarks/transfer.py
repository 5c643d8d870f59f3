"""What a trained body is worth for other classes: ``python -m tests.benchmarks.transfer``.

LeNet-5, and VGG-8 at a quarter of its width, are trained on classes 0 to 4 of Fashion-MNIST (28,500
images; three epochs and one). Then classes 5 to 9 are learned from few images of each, 30 epochs in
every case, by a new classifier (LeNet-5's three fully connected layers, VGG-8's linear one),

- from scratch;
- body frozen: LeNet-5's two convolutions, all five of VGG-8 (``freeze="body"``; a linear layer
  alone is far from converged at the others' learning rate and has ten times of it);
- body frozen except its last convolution (``freeze="until=NODE"``). Classes 0 to 4 are clothes and
  5 to 9 mostly shoes, and what the last of five layers extracts is special to its classes (Yosinski
  et al. 2014, arXiv:1411.1792, section 4);
- fine-tuned: the same start, and everything moves, at a third of the learning rate.

Accuracy on the 5,000 test images of classes 5 to 9; three seeds, of body and training alike.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
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
AUGMENT = [{"name": "shift", "pixels": 2}, "flip"]
RATE = 3e-3


def recipe(**changes: Any) -> Recipe:
    given = {
        "epochs": 30, "batch_size": 32, "optimizer": "adamw", "learning_rate": RATE,
        "weight_decay": 0.02, "warmup_epochs": 3, "augment": AUGMENT, **changes,
    }  # fmt: skip
    return resolve(given)


@dataclass(frozen=True)
class Network:
    """What is trained.

    ``classifier`` is how the names of its layers begin, ``epochs`` are those on the first classes,
    ``frozen`` and ``partly`` what is frozen of the body, ``frozen_rate`` the learning rate under
    a frozen one.
    """

    name: str
    options: dict[str, Any]
    classifier: str
    epochs: int
    frozen: str
    frozen_rate: float
    partly: str
    per_class: tuple[int, ...]

    def protocols(self) -> dict[str, tuple[Recipe, str | None]]:
        """The recipe, and what is frozen of the body; None: there is no body to start from."""
        return {
            "scratch": (recipe(), None),
            "body frozen": (recipe(learning_rate=self.frozen_rate), self.frozen),
            "all but the last convolution frozen": (recipe(), self.partly),
            "fine-tuned": (recipe(learning_rate=RATE / 3), "none"),
        }


NETWORKS = {
    "LeNet-5": Network(
        "lenet5", {}, "fc", 3, "until=max_pool2", RATE, "until=max_pool1", (20, 200, 1_000)
    ),
    "VGG-8": Network(
        "vgg8", {"width": 0.25}, "classifier", 1, "body", 10 * RATE, "until=block3.0.relu1",
        (20, 200),
    ),
}  # fmt: skip


def some(images: SearchData, first: int, per_class: int | None = None) -> SearchData:
    """Five classes of the images; the normalisation stays what the body knows."""
    return replace(
        images,
        train=classes(images.train, first, 5, per_class),
        validation=classes(images.validation, first, 5, 20),
        classes=5,
    )


def learned(network: Network, images: SearchData, test: Part, seed: int) -> Iterator[list[float]]:
    """Accuracies in percent, of all protocols, for each number of images per class."""
    architecture = nas.classic(network.name, images.input_shape, 5, **network.options)
    first = recipe(epochs=network.epochs, batch_size=128, warmup_epochs=0.3)
    known = train(lambda: nas.compile(architecture), some(images, 0), first, seed).network
    # The classifier is of other classes.
    body = {k: v for k, v in known.state_dict().items() if not k.startswith(network.classifier)}
    for per_class in network.per_class:
        few = some(images, 5, per_class)
        found = []
        for given, freeze in network.protocols().values():
            start = None if freeze is None else Start(body, freeze).apply
            trainer = Trainer(lambda: nas.compile(architecture), few, given, seed, start=start)
            found.append(100 * measure(trainer.run(given.epochs).network, test, few)["accuracy"])
        yield found


def main() -> None:
    torch.set_num_threads(1)
    images, whole_test = fashion_mnist()
    test = classes(whole_test, 5, 5)
    started = time.process_time()
    columns = ["network", "images per class", *NETWORKS["LeNet-5"].protocols()]
    print("| " + " | ".join(columns) + " |")
    print("|---" * len(columns) + "|", flush=True)
    for name, network in NETWORKS.items():
        found = np.array([list(learned(network, images, test, seed)) for seed in SEEDS])
        for index, per_class in enumerate(network.per_class):
            cells = []
            for values in found[:, index].T:
                each = ", ".join(f"{value:.1f}" for value in values)
                cells.append(f"{values.mean():.1f} ({each})")
            print(f"| {name} | {per_class:,} | " + " | ".join(cells) + " |", flush=True)
    print(
        f"\nTest accuracy in percent: mean, and each seed. One thread, "
        f"{time.process_time() - started:,.0f} s of CPU time in all."
    )


if __name__ == "__main__":
    main()
