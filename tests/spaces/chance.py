"""Whether counts agree with chances."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

# Upper 1e-4 quantiles of the chi-square distribution, by degrees of freedom.
CHI_SQUARE = {1: 15.1, 2: 18.4, 3: 21.1, 4: 23.5, 5: 25.7, 9: 33.7, 11: 37.4, 15: 44.3}


def assert_distributed(counts: Counter[Any], chances: Mapping[Any, float]) -> None:
    """Pearson's chi-square test: fails once in ten thousand seeds, so fix the seed."""
    total = sum(counts.values())
    assert set(counts) <= set(chances)
    statistic = sum((counts[k] - total * p) ** 2 / (total * p) for k, p in chances.items())
    assert statistic < CHI_SQUARE[len(chances) - 1], (statistic, counts)
