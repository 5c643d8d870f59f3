"""Cells as the literature draws them: small directed acyclic graphs with operations on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

from nas.architecture.canonical import canonical_form
from nas.architecture.sum_graph import Sum

ZERO, IDENTITY = "none", "skip_connect"


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
        labels, reads = self.reduced()
        form = canonical_form(labels, [list(read.items()) for read in reads])
        return blake2b(form, digest_size=16).hexdigest()

    def reduced(self) -> tuple[list[bytes], list[Sum]]:
        """Return what the cell computes: the label of every vertex, and the sum that it reads.

        Vertices are inputs, operations and, at the end, the output, each after what it reads; every
        operation reaches the output. An operation that reads nothing is zero, and left out.
        """
        leaving: list[list[tuple[int, int, str]]] = [[] for _ in self.labels]
        for edge in self.edges:
            leaving[edge[0]].append(edge)
        vertices = [b"input%d" % index for index in range(self.inputs)]
        reads: list[Sum] = [{} for _ in vertices]
        # The sum that enters each node; an input's is its own vertex.
        entering: list[dict[int, int]] = [{node: 1} for node in range(self.inputs)]
        entering += [{} for _ in self.labels[self.inputs :]]
        for node, label in enumerate(self.labels):
            value = entering[node]
            if not value:
                continue
            if label:
                reads.append(value)
                value = {len(vertices): 1}
                vertices.append(label.encode())
            for _, target, operation in leaving[node]:
                into = entering[target]
                if operation in ("", IDENTITY):
                    if not into:
                        entering[target] = dict(value)
                        continue
                    for vertex, times in value.items():
                        into[vertex] = into.get(vertex, 0) + times
                elif operation != ZERO:
                    into[len(vertices)] = 1
                    reads.append(value)
                    vertices.append(operation.encode())
        vertices.append(b"output")
        reads.append(value)
        if len(set().union(*reads)) < len(reads) - 1:  # nothing reads some vertex
            needed = set(range(self.inputs)).union(value)
            for vertex in range(len(reads) - 2, 0, -1):
                if vertex in needed:
                    needed.update(reads[vertex])
            kept = [*sorted(needed), len(reads) - 1]
            position = {vertex: index for index, vertex in enumerate(kept)}
            vertices = [vertices[vertex] for vertex in kept]
            reads = [{position[s]: times for s, times in reads[v].items()} for v in kept]
        return vertices, reads
