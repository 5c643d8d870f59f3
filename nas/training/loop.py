"""The training loop: images are uint8 on the device, and a whole batch is augmented at once.

No step waits for the device: losses are added up there and read once per epoch.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nas.architecture.modules import DropPath
from nas.architecture.network import Network, in_training
from nas.architecture.passes import check_memory_to_train
from nas.preprocessing import Preprocessing
from nas.tasks.base import Task
from nas.tasks.classification import Classification
from nas.training.batches import (
    batch_bounds,
    batches,
    crashes,
    evaluation_bounds,
    layout,
    weights_layout,
)
from nas.training.capture import capture, captures
from nas.training.compilation import Compile, compiles
from nas.training.curve import Diverged, Epoch, TrainResult
from nas.training.data import Part, SearchData
from nas.training.deadline import Deadline
from nas.training.initialization import begin
from nas.training.optimization import WeightAverage, make_optimizer
from nas.training.pipeline import Pipeline
from nas.training.precision import resolve_precision
from nas.training.recipe import Recipe
from nas.training.transfer import Started


class Trainer:
    """Trains one network epoch by epoch, and can continue from checkpoints.

    Args:
        build: makes the network. It is called once, with torch's generators seeded, so ``seed``
            determines the initial weights. If a network returns several outputs in training mode,
            those after the first are auxiliary heads.
        data: images of the network's input shape.
        recipe: all hyperparameters.
        seed: decides initial weights, the order of images, augmentation and dropout. Order and
            augmentation do not depend on the network. On a CPU the result is the same bit for bit
            for the same number of threads.
        device: a torch device such as "cpu" or "cuda".
        start: replaces initial weights by those to start from, and freezes a part, such as
            :meth:`nas.training.transfer.Start.apply`.
        compile: whether training steps are compiled, after which numbers agree up to rounding.
            Evaluation is never compiled.
        cuda_graphs: whether full batches replay a CUDA graph of the network's passes, if possible;
            see :mod:`nas.training.capture`.
        task: the task of the network; None is classification.
        deadline: when the training has to end; None is after all epochs.

    Attributes:
        curve: the epochs so far.
        precision: the precision that is used on this device.
        compiled: whether training steps are compiled.
        captured: whether a CUDA graph is replayed.
        inherited_params: how many parameters ``start`` has loaded.
        drawn: the names of the parameters that were not loaded.

    Torch's global generators are not changed. Between two epochs, :meth:`state_dict` holds the
    complete state: on a CPU, a trainer that loads it continues bit for bit.
    """

    def __init__(
        self,
        build: Callable[[], nn.Module],
        data: SearchData,
        recipe: Recipe,
        seed: int,
        device: str = "cpu",
        start: Callable[[nn.Module], Started] | None = None,
        compile: Compile = "never",
        cuda_graphs: bool = True,
        task: Task | None = None,
        deadline: Deadline | None = None,
    ) -> None:
        self._task = task or Classification()
        self._deadline = deadline or Deadline()
        self._device = torch.device(device)
        self._data = data
        self._recipe = recipe
        weights, order = (int(word) for word in np.random.SeedSequence(seed).generate_state(2))
        self._generator = torch.Generator(self._device).manual_seed(order)
        self._random: list[Tensor] | None = None
        self.curve: list[Epoch] = []
        with self._randomness():
            torch.manual_seed(weights)
            built = build()
            if isinstance(built, Network) and self._device.type == "cpu":
                batch = min(recipe.batch_size, len(data.train.labels))
                check_memory_to_train(built.architecture, batch)
            begin(built, recipe.initialization, self._task, data.train.labels)
        how, of_weights = layout(len(data.input_shape) + 1), weights_layout(built)
        if self._device.type == "cpu" and crashes(
            built.architecture if isinstance(built, Network) else data.input_shape
        ):
            how = of_weights = torch.contiguous_format
        # Not blocking: on a GPU that trials share, each tensor would wait for its turn.
        self._network: nn.Module = built.to(  # type: ignore[call-overload]
            self._device, memory_format=of_weights, non_blocking=True
        )
        started = Started() if start is None else start(self._network)
        self._frozen, self.inherited_params, self.drawn = started
        self._parameters = list(self._network.parameters())
        self._optimizer = make_optimizer(self._network, recipe)
        decay = recipe.weight_average
        self._average = WeightAverage(self._network, decay) if decay is not None else None
        self._best = deepcopy(self._network) if recipe.keep == "best" else None
        self.precision = resolve_precision(
            recipe.precision, self._network, self._device, recipe.batch_size
        )
        self._augment = Pipeline(recipe.augment, self._task, data.classes)
        self._normalize = normalizer(data, self._device, how)
        paths = [module for module in self._network.modules() if isinstance(module, DropPath)]
        self._drop_paths = [(module, module.probability) for module in paths]
        steps = len(batch_bounds(len(data.train.labels), recipe.batch_size))
        self.compiled = compiles(compile, recipe, steps, len(paths))
        self._forward: Callable[[Tensor], Any] = self._network
        if self.compiled:
            fixed = in_training(built) if isinstance(built, Network) else built
            # All batches have one size; only the last one of an epoch may differ.
            self._forward = torch.compile(fixed, dynamic=False)
        asked = cuda_graphs and not self.compiled and isinstance(built, Network)
        self.captured = asked and captures(self._device, recipe, len(paths), data.train)
        self._replay: Callable[[Tensor], Any] | None = None

    @property
    def out_of_time(self) -> bool:
        """Whether the deadline has ended the training."""
        return self._deadline.over

    @property
    def network(self) -> nn.Module:
        """The network with the weights that the training ends with, if it ends now."""
        return self._evaluated if self._best is None else self._best

    @property
    def kept(self) -> Epoch:
        """The epoch after which the network had these weights; of equally good ones, the last."""
        if self._best is None:
            return self.curve[-1]
        primary = self._task.primary

        def rank(point: Epoch) -> tuple[bool, float]:
            value = primary.flipped(point.validation[primary.name])
            return math.isnan(value), value

        return min(reversed(self.curve), key=rank)

    @property
    def _evaluated(self) -> nn.Module:
        """The network after the last epoch, with averaged weights if the recipe averages them."""
        return self._network if self._average is None else self._average.network

    def run(self, until: int, on_epoch: Callable[[Epoch], None] | None = None) -> TrainResult:
        """Trains to the end of epoch ``until``, counted from 1.

        Schedules always extend over all epochs of the recipe, so the training can be continued.
        ``on_epoch`` is called after every epoch; an exception that it raises ends the training.
        A deadline may end the training earlier, also within an epoch.
        Raises :class:`Diverged` if the loss is not finite.
        """
        while len(self.curve) < until and not self.out_of_time:
            point = self._epoch(len(self.curve) + 1)
            self.curve.append(point)
            if self._best is not None and self.kept is point:
                self._best.load_state_dict(self._evaluated.state_dict())
            if on_epoch is not None:
                on_epoch(point)
        return TrainResult(self.network, tuple(self.curve), self.kept, self.precision)

    def state_dict(self) -> dict[str, Any]:
        """Returns the complete state as tensors and plain values, for ``torch.save``."""
        average = self._average
        return {
            "curve": [epoch.record() for epoch in self.curve],
            "network": self._network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "average": average and {"network": average.network.state_dict(),
                                    "updates": average.updates},
            "kept": self.kept.epoch if self.curve else 0,
            "best": None if self._best is None else self._best.state_dict(),
            "generator": self._generator.get_state(),
            "random": self._random,
            "precision": self.precision,
            "inherited_params": self.inherited_params,
            "progress": self._deadline.progress,
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores a state from :meth:`state_dict` of a trainer with the same arguments."""
        self.curve = [Epoch.read(epoch) for epoch in state["curve"]]
        self._network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        if self._average is not None:
            self._average.network.load_state_dict(state["average"]["network"])
            self._average.updates = state["average"]["updates"]
        if self._best is not None:
            self._best.load_state_dict(state["best"])
        # Generators need their states on the CPU, wherever the rest was loaded to.
        self._generator.set_state(state["generator"].cpu())
        self._random = state["random"] and [each.cpu() for each in state["random"]]
        self.precision = state["precision"]
        self.inherited_params = state.get("inherited_params", 0)  # older states do not have it
        self._deadline.progress = state.get("progress", 0.0)

    def _epoch(self, epoch: int) -> Epoch:
        with self._randomness():
            started = perf_counter()
            train_loss = self._train_epoch(epoch)
            trained = perf_counter()
            found = measure(self._evaluated, self._data.validation, self._data, self._task)
            evaluated = perf_counter()
        self._deadline.evaluated(len(self._data.validation.labels), evaluated - trained)
        return Epoch(
            epoch=epoch,
            train_loss=train_loss,
            validation={**found, "loss": _finite(found["loss"], "validation", epoch)},
            train_seconds=trained - started,
            evaluation_seconds=evaluated - trained,
        )

    def _train_epoch(self, epoch: int) -> float:
        recipe, network, part = self._recipe, self._network, self._data.train
        count, seen = len(part.labels), 0
        network.train()
        for module in self._frozen:
            module.eval()
        total = torch.zeros((), device=self._device)
        bounds = batch_bounds(count, recipe.batch_size)
        order = self._task.order(part.labels, bounds, self._generator)
        fed, steps = batches(part, bounds, self._device, order), recipe.epochs * len(bounds)
        for step, (pixels, labels) in enumerate(fed, start=(epoch - 1) * len(bounds)):
            position = self._deadline.position(step, steps)
            if self._deadline.over and seen:  # one step is always made
                break
            # With the time, the schedule falls sooner, but a warmup is as long as it was.
            rate = min(recipe.learning_rate_at(each, len(bounds)) for each in (step, position))
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            self._schedule_drop_path(position / steps)
            images, targets = self._augment(pixels, labels, self._generator)
            images = self._task.inputs(images, self._generator)
            loss = self._update(self._normalize(images), targets)
            total += loss * len(labels)
            seen += len(labels)
            self._deadline.trained(len(labels))
        return _finite(total.item() / seen, "training", epoch)

    def _update(self, images: Tensor, targets: Tensor) -> Tensor:
        """Makes a step on a batch of normalised images; returns its loss, which is detached."""
        loss = self._loss(images, targets)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._step(self._parameters, self._optimizer.step)
        return loss.detach()

    def _step(self, parameters: Iterable[Tensor], step: Callable[[], None]) -> None:
        """Makes a step by the gradients of the parameters."""
        if self._recipe.gradient_clip is not None:
            nn.utils.clip_grad_norm_(parameters, self._recipe.gradient_clip, foreach=True)
        step()
        if self._average is not None:
            self._average.update()

    def _loss(self, images: Tensor, targets: Tensor) -> Tensor:
        return self._loss_of(self._outputs(images, self._passes(images)), targets)

    def _outputs(self, images: Tensor, forward: Callable[[Tensor], Any]) -> Any:
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            return forward(images)

    def _loss_of(self, outputs: Any, targets: Tensor) -> Tensor:
        recipe = self._recipe
        return self._task.training_loss(
            outputs, targets, recipe.label_smoothing, recipe.auxiliary_weight
        )

    def _passes(self, images: Tensor) -> Callable[[Tensor], Any]:
        """Returns the function for a batch: the captured network if the batch is full."""
        if not self.captured or len(images) != self._recipe.batch_size:
            return self._forward
        if self._replay is None:
            # Casts are part of the graph, so cached ones would be stale at the next step.
            kind, enabled = self._device.type, self.precision == "bf16"
            with torch.autocast(kind, torch.bfloat16, enabled=enabled, cache_enabled=False):
                assert isinstance(self._network, Network)
                self._replay = capture(self._network, images)
        return self._replay

    def _schedule_drop_path(self, progress: float) -> None:
        if self._recipe.drop_path_schedule == "linear":
            for module, probability in self._drop_paths:
                module.probability = probability * progress

    @contextmanager
    def _randomness(self) -> Iterator[None]:
        """Sets torch's global generators to this training's state and restores them afterwards."""
        cuda = self._device.type == "cuda"
        with torch.random.fork_rng([torch.cuda.current_device()] if cuda else []):
            if self._random is not None:
                torch.set_rng_state(self._random[0])
                if cuda:
                    torch.cuda.set_rng_state(self._random[1])
            try:
                yield
            finally:
                self._random = [torch.get_rng_state()]
                if cuda:
                    self._random.append(torch.cuda.get_rng_state())


