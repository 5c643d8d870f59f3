from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import nas
from nas.architecture.reference import reference_cost
from nas.blocks import BLOCKS
from nas.errors import InputError
from nas.spaces import space, spaces
from nas.spaces.choices import Genotype, Option
from nas.spaces.search_space import SearchSpace

SAMPLES = 200
PRIMITIVES = spaces()["primitives"]
PLAIN = Path(__file__).parent / "free_graph.yaml"
"""A space file that leaves out every key with a default."""

CLASSICS = [
    "lenet5", "nin", "vgg8", "inception_small", "resnet20", "se_resnet20", "mobilenet_v2",
]  # fmt: skip
"""The classics that are members of primitives."""


def written(folder: Path, **changes: Any) -> str:
    data = yaml.safe_load(PLAIN.read_text()) | changes
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return str(path)


@pytest.fixture(scope="module")
def plain() -> SearchSpace:
    return nas.space(PLAIN, input_shape=(3, 12, 12), classes=7)


@pytest.fixture(scope="module")
def primitives() -> SearchSpace:
    # Narrow networks, so that building hundreds of them takes little.
    changes = {"multiplier": [0.125, 0.25], "stages": [1, 2, 3, 4], "cells": [0, 1, 2]}
    return nas.space("primitives", input_shape=(3, 12, 12), classes=7, **changes)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (1, 16, 16)])
@pytest.mark.parametrize("width", [1.0, 0.25, 0.37, 1.5])
@pytest.mark.parametrize("name", CLASSICS)
def test_the_classics_are_members(name: str, width: float, shape: tuple[int, ...]) -> None:
    multipliers = list({1.0: None, width: None, 0.5: None})
    primitives = nas.space("primitives", shape, 10, multiplier=multipliers)
    member = primitives.decode(primitives.member(name) | {"multiplier": width})
    options = {"stem": "cifar"} if name == "mobilenet_v2" else {}
    classic = nas.classic(name, shape, 10, width=width, **options)
    assert member.fingerprint == classic.fingerprint
    assert member.cost == classic.cost


def test_all_members_are_classics() -> None:
    assert set(nas.space("primitives").members) == set(CLASSICS)


SMALL = {
    "activation": ["relu", "relu6"], "norm": ["batch", "none"], "multiplier": [0.5, 1.0],
    "rounding": [1], "stem": {"kernel": [1, 3], "stride": [1, 2]}, "stages": [1, 2], "width": [4],
    "widths": ["double", 8], "graphs": ["shared", "own"], "cells": [0, 1], "nodes": [1],
    "node_widths": [None], "merge": ["add"], "output": ["add", "stack"],
    "reductions": {
        "none": {"stride": 1},
        "pool": {"block": "max_pool", "options": {"kernel": 2, "padding": 0}, "widens": False},
        "valid": {"block": "conv", "options": {"kernel": 3, "padding": 0}, "stride": 1},
    },
    "operations": {"conv": {"block": "conv"}},
    "head": {"pooling": ["mean", "conv"], "dense": [0, 1], "dense_width": [4, 8]},
    "members": {},
}  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"nodes": [1, 2], "merge": ["add", "concat"], "stages": [2], "activation": ["relu"],
         "norm": ["batch"], "multiplier": [1.0], "widths": [8], "head": {}},
        {"nodes": [2, 3], "node_widths": [None, 4], "stages": [1], "norm": ["batch"],
         "multiplier": [1.0], "activation": ["relu"], "head": {}, "cells": [1]},
    ],
)  # fmt: skip
@pytest.mark.parametrize("side", [2, 4])
def test_the_size_is_what_enumeration_counts(changes: dict[str, Any], side: int) -> None:
    found = nas.space("primitives", (1, side, side), 3, **SMALL | changes)
    size = found.size()
    assert size.exact
    assert size.count == sum(1 for _ in found.enumerate())


def test_reductions_that_do_not_fit_are_not_offered() -> None:
    found = nas.space("primitives", (1, 2, 2), 3, **SMALL)
    rng = np.random.default_rng(0)
    for _ in range(200):
        genotype = found.sample(rng)
        assert genotype.get("stage1.reduction") != "valid"
        found.decode(genotype)


@pytest.mark.slow
def test_random_architectures_run_and_cost_what_fvcore_counts(primitives: SearchSpace) -> None:
    rng = np.random.default_rng(0)
    batch = torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    fingerprints = set()
    for _ in range(SAMPLES):
        genotype = primitives.sample(rng)
        architecture = primitives.decode(genotype)
        assert architecture.cost == reference_cost(architecture).cost, genotype
        network = nas.compile(architecture)
        output = network(batch)
        assert output.shape == (2, 7)
        output.square().sum().backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, (name, genotype)
            assert parameter.grad.isfinite().all(), (name, genotype)
        fingerprints.add(architecture.fingerprint)
    assert len(fingerprints) > 0.95 * SAMPLES  # the space is not a handful of graphs


def test_every_operation_of_the_space_is_sampled(primitives: SearchSpace) -> None:
    rng = np.random.default_rng(1)
    seen = {
        answer
        for _ in range(200)
        for name, answer in primitives.sample(rng).items()
        if name.endswith("operation")
    }
    assert seen == set(yaml.safe_load(PRIMITIVES.read_text())["operations"])


