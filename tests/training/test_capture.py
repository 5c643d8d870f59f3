"""CUDA graphs: when, and with the same numbers. All but the rule needs a GPU."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import nas
from nas.architecture.builder import Builder
from nas.architecture.network import Network, compile, in_training
from nas.training import loop
from nas.training.capture import captures
from nas.training.data import Part, SearchData
from nas.training.datasets import Stored
from nas.training.loop import Trainer
from nas.training.recipe import Recipe, resolve

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


def recipe(**changes: object) -> Recipe:
    given = {"preset": "quick", "epochs": 3, "batch_size": 16, "precision": "fp32", **changes}
    return resolve(given)


def images(n: int = 44) -> SearchData:
    """Two classes that differ in brightness; two full batches and a smaller one."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 2
    pixels = rng.integers(0, 156, (n, 1, 8, 8)) + 100 * labels[:, None, None, None]
    part = Part(pixels.astype(np.uint8), labels)
    return SearchData(part, part, (128.0,), (60.0,), 2, "")


def with_head(dropout: float = 0.0) -> Network:
    g = Builder((1, 8, 8))
    x = g.relu(g.batch_norm(g.conv(g.input, 8, kernel=3, padding="same", bias=False)))
    y = g.dropout(g.global_pool(x), dropout)
    return compile(g.build(g.linear(y, 2), g.linear(g.flatten(x), 2)))


@pytest.mark.parametrize(
    ("device", "schedule", "drop_paths", "expected"),
    [
        ("cpu", "constant", 0, False),
        ("cuda", "constant", 2, True),
        ("cuda", "linear", 0, True),
        ("cuda", "linear", 2, False),
    ],
)
def test_what_can_be_captured(device: str, schedule: str, drop_paths: int, expected: bool) -> None:
    how, part = recipe(drop_path_schedule=schedule), images().train
    assert captures(torch.device(device), how, drop_paths, part) == expected
    stored = Stored(lambda n: np.zeros((1, 8, 8), np.uint8), np.arange(44), (1, 8, 8))
    assert not captures(torch.device(device), how, drop_paths, Part(stored, part.labels))


def test_on_a_cpu_nothing_changes() -> None:
    one, other = (Trainer(with_head, images(), recipe(), 0, cuda_graphs=on) for on in (False, True))
    assert not other.captured
    for plain, asked in zip(one.run(2).curve, other.run(2).curve, strict=True):
        assert plain.train_loss == asked.train_loss
        assert plain.validation["loss"] == asked.validation["loss"]


def test_full_batches_go_through_what_was_captured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same graph uncaptured in its place, which a CPU can run too."""
    shapes: list[tuple[int, ...]] = []
    replayed: list[int] = []

    def uncaptured(network: Network, images: Tensor) -> Callable[[Tensor], Any]:
        shapes.append(tuple(images.shape))
        fixed = in_training(network)

        def replay(images: Tensor) -> Any:
            replayed.append(len(images))
            return fixed(images)

        return replay

    eager = Trainer(with_head, images(), recipe(), 0).run(2)
    monkeypatch.setattr(loop, "captures", lambda *arguments: True)
    monkeypatch.setattr(loop, "capture", uncaptured)
    captured = Trainer(with_head, images(), recipe(), 0, cuda_graphs=True).run(2)
    assert shapes == [(16, 1, 8, 8)]
    assert replayed == [16] * 4  # of two epochs of 44 images
    for one, other in zip(eager.curve, captured.curve, strict=True):
        assert one.train_loss == other.train_loss
        assert one.validation["loss"] == other.validation["loss"]


@needs_cuda
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "rmsprop"])
def test_captured_and_eager_training_agree(optimizer: str, precision: str) -> None:
    how = recipe(optimizer=optimizer, learning_rate=1e-3, precision=precision)
    pair = [
        Trainer(with_head, images(), how, 0, "cuda", cuda_graphs=graphs) for graphs in (False, True)
    ]
    eager, captured = (trainer.run(3) for trainer in pair)
    assert pair[1].captured
    tolerance = 1e-4 if precision == "fp32" else 2e-2
    for one, other in zip(eager.curve, captured.curve, strict=True):
        assert other.train_loss == pytest.approx(one.train_loss, rel=tolerance)
        assert other.validation["loss"] == pytest.approx(one.validation["loss"], rel=tolerance)
    states = [result.network.state_dict() for result in (eager, captured)]
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=tolerance, atol=tolerance)


def zeroed() -> Network:
    """A NAS-Bench-201 network whose first convolution leads nowhere."""
    space = nas.space("nasbench201", (1, 8, 8), 2)
    text = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
    return compile(space.decode(space.from_string(text)))


def test_some_parameters_have_no_gradient() -> None:
    """So a capture must not ask for all."""
    network = zeroed().train()
    network(torch.randn(4, 1, 8, 8)).sum().backward()  # type: ignore[no-untyped-call]
    assert any(parameter.grad is None for parameter in network.parameters())


@needs_cuda
def test_parameters_without_gradient_are_captured() -> None:
    how = recipe(precision="fp32", learning_rate=1e-3)
    eager, captured = (
        Trainer(zeroed, images(), how, 0, "cuda", cuda_graphs=graphs).run(2)
        for graphs in (False, True)
    )
    for one, other in zip(eager.curve, captured.curve, strict=True):
        assert other.train_loss == pytest.approx(one.train_loss, rel=1e-3)


@needs_cuda
def test_dropout_draws_anew_at_each_replay() -> None:
    trainer = Trainer(lambda: with_head(0.5), images(32), recipe(), 0, "cuda", cuda_graphs=True)
    trainer.run(1)
    batch = torch.randn(16, 1, 8, 8, device="cuda").to(memory_format=torch.channels_last)
    trainer._network.train()
    replay = trainer._passes(batch)
    with torch.random.fork_rng():
        first = replay(batch)[0].clone()
        assert not torch.equal(first, replay(batch)[0])
