"""Cells as the literature draws them: small directed acyclic graphs with operations on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain

from nas.architecture.canonical import canonical_form

ZERO, IDENTITY = "none", "skip_connect"

Terms = tuple[tuple[int, int], ...]
"""A sum: the vertices that are added, each with how often."""


@dataclass(frozen=True)
class CellGraph:
    """A labelled graph whose nodes are in topological order.

    Attributes:
        inputs: the number of nodes that are inputs of the cell. They are the first ones; the last
            node is the output.
        labels: the operation of every node; "" for a plain state.
        edges: ``(source, target, operation)``; "" for a plain edge. What enters a node is summed.

    The operations "none" and "skip_connect" are the zero and the identity.
    """

    inputs: int
    labels: tuple[str, ...]
    edges: tuple[tuple[int, int, str], ...]

    def paths(self) -> Iterator[tuple[str, ...]]:
        """Yield the operations along every path from an input to the output.

        The number of the input comes first. The paths form the path encoding of White et al. 2021
        (BANANAS, arXiv:1910.11858, section 3). Paths over a "none" edge are left out.
        """
        leaving: dict[int, list[tuple[int, str]]] = {}
        for source, target, operation in self.edges:
            if operation != ZERO:
                leaving.setdefault(source, []).append((target, operation))

        def walk(node: int, so_far: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
            if node == len(self.labels) - 1:
                yield so_far
            for target, operation in leaving.get(node, ()):
                passed = filter(None, (operation, self.labels[target]))
                yield from walk(target, (*so_far, *passed))

        for start in range(self.inputs):
            yield from walk(start, (f"input{start}",))

    def __str__(self) -> str:
        """Return one line per node, such as ``2 = conv_3x3(0) + skip_connect(1)``."""
        entering: dict[int, list[str]] = {}
        for source, target, operation in sorted(self.edges):
            term = f"{operation}({source})" if operation else str(source)
            entering.setdefault(target, []).append(term)
        lines = [f"{node} = input" for node in range(self.inputs)]
        for node, label in enumerate(self.labels[self.inputs :], self.inputs):
            terms = " + ".join(entering.get(node, ["nothing"]))
            lines.append(f"{node} = {label}({terms})" if label else f"{node} = {terms}")
        return "\n".join([*lines, f"output: {len(self.labels) - 1}"])

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that cells share exactly where they compute the same.

        As in architectures (:class:`~nas.architecture.sum_graph.SumGraph`), identities are
        contracted, sums flattened, zeros and what only they feed left out.
        """
        form = canonical_form(*self.reduced())
        return blake2b(form, digest_size=16).hexdigest()

    def reduced(self) -> tuple[list[bytes], list[Terms]]:
        """Return what the cell computes: the label of every vertex, and the sum that it reads.

        Vertices are inputs, operations and, at the end, the output, each after what it reads; every
        operation reaches the output. An operation that reads nothing is zero, and left out.
        """
        vertices: list[bytes] = []
        reads: list[Terms] = []
        entering: list[Terms] = [()] * len(self.labels)  # the sum that enters each node
        for node in range(self.inputs):
            vertices.append(b"input%d" % node)
            reads.append(())
            entering[node] = ((node, 1),)
        labels = self.labels
        edges = sorted(self.edges)
        edges.append((len(labels) - 1, -1, ZERO))  # so that the output is visited, too
        node = -1
        value: Terms = ()
        for source, target, operation in edges:
            if source != node:
                node, value = source, entering[source]
                if len(value) > 1:
                    value = _collected(value)
                if value and (label := labels[node]):
                    reads.append(value)
                    value = ((len(vertices), 1),)
                    vertices.append(label.encode())
            if not operation or operation == IDENTITY:
                entering[target] += value
            elif value and operation != ZERO:
                entering[target] += ((len(vertices), 1),)
                reads.append(value)
                vertices.append(operation.encode())
        vertices.append(b"output")
        reads.append(value)
        if len(dict(chain.from_iterable(reads))) < len(reads) - 1:  # nothing reads some vertex
            needed = set(range(self.inputs)).union([vertex for vertex, _ in value])
            for vertex in range(len(reads) - 2, 0, -1):
                if vertex in needed:
                    needed.update([source for source, _ in reads[vertex]])
            kept = [*sorted(needed), len(reads) - 1]
            position = {vertex: index for index, vertex in enumerate(kept)}
            vertices = [vertices[vertex] for vertex in kept]
            reads = [tuple([(position[s], times) for s, times in reads[v]]) for v in kept]
        return vertices, reads


def _collected(terms: Terms) -> Terms:
    """Return the same sum with one term for each vertex."""
    if len(dict(terms)) == len(terms):
        return terms
    total: Counter[int] = Counter()
    for vertex, times in terms:
        total[vertex] += times
    return tuple(total.items())
