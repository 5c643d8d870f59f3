"""Training images a second, side by side in one run: ``python -m tests.benchmarks.training_speed``.

On a GPU where there is one, or else on one CPU thread. Three networks on CIFAR-size images, by one
epoch of our loop as it chooses precision, against

- plain: fp32, as the PyTorch tutorial has it: a DataLoader of single images with per-image
  transforms (pad and crop, flip, normalise), SGD, ``loss.item()`` at every step;
- tuned: channels_last and bf16 autocast where we choose it, fused SGD, the same uint8 tensors in
  the device's memory, batched crops and flips, nothing read back before the end of the epoch;
- on a GPU, our loop with CUDA graphs.

Epochs take turns; medians count. On a CPU, then two trials at a time with a thread
each against one with two, as processes of their own; for trials that share a GPU see
``trials_per_gpu``.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad
from torch.utils.data import DataLoader, Dataset

import nas
from nas.training.data import Part, SearchData
from nas.training.hardware import device_name
from nas.training.loop import Trainer
from nas.training.recipe import Recipe, resolve
from tests.benchmarks.measure import watched

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
IMAGES, BATCH = (8192, 128) if DEVICE == "cuda" else (256, 64)
ROUNDS = 5
MEAN, STD = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)
SHAPE = (3, 32, 32)


def networks() -> dict[str, nas.Architecture]:
    cell = nas.space("nasbench201", SHAPE, 10)
    c = "nor_conv_3x3"
    text = f"|{c}~0|+|{c}~0|{c}~1|+|skip_connect~0|{c}~1|avg_pool_3x3~2|"
    return {
        "NAS-Bench-201 cell net": cell.decode(cell.from_string(text)),
        "MobileNetV2, CIFAR stem": nas.classic("mobilenet_v2", SHAPE, 10, stem="cifar"),
        "ResNet-18, CIFAR stem": nas.classic("resnet18", SHAPE, 10, stem="cifar"),
    }


def data() -> SearchData:
    rng = np.random.default_rng(0)
    train = Part(
        rng.integers(0, 256, (IMAGES, *SHAPE), dtype=np.uint8), rng.integers(0, 10, IMAGES)
    )
    few = Part(train.images[:2], train.labels[:2])
    return SearchData(train, few, MEAN, STD, 10, "")


def recipe() -> Recipe:
    augment = [{"name": "shift", "pixels": 4}, "flip"]
    given = {"preset": "cifar", "epochs": 100, "batch_size": BATCH, "augment": augment}
    return resolve(given)


def ours(
    architecture: nas.Architecture, images: SearchData, graphs: bool
) -> tuple[Callable[[], float], str]:
    trainer = Trainer(
        lambda: nas.compile(architecture), images, recipe(), 0, DEVICE, cuda_graphs=graphs
    )

    def epoch() -> float:
        return trainer.run(len(trainer.curve) + 1).curve[-1].train_seconds

    return epoch, trainer.precision


class Single(Dataset[tuple[Tensor, int]]):
    """One image at a time, transformed one at a time."""

    def __init__(self, part: Part) -> None:
        self.images, self.labels = torch.from_numpy(part.images), part.labels
        self.mean, self.std = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, STD))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = pad(self.images[index], [4] * 4)
        top, left = (int(torch.randint(9, ())) for _ in range(2))
        image = image[:, top : top + 32, left : left + 32]
        if torch.rand(()) < 0.5:
            image = image.flip(2)
        return (image.float() - self.mean) / self.std, int(self.labels[index])


def plain(architecture: nas.Architecture, images: SearchData) -> Callable[[], float]:
    network = nas.compile(architecture).train().to(DEVICE)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=5e-4)
    loader = DataLoader(Single(images.train), BATCH, shuffle=True)

    def epoch() -> float:
        started, total = time.perf_counter(), 0.0
        for batch, labels in loader:
            optimizer.zero_grad()
            loss = cross_entropy(network(batch.to(DEVICE)), labels.to(DEVICE))
            loss.backward()
            optimizer.step()
            total += loss.item()
        return time.perf_counter() - started

    return epoch


def tuned(
    architecture: nas.Architecture, images: SearchData, precision: str
) -> Callable[[], float]:
    network: nn.Module = nas.compile(architecture).train()
    network = network.to(DEVICE, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(
        network.parameters(), 0.1, momentum=0.9, weight_decay=5e-4, nesterov=True, fused=True
    )
    pixels = torch.from_numpy(images.train.images).to(DEVICE)
    labels = torch.from_numpy(images.train.labels).to(DEVICE)
    mean, std = (torch.tensor(v, device=DEVICE).view(1, 3, 1, 1) for v in (MEAN, STD))
    every = torch.arange(BATCH, device=DEVICE)

    def epoch() -> float:
        started, total = time.perf_counter(), torch.zeros((), device=DEVICE)
        for chosen in torch.randperm(IMAGES, device=DEVICE).split(BATCH):
            n = len(chosen)
            windows = pad(pixels[chosen], [4] * 4).unfold(2, 32, 1).unfold(3, 32, 1)
            offsets = torch.randint(9, (2, n), device=DEVICE)
            batch = windows[every[:n], :, offsets[0], offsets[1]]
            flipped = torch.rand(n, 1, 1, 1, device=DEVICE) < 0.5
            batch = torch.where(flipped, batch.flip(3), batch)
            batch = batch.to(torch.float32, memory_format=torch.channels_last).sub_(mean).div_(std)
            with torch.autocast(DEVICE, torch.bfloat16, enabled=precision == "bf16"):
                scores = network(batch)
            loss = cross_entropy(scores.float(), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
        total.item()
        return time.perf_counter() - started

    return epoch


def trial(threads: int) -> None:
    """Three epochs of ResNet-18 with so many threads, after one to warm up."""
    torch.set_num_threads(threads)
    epoch, _ = ours(networks()["ResNet-18, CIFAR stem"], data(), graphs=False)
    epoch()
    print(sum(epoch() for _ in range(3)))


def together(count: int, threads: int) -> float:
    """Images a second of so many trials at a time."""
    command = [
        sys.executable,
        "-c",
        f"from tests.benchmarks.training_speed import trial; trial({threads})",
    ]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    return sum(3 * IMAGES / float(process.communicate()[0]) for process in started)


def main() -> None:
    torch.set_num_threads(1)
    images = data()
    where = device_name(DEVICE) + ("" if DEVICE == "cuda" else ", one thread")
    print(f"{where}, batch {BATCH}; images a second: the median of {ROUNDS} epochs and, in "
          "brackets, the slowest and the fastest.\n")  # fmt: skip
    for row, (name, architecture) in enumerate(networks().items()):
        epoch, precision = ours(architecture, images, graphs=False)
        loops = {
            "ours": epoch,
            "plain": plain(architecture, images),
            "tuned": tuned(architecture, images, precision),
        }
        if DEVICE == "cuda":
            loops["CUDA graphs"], _ = ours(architecture, images, graphs=True)
        seconds: dict[str, list[float]] = {loop: [] for loop in loops}
        for _ in range(ROUNDS + 1):  # the first warms up
            for loop, run in loops.items():
                seconds[loop].append(run())
        speeds = {loop: [IMAGES / s for s in times[1:]] for loop, times in seconds.items()}
        speed = {loop: median(each) for loop, each in speeds.items()}
        ratios = {f"ours / {loop}": speed["ours"] / speed[loop] for loop in ("plain", "tuned")}
        if DEVICE == "cuda":
            ratios["CUDA graphs / ours"] = speed["CUDA graphs"] / speed["ours"]
        if row == 0:
            columns = ["network", "precision", *speed, *ratios]
            print("| " + " | ".join(columns) + " |")
            print("|---" * len(columns) + "|")
        shown = [f"{median(s):,.0f} [{min(s):,.0f}, {max(s):,.0f}]" for s in speeds.values()]
        shown += [f"{value:.2f}" for value in ratios.values()]
        print("| " + " | ".join([name, precision, *shown]) + " |", flush=True)
    if DEVICE == "cpu":
        pairs = [(together(2, 1), together(1, 2)) for _ in range(3)]
        two, one = (median(each) for each in zip(*pairs, strict=True))
        turns = sorted(a / b for a, b in pairs)
        print(f"\nResNet-18, two trials with a thread each: {two:,.0f} images a second together;")
        print(f"one trial with two threads: {one:,.0f}; medians of three turns. Ratio "
              f"{median(turns):.2f} [{turns[0]:.2f}, {turns[-1]:.2f}].")  # fmt: skip


if __name__ == "__main__":
    with watched(2):
        main()
