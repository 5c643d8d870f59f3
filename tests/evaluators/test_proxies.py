"""Proxies measure a network as its training begins with it, on images as its task shows them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nas.architecture.builder import Builder
from nas.configuration import Named
from nas.evaluators.proxies import draw, scorer
from nas.evaluators.training import evaluate
from nas.evaluators.work import complete
from nas.jobs.proxies import proxies_table
from nas.proxies import Batch
from nas.tasks import make
from nas.tasks.reconstruction import Reconstruction
from nas.training.data import Part, SearchData, resolve, search_data


def values() -> list[Any]:
    """Images with a value each, which is far from 0."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 8, 8), dtype=np.uint8)
    return [*zip(images, rng.normal(1e3, 3, (60, 1)), strict=True)]


def predicted(network: Any, batch: Batch, generator: torch.Generator) -> float:
    return network(batch.images).mean().item()


def test_a_proxy_measures_the_network_that_a_training_begins_with(tmp_path: Path) -> None:
    """A regression begins at the mean of the training values, wherever proxies are used."""
    g = Builder((1, 8, 8))
    network = g.build(g.linear(g.flatten(g.relu(g.conv(g.input, 4, kernel=3))), 1))
    file = tmp_path / "small.json"
    file.write_text(network.to_json())
    data, proxy, task = f"{__name__}:values", f"{__name__}:predicted", Named(name="regression")
    config = resolve({"name": data})
    work = evaluate(
        {
            "architecture": network.to_json(),
            "data": {"name": data},
            "recipe": {"preset": "quick", "augment": [], "initialization": "default"},
            "seed": 0,
            "task": {"name": "regression"},
        },
        proxies=[proxy],
        trains=False,
    )
    found = [
        complete(work)["predicted"],
        scorer(proxy, search_data(config), make(task), 64, 0, "default", "cpu")(network),
        proxies_table(str(file), data, only=[proxy], task="regression")["value"].item(),
    ]
    assert found == pytest.approx([found[0]] * 3, rel=1e-5)
    assert abs(found[0] - search_data(config).train.labels.mean()) < 20


def test_a_proxy_sees_the_noise_of_a_task() -> None:
    part = Part(np.full((4, 1, 50, 50), 128, np.uint8), np.zeros(4, np.int64))
    data = SearchData(part, part, (128.0,), (51.0,), 1, "split", "data")
    noisy, plain = (draw(data, Reconstruction(noise=n), 4, "cpu") for n in (0.1, 0.0))
    assert not plain.images.any()
    assert noisy.images.std().item() == pytest.approx(0.1 * 255 / 51, rel=0.05)
    assert torch.equal(noisy.labels, plain.labels)
