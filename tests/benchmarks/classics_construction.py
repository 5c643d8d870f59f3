"""Building ResNet-152's architecture and its cost against constructing torchvision's module.

Run: ``python -m tests.benchmarks.classics_construction``. Both sides are timed in turn, in one
process and with one thread, so that the ratio holds whatever else the machine does.
"""

from statistics import median

import torch

from nas.architecture.cost import Cost
from nas.architecture.operations.base import infer
from nas.classics import classic
from tests.benchmarks.measure import interleaved, spread, watched
from tests.classics.references import torchvision_models

TARGET = 50


def ours() -> Cost:
    return classic("resnet152").cost


def nothing_remembered() -> Cost:
    infer.cache_clear()
    return ours()


def main() -> None:
    """Print the table; the exit code is 1 where the slower of ours misses the target."""
    torch.set_num_threads(1)
    torchvision = torchvision_models()
    sides = {
        "torchvision.models.resnet152()": (torchvision.resnet152, 1),
        "architecture and cost, shape rules not remembered": (nothing_remembered, 1),
        "architecture and cost": (ours, 1),
    }
    with watched():
        times = interleaved(sides, 9)
        theirs, *own = (median(values) for values in times.values())
        print("| ResNet-152 | ms: median of 9 [quartiles] | torchvision's time / this |")
        print("|---|---|---|")
        for name, values in times.items():
            print(f"| {name} | {spread(values)} | {theirs / median(values):,.1f} |")
    if theirs / max(own) < TARGET:
        raise SystemExit(f"slower than 1/{TARGET} of torchvision's constructor")


if __name__ == "__main__":
    main()
