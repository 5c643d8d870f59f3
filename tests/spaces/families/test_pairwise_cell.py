"""The spaces of NASNet, AmoebaNet, PNASNet, ENAS and DARTS."""

from collections import Counter
from math import factorial, prod
from typing import Any

import numpy as np
import pytest

import nas
from nas.architecture.reference import reference_cost
from nas.classics.cells import Cell
from nas.errors import InputError
from nas.spaces.cell_graph import CellGraph
from nas.spaces.families.pairwise_wiring import Wiring
from nas.spaces.search_space import SearchSpace
from tests.spaces.chance import assert_distributed

SPACES = ["nasnet", "amoebanet", "pnasnet", "enas", "darts"]
PAPERS_EIGHT = [
    "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7", "avg_pool_3x3", "max_pool_3x3",
    "dil_sep_conv_3x3", "conv_1x7_7x1",
]  # fmt: skip
TINY: dict[str, Any] = {"stages": 2, "cells": 1, "channels": 8}
LARGE: dict[str, Any] = {"input_shape": (3, 331, 331), "classes": 1000, "stem": "imagenet"}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# --- members ---


@pytest.mark.parametrize(
    ("name", "overrides", "classic"),
    [
        ("nasnet:nasnet_a", {}, "nasneta_cifar"),
        ("pnasnet:pnasnet_5", LARGE | {"cells": 4, "channels": 216, "stem_channels": 96},
         "pnasnet5large"),
        ("nasnet:nasnet_a", LARGE | {"channels": 168, "stem_channels": 96, "reach_back": True},
         "nasnetalarge"),
        ("nasnet:nasnet_a", LARGE | {"input_shape": (3, 224, 224), "cells": 4, "channels": 44,
                                     "stem_channels": 32}, "nasnetamobile"),
        *((f"amoebanet:amoebanet_{v}", {}, f"amoebanet_{v}_cifar") for v in "abcd"),
        *((f"amoebanet:amoebanet_{v}", LARGE | {"channels": 190, "stem_channels": 96},
           f"amoebanet_{v}_large") for v in "abcd"),
        ("darts:darts_v2", {}, "darts_v2"),
        ("darts:darts_v2", {"drop_path": 0.2, "auxiliary": True}, "darts_v2"),
    ],
)  # fmt: skip
def test_members_are_the_classics(name: str, overrides: dict[str, Any], classic: str) -> None:
    space_name, member = name.split(":")
    space = nas.space(space_name, **overrides)
    architecture = space.decode(space.member(member))
    options = {key: overrides[key] for key in ("drop_path", "auxiliary") if key in overrides}
    reference = nas.classic(classic, **options)
    assert architecture.fingerprint == reference.fingerprint
    assert architecture.cost == reference.cost


def test_every_member_is_in_its_space() -> None:
    members = {name: list(nas.space(name).members) for name in SPACES}
    assert members == {
        "nasnet": ["nasnet_a"],
        "amoebanet": ["amoebanet_a", "amoebanet_b", "amoebanet_c", "amoebanet_d"],
        "pnasnet": ["pnasnet_5"],
        "enas": ["enas"],
        "darts": ["darts_v1", "darts_v2"],
    }


def test_parameters_of_members() -> None:
    counts = {
        member: space.decode(space.member(member)).cost.params
        for space in map(nas.space, SPACES)
        for member in space.members
    }
    # Table 1 of Zoph et al. 2018, of Real et al. 2019; table 3 of Liu et al. 2018.
    assert counts["nasnet_a"] / 1e6 == pytest.approx(3.3, abs=0.05)
    assert counts["amoebanet_a"] / 1e6 == pytest.approx(3.2, abs=0.05)
    assert counts["amoebanet_b"] / 1e6 == pytest.approx(2.8, abs=0.05)
    assert counts["pnasnet_5"] / 1e6 == pytest.approx(3.2, abs=0.05)
    # What the authors' code counts, run as it is (quark0/darts).
    assert counts["darts_v1"] == 3_169_414
    assert counts["darts_v2"] == 3_349_342
    # The authors' code has no bias in the classifier. Its script does not make the paper's 4.6M.
    assert counts["enas"] == enas_parameters() + 10 == 3_894_382


