"""Measures zero-cost proxies of one architecture: ``nas proxies``."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch

from nas.errors import InputError, in_file
from nas.evaluators.proxies import draw, new_network
from nas.jobs import names as named
from nas.proxies import PROXIES, measure
from nas.tasks import DEFAULT, make
from nas.training.data import search_data
from nas.training.datasets.labels import kind_of
from nas.training.hardware import resolve_device
from nas.yaml_files import source


def proxies_table(
    architecture: str,
    data: str,
    *,
    only: Sequence[str] | None = None,
    batch: int = 64,
    initialization: str = "default",
    seed: int = 0,
    task: str = DEFAULT,
    device: str = "cpu",
) -> pd.DataFrame:
    """Returns a row per proxy: its value for the new network, and the seconds that it took.

    Values have six digits; those that are not defined for the network are NaN or infinite. A pass
    that several proxies share counts for the first of them.

    Args:
        architecture: see :func:`nas.jobs.names.architecture`; it is built for the data.
        data: see :func:`nas.jobs.names.data`.
        only: the proxies to measure; by default all that are built in.
        batch: the number of training images.
        initialization: a scheme of :func:`nas.training.initialization.initialize`.
        seed: the seed of the initial weights, and of what proxies draw.
        task: see :func:`nas.jobs.names.task`.
        device: "cpu", "cuda" or "auto".

    Raises :class:`InputError` naming the option of ``nas proxies`` that does not fit.
    """
    with in_file("--only"):
        functions = {name: PROXIES.find(name) for name in only or PROXIES}
    with in_file("--device"):
        if device not in ("cpu", "cuda", "auto"):
            raise InputError(f"unknown device {device!r}; allowed: cpu, cuda, auto")
        device = resolve_device(device)
    with in_file("--task"):
        trained_for = make(named.task(task))
    with in_file(source(data, "--data")):
        images = search_data(named.data(data))
        trained_for.check_labels(kind_of(images.train.labels))
    built = named.for_task(architecture, trained_for, images)
    network = new_network(built, seed, initialization, trained_for, images).to(device)
    chosen = draw(images, trained_for, batch, device)
    found = measure(functions, network, chosen, torch.Generator().manual_seed(seed))
    rows = [(name, float(f"{v.value:.6g}"), round(v.seconds, 4)) for name, v in found.items()]
    return pd.DataFrame(rows, columns=["proxy", "value", "seconds"])
