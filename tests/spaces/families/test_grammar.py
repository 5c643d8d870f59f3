"""Spaces of a grammar: sizes, networks, subtrees that are drawn anew or exchanged, mistakes."""

from collections import Counter
from collections.abc import Mapping
from math import comb, log10
from typing import Any, cast

import numpy as np
import pytest

import nas
from nas.errors import InputError
from nas.searchers import Observation, searcher
from nas.spaces import spaces
from nas.spaces.choices import Choose, Genotype, difference
from nas.spaces.grammar import Grammar
from nas.spaces.search_space import SearchSpace
from nas.spaces.walks import grafted
from nas.yaml_files import read_yaml
from tests.spaces.chance import assert_distributed

TREES = ["conv", "sequential(S, S)"]
BLOCKS = {
    "conv": {"block": "relu_conv", "options": {"kernel": 1}}, "skip": {"block": "identity"},
    "down": {"block": "reduction", "stride": 2},
}  # fmt: skip


def space_of(rules: Mapping[str, list[str]], depth: int | None = None, **keys: Any) -> SearchSpace:
    given = {"start": next(iter(rules)), "blocks": BLOCKS, "channels": 4, "depth": depth, **keys}
    return nas.space("hierarchical_nb201", (3, 8, 8), 5, rules=rules, **given)