@pytest.mark.parametrize("shape", [(1, 24), (2, 12, 20), (1, 12, 12, 12)])
def test_sequences_images_and_volumes(shape: tuple[int, ...]) -> None:
    small = {"multiplier": [0.125], "stages": [1, 2, 3]}
    primitives = nas.space("primitives", input_shape=shape, classes=3, **small)
    rng = np.random.default_rng(2)
    for _ in range(5):
        architecture = primitives.decode(primitives.sample(rng))
        assert architecture.output_shape == (3,)
        assert nas.compile(architecture)(torch.randn(2, *shape)).shape == (2, 3)
        assert architecture.cost == reference_cost(architecture).cost


def test_loose_ends_and_merges() -> None:
    genotype = {
        "stages": 2, "width": 8, "stage0.cells": 1, "stage1.cells": 1, "cell.nodes": 2,
        "cell.node0.operation": "identity", "cell.node0.input": "input",
        "cell.node0.second_input": None,
        "cell.node1.operation": "identity", "cell.node1.input": "input",
        "cell.node1.second_input": None,
        "cell.output": "add",
    }  # fmt: skip
    primitives = nas.space(PLAIN, (1, 8, 8), 2)
    added = primitives.decode(genotype)
    assert sum(node.operation.kind == "add" for node in added.nodes) == 2
    joined = primitives.decode(genotype | {"cell.output": "concat"})
    extra = sum(2 * c * c + 2 * c for c in (8, 16))  # a 1x1 convolution 2c -> c and its norm
    assert joined.cost.params == added.cost.params + extra


def asked(space: SearchSpace, genotype: Genotype) -> dict[str, tuple[Option, ...]]:
    """The options that every choice of a genotype was asked with."""
    options: dict[str, tuple[Option, ...]] = {}

    def answer(name: str, given: tuple[Option, ...]) -> Option:
        options[name] = given
        return genotype[name]

    space.run(answer)
    return options


def test_mutation_of_a_cell_changes_one_choice_and_what_hangs_on_it(
    plain: SearchSpace,
) -> None:
    rng = np.random.default_rng(3)
    genotype = plain.sample(rng)
    for _ in range(50):
        child = plain.mutate(genotype, rng)
        before, after = asked(plain, genotype), asked(plain, child)
        both = [name for name in after if before.get(name) == after[name]]
        changed = [name for name in after if name in both and child[name] != genotype[name]]
        assert len(changed) == 1
        kept = [name for name in after if genotype.get(name, ...) in after[name]]
        assert [name for name in kept if child[name] != genotype[name]] == changed
        # What was asked before the change is as it was; what else differs was asked anew.
        first = list(child).index(changed[0])
        assert list(child.items())[:first] == list(genotype.items())[:first]
        genotype = child


def block(name: str, **options: Any) -> dict[str, Any]:
    return {"operations": {"a": {"block": name, "options": options}}}


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"stage": [2]}, ["unknown key 'stage' (did you mean 'stages'?)", "allowed: family"]),
        ({"stages": [0]}, ["stages.0", "got 0"]),
        ({"stages": [1, 1]}, ["stages: an option is given twice, got [1, 1]"]),
        ({"merge": ["add", "add"]}, ["merge: an option is given twice", '["add", "add"]']),
        ({"stages": "two"}, ["stages", "got 'two'"]),
        ({"merge": ["sum"]}, ["merge.0", "'add', 'concat' or 'stack'", "got 'sum'"]),
        ({"family": "free_grph"}, ["family", "unknown family 'free_grph'", "allowed: free_graph"]),
        (
            {"operations": {"a": {"block": "convolution"}}},
            ["operations.a.block", "unknown block 'convolution'", "allowed: conv"],
        ),
        (
            {"operations": {"a": {"block": "conv", "options": {"kernal": 3}}}},
            ["operations.a.options", "unknown key 'kernal' (did you mean 'kernel'?)"],
        ),
        (
            {"operations": {"a": {"block": "conv", "options": {"kernel": "3"}}}},
            ["operations.a.options.kernel", "got '3'"],
        ),
        (block("conv", kernel=2), ["operations.a.options", "{'kernel': 2}", "(8, 7, 7)"]),
        (block("max_pool", kernel=2), ["operations.a.options", "(8, 9, 9)"]),
        (block("conv", groups=3), ["operations.a.options", "8 channels", "got 3 groups"]),
        (block("conv", groups=16), ["operations.a.options", "8 channels", "got 16 groups"]),
        (block("self_attention", heads=3), ["operations.a.options", "got 3 heads"]),
        (block("inception", large_kernel=4), ["operations.a.options", "(1, 7, 7)"]),
        (block("bottleneck", reduction=0), ["operations.a.options.reduction", "got 0"]),
        (block("residual", squeeze=0), ["operations.a.options.squeeze", "got 0"]),
        (block("residual", squeeze=-4), ["operations.a.options.squeeze", "got -4"]),
        (block("shuffle_unit") | {"width": [8, 3]}, ["operations.a.options", "3 channels"]),
        ({"operations": {"a": {"blok": "conv"}}}, ["operations.a.blok", "allowed: block, options"]),
    ],
)
def test_a_mistake_in_a_space_file_is_named(
    tmp_path: Path, changes: dict[str, Any], parts: list[str]
) -> None:
    path = written(tmp_path, **changes)
    with pytest.raises(InputError) as caught:
        space(path)
    for part in [path, *parts]:
        assert part in str(caught.value)


def test_an_unknown_space_is_named() -> None:
    with pytest.raises(InputError, match=r"unknown space 'primitivs' \(did you mean 'primitives'"):
        space("primitivs")


def test_every_block_keeps_the_size() -> None:
    for name in BLOCKS:
        g = nas.Builder((16, 9, 9))
        assert BLOCKS[name](g, g.input).shape == (16, 9, 9), name
