"""Verdicts on simulated retrainings of which the truth is known."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nas.analysis.tables.verdict import COLUMNS, budgets, selection, verdicts
from nas.statistics.paired import holm, paired_t, verdict
from tests.analysis.tables.test_trials import ask, write

SIMULATIONS = 1000


def networks(*rows: dict[str, Any]) -> pd.DataFrame:
    """A table with a row a network: name, kind, validation and test by seed, and what differs."""
    parts = []
    for row in rows:
        count = len(row["test"])
        parts.append(pd.DataFrame({
            "campaign": row.get("campaign", "mine"), "name": row["name"], "kind": row["kind"],
            "conditions": row.get("conditions", "A"), "seeds": 1,
            "seed": row.get("seed", range(count)),
            "validation_accuracy": row["validation"], "test_accuracy": row["test"],
        }))  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def simulated(seeds: int, images: int | None, gain: float = 0.0) -> np.ndarray:
    """Differences of two networks' test accuracies, of equal means but for the gain.

    Retraining moves the true accuracy; on so many images it is seen in whole images.
    """
    rng = np.random.default_rng(seeds)
    true = rng.normal([0.95 + gain, 0.95], 0.01, (SIMULATIONS, seeds, 2))
    seen = true if images is None else np.round(true * images) / images
    difference: np.ndarray = seen[..., 0] - seen[..., 1]
    return difference


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_same_architecture_twice_is_told_apart_at_the_nominal_rate(seeds: int) -> None:
    test = paired_t(simulated(seeds, images=None))
    words = [verdict(-m, p) for m, p in zip(test.mean, test.p, strict=True)]
    wrong = np.mean([word != "not distinguishable" for word in words])
    # Within three standard deviations of a binomial of 5 %.
    assert abs(wrong - 0.05) < 3 * (0.05 * 0.95 / SIMULATIONS) ** 0.5
    covered = (test.low <= 0) & (test.high >= 0)
    assert covered.mean() == pytest.approx(1 - wrong)  # test and interval agree


@pytest.mark.parametrize(("seeds", "images"), [(3, 50), (3, 360), (10, 50), (10, 360)])
def test_few_images_do_not_raise_the_rate(seeds: int, images: int) -> None:
    """Accuracies then come in steps, and differences are often all equal."""
    wrong = (paired_t(simulated(seeds, images)).p < 0.05).mean()
    assert wrong < 0.05 + 3 * (0.05 * 0.95 / SIMULATIONS) ** 0.5


def test_holm_holds_the_rate_over_all_comparisons_of_a_table() -> None:
    rng = np.random.default_rng(1)
    found, classic, random = rng.normal(0.95, 0.01, (3, SIMULATIONS, 5))
    p = np.stack([paired_t(found - classic).p, paired_t(found - random).p], axis=-1)
    wrong = (holm(p) < 0.05).any(axis=-1).mean()
    assert wrong < 0.05 + 3 * (0.05 * 0.95 / SIMULATIONS) ** 0.5
    assert (p < 0.05).any(axis=-1).mean() > wrong  # which without it would be higher


def test_a_difference_that_is_there_is_found() -> None:
    test = paired_t(simulated(5, images=None, gain=0.04))
    words = [verdict(-m, p) for m, p in zip(test.mean, test.p, strict=True)]
    assert words.count("better") > 0.9 * SIMULATIONS
    assert words.count("worse") == 0


def test_the_best_is_chosen_by_validation_and_judged_by_test() -> None:
    rows = networks(
        {"name": "a", "kind": "searched", "validation": [0.9, 0.9, 0.9], "test": [0.7, 0.71, 0.7]},
        {
            "name": "b",
            "kind": "searched",
            "validation": [0.8, 0.8, 0.8],
            "test": [0.99, 0.98, 0.99],
        },
        {"name": "c", "kind": "classic", "validation": [0.7] * 3, "test": [0.9, 0.9, 0.91]},
        {"name": "d", "kind": "classic", "validation": [0.6] * 3, "test": [0.1, 0.1, 0.1]},
        {"name": "e", "kind": "random", "validation": [0.8] * 3, "test": [0.71, 0.70, 0.71]},
    )
    table = verdicts(rows)
    assert {n: str(d) for n, d in table.dtypes.items()} == {n: d for n, (d, _) in COLUMNS.items()}
    assert list(zip(table["found"], table["against"], strict=True)) == [("a", "c"), ("a", "e")]
    assert list(table["difference"]) == pytest.approx([-0.2, -0.01 / 3])
    assert list(table["verdict"]) == ["worse", "not distinguishable"]
    assert table["corrected_p"][0] == pytest.approx(2 * table["p"][0])
    worse, alike = table.attrs["notes"]
    assert worse.startswith("mine: a against the best classic, c: worse: -0.2000 in test accuracy")
    assert "over 3 paired seeds" in worse
    assert alike.startswith("mine: a against random search's e: not distinguishable: -0.0033")


def test_seeds_are_paired_and_too_few_are_said() -> None:
    rows = networks(
        {"name": "a", "kind": "searched", "validation": [0.9] * 4, "test": [0.9, 0.8, 0.7, 0.6]},
        {"name": "c", "kind": "classic", "validation": [0.7] * 2, "test": [0.5, 0.5],
         "seed": [3, 1]},
        {"name": "e", "kind": "random", "validation": [0.8] * 4, "test": [0.6, 0.7, 0.8, 0.9],
         "seed": [3, 2, 1, 0]},
    )  # fmt: skip
    table = verdicts(rows)
    assert list(table["seeds"]) == [2, 4]
    assert list(table["difference"]) == pytest.approx([(0.1 + 0.3) / 2, 0.0])
    assert list(table["verdict"]) == ["too few seeds", "not distinguishable"]
    assert table["corrected_p"].isna().tolist() == [True, False]
    assert "too few seeds to say: 2 in common, +0.2000 in test accuracy; from 3 on" in str(
        table.attrs["notes"]
    )


def test_why_there_is_no_verdict() -> None:
    found = {"name": "a", "kind": "searched", "validation": [0.9] * 3, "test": [0.9] * 3}
    classic = {"name": "c", "kind": "classic", "validation": [0.7] * 3, "test": [0.5] * 3}
    table = verdicts(networks(found, classic | {"conditions": "B"}))
    assert table.empty
    assert table.attrs["notes"] == [
        "mine: no verdict against classics: none has the conditions A of a",
        "mine: no verdict against random search: none is retrained",
    ]
    assert verdicts(networks(classic)).attrs["notes"] == [
        "mine: no verdict: no found network is retrained"
    ]


def test_campaigns_are_compared_under_like_conditions_alone() -> None:
    found = {"name": "a", "kind": "searched", "validation": [0.9] * 3, "test": [0.9, 0.91, 0.92]}
    rows = networks(
        found | {"campaign": "one"},
        found | {"campaign": "two", "test": [0.5, 0.52, 0.51]},
        found | {"campaign": "three", "conditions": "B"},
    )
    table = verdicts(rows)
    assert list(table["against"]) == ["two:a"]
    assert list(table["verdict"]) == ["better"]
    notes = "\n".join(table.attrs["notes"])
    assert "one and three: no verdict: their best found networks have unlike conditions" in notes


def test_selection_bias_is_named() -> None:
    table = pd.DataFrame({
        "campaign": "mine", "kind": ["searched", "searched", "random", "classic"],
        "name": ["a", "b", "e", "c"], "seeds": 1,
        "search_accuracy": [0.95, 0.97, 0.90, None],
        "validation_accuracy": [0.96, 0.93, 0.92, 0.5],
    })  # fmt: skip
    first, second = selection(table)
    assert "the search saw 0.9700 of its pick b" in first
    assert "retrained, validation accuracy is 0.9300: 0.0400 less" in first
    assert "the random search saw 0.9000 of its pick e" in second
    assert second.endswith("0.0200 more")


def test_equal_budgets_are_said_in_what_was_trained(tmp_path: Path) -> None:
    def trial(search: str, number: int, **metrics: int) -> list[dict[str, Any]]:
        name = f"{search}-000{number}"
        end = {"type": "result", "trial": name, "status": "completed", "error": None, "seconds": 1,
               "metrics": {"validation_accuracy": 0.5, **metrics}}  # fmt: skip
        return [ask(name, search=search), end]

    rows = [*trial("asha", 0, epochs=3), *trial("asha", 1, epochs=9, epochs_before=3)]
    write(tmp_path, rows + trial("random", 0, epochs=9))
    assert list(budgets(tmp_path)) == ["the searches have spent equally: asha 9, random 9 epochs"]
    write(tmp_path, trial("asha", 0) + trial("random", 0) + trial("random", 1))
    assert list(budgets(tmp_path)) == ["the searches have spent unequally: asha 1, random 2 trials"]
