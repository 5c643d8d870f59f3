"""What is drawn: parts, repetitions, costs, differences, text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import networkx as nx
import numpy as np
import pytest

import nas
from nas.architecture.builder import Builder
from nas.architecture.cost import Cost
from nas.architecture.operations import Conv, MaxPool
from nas.classics import CLASSICS, classic
from nas.cli import main
from nas.drawing.cells import cell_diagram, cell_text
from nas.drawing.diagram import Diagram
from nas.drawing.items import (
    Item,
    compared,
    differences,
    items_of_cell,
    items_of_network,
    total,
)
from nas.drawing.layout import LANE, Wire, layout
from nas.drawing.networks import network_diagram
from nas.drawing.parts import Part, parts
from nas.drawing.text import text
from nas.drawing.words import changed, counts, shape_of, word
from nas.spaces.cell_graph import CellGraph


def repetitions(name: str, depth: int) -> dict[str, list[int]]:
    """How often each part in a scope stands in a row."""
    found = parts(items_of_network(classic(name)))
    for _ in range(depth):
        found = tuple(child for part in found for child in part.children)
    return {part.name: [child.times for child in part.children] for part in found}


def test_published_repetitions() -> None:
    """He et al. 2016, table 1; Huang et al. 2017, table 1; Sandler et al. 2018, table 2."""
    # The first block of a stage has a projection.
    stages = {f"layer{stage}": [1, times - 1] for stage, times in enumerate((3, 8, 36, 3), 1)}
    assert {k: v for k, v in repetitions("resnet152", 0).items() if v} == stages
    blocks = {k: v for k, v in repetitions("densenet121", 1).items() if "denseblock" in k}
    assert blocks == {f"features.denseblock{i}": [n] for i, n in enumerate((6, 12, 24, 16), 1)}
    # t, c, n, s: the first of n bottlenecks has no shortcut; around them are convolutions.
    rest = [n - 1 for n in (1, 2, 3, 4, 3, 3, 1)]
    expected = [1, *(times for n in rest for times in (1, n) if times), 1]
    assert repetitions("mobilenet_v2", 0)["features"] == expected
    # Real et al. 2019, figure 2: N = 6 normal cells a stack; the first reads another resolution.
    found = parts(items_of_network(classic("amoebanet_a_cifar")))
    cells = [part.times for part in found if "cell" in part.name]
    assert cells == [1, 5, 1, 1, 5, 1, 1, 5]


def leaves(found: Sequence[Part]) -> int:
    return sum(part.times * (leaves(part.children) if part.children else 1) for part in found)


@pytest.mark.parametrize("name", CLASSICS)
def test_parts_hold_every_operation_once(name: str) -> None:
    architecture = classic(name)
    items = items_of_network(architecture)
    found = parts(items)
    assert leaves(found) == sum(bool(item.does) for item in items)
    assert sum(len(item.does) for item in items) == len(architecture.nodes)
    assert [found[0].start, *(part.end for part in found)] == [
        *(part.start for part in found),
        found[-1].end,
    ]
    assert total(item.cost for item in items) == total(architecture.costs.values())
    for place, item in enumerate(items):
        assert all(source < place for source in item.inputs)


def test_branches_side_by_side_are_no_repetition() -> None:
    g = Builder((8, 4, 4))
    branches = []
    for index in range(3):
        with g.scope(f"branch{index}"):
            branches.append(g.conv(g.conv(g.input, 8, 1), 8, 1))
    found = parts(items_of_network(g.build(g.add(*branches))))
    assert [part.times for part in found] == [1, 1, 1, 1]


def test_entangled_scopes() -> None:
    g = Builder((8, 4, 4))
    x = g.input
    for name in ("a.0", "b.0.x", "a.1", "b.0.y", "c", "b.1"):
        x = g.conv(x, 8, 3, padding=1, name=name)
    architecture = g.build(x)
    assert leaves(parts(items_of_network(architecture))) == 6
    assert network_diagram(architecture, depth=9).count() >= 8


def reduced(items: Sequence[Item], gone: str) -> list[tuple[object, ...]]:
    """The items without those of one sign and without its links."""
    kept = [place for place, item in enumerate(items) if item.sign != gone]
    return [
        (
            (items[place].was if gone == "+" and items[place].was else items[place].does),
            sorted(kept.index(source) for source, sign in items[place].links() if sign != gone),
        )
        for place in kept
    ]


@pytest.mark.parametrize(
    "name", ["nasbench201", "nasbench101", "amoebanet", "primitives", "mnasnet", "hierarchical"]
)
def test_a_difference_holds_parent_and_child(name: str) -> None:
    """Without what is new it is the parent, without what is gone the child."""
    space = nas.space(name)
    rng = np.random.default_rng(0)
    genotype = space.sample(rng)
    pairs = []
    for _ in range(4):
        child = space.mutate(genotype, rng)
        pairs.append(
            (items_of_network(space.decode(genotype)), items_of_network(space.decode(child)))
        )
        before, after = space.cell_graphs(genotype), space.cell_graphs(child)
        pairs += [(items_of_cell(before[key]), items_of_cell(after[key])) for key in before]
        genotype = child
    for parent, child_items in pairs:
        both = compared(parent, child_items)
        assert reduced(both, "-") == reduced(child_items, "-")
        assert reduced(both, "+") == reduced(parent, "+")
        assert (differences(both) == 0) == (reduced(parent, "none") == reduced(child_items, "none"))


def signs(diagram: Diagram) -> list[str]:
    found = [f"{box.sign} {box.what}" for box in diagram.boxes if box.sign]
    names = [box.what for box in diagram.boxes]
    return found + [
        f"{link.sign} {names[link.source]} to {names[link.target]}"
        for link in diagram.links
        if link.sign
    ]


def edge_cell(*operations: str) -> CellGraph:
    pairs = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
    edges = tuple((*pair, word) for pair, word in zip(pairs, operations, strict=True))
    return CellGraph(1, ("",) * 4, edges)


def test_the_difference_of_cells() -> None:
    parent = edge_cell("conv_a", "conv_b", "none", "skip_connect", "conv_c", "conv_d")
    child = edge_cell("conv_a", "pool", "conv_e", "skip_connect", "conv_c", "none")
    assert signs(cell_diagram(parent, parent)) == []
    diagram = cell_diagram(child, parent)
    assert signs(diagram) == [
        "~ pool", "+ conv_e", "- conv_d",
        "+ 1 to conv_e", "+ conv_e to 2", "- 2 to conv_d", "- conv_d to output",
    ]  # fmt: skip
    (box,) = [box for box in diagram.boxes if box.sign == "~"]
    assert box.was == "conv_b"
    assert cell_text(child, parent).splitlines() == [
        "  0 = input",
        "  1 = conv_a(0)",
        "- 2 = conv_b(0) + none(1)",
        "+ 2 = pool(0) + conv_e(1)",
        "- 3 = skip_connect(0) + conv_c(1) + conv_d(2)",
        "+ 3 = skip_connect(0) + conv_c(1) + none(2)",
        "  output: 3",
    ]


def test_what_cannot_matter_is_idle() -> None:
    cell = edge_cell("none", "conv_b", "conv_c", "conv_d", "none", "none")
    diagram = cell_diagram(cell)
    # Nothing enters 1, and nothing that counts reads 2.
    assert {box.what for box in diagram.boxes if box.idle} == {"1", "conv_b", "conv_c", "2"}


def test_cells_as_they_are_drawn() -> None:
    normal = nas.space("amoebanet").cell_graphs(nas.space("amoebanet").member("amoebanet_a"))[
        "normal"
    ]
    boxes = cell_diagram(normal).boxes
    assert [box.what for box in boxes[:2]] == ["input 0", "input 1"]
    assert (boxes[-1].what, boxes[-1].colour) == ("concat", "join")
    # Real et al. 2019, figure 3: five pairs.
    assert sum("." in item.name for item in items_of_cell(normal)) == 10
    assert sum(item.name.isdecimal() for item in items_of_cell(normal)) == 5


def conv_net(*channels: int, pool_at: int | None = None) -> nas.architecture.graph.Architecture:
    g = Builder((3, 8, 8))
    x = g.input
    for index, count in enumerate(channels):
        with g.scope(f"stage.{index}"):
            x = g.relu(g.conv(x, count, 3, padding=1))
            if index == pool_at:
                x = g.max_pool(x, 3, 1, 1)
    return g.build(g.linear(g.global_pool(x), 2, name="head"))


def test_the_difference_of_networks() -> None:
    parent, child = conv_net(4, 4, 4, 8), conv_net(4, 4, 4, 16)
    shown = text(network_diagram(child, parent)).splitlines()
    assert [line[0] for line in shown] == list(" ~ ~   ")
    assert "conv 3x3 + relu (was channels 8)" in shown[3]
    assert "0 to 2 \u00d73" in shown[2]
    wider = network_diagram(conv_net(4, 4, 4, 8, pool_at=3), parent)
    assert [line[0] for line in text(wider).splitlines()] == list(" ~ ~ +   ")


def test_a_layer_put_in_is_one_difference_though_names_shift() -> None:
    parent, child = conv_net(4, 8, 4, 8), conv_net(4, 8, 16, 4, 8)
    both = compared(items_of_network(parent), items_of_network(child))
    assert [item.sign for item in both] == ["", "", "", "+", "", "", "", "", ""]


def test_text() -> None:
    shown = text(network_diagram(classic("resnet152"))).splitlines()
    assert shown[6].split("  ")[0] == "layer2"
    layer3 = [re.split("  +", line.strip()) for line in shown[9:12]]
    # He et al. 2016, table 1: 1024 maps of 14x14, 36 blocks.
    assert [row[0] for row in layer3] == ["layer3", "0", "1 to 35 \u00d735"]
    assert layer3[2][1:3] == ["conv 1x1, conv 3x3, conv 1x1, add", "1024x14x14"]
    assert text(network_diagram(classic("inception_v3"))).count("reads") == 2
    # Liu et al. 2019: a cell reads the two before it; the stem is outside of this scope.
    cells = text(network_diagram(classic("darts_v2"))).splitlines()[3:6]
    assert [line.partition("reads ")[2] for line in cells] == ["", "stem, 0", ""]


def test_words() -> None:
    assert word(Conv(3, channels=8)) == "conv 3"
    assert word(Conv((3, 3), (2, 2), channels=8)) == "conv 3x3/2"
    assert word(Conv((3, 5), (2, 1), channels=8, groups=8)) == "depthwise conv 3x5/2x1"
    assert word(Conv((3, 3), channels=8, groups=2, dilation=(2, 2))) == "grouped conv 3x3 dilated 2"
    assert shape_of((96, 8, 8), (256, 8, 8)) == "96-256x8x8"
    assert counts(Cost(999, 999_600, 0, 0)) == ("999 params", "1M MACs")
    assert counts(Cost(25_557_032, 0, 0, 0)) == ("25.6M params", "")
    conv = Conv((3, 3), channels=8)
    assert changed((conv,), (replace(conv, channels=4, kernel=(1, 1)),)) == "kernel 3x3, channels 8"
    assert changed((conv,), (MaxPool((2, 2)),)) == "conv 3x3"


@pytest.mark.parametrize("seed", range(20))
def test_layout_of_random_graphs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 15))
    sizes = [(float(rng.integers(20, 200)), float(rng.integers(20, 80))) for _ in range(count)]
    pairs = [(a, b) for b in range(count) for a in range(b) if rng.random() < 0.3]
    placed = layout(sizes, [Wire(a, b) for a, b in pairs])
    boxes = [
        (x, y, x + width, y + height)
        for (x, y), (width, height) in zip(placed.corners, sizes, strict=True)
    ]
    for a, b in pairs:
        assert boxes[a][3] < boxes[b][1]
    for a in range(count):
        for b in range(a):
            (l1, t1, r1, b1), (l2, t2, r2, b2) = boxes[a], boxes[b]
            assert r1 < l2 + 1e-6 or r2 < l1 + 1e-6 or b1 < t2 + 1e-6 or b2 < t1 + 1e-6
    # As many layers as the longest path has nodes (networkx).
    graph = nx.DiGraph(pairs)
    graph.add_nodes_from(range(count))
    tops = {y for _, y in placed.corners}
    assert len(tops) == nx.dag_longest_path_length(graph) + 1


def test_a_chain_is_straight_and_a_fork_symmetric() -> None:
    chain = layout([(50, 20), (90, 20), (10, 20)], [Wire(0, 1), Wire(1, 2)])
    assert (
        len({x + width / 2 for (x, _), width in zip(chain.corners, (50, 90, 10), strict=True)}) == 1
    )
    fork = layout([(20, 20)] * 4, [Wire(0, 1), Wire(0, 2), Wire(1, 3), Wire(2, 3)])
    top, left, right, bottom = (x for x, _ in fork.corners)
    assert top == bottom == pytest.approx((left + right) / 2)


def test_no_crossing_where_none_need_be() -> None:
    # Drawn in the order given, all three links of the second layer would cross.
    wires = [Wire(0, 1), Wire(0, 2), Wire(0, 3), Wire(1, 6), Wire(2, 5), Wire(3, 4)]
    corners = layout([(20, 20)] * 7, wires).corners
    upper, lower = [corners[v][0] for v in (1, 2, 3)], [corners[v][0] for v in (6, 5, 4)]
    assert np.argsort(upper).tolist() == np.argsort(lower).tolist()


def test_long_links_keep_a_lane() -> None:
    placed = layout([(40, 20)] * 4, [Wire(0, 1), Wire(1, 2), Wire(2, 3), Wire(0, 3)])
    passing = [curve for curve in placed.curves if curve.target >= 4]
    assert len(passing) == 2
    for curve in passing:
        assert all(abs(curve.end[0] - (x + 20)) >= 20 + LANE / 2 for x, _ in placed.corners[1:3])


def test_show(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "cell.svg"
    conv = "nor_conv_3x3"
    best = f"|{conv}~0|+|{conv}~0|{conv}~1|+|skip_connect~0|{conv}~1|{conv}~2|"
    old = best.replace("skip_connect", "none")
    arguments = ["show", "nasbench201", best, "--against", old, "--depth", "1", "--svg", str(path)]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "+ 3 = skip_connect(0) + nor_conv_3x3(1) + nor_conv_3x3(2)" in out
    assert re.search(r"^~    0 to 4 \u00d75 ", out, re.M)
    drawn = ElementTree.parse(path).getroot()
    texts = [element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert "+ skip_connect" in texts
    assert "~ 0 to 4 \u00d75" in texts
    assert main(["show", "resnet20", "--against", "resnet20"]) == 0
    assert not re.search(r"^[-+~]", capsys.readouterr().out, re.M)
    assert main(["show", "lenet5", "--svg", str(tmp_path / "no" / "x.svg")]) == 2
    assert "x.svg: No such file" in capsys.readouterr().err
