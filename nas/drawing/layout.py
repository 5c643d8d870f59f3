"""Places boxes and links: it finds their layers, the order within each layer, and coordinates.

This is the layered drawing of Sugiyama, Tagawa & Toda 1981 (doi:10.1109/TSMC.1981.4308636). Longest
paths give the layers, barycentres the orders, and a linear programme the coordinates, as in Gansner
et al. 1993 (doi:10.1109/32.221135). A link across several layers passes through a point in each of
them, so no link crosses a box.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Point = tuple[float, float]
Size = tuple[float, float]

APART, LANE, ENTRY = 22.0, 14.0, 16.0
"""Distances: between boxes of a layer, for a passing link, and between the ends of two links."""

LEAST_GAP, SLOPE, MOST_GAP = 30.0, 0.12, 70.0
"""Distances between layers; they grow with the sideways distance of the links."""

_SWEEPS = 8


@dataclass(frozen=True)
class Wire:
    """A link that is to be placed; it leaves its source at ``shift`` from the middle."""

    source: int
    target: int
    shift: float = 0.0
    sign: str = ""


@dataclass(frozen=True)
class Curve:
    """A piece of a link, down from ``start`` to ``gap``, through it, and down to ``end``."""

    start: Point
    gap: tuple[float, float]
    end: Point
    sign: str
    target: int
    """The box at its end; a number beyond the boxes if the link continues."""


@dataclass(frozen=True)
class Layout:
    """The total size, the upper left corners of the boxes, and the pieces of the links."""

    size: Size
    corners: list[Point]
    curves: list[Curve]


def layout(
    boxes: Sequence[Size], wires: Sequence[Wire], last: int = 0, centred: Sequence[int] = ()
) -> Layout:
    """Places boxes from top to bottom.

    Args:
        boxes: the sizes of the boxes, in topological order.
        wires: links from a box to a later one.
        last: how many of the last boxes are placed below all others.
        centred: the boxes that are placed in the middle.
    """
    layers = _layers(len(boxes), wires, last)
    pieces = _pieces(layers, wires)
    sizes = [*boxes, *[(LANE, 0.0)] * (len(layers) - len(boxes))]
    rows = _ordered(layers, pieces)
    entries = _entries(rows, pieces)
    middles, width = _across(sizes, rows, pieces, entries, centred)
    tops, bottoms = _down(sizes, rows, pieces, middles)
    return Layout(
        (width, bottoms[-1]),
        [(middles[v] - boxes[v][0] / 2, tops[layers[v]]) for v in range(len(boxes))],
        [
            Curve(
                (middles[p.source] + p.shift, tops[layers[p.source]] + sizes[p.source][1]),
                (bottoms[layers[p.source]], tops[layers[p.target]]),
                (middles[p.target] + entry, tops[layers[p.target]]),
                p.sign,
                p.target,
            )
            for p, entry in zip(pieces, entries, strict=True)
        ],
    )


def _layers(count: int, wires: Sequence[Wire], last: int) -> list[int]:
    """Assigns layers by the longest path; then boxes move down to just above their first reader."""
    layers = [0] * count
    for wire in sorted(wires, key=lambda wire: wire.target):
        layers[wire.target] = max(layers[wire.target], layers[wire.source] + 1)
    if last:
        layers[count - last :] = [max(layers[: count - last], default=0) + 1] * last
    entered = {wire.target for wire in wires}
    readers = defaultdict(list)
    for wire in wires:
        readers[wire.source].append(wire.target)
    for v in reversed(range(count - last)):
        if v in entered and v in readers:
            layers[v] = min(layers[target] for target in readers[v]) - 1
    return layers


def _pieces(layers: list[int], wires: Sequence[Wire]) -> list[Wire]:
    """Cuts links into pieces of one layer each and adds the points between them to ``layers``.

    Links that start at the same place share as many points as they can.
    """
    pieces = []
    points: dict[tuple[int, float, str, int], int] = {}
    for wire in sorted(wires, key=lambda wire: layers[wire.target]):
        start, shift = wire.source, wire.shift
        for layer in range(layers[wire.source] + 1, layers[wire.target]):
            key = (wire.source, wire.shift, wire.sign, layer)
            if key not in points:
                points[key] = len(layers)
                layers.append(layer)
                pieces.append(Wire(start, points[key], shift, wire.sign))
            start, shift = points[key], 0.0
        pieces.append(Wire(start, wire.target, shift, wire.sign))
    return pieces


def _ordered(layers: Sequence[int], pieces: Sequence[Wire]) -> list[list[int]]:
    """Orders the boxes of each row so that few links cross.

    Barycentres are applied downwards and upwards in turn; then neighbours are swapped if it helps.
    """
    above, below = defaultdict(list), defaultdict(list)
    for piece in pieces:
        above[piece.target].append(piece.source)
        below[piece.source].append(piece.target)

    def crossings(upper: Sequence[int], lower: Sequence[int]) -> int:
        place = {v: index for index, v in enumerate(lower)}
        total = 0
        passed: list[int] = []
        for v in upper:
            ends = [place[target] for target in below[v]]
            total += sum(other > end for end in ends for other in passed)
            passed += ends
        return total

    def around(index: int) -> int:
        return sum(crossings(*pair) for pair in pairwise(rows[max(index - 1, 0) : index + 2]))

    rows: list[list[int]] = [[] for _ in range(max(layers, default=0) + 1)]
    for v, layer in enumerate(layers):
        rows[layer].append(v)
    best, fewest = rows, sum(crossings(*pair) for pair in pairwise(rows))
    for sweep in range(_SWEEPS):
        near, fixed, order = (above, -1, range(1, len(rows)))
        if sweep % 2:
            near, fixed, order = (below, 1, range(len(rows) - 2, -1, -1))
        for index in order:
            place = {v: here for here, v in enumerate(rows[index + fixed])}
            here = {v: here for here, v in enumerate(rows[index])}
            means = {
                v: sum(place[other] for other in near[v]) / len(near[v]) if near[v] else here[v]
                for v in rows[index]
            }
            rows[index].sort(key=means.__getitem__)
        for index, row in enumerate(rows):
            for left in range(len(row) - 1):
                before = around(index)
                row[left : left + 2] = row[left + 1], row[left]
                if around(index) >= before:
                    row[left : left + 2] = row[left + 1], row[left]
        if (found := sum(crossings(*pair) for pair in pairwise(rows))) < fewest:
            best, fewest = [list(row) for row in rows], found
    return best


def _entries(rows: Sequence[Sequence[int]], pieces: Sequence[Wire]) -> list[float]:
    """Returns where each piece ends, relative to its target's middle."""
    place = {v: index for row in rows for index, v in enumerate(row)}
    entering = defaultdict(list)
    for index, piece in enumerate(pieces):
        entering[piece.target].append((place[piece.source], piece.shift, index))
    entries = [0.0] * len(pieces)
    for ends in entering.values():
        for position, (*_, index) in enumerate(sorted(ends)):
            entries[index] = (position - (len(ends) - 1) / 2) * ENTRY
    return entries


