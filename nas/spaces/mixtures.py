"""What a space says about its edges, so that their operations can be mixed instead of chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks import Block
from nas.spaces.choices import Genotype

Weights = Mapping[str, Mapping[str, float]]
"""The weight of each operation on each edge, by the names of edge and operation."""


@dataclass(frozen=True)
class Mixtures:
    """Describes the continuous relaxation of a space (Liu et al. 2019, "DARTS", section 2.2).

    Attributes:
        edges: the node that each edge enters, by the name of the edge.
        blocks: the operations that are mixed on every edge, by name. They name their nodes after
            themselves.
        build: makes the network of an input shape and a number of classes, given the block of
            every edge.
        discretise: returns the member whose operations have the largest weights.
        chosen: returns the operations of a member by the name of the edge.
    """

    edges: Mapping[str, str]
    blocks: Mapping[str, Block]
    build: Callable[[Mapping[str, Block], Shape, int], Architecture]
    discretise: Callable[[Weights], Genotype]
    chosen: Callable[[Genotype], Mapping[str, str]]

    def strength(self, genotype: Genotype, weights: Weights) -> float:
        """Return the mean weight of a member's operations, which its discretisation maximises."""
        chosen = self.chosen(genotype)
        return sum(weights[edge][operation] for edge, operation in chosen.items()) / len(chosen)