def enas_parameters() -> int:
    """Counted along ``micro_child.py`` of melodyguan/enas, by the arc in its own numbers."""
    normal = "0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1"
    reduction = "1 0 1 0 0 3 0 2 1 1 3 1 1 0 0 4 0 3 1 1"

    def conv(inputs: int, outputs: int) -> int:
        return inputs * outputs + 2 * outputs

    width, total = 36, 27 * 108 + 2 * 108
    older, newer = (108, 1), (108, 1)  # channels, and how often the map was halved
    for layer in range(17):
        reduces = layer in (5, 11)
        width *= 1 + reduces
        arc = np.array((reduction if reduces else normal).split(), dtype=int).reshape(-1, 2)
        total += conv(older[0], width) + conv(newer[0], width) + conv(width, width)
        for state, operation in arc:
            if operation < 2:
                total += 2 * ((3, 5)[operation] ** 2 * width + conv(width, width))
            elif operation == 4 and reduces and state < 2:
                total += conv(width, width)
        unused = set(range(7)) - set(arc[:, 0])
        older, newer = newer, (len(unused) * width, newer[1] * (1 + reduces))
    return total + newer[0] * 10


def test_what_published_cells_put_out_is_a_choice() -> None:
    amoebanet = nas.space("amoebanet")
    code = amoebanet.member("amoebanet_a")
    assert code["normal.concat"] == "older+node1+node2+node4"
    figure = code | {"normal.concat": "unused", "reduction.concat": "unused"}
    assert amoebanet.decode(figure).cost.params < amoebanet.decode(code).cost.params
    # Other edges have no such choice: it falls away with a mutation, and changes nothing else.
    child = code | {"normal.node0.left.operation": "conv_1x1"}
    with pytest.raises(InputError, match=r"choice 'normal\.concat' is not asked"):
        amoebanet.validate(child)
    del child["normal.concat"]
    amoebanet.validate(child)
    # B's reduction follows the rule.
    assert "reduction.concat" not in amoebanet.member("amoebanet_b")


def test_members_of_a_narrower_space() -> None:
    paper = nas.space("amoebanet", operations=PAPERS_EIGHT)
    large = nas.space("amoebanet")
    for member in ("amoebanet_a", "amoebanet_c"):
        assert paper.member(member) == large.member(member)
    with pytest.raises(InputError, match=r"operation'.*'conv_1x1' is not an option"):
        paper.member("amoebanet_b")
    with pytest.raises(InputError, match=r"'normal\.node2\.left\.input' is not asked"):
        nas.space("nasnet", nodes=2).member("nasnet_a")


# --- size ---


