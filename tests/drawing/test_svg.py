"""Every picture is well-formed, bounded, and nothing in it covers anything else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.ft2font import FT2Font

import nas
from nas.architecture.builder import Builder
from nas.architecture.graph import Architecture
from nas.classics import CLASSICS, classic
from nas.drawing.cells import cell_diagram
from nas.drawing.diagram import Box, Diagram, Link, in_a_row
from nas.drawing.networks import network_diagram
from nas.drawing.svg import COLOURS, MUTED, PAGE, SIGNS, TEXT, svg
from nas.drawing.text import text
from nas.spaces import spaces
from tests.drawing.geometry import WIDTHS, Picture, faults

SEEDS = 4


def check(diagram: Diagram) -> str:
    drawn = svg(diagram, "a network", "what it is")
    assert faults(drawn) == []
    assert len(drawn) < 200_000
    return drawn


@pytest.mark.parametrize("name", CLASSICS)
def test_every_classic(name: str) -> None:
    diagram = network_diagram(classic(name))
    assert diagram.count() < 60
    check(diagram)
    assert len(text(diagram).splitlines()) == diagram.count()


@pytest.mark.parametrize("name", spaces())
def test_random_architectures_of_every_space(name: str) -> None:
    space = nas.space(name)
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        genotype = space.sample(rng)
        architecture = space.decode(genotype)
        diagram = network_diagram(architecture)
        assert diagram.count() < 60
        check(diagram)
        cells = {key: cell_diagram(cell) for key, cell in space.cell_graphs(genotype).items()}
        if cells:
            check(in_a_row(cells))
        if seed == 0:
            child = space.decode(space.mutate(genotype, rng))
            check(network_diagram(child, architecture))


@pytest.mark.parametrize(
    ("name", "depth"),
    [
        *((name, depth) for name in ("resnet50", "densenet121") for depth in range(4)),
        *((name, depth) for name in ("inception_v3", "mobilenet_v3_large") for depth in (1, 3)),
        ("nasnetamobile", 1),
    ],
)
def test_every_depth(name: str, depth: int) -> None:
    assert faults(svg(network_diagram(classic(name), depth=depth), name)) == []


@pytest.mark.parametrize(
    ("name", "parent"),
    [("vgg11", "resnet18"), ("lenet5", "amoebanet_a_cifar"), ("darts_v2", "nin")],
)
def test_the_difference_of_strangers(name: str, parent: str) -> None:
    diagram = network_diagram(classic(name), classic(parent))
    assert diagram.count() < 60
    check(diagram)


def flat(count: int) -> Architecture:
    """All in one scope, and no two in a row alike."""
    g = Builder((4, 16, 16))
    x = g.input
    for index in range(count):
        x = g.conv(x, 4 + index % 7, 3, padding=1)
    return g.build(x)


@pytest.mark.parametrize("count", [0, 1, 41, 1_500])
def test_what_has_no_scopes_is_bounded_too(count: int) -> None:
    g = Builder((4, 16, 16))
    architecture = flat(count) if count else g.build(g.identity(g.input))
    diagram = network_diagram(architecture)
    assert diagram.count() < 60
    check(diagram)


def test_faults_are_found() -> None:
    drawn = svg(network_diagram(classic("lenet5")), "LeNet-5")
    assert not faults(drawn)
    box = re.findall(r'<rect class="conv"[^>]*>', drawn)[1]
    moved = drawn.replace(box, re.sub(r' y="([\d.]+)"', lambda y: f' y="{float(y[1]) - 50}"', box))
    for broken, fault in [(moved, "boxes"), (moved, "crosses"),
                          (drawn.replace("conv", "conv" * 20), "leaves the page"),
                          (drawn.replace("linear", "linear" * 5), "edge of a box")]:  # fmt: skip
        assert any(fault in found for found in faults(broken)), fault


def test_it_is_complete_in_itself_and_says_what_it_is() -> None:
    drawn = svg(network_diagram(classic("lenet5")), "LeNet <5>", "digits & more")
    root = ElementTree.fromstring(drawn)
    space = {"s": "http://www.w3.org/2000/svg"}
    title, description = root.find("s:title", space), root.find("s:desc", space)
    assert title is not None
    assert description is not None
    assert (title.text, description.text) == ("LeNet <5>", "digits & more")
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert root.get("role") == "img"
    assert "prefers-color-scheme:dark" in drawn
    assert drawn.count("http") == 1  # the name space
    assert not re.search(r"url\(|@import|href|<script", drawn)
    other = svg(network_diagram(classic("vgg8")), "LeNet <5>", "digits & more")
    assert title.get("id") not in other  # both may stand in one page


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(a: str, b: str) -> float:
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_contrast(dark: bool) -> None:
    """WCAG 2.2: 4.5 for text (1.4.3), 3 for graphics (1.4.11)."""
    page = PAGE[dark]
    grounds = [page, *(colour[2 if dark else 0] for colour in COLOURS.values())]
    for ground in grounds:
        assert contrast(TEXT[dark], ground) >= 4.5
        assert contrast(MUTED[dark], ground) >= 4.5
    for colour in COLOURS.values():
        assert contrast(colour[3 if dark else 1], page) >= 3
    for sign in SIGNS.values():
        assert contrast(sign[dark], page) >= 4.5


def test_text_is_as_wide_as_reckoned() -> None:
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for style, size in (("strong", 12), ("small", 11)):
        bold = "-Bold" if style == "strong" else ""
        font = FT2Font(str(folder / f"DejaVuSansMono{bold}.ttf"))
        font.set_size(size, 72)
        for character in "mW\u00b7\u00d7_":
            assert font.load_char(ord(character)).linearHoriAdvance / 65536 <= WIDTHS[style]


def boxes_of(drawn: str) -> Sequence[str]:
    return [text.what for text in Picture(drawn).texts]


def test_signs_are_text_beside_the_colour() -> None:
    boxes = (Box("a"), Box("b", sign="+"), Box("c", sign="-"), Box("d", sign="~", was="e"))
    links = (Link(0, 1, "+"), Link(0, 2, "-"), Link(0, 3))
    drawn = svg(Diagram(boxes, links), "t")
    assert boxes_of(drawn) == ["t", "+", "-", "a", "+ b", "- c", "~ d", "was e"]
    assert faults(drawn) == []


def test_long_text_is_broken() -> None:
    words = " + ".join(["operation 3x3"] * 9)
    drawn = svg(Diagram((Box(words, "x" * 99, ("1x2x3",)),)), "t" * 300, "d " * 300)
    assert faults(drawn) == []
    lines = boxes_of(drawn)
    assert max(map(len, lines)) <= 48
    assert "".join(lines).count("operation 3x3") == 9
