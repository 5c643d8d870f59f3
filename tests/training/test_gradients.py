"""Signals through depth: the closed forms of He et al. and Glorot & Bengio, and their remedies."""

import math
from typing import Any

import pytest
import torch

from nas.architecture.builder import Builder
from nas.architecture.graph import Architecture
from nas.architecture.operations import ArchitectureError
from nas.classics import classic
from nas.training.gradients import Signal, signals

DEPTH = 20


def deep(norm: bool = False, residual: bool = False) -> Architecture:
    """A plain network of 3x3 convolutions as VGG's, or with one of the two remedies."""
    g = Builder((3, 8, 8))
    x = g.relu(g.conv(g.input, 16, 3, padding=1, name="conv1"))
    for index in range(2, DEPTH + 1):
        y = g.conv(x, 16, 3, padding="same", bias=not norm, name=f"conv{index}")
        y = g.relu(g.batch_norm(y) if norm else y)
        x = g.add(x, y) if residual else y
    return g.build(g.linear(g.global_pool(x), 10, name="fc"))


def body(found: list[Signal]) -> tuple[Signal, Signal]:
    """The second convolution and the last."""
    assert [signal.depth for signal in found] == list(range(1, DEPTH + 2))
    return found[1], found[DEPTH - 1]


@pytest.mark.parametrize("initialization", ["default", "xavier_normal", "xavier_uniform"])
def test_a_plain_network_vanishes(initialization: Any) -> None:
    first, last = body(signals(deep(), initialization))
    assert first.gradient < 1e-2 * last.gradient
    if initialization != "default":  # there biases of their own keep activations up
        assert last.activation < 1e-2 * first.activation


def test_kaiming_keeps_the_scale() -> None:
    first, last = body(signals(deep(), "kaiming_normal", batch=16))
    # Zeros at the borders of an 8x8 map and 16 channels cost a little a layer; Xavier costs 500.
    assert 1 / 30 < first.gradient / last.gradient < 30
    assert 1 / 30 < first.activation / last.activation < 30


def test_batch_norm_and_residual_connections_keep_gradients() -> None:
    for remedy in ({"norm": True}, {"residual": True}):
        first, last = body(signals(deep(**remedy), "xavier_normal"))
        assert first.gradient > last.gradient


def test_scale_a_layer_in_closed_form() -> None:
    """Variance times fan-in over 2 a layer (He et al. 2015, eqs. 9 and 14): 1/2 for Xavier here."""
    g = Builder((400,))
    x = g.input
    for index in range(8):
        x = g.linear(x if index == 0 else g.relu(x), 400, name=f"fc{index}")
    plain = g.build(g.linear(g.relu(x), 10, name="head"))
    for scheme, factor in (("xavier_normal", math.sqrt(0.5)), ("kaiming_uniform", 1.0)):
        runs = [signals(plain, scheme, seed, batch=64)[:8] for seed in range(4)]  # type: ignore[arg-type]
        activation = [sum(math.log(run[i].activation) for run in runs) / 4 for i in (1, 7)]
        gradient = [sum(math.log(run[i].gradient) for run in runs) / 4 for i in (1, 7)]
        assert (activation[1] - activation[0]) / 6 == pytest.approx(math.log(factor), abs=0.05)
        assert (gradient[0] - gradient[1]) / 6 == pytest.approx(math.log(factor), abs=0.05)
        rms = math.sqrt(1.0 if scheme == "xavier_normal" else 2.0)
        assert runs[0][0].activation == pytest.approx(rms, rel=0.03)


def test_the_seed_decides_and_the_generator_is_left_alone() -> None:
    network = deep()
    state = torch.get_rng_state()
    first, again, other = (signals(network, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert first == again != other
    assert {s.name for s in first} == {s.name for s in other}


def test_heads_are_left_out_and_branches_are_all_there() -> None:
    found = signals(classic("googlenet", (3, 64, 64), 10), batch=2)
    assert not any(signal.name.startswith("aux") for signal in found)
    assert [s.depth for s in found] == sorted(s.depth for s in found)
    assert found[-1][:2] == (22, "fc")
    assert len(found) == 58
    assert all(signal.activation > 0 and signal.gradient > 0 for signal in found)


def test_only_classifiers() -> None:
    g = Builder((3, 8, 8))
    with pytest.raises(ArchitectureError, match=r"a classifier, but the output is \(4, 8, 8\)"):
        signals(g.build(g.conv(g.input, 4, 1)))
    (signal,) = signals(g.build(g.linear(g.flatten(g.input), 4, name="only")))
    assert signal.name == "only"
