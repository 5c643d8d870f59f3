"""The training loop: images stay on the device as uint8, a batch is augmented at once.

Nothing in a step waits for the device: losses add up there and are read once an epoch.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.functional import pad as padded

from nas.training.data import Part, SearchData
from nas.training.initialization import initialize
from nas.training.recipe import Recipe

EVALUATION_BATCH = 512


class Diverged(ArithmeticError):
    """A loss is no longer finite; the message names the epoch."""


@dataclass(frozen=True)
class Epoch:
    """One point of the learning curve.

    ``epoch`` counts from 1. Losses are mean cross entropies in nats: ``train_loss`` as it was
    minimised (augmented, smoothed, in training mode, while the weights moved),
    ``validation_loss`` plain. ``validation_accuracy`` is a fraction. Seconds are this epoch's.
    """

    epoch: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    train_seconds: float
    evaluation_seconds: float


@dataclass(frozen=True)
class TrainResult:
    """A trained network (on the device) and its learning curve."""

    network: nn.Module
    curve: tuple[Epoch, ...]

    @property
    def train_seconds(self) -> float:
        """Seconds in training steps, evaluation not included."""
        return sum(epoch.train_seconds for epoch in self.curve)

    @property
    def evaluation_seconds(self) -> float:
        """Seconds in evaluation after each epoch."""
        return sum(epoch.evaluation_seconds for epoch in self.curve)


def train(
    build: Callable[[], nn.Module],
    data: SearchData,
    recipe: Recipe,
    seed: int,
    device: str = "cpu",
    on_epoch: Callable[[Epoch], None] | None = None,
) -> TrainResult:
    """Train a new network on ``data`` by ``recipe``.

    Args:
        build: makes the network; called once, inside the seeded region, so the initial weights
            are of ``seed``.
        data: images of the network's input shape.
        recipe: all hyperparameters.
        seed: decides initial weights, the order of images, augmentation and dropout. Order and
            augmentation do not depend on the network. On a CPU the result is the same bit for bit
            for the same number of threads.
        device: a torch device, as "cpu" or "cuda".
        on_epoch: hears of every epoch; an exception that it raises ends the training.

    torch's global generators are as before when this returns. Raises :class:`Diverged`.
    """
    target = torch.device(device)
    devices = [torch.cuda.current_device()] if target.type == "cuda" else []
    weights_seed, data_seed = (int(word) for word in np.random.SeedSequence(seed).generate_state(2))
    generator = torch.Generator(target).manual_seed(data_seed)
    with torch.random.fork_rng(devices):
        torch.manual_seed(weights_seed)
        built = build()
        initialize(built, recipe.initialization)
        network: nn.Module = built.to(target, memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = make_optimizer(network, recipe)
        images, labels = _on_device(data.train, target)
        normalize = normalizer(data, target)
        batches = batch_bounds(len(labels), recipe.batch_size)
        curve = []
        for epoch in range(1, recipe.epochs + 1):
            started = perf_counter()
            network.train()
            total = torch.zeros((), device=target)
            order = torch.randperm(len(labels), generator=generator, device=target)
            for number, (first, last) in enumerate(batches, start=(epoch - 1) * len(batches)):
                for group in optimizer.param_groups:
                    group["lr"] = recipe.learning_rate_at(number, len(batches))
                chosen = order[first:last]
                batch = normalize(augment(images[chosen], recipe, generator))
                loss = cross_entropy(
                    network(batch), labels[chosen], label_smoothing=recipe.label_smoothing
                )
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                if recipe.gradient_clip is not None:
                    nn.utils.clip_grad_norm_(network.parameters(), recipe.gradient_clip)
                optimizer.step()
                total += loss.detach() * (last - first)
            train_loss = _finite(total.item() / len(labels), "training", epoch)
            trained = perf_counter()
            loss_now, accuracy = measure(network, data.validation, data)
            point = Epoch(
                epoch=epoch,
                train_loss=train_loss,
                validation_loss=_finite(loss_now, "validation", epoch),
                validation_accuracy=accuracy,
                train_seconds=trained - started,
                evaluation_seconds=perf_counter() - trained,
            )
            curve.append(point)
            if on_epoch is not None:
                on_epoch(point)
    return TrainResult(network, tuple(curve))


@torch.inference_mode()
def measure(network: nn.Module, part: Part, data: SearchData) -> tuple[float, float]:
    """(mean cross entropy in nats, accuracy as a fraction) of ``network`` on ``part``.

    The network is left in evaluation mode; images are normalised as its training images were.
    """
    network.eval()
    device = next(network.parameters()).device
    normalize = normalizer(data, device)
    images, labels = _on_device(part, device)
    loss = torch.zeros((), device=device)
    correct = torch.zeros((), device=device, dtype=torch.int64)
    for first in range(0, len(labels), EVALUATION_BATCH):
        scores = network(normalize(images[first : first + EVALUATION_BATCH]))
        truth = labels[first : first + EVALUATION_BATCH]
        loss += cross_entropy(scores, truth, reduction="sum")
        correct += (scores.argmax(1) == truth).sum()
    return loss.item() / len(labels), correct.item() / len(labels)


def normalizer(data: SearchData, device: torch.device) -> Callable[[Tensor], Tensor]:
    """From uint8 [N, C, H, W] to float32: less the training mean, over the standard deviation."""
    mean, std = (torch.tensor(v, device=device).view(1, -1, 1, 1) for v in (data.mean, data.std))

    def normalize(images: Tensor) -> Tensor:
        pixels = images.to(torch.float32, memory_format=torch.channels_last)
        return pixels.sub_(mean).div_(std)

    return normalize


def augment(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """A batch [N, C, H, W] with the recipe's augmentation, drawn for each image by itself."""
    if recipe.augment == "none":
        return images
    n, device = len(images), images.device
    offsets = torch.randint(2 * recipe.pad + 1, (2, n), generator=generator, device=device)
    images = crop(padded(images, [recipe.pad] * 4), offsets, images.shape[2:])
    if recipe.augment == "shift_flip":
        flipped = torch.rand(n, generator=generator, device=device) < 0.5
        images = torch.where(flipped.view(-1, 1, 1, 1), images.flip(3), images)
    return images


