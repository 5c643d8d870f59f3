"""Evaluates trials with shared weights: ``evaluator: {name: supernet, ...}``."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
from filelock import FileLock
from pydantic import Field

from nas.architecture.graph import Architecture
from nas.configuration import Config, validate
from nas.evaluators import training
from nas.evaluators.base import Evaluate, Evaluator, Function
from nas.evaluators.work import Progress, Work
from nas.files import write_whole
from nas.spaces.search_space import SearchSpace
from nas.supernet.bank import Kernels
from nas.supernet.network import Sampling, Supernet
from nas.tasks import make
from nas.training import data, recipe
from nas.training.batches import batch_bounds, batches
from nas.training.data import SearchData
from nas.training.hardware import device_name, resolve_device
from nas.training.loop import Trainer, measure, normalizer

FILE_NAME = "supernet.pt"
"""The file in the folder of the campaign that holds the shared weights."""


class Options(Config):
    """The options of the evaluator."""

    epochs: Annotated[int, Field(ge=1)]
    """For how many epochs the shared weights are trained."""
    sampling: Sampling = "uniform"
    """How the members are drawn that are trained."""
    kernels: Kernels = "own"
    """How convolutions with kernels of other sizes share weights."""
    recalibration: Annotated[int, Field(ge=0)] = 8
    """On how many training batches the statistics of a member's batch norms are measured."""


class SharedWeights(Evaluator):
    """Measures members of the space with weights that all members share.

    The first trial trains the shared weights by the campaign's recipe, for the epochs of the
    option, which are charged to it. They are kept in the folder of the campaign. All trials then
    only measure their network on the validation images. The final stage retrains from scratch.
    """

    shape = "training"
    needs_recipe = True

    def __init__(self, options: Mapping[str, Any], folder: Path) -> None:
        self._options = validate(Options, options, folder)
        self._folder = folder
        self._space: SearchSpace | None = None

    def bind(self, space: SearchSpace) -> None:
        """Receives the space whose members share weights."""
        self._space = space

    @property
    def evaluate(self) -> Evaluate:
        """Returns the function that engines call."""
        options = {"space": self._space, "folder": str(self._folder), **dict(self._options)}
        return Function("nas.evaluators.supernet:evaluate", options)

    @property
    def label(self) -> str:
        """Returns the name of the evaluator in records."""
        return "supernet"

    @property
    def definition(self) -> dict[str, Any]:
        """Returns the options."""
        return {"name": self.label, **self._options.model_dump(mode="json")}


def evaluate(
    request: Mapping[str, Any],
    checkpoint: bytes | None = None,
    *,
    space: SearchSpace,
    folder: str,
    epochs: int,
    sampling: Sampling,
    kernels: Kernels,
    recalibration: int,
) -> Work:
    """Measures a member with the shared weights, which it trains first if there are none yet.

    Args:
        request: the fields of :class:`nas.evaluators.training.Request`. One that asks for ``test``
            is trained from scratch instead.
        checkpoint: the state of the training of the shared weights.
        space: the space.
        folder: where the shared weights are kept. Processes that share it train them once.
        epochs, sampling, kernels, recalibration: see :class:`Options`.

    Yields after every epoch of the shared weights.

    Returns the metrics of :func:`nas.evaluators.training.evaluate`, as far as they are known.
    ``epochs`` are those of the shared weights in the trial that trains them, and otherwise 0.
    """
    if request.get("test"):
        return (yield from training.evaluate(request, checkpoint))
    plain = dict(request)
    loaded: SearchData | None = plain.pop("search_data", None)
    trial = validate(training.Request, plain)
    images = loaded or data.search_data(data.resolve(trial.data))
    device, task = resolve_device(trial.device), make(trial.task)
    how = recipe.resolve({**trial.recipe, "epochs": epochs})
    torch.set_num_threads(trial.threads)
    steps = epochs * len(batch_bounds(len(images.train.labels), how.batch_size))

    def trainer() -> Trainer:
        # Every trial has the seed of the campaign, so any of them may train the shared weights.
        def build() -> Supernet:
            return Supernet(space, steps, sampling, kernels, trial.seed)

        return Trainer(build, images, how, trial.seed, device, task=task)

    file = Path(folder) / FILE_NAME
    began, trained = time.perf_counter(), 0
    with FileLock(file.with_suffix(".lock")):
        if not file.exists():
            made, trained = trainer(), epochs
            if checkpoint is not None:
                made.load_state_dict(_read(checkpoint, device))
            save = partial(_written, made)
            for point in made.curve:
                yield Progress(point.record(), save)
            while len(made.curve) < epochs:
                made.run(len(made.curve) + 1)
                yield Progress(made.curve[-1].record(), save)
            write_whole(file, save())
    seconds = time.perf_counter() - began
    supernet = _shared(file, trainer, device)
    began = time.perf_counter()
    member = supernet.member(Architecture.from_json(trial.architecture))
    if recalibration:
        member.recalibrate(_training_images(images, how.batch_size, recalibration, device))
    found = measure(member, images.validation, images, task)
    return {
        **{f"validation_{name}": value for name, value in found.items()},
        "epochs": trained,
        "epochs_before": 0,
        "train_seconds": seconds if trained else 0.0,
        "evaluation_seconds": time.perf_counter() - began,
        "device": device,
        "device_name": device_name(device),
        "data_checksum": images.checksum,
    }


def _written(trainer: Trainer) -> bytes:
    file = io.BytesIO()
    torch.save(trainer.state_dict(), file)
    return file.getvalue()


def _read(state: bytes, device: str) -> Any:
    return torch.load(io.BytesIO(state), map_location=device, weights_only=True)


_LOADED: dict[tuple[str, int, str], Supernet] = {}
"""The shared weights that this process has read last."""


def _shared(file: Path, trainer: Callable[[], Trainer], device: str) -> Supernet:
    """Returns the shared weights of a file, which is read once."""
    key = (str(file), file.stat().st_mtime_ns, device)
    if key not in _LOADED:
        _LOADED.clear()
        made = trainer()
        made.load_state_dict(_read(file.read_bytes(), device))
        assert isinstance(made.network, Supernet)
        _LOADED[key] = made.network
    return _LOADED[key]


def _training_images(
    images: SearchData, size: int, count: int, device: str
) -> Iterator[torch.Tensor]:
    """Yields the first batches of a random order of the training images, which is always the same.

    They are normalised and not augmented.
    """
    where = torch.device(device)
    total = len(images.train.labels)
    order = torch.randperm(total, generator=torch.Generator().manual_seed(0)).to(where)
    normalize = normalizer(images, where)
    for pixels, _ in batches(images.train, batch_bounds(total, size)[:count], where, order):
        yield normalize(pixels)
