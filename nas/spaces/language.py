"""What is known of a space beyond its function: size, notation, cells."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar

from nas.errors import InputError
from nas.spaces.cell_graph import CellGraph
from nas.spaces.choices import Genotype


class Language:
    """The language of a space of which no more is known than its function.

    Families of YAML spaces override what they know more of.
    """

    cells_decide: ClassVar[bool] = False
    """Whether genotypes are one architecture exactly where their :meth:`cell_graphs` are equal."""

    def size(self) -> int | None:
        """The number of genotypes by a closed form; None where there is none."""
        return None

    def to_string(self, genotype: Genotype) -> str:
        """The genotype in the notation of the literature; without one, a line of JSON."""
        return json.dumps(genotype, separators=(",", ":"))

    def from_string(self, text: str) -> Genotype:
        """Reads :meth:`to_string`'s form; :class:`InputError` says what is wrong with it."""
        try:
            genotype = json.loads(text)
        except ValueError as error:
            raise InputError(f"not a genotype in JSON: {error}: {text!r}") from None
        if not isinstance(genotype, dict):
            raise InputError(f"a genotype in JSON is an object of choices, got {text!r}")
        return genotype

    def code(self) -> dict[str, str]:
        """Return the checksums of files with users' own parts of the space, by file name."""
        return {}

    def cell_graphs(self, genotype: Genotype) -> Mapping[str, CellGraph]:
        """The genotype's cells by name; none where the space has no cells."""
        return {}
