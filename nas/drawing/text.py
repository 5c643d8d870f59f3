"""Writes a diagram as text for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from nas.drawing.diagram import Box, Diagram


def text(diagram: Diagram) -> str:
    """Returns one line per box; the content of a box is indented below it.

    The columns are the sign against a parent; the name with the number of repetitions; the
    operations, and those of the parent; shape, parameters and MACs; and the inputs, if they are
    not just the box above.
    """
    rows = list(_rows(diagram, ""))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width)
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _rows(diagram: Diagram, indent: str) -> Iterator[tuple[str, ...]]:
    above = 0
    for index, box in enumerate(diagram.boxes):
        if box.colour == "port":
            continue
        links = [link for link in diagram.links if link.target == index]
        reads = ""
        if [(link.source, link.sign) for link in links] not in ([], [(above, "")]):
            named = [link.sign + _name(diagram.boxes[link.source]) for link in links]
            reads = f"reads {', '.join(named)}"
        times = f" \u00d7{box.times}" if box.times > 1 else ""
        does = "" if box.inside or not box.name else box.what
        was = f" (was {box.was})" if box.was else ""
        facts = (*box.facts, "", "", "")[:3]
        yield box.sign, f"{indent}{_name(box)}{times}", f"{does}{was}", *facts, reads
        if box.inside:
            yield from _rows(box.inside, f"{indent}  ")
        above = index


def _name(box: Box) -> str:
    return box.name or box.what or box.about
