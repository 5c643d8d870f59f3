"""Training an epoch at a time: checkpoints, averaged weights, auxiliary heads, drop path, bf16."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from nas.architecture.builder import Builder
from nas.architecture.graph import Architecture
from nas.architecture.modules import DropPath
from nas.architecture.network import compile
from nas.classics import classic
from nas.training import data, precision
from nas.training.batches import crashes
from nas.training.data import SearchData
from nas.training.loop import Trainer, measure, train
from nas.training.optimization import WeightAverage
from nas.training.recipe import Recipe, resolve
from tests.training.test_loop import few, linear, small

RECIPE = {"preset": "quick", "epochs": 4, "batch_size": 8, "learning_rate": 0.01}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def recipe(**overrides: Any) -> Recipe:
    return resolve({**RECIPE, **overrides})


def digits() -> SearchData:
    split = {"train": 0.2, "validation": 0.1, "test": 0.7}
    return data.search_data(data.resolve({"name": "digits", "split": split}))


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


# --- checkpoints ---


@pytest.mark.parametrize(
    ("optimizer", "asked", "keep"),
    [
        ("sgd", "fp32", "last"),
        ("adamw", "fp32", "best"),
        ("rmsprop", "fp32", "last"),
        ("sgd", "bf16", "best"),
    ],
)
def test_a_resumed_training_is_the_uninterrupted_one_bit_for_bit(
    optimizer: str, asked: str, keep: str
) -> None:
    """Through a file, with dropout, augmentation, averaged weights and a schedule."""
    augment = ["shift", "flip"]
    how = recipe(
        optimizer=optimizer, precision=asked, weight_average=0.9, augment=augment, keep=keep
    )
    images = digits()
    whole = train(small, images, how, seed=5)
    first = Trainer(small, images, how, seed=5)
    first.run(2)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    first.run(3)  # what happens to it afterwards plays no part
    torch.rand(7)
    second = Trainer(small, images, how, seed=99)
    second.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    resumed = second.run(4)
    assert same_weights(whole.network, resumed.network)

    def points(curve: Any) -> list[Any]:
        return [(e.epoch, e.train_loss, e.validation) for e in curve]

    assert points(resumed.curve) == points(whole.curve)


def test_training_may_stop_at_any_epoch_and_go_on() -> None:
    trainer = Trainer(small, digits(), recipe(), seed=0)
    heard: list[int] = []
    for until in (1, 1, 3, 4):
        result = trainer.run(until, lambda epoch: heard.append(epoch.epoch))
        assert len(result.curve) == until
    assert heard == [1, 2, 3, 4]


# --- averaged weights ---


def test_the_average_follows_its_closed_form() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    average = WeightAverage(network, decay=0.6)
    expected = network[0].weight.detach().clone()
    for n in range(1, 20):
        with torch.no_grad():
            network[0].weight += n
            network[1].num_batches_tracked += 1
        average.update()
        keep = min(0.6, n / (n + 9))
        expected = keep * expected + (1 - keep) * network[0].weight.detach()
    averaged = average.network
    assert isinstance(averaged, nn.Sequential)
    assert torch.allclose(averaged[0].weight, expected, rtol=1e-5)
    assert averaged[1].num_batches_tracked == 19
    assert not any(parameter.requires_grad for parameter in averaged.parameters())


def test_the_average_is_what_is_evaluated_and_returned() -> None:
    # A decay of nearly nothing makes the average the weights themselves.
    plain = train(linear, few(40), recipe(), seed=0)
    tiny = train(linear, few(40), recipe(weight_average=1e-12), seed=0)
    slow = train(linear, few(40), recipe(weight_average=0.999), seed=0)
    for a, b in zip(plain.network.parameters(), tiny.network.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-7)
    assert not same_weights(plain.network, slow.network)
    assert plain.curve[-1].train_loss == slow.curve[-1].train_loss
    assert plain.curve[-1].validation["loss"] != slow.curve[-1].validation["loss"]


# --- the best epoch ---


@pytest.mark.parametrize("average", [None, 0.5])
def test_the_weights_of_the_best_epoch_are_kept(average: float | None) -> None:
    images = few(40)
    how = recipe(
        epochs=6,
        warmup_epochs=0,
        schedule="constant",
        learning_rate=3,  # so high that the accuracy rises and falls
        gradient_clip=None,
        weight_average=average,
    )
    states: list[Any] = []
    trainer = Trainer(linear, images, how, seed=0)
    last = trainer.run(6, lambda _: states.append(deepcopy(trainer.network.state_dict())))
    accuracies = [epoch.validation["accuracy"] for epoch in last.curve]
    best = max(range(6), key=lambda place: (accuracies[place], place))
    assert best < 5
    assert accuracies.count(accuracies[best]) == (2 if average is None else 1)
    assert last.kept is last.curve[-1]
    found = train(linear, images, how.model_copy(update={"keep": "best"}), seed=0)
    assert [epoch.validation for epoch in found.curve] == [e.validation for e in last.curve]
    assert found.kept.epoch == best + 1
    for name, value in found.network.state_dict().items():
        assert torch.equal(value, states[best][name])
    assert measure(found.network, images.validation, images) == found.kept.validation


# --- auxiliary heads ---


def with_head() -> Architecture:
    g = Builder((1, 8, 8))
    x = g.relu(g.conv(g.input, 4, 3))
    head = g.linear(g.global_pool(x), 10, name="head")
    return g.build(g.linear(g.flatten(x), 10, name="main"), head)


def test_an_auxiliary_head_adds_its_weighted_loss() -> None:
    """One whole-batch step of plain gradient descent, by hand."""
    images = few(8)
    how = recipe(
        optimizer="sgd", momentum=0.0, learning_rate=0.1, epochs=1, batch_size=8, augment=[],
        gradient_clip=None, weight_decay=0.0, schedule="constant", warmup_epochs=0.0,
        auxiliary_weight=0.3, precision="fp32",
    )  # fmt: skip
    trainer = Trainer(lambda: compile(with_head()), images, how, seed=1)
    by_hand = compile(with_head())
    by_hand.load_state_dict(trainer.network.state_dict())
    result = trainer.run(1)

    pixels = torch.from_numpy(images.train.images).float() / 255
    labels = torch.from_numpy(images.train.labels)
    main, head = by_hand.train()(pixels)
    loss = cross_entropy(main, labels) + 0.3 * cross_entropy(head, labels)
    loss.backward()
    for name, parameter in by_hand.named_parameters():
        assert parameter.grad is not None
        expected = parameter - 0.1 * parameter.grad
        assert torch.allclose(result.network.get_parameter(name), expected, atol=1e-6)
    assert result.curve[0].train_loss == pytest.approx(loss.item(), rel=1e-5)


# --- drop path ---


def dropping(probabilities: list[float]) -> Architecture:
    g = Builder((1, 8, 8))
    x = g.conv(g.input, 4, 3, padding=1)
    for probability in probabilities:
        x = g.add(x, g.drop_path(g.relu(x), probability))
    return g.build(g.linear(g.flatten(x), 10))


@pytest.mark.parametrize("schedule", ["constant", "linear"])
def test_scheduled_drop_path_grows_linearly_to_the_architectures_own(
    monkeypatch: pytest.MonkeyPatch, schedule: str
) -> None:
    seen: list[float] = []
    forward = DropPath.forward

    def spied(self: DropPath, x: Tensor) -> Tensor:
        if self.training:
            seen.append(self.probability)
        return forward(self, x)

    monkeypatch.setattr(DropPath, "forward", spied)
    how = recipe(drop_path_schedule=schedule, epochs=2, precision="fp32")
    train(lambda: compile(dropping([0.2, 0.4])), few(40), how, seed=0)
    steps = 2 * 5
    shares = [step / steps if schedule == "linear" else 1.0 for step in range(steps)]
    assert seen == pytest.approx([p * share for share in shares for p in (0.2, 0.4)])


# --- precision ---


def test_auto_is_a_rule_of_hardware_and_network(monkeypatch: pytest.MonkeyPatch) -> None:
    resnet, mobile = (
        compile(classic(name, (3, 32, 32), 10)) for name in ("resnet20", "mobilenet_v2")
    )
    assert precision.depthwise_share(resnet.architecture) == 0
    # By the definition: each of the 17 blocks' depthwise layers against all convolutions.
    modules = [m for m in mobile.modules() if isinstance(m, nn.Conv2d)]
    assert sum(m.groups > 1 for m in modules) == 17
    assert 0.3 < precision.depthwise_share(mobile.architecture) < 0.5

    def chosen(asked: str, network: nn.Module, batch: int = 32) -> str:
        return precision.resolve_precision(asked, network, torch.device("cpu"), batch)

    for has_bf16 in (True, False):
        monkeypatch.setattr(precision, "_cpu_has_bf16", lambda has=has_bf16: has)
        assert chosen("auto", resnet) == ("bf16" if has_bf16 else "fp32")
        assert chosen("auto", mobile) == chosen("auto", linear()) == "fp32"
        # LeNet-5 has 416,520 multiply-accumulates; casts pay off from 10 million per batch.
        lenet = compile(classic("lenet5", (1, 28, 28), 10))
        assert chosen("auto", lenet, 24) == "fp32"
        assert chosen("auto", lenet, 25) == ("bf16" if has_bf16 else "fp32")
        assert [chosen(asked, mobile) for asked in ("bf16", "fp32")] == ["bf16", "fp32"]


def test_bf16_follows_fp32_within_a_band() -> None:
    """The losses of four epochs on digits, within 0.05 nats: what rounding to 8 bits does."""
    architecture = classic("resnet20", (1, 8, 8), 10)
    images = digits()
    curves = []
    for asked in ("fp32", "bf16"):
        how = recipe(precision=asked, augment=[], batch_size=32, learning_rate=2e-3)
        result = train(lambda: compile(architecture), images, how, seed=0)
        assert result.precision == asked
        assert all(p.dtype == torch.float32 for p in result.network.parameters())
        curves.append([epoch.train_loss for epoch in result.curve])
    assert curves[0] != curves[1]
    assert np.allclose(curves[0], curves[1], atol=0.05), curves


@pytest.mark.parametrize(
    ("channels", "side", "expected"),
    [(3, 64, True), (15, 46, True), (16, 64, False), (3, 32, False)],
)
def test_what_crashes_with_channels_last(channels: int, side: int, expected: bool) -> None:
    g = Builder((channels, side, side))
    x = g.relu(g.conv(g.input, 8, kernel=1, stride=2))
    assert crashes(g.build(g.linear(g.global_pool(x), 10))) == expected


@pytest.mark.parametrize(("side", "expected"), [(64, True), (32, False)])
def test_where_the_networks_are_not_known_the_images_decide(side: int, expected: bool) -> None:
    assert crashes((3, side, side)) == expected


def test_a_network_that_would_crash_is_trained(tmp_path: Path) -> None:
    """The process fills freed memory, so that it crashes if any is used that is not its own."""
    g = Builder((1, 64, 64))
    x = g.conv(g.conv(g.input, 3, kernel=3, padding=1), 8, kernel=1, stride=2)
    network = g.build(g.linear(g.global_pool(g.relu(x)), 10))
    (tmp_path / "network.json").write_text(network.to_json())
    images = "{name: digits, resolution: 64, split: {train: 0.3, validation: 0.1, test: 0.6}}"
    subprocess.run(
        [sys.executable, "-m", "nas.cli", "train", "network.json", "--data", images,
         "--recipe", "quick", "--set", "epochs=1", "precision=fp32", "--threads", "1"],
        cwd=tmp_path, env=os.environ | {"MALLOC_PERTURB_": "165"}, check=True,
    )  # fmt: skip
