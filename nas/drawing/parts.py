"""Divides a network into a hierarchy of parts; equal parts in a row are folded into one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nas.drawing.items import Item
from nas.drawing.words import word

MOST = 40
"""The largest number of parts of one level; if there are more, neighbours are joined."""


@dataclass(frozen=True)
class Part:
    """The items from ``start`` to ``stop`` (exclusive); equal repetitions follow up to ``end``.

    Items are in topological order, so a span of them can be drawn as one box: no path leaves it
    and comes back. ``children`` divide the items of the first repetition into smaller parts.
    """

    name: str
    start: int
    stop: int
    children: tuple[Part, ...] = ()
    times: int = 1
    last: str = ""
    end: int = 0

    def boxes(self, depth: int) -> int:
        """Counts the boxes that show this part with ``depth`` levels of children."""
        inner = self.children if depth > 0 else ()
        return 1 + sum(child.boxes(depth - 1) for child in inner)


def parts(items: Sequence[Item]) -> tuple[Part, ...]:
    """Divides a network, without its input and outputs, into nested scopes.

    Scopes come from the dotted names, which are the paths of the state dict. A scope extends from
    its first item to its last. Items between them that have another scope's name, such as a pool
    among the layers of ``features``, belong to it too. A scope with a single child is replaced by
    that child.
    """
    last_reader = [len(items)] * len(items)
    read = {source: place for place, item in enumerate(items) for source in item.inputs}
    for source, place in read.items():
        last_reader[source] = place
    outputs = sum(not item.does for item in items) - 1
    return _below(items, last_reader, 1, len(items) - outputs, "")


def _below(
    items: Sequence[Item], last_reader: Sequence[int], start: int, stop: int, scope: str
) -> tuple[Part, ...]:
    found = []
    for name, first, end in _spans(items, start, stop, scope):
        children: tuple[Part, ...] = ()
        if end - first > 1:
            children = _below(items, last_reader, first, end, name)
            if len(children) == 1 and children[0].times == 1:
                children = children[0].children
        found.append(Part(name, first, end, children, end=end))
    folded = _folded(items, last_reader, found)
    if len(folded) <= MOST:
        return folded
    pieces = math.isqrt(len(folded) - 1) + 1
    stretches = [folded[first : first + pieces] for first in range(0, len(folded), pieces)]
    return tuple(
        Part(s[0].name, s[0].start, s[-1].end, s, last=s[-1].last or s[-1].name, end=s[-1].end)
        for s in stretches
    )


def _spans(items: Sequence[Item], start: int, stop: int, scope: str) -> list[tuple[str, int, int]]:
    spans: list[tuple[str, int, int]] = []
    began: dict[str, int] = {}
    for place in range(start, stop):
        key = one_deeper(items[place].name, scope)
        first = began.setdefault(key, place)
        while spans and spans[-1][2] > first:  # items between belong to it
            name, earlier, _ = spans.pop()
            if earlier < first:
                key, first = name, earlier
        spans.append((key, first, place + 1))
    if len(spans) == 1 and spans[0][0] == scope:  # entangled scopes do not come apart
        return [(items[place].name, place, place + 1) for place in range(start, stop)]
    return spans


def one_deeper(name: str, scope: str) -> str:
    """Cuts ``name`` after the first component that is not in ``scope``."""
    pieces, outer = name.split("."), scope.split(".") if scope else []
    common = 0
    while common < min(len(pieces), len(outer)) and pieces[common] == outer[common]:
        common += 1
    return ".".join(pieces[: common + 1])


def _folded(
    items: Sequence[Item], last_reader: Sequence[int], found: Sequence[Part]
) -> tuple[Part, ...]:
    """Folds parts of ``found`` that are equal and have equal inputs into one."""
    start = min((part.start for part in found), default=0)
    sources = [_sources(items, part) for part in found]
    outside = sorted({s for read in sources for s in read if s < start}, reverse=True)
    home = {place: k for k, part in enumerate(found) for place in range(part.start, part.stop)}

    def reads(index: int, source: int) -> tuple[int, int]:
        """Returns how many parts back a source is, and its position from that part's end."""
        if source < start:
            return index + 1 + outside.index(source), 0
        end = found[home[source]].stop
        later = sum(last_reader[place] >= end for place in range(source + 1, end))
        return index - home[source], later

    folded: list[Part] = []
    before: object = None
    for index, part in enumerate(found):
        read = [reads(index, source) for source in sources[index]]
        like = _structure(items, part, sources[index]), read
        if like == before and any(back == 1 for back, _ in read):  # in a row, not side by side
            same = folded.pop()
            part = replace(same, times=same.times + 1, last=part.name, end=part.stop)
        before = like
        folded.append(part)
    return tuple(folded)


def _sources(items: Sequence[Item], part: Part) -> list[int]:
    """Returns the items outside a part that it reads, in order."""
    read = {source for item in items[part.start : part.stop] for source in item.inputs}
    return sorted(source for source in read if source < part.start)


def _structure(items: Sequence[Item], part: Part, sources: Sequence[int]) -> object:
    """Returns a key that is equal for parts that differ in channels only, or equal single items."""
    place = {source: -1 - rank for rank, source in enumerate(sources)}
    place |= {here: here - part.start for here in range(part.start, part.stop)}
    shape = items[part.start].shape if part.stop - part.start == 1 else ()
    return shape, [
        ([word(o) for o in item.does], item.sign, [place[s] for s in item.inputs], item.signs)
        for item in items[part.start : part.stop]
    ]
