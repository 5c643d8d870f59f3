"""Draws a network, scope by scope."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from nas.architecture.graph import Architecture
from nas.drawing.diagram import Box, Diagram, Link
from nas.drawing.items import CHANGED, REMOVED, Item, compared, items_of_network, total
from nas.drawing.parts import Part, one_deeper, parts
from nas.drawing.words import changed, colour, counts, leading, leads, shape_of, word, words

BOXES = 32
"""The largest number of boxes if no depth is given."""

_NAMED = 4
"""How many operations the box of a closed part names."""


def network_diagram(
    architecture: Architecture, parent: Architecture | None = None, depth: int | None = None
) -> Diagram:
    """Draws a network by its scopes; equal scopes in a row are drawn once.

    Args:
        architecture: the network to draw.
        parent: the network it was made from. New operations are marked "+", removed ones "-" and
            changed ones "~"; parts without changes stay closed.
        depth: how many levels of scopes to open; 0 draws the outermost scopes as boxes. By
            default as many as fit into 32 boxes.
    """
    items = items_of_network(architecture)
    if parent is not None:
        items = compared(items_of_network(parent), items)
    found = parts(items)
    if parent is not None:
        found = tuple(_opened_where_changed(items, part) for part in found)
    if depth is None:
        depth = 0
        while _boxes(found, depth) < _boxes(found, depth + 1) <= BOXES:
            depth += 1
    return _Drawing(items).whole(found, depth)


def in_short(architecture: Architecture) -> str:
    """Describes the input, the output and the cost of a network in one line."""
    ends = (
        shape_of(shape, shape) for shape in (architecture.input_shape, architecture.output_shape)
    )
    return ", ".join([" to ".join(ends), *filter(None, counts(architecture.cost))])


def _boxes(found: Iterable[Part], depth: int) -> int:
    return sum(part.boxes(depth) for part in found)


def _opened_where_changed(items: Sequence[Item], part: Part) -> Part:
    if not any(item.sign or any(item.signs) for item in items[part.start : part.stop]):
        return replace(part, children=())
    children = tuple(_opened_where_changed(items, child) for child in part.children)
    return replace(part, children=children)


class _Drawing:
    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.readers: dict[int, list[int]] = defaultdict(list)
        for place, item in enumerate(items):
            for source in item.inputs:
                self.readers[source].append(place)

    def whole(self, found: Sequence[Part], depth: int) -> Diagram:
        """Draws the parts between the input and the outputs."""
        ends = [place for place, item in enumerate(self.items) if not item.does]
        boxes = [
            Box(item.name, facts=(shape_of(item.shape, item.shape),), sign=item.sign)
            for item in (self.items[place] for place in ends)
        ]
        read = [self._read(range(place, place + 1)) for place in ends[1:]]
        behind = list(zip(boxes[1:], read, strict=True))
        return self._diagram(found, depth, "", [(boxes[0], 0)], behind)

    def _inside(self, part: Part, depth: int) -> Diagram:
        """Draws the children of a part between its ports; several input ports get names."""
        sources = self._read(range(part.start, part.stop))
        names = [
            one_deeper(self.items[source].name, part.name).rpartition(".")[2] for source in sources
        ]
        several = len(names) > 1
        ports = [Box(name=name if several else "", colour="port", about=name) for name in names]
        behind = [(Box(colour="port"), {place: ""}) for place in self._leaving(part)]
        before = list(zip(ports, sources, strict=True))
        return self._diagram(part.children, depth, part.name, before, behind)

    def _diagram(
        self,
        found: Sequence[Part],
        depth: int,
        scope: str,
        before: Sequence[tuple[Box, int]],
        behind: Sequence[tuple[Box, Mapping[int, str]]],
    ) -> Diagram:
        """Links the boxes of parts and ports.

        ``before`` are input ports with the item that each stands for; ``behind`` are output ports
        with the items that each reads, and their signs.
        """
        part_of = dict(enumerate(found, len(before)))
        home = {place: index for index, (_, place) in enumerate(before)}
        for index, part in part_of.items():
            home.update(dict.fromkeys(range(part.start, part.end), index))
        boxes = [box for box, _ in before]
        boxes += [self._box(part, depth, scope) for part in found]
        boxes += [box for box, _ in behind]
        read: list[Mapping[int, str]]
        read = [self._read(range(part.start, part.stop)) for part in found]
        read += [sources for _, sources in behind]
        links = []
        for index, sources in enumerate(read, len(before)):
            for source, sign in sources.items():
                at = home[source]
                port = self._port(part_of[at], source) if boxes[at].inside else 0
                links.append(Link(at, index, sign, port))
        return Diagram(tuple(boxes), tuple(dict.fromkeys(links)))

    def _box(self, part: Part, depth: int, scope: str) -> Box:
        one, every = self.items[part.start : part.stop], self.items[part.start : part.end]
        shapes = [_kept(items)[-1].shape for items in (one, every)]
        cut = len(scope) + 1 if scope and part.name.startswith(f"{scope}.") else 0
        box = Box(
            name=part.name[cut:] + (f" to {part.last[cut:]}" if part.last else ""),
            facts=(shape_of(*shapes), *counts(total(item.cost for item in _kept(every)))),
            times=part.times,
            about="\n".join([part.name, *(str(operation) for operation in one[0].does)]),
            nodes=tuple(name for item in _kept(every) for name in item.nodes),
        )
        if len(one) == 1:
            does, was = one[0].does, one[0].was
            former = changed(was, does) if was else ""
            return replace(box, what=words(does), colour=colour(does), sign=one[0].sign, was=former)
        signs = {sign for item in one for sign in (item.sign, *item.signs)}
        return replace(
            box,
            what=_summary(_kept(one)),
            colour="part",
            sign=signs.pop() if len(signs) == 1 else CHANGED,
            about=f"{part.name}: {len(one)} rows of operations",
            inside=self._inside(part, depth - 1) if part.children and depth > 0 else None,
        )

    def _read(self, places: range) -> dict[int, str]:
        """Returns the outside items that these items read, and the sign that the links share."""
        signs: dict[int, set[str]] = {}
        for item in self.items[places.start : places.stop]:
            for source, sign in item.links():
                if source < places.start:
                    signs.setdefault(source, set()).add(sign)
        return {source: min(found) if len(found) == 1 else "" for source, found in signs.items()}

    def _leaving(self, part: Part) -> list[int]:
        """Returns the items of the first repetition that other parts or repetitions read."""
        length = part.stop - part.start
        leaving = set()
        for place in range(part.start, part.end):
            own_end = place + length - (place - part.start) % length
            if any(reader >= own_end for reader in self.readers[place]):
                leaving.add(self._first(part, place))
        return sorted(leaving)

    def _port(self, part: Part, source: int) -> int:
        """Returns the output port of a part at which an item leaves it."""
        return self._leaving(part).index(self._first(part, source))

    def _first(self, part: Part, place: int) -> int:
        return part.start + (place - part.start) % (part.stop - part.start)


def _kept(items: Sequence[Item]) -> Sequence[Item]:
    """Returns the items without those of the parent only, if any are left."""
    return [item for item in items if item.sign != REMOVED] or items


def _summary(items: Sequence[Item]) -> str:
    """Names the leading operations of a part: in order if they are few, else the most frequent."""
    leaders = [word(leading(item.does)) for item in items if any(map(leads, item.does))]
    if len(leaders) <= _NAMED:
        return ", ".join(leaders)
    most = Counter(leaders).most_common(_NAMED)
    rest = " ..." if len(set(leaders)) > _NAMED else ""
    return ", ".join(f"{count} {name}" if count > 1 else name for name, count in most) + rest
