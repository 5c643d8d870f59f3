"""Shared weights are those of the networks that they are shared by."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import nas
from nas.architecture.builder import Builder
from nas.architecture.graph import Architecture
from nas.supernet.bank import Bank, Slot, part, tensors
from nas.supernet.covering import covering
from nas.supernet.member import Member
from nas.supernet.mixing import plain_norms

DATA = Path(__file__).parents[3] / "shared" / "data" / "nas"

SPACES: dict[str, dict[str, Any]] = {
    "nasbench201": {"channels": 4, "cells": 1},
    "nasbench101": {"channels": 8},
    "darts": {"channels": 4, "cells": 4},
    "amoebanet": {"channels": 4},
    "enas": {"channels": 4},
    "hierarchical": {"channels": 4},
    "primitives": {},
    "mobilenetv3_ofa": {},
    "natsbench_size": {},
}


def run(network: nn.Module, x: Tensor) -> list[Tensor]:
    """The outputs in training mode, after their gradients were computed."""
    torch.manual_seed(1)
    found = network(x)
    outputs = list(found) if isinstance(found, tuple) else [found]
    torch.stack([each.square().mean() for each in outputs]).sum().backward()
    return outputs


@pytest.mark.parametrize("name", SPACES)
def test_a_member_is_its_compiled_network_bit_for_bit(name: str) -> None:
    space = nas.space(name, input_shape=(3, 32, 32), classes=10, **SPACES[name])
    rng = np.random.default_rng(3)
    bank = Bank("transformed" if name == "mobilenetv3_ofa" else "own")
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for _ in range(2):
        member = Member(bank, space.decode(space.sample(rng)))
        if member.architecture.cost.macs > 3e8:
            continue
        network = member.network()
        bank.zero_grad()
        for mine, theirs in zip(run(member, x), run(network, x), strict=True):
            assert torch.equal(mine, theirs)
        if bank.kernels == "own":  # otherwise they are those of matrices, too
            gradients = {name: p.grad for name, p in network.named_parameters()}
            found = dict(_gradients(bank, member.architecture))
            assert found.keys() == gradients.keys()
            for parameter, gradient in gradients.items():
                assert gradient is None or torch.equal(found[parameter], gradient)
        state = network.state_dict()  # with the statistics that this step has changed
        assert all(torch.equal(state[key], value) for key, value in member.weights().items())
        assert torch.equal(member.eval()(x), network.eval()(x))


def _gradients(bank: Bank, architecture: Architecture) -> Iterator[tuple[str, Any]]:
    """The parts of the bank's gradients that are those of a member, by its parameters' names."""
    for node in architecture.nodes:
        inputs = tuple(architecture.shapes[each] for each in node.inputs)
        made = node.operation.module(inputs)
        for name, own in tensors(made).items() if made is not None else ():
            if isinstance(own, nn.Parameter):
                shared = getattr(bank, Slot.of(node.name, node.operation, inputs).named(name))
                gradient = None if shared.grad is None else part(shared.grad, tuple(own.shape))
                yield f"{node.name}.{name}" if name else node.name, gradient


def conv(channels: int, kernel: int = 3, groups: int = 1, width: int = 8) -> Architecture:
    g = Builder((3, 8, 8))
    x = g.conv(g.input, width, 3, padding=1, name="stem")
    x = g.conv(x, channels, kernel, padding=kernel // 2, groups=groups, name="body")
    return g.build(g.linear(g.global_pool(x), 10, name="head"))


def test_smaller_operations_take_the_first_channels() -> None:
    bank = Bank()
    large, small = Member(bank, conv(6)).weights(), Member(bank, conv(4, width=5)).weights()
    assert torch.equal(small["body.weight"], large["body.weight"][:4, :5])
    assert torch.equal(small["body.bias"], large["body.bias"][:4])
    assert small["body.weight"].data_ptr() == large["body.weight"].data_ptr()


def test_a_bank_that_grows_keeps_what_it_has() -> None:
    bank = Bank()
    before = Member(bank, conv(4, width=8)).weights()["body.weight"].detach().clone()
    Member(bank, conv(6, width=5))
    assert bank.take(Slot.of("body", *_body(conv(6))), "weight", (6, 8, 3, 3)).shape[0] == 6
    assert torch.equal(Member(bank, conv(4, width=8)).weights()["body.weight"], before)


def _body(architecture: Architecture) -> Any:
    (node,) = (each for each in architecture.nodes if each.name == "body")
    return node.operation, tuple(architecture.shapes[name] for name in node.inputs)


def test_initial_values_do_not_depend_on_the_order() -> None:
    one, other = Bank(seed=5), Bank(seed=5)
    first = [Member(one, conv(6)), Member(one, conv(6, 5))]
    second = [Member(other, conv(6, 5)), Member(other, conv(6))]
    for mine, theirs in zip(first, reversed(second), strict=True):
        for name, value in mine.weights().items():
            assert torch.equal(value, theirs.weights()[name])
    assert not torch.equal(
        Member(Bank(seed=6), conv(6)).weights()["body.weight"], first[0].weights()["body.weight"]
    )


def test_initial_values_follow_the_scheme() -> None:
    bank = Bank(initialization="kaiming_normal")
    weights = Member(bank, conv(64, width=64)).weights()
    assert weights["body.weight"].std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)
    assert not weights["body.bias"].any()
    assert not weights["head.bias"].any()


def test_grouped_convolutions_share_if_they_are_depthwise_or_equal() -> None:
    bank = Bank()
    Member(bank, conv(8, groups=8))
    size = bank.size
    Member(bank, conv(4, groups=4, width=4))  # depthwise: a part of the first
    assert bank.size == size
    Member(bank, conv(8, groups=2))
    with_two = bank.size
    Member(bank, conv(4, groups=2, width=4))  # its groups would be those of other channels
    assert bank.size > with_two
    before = bank.size
    Member(bank, conv(16, groups=8))  # two outputs for each input; those of one input lie together
    assert bank.size - before >= 16 * 9


def test_kernels_are_own_or_centres() -> None:
    own, centre = Bank("own"), Bank("centre")
    for bank in (own, centre):
        Member(bank, conv(8, 5))
        Member(bank, conv(8, 3))
    assert own.size - centre.size == 8 * 8 * 9 + 8  # the smaller one, with its bias
    large, small = (Member(centre, conv(8, k)).weights()["body.weight"] for k in (5, 3))
    assert torch.equal(small, large[:, :, 1:4, 1:4])


@pytest.fixture
def filled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Memory that nobody wrote to holds NaN, so whoever reads it is found."""
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("kernels", ["own", "transformed"])
def test_a_small_bank_loads_the_state_of_a_large_one(kernels: Any) -> None:
    large, small = Bank(kernels, seed=1), Bank(kernels, seed=2)
    members = [conv(8, kernel, 8) for kernel in (7, 5, 3)]
    for architecture in members:
        Member(large, architecture)
    for parameter in large.parameters():
        torch.nn.init.normal_(parameter)
    Member(small, conv(4, 5, 4, width=4))
    small.load_state_dict(large.state_dict())
    for architecture in (*members, conv(4, 3, 4, width=4)):
        expected = Member(large, architecture).weights()
        for name, value in Member(small, architecture).weights().items():
            assert torch.equal(value, expected[name])
    other = Bank(kernels)
    Member(other, plain_norms(conv(16, 3, 16, width=16)))
    with pytest.raises(RuntimeError, match="size mismatch"):
        other.load_state_dict(large.state_dict())