def _across(
    sizes: Sequence[Size],
    rows: Sequence[Sequence[int]],
    pieces: Sequence[Wire],
    entries: Sequence[float],
    centred: Sequence[int],
) -> tuple[list[float], float]:
    """Finds the boxes' middles and the width; links are straight and boxes centred if possible."""
    from scipy.optimize import linprog
    from scipy.sparse import lil_array

    count = len(sizes)
    width = count  # the variable behind the middles
    points = {v for v in range(count) if sizes[v] == (LANE, 0.0)}
    beside: dict[tuple[int, bool], list[tuple[int, float]]] = defaultdict(list)
    for piece, entry in zip(pieces, entries, strict=True):
        beside[piece.source, True].append((piece.target, entry - piece.shift))
        beside[piece.target, False].append((piece.source, piece.shift - entry))
    # Each term to minimise is weight x |sum of factor x variable - offset|.
    terms = [(20.0, {v: 1.0, width: -0.5}, 0.0) for v in centred]
    for (v, below), near in beside.items():
        means = [near] if len(near) > 1 else []
        for group in [[one] for one in near if below] + means:
            share = 1 / len(group)
            ends = {v, *(other for other, _ in group)}
            lone = len(group) == 1 and len(near) == len(beside[group[0][0], False]) == 1
            weight = 1.0 if len(group) > 1 else (2.0 if lone else 1.0, 2.0, 8.0)[len(ends & points)]
            factors = {v: 1.0} | {other: -share for other, _ in group}
            terms.append((weight, factors, share * sum(shift for _, shift in group)))
    below_bound: list[tuple[dict[int, float], float]] = []
    for row in rows:
        for left, right in pairwise(row):
            apart = APART / 2 if {left, right} & points else APART
            least = apart + (sizes[left][0] + sizes[right][0]) / 2
            below_bound.append(({left: 1.0, right: -1.0}, -least))
    below_bound += [({v: 1.0, width: -1.0}, -sizes[v][0] / 2) for v in range(count)]
    for slack, (_, factors, offset) in enumerate(terms, width + 1):
        for sign in (1.0, -1.0):
            signed = {v: sign * factor for v, factor in factors.items()}
            below_bound.append((signed | {slack: -1.0}, sign * offset))
    matrix = lil_array((len(below_bound), width + 1 + len(terms)))
    for line, (factors, _) in enumerate(below_bound):
        for v, factor in factors.items():
            matrix[line, v] = factor
    solved = linprog(
        [0.0] * count + [0.1] + [weight for weight, _, _ in terms],
        A_ub=matrix.tocsr(),
        b_ub=[bound for _, bound in below_bound],
        bounds=[(size[0] / 2, None) for size in sizes] + [(0, None)] * (1 + len(terms)),
    )
    return [float(x) for x in solved.x[:count]], float(solved.x[width])


def _down(
    sizes: Sequence[Size],
    rows: Sequence[Sequence[int]],
    pieces: Sequence[Wire],
    middles: Sequence[float],
) -> tuple[list[float], list[float]]:
    """Returns the top and the bottom of every layer."""
    layer = {v: index for index, row in enumerate(rows) for v in row}
    aside = [0.0] * len(rows)
    for piece in pieces:
        way = abs(middles[piece.source] - middles[piece.target])
        aside[layer[piece.source]] = max(aside[layer[piece.source]], way)
    tops, bottoms, y = [], [], 0.0
    for row, way in zip(rows, aside, strict=True):
        tops.append(y)
        bottoms.append(y + max((sizes[v][1] for v in row), default=0.0))
        y = bottoms[-1] + min(LEAST_GAP + SLOPE * way, MOST_GAP)
    return tops, bottoms
