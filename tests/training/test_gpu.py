"""What only a GPU can show: all of it is skipped without one."""

import io
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from nas.architecture.builder import Builder
from nas.architecture.network import Network, compile
from nas.training.augmentation import TRANSFORMATIONS
from nas.training.data import Part, SearchData
from nas.training.latency import measure_latency
from nas.training.loop import Trainer
from nas.training.recipe import Recipe, resolve
from tests.training.test_augmentation import NEEDED

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


def recipe(**changes: Any) -> Recipe:
    given = {"preset": "quick", "epochs": 4, "batch_size": 16, "augment": [], **changes}
    return resolve(given)


def colours(batches: int = 4) -> SearchData:
    """Two classes that differ in brightness, batches of 16."""
    rng = np.random.default_rng(0)
    labels = np.arange(16 * batches) % 2
    pixels = rng.integers(0, 156, (len(labels), 3, 8, 8)) + 100 * labels[:, None, None, None]
    part = Part(pixels.astype(np.uint8), labels)
    return SearchData(part, part, (128.0,) * 3, (60.0,) * 3, 2, "")


def small() -> Network:
    g = Builder((3, 8, 8))
    x = g.relu(g.batch_norm(g.conv(g.input, 8, kernel=3, padding="same", bias=False)))
    return compile(g.build(g.linear(g.dropout(g.global_pool(x), 0.1), 2)))


def waits(images: SearchData, how: Recipe) -> int:
    """How often the second epoch of a training waits for the GPU."""
    trainer = Trainer(small, images, how, 0, "cuda")
    trainer.run(1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            trainer.run(2)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in caught)


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    """A process's first training waits for what it loads."""
    waits(colours(1), recipe())


RECIPES: dict[str, dict[str, Any]] = {
    **{name: {"augment": [{"name": name, **NEEDED.get(name, {})}]} for name in TRANSFORMATIONS},
    "sgd": {"optimizer": "sgd"},
    "rmsprop": {"optimizer": "rmsprop"},
    "average": {"weight_average": 0.99},
    "clip": {"gradient_clip": 1.0},
}


@pytest.mark.parametrize("changes", RECIPES.values(), ids=RECIPES)
def test_no_step_waits_for_the_gpu(changes: dict[str, Any]) -> None:
    """An epoch may wait at its end, however many steps it has."""
    assert 0 < waits(colours(2), recipe(**changes)) == waits(colours(6), recipe(**changes))


@pytest.mark.parametrize("graphs", [False, True])
def test_a_training_goes_on_from_a_checkpoint(graphs: bool) -> None:
    how = recipe(augment=["shift", "flip"], weight_average=0.9, precision="fp32")

    def trainer() -> Trainer:
        return Trainer(small, colours(), how, 0, "cuda", cuda_graphs=graphs)

    whole = trainer().run(4)
    first = trainer()
    first.run(2)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = trainer()
    second.load_state_dict(torch.load(file, map_location="cuda", weights_only=True))
    for one, other in zip(whole.curve, second.run(4).curve, strict=True):
        assert other.train_loss == pytest.approx(one.train_loss, rel=1e-3)
        assert other.validation["loss"] == pytest.approx(one.validation["loss"], rel=1e-3)


def test_bf16_is_chosen_and_agrees_with_fp32() -> None:
    half, full = (
        Trainer(small, colours(), recipe(precision=precision), 0, "cuda").run(4)
        for precision in ("auto", "fp32")
    )
    assert half.precision == "bf16"
    for one, other in zip(half.curve, full.curve, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, abs=0.05)


def test_latency_is_of_the_gpu() -> None:
    found = measure_latency(small(), (3, 8, 8), "cuda", batch=4)
    assert found["latency_device"] == torch.cuda.get_device_name()
    assert 0 < found["latency_ms"] < 100
