import math
from typing import Any

import pytest
import torch
from torch import nn

from nas.architecture.network import compile
from nas.classics import classic
from nas.errors import InputError
from nas.training.initialization import initialize
from nas.training.loop import train
from nas.training.recipe import resolve
from tests.training.test_loop import few

SCHEMES = [f"{name}_{shape}" for name in ("kaiming", "xavier") for shape in ("normal", "uniform")]


def drawn(module: Any, scheme: Any, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    initialize(module, scheme)
    return module


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("module", "fan_in", "fan_out"),
    [
        (nn.Linear(300, 200), 300, 200),
        (nn.Conv2d(64, 100, (3, 5)), 64 * 15, 100 * 15),
        (nn.Conv1d(64, 128, 7, groups=2), 32 * 7, 128 * 7),  # torch's fan-out: groups or not
        (nn.Conv3d(16, 32, 3), 16 * 27, 32 * 27),
        (nn.ConvTranspose2d(64, 48, 4), 64 * 16, 48 * 16),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_standard_deviation_in_closed_form(
    scheme: str, module: Any, fan_in: int, fan_out: int
) -> None:
    """He et al. 2015, eq. 10; Glorot & Bengio 2010, eqs. 12 and 16."""
    weight = drawn(module, scheme).weight.detach()
    variance = 2 / fan_in if scheme.startswith("kaiming") else 2 / (fan_in + fan_out)
    deviation = math.sqrt(variance)
    n = weight.numel()
    assert weight.std().item() == pytest.approx(deviation, rel=4 / math.sqrt(2 * n))
    assert abs(weight.mean().item()) < 4 * deviation / math.sqrt(n)
    assert not module.bias.any()
    # The fourth moment tells the shapes apart: 3 (normal) and 9/5 (uniform) of the squared second.
    kurtosis = (weight**4).mean().item() / weight.var().item() ** 2
    assert kurtosis == pytest.approx(3.0 if scheme.endswith("normal") else 1.8, rel=0.1)
    if scheme.endswith("uniform"):
        assert weight.abs().max().item() <= math.sqrt(3) * deviation * (1 + 1e-6)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_seed_decides(scheme: str) -> None:
    first, again, other = (drawn(nn.Conv2d(3, 8, 3), scheme, seed) for seed in (5, 5, 6))
    assert torch.equal(first.weight, again.weight)
    assert not torch.equal(first.weight, other.weight)


def test_the_default_and_other_parameters_are_left_alone() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.LayerNorm(4))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state = torch.get_rng_state()
    initialize(network, "default")
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[n]) for n, tensor in network.state_dict().items())
    initialize(network, "xavier_normal")
    differ = {n for n, tensor in network.state_dict().items() if not torch.equal(tensor, before[n])}
    assert differ == {"0.weight"}


def test_the_paper_of_alexnet_says_what_is_drawn() -> None:
    """Krizhevsky et al. 2012, section 5: biases of 1 feed the ReLUs positive inputs at first."""
    network = drawn(compile(classic("alexnet_2012", width=0.25)), "alexnet_2012")
    ones = {"conv2", "conv4", "conv5", "fc6", "fc7"}
    for name, parameter in network.named_parameters():
        layer, kind = name.split(".")
        if kind == "weight":
            assert parameter.std().item() == pytest.approx(0.01, rel=0.05)
        else:
            assert (parameter == float(layer in ones)).all(), name


@pytest.mark.parametrize("scheme", ["reference", "kaiming"])
def test_a_scheme_without_rules_is_refused(scheme: str) -> None:
    with pytest.raises(InputError, match=f"unknown initialization '{scheme}'"):
        initialize(nn.Linear(2, 2), scheme)


def test_the_recipe_decides_what_training_starts_from() -> None:
    """At a learning rate of next to nothing the trained weights are the initial ones."""

    def weights(seed: int = 0, **overrides: Any) -> Any:
        recipe = {"preset": "quick", "epochs": 2, "learning_rate": 1e-30, **overrides}
        recipe |= {"weight_decay": 0.0, "gradient_clip": None}
        network = train(
            lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 1000)),
            few(8),
            resolve(recipe),
            seed,
        ).network
        return network.state_dict()["1.weight"]

    default = weights(initialization="default")
    kaiming = weights(initialization="kaiming_normal")
    assert torch.equal(kaiming, weights(initialization="kaiming_normal"))
    assert not torch.equal(kaiming, weights(1, initialization="kaiming_normal"))
    assert default.std().item() == pytest.approx(math.sqrt(1 / (3 * 64)), rel=0.02)
    assert kaiming.std().item() == pytest.approx(math.sqrt(2 / 64), rel=0.02)
