"""Mutations: the ways in which a child may differ from its parent.

A mutation is chosen by its name:

- ``choice``: one choice is answered anew, at random. This is the mutation of Real et al. 2019
  (arXiv:1802.01548, section 3.2). If its options are ordered, it takes the next or the previous
  one, and with a probability of one quarter any other one. This is how the population-based
  training of Ray Tune explores a list (``resample_probability``); unlike there, the first and the
  last option always change.
- ``step``: one choice whose answer is a number takes the next larger or the next smaller number
  among its options. So options are ordered by their size if they are numbers, in Python spaces
  too; a text or null among them has no place in the order. If the options of a choice are declared
  as ordered, whether they are numbers or not, it takes the next or the previous one.
- ``subtree``: one choice and all choices below it are answered anew, as in genetic programming
  (Koza 1992, "Genetic Programming") and for the grammars of Schrodi et al. 2023 (arXiv:2211.01842).
  The choices below ``block`` have names such as ``block.left.kernel``. At least one answer changes.
  Deviation from Koza: every choice is taken with the same chance.

Every space has these three. The language of a space may add edits of its graphs
(:meth:`nas.spaces.language.Language.edits`). A free graph has

- ``insert_node``: a new node is put on an edge, or is added as a new branch to the output;
- ``remove_node``: a node is removed, and its readers read one of its inputs instead;
- ``edge``: one input of a node is another one, is added or is removed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field

from nas.configuration import Config
from nas.spaces.choices import Genotype
from nas.spaces.walks import LEAP, Narrow, changing, keeping, redrawing, stepping

Neutral = Literal["keep", "redraw"]
"""What happens to a child with the architecture and the recipe of its parent: it is kept, or
another child is drawn."""

GENERAL = ("choice", "step", "subtree")
"""The mutations that every space has."""

Edits = Callable[[str, Genotype], Iterable[Genotype]]
"""See :meth:`nas.spaces.language.Language.edits`."""


class Child(NamedTuple):
    """A genotype, and the name of the mutation that made it of its parent."""

    genotype: Genotype
    mutation: str


Weights = Annotated[dict[str, Annotated[float, Field(gt=0)]], Field(min_length=1)]
"""Mutations by name; each is drawn with a probability that is proportional to its weight."""


class Mutations(Config):
    """Says how children are made.

    Attributes:
        weights: the mutations by name, with their weights.
        neutral: what happens to a child with the architecture and the recipe of its parent.
        draws: a parent is given up after this many children that were infeasible or redrawn.
    """

    weights: Weights
    neutral: Neutral = "keep"
    draws: Annotated[int, Field(ge=1, le=10**6)] = 200

    @property
    def several(self) -> bool:
        """Whether there is more than one mutation, so that a child's is worth recording."""
        return len(self.weights) > 1

    def drawn(self, names: Sequence[str], rng: np.random.Generator) -> str:
        """Draw one of ``names`` by weight; a single name takes no random number."""
        if len(names) == 1:
            return names[0]
        ends = np.cumsum([self.weights[name] for name in names])
        return names[int(np.searchsorted(ends, rng.random() * ends[-1], side="right"))]


PUBLISHED = Mutations(weights={"choice": 1.0})
"""One choice anew, as Real et al. 2019 mutate; the default of spaces without edits."""


def ways(
    name: str, genotype: Genotype, edits: Edits, ordered: Collection[str], leap: float = LEAP
) -> dict[str, Narrow]:
    """Return all ways to apply a mutation to a genotype; some may turn out to be impossible.

    The key is the choice that changes first, or for an edit a text that is no choice.

    Args:
        name: the name of the mutation.
        genotype: the parent.
        edits: the edits of the language of its space.
        ordered: the names of its choices whose options are ordered.
        leap: how often ``choice`` draws any other option of these, and not one beside the parent's.
    """
    if name == "choice":
        return {choice: changing(genotype, choice, leap) for choice in genotype}
    if name == "step":
        return {
            choice: stepping(genotype, choice)
            for choice, answer in genotype.items()
            if isinstance(answer, int | float) or choice in ordered
        }
    if name == "subtree":
        return {choice: redrawing(genotype, choice) for choice in genotype}
    return {f"{name} {place}": keeping(e) for place, e in enumerate(edits(name, genotype))}