def crop(images: Tensor, offsets: Tensor, size: torch.Size) -> Tensor:
    """From every image [C, H, W] the window of ``size`` at its ``offsets`` [2, N] (row, column)."""
    windows = images.unfold(2, size[0], 1).unfold(3, size[1], 1)
    return windows[torch.arange(len(images), device=images.device), :, offsets[0], offsets[1]]


def batch_bounds(images: int, batch_size: int) -> list[tuple[int, int]]:
    """(first, last + 1) of each batch of an epoch: all images, and never one alone.

    What is left over is a smaller batch, unless it is a single image: batch norm has no variance
    for that, so it joins the batch before.
    """
    starts = list(range(0, images, batch_size))
    if len(starts) > 1 and images - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], images], strict=True))


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer: one parameter group that decays, one that does not.

    Norms and biases are the parameters of at most one dimension, as timm takes them; so is a
    layer scale, whose other axes are 1.
    """
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for parameter in network.parameters():
        many_to_one = parameter.ndim > 1 and parameter[0].numel() > 1
        (decayed if many_to_one or recipe.decay_norm_and_bias else kept).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": kept, "weight_decay": 0.0},
    ]
    if recipe.optimizer == "adamw":
        betas = (recipe.momentum, 0.999)
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=betas, fused=True)
    return torch.optim.SGD(
        groups,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
        fused=True,
    )


def _on_device(part: Part, device: torch.device) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(part.images).to(device), torch.from_numpy(part.labels).to(device)


def _finite(loss: float, which: str, epoch: int) -> float:
    if not math.isfinite(loss):
        raise Diverged(f"epoch {epoch}: the {which} loss is {loss}")
    return loss
