"""What an SVG of ours shows, and where: read back from its text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from xml.etree import ElementTree

WIDTHS = {"strong": 7.23, "small": 6.63}
"""Of a character: 0.602 em in DejaVu Sans Mono, at 12 and at 11 px."""

_NAME = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True)
class Rectangle:
    left: float
    top: float
    right: float
    bottom: float
    what: str

    def overlaps(self, other: Rectangle) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def holds(self, other: Rectangle) -> bool:
        return (
            self.left <= other.left
            and self.top <= other.top
            and other.right <= self.right
            and other.bottom <= self.bottom
        )

    def has(self, point: tuple[float, float]) -> bool:
        x, y = point
        inset = 0.2  # coordinates are rounded
        return (
            self.left + inset < x < self.right - inset
            and self.top + inset < y < self.bottom - inset
        )


class Picture:
    """Boxes, texts and links of an SVG, in coordinates of the page."""

    def __init__(self, svg: str) -> None:
        root = ElementTree.fromstring(svg)
        self.page = Rectangle(0, 0, float(root.get("width", 0)), float(root.get("height", 0)), "")
        self.boxes: list[Rectangle] = []
        self.texts: list[Rectangle] = []
        self.links: list[list[tuple[float, float]]] = []
        self._read(root, 0.0, 0.0)

    def leaves(self) -> list[Rectangle]:
        """Boxes with no other in them; the sheets behind a pile count as one with it."""
        return [
            box
            for box in self.boxes
            if not any(box != other and box.holds(other) for other in self.boxes)
        ]

    def _read(self, element: ElementTree.Element, x: float, y: float) -> None:
        for child in element:
            tag, style = child.tag.removeprefix(_NAME), child.get("class", "")

            def number(name: str, child: ElementTree.Element = child) -> float:
                return float(child.get(name, 0))

            if tag == "g":
                moved = re.findall(r"-?[\d.]+", child.get("transform", "0 0"))
                self._read(child, x + float(moved[0]), y + float(moved[1]))
            elif tag == "rect" and style not in ("page", "port"):
                left, top = x + number("x"), y + number("y")
                right, bottom = left + number("width"), top + number("height")
                self.boxes.append(Rectangle(left, top, right, bottom, style))
            elif tag == "text":
                text = child.text or ""
                size = next(width for name, width in WIDTHS.items() if name in style)
                shift = {"middle": 0.5, "start": 0.0}[child.get("text-anchor", "start")]
                left = x + number("x") - shift * size * len(text)
                base = y + number("y")
                self.texts.append(
                    Rectangle(left, base - 9, left + size * len(text), base + 3, text)
                )
            elif tag == "path" and "link" in style:
                points = list(_points(child.get("d", "")))
                self.links.append([(px + x, py + y) for px, py in points])


def _points(path: str) -> Iterator[tuple[float, float]]:
    """Points along a path of the commands M, V and C."""
    x = y = 0.0
    for command, text in re.findall(r"([MVC])([^MVC]*)", path):
        given = [float(number) for number in re.findall(r"-?[\d.]+", text)]
        if command == "M":
            x, y = given
        elif command == "V":
            yield from ((x, y + (given[0] - y) * step / 20) for step in range(21))
            y = given[0]
        else:
            ends = [(x, y), *zip(given[::2], given[1::2], strict=True)]
            for step in range(21):
                t = step / 20
                weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
                yield (
                    sum(w * end[0] for w, end in zip(weights, ends, strict=True)),
                    sum(w * end[1] for w, end in zip(weights, ends, strict=True)),
                )
            x, y = ends[-1]


def faults(svg: str) -> list[str]:
    """What is wrong with a picture: overlaps, text cut, links over boxes."""
    picture = Picture(svg)
    found = []
    for text in picture.texts:
        if not picture.page.holds(text):
            found.append(f"text {text.what!r} leaves the page")
        crossed = [box for box in picture.boxes if box.overlaps(text) and not box.holds(text)]
        if crossed and text.what not in "+-~":
            found.append(f"text {text.what!r} over the edge of a box")
    for a, b in combinations(picture.texts, 2):
        if a.overlaps(b):
            found.append(f"texts {a.what!r} and {b.what!r} overlap")
    for a, b in combinations(picture.boxes, 2):
        piled = a.what == b.what and abs(abs(a.left - b.left) - abs(a.top - b.top)) < 1e-6
        if a.overlaps(b) and not (a.holds(b) or b.holds(a)) and not piled:
            found.append(f"boxes {a} and {b} overlap")
    leaves = picture.leaves()
    for link in picture.links:
        for box in leaves:
            if any(box.has(point) for point in link):
                found.append(f"a link from {link[0]} to {link[-1]} crosses {box}")
    return found
