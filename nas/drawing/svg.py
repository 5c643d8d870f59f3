"""Writes a diagram as one self-contained SVG file for light and dark pages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from html import escape
from textwrap import wrap
from types import MappingProxyType
from typing import NamedTuple

from nas.drawing.diagram import Box, Diagram, Link
from nas.drawing.layout import LANE, Curve, Wire, layout


class _Colour(NamedTuple):
    fill: str
    line: str
    dark_fill: str
    dark_line: str


COLOURS: Mapping[str, _Colour] = MappingProxyType(
    {
        "plain": _Colour("#f6f8fa", "#6e7781", "#21262d", "#8b949e"),
        "part": _Colour("#ffffff", "#57606a", "#161b22", "#8b949e"),
        "conv": _Colour("#ddf4ff", "#0969da", "#0c2d4f", "#58a6ff"),
        "pool": _Colour("#fff1e5", "#bc4c00", "#4a2107", "#f0883e"),
        "linear": _Colour("#fbefff", "#8250df", "#351c5c", "#bc8cff"),
        "join": _Colour("#dafbe1", "#1a7f37", "#0b3a1a", "#3fb950"),
    }
)
"""Fill and outline of boxes for each kind of operation, on light and on dark pages."""

SIGNS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"+": ("#1a7f37", "#3fb950"), "-": ("#cf222e", "#ff7b72"), "~": ("#9a6700", "#e3b341")}
)
"""The colours of differences from the parent, on light and on dark pages."""

TEXT, MUTED, PAGE = ("#1f2328", "#e6edf3"), ("#57606a", "#9da7b3"), ("#ffffff", "#0d1117")

_CHARACTER = 7.3
"""The width of a 12 px character in the widest of the fonts that the file names."""

_LONGEST = 44
"""The largest number of characters in a line."""

_LINE, _PADDING, _MARGIN = 16.0, 10.0, 16.0
_STACK = 5.0
"""By how much the sheet behind a box that stands for several is shifted."""

_FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"


def svg(diagram: Diagram, title: str, description: str = "", opens: bool = False) -> str:
    """Returns the text of an SVG file.

    The drawing follows the page between light and dark (``prefers-color-scheme``), uses installed
    fonts and can be embedded in an HTML page. Differences from a parent are marked by a sign in
    text, not by colour alone.

    Args:
        diagram: the diagram to draw.
        title: the line above the drawing, which a screen reader says first.
        description: the line below the title.
        opens: whether the boxes are buttons that name their nodes, for a page that opens them.
    """
    drawing = _Drawing(diagram, opens)
    longest = max(int(drawing.width / _CHARACTER), _LONGEST)
    captions = [(line, "strong") for line in wrap(title, longest)]
    captions += [(line, "small") for line in wrap(description, longest)]
    head = _LINE * len(captions) + _MARGIN
    width = max(drawing.width, *(len(line) * _CHARACTER for line, _ in captions)) + 2 * _MARGIN
    height = drawing.height + head + 2 * _MARGIN
    name = f"nas-{blake2b(f'{title}{description}{diagram}'.encode(), digest_size=6).hexdigest()}"
    size = f"{_number(width)} {_number(height)}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="nas" viewBox="0 0 {size}" '
        f'width="{_number(width)}" height="{_number(height)}" role="{"group" if opens else "img"}" '
        f'aria-labelledby="{name}-title {name}-desc">',
        f'<title id="{name}-title">{escape(title)}</title>',
        f'<desc id="{name}-desc">{escape(description or title)}</desc>',
        f"<style>{_STYLE}</style>",
        '<rect class="page" width="100%" height="100%"/>',
    ]
    for index, (line, style) in enumerate(captions):
        lines.append(_text(_MARGIN, _MARGIN + _LINE * (index + 0.75), line, style, "start"))
    left = (width - drawing.width) / 2
    lines += [f'<g transform="translate({_number(left)} {_number(head + _MARGIN)})">']
    lines += [*drawing.elements(), "</g>", "</svg>"]
    return "\n".join(lines) + "\n"


def colours(dark: bool) -> str:
    """Returns the style rules that colour a drawing on a light or a dark page."""
    text, muted, page = (pair[dark] for pair in (TEXT, MUTED, PAGE))
    found = [
        f".nas .page{{fill:{page}}}.nas text{{fill:{text}}}.nas .small{{fill:{muted}}}",
        f".nas .link{{stroke:{muted}}}.nas .head{{fill:{muted}}}",
    ]
    for name, colour in COLOURS.items():
        fill, line = colour[2:] if dark else colour[:2]
        found.append(f".nas .{name}{{fill:{fill};stroke:{line}}}")
    for sign, pair in SIGNS.items():
        name = _SIGN_NAMES[sign]
        found.append(
            f".nas rect.{name},.nas path.{name}.link{{stroke:{pair[dark]}}}"
            f".nas text.{name},.nas path.{name}.head{{fill:{pair[dark]}}}"
        )
    return "".join(found)


def _style() -> str:
    return (
        f".nas text{{font:12px {_FONT}}}"
        ".nas .strong{font-weight:600}.nas .small{font-size:11px}"
        ".nas .link{fill:none;stroke-width:1.2}.nas rect{stroke-width:1.2}.nas .page{stroke:none}"
        ".nas .added,.nas .changed{stroke-width:2.4}.nas .head{stroke:none}"
        ".nas .idle{stroke-dasharray:2 3}.nas .removed{stroke-width:2;stroke-dasharray:7 4}"
        ".nas .port{fill:none;stroke:none}"
        f"{colours(False)}@media(prefers-color-scheme:dark){{{colours(True)}}}"
    )


_SIGN_NAMES = {"+": "added", "-": "removed", "~": "changed"}
_STYLE = _style()


class _Drawing:
    """A diagram whose boxes, on all levels, have sizes and positions."""

    def __init__(self, diagram: Diagram, opens: bool) -> None:
        self.diagram, self.opens = diagram, opens
        self.inner = [_Drawing(box.inside, opens) if box.inside else None for box in diagram.boxes]
        self.sizes = [self._size(*pair) for pair in zip(diagram.boxes, self.inner, strict=True)]
        entered = {link.target for link in diagram.links}
        ports = [index for index, box in enumerate(diagram.boxes) if box.colour == "port"]
        self.out = [index for index in ports if index in entered]
        wires = [self._wire(link) for link in diagram.links]
        ends = (self.out, [index for index in ports if index not in entered])
        centred = [each[0] for each in ends if len(each) == 1]
        self.layout = layout(self.sizes, wires, len(self.out), centred)
        self.width, self.height = self.layout.size

    def elements(self) -> list[str]:
        """Returns the links, then their arrowheads, then the boxes."""
        found = [self._curve(curve) for curve in self.layout.curves]
        found += [head for curve in self.layout.curves for head in self._head(curve)]
        for index, (x, y) in enumerate(self.layout.corners):
            found += self._box(index, x, y)
        return found

    def _size(self, box: Box, inner: _Drawing | None) -> tuple[float, float]:
        if not box.what and not box.name:
            return LANE, 0.0
        lines = _lines(box)
        stack = _STACK * (box.times > 1)
        width = max(len(line) for line, _ in lines) * _CHARACTER + 2 * _PADDING
        height = len(lines) * _LINE + _PADDING
        if inner:
            width = max(width, inner.width + 2 * _PADDING)
            height += inner.height + inner.border * 2
        return width + stack, height + stack

    @property
    def border(self) -> float:
        """The space above and below it in a box; none if links enter and leave there."""
        return 0.0 if self.out else _PADDING

    def _wire(self, link: Link) -> Wire:
        shift, inner = 0.0, self.inner[link.source]
        if inner and inner.out:
            port = inner.out[link.port]
            middle = inner.layout.corners[port][0] + inner.sizes[port][0] / 2
            shift = middle - inner.width / 2
        return Wire(link.source, link.target, shift, link.sign)

    def _curve(self, curve: Curve) -> str:
        (x, y), (top, bottom), (to_x, to_y) = curve.start, curve.gap, curve.end
        style = _SIGN_NAMES.get(curve.sign, "")
        if abs(x - to_x) < 0.5:
            path = f"M{_number(x)} {_number(y)}V{_number(to_y)}"
        else:
            half = _number((top + bottom) / 2)
            path = (
                f"M{_number(x)} {_number(y)}V{_number(top)}C{_number(x)} {half} "
                f"{_number(to_x)} {half} {_number(to_x)} {_number(bottom)}V{_number(to_y)}"
            )
        return f'<path class="link {style}" d="{path}"/>'

    def _head(self, curve: Curve) -> Iterator[str]:
        """Yields the arrowhead and the sign beside it."""
        if curve.target < len(self.sizes) and curve.target not in self.out:
            x, y = curve.end
            style, tip = _SIGN_NAMES.get(curve.sign, ""), f"{_number(x)} {_number(y)}"
            place = f"M{_number(x - 3.5)} {_number(y - 7)}"
            yield f'<path class="head {style}" d="{place}h7L{tip}z"/>'
            if curve.sign:
                yield f'<circle class="page" cx="{_number(x + 8)}" cy="{_number(y - 11)}" r="5"/>'
                yield _text(x + 8, y - 7, curve.sign, f"strong {style}", "middle")

    def _box(self, index: int, x: float, y: float) -> list[str]:
        box, inner = self.diagram.boxes[index], self.inner[index]
        if not box.what and not box.name:
            return []
        stack = _STACK * (box.times > 1)
        width, height = (size - stack for size in self.sizes[index])
        style = " ".join(
            filter(None, [box.colour, _SIGN_NAMES.get(box.sign, ""), "idle" if box.idle else ""])
        )
        button = ""
        if self.opens and box.nodes:
            names = escape(" ".join(box.nodes))
            button = f' role="button" tabindex="0" data-nodes="{names}"'
        found = [f"<g{button}><title>{escape(box.about or box.what)}</title>"]
        for shift in (stack, 0.0) if stack else (0.0,):
            found.append(
                f'<rect class="{style}" x="{_number(x + shift)}" y="{_number(y + shift)}" '
                f'width="{_number(width)}" height="{_number(height)}" rx="6"/>'
            )
        lines = _lines(box)
        at, anchor = (x + _PADDING, "start") if inner else (x + width / 2, "middle")
        for row, (line, weight) in enumerate(lines, 1):
            found.append(_text(at, y + row * _LINE, line, weight, anchor))
        found.append("</g>")
        if inner:
            head = len(lines) * _LINE + _PADDING + inner.border
            left = x + (self.sizes[index][0] - inner.width) / 2
            place = f"{_number(left)} {_number(y + head)}"
            found += [f'<g transform="translate({place})">', *inner.elements(), "</g>"]
        return found


def _lines(box: Box) -> list[tuple[str, str]]:
    """Returns the lines of text in a box, each with its style."""
    shape, costs = box.facts[:1], _joined(box.facts[1:])
    first, rest = box.what, [_joined((box.name, *shape)), costs]
    if box.colour in ("part", "port"):
        first, rest = box.name, ["" if box.inside else box.what, _joined((*shape, costs))]
    if box.times > 1:
        first += f" \u00d7{box.times}"
    if box.was:
        rest.append(f"was {box.was}")
    styled = [(f"{box.sign} {first}".strip(), "small" if box.colour == "port" else "strong")]
    styled += [(line, "small") for line in rest]
    return [(part, style) for line, style in styled for part in _wrapped(line)]


def _wrapped(line: str) -> list[str]:
    """Breaks a line after commas, plus signs or dots; a word that is too long is not broken."""
    glued = re.sub("(?<![,+\u00b7]) ", "\u00a0", line)
    return [part.replace("\u00a0", " ") for part in wrap(glued, _LONGEST)]


def _joined(words: Sequence[str]) -> str:
    return " \u00b7 ".join(filter(None, words))


def _text(x: float, y: float, text: str, style: str, anchor: str) -> str:
    place = f'x="{_number(x)}" y="{_number(y)}"'
    return f'<text {place} class="{style}" text-anchor="{anchor}">{escape(text)}</text>'


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
