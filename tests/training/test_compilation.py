"""torch.compile for long trainings: when, and with the same numbers."""

import numpy as np
import pytest
import torch

from nas.architecture.builder import Builder
from nas.architecture.network import Network, compile, in_training
from nas.training.compilation import Compile, compiles
from nas.training.data import Part, SearchData
from nas.training.loop import Trainer
from nas.training.recipe import resolve


@pytest.mark.parametrize(
    ("asked", "epochs", "schedule", "drop_paths", "expected"),
    [
        ("never", 1000, "constant", 0, False),
        ("auto", 99, "constant", 0, False),
        ("auto", 100, "constant", 0, True),
        ("auto", 100, "constant", 3, True),
        ("auto", 100, "linear", 0, True),
        ("always", 1, "constant", 0, True),
        ("always", 100, "linear", 3, False),
    ],
)
def test_what_is_compiled(
    asked: Compile, epochs: int, schedule: str, drop_paths: int, expected: bool
) -> None:
    """A hundred steps an epoch: 10,000 make it worth it."""
    given = {
        "preset": "quick",
        "epochs": epochs,
        "warmup_epochs": 0,
        "drop_path_schedule": schedule,
    }
    assert compiles(asked, resolve(given), 100, drop_paths) == expected


def with_head() -> Network:
    g = Builder((1, 8, 8))
    x = g.relu(g.batch_norm(g.conv(g.input, 8, kernel=3, padding="same", bias=False)))
    return compile(g.build(g.linear(g.global_pool(x), 2), g.linear(g.flatten(x), 2)))


def test_the_training_graph_is_the_network_in_training() -> None:
    network = with_head()
    fixed = in_training(network)
    batch = torch.randn(4, 1, 8, 8)
    network.eval()
    code = fixed.code
    network.train()
    assert fixed.code == code
    for one, other in zip(network(batch), fixed(batch), strict=True):
        assert torch.equal(one, other)
    assert {id(p) for p in network.parameters()} == {id(p) for p in fixed.parameters()}


@pytest.mark.slow
def test_compiled_and_eager_training_agree() -> None:
    """With an auxiliary head, and a last batch that is smaller: two shapes, each compiled once."""
    rng = np.random.default_rng(0)
    labels = np.arange(44) % 2
    pixels = rng.integers(0, 156, (44, 1, 8, 8)) + 100 * labels[:, None, None, None]
    part = Part(pixels.astype(np.uint8), labels)
    images = SearchData(part, part, (128.0,), (60.0,), 2, "")
    recipe = resolve({"preset": "quick", "epochs": 4, "batch_size": 16, "precision": "fp32"})
    curves, graphs = {}, []
    counters = torch._dynamo.utils.counters["stats"]
    for asked in ("never", "always"):
        counters.clear()
        trainer = Trainer(with_head, images, recipe, 0, compile=asked)
        assert trainer.compiled == (asked == "always")
        curves[asked] = trainer.run(4, lambda epoch: graphs.append(counters["unique_graphs"])).curve
    for eager, compiled in zip(curves["never"], curves["always"], strict=True):
        assert compiled.train_loss == pytest.approx(eager.train_loss, rel=1e-4)
        assert compiled.validation["loss"] == pytest.approx(eager.validation["loss"], rel=1e-4)
    assert graphs == [0] * 4 + [2] * 4
