"""Where the best networks of a campaign are wrong: confusion of classes, and calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nas.analysis.plots.reliability import tested
from nas.campaigns.store.history import History
from nas.campaigns.store.types import Result
from nas.words import compact, counted


class Confusion(NamedTuple):
    """What a network took its test images for.

    Attributes:
        name: the network.
        classes: the names of the classes.
        rows: for each true class, the written counts of the predicted ones, summed over the seeds,
            and each count as a share of the row in percent.
        recall: for each true class, the written share of its images that are right.
        about: the number of seeds and the calibration error.
    """

    name: str
    classes: Sequence[str]
    rows: Sequence[Sequence[tuple[str, int]]]
    recall: Sequence[str]
    about: str


def confusions(history: History, leaders: Sequence[Mapping[str, Any]]) -> list[Confusion]:
    """Returns the confusion of each of the best networks whose evaluations record it.

    Args:
        history: the campaign's records.
        leaders: those of :func:`nas.report.outcome.leaders`.
    """
    found = []
    for leader in leaders:
        results = [
            result
            for trial, result in history.results.items()
            if history.asks[trial].stage == "final" and history.asks[trial].label == leader["name"]
        ]
        if (made := _confusion(leader["name"], results)) is not None:
            found.append(made)
    return found


def _confusion(name: str, results: Sequence[Result]) -> Confusion | None:
    kept = [test for each in results if _is_matrix((test := tested(each)).get("confusion"))]
    counts = [np.asarray(test["confusion"]) for test in kept]
    if not counts or len({each.shape for each in counts}) > 1:
        return None
    total = np.sum(counts, axis=0)
    truths = total.sum(axis=1)
    shares = total / np.maximum(truths, 1)[:, None]
    known = (results[0].metrics.get("preprocessing") or {}).get("classes")
    classes = known if known and len(known) == len(total) else list(map(str, range(len(total))))
    about = counted(len(counts), "seed")
    if gaps := [test["calibration_error"] for test in kept if "calibration_error" in test]:
        about += f", expected calibration error {np.mean(gaps):.3f}"
    return Confusion(
        name,
        classes,
        [
            [(compact(n) if n else "", round(100 * share)) for n, share in zip(*pair, strict=True)]
            for pair in zip(total.tolist(), shares.tolist(), strict=True)
        ],
        [f"{share:.3f}" if n else "" for n, share in zip(truths, shares.diagonal(), strict=True)],
        about,
    )


def _is_matrix(found: Any) -> bool:
    return (
        bool(found)
        and isinstance(found, list)
        and all(isinstance(row, list) and len(row) == len(found) for row in found)
    )