def test_sizes_of_the_papers() -> None:
    # Liu et al. 2018, section 3.1: 5.6e14 cells of five blocks, 256 of one.
    blocks = [((2 + block) * 8) ** 2 for block in range(5)]
    assert nas.space("pnasnet").size().count == prod(blocks) == 556_627_761_561_600
    assert nas.space("pnasnet", nodes=1).size().count == 256
    # Liu et al. 2019, appendix: about 1e9 cells, 1e18 pairs.
    cells = prod((k + 1) * k // 2 * 7**2 for k in range(1, 5))
    assert cells == 1_037_664_180
    assert nas.space("darts").size().count == cells**2
    # NASNet's and ENAS's: two cells, with 13 and 5 operations. Pham et al. 2018, section 2.4, give
    # (5 x 5!)^4 = 1.3e11, which counts neither both operations nor both inputs of every node.
    assert nas.space("nasnet").size().count == (factorial(6) ** 2 * 13**10 + 2) ** 2
    assert nas.space("enas").size().count == (factorial(6) ** 2 * 5**10) ** 2
    # AmoebaNet's: PNASNet's cell twice; A and C have two cells each that the code treats otherwise.
    paper = nas.space("amoebanet", operations=PAPERS_EIGHT)
    assert paper.size().count == (prod(blocks) + 4) ** 2
    assert nas.space("amoebanet").size().count == (factorial(6) ** 2 * 12**10 + 6) ** 2
    assert all(nas.space(name).size().exact for name in SPACES)


@pytest.mark.parametrize("name", SPACES)
def test_the_closed_form_is_what_enumeration_counts(name: str) -> None:
    operations = ["skip_connect", "sep_conv_3x3", "avg_pool_3x3"]
    sizes = [(1, 3), (2, 1)] + [(2, 2)] * (name in ("pnasnet", "darts"))
    for nodes, count in sizes:
        space = nas.space(name, nodes=nodes, operations=operations[:count])
        genotypes = {str(genotype) for genotype in space.enumerate()}
        assert space.size().count == len(genotypes)


def test_an_exception_to_the_rule_counts_once_more() -> None:
    operations = ("skip_connect", "conv_1x1")
    odd = Cell((("conv_1x1", 0), ("conv_1x1", 1)), (0, 2))
    usual = Cell((("conv_1x1", 1), ("conv_1x1", 1)), (0, 2))
    longer = Cell((("conv_1x1", 0), ("conv_1x1", 1)) * 2, (0, 2))
    foreign = Cell((("conv_3x3", 0), ("conv_1x1", 1)), (0, 2))
    wiring = Wiring(1, operations, "any", "unused", (odd, usual, longer, foreign))
    space = SearchSpace(lambda choose: wiring.ask("cell", choose), "one cell")  # type: ignore[arg-type,return-value]
    cells = [space.run(lambda name, _, g=g: g[name]) for g in space.enumerate()]
    assert wiring.size == len(cells) == (2 * 2) ** 2 + 1
    assert {cell.concat for _, cell in cells if cell.edges == odd.edges} == {(2,), (0, 2)}
    for genotype, cell in cells:
        assert wiring.answers("cell", cell) == genotype
        wiring.check(cell)


# --- mutation ---


@pytest.mark.parametrize("name", SPACES)
def test_a_mutation_changes_one_choice(name: str) -> None:
    space, random = nas.space(name), rng()
    for _ in range(50):
        parent = space.sample(random)
        child = space.mutate(parent, random)
        assert child.keys() == parent.keys()
        assert sum(child[choice] != parent[choice] for choice in parent) == 1


def test_hidden_state_and_operation_mutations_have_equal_chances() -> None:
    # Real et al. 2019, section 3.2: one of the two kinds, then cell, node and side, all uniformly;
    # then another state or operation. That is every choice with the same chance.
    space, random = nas.space("amoebanet", nodes=2), rng()
    parent = space.sample(random)
    changed: Counter[str] = Counter()
    new: Counter[Any] = Counter()
    last = "reduction.node1.left.operation"
    for _ in range(3000):
        child = space.mutate(parent, random)
        (choice,) = (choice for choice in parent if child[choice] != parent[choice])
        changed[choice] += 1
        if choice == last:
            new[child[choice]] += 1
    assert len(parent) == 2 * 2 * 2 * 2
    assert_distributed(changed, dict.fromkeys(parent, 1 / 16))
    assert len(new) == 11  # of the twelve, all but the parent's
    assert parent[last] not in new


# --- notation ---

DARTS_V1 = (
    "Genotype(normal=[('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 0), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('skip_connect', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 0), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('avg_pool_3x3', 0)], reduce_concat=[2, 3, 4, 5])"
)
DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), "
    "('dil_conv_3x3', 2)], normal_concat=range(2, 6), reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=range(2, 6))"
)
NASNET_IN_DARTS = """Genotype(
  normal = [
    ('sep_conv_5x5', 1), ('sep_conv_3x3', 0), ('sep_conv_5x5', 0), ('sep_conv_3x3', 0),
    ('avg_pool_3x3', 1), ('skip_connect', 0), ('avg_pool_3x3', 0), ('avg_pool_3x3', 0),
    ('sep_conv_3x3', 1), ('skip_connect', 1),
  ],
  normal_concat = [2, 3, 4, 5, 6],
  reduce = [
    ('sep_conv_5x5', 1), ('sep_conv_7x7', 0), ('max_pool_3x3', 1), ('sep_conv_7x7', 0),
    ('avg_pool_3x3', 1), ('sep_conv_5x5', 0), ('skip_connect', 3), ('avg_pool_3x3', 2),
    ('sep_conv_3x3', 2), ('max_pool_3x3', 1),
  ],
  reduce_concat = [4, 5, 6],
)"""
"""As quark0/darts, ``cnn/genotypes.py``, has them."""


def test_the_literatures_genotypes_are_read() -> None:
    darts, nasnet = nas.space("darts"), nas.space("nasnet")
    assert darts.from_string(DARTS_V1) == darts.member("darts_v1")
    assert darts.from_string(DARTS_V2) == darts.member("darts_v2")
    assert darts.member("darts_v2")["normal.node3.inputs"] == "older+node0"
    # The authors of DARTS leave NASNet the states of the figure, not those of the code.
    figure = nasnet.member("nasnet_a") | {"normal.concat": "unused", "reduction.concat": "unused"}
    assert nasnet.from_string(NASNET_IN_DARTS) == figure


@pytest.mark.parametrize("name", SPACES)
def test_strings_are_read_back(name: str) -> None:
    space, random = nas.space(name), rng()
    genotypes = [space.sample(random) for _ in range(50)] + [*map(space.member, space.members)]
    for genotype in genotypes:
        text = space.to_string(genotype)
        assert list(space.from_string(text).items()) == list(genotype.items())
        assert text.startswith("Genotype(normal=[('")