def test_counts_of_once_for_all() -> None:
    """Cai et al.'s MobileNetV3 supernet: 7,664,760 parameters, and 14,120 of kernel transforms."""
    space = nas.space("mobilenetv3_ofa", input_shape=(3, 224, 224), classes=1000)
    bank = Bank("transformed")
    for architecture in covering(space):
        Member(bank, architecture)
    assert (bank.size, bank.transforms) == (7_664_760, 14_120)
    rng = np.random.default_rng(0)
    for _ in range(20):
        Member(bank, space.decode(space.sample(rng)))
    assert bank.size == 7_664_760


@pytest.mark.skipif(not DATA.exists(), reason="the reference values are not at hand")
@pytest.mark.parametrize("width", [1.0, 1.2])
def test_members_of_once_for_all_are_its_sub_networks(width: float) -> None:
    table = pd.read_csv(DATA / "ofa_subnet_counts.csv").query(f"supernet == 'mbv3_w{width}'")
    assert len(table) == 44
    bank = Bank("transformed")
    for row in table.itertuples():
        kernels, expansions, depths = (
            [given] * count if isinstance(given := json.loads(str(text)), int) else given
            for text, count in ((row.kernel_sizes, 20), (row.expansions, 20), (row.depths, 5))
        )
        genotype = {}
        for stage, depth in enumerate(depths, 1):
            genotype[f"stage{stage}.depth"] = depth
            for layer in range(depth):
                place = 4 * (stage - 1) + layer
                genotype[f"stage{stage}.layer{layer}.kernel"] = kernels[place]
                genotype[f"stage{stage}.layer{layer}.expansion"] = expansions[place]
        shape = (3, row.resolution, row.resolution)
        space = nas.space("mobilenetv3_ofa", shape, 1000, width_multiplier=width)
        member = Member(bank, space.decode(genotype))
        learned = (
            tensor for name, tensor in member.weights().items()
            if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))
        )  # fmt: skip
        assert sum(tensor.numel() for tensor in learned) == row.params
        assert member.architecture.cost.macs == row.macs
    assert bank.size == table.params.max()


def test_count_of_single_path_one_shot() -> None:
    """The supernet of megvii-model/SinglePathOneShot, whose batch norms have no factors."""
    bank = Bank()
    for architecture in covering(nas.space("spos", (3, 224, 224), 1000)):
        Member(bank, plain_norms(architecture))
    assert bank.size == 8_388_176


@pytest.mark.skipif(not DATA.exists(), reason="the reference values are not at hand")
def test_elastic_operations_of_once_for_all() -> None:
    reference = np.load(DATA / "ofa_elastic_ops_reference.npz")
    known = {name: torch.from_numpy(reference[name]) for name in reference}
    bank = Bank("transformed")
    members = {}
    for channels in (8, 5):
        for kernel in (7, 5, 3):
            g = Builder((channels, 9, 9))
            x = g.conv(
                g.input, channels, kernel, padding=kernel // 2, groups=channels, bias=False,
                name="separable",
            )  # fmt: skip
            members[channels, kernel] = Member(bank, g.build(x))
    (whole,) = (p for name, p in bank.named_parameters() if p.shape == (8, 1, 7, 7))
    with torch.no_grad():
        whole.copy_(known["separable.conv.weight"])
        for name, parameter in bank.named_parameters():
            for kernels, matrix in (("5x5", "7to5"), ("3x3", "5to3")):
                if name.endswith(f"to{kernels}"):
                    parameter.copy_(known[f"separable.{matrix}_matrix"])
    for (channels, kernel), member in members.items():
        label = f"c{channels}.k{kernel}"
        filters = member.weights()["separable.weight"]
        assert torch.allclose(filters, known[f"separable.filter.{label}"], atol=1e-6)
        found = member(known["x"][:, :channels])
        assert torch.allclose(found, known[f"separable.out.{label}"], atol=1e-6)
