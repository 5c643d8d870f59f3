"""Says a verdict in words: a sentence, and the evidence for it."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import pandas as pd

from nas.metrics import Catalogue

SEARCHED, CLASSIC, RANDOM = "searched", "classic", "random"

SEEDS = 3
"""The smallest number of pairs for a test; with two, the interval would have a half width of 12.7
standard errors."""


def sentence(row: Mapping[Hashable, Any]) -> str:
    """Says a verdict in words, without a full stop.

    Args:
        row: a row of :func:`nas.analysis.tables.verdict.verdicts`.
    """
    what = {CLASSIC: "the best classic, ", RANDOM: "the best of random search, "}
    other = f"{what.get(str(row['kind']), '')}{row['against']}"
    if row["verdict"] == "too few seeds":
        return f"{row['searched']} and {other}, have too few common seeds to say which is better"
    link = "from" if row["verdict"] == "not distinguishable" else "than"
    return f"{row['searched']} is {row['verdict']} {link} {other}"


def evidence(row: Mapping[Hashable, Any], metrics: Catalogue) -> str:
    """Says what a verdict rests on, without a full stop.

    Args:
        row: a row of :func:`nas.analysis.tables.verdict.verdicts`.
        metrics: those of its campaign.
    """
    count = int(row["seeds"])
    pairs = f"{count} paired seed{'s' * (count != 1)}"
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
    return "; ".join([", ".join(parts), *_unused(row), *_of_images(row)])


def _correction(tests: int) -> str:
    return f" corrected for {tests} tests" if tests > 1 else ""


def _unused(row: Mapping[Hashable, Any]) -> Iterator[str]:
    if row["only_pick"]:
        yield f"{_seeds(row['only_pick'], 'only pick')}"
    if row["left_out"]:
        yield f"{_seeds(row['left_out'], 'are left out')}: a picked network has no test result"


def _of_images(row: Mapping[Hashable, Any]) -> Iterator[str]:
    if pd.isna(row["images"]):
        return
    low, high = row["images_low"], row["images_high"]
    draw = f"another draw of {row['images']:,} test images"
    if row["verdict"] == "not distinguishable":
        words = f"the same for {draw}"
    elif low <= 0 <= high:
        words = f"it may not hold for {draw}"
    else:
        words = f"it also holds for {draw}"
    yield f"{words}: [{low:+.4f}, {high:+.4f}]"


def _seeds(listed: str, verb: str) -> str:
    if "," in listed:
        return f"seeds {listed} {verb}"
    return f"seed {listed} {verb.replace('are', 'is').replace('only pick', 'only picks')}"
