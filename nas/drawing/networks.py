"""The drawing of a network, by stages."""

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
"""As many are drawn unless the depth is given."""

_NAMED = 4
"""Operations that the box of a closed part names."""


def network_diagram(
    architecture: Architecture, parent: Architecture | None = None, depth: int | None = None
) -> Diagram:
    """A network by its scopes; equal scopes one behind the other are drawn once.

    Args:
        architecture: what to draw.
        parent: what it came from: operations that are new are marked "+", those that are gone
            "-", changed ones "~"; parts in which all is as it was stay closed.
        depth: how many levels of scopes to open: 0 draws the outermost as boxes. By default as
            many as make up to 32 boxes.
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
    """What a network takes, gives and costs."""
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
        """The parts between the input and the outputs."""
        ends = [place for place, item in enumerate(self.items) if not item.does]
        boxes = [
            Box(item.name, facts=(shape_of(item.shape, item.shape),), sign=item.sign)
            for item in (self.items[place] for place in ends)
        ]
        read = [self._read(range(place, place + 1)) for place in ends[1:]]
        behind = list(zip(boxes[1:], read, strict=True))
        return self._diagram(found, depth, "", [(boxes[0], 0)], behind)

    def _inside(self, part: Part, depth: int) -> Diagram:
        """The children of a part between ports, which have names where several lead in."""
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
        """``before``: boxes of the items they stand for; ``behind``: boxes of what they read."""
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
        """What items read of others, and the sign that all of these links have."""
        signs: dict[int, set[str]] = {}
        for item in self.items[places.start : places.stop]:
            for source, sign in item.links():
                if source < places.start:
                    signs.setdefault(source, set()).add(sign)
        return {source: min(found) if len(found) == 1 else "" for source, found in signs.items()}

    def _leaving(self, part: Part) -> list[int]:
        """The items of the first repetition that others, or the like of others, read."""
        length = part.stop - part.start
        leaving = set()
        for place in range(part.start, part.end):
            own_end = place + length - (place - part.start) % length
            if any(reader >= own_end for reader in self.readers[place]):
                leaving.add(self._first(part, place))
        return sorted(leaving)

    def _port(self, part: Part, source: int) -> int:
        """Which of a part's ports out an item is."""
        return self._leaving(part).index(self._first(part, source))

    def _first(self, part: Part, place: int) -> int:
        return part.start + (place - part.start) % (part.stop - part.start)


def _kept(items: Sequence[Item]) -> Sequence[Item]:
    """All but what only the parent has, if there is any."""
    return [item for item in items if item.sign != REMOVED] or items


def _summary(items: Sequence[Item]) -> str:
    """The leading operations of a part: in order if they are few, else those of which are most."""
    leaders = [word(leading(item.does)) for item in items if any(map(leads, item.does))]
    if len(leaders) <= _NAMED:
        return ", ".join(leaders)
    most = Counter(leaders).most_common(_NAMED)
    rest = " ..." if len(set(leaders)) > _NAMED else ""
    return ", ".join(f"{count} {name}" if count > 1 else name for name, count in most) + rest
