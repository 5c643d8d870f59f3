"""Says a verdict in words: a sentence, and the evidence for it."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from math import inf
from typing import Any

import pandas as pd

from nas.metrics import Catalogue
from nas.words import counted

SEARCHED, CLASSIC, RANDOM = "searched", "classic", "random"

SEEDS = 3
"""The smallest number of pairs for a test; with two, the interval would have a half width of 12.7
standard errors."""


def sentence(row: Mapping[Hashable, Any]) -> str:
    """Says a verdict in words, without a full stop.

    Args:
        row: a row of :func:`nas.analysis.tables.verdict.verdicts`.
    """
    what = {
        (CLASSIC, "best"): "the best classic, ",
        (CLASSIC, "equal cost"): "the best classic of at most its cost, ",
        (CLASSIC, "cheaper"): "the best classic, ",
        (RANDOM, "best"): "the best of random search, ",
    }
    searched = str(row["searched"])
    if row["role"] == "cheaper":
        searched += ", the cheapest that matched the best classic by validation,"
    other = f"{what.get((str(row['kind']), str(row['role'])), '')}{row['against']}"
    if row["verdict"] == "too few seeds":
        return f"{searched} and {other}, have too few common seeds to say which is better"
    link = "from" if row["verdict"] == "not distinguishable" else "than"
    text = f"{searched} is {row['verdict']} {link} {other}"
    if _says_as_good(row):
        text += f", and as good to within {row['margin']:.2g}"
    return text + (f", with {row['costs']}" if row["costs"] else "")


def _says_as_good(row: Mapping[Hashable, Any]) -> bool:
    """Tells if the sentence calls the first network, which costs less, as good as the second."""
    return bool(row["verdict"] == "not distinguishable" and row["saves"] and row["as_good"])


def is_as_good(low: float, high: float, margin: float, metrics: Catalogue) -> bool:
    """Tells if an interval of differences excludes a loss of more than the margin."""
    return bool(max(metrics.primary.flipped(low), metrics.primary.flipped(high)) <= margin)


def in_words(costs: Mapping[str, tuple[float, float]], metrics: Catalogue) -> str:
    """Says how much less or more the first of two networks costs than the second.

    Args:
        costs: both costs by the name of the metric.
        metrics: those of the campaign.
    """
    parts = []
    for name, (first, second) in costs.items():
        metric = metrics[name]
        is_count = metric.dtype == "Int64"
        words = ((metric.title if is_count else "") or metric.in_words).partition(",")[0]
        if first == second:
            parts.append(f"equal {words}")
            continue
        percent = abs(first / second - 1) * 100 if second else inf
        less = "fewer" if is_count else "less"
        amount = f"{percent:.0f}" if percent >= 1 else f"{percent:.1g}"
        parts.append(f"{amount} % {less if first < second else 'more'} {words}")
    return " and ".join(parts)


def evidence(row: Mapping[Hashable, Any], metrics: Catalogue) -> str:
    """Says what a verdict rests on, without a full stop.

    Args:
        row: a row of :func:`nas.analysis.tables.verdict.verdicts`.
        metrics: those of its campaign.
    """
    count = int(row["seeds"])
    pairs = counted(count, "paired seed")
    if row["other_picks"]:
        pairs += f" ({row['other_picks']} with other networks, which earlier seeds had picked)"
    measured = metrics[metrics.test].in_words
    parts = [f"{row['difference']:+.4f} in {measured}"] if count else []
    if row["verdict"] == "too few seeds":
        parts += [pairs if count else "no paired seed", f"a test needs {SEEDS}"]
    else:
        parts += [
            f"95 % interval [{row['low']:+.4f}, {row['high']:+.4f}]",
            pairs,
            f"p {row['corrected_p']:.2g}" + _correction(int(row["tests"])),
        ]
    if row["verdict"] == "not distinguishable" and row["saves"] and not row["as_good"]:
        parts[-1] += f"; not shown to be as good to within {row['margin']:.2g}"
    return "; ".join([", ".join(parts), *_unused(row), *_of_images(row, metrics)])


def _correction(tests: int) -> str:
    return f" corrected for {tests} tests" if tests > 1 else ""


def _unused(row: Mapping[Hashable, Any]) -> Iterator[str]:
    if row["only_pick"]:
        yield f"{_seeds(row['only_pick'], 'only pick')}"
    if row["left_out"]:
        yield f"{_seeds(row['left_out'], 'are left out')}: a picked network has no test result"


def _of_images(row: Mapping[Hashable, Any], metrics: Catalogue) -> Iterator[str]:
    """Says whether the sentence would also hold for another draw of test images."""
    if pd.isna(row["images"]):
        return
    low, high = row["images_low"], row["images_high"]
    draw = f"another draw of {row['images']:,} test images"
    if _says_as_good(row):
        holds = is_as_good(low, high, row["margin"], metrics)
    elif row["verdict"] == "not distinguishable":
        yield f"the same for {draw}: [{low:+.4f}, {high:+.4f}]"
        return
    else:
        holds = not low <= 0 <= high
    yield f"it {'also holds' if holds else 'may not hold'} for {draw}: [{low:+.4f}, {high:+.4f}]"


def _seeds(listed: str, verb: str) -> str:
    if "," in listed:
        return f"seeds {listed} {verb}"
    return f"seed {listed} {verb.replace('are', 'is').replace('only pick', 'only picks')}"
