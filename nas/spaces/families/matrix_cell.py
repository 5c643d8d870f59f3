"""The family of cells with operations on vertices and free edges, such as NAS-Bench-101."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, PositiveInt

from nas.architecture.builder import Builder
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks import Block
from nas.errors import InputError
from nas.files import parse_json
from nas.spaces.cell_graph import CellGraph
from nas.spaces.choices import Choose, Genotype, Infeasible
from nas.spaces.families.family import Count, Listed
from nas.spaces.families.matrix_module import LABELS, Cell, conv, matrix_module

ABSENT_OR_PRESENT = (0, 1)
COUNTABLE_VERTICES = 7
"""The largest number of vertices whose matrices (two million) are counted one by one."""


class MatrixCell(Listed):
    """Networks with a stem, stages of equal cells and a classifier.

    Ying et al. 2019, arXiv:1902.09635, figure 1. A cell is an upper triangular adjacency matrix of
    at most ``max_vertices``, with an operation on every vertex between the first, its input, and
    the last, its output. Vertices that are on no path from input to output are pruned; what remains
    may have ``max_edges``. Every stage except the first begins with a max pool of stride 2 and has
    twice the channels. The benchmark calls stages stacks, and cells modules.

    Choices: ``edge{source}-{target}``, 0 or 1, by target, then by source; then ``vertex{v}``, the
    operation, whether the vertex is pruned or not. A genotype is infeasible if the benchmark's
    ``is_valid`` refuses it: without a path to the output, or with too many edges after pruning.
    These are 27 % of the matrices.

    :func:`~nas.spaces.families.matrix_module.matrix_module` says what a cell computes. Node names
    are those of the variables of the benchmark's TensorFlow network.

    Identity is the benchmark's: isomorphic cells are one architecture. Their networks are one,
    too, and have one fingerprint, unless the channels of the output divide unevenly: then they may
    differ by a channel, and in cost.
    """

    family: Literal["matrix_cell"]
    """The name of the family."""
    max_vertices: Annotated[int, Field(ge=2, le=1000)] = 7
    """The largest number of vertices, input and output included."""
    max_edges: PositiveInt = 9
    """The largest number of edges after pruning."""
    stages: Count
    """The number of stages; each later one has twice the channels at half the size."""
    cells: Count
    """The number of cells per stage."""

    cells_decide = True

    @property
    def labels(self) -> Mapping[str, Block]:
        """The benchmark's names."""
        return LABELS

    def check(self) -> None:
        """Raise :class:`InputError` unless blocks fit and every vertex can have a channel."""
        super().check()
        if self.channels < self.max_vertices - 2:
            raise InputError(
                f"channels: must be at least {self.max_vertices - 2}, one for each "
                f"vertex that can enter the output, got {self.channels}"
            )

    @cached_property
    def edges(self) -> Mapping[str, tuple[int, int]]:
        """The source and the target of every possible edge by the name of its choice, as asked."""
        pairs = upper_triangle(self.max_vertices)
        return {f"edge{source}-{target}": (source, target) for source, target in pairs}

    @cached_property
    def vertices(self) -> Sequence[str]:
        """The names of the choices of operations, as asked."""
        return [f"vertex{index}" for index in range(1, self.max_vertices - 1)]

    def architecture(
        self, choose: Choose, input_shape: Shape, classes: int
    ) -> Callable[[], Architecture]:
        """Ask for the edges, refuse what the benchmark refuses, then ask for the operations."""
        present = [pair for name, pair in self.edges.items() if choose(name, ABSENT_OR_PRESENT)]
        kept = pruned(present, self.max_vertices - 1)
        if not kept:
            raise Infeasible("no path from the input to the output", "disconnected")
        count = sum(source in kept and target in kept for source, target in present)
        if count > self.max_edges:
            raise Infeasible(f"{count} edges, over the limit of {self.max_edges}", "edges")
        operations = [choose(name, self.operations) for name in self.vertices]
        return partial(self._build, input_shape, classes, _cell(present, kept, operations))

    def size(self) -> int | None:
        """Count the genotypes, pruned parts included; return None for more than seven vertices."""
        if self.max_vertices > COUNTABLE_VERTICES:
            return None
        matrices = feasible_matrices(self.max_vertices, self.max_edges)
        return int(matrices * len(self.operations) ** len(self.vertices))

    def to_string(self, genotype: Genotype) -> str:
        """Return the arguments of the benchmark's ``ModelSpec`` as JSON: ``matrix`` and ``ops``."""
        matrix = [[0] * self.max_vertices for _ in range(self.max_vertices)]
        for name, (source, target) in self.edges.items():
            matrix[source][target] = int(genotype[name] or 0)
        ops = ["input", *(genotype[name] for name in self.vertices), "output"]
        return json.dumps({"matrix": matrix, "ops": ops}, separators=(",", ":"))

    def from_string(self, text: str) -> Genotype:
        """Read what :meth:`to_string` writes.

        A smaller cell gets vertices without edges before its output, with the first operation.
        """
        matrix, ops = self._read(text)
        last = len(ops) - 1
        present = {
            (source, self.max_vertices - 1 if target == last else target)
            for source, row in enumerate(matrix)
            for target, entry in enumerate(row)
            if entry
        }
        genotype: Genotype = {name: int(pair in present) for name, pair in self.edges.items()}
        padding = [self.operations[0]] * (self.max_vertices - len(ops))
        return genotype | dict(zip(self.vertices, [*ops[1:-1], *padding], strict=True))

    def cell_graphs(self, genotype: Genotype) -> Mapping[str, CellGraph]:
        """Return the one cell, pruned; the sum into its output stands for a concatenation."""
        present = [pair for name, pair in self.edges.items() if genotype[name]]
        kept = pruned(present, self.max_vertices - 1)
        cell = _cell(present, kept, [str(genotype[name]) for name in self.vertices])
        edges = [(s, target, "") for target, sources in enumerate(cell.sources) for s in sources]
        return {"cell": CellGraph(1, ("", *cell.operations, ""), tuple(edges))}

    def _read(self, text: str) -> tuple[list[list[int]], list[str]]:
        def wrong(fault: str) -> InputError:
            return InputError(f"not a cell of at most {self.max_vertices} vertices: {fault}")

        try:
            data = parse_json(text)
        except ValueError as error:
            raise wrong(f"not JSON: {error}: {text!r}") from None
        if not isinstance(data, dict) or set(data) != {"matrix", "ops"}:
            raise wrong(f"must be an object with the keys matrix and ops, got {text}")
        matrix: Any = data["matrix"]
        ops: Any = data["ops"]
        if not isinstance(ops, list) or not 2 <= len(ops) <= self.max_vertices:
            raise wrong(f"ops must list 2 to {self.max_vertices} operations, got {ops!r}")
        if ops[0] != "input" or ops[-1] != "output":
            raise wrong(f"ops must begin with input and end with output, got {ops!r}")
        rows = matrix if isinstance(matrix, list) else []
        if len(rows) != len(ops) or any(
            not isinstance(row, list) or len(row) != len(ops) for row in rows
        ):
            raise wrong(f"matrix must have {len(ops)} rows and columns, as many as ops: {matrix!r}")
        for source, row in enumerate(rows):
            for target, entry in enumerate(row):
                if type(entry) is not int or entry not in ABSENT_OR_PRESENT:
                    raise wrong(f"matrix must hold 0 and 1, got {entry!r}")
                if entry and target <= source:
                    raise wrong("matrix must be zero on and below its diagonal")
        return rows, ops

    def _build(self, input_shape: Shape, classes: int, cell: Cell) -> Architecture:
        g = Builder(input_shape, norm_momentum=0.003)
        with g.scope("stem"):
            x = conv(g, g.input, self.channels)
        for stage in range(self.stages):
            if stage > 0:
                x = g.max_pool(x, 2, 2, "same")
            for index in range(self.cells):
                with g.scope(f"stack{stage}.module{index}"):
                    x = matrix_module(g, x, self.channels * 2**stage, cell, self.blocks)
        return g.build(g.linear(g.global_pool(x), classes, name="dense"))


