"""A training of one architecture, made of texts that users write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nas.architecture.graph import Architecture
from nas.architecture.network import Network
from nas.campaigns.spec.specification import data_definition, task_definition
from nas.configuration import Named
from nas.errors import InputError, in_file
from nas.files import checksum, read_bytes
from nas.jobs import names as named
from nas.metrics import Protocol
from nas.registry import unknown
from nas.tasks import DEFAULT, Task, make
from nas.training.compilation import Compile
from nas.training.data import DataConfig, SearchData, load
from nas.training.evaluation import VIEWS
from nas.training.hardware import resolve_device
from nas.training.recipe import Recipe, check_augment
from nas.training.transfer import Start
from nas.yaml_files import source


@dataclass(frozen=True, eq=False)
class Job:
    """A training whose parts fit each other; :func:`prepare` makes it."""

    name: str
    architecture: Architecture
    task: Task
    task_name: Named
    data: DataConfig
    images: SearchData
    recipe: Recipe
    kind: str
    """Its kind in tables, see :func:`nas.jobs.names.kind`."""
    initialization: str
    """The architecture's scheme for the initialisation "reference"."""
    seed: int
    start: Start | None
    weights: Path | None
    protocol: Protocol
    device: str
    compile: Compile
    cuda_graphs: bool
    notes: tuple[str, ...] = ()
    """Remarks on the data set for the user."""
    fingerprints: tuple[str, ...] = ()
    """The fingerprints of the data set: that of this version, and of earlier ones."""

    @property
    def task_definition(self) -> dict[str, Any]:
        """The task with its options and code; empty for classification."""
        return task_definition(self.task_name, self.task, Path.cwd())

    def specification(self) -> dict[str, Any]:
        """Returns all settings that the result depends on, as plain JSON."""
        cost = self.architecture.cost
        started = None
        if self.start is not None and self.weights is not None:
            started = {
                "weights": checksum(read_bytes(self.weights), 8),
                "freeze": self.start.freeze,
            }
        return {
            "architecture": {
                "graph": checksum(self.architecture.to_json().encode(), 8),
                "params": cost.params,
                "macs": cost.macs,
            },
            "data": {**data_definition(self.data), "checksum": self.images.checksum},
            "images": self.images.fingerprint,
            **({"task": task} if (task := self.task_definition) else {}),
            "recipe": self.recipe.model_dump(mode="json"),
            **(
                {"initialization": self.initialization}
                if self.recipe.initialization == "reference"
                else {}
            ),
            "seed": self.seed,
            "start": started,
            "protocol": self.protocol,
            "device": self.device,
            **({} if self.compile == "never" else {"compile": self.compile}),
            **({} if self.cuda_graphs else {"cuda_graphs": False}),
        }


def prepare(
    architecture: str,
    data: str,
    recipe: str,
    *,
    changes: Sequence[str] = (),
    seed: int = 0,
    weights: Path | None = None,
    freeze: str = "none",
    partial: bool = False,
    protocol: str = "single",
    task: str = DEFAULT,
    device: str = "auto",
    compile: Compile = "never",
    cuda_graphs: bool = True,
) -> Job:
    """Makes a job from texts that users write.

    Args:
        architecture: see :func:`nas.jobs.names.architecture`; it is built for the data.
        data: see :func:`nas.jobs.names.data`.
        recipe: see :func:`nas.jobs.names.recipe`.
        changes: ``key=value`` texts that override keys of the recipe.
        seed: the seed of the training.
        weights: a file of weights to start from.
        freeze, partial: see :class:`nas.training.transfer.Start`.
        protocol: the views of each image in the evaluation, see
            :func:`nas.training.evaluation.predictions`.
        task: see :func:`nas.jobs.names.task`.
        device: "cpu", "cuda" or "auto".
        compile: whether training steps are compiled: "never", "auto" or "always".
        cuda_graphs: whether they replay a CUDA graph on a GPU.

    Raises :class:`InputError` naming the option of ``nas train`` that does not fit.
    """
    if protocol not in VIEWS:
        raise InputError(f"--evaluate: {unknown('protocol', protocol, list(VIEWS))}")
    with in_file("--device"):
        device = resolve_device(device)
    if freeze != "none" and weights is None:
        raise InputError("--freeze: needs weights; give them with --from")
    config = named.data(data)
    how = named.recipe(recipe, changes)
    with in_file(source(data, "--data")):
        loaded = load(config)
        images = loaded.search()
    task_name = named.task(task)
    with in_file("--task"):
        trained_for = make(task_name)
    with in_file(source(data, "--data")):
        trained_for.check_labels(loaded.images.kind)
        trained_for.check_parts(loaded.labels)
    with in_file("--evaluate"):
        trained_for.check_protocol(protocol)
    with in_file("--recipe"):
        check_augment(how, trained_for, images.input_shape)
    built = named.for_task(architecture, trained_for, images)
    start = None if weights is None else Start.from_file(weights, freeze, partial)
    if start is not None:
        with torch.random.fork_rng(devices=[]):
            start.apply(Network(built))  # for what it refuses, before a folder is begun
    return Job(
        architecture, built, trained_for, task_name, loaded.config, images, how,
        named.kind(architecture), named.initialization(architecture), seed, start, weights,
        protocol, device, compile, cuda_graphs, loaded.notes, loaded.images.fingerprints,
    )  # fmt: skip
