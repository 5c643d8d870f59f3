"""What views and ensembles are worth: ``python -m tests.benchmarks.evaluation``.

Three networks of the ablations' first recipe on the sample of CIFAR-10, each judged by every
protocol on the 2,000 test images, and their ensemble; and three of the same recipe that see
their training images at sizes of 1 to 1.4, by random resized crops in place of shifts.
"""

import time
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

import nas
from nas.tasks.classification import Classification
from nas.training.evaluation import VIEWS, predictions
from nas.training.loop import train
from nas.training.recipe import resolve
from tests.benchmarks.ablations import BASE
from tests.benchmarks.images import cifar10, classes

TASK = Classification()
SEEDS = (0, 1, 2)
CROPS = {"augment": [{"name": "resized_crop", "area": [0.5, 1]}, "flip"]}
RECIPES = {"shifts": BASE, "resized crops": BASE | CROPS}


def main() -> None:
    torch.set_num_threads(1)
    images, test = cifar10()
    images = replace(images, validation=classes(images.validation, 0, 10, per_class=1))
    labels = torch.from_numpy(test.labels)
    architecture = nas.classic("vgg8", images.input_shape, images.classes, width=0.25)
    started = time.process_time()
    rows: dict[str, list[Tensor]] = {}
    for name, keys in RECIPES.items():
        recipe = resolve(keys)
        seen: dict[str, list[Tensor]] = {protocol: [] for protocol in VIEWS}
        for seed in SEEDS:
            network = train(lambda: nas.compile(architecture), images, recipe, seed).network
            for protocol in VIEWS:
                seen[protocol].append(predictions(network, test, images, TASK, protocol))
        rows |= {f"{name}: one network, {protocol}": seen[protocol] for protocol in VIEWS}
        rows |= {
            f"{name}: ensemble of three, {protocol}": [TASK.average(seen[protocol])]
            for protocol in ("single", "ten_crop")
        }
    print("| | test accuracy, % | of each | loss | calibration error |")
    print("|---|---|---|---|---|")
    for name, made in rows.items():
        found = [TASK.evaluate(each, labels) for each in made]
        accuracy = [100 * each["accuracy"] for each in found]
        print(
            f"| {name} | {np.mean(accuracy):.2f} | {', '.join(f'{a:.1f}' for a in accuracy)} "
            f"| {np.mean([each['loss'] for each in found]):.3f} "
            f"| {np.mean([each['calibration_error'] for each in found]):.3f} |"
        )
    print(f"\nOne thread, {time.process_time() - started:,.0f} s of CPU time in all.")


if __name__ == "__main__":
    main()
