"""Finds what turns pictures into the input of a trained network, and images to check it on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from nas.architecture.network import Network, compile
from nas.architecture.weights import load_weights
from nas.errors import InputError
from nas.export.pictures import Samples
from nas.jobs.names import kept_weights
from nas.jobs.references import Reference
from nas.preprocessing import Preprocessing
from nas.tasks import Task
from nas.tasks.pictures import Pictures
from nas.training.batches import batches, evaluation_bounds
from nas.training.data import DataConfig, Part, SearchData, held_out, named_part, search_data
from nas.training.datasets import Pixels
from nas.training.datasets.labels import LabelArray, kind_of
from nas.training.datasets.parts import Role
from nas.training.evaluation import predictions, preprocessing, truth

_PICTURES = 8
"""How many test pictures an export is checked on."""

_SHOWN = 200
"""How many test images a task chooses from to show some."""

_CALIBRATION = 256
"""How many training images decide the scales of int8."""


def trained(name: str, reference: Reference) -> Network:
    """Returns the trained network of a reference, on the CPU and in eval mode.

    Raises :class:`InputError` if its weights were not kept.
    """
    network = compile(reference.architecture)
    load_weights(network, kept_weights(name, reference))
    return network.eval()


def preprocessing_of(name: str, reference: Reference) -> tuple[Preprocessing, str]:
    """Returns how pictures become the input of a trained network, and a remark.

    Folders of earlier versions do not record it. It is then computed again from the training
    images, which the remark says.

    Raises :class:`InputError` if it is not recorded and cannot be computed.
    """
    if reference.preprocessing is not None:
        return reference.preprocessing, ""
    try:
        images, task = _search_data(name, reference)
    except InputError as error:
        raise InputError(
            f"{name}: does not record how its training normalised images, and this cannot be "
            f"computed again: {error}"
        ) from None
    note = "the normalisation is not recorded; it was computed again from the training images"
    return preprocessing(images, task), note


def samples(
    name: str,
    reference: Reference,
    network: Network,
    expected: Preprocessing,
    measured: bool = False,
) -> Samples:
    """Reads images of the data set on which a network was trained, to check an export.

    Args:
        name: the name of the reference.
        reference: the network's reference.
        network: the network, in eval mode.
        expected: how pictures become its input.
        measured: whether accuracy is to be measured too, and scales of int8 to be chosen.

    Raises :class:`InputError` if the data set cannot be read, or is another.
    """
    config, task = _data(name, reference)
    few = held_out(config, _PICTURES)
    pictures = np.concatenate([images for images, _ in _chunks(few)])
    found = Samples(pictures, predictions(network, few, expected, task, clean=True))
    if not measured:
        return found
    images, _ = _search_data(name, reference)
    order = np.random.default_rng(0).permutation(len(images.train.labels))[:_CALIBRATION]
    chosen = Part(images.train.images[order], images.train.labels[order])
    return replace(
        found,
        calibration=np.concatenate([chunk for chunk, _ in _chunks(chosen)]),
        test=partial(_chunks, held_out(config)),
    )


def examples(name: str, reference: Reference) -> Sequence[Pictures]:
    """Returns the pictures by which a task shows what a trained network predicts for test images.

    Raises :class:`InputError` if its weights were not kept, or if the data set cannot be read.
    """
    config, task = _data(name, reference)
    if type(task).pictures is Task.pictures:
        return []
    expected, _ = preprocessing_of(name, reference)
    few = held_out(config, _SHOWN)
    found = predictions(trained(name, reference), few, expected, task)
    pixels = np.concatenate([images for images, _ in _chunks(few)])
    classes = expected.classes or ()
    targets = truth(few, len(classes), task)
    return task.pictures(pixels, found, targets, classes)


def images_of(
    name: str, reference: Reference, role: Role
) -> Iterator[tuple[str, Pixels, int | None]]:
    """Yields the images of a part of the data set of a training: place, image and class.

    The class is None if it is not known, or if the labels are masks or values.

    Raises :class:`InputError` if the data set cannot be read, or has changed.
    """
    config, _ = _data(name, reference)
    part, places, checksum = named_part(config, role)
    _check_split(name, reference, checksum)
    images = (each for chunk, labels in _chunks(part) for each in zip(chunk, labels, strict=True))
    for place, (image, label) in zip(places, images, strict=True):
        is_class = kind_of(part.labels) == "classes" and label >= 0
        yield place, image, int(label) if is_class else None


def _data(name: str, reference: Reference) -> tuple[DataConfig, Task]:
    if reference.data is None:
        raise InputError(f"{name}: was not trained on a data set")
    return reference.data()


def _search_data(name: str, reference: Reference) -> tuple[SearchData, Task]:
    config, task = _data(name, reference)
    images = search_data(config)
    _check_split(name, reference, images.checksum)
    return images, task


def _check_split(name: str, reference: Reference, checksum: str) -> None:
    if reference.split_checksum not in ("", checksum):
        raise InputError(
            f"{name}: the data set has changed since the training: its split has the checksum "
            f"{checksum}, recorded {reference.split_checksum}"
        )


def _chunks(part: Part) -> Iterator[tuple[Pixels, LabelArray]]:
    for images, labels in batches(part, evaluation_bounds(len(part.labels)), torch.device("cpu")):
        yield images.numpy(), labels.numpy()