def test_a_depth_bounds_binary_trees() -> None:
    # a(n) = a(n-1)^2 + 1 counts the binary trees of height at most n (OEIS A003095).
    heights = [1, 2, 5, 26, 677, 458330, 210066388901]
    for depth, count in enumerate(heights, start=1):
        assert space_of({"S": TREES}, depth).size().count == count
    found = list(space_of({"S": TREES}, 5).enumerate())
    assert len({str(each) for each in found}) == len(found) == 677
    # All trees of n leaves have at most height n; there are Catalan(n - 1) of them.
    leaves = Counter(1 + sum("(" in str(option) for option in each.values()) for each in found)
    assert [leaves[n] for n in range(1, 6)] == [comb(2 * n, n) // (n + 1) for n in range(5)]
    # So large that only a bound is told.
    assert str(space_of({"S": TREES}, 30).size(100)) == "at least 100"


SCHRODI = {
    "D2": ["Linear3(D1, D1, D0)", "Linear3(D0, D1, D1)", "Linear4(D1, D1, D0, D0)"],
    "D1": ["Linear3(C, C, DOWN)", "Linear4(C, C, C, DOWN)", "Residual3(C, C, DOWN, DOWN)"],
    "D0": ["Linear3(C, C, CELL)", "Linear4(C, C, C, CELL)", "Residual3(C, C, CELL, CELL)"],
    "DOWN": ["Linear2(CELL, b)", "Linear3(CELL, CELL, b)", "Residual2(CELL, b, b)"],
    "C": ["Linear2(CELL, CELL)", "Linear3(CELL, CELL, CELL)", "Residual2(CELL, CELL, CELL)"],
    "CELL": ["Cell(OPS, OPS, OPS, OPS, OPS, OPS)"],
    # The authors' file has the production of a convolution twice.
    "OPS": ["id", "zero", "Linear1(BLOCK)", "Again1(BLOCK)", "avg_pool"],
    "BLOCK": ["Linear3(ACT, CONV, NORM)"],
    "CONV": ["conv3x3", "conv1x1", "dconv3x3"],
    "NORM": ["batch", "instance", "layer"],
    "ACT": ["relu", "hardswish", "mish"],
}


def test_the_size_of_the_hierarchical_nasbench201_is_the_published_one() -> None:
    size = Grammar(SCHRODI, "D2", None).size()
    assert size is not None
    assert int(log10(size)) == 446  # Schrodi et al. 2023
    assert Grammar(SCHRODI, "CELL", None).size() == 57**6


def test_a_cell_of_the_grammar_is_one_of_nasbench201() -> None:
    body = "sequential(CELL, reduction, CELL, reduction, CELL)"
    rules = read_yaml(spaces()["hierarchical_nb201"])["rules"] | {"N": [body]}
    own = nas.space("hierarchical_nb201", start="N", rules=rules)
    assert own.size().count == 15_625**3
    published = nas.space("nasbench201", cells=1)
    cell = published.member("cifar10_optimum")
    genotype = {f"N.CELL_{n}.OP_{i}": op for n in range(3) for i, op in enumerate(cell.values())}
    found, expected = own.decode(genotype).cost, published.decode(cell).cost
    assert (found.params, found.macs) == (expected.params, expected.macs)


RULES = {
    "S": ["sequential(S, T)", "residual(T, S, skip)", "T"],
    "T": ["conv", "skip", "parallel(T, T)"],
}


def test_a_subtree_mutation_draws_one_subtree_anew() -> None:
    space, rng = space_of({"S": TREES}, 3), np.random.default_rng(0)
    assert space.mutations.weights == {"subtree": 1.0}

    def shapes(parent: Genotype) -> Counter[str]:
        children = (space.child(parent, rng, space.mutations).genotype for _ in range(1000))
        return Counter("".join(str(option)[0] for option in child.values()) for child in children)

    assert_distributed(shapes({"S": "conv"}), dict.fromkeys(["scc", "scs", "ssc", "sss"], 0.25))
    # Each of the three places has one chance; what is drawn equal to the parent is drawn again.
    chances = {"c": 4 / 15, "ssc": 5 / 15, "scs": 5 / 15, "sss": 1 / 15}
    assert_distributed(shapes({"S": TREES[1], "S.S_0": "conv", "S.S_1": "conv"}), chances)
    assert len(list(space.children({"S": "conv"}, space.mutations))) == 4


def test_subtrees_are_exchanged_between_equal_nonterminals() -> None:
    space, rng = space_of(RULES, 5), np.random.default_rng(1)
    exact = moved = 0
    for _ in range(200):
        a, b = space.sample(rng), space.sample(rng)
        child = space.subtree_crossover(a, b, rng)
        space.validate(child)
        grafts = {
            (place, other): grafted(a, place, b, other)
            for place in a
            for other in b
            if place.split(".")[-1][0] == other.split(".")[-1][0]
        }
        # What a place near the largest depth does not ask is drawn at another place.
        assert any(
            all(child[name] == graft[name] for name in child.keys() & graft.keys())
            for graft in grafts.values()
        )
        found = [key for key, graft in grafts.items() if difference(child, graft) == 0]
        exact += bool(found)
        moved += bool(found) and all(p.count(".") != o.count(".") for p, o in found)
    assert exact > 150
    assert moved > 20  # subtrees move between levels


def grown(choose: Choose, name: str = "body", depth: int = 4) -> None:
    if depth > 1 and choose(name, ["leaf", "pair"]) == "pair":
        grown(choose, f"{name}.left", depth - 1)
        grown(choose, f"{name}.right", depth - 1)


def test_a_recursive_function_is_a_space_with_subtrees() -> None:
    space, rng = SearchSpace(cast(Any, grown), "grown"), np.random.default_rng(0)
    assert space.size().count == 26  # binary trees of height at most 4
    members = {str(genotype) for genotype in space.enumerate()}
    for _ in range(100):
        a, b = space.sample(rng), space.sample(rng)
        assert str(space.subtree_crossover(a, b, rng)) in members
        mutations = space.mutations_with(weights={"subtree": 1.0})
        assert str(space.child(a, rng, mutations).genotype) in members


def test_nsga2_exchanges_subtrees() -> None:
    space = space_of(RULES, 5)
    found = {}
    for crossover in ("uniform", "subtree"):
        made = searcher("nsga2", space=space, seed=0, population_size=4, crossover=crossover)
        for trial in range(16):
            proposal = made.ask(trial)
            assert proposal is not None
            space.validate(proposal.genotype)
            made.tell(Observation(trial, proposal.genotype, (float(len(proposal.genotype)),)))
            found[crossover, trial] = proposal.genotype
    assert any(found["uniform", trial] != found["subtree", trial] for trial in range(4, 16))


def test_a_derivation_without_end_is_refused() -> None:
    doubled = {f"S{n}": [f"parallel(S{n + 1}, S{n + 1})"] for n in range(40)}
    space = space_of({**doubled, "S40": ["conv", "skip"]})
    with pytest.raises(InputError, match="rules: derive more than 10,000 nonterminals"):
        space.sample(np.random.default_rng(0))


@pytest.mark.parametrize(
    ("rules", "keys", "said"),
    [
        ({"S": ["conv", "sequential(S, cnov)"]}, {"depth": 3}, "rules.S.1: unknown name 'cnov'"),
        ({"S": ["sequental(conv, conv)"]}, {}, "rules.S.0: unknown function 'sequental' (did you "),
        ({"S": ["conv +"]}, {}, "rules.S.0: must be a name or a function of names, such as "),
        ({"S": ["residual(conv)"]}, {}, "rules.S.0: residual cannot have 1 arguments"),
        ({"S": ["cell(conv, conv)"]}, {}, "rules.S.0: cell cannot have 2 arguments"),
        ({"S": ["conv", "sequential(S, S)"]}, {}, "depth: is missing, and rules recur: S"),
        ({"S": ["sequential(S, S)"]}, {"depth": 3}, "rules.S: every production holds a "),
        ({"S": ["T"], "T": ["conv"]}, {"depth": 1}, "depth: must be at least 2, got 1"),
        ({"S": ["residual(conv, down)"]}, {}, "rules.S.0: residual adds maps of strides [1, 2]"),
        ({"S": ["parallel(T, conv)"], "T": ["down"]}, {}, "rules.S.0: parallel adds maps of strid"),
        ({"S": ["conv", "down"]}, {}, "rules.S.1: has stride 2, but another production of S has "),
        ({"conv": ["skip"]}, {}, "rules.conv: is the name of a block or a function too"),
        ({"S": ["conv"]}, {"start": "T"}, "start: unknown nonterminal 'T'"),
        ({"S": ["conv"]}, {"blocks": {"conv": {"block": "conv", "options": {"kernle": 1}}}},
         "blocks.conv.options.kernle: unknown key 'kernle'"),
    ],
)  # fmt: skip
def test_a_wrong_grammar_is_refused_with_its_place(
    rules: dict[str, list[str]], keys: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError) as caught:
        space_of(rules, **keys)
    assert f"hierarchical_nb201.yaml: {said}" in str(caught.value)
