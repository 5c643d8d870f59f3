"""A child inherits what it would share with its parent in a bank."""

from typing import Any

import numpy as np
import pytest
import torch

import nas
from nas.architecture.network import Network, compile
from nas.supernet.bank import Bank
from nas.supernet.inheritance import inherit
from nas.supernet.member import Member

SPACES: dict[str, dict[str, Any]] = {
    "nasbench201": {"channels": 4, "cells": 1},
    "natsbench_size": {"channels": [4, 6, 8]},
    "mobilenetv3_ofa": {"width_multiplier": 0.25},
    "primitives": {},
}


def filled(network: Network, value: float) -> Network:
    with torch.no_grad():
        for each in network.state_dict().values():
            each.fill_(value)
    return network


@pytest.mark.parametrize("name", SPACES)
def test_a_child_inherits_what_a_bank_shares(name: str) -> None:
    space = nas.space(name, input_shape=(3, 32, 32), classes=10, **SPACES[name])
    rng = np.random.default_rng(1)
    genotype = space.sample(rng)
    for other in (space.mutate(genotype, rng), space.sample(rng)):
        parent, child = space.decode(genotype), space.decode(other)
        network, weights = filled(compile(child), 0), filled(compile(parent), 1).state_dict()
        started = inherit(network, parent, weights)
        bank = Bank()
        before, after = Member(bank, parent), Member(bank, child)
        with torch.no_grad():
            for value, member in enumerate((after, before)):
                for tensor in member.weights().values():
                    tensor.fill_(value)
        expected = after.weights()
        assert all(torch.equal(expected[key], each) for key, each in network.state_dict().items())
        ones = {key: int(each.sum()) for key, each in network.named_parameters()}
        assert started.params == sum(ones.values()) > 0
        assert list(started.drawn) == [key for key, count in ones.items() if not count]
