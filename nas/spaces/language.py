"""The language of a space: its size, its notation and its cells, as far as they are known."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import ClassVar

from nas.errors import InputError
from nas.files import parse_json
from nas.spaces.cell_graph import CellGraph
from nas.spaces.choices import Genotype
from nas.spaces.mixtures import Mixtures
from nas.spaces.mutations import PUBLISHED, Mutations


class Language:
    """The language of a space about which only its function is known.

    Families of YAML spaces override what they know more about.
    """

    cells_decide: ClassVar[bool] = False
    """Whether genotypes are one architecture exactly if their :meth:`cell_graphs` are equal."""

    mutations: ClassVar[Mutations] = PUBLISHED
    """How searchers mutate the space's genotypes if they are not told otherwise. Mutations that
    not every space has are edits of this language."""

    def edits(self, mutation: str, genotype: Genotype) -> Iterable[Genotype]:
        """Return all edits of a genotype by one of the language's own :attr:`mutations`.

        An edit holds the answers that are kept or changed; those that it lacks are drawn. One that
        does not fit, because an answer is not among the options, is passed over.
        """
        return ()

    def size(self) -> int | None:
        """Return the number of genotypes by a closed form, or None if there is none."""
        return None

    def to_string(self, genotype: Genotype) -> str:
        """Return the genotype in the notation of the literature, or else as one line of JSON."""
        return json.dumps(genotype, separators=(",", ":"))

    def from_string(self, text: str) -> Genotype:
        """Read what :meth:`to_string` writes; raise :class:`InputError` if it is not that."""
        try:
            genotype = parse_json(text)
        except ValueError as error:
            raise InputError(f"not a genotype in JSON: {error}: {text!r}") from None
        if not isinstance(genotype, dict):
            raise InputError(f"a genotype in JSON is an object of choices, got {text!r}")
        return genotype

    def code(self) -> dict[str, str]:
        """Return the checksums of files with users' own parts of the space, by file name."""
        return {}

    def cell_graphs(self, genotype: Genotype) -> Mapping[str, CellGraph]:
        """Return the genotype's cells by name; there are none if the space has no cells."""
        return {}

    def mixtures(self) -> Mixtures | None:
        """Return how the operations of its edges are mixed; None if they cannot be."""
        return None
