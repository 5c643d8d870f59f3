import math
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from nas.training import data, loop, optimization
from nas.training.batches import batch_bounds
from nas.training.curve import Diverged, Epoch
from nas.training.data import Part, SearchData
from nas.training.loop import train
from nas.training.recipe import Recipe, resolve

SPLIT = {"train": 0.6, "validation": 0.2, "test": 0.2}

SGD = {
    "preset": "quick",
    "epochs": 8,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "weight_decay": 5e-4,
    "gradient_clip": None,
    "initialization": "default",
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def digits() -> SearchData:
    return data.search_data(data.resolve({"name": "digits", "split": SPLIT}))


def recipe(**overrides: Any) -> Recipe:
    return resolve({**SGD, **overrides})


def small() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(512, 10),
    )


def linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


class Watched(nn.Module):
    """A network that keeps what it was given in training."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = linear()
        self.batches: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            self.batches.append(images.clone())
        scores: Tensor = self.inner(images)
        return scores


def few(n_train: int, n_validation: int = 3, seed: int = 0) -> SearchData:
    rng = np.random.default_rng(seed)

    def part(n: int) -> Part:
        return Part(rng.integers(0, 256, (n, 1, 8, 8), dtype=np.uint8), rng.integers(0, 10, n))

    return SearchData(part(n_train), part(n_validation), (0.0,), (255.0,), 10, "")


# --- learning ---


def test_a_small_network_learns_the_digits(digits: SearchData) -> None:
    heard: list[Epoch] = []
    result = train(small, digits, recipe(epochs=4), seed=0, on_epoch=heard.append)
    assert result.curve == tuple(heard)
    assert [epoch.epoch for epoch in heard] == [1, 2, 3, 4]
    assert heard[-1].validation["accuracy"] > 0.95
    assert heard[-1].train_loss < heard[0].train_loss
    assert result.train_seconds == pytest.approx(sum(epoch.train_seconds for epoch in heard))
    assert all(epoch.evaluation_seconds > 0 for epoch in heard)
    # The curve's last point, by hand.
    images = torch.from_numpy(digits.validation.images).float()
    with torch.no_grad():
        scores = result.network((images - digits.mean[0]) / digits.std[0])
    labels = torch.from_numpy(digits.validation.labels)
    accuracy = (scores.argmax(1) == labels).double().mean().item()
    assert heard[-1].validation["accuracy"] == pytest.approx(accuracy, abs=1e-9)
    loss = -log_softmax(scores, 1)[range(len(labels)), labels].mean().item()
    assert heard[-1].validation["loss"] == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize("augment", [[], ["shift", "flip", "mixup"]], ids=["plain", "augmented"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_seed_decides_all(digits: SearchData, augment: list[str], optimizer: str) -> None:
    how = recipe(epochs=2, augment=augment, optimizer=optimizer, learning_rate=0.01)

    def run(seed: int) -> tuple[list[list[float]], list[Tensor]]:
        result = train(small, digits, how, seed)
        curve = [[e.train_loss, *e.validation.values()] for e in result.curve]
        return curve, list(result.network.state_dict().values())

    curve, weights = run(3)
    torch.rand(5)  # the global generator plays no part
    again, weights_again = run(3)
    assert curve == again
    assert all(torch.equal(a, b) for a, b in zip(weights, weights_again, strict=True))
    assert curve != run(4)[0]


def test_global_random_state_is_left_alone(digits: SearchData) -> None:
    before = torch.get_rng_state()
    train(small, digits, recipe(epochs=1), seed=0)
    assert torch.equal(before, torch.get_rng_state())

    def stop(epoch: Epoch) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(small, digits, recipe(epochs=1), seed=0, on_epoch=stop)
    assert torch.equal(before, torch.get_rng_state())


def test_initial_weights_are_torchs_under_a_seed_of_their_own() -> None:
    still = recipe(epochs=1, learning_rate=1e-30, weight_decay=0.0, warmup_epochs=0.0)
    one, other = (
        list(train(build, few(8), still, seed=7).network.parameters())
        for build in (linear, lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))
    )
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert one[0].abs().max() <= 1 / 8  # torch's default: uniform within 1 / sqrt(fan in)


def test_the_order_of_images_does_not_depend_on_the_network() -> None:
    class Larger(Watched):
        def __init__(self) -> None:
            super().__init__()
            self.more = nn.Linear(100, 100)

    seen = []
    for kind in (Watched, Larger):
        network = train(kind, few(40), recipe(epochs=2), seed=1).network
        assert isinstance(network, Watched)
        seen.append(torch.cat(network.batches))
    assert torch.equal(seen[0], seen[1])


def test_divergence_is_named_with_its_epoch(digits: SearchData) -> None:
    how = recipe(epochs=3, learning_rate=1e30, warmup_epochs=0.0)
    with pytest.raises(Diverged, match="epoch 1: the training loss is nan"):
        train(small, digits, how, seed=0)


# --- batches ---


@given(images=st.integers(2, 500), batch_size=st.integers(2, 130))
def test_batches_hold_every_image_and_never_one_alone(images: int, batch_size: int) -> None:
    bounds = batch_bounds(images, batch_size)
    assert [i for first, last in bounds for i in range(first, last)] == list(range(images))
    sizes = [last - first for first, last in bounds]
    assert min(sizes) >= 2
    assert max(sizes) <= batch_size + 1
    assert sizes[:-1] == [batch_size] * (len(sizes) - 1)


def test_every_epoch_sees_every_image_once_in_an_order_of_its_own() -> None:
    how = recipe(epochs=2, batch_size=4, augment=[])
    pool = few(13)  # 4 + 4 + 5
    network = train(Watched, pool, how, seed=0).network
    assert isinstance(network, Watched)
    assert [len(batch) for batch in network.batches] == [4, 4, 5] * 2
    epochs = [torch.cat(network.batches[:3]), torch.cat(network.batches[3:])]
    expected = {image.tobytes() for image in pool.train.images}
    for images in epochs:
        as_bytes = (images * 255).round().to(torch.uint8).numpy()
        assert {image.tobytes() for image in as_bytes} == expected
    assert not torch.equal(epochs[0], epochs[1])


def test_batch_norm_never_sees_a_batch_of_one() -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 10))

    train(build, few(9, n_validation=1), recipe(epochs=1, batch_size=4), seed=0)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        build()(torch.zeros(1, 1, 8, 8))


# --- one step, by hand ---


def one_step(pool: SearchData, how: Recipe) -> tuple[float, list[Tensor], list[Tensor]]:
    """(loss, weights before, weights after) of a single step on the whole of ``pool``."""
    before: list[Tensor] = []

    def build() -> nn.Module:
        network = linear()
        before.extend(p.detach().clone() for p in network.parameters())
        return network

    result = train(build, pool, how, seed=0)
    return result.curve[0].train_loss, before, [p.detach() for p in result.network.parameters()]


def closed_form(
    pool: SearchData, before: list[Tensor], smoothing: float
) -> tuple[float, Tensor, Tensor]:
    """(loss, weight gradient, bias gradient) of softmax regression, in doubles."""
    x = torch.from_numpy(pool.train.images).double().flatten(1) / 255
    weight, bias = (p.double() for p in before)
    scores = x @ weight.T + bias
    truth = torch.eye(10).double()[torch.from_numpy(pool.train.labels)]
    target = (1 - smoothing) * truth + smoothing / 10
    loss = -(target * log_softmax(scores, 1)).sum(1).mean().item()
    error = (scores.softmax(1) - target) / len(x)
    return loss, error.T @ x, error.sum(0)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("decay_all", [False, True])
@pytest.mark.parametrize("clip", [None, 0.01])
def test_a_step_of_sgd_is_the_closed_form(
    smoothing: float, decay_all: bool, clip: float | None
) -> None:
    pool = few(20)
    how = recipe(
        epochs=1,
        batch_size=20,
        schedule="constant",
        warmup_epochs=0.0,
        learning_rate=0.5,
        momentum=0.9,
        weight_decay=0.1,
        decay_norm_and_bias=decay_all,
        label_smoothing=smoothing,
        gradient_clip=clip,
        augment=[],
    )
    loss, before, after = one_step(pool, how)
    expected, *gradients = closed_form(pool, before, smoothing)
    assert loss == pytest.approx(expected, rel=1e-5)
    norm = math.sqrt(sum(float((g**2).sum()) for g in gradients))
    scale = min(1.0, clip / norm) if clip else 1.0
    assert clip is None or scale < 1
    for old, new, gradient, decays in zip(before, after, gradients, (True, decay_all), strict=True):
        # Nesterov's first step: the gradient and 0.9 of the same in the momentum.
        step = 1.9 * (gradient * scale + (0.1 * old if decays else 0))
        assert torch.allclose(new.double(), old - 0.5 * step, atol=1e-6)


def test_a_step_of_adamw_is_the_closed_form() -> None:
    pool = few(20)
    how = recipe(
        epochs=1,
        batch_size=20,
        optimizer="adamw",
        schedule="constant",
        warmup_epochs=0.0,
        learning_rate=0.01,
        weight_decay=0.5,
        augment=[],
    )
    _, before, after = one_step(pool, how)
    _, *gradients = closed_form(pool, before, 0.0)
    for old, new, g, decays in zip(before, after, gradients, (True, False), strict=True):
        # The first step: both moments are unbiased to g and g squared.
        expected = old * (1 - 0.01 * 0.5 * decays) - 0.01 * g / (g.abs() + 1e-8)
        assert torch.allclose(new.double(), expected, atol=1e-5)


def test_adamw_is_torchs_fused_one_bit_for_bit() -> None:
    """Also if gradients come and go, and after torch's or its own state was loaded."""
    ours = small()
    theirs = deepcopy(ours)
    how = recipe(optimizer="adamw", weight_decay=0.1, momentum=0.8)
    mine = optimization.make_optimizer(ours, how)
    torchs = torch.optim.AdamW(optimization.make_optimizer(theirs, how).param_groups)
    generator = torch.Generator().manual_seed(0)
    for step in range(14):
        pairs = zip(ours.parameters(), theirs.parameters(), strict=True)
        for number, (one, other) in enumerate(pairs):
            gradient = torch.randn(one.shape, generator=generator)
            missing = number in (3, 4) and step in (0, 5, 6)
            one.grad, other.grad = [None if missing else gradient.clone() for _ in range(2)]
        if step in (8, 11):
            mine.load_state_dict(deepcopy((torchs if step == 8 else mine).state_dict()))
        for group in (*mine.param_groups, *torchs.param_groups):
            group["lr"] = 0.01 / (step + 1)
        mine.step()
        torchs.step()
        assert all(map(torch.equal, ours.parameters(), theirs.parameters())), step
    states = (optimizer.state_dict()["state"] for optimizer in (mine, torchs))
    for one, other in zip(*(state.values() for state in states), strict=True):
        assert all(torch.equal(one[key], other[key]) for key in other)


