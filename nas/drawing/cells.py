"""Draws a cell as a diagram or as text."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import ndiff

from nas.drawing.diagram import Box, Diagram, Link
from nas.drawing.items import REMOVED, Item, compared, items_of_cell
from nas.drawing.words import colour, words
from nas.spaces.cell_graph import CellGraph


def cell_diagram(cell: CellGraph, parent: CellGraph | None = None) -> Diagram:
    """Draws a cell: its states, numbered as in ``str(cell)``, and one box per operation.

    Edges whose operation is zero are left out. Parts that cannot influence the output are dashed.
    With a ``parent``, new parts are marked "+", removed parts "-", and changed parts "~".
    """
    items = items_of_cell(cell)
    if parent is not None:
        items = compared(items_of_cell(parent), items)
    live = _live(items)
    boxes = tuple(
        Box(
            words(item.does) or item.name,
            name=item.name if item.does and item.name.isdecimal() else "",
            colour=colour(item.does),
            sign=item.sign,
            was=words(item.was),
            idle=place not in live,
            about=f"{item.name} {words(item.does)}".strip(),
        )
        for place, item in enumerate(items)
    )
    links = tuple(
        Link(source, place, sign)
        for place, item in enumerate(items)
        for source, sign in item.links()
    )
    return Diagram(boxes, links)


def cell_text(cell: CellGraph, parent: CellGraph | None = None) -> str:
    """Returns ``str(cell)``; with a parent, "+" marks new parts and "-" marks removed ones."""
    if parent is None:
        return str(cell)
    compared_lines = ndiff(str(parent).splitlines(), str(cell).splitlines())
    return "\n".join(line.rstrip() for line in compared_lines if not line.startswith("?"))


def _live(items: Sequence[Item]) -> set[int]:
    """Returns the items on a path from an input to the output, and those of the parent only."""
    reached: set[int] = set()
    for place, item in enumerate(items):
        if item.name.startswith("input") or reached.intersection(item.inputs):
            reached.add(place)
    needed = {place for place, item in enumerate(items) if item.name == "output"}
    for place in reversed(range(len(items))):
        if place in needed or items[place].sign == REMOVED:
            needed.update(items[place].inputs)
            needed.add(place)
    return reached & needed
