"""The size space of NATS-Bench: its count, its strings, and costs from the benchmark's records."""

from itertools import islice
from typing import Any

import numpy as np
import pytest

import nas
from nas.errors import InputError
from nas.spaces.search_space import SearchSpace, Size
from tests.spaces.families.test_edge_cell import published_flops

CIFAR10 = ((3, 32, 32), 10)
CIFAR100 = ((3, 32, 32), 100)
IMAGENET16 = ((3, 16, 16), 120)


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return nas.space("natsbench_size")


# Parameters and FLOPs in the benchmark's own records: the sample of NATS-sss-v1_0-50262-simple in
# D-X-Y/NATS-Bench, and its notebook create-query-sss for 8:8:8:16:40.
@pytest.mark.parametrize(
    ("text", "data", "params", "flops"),
    [
        ("8:8:8:8:8", CIFAR10, 11_714, 4_481_114),
        ("8:8:8:8:8", CIFAR100, 12_524, 4_481_924),
        ("8:8:8:8:8", IMAGENET16, 12_704, 1_121_336),
        ("8:8:8:16:32", CIFAR10, 49_202, 6_840_650),
        ("8:8:8:16:32", CIFAR100, 52_172, 6_843_620),
        ("8:8:8:16:32", IMAGENET16, 52_832, 1_714_040),
        ("8:8:8:16:40", CIFAR10, 67_378, 7_991_706),
        ("8:8:40:32:40", CIFAR10, 144_834, 21_827_994),
        ("8:8:40:32:40", CIFAR100, 148_524, 21_831_684),
        ("8:8:40:32:40", IMAGENET16, 149_344, 5_461_816),
    ],
)
def test_costs_are_those_of_the_records(text: str, data: Any, params: int, flops: int) -> None:
    space = nas.space("natsbench_size", *data)
    cost = space.decode(space.from_string(text)).cost
    assert (cost.params, published_flops(cost, data[1])) == (params, flops)


def test_there_are_as_many_as_in_the_paper(space: SearchSpace) -> None:
    assert space.size() == Size(8**5, exact=True) == Size(32_768, exact=True)


def test_enumeration_is_in_the_order_of_the_benchmarks_indices(space: SearchSpace) -> None:
    strings = [space.to_string(genotype) for genotype in islice(space.enumerate(), 300)]
    known = {0: "8:8:8:8:8", 11: "8:8:8:16:32", 12: "8:8:8:16:40", 284: "8:8:40:32:40"}
    assert {index: strings[index] for index in known} == known


def test_the_largest(space: SearchSpace) -> None:
    """Counted by hand: 64 channels everywhere, five convolutions of 3x3 in a cell, two in a block.

    A norm follows every convolution but the block's 1x1 shortcut, and one closes the network.
    """
    genotype = space.member("largest")
    assert space.to_string(genotype) == "64:64:64:64:64"
    conv, norm = 9 * 64 * 64, 2 * 64
    cells = 3 * 5 * (conv + norm)
    blocks = 2 * (2 * (conv + norm) + 64 * 64)
    stem = 9 * 3 * 64 + norm
    found = space.decode(genotype).cost.params
    assert found == stem + cells + blocks + norm + 64 * 10 + 10 == 713_674


def test_nodes_have_the_paths_of_the_authors_state_dict(space: SearchSpace) -> None:
    architecture = space.decode(space.from_string("8:8:16:16:16"))
    with_weights = {n.name for n in architecture.nodes if n.operation.kind in ("conv", "linear")}
    cell = {f"layers.{layer}.op.1" for layer in (0, 1, 2, 4, 5)}  # edge 0-3, a skip, is layer 3
    block = {"conv_a.op.1", "conv_b.op.1", "downsample.1"}
    assert with_weights == {
        "stem.0",
        *(f"cells.{position}.{name}" for position in (0, 2, 4) for name in cell),
        *(f"cells.{position}.{name}" for position in (1, 3) for name in block),
        "cells.2.layers.3.conv",  # which widens
        "classifier",
    }


def test_doubling_at_every_block_is_a_cell_of_the_topology_space(space: SearchSpace) -> None:
    topology = nas.space("nasbench201", cells=1)
    cell = topology.from_string(
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+"
        "|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    )
    sizes = space.from_string("16:32:32:64:64")
    assert space.decode(sizes).fingerprint == topology.decode(cell).fingerprint


def test_every_genotype_is_another_architecture() -> None:
    few = nas.space("natsbench_size", channels=[1, 2, 3])
    identities = {few.identity(genotype) for genotype in few.enumerate()}
    assert len(identities) == few.size().count == 3**5


def test_strings(space: SearchSpace) -> None:
    genotype = space.sample(np.random.default_rng(0))
    assert space.from_string(space.to_string(genotype)) == genotype
    for text, said in [
        ("8:8:8:8", "the channels of 5 layers with colons between, got '8:8:8:8'"),
        ("8:8:8:8:x", "got '8:8:8:8:x'"),
        ("8:8:8:8:7", "choice 'layer4.channels': 7 is not an option; allowed: 8, 16"),
    ]:
        with pytest.raises(InputError, match=said):
            space.from_string(text)


@pytest.mark.parametrize(
    ("cell", "parts"),
    [
        ({}, ["cell: must have an edge"]),
        ({"edge1-0": "skip_connect"}, ["cell.edge1-0", "to a later one"]),
        ({"edge0-1": "skip_connect", "edge2-3": "skip_connect"}, ["cell.edge2-3", "enters"]),
        ({"edge0-1": "none"}, ["cell.edge0-1", "unknown block 'none'", "nor_conv_3x3"]),
        ({"edge01": "skip_connect"}, ["cell.edge01", "pattern"]),
    ],
)
def test_a_mistake_in_the_cell_is_named(cell: dict[str, str], parts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        nas.space("natsbench_size", cell=cell)
    for part in ["natsbench_size.yaml", *parts]:
        assert part in str(caught.value)