def changed(old: str, new: str) -> str:
    assert old in DARTS_V2
    return DARTS_V2.replace(old, new)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"not a genotype in the notation Genotype\(normal=\.\.\., normal_concat="),
        ("Genotype(", "not a genotype in the notation"),
        ("__import__('os').system('true')", "not a genotype in the notation"),
        ("Genotype(normal=[])", "not a genotype in the notation"),
        (changed("range(2, 6), reduce=", "[2], reduce="), r"normal: .* output is \[2, 3, 4, 5\]"),
        (changed("range(2, 6), reduce=", "range(10**9), reduce="), "normal_concat: must be a list"),
        (changed("range(2, 6), reduce=", "range(2, 99999999999), reduce="), "normal_concat: must"),
        (changed("range(2, 6), reduce=", "print(1), reduce="), r"got 'print\(1\)'"),
        (changed("('dil_conv_3x3', 2)", "('dil_conv_3x3', '2')"), "normal: must be a list of"),
        (changed("('dil_conv_3x3', 2)", "('dil_conv_3x3', True)"), "normal: must be a list of"),
        (changed("('dil_conv_3x3', 2)", "('dil_conv_3x3', 5)"), "edge 7: a state must be one of 0"),
        (changed("('dil_conv_3x3', 2)", "('dil_conv_9x9', 2)"), "'dil_conv_9x9' is not an option"),
        (changed("('dil_conv_3x3', 2)", "('conv_1x1', 2)"), "'conv_1x1' is not an option"),
        (changed("('dil_conv_3x3', 2)", "('none', 2)"), "'none' is not an option"),
        (changed(", ('dil_conv_3x3', 2)", ""), "a cell needs two edges per node, got 7"),
        (changed("('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=range(2, 6)",
                 "], normal_concat=range(2, 5)"), "normal: must have 8 edges, got 6"),
        (changed("('dil_conv_3x3', 2)", "('dil_conv_3x3', 0)"),
         "normal: node 3 must read two distinct states, got 0 twice"),
    ],
    ids=range(17),
)  # fmt: skip
def test_what_is_wrong_with_a_string_is_named(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        nas.space("darts").from_string(text)


def test_one_cell_is_one_cell_in_a_string_too() -> None:
    pnasnet = nas.space("pnasnet")
    text = pnasnet.to_string(pnasnet.member("pnasnet_5"))
    assert text.count("('sep_conv_7x7', 1)") == 2
    with pytest.raises(InputError, match="normal and reduce must be the same cell"):
        pnasnet.from_string(text.replace("sep_conv_7x7", "sep_conv_5x5", 1))


# --- cells ---


def test_136_of_the_256_cells_of_one_block_are_distinct() -> None:
    # Counted by Liu et al. 2018. The architectures fall into the same classes as the cells.
    space = nas.space("pnasnet", (3, 8, 8), 2, nodes=1, stages=2, cells=1, channels=2)
    genotypes = list(space.enumerate())
    assert len(genotypes) == 256
    cells = [space.cell_graphs(genotype)["cell"].fingerprint for genotype in genotypes]
    networks = [space.decode(genotype).fingerprint for genotype in genotypes]
    assert len(set(cells)) == len(set(networks)) == len(set(zip(cells, networks, strict=True)))
    assert len(set(cells)) == 136


def graphs(name: str, *edges: str) -> dict[str, CellGraph]:
    """Of equal cells; an edge is ``operation(state)``."""
    listed = [edge.rstrip(")").split("(") for edge in edges]
    pairs = [(operation, int(state)) for operation, state in listed]
    read = {state for _, state in pairs}
    concat = [state for state in range(2 + len(pairs) // 2) if state not in read]
    parts = (f"{key}={pairs}, {key}_concat={concat}" for key in ("normal", "reduce"))
    space = nas.space(name, nodes=len(pairs) // 2)
    return dict(space.cell_graphs(space.from_string(f"Genotype({', '.join(parts)})")))


def test_the_graph_of_a_cell() -> None:
    cells = graphs(
        "enas", "sep_conv_3x3(0)", "skip_connect(1)", "skip_connect(2)", "max_pool_3x3(0)"
    )
    assert cells["normal"] == CellGraph(
        2,
        ("", "", "", "", ""),
        (
            (0, 2, "sep_conv_3x3"), (1, 2, "skip_connect"),
            (2, 3, "skip_connect"), (0, 3, "max_pool_3x3"),
            (3, 4, "concat"),
        ),
    )  # fmt: skip
    assert cells["reduction"].edges[1:3] == ((1, 2, "projected_skip"), (2, 3, "skip_connect"))
    assert set(cells["normal"].paths()) == {
        ("input0", "sep_conv_3x3", "skip_connect", "concat"),
        ("input1", "skip_connect", "skip_connect", "concat"),
        ("input0", "max_pool_3x3", "concat"),
    }


def test_a_skip_is_an_identity_only_where_nothing_is_projected() -> None:
    # A sum read twice, or summed twice: alike if its skips have no weights.
    once = ("skip_connect(0)", "skip_connect(1)", "sep_conv_3x3(2)", "skip_connect(2)")
    twice = (*once[:2], *once[:2], "sep_conv_3x3(2)", "skip_connect(3)")
    for name, alike in (("enas", [True, False]), ("nasnet", [False, False])):
        one, two = graphs(name, *once), graphs(name, *twice)
        cells = ("normal", "reduction")
        assert [one[cell].fingerprint == two[cell].fingerprint for cell in cells] == alike


def test_the_order_of_nodes_and_sides_is_no_part_of_a_cell() -> None:
    sep, max_pool, avg = "sep_conv_3x3(0)", "max_pool_3x3(1)", "avg_pool_3x3(0)"
    one = graphs("enas", sep, max_pool, avg, "skip_connect(0)")
    two = graphs("enas", "skip_connect(0)", avg, max_pool, sep)
    other = graphs("enas", sep, avg, max_pool, "skip_connect(0)")
    for cell in ("normal", "reduction"):
        assert one[cell].fingerprint == two[cell].fingerprint != other[cell].fingerprint


# --- architectures ---


@pytest.mark.parametrize("name", SPACES)
def test_any_genotype_makes_a_network(name: str) -> None:
    random = rng()
    for overrides in (
        {"cells": 2, "stages": 2},
        {"stem": "imagenet", "stem_channels": 5, "reach_back": True},
        {"drop_path": 0.2, "dropout": 0.5, "stages": 1},
    ):
        space = nas.space(name, (3, 33, 30), 4, **{**TINY, **overrides})
        for _ in range(4):
            assert space.decode(space.sample(random)).output_shape == (4,)


@pytest.mark.parametrize("name", SPACES)
def test_the_analytic_cost_is_fvcores(name: str) -> None:
    large = {"stem": "imagenet", "stem_channels": 5, "reach_back": True}
    space = nas.space(name, (3, 33, 30), 3, **TINY, **large)
    architecture = space.decode(space.sample(rng(1)))
    assert architecture.cost == reference_cost(architecture).cost


def test_overrides() -> None:
    space = nas.space("darts", cells=2, channels=12)
    architecture = space.decode(space.member("darts_v2"))
    assert architecture.shapes["stem.0"] == (36, 32, 32)  # three times the channels
    assert architecture.shapes["cells.7.concat1"] == (
        4 * 48,
        8,
        8,
    )  # 3 x 2 cells and two reductions
    with_zeros = nas.space("darts", **TINY, operations=["none", "max_pool_2x2"])
    for genotype in [with_zeros.sample(rng(seed)) for seed in range(5)]:
        assert with_zeros.decode(genotype).output_shape == (10,)


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        ({"dialect": "nasnt"}, ["dialect", "unknown dialect 'nasnt' (did you mean 'nasnet'?)"]),
        ({"operations": ["sep_conv_4x4"]}, ["operations.0", "unknown block 'sep_conv_4x4'"]),
        ({"operations": []}, ["operations", "at least 1 item"]),
        ({"operations": ["conv_1x1"] * 2}, ["operations: an option is given twice"]),
        ({"published": ["nasnet_b"]}, ["published.0", "unknown published cells 'nasnet_b'"]),
        ({"inputs": "two"}, ["inputs", "'any' or 'distinct'", "got 'two'"]),
        ({"concat": "loose"}, ["concat", "'unused' or 'all'", "got 'loose'"]),
        ({"nodes": 0}, ["nodes", "got 0"]),
        ({"drop_path": 1.0}, ["drop_path", "less than 1", "got 1.0"]),
        ({"stem": "imagenet", "channels": 7}, ["channels must be at least 8 with stem 'imagenet'"]),
        ({"channels": 1}, ["channels must be at least 2 with stem 'cifar', got 1"]),
        ({"width": 2}, ["unknown key 'width'"]),
    ],
)
def test_a_mistake_in_a_space_is_named(overrides: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        nas.space("nasnet", **overrides)
    for part in ["nasnet.yaml", *parts]:
        assert part in str(caught.value)