def upper_triangle(vertices: int) -> list[tuple[int, int]]:
    """Return source and target of every possible edge, by target, then by source."""
    return [(source, target) for target in range(vertices) for source in range(target)]


def pruned(edges: Sequence[tuple[int, int]], last: int) -> list[int]:
    """Return the vertices on a path from vertex 0 to vertex ``last``; none if there is no path.

    ``edges`` are pairs of source and target, ordered by target.
    """
    reached, needed = {0}, {last}
    for source, target in edges:
        if source in reached:
            reached.add(target)
    for source, target in reversed(edges):
        if target in needed:
            needed.add(source)
    return sorted(reached & needed) if last in reached else []


def feasible_matrices(vertices: int, max_edges: int) -> int:
    """Count the upper triangular matrices that have 1 to ``max_edges`` edges after pruning."""
    pairs = upper_triangle(vertices)
    numbers = np.arange(1 << len(pairs))
    present = {pair: (numbers >> bit & 1).astype(bool) for bit, pair in enumerate(pairs)}
    kept = np.zeros((vertices, len(numbers)), bool)
    needed = np.zeros_like(kept)
    kept[0] = needed[-1] = True
    for source, target in reversed(pairs):
        needed[source] |= present[source, target] & needed[target]
    for source, target in pairs:
        kept[target] |= present[source, target] & kept[source]
    kept &= needed
    edges = sum(present[s, t] & kept[s] & kept[t] for s, t in pairs)
    return int(np.sum((edges > 0) & (edges <= max_edges)))


def _cell(edges: Sequence[tuple[int, int]], kept: list[int], operations: Sequence[str]) -> Cell:
    """Return the cell of the vertices that are kept, with new numbers."""
    number = {vertex: index for index, vertex in enumerate(kept)}
    sources: list[list[int]] = [[] for _ in kept]
    for source, target in edges:
        if source in number and target in number:
            sources[number[target]].append(number[source])
    return Cell(sources, [operations[vertex - 1] for vertex in kept[1:-1]])
