"""What every search space promises, by ``nas.testing``: the shipped ones, and those of users."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import nas
from nas.architecture.graph import Architecture
from nas.errors import InputError
from nas.spaces import spaces
from nas.spaces.choices import Choose
from nas.spaces.constrained_space import constrained
from nas.spaces.constraints import Constraints
from nas.spaces.hyperparameters import joint
from nas.spaces.search_space import SearchSpace
from nas.testing import check_space
from nas.testing.spaces import CHECKS, TINY_CHECKS, SpaceCase, the_cost_is_fvcores

EXAMPLES = Path(__file__).parent / "examples"
NETWORK = {"cells": 1, "channels": 8}
BLOCKS = {"operation": "x_block", "width": [8, 16], "depth": [1, 2],
          "settings": {"reduction": [1, 2, 4], "group_width": [1, 8]}}  # fmt: skip
MOBILE = {"strides": [2, 2], "stages": [{"width": [16, 24]}]}


@dataclass(frozen=True)
class Case:
    """Overrides of a space: ``small`` keeps its choices and builds fast, ``tiny`` has few."""

    small: dict[str, Any] = field(default_factory=dict)
    tiny: dict[str, Any] | None = None


def cells(nodes: int, operations: list[str], **keys: Any) -> Case:
    """Of a space of two cells."""
    few = {"nodes": nodes, "operations": operations, "published": [], **keys}
    return Case({**NETWORK, "channels": 12, "stages": 2}, {**NETWORK, "channels": 12, **few})


CASES = {
    "amoebanet": cells(1, ["skip_connect", "max_pool_2x2", "conv_3x3"]),
    "anynet": Case({"default": BLOCKS}, {"strides": [2, 2], "stages": [{}], "default": BLOCKS}),
    "darts": cells(2, ["skip_connect", "sep_conv_3x3"]),
    "enas": cells(1, ["skip_connect", "avg_pool_3x3", "max_pool_3x3"]),
    "hierarchical": Case(
        {"channels": 4, "stages": 2},
        {"motifs": 2, "motif_nodes": 3, "cell_nodes": 3, "operations": ["identity", "conv_1x1"]},
    ),
    "hierarchical_nb201": Case(
        {"start": "D0", "channels": 4},
        {"start": "C", "channels": 4, "rules": {
            "C": ["sequential(CELL, CELL)", "residual(CELL, CELL)"], "CELL": ["cell(OP, OP, OP)"],
            "OP": ["none", "skip_connect", "nor_conv_1x1"]}},
    ),
    "mnasnet": Case(
        {"strides": [2, 1, 2, 2], "stages": [{"width": [8, 16], "depth": [1, 2]}] * 3},
        {"strides": [2, 2], "stages": [{"width": [8, 16], "depth": [1, 2]}]},
    ),
    "mobilenetv3_ofa": Case({"width_multiplier": 0.25}, MOBILE),
    "nasbench101": Case({"channels": 8, "cells": 1}, {"max_vertices": 4, "max_edges": 4}),
    "nasbench201": Case({**NETWORK}, {"nodes": 3}),
    "nasnet": cells(1, ["skip_connect", "conv_1x1", "conv_3x3"]),
    "natsbench_size": Case({"stages": 2, "channels": [8, 16]}, {"channels": [8, 16, 24]}),
    "pnasnet": cells(2, ["skip_connect", "conv_1x3_3x1"]),
    "primitives": Case(
        {"multiplier": [0.125], "stages": [1, 2, 3], "cells": [0, 1], "nodes": [2, 3]},
        {"activation": ["relu"], "norm": ["batch"], "multiplier": [1.0], "rounding": [1],
         "stem": {}, "stages": [1], "width": [8], "graphs": ["shared"], "cells": [1],
         "nodes": [1, 2], "node_widths": [None], "head": {}, "output": ["add"],
         "operations": {"a": {"block": "identity"}, "b": {"block": "conv"}}},
    ),
    "proxylessnas": Case({"width_multiplier": 0.25}, {
        "strides": [2, 1, 2, 1], "default": {"operation": ["mbconv3_3x3", "zero"], "depth": 2},
        "stages": [{"width": 16}, {"width": [16, 24]}, {"width": 24, "depth": 3}]}),
    "regnet": Case(
        {"depth": [4, 5, 6], "initial_width": [8, 16, 24], "group_width": [4, 8]},
        {"depth": [4, 5], "initial_width": [8, 16], "slope": [8, 16, 20.71], "step": [2.0, 2.5]},
    ),
    "spos": Case(
        {"strides": [1, 2, 2], "stages": [{"width": 32}, {"width": 48, "depth": 2}], "head": {}},
        {"strides": [2, 2], "stages": [{"width": 24}],
         "default": {"operation": ["choice_3", "choice_7", "choice_x"], "depth": 2}},
    ),
    f"{EXAMPLES}/my_space.py:space": Case(),
    f"{EXAMPLES}/my_space.yaml": Case({"stem": {"channels": 8}}),
}  # fmt: skip
NAMES = sorted(CASES)
IDS = [Path(name).name for name in NAMES]
of_every_space = pytest.mark.parametrize("name", [*NAMES, "joint", "constrained"],
                                         ids=[*IDS, "joint", "constrained"])  # fmt: skip


@cache
def small(name: str) -> SearchSpace:
    """A space whose networks are built within milliseconds."""
    if name == "joint":
        recipe = {"learning_rate": (0.1, 0.2), "epochs": (1, 2, 3)}
        return joint(small("nasbench201"), recipe, lambda answers: None)
    if name == "constrained":
        limits = Constraints(params=20_000, depth=4)
        return constrained(small(f"{EXAMPLES}/my_space.yaml"), limits, Path())
    return nas.space(name, (3, 16, 16), 5, **CASES[name].small)


@cache
def case(name: str) -> SpaceCase:
    tiny = None
    if name in CASES:
        overrides = CASES[name].tiny
        tiny = nas.space(
            name, (3, 16, 16), 5, **(CASES[name].small if overrides is None else overrides)
        )
    return SpaceCase(small(name), tiny, (3, 16, 16), (5,))


def name_of(check: Callable[[SpaceCase], None]) -> str:
    return check.__name__


def test_every_shipped_space_is_here() -> None:
    assert {name for name in NAMES if "/" not in name} == set(spaces())


@of_every_space
@pytest.mark.parametrize("check", CHECKS, ids=name_of)
def test_a_space_keeps_what_searchers_rely_on(
    check: Callable[[SpaceCase], None], name: str
) -> None:
    check(case(name))


@pytest.mark.parametrize("name", NAMES, ids=IDS)
@pytest.mark.parametrize("check", TINY_CHECKS, ids=name_of)
def test_a_space_lists_its_genotypes(check: Callable[[SpaceCase], None], name: str) -> None:
    check(case(name))


@of_every_space
@pytest.mark.slow
def test_the_analytic_cost_is_fvcores(name: str) -> None:
    the_cost_is_fvcores(case(name))


def test_one_space_in_python_and_in_yaml() -> None:
    in_python = nas.space(EXAMPLES / "my_space.py:space")
    in_yaml = nas.space(EXAMPLES / "my_space.yaml")
    pairs = list(zip(in_python.enumerate(), in_yaml.enumerate(), strict=True))
    assert len(pairs) == 3 * (3**2 + 3**3 + 3**4)
    for one, other in pairs[::13]:
        assert list(one.values()) == list(other.values())
        assert in_python.decode(one).fingerprint == in_yaml.decode(other).fingerprint


@pytest.mark.parametrize("name", ["nasbench201", "darts", "natsbench_size"])
def test_a_foreign_genotype_has_no_notation(name: str) -> None:
    with pytest.raises(InputError, match="choice"):
        small(name).to_string({"elsewhere": "conv_3x3"})


# --- the checks find what is broken ---


def faulty(fault: str) -> Callable[..., Architecture]:
    """A space with one fault."""
    calls = iter(range(10**9))

    def function(choose: Choose, *, input_shape: tuple[int, ...], classes: int) -> Architecture:
        g = nas.Builder(input_shape)
        widths = [4, 8, 16]
        if fault == "other options":
            widths = widths[next(calls) % 2 :]
        width = choose("width", widths)
        kernel = choose("kernel", [1, 3])
        if fault == "no memory":
            width += next(calls)
        if fault == "other output" and kernel == 3:
            classes += 1
        return g.build(g.linear(g.global_pool(g.conv(g.input, width, kernel)), classes))

    return function


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("no memory", "builds two networks"),
        ("other output", r"shapes \(\(3, 8, 8\), \(5,\)\), expected"),
    ],
)
def test_a_broken_promise_is_named(fault: str, message: str) -> None:
    function = faulty(fault)
    space = SearchSpace(lambda choose: function(choose, input_shape=(3, 8, 8), classes=4), "mine")
    with pytest.raises(AssertionError, match=message):
        check_space(space, output_shape=(4,))


def test_a_sound_space_of_ones_own_passes() -> None:
    function = faulty("none")
    space = SearchSpace(lambda choose: function(choose, input_shape=(3, 8, 8), classes=4), "mine")
    check_space(space, space, input_shape=(3, 8, 8), output_shape=(4,))
