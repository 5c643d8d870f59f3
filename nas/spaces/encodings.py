"""Genotypes as numbers, for predictors: features by name, and the matrix of many."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

import numpy as np

from nas.errors import InputError
from nas.registry import unknown
from nas.spaces.search_space import RECIPE, Genotype, Option, SearchSpace

Encoding = Literal["one_hot", "path"]
"""What :meth:`nas.spaces.search_space.SearchSpace.encode` takes."""


def encode(space: SearchSpace, genotype: Genotype, encoding: Encoding) -> dict[str, float]:
    """The features that a genotype has, each with 1.0; those that it has not are left out.

    - ``one_hot``: one for each answer, ``name=option``. A choice that is not asked has none.
    - ``path``: one for each sequence of operations along a path from an input to the output of a
      cell (White et al. 2021, "BANANAS", arXiv:1910.11858, section 3). How often a sequence
      occurs is not told. Deviations: with several cells or inputs, the feature says which;
      "none" edges make no path, where the authors' NAS-Bench-201 code has it as an operation;
      nothing is truncated, but :func:`vocabulary` can be; hyperparameters of the recipe, where
      the space asks any, are told as by ``one_hot``.

    Raises :class:`InputError` for another encoding, and for ``path`` where the space has no
    cells. The genotype is taken to be of the space.
    """
    if encoding == "one_hot":
        return _one_hot(genotype)
    if encoding == "path":
        cells = space.cell_graphs(genotype)
        if not cells:
            raise InputError(
                f"space {space.name}: has no cells, so no path encoding; allowed: one_hot"
            )
        paths = {
            f"{name}: {' > '.join(path)}": 1.0
            for name, cell in cells.items()
            for path in cell.paths()
        }
        recipe = {name: o for name, o in genotype.items() if name.startswith(RECIPE)}
        return paths | _one_hot(recipe)
    raise InputError(unknown("encoding", encoding, list(get_args(Encoding))))


def _one_hot(answers: Mapping[str, Option]) -> dict[str, float]:
    return {f"{name}={option!r}": 1.0 for name, option in answers.items()}


def vocabulary(features: Iterable[Mapping[str, float]], least: int = 1) -> dict[str, int]:
    """The column of every feature that at least ``least`` of the genotypes have, by name."""
    counts: dict[str, int] = {}
    for each in features:
        for name in each:
            counts[name] = counts.get(name, 0) + 1
    kept = sorted(name for name, count in counts.items() if count >= least)
    return {name: column for column, name in enumerate(kept)}


def matrix(features: Sequence[Mapping[str, float]], columns: Mapping[str, int]) -> np.ndarray:
    """The features of n genotypes as an array [n, columns], 0.0 where a genotype lacks one.

    Features without a column are dropped: a predictor has learned nothing of them.
    """
    dense = np.zeros((len(features), len(columns)))
    for row, each in zip(dense, features, strict=True):
        for name, value in each.items():
            if (column := columns.get(name)) is not None:
                row[column] = value
    return dense
