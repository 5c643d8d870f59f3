"""A diagram consists of boxes and links between them; a box may contain a diagram."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """One box.

    Attributes:
        what: the operations of the box, in words.
        name: its name in the network or the cell.
        facts: its shape and its costs, in words.
        colour: its kind of operation, one of :data:`nas.drawing.svg.COLOURS`; or "port", where a
            link enters or leaves the surrounding box.
        sign: "+", "-" or "~" if it differs from the parent.
        was: what it did in the parent.
        times: how many equal boxes in a row it stands for.
        idle: whether it cannot influence the output, because the input does not reach it or the
            output does not depend on it.
        about: all details, shown when the pointer is over the box.
        inside: the diagram within the box.
        nodes: the names of the network's nodes in the box.
    """

    what: str = ""
    name: str = ""
    facts: tuple[str, ...] = ()
    colour: str = "plain"
    sign: str = ""
    was: str = ""
    times: int = 1
    idle: bool = False
    about: str = ""
    inside: Diagram | None = None
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Link:
    """A link from one box to another; ``port`` is the output port of the first box's diagram."""

    source: int
    target: int
    sign: str = ""
    port: int = 0


@dataclass(frozen=True)
class Diagram:
    """Boxes in topological order; within a box, input ports come first and output ports last."""

    boxes: tuple[Box, ...]
    links: tuple[Link, ...] = ()

    def count(self) -> int:
        """Counts the boxes on all levels without the ports."""
        shown = [box for box in self.boxes if box.colour != "port"]
        return len(shown) + sum(box.inside.count() for box in shown if box.inside)


def in_a_row(diagrams: Mapping[str, Diagram]) -> Diagram:
    """Puts several diagrams side by side, each in a box with its name."""
    return Diagram(
        tuple(Box(name=name, colour="part", inside=diagram) for name, diagram in diagrams.items())
    )
