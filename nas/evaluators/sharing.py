"""Trains a network for all trials of a campaign, and keeps it in the campaign's folder."""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from zipfile import is_zipfile

import torch
from filelock import FileLock
from torch import nn

from nas.architecture.graph import Architecture
from nas.configuration import Config, validate
from nas.errors import InputError
from nas.evaluators import training
from nas.evaluators.base import Evaluate, Evaluator, Function
from nas.evaluators.work import Progress
from nas.files import is_damaged, write_whole
from nas.spaces.search_space import SearchSpace
from nas.supernet.bank import Start
from nas.tasks import Task, make
from nas.training import data, recipe
from nas.training.batches import batch_bounds
from nas.training.curve import Epoch
from nas.training.data import SearchData
from nas.training.hardware import device_name, resolve_device
from nas.training.loop import Trainer, trained_weights
from nas.training.recipe import Recipe


class Sharing(Evaluator):
    """An evaluator whose first trial trains what all trials share, for the option ``epochs``.

    The module ``nas.evaluators.NAME`` holds its function ``evaluate``, which takes the space, the
    folder of the campaign and the options.

    Attributes:
        name: the name of the evaluator in records.
        file_name: the file in the folder of the campaign that holds what is shared.
        schema: the options.
    """

    shape = "training"
    needs_recipe = True
    trains = False
    name: ClassVar[str]
    file_name: ClassVar[str]
    schema: ClassVar[type[Config]]

    def __init__(self, options: Mapping[str, Any], folder: Path) -> None:
        self._options = validate(self.schema, options, folder)
        self._folder = folder
        self._space: SearchSpace | None = None
        self.shared_epochs = dict(self._options)["epochs"]

    def bind(self, space: SearchSpace) -> None:
        """Receives the space whose members share weights."""
        self._space = space

    @property
    def evaluate(self) -> Evaluate:
        """Returns the function that engines call.

        Raises :class:`InputError` if the file of what is shared is damaged.
        """
        check(self._folder / self.file_name)
        options = {"space": self._space, "folder": str(self._folder), **dict(self._options)}
        return Function(f"nas.evaluators.{self.name}:evaluate", options)

    @property
    def label(self) -> str:
        """Returns the name of the evaluator in records."""
        return self.name

    @property
    def definition(self) -> dict[str, Any]:
        """Returns the options."""
        return {"name": self.label, **self._options.model_dump(mode="json")}


class Setting(NamedTuple):
    """What a trial needs besides its own options, made from its request."""

    architecture: Architecture
    images: SearchData
    recipe: Recipe
    seed: int
    device: str
    task: Task

    @classmethod
    def of(cls, request: Mapping[str, Any], epochs: int) -> Setting:
        """Reads the fields of :class:`nas.evaluators.training.Request`; sets torch's threads.

        Args:
            request: the request of a trial of the search.
            epochs: the epochs of the recipe by which the network for all trials is trained.
        """
        plain = dict(request)
        loaded: SearchData | None = plain.pop("search_data", None)
        trial = validate(training.Request, plain)
        torch.set_num_threads(trial.threads)
        return cls(
            Architecture.from_json(trial.architecture),
            loaded or data.search_data(data.resolve(trial.data)),
            # One member is measured, or none, so no epoch is known to be the best for all.
            recipe.resolve({**trial.recipe, "epochs": epochs, "keep": "last"}),
            trial.seed,
            resolve_device(trial.device),
            make(trial.task),
        )

    @property
    def start(self) -> Start:
        """Returns how the task prepares initial weights."""
        # A copy of a network copies no lambda, as it would copy a method's task and images.
        return lambda architecture: self.task.start(architecture, self.images.train.labels)

    @property
    def steps(self) -> int:
        """The number of training steps."""
        count, size = len(self.images.train.labels), self.recipe.batch_size
        return self.recipe.epochs * len(batch_bounds(count, size))

    def metrics(self) -> dict[str, Any]:
        """Returns where and on what the trial was carried out."""
        return {
            "device": self.device,
            "device_name": device_name(self.device),
            "data_checksum": self.images.checksum,
        }


class Trained(NamedTuple):
    """A network that all trials use.

    Attributes:
        network: the network.
        metrics: ``epochs``, ``epochs_before``, ``train_seconds``, ``evaluation_seconds`` and
            ``shared_curve`` of its training, in the trial that has trained it. All others have 0
            epochs, 0 seconds and an empty curve.
    """

    network: nn.Module
    metrics: dict[str, Any]


def trained(
    file: Path,
    network: Callable[[], nn.Module],
    trainer: Callable[[], Trainer],
    setting: Setting,
    checkpoint: bytes | None,
) -> Generator[Progress, None, Trained]:
    """Returns the network in a file; if there is none, trains it first and yields every epoch.

    Processes that share the file train it once. The weights are written only when the training has
    ended. All trials must make the same trainer, so that any of them may train.

    Args:
        file: where the network is kept.
        network: makes the network that reads the file.
        trainer: makes the trainer of such a network.
        setting: that of the trial.
        checkpoint: the state of an earlier attempt at the training.

    Raises:
        InputError: if the file is damaged, or has the network of another experiment.
    """
    curve: list[Epoch] = []
    before = 0
    with FileLock(file.with_suffix(".lock")):
        if not file.exists():
            made = trainer()
            if checkpoint is not None:
                made.load_state_dict(_read(checkpoint, setting.device))
            before = len(made.curve)
            save = partial(_checkpoint, made)
            for point in made.curve:
                yield Progress(point.record(), save)
            while len(made.curve) < setting.recipe.epochs:
                made.run(len(made.curve) + 1)
                yield Progress(made.curve[-1].record(), save)
            curve = made.curve
            write_whole(file, _saved({"network": made.network.state_dict()}))
    return Trained(
        _loaded(file, network, setting.device),
        {
            "epochs": len(curve),
            "epochs_before": before,
            "train_seconds": sum(point.train_seconds for point in curve),
            "evaluation_seconds": sum(point.evaluation_seconds for point in curve),
            "shared_curve": [point.record() for point in curve],
        },
    )


def check(file: Path) -> None:
    """Raises :class:`InputError` if there is a file and it is damaged."""
    if file.exists() and (is_damaged(file) or not is_zipfile(file)):
        raise _unusable(file, "is damaged")


def _unusable(file: Path, why: str) -> InputError:
    return InputError(f"{file}: {why}; delete it, and the next run trains the weights again")


def _checkpoint(trainer: Trainer) -> bytes:
    return _saved(trainer.state_dict())


def _saved(state: Mapping[str, Any]) -> bytes:
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def _read(state: bytes, device: str) -> Any:
    return torch.load(io.BytesIO(state), map_location=device, weights_only=True)


_LOADED: dict[tuple[str, int, str], nn.Module] = {}
"""The network that this process has read last."""


def _loaded(file: Path, network: Callable[[], nn.Module], device: str) -> nn.Module:
    """Returns the network of a file, which is read once."""
    key = (str(file), file.stat().st_mtime_ns, device)
    if key not in _LOADED:
        check(file)
        made = network().to(device)
        try:
            state = _read(file.read_bytes(), device)
            # Files of earlier versions are whole states of the trainer.
            made.load_state_dict(trained_weights(state))
        except Exception as error:  # torch raises many kinds for a file of another network
            raise _unusable(file, f"has the weights of another experiment ({error})") from error
        _LOADED.clear()
        _LOADED[key] = made
    return _LOADED[key]
