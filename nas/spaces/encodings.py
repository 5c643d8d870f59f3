"""Genotypes as numbers, for predictors: features by name, and the matrix of many genotypes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import log1p
from typing import Literal

import numpy as np

from nas.architecture.graph import Architecture
from nas.architecture.passes import depth
from nas.spaces.cell_graph import CellGraph
from nas.spaces.choices import Genotype, Options

Encoding = Literal["one_hot", "path", "wl", "cost"]
"""What :meth:`nas.spaces.search_space.SearchSpace.encode` takes."""


def one_hot(genotype: Genotype, orders: Mapping[str, Options]) -> dict[str, float]:
    """Return one feature, ``name=option``, per answer. A choice that is not asked has none.

    The feature of an ordered choice is called ``name``, and is a number that rises with the
    position of the option, from 1/n for the first one to 1 for the last of n. The options of these
    choices are in ``orders``.
    """
    found: dict[str, float] = {}
    for name, option in genotype.items():
        if name in orders:
            found[name] = (orders[name].place(option) + 1) / len(orders[name])
        else:
            found[f"{name}={option!r}"] = 1.0
    return found


def path(cells: Mapping[str, CellGraph]) -> dict[str, float]:
    """Return one feature per sequence of operations on a path from an input to a cell's output.

    This is the path encoding of White et al. 2021 ("BANANAS", arXiv:1910.11858, section 3). It
    does not say how often a sequence occurs. Deviations: with several cells or inputs, the
    feature's name says which one; "none" edges make no path, where the authors' NAS-Bench-201
    code treats "none" as an operation; nothing is truncated, but :func:`vocabulary` can truncate.
    """
    return {
        f"{name}: {' > '.join(operations)}": 1.0
        for name, cell in cells.items()
        for operations in cell.paths()
    }


def wl(cells: Mapping[str, CellGraph]) -> dict[str, float]:
    """Return how often every operation occurs, alone and with the operations that it reads.

    These are the features of the Weisfeiler-Lehman subtree kernel (Shervashidze et al. 2011, JMLR
    12, section 3.2) after one iteration, for the directed graphs of NASBOWL (Ru et al. 2021,
    arXiv:2006.07556, section 3.1): a vertex takes in what it reads. Deviations: cells are reduced
    to what they compute (:meth:`~nas.spaces.cell_graph.CellGraph.reduced`), so isomorphic cells
    have equal features.
    """
    found: Counter[str] = Counter()
    for name, cell in cells.items():
        labels, reads = cell.reduced()
        own = [label.decode() for label in labels]
        for label, read in zip(own, reads, strict=True):
            sources = sorted(own[source] for source, times in read for _ in range(times))
            found[f"{name}: {label}"] += 1
            found[f"{name}: {label}({' + '.join(sources)})"] += 1
    return {feature: float(count) for feature, count in found.items()}


def cost(architecture: Architecture) -> dict[str, float]:
    """Return the logarithms of parameters, of multiply-accumulates and of the depth."""
    counted = architecture.cost
    return {
        "log params": log1p(counted.params),
        "log macs": log1p(counted.macs),
        "log depth": log1p(depth(architecture)),
    }


def vocabulary(features: Iterable[Mapping[str, float]], least: int = 1) -> dict[str, int]:
    """Return the column of every feature that at least ``least`` of the genotypes have, by name."""
    counts: dict[str, int] = {}
    for each in features:
        for name in each:
            counts[name] = counts.get(name, 0) + 1
    kept = sorted(name for name, count in counts.items() if count >= least)
    return {name: column for column, name in enumerate(kept)}


def matrix(features: Sequence[Mapping[str, float]], columns: Mapping[str, int]) -> np.ndarray:
    """Return the features of n genotypes as an array [n, columns], 0.0 where a genotype lacks one.

    Features without a column are dropped: a predictor has learned nothing about them.
    """
    dense = np.zeros((len(features), len(columns)))
    for row, each in zip(dense, features, strict=True):
        for name, value in each.items():
            if (column := columns.get(name)) is not None:
                row[column] = value
    return dense