def test_norms_and_biases_are_in_the_group_without_decay() -> None:
    network = small()
    decayed, kept = optimization.make_optimizer(network, recipe(weight_decay=0.3)).param_groups
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.3, 0.0)
    names = {id(p): name for name, p in network.named_parameters()}
    assert [names[id(p)] for p in decayed["params"]] == ["0.weight", "3.weight", "8.weight"]
    assert len(decayed["params"]) + len(kept["params"]) == len(names)


def test_the_schedule_reaches_the_optimizer(monkeypatch: pytest.MonkeyPatch) -> None:
    how = recipe(epochs=3, batch_size=8)
    rates = []
    step = torch.optim.SGD.step

    def spied(optimizer: torch.optim.SGD, *args: Any) -> Any:
        rates.append({group["lr"] for group in optimizer.param_groups})
        return step(optimizer, *args)

    monkeypatch.setattr(torch.optim.SGD, "step", spied)
    train(linear, few(40), how, seed=0)
    assert rates == [{how.learning_rate_at(i, 5)} for i in range(15)]


def test_validation_images_are_not_augmented(digits: SearchData) -> None:
    network = train(linear, digits, recipe(epochs=1), seed=0).network
    first, second = (loop.measure(network, digits.validation, digits) for _ in range(2))
    assert first == second


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_the_same_code_trains_on_a_gpu(digits: SearchData) -> None:
    augment = [{"name": "shift", "pixels": 1}]
    result = train(small, digits, recipe(epochs=4, augment=augment), seed=0, device="cuda")
    assert result.curve[-1].validation["accuracy"] > 0.9