def trained_weights(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Returns the weights that a training ends with whose state is one of :class:`Trainer`."""
    found: dict[str, Tensor] = state.get("best") or (state.get("average") or state)["network"]
    return found


def train(
    build: Callable[[], nn.Module],
    data: SearchData,
    recipe: Recipe,
    seed: int,
    device: str = "cpu",
    on_epoch: Callable[[Epoch], None] | None = None,
) -> TrainResult:
    """Trains a new network on ``data`` for all epochs of ``recipe``; see :class:`Trainer`."""
    return Trainer(build, data, recipe, seed, device).run(recipe.epochs, on_epoch)


@torch.inference_mode()
def measure(
    network: nn.Module, part: Part, data: SearchData, task: Task | None = None
) -> dict[str, float]:
    """Measures ``loss`` and the task's primary metric of ``network`` on ``part``.

    The task is classification by default. The network is left in evaluation mode. Images are
    normalised as the training images were.
    """
    network.eval()
    device = next(network.parameters()).device
    normalize = normalizer(data, device)
    count = len(part.labels)
    task = task or Classification()
    tallies = []
    generator = torch.Generator(device).manual_seed(0)
    for images, labels in batches(part, evaluation_bounds(count), device):
        outputs = network(normalize(task.inputs(images, generator)))
        tallies.append(task.tally(outputs, task.truth(images, labels, data.classes)))
    return task.finish(task.total(tallies), count)


def normalizer(
    data: SearchData | Preprocessing,
    device: torch.device,
    how: torch.memory_format | None = None,
) -> Callable[[Tensor], Tensor]:
    """Makes a function that subtracts the training mean and divides by the standard deviation.

    Args:
        data: the images and the statistics of their channels.
        device: where the images are.
        how: the memory format that they get; by default that of :func:`layout`.
    """
    how = how or layout(len(data.input_shape) + 1)
    ones = (1,) * (len(data.input_shape) - 1)
    mean, std = (torch.tensor(v, device=device).view(1, -1, *ones) for v in (data.mean, data.std))

    def normalize(images: Tensor) -> Tensor:
        # Series are floats on the device already, which must not change; others are copied anyway.
        pixels = images.to(torch.float32, memory_format=how, copy=images.ndim == 3)
        return pixels.sub_(mean).div_(std)

    return normalize


def _finite(loss: float, which: str, epoch: int) -> float:
    if not math.isfinite(loss):
        raise Diverged(f"epoch {epoch}: the {which} loss is {loss}")
    return loss
