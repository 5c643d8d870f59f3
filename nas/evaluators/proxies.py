"""Measures zero-cost proxies of new networks on training images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nas.architecture.graph import Architecture
from nas.architecture.network import Network, compile
from nas.proxies import PROXIES, Batch, measure
from nas.tasks import Task
from nas.training.batches import resident
from nas.training.data import Part, SearchData
from nas.training.datasets import Stored
from nas.training.initialization import begin
from nas.training.loop import normalizer
from nas.user_code import short_name


def draw(data: SearchData, task: Task, size: int, device: str) -> Batch:
    """Returns training images as a task shows them to networks, normalised and not augmented.

    They are always the same ones of a data set, with the same noise if the task adds any.
    """
    order = np.random.default_rng(0).permutation(len(data.train.labels))[:size]
    pixels = data.train.images[order]
    part = Part(pixels.read() if isinstance(pixels, Stored) else pixels, data.train.labels[order])
    images, labels = resident(part, torch.device(device))
    if task.labels == "images":
        labels = images

    def loss(outputs: Tensor, labels: Tensor) -> Tensor:
        return task.loss(outputs.float(), task.targets(labels, data.classes))

    # With channels last, oneDNN may crash: nas.training.batches.layout.
    normalize = normalizer(data, images.device, torch.contiguous_format)
    seen = task.inputs(images, torch.Generator(images.device).manual_seed(0))
    return Batch(normalize(seen), labels, loss)


def new_network(
    architecture: Architecture, seed: int, scheme: str, task: Task, data: SearchData
) -> Network:
    """Returns a network as its training begins, by :func:`nas.training.initialization.begin`.

    Its weights are those of a seed; torch's generators are not changed.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = compile(architecture)
        begin(network, scheme, task, data.train.labels)
    return network


def scores(proxies: Sequence[str], network: Network, batch: Batch, seed: int) -> dict[str, Any]:
    """Returns the value of each proxy by its short name, and ``proxy_seconds``, the time of all."""
    functions = {short_name(name): PROXIES.find(name) for name in proxies}
    found = measure(functions, network, batch, torch.Generator().manual_seed(seed))
    return {
        **{name: each.value for name, each in found.items()},
        "proxy_seconds": sum(each.seconds for each in found.values()),
    }


def scorer(
    proxy: str, data: SearchData, task: Task, size: int, seed: int, scheme: str, device: str
) -> Callable[[Architecture], float]:
    """Returns a function from an architecture to the value of a proxy.

    The value is the one that a trial of a search with this training seed reports, up to rounding:
    one thread measures it, whatever the number of threads of trials.
    """
    batch = draw(data, task, size, device)

    def score(architecture: Architecture) -> float:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            network = new_network(architecture, seed, scheme, task, data).to(device)
            value: float = scores([proxy], network, batch, seed)[short_name(proxy)]
        finally:
            torch.set_num_threads(threads)
        return value

    return score
