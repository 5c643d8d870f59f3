"""What is drawn: boxes and the links between them; a box may hold a diagram of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """One box.

    Attributes:
        what: what it does.
        name: where it is in the network or the cell.
        facts: its shape and its costs, in words.
        colour: what kind of operation it is: one of :data:`nas.drawing.svg.COLOURS`; or "port",
            at which a link enters or leaves the box around.
        sign: "+", "-" or "~" beside a parent.
        was: what it was in the parent.
        times: how many alike stand in a row, of which this is the first.
        idle: whether it cannot matter: the input does not reach it, or the output not need it.
        about: all there is to know, for those who point at it.
        inside: what is drawn within.
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


@dataclass(frozen=True)
class Link:
    """From one box to another; ``port`` says from which port of the diagram in the first."""

    source: int
    target: int
    sign: str = ""
    port: int = 0


@dataclass(frozen=True)
class Diagram:
    """Boxes in topological order. In a box, the first are its ports in, the last its ports out."""

    boxes: tuple[Box, ...]
    links: tuple[Link, ...] = ()

    def count(self) -> int:
        """How many boxes there are on all levels, ports left out."""
        shown = [box for box in self.boxes if box.colour != "port"]
        return len(shown) + sum(box.inside.count() for box in shown if box.inside)


def in_a_row(diagrams: Mapping[str, Diagram]) -> Diagram:
    """Several diagrams side by side, each in a box with its name."""
    return Diagram(
        tuple(Box(name=name, colour="part", inside=diagram) for name, diagram in diagrams.items())
    )
