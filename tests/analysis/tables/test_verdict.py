"""Verdicts on simulated retrainings of which the truth is known."""

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest

from nas.analysis.tables import contests
from nas.analysis.tables.notes import budgets
from nas.analysis.tables.verdict import COLUMNS, MARGIN, Rules, selection, verdicts
from nas.metrics import Catalogue, Metric
from nas.statistics.paired import holm, paired_t, verdict
from nas.tasks.mistakes import packed
from tests.analysis.tables.test_trials import ask, write
from tests.benchmarks import error_rates

SIMULATIONS = 1000


def networks(*rows: dict[str, Any]) -> pd.DataFrame:
    """A table with a row a network: name, kind, validation and test by seed, and what differs."""
    parts = []
    for row in rows:
        count = len(row["test"])
        parts.append(pd.DataFrame({
            "campaign": row.get("campaign", "mine"), "name": row["name"], "kind": row["kind"],
            "group": row.get("group", "A"), "seeds": 1,
            "seed": row.get("seed", range(count)),
            "validation_accuracy": row["validation"], "test_accuracy": row["test"],
            "search_accuracy": row.get("search", np.nan), "breaks": row.get("breaks"),
            "fingerprint": row["name"], "mistakes": row.get("mistakes"),
            "macs": row.get("macs", np.nan), "params": row.get("params", np.nan),
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
    wrong = (paired_t(simulated(seeds, images), resolution=1 / images).p <= 0.05).mean()
    assert wrong < 0.05 + 3 * (0.05 * 0.95 / SIMULATIONS) ** 0.5


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize(("first", "second"), [(5, 1), (20, 1), (5, 5), (20, 20), (5, 3)])
def test_picking_the_best_of_several_does_not_raise_the_rate(
    first: int, second: int, seeds: int
) -> None:
    if (second, seeds) == (3, 3):
        return  # the first seed only picks, so two are left: too few
    setting = error_rates.Setting(first, second, seeds, searched=second in (5, 20))
    rates = error_rates.after(setting, 4_000)
    most = 0.05 + 3 * (0.05 * 0.95 / 4_000) ** 0.5
    assert rates.wrong < most
    assert rates.covered > 1 - most
    if second == 1 and seeds == 10:  # the same trainings picked and judged: the simulation sees it
        assert error_rates.before(setting, 4_000).wrong > most


@pytest.mark.parametrize("seeds", [4, 10])
@pytest.mark.parametrize("classics", [1, 3, 8])
def test_a_limit_on_cost_does_not_raise_the_rate(classics: int, seeds: int) -> None:
    rates = error_rates.equal_cost(classics, seeds, 4_000)
    assert rates.wrong < 0.05 + 3 * (0.05 * 0.95 / 4_000) ** 0.5


@pytest.mark.parametrize("seeds", [4, 5, 10])
def test_what_is_worse_by_the_margin_is_seldom_called_as_good(seeds: int) -> None:
    assert error_rates.cheaper(seeds, MARGIN, 4_000)[1] < 0.025 + 3 * (0.025 / 4_000) ** 0.5
    equal, called = error_rates.cheaper(seeds, 0.0, 4_000)
    assert equal.wrong < 0.05 + 3 * (0.05 * 0.95 / 4_000) ** 0.5
    if seeds == 10:
        assert called > 0.3  # what is as good is often called so


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


def told(*rows: dict[str, Any]) -> tuple[pd.DataFrame, list[str]]:
    """The verdicts on simulated rows and their words, without the campaign's name."""
    return told_under(Rules(), *rows)


def told_under(rules: Rules, *rows: dict[str, Any]) -> tuple[pd.DataFrame, list[str]]:
    """The same under the rules of the campaign."""
    table = verdicts(networks(*rows), {"mine": rules})
    words = [f"{each['sentence']}: {each['evidence']}" for each in table.attrs["words"]]
    return table, [note.removeprefix("mine: ") for note in [*words, *table.attrs["notes"]]]


def found(test: list[float], **columns: Any) -> dict[str, Any]:
    return {
        "name": "a",
        "kind": "searched",
        "validation": [0.9] * len(test),
        "test": test,
        **columns,
    }


def classic(test: list[float], **columns: Any) -> dict[str, Any]:
    return {"name": "c", "kind": "classic", "validation": [0.7] * len(test), "test": test,
            **columns}  # fmt: skip


def test_the_best_is_picked_by_validation_and_judged_by_test() -> None:
    table, (worse, alike, *_) = told(
        {"name": "a", "kind": "searched", "validation": [0.9, 0.9, 0.9], "test": [0.7, 0.71, 0.7],
         "search": 0.95},
        {"name": "b", "kind": "searched", "validation": [0.8, 0.8, 0.8], "test": [0.99, 0.98, 0.99],
         "search": 0.94},
        {"name": "c", "kind": "classic", "validation": [0.7] * 3, "test": [0.9, 0.9, 0.91]},
        {"name": "e", "kind": "random", "validation": [0.8] * 3, "test": [0.71, 0.70, 0.71]},
    )  # fmt: skip
    assert {n: str(d) for n, d in table.dtypes.items()} == {n: d for n, (d, _) in COLUMNS.items()}
    assert list(zip(table["searched"], table["against"], strict=True)) == [("a", "c"), ("a", "e")]
    assert list(table["difference"]) == pytest.approx([-0.2, -0.01 / 3])
    assert list(table["verdict"]) == ["worse", "not distinguishable"]
    assert table["corrected_p"][0] == pytest.approx(2 * table["p"][0])
    assert worse.startswith("a is worse than the best classic, c: -0.2000 in test accuracy, 95 %")
    assert worse.endswith("3 paired seeds, p 0.0017 corrected for 2 tests")
    assert alike.startswith("a is not distinguishable from the best of random search, e: -0.0033")


def test_each_seed_judges_what_the_seeds_before_it_picked() -> None:
    """After seed 0, b is ahead; after seed 1, a is, and stays it. The search saw a ahead."""
    rows = (
        {"name": "a", "kind": "searched", "validation": [0.5, 0.9, 0.9, 0.9],
         "test": [0.1, 0.2, 0.3, 0.4]},
        {"name": "b", "kind": "searched", "validation": [0.6, 0.1, 0.1, 0.1],
         "test": [0.5, 0.6, 0.7, 0.8]},
        classic([0.0] * 4),
    )  # fmt: skip
    table, (words, *_) = told(rows[0] | {"search": 0.9}, rows[1] | {"search": 0.8}, rows[2])
    assert table["difference"][0] == pytest.approx(np.mean([0.1, 0.6, 0.3, 0.4]))
    assert "4 paired seeds (1 with other networks, which earlier seeds had picked), p" in words
    assert table["only_pick"][0] == ""
    table, (words, *_) = told(*rows)  # of a campaign whose search has told nothing
    assert table["difference"][0] == pytest.approx(np.mean([0.6, 0.3, 0.4]))
    assert words.endswith("; seed 0 only picks")


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        (1, "a and the best classic, c, have too few common seeds to say which is better: "
            "+0.2000 in test accuracy, 1 paired seed, a test needs 3"),
        (2, "a and the best classic, c, have too few common seeds to say which is better: "
            "+0.2000 in test accuracy, 2 paired seeds, a test needs 3"),
    ],
)  # fmt: skip
def test_too_few_seeds(seeds: int, words: str) -> None:
    table, notes = told(found([0.7, 0.9][:seeds]), classic([0.5, 0.7][:seeds]))
    assert notes[0] == words
    assert table[["low", "high", "p", "corrected_p"]].isna().all(axis=None)


def test_no_seed_in_common() -> None:
    _, notes = told(found([0.7] * 3), classic([0.5] * 3, seed=[3, 4, 5]))
    assert notes[0].endswith("which is better: no paired seed, a test needs 3")


def test_a_constant_difference_is_one() -> None:
    first = [0.70, 0.71, 0.72, 0.73, 0.74]
    _, notes = told(found([value + 0.2 for value in first]), classic(first))
    assert notes[0] == (
        "a is better than the best classic, c: +0.2000 in test accuracy, 95 % interval "
        "[+0.1949, +0.2051], 5 paired seeds, p 4.2e-08"
    )
    _, notes = told(found([0.9] * 5), classic([0.4] * 5))  # not even a seed differs from another
    assert notes[0] == (
        "a is better than the best classic, c: +0.5000 in test accuracy, 95 % interval "
        "[+0.2465, +0.7535], 5 paired seeds, p 0.0054"
    )


def mistakes(rng: np.random.Generator, accuracy: float, images: int, seeds: int) -> dict[str, Any]:
    """Recorded predictions with an equal accuracy for each seed, and that accuracy."""
    made = []
    for _ in range(seeds):
        wrong = np.zeros(images, dtype=int)
        wrong[rng.permutation(images)[: round(images * (1 - accuracy))]] = 3
        made.append(wrong)
    return {"test": [float(np.mean(wrong == 0)) for wrong in made],
            "mistakes": [packed(wrong) for wrong in made]}  # fmt: skip


@pytest.mark.parametrize(
    ("accuracies", "images", "words"),
    [
        ((0.9, 0.6), 500, "; it also holds for another draw of 500 test images: [+0.2"),
        ((0.9, 0.88), 50, "; it may not hold for another draw of 50 test images: [-0."),
        ((0.9, 0.9), 50, "; the same for another draw of 50 test images: [-0."),
    ],
)
def test_another_draw_of_test_images(
    accuracies: tuple[float, float], images: int, words: str
) -> None:
    rng = np.random.default_rng(0)
    first, second = (mistakes(rng, accuracy, images, seeds=5) for accuracy in accuracies)
    table, notes = told(found(**first), classic(**second))
    assert words in notes[0]
    row = table.iloc[0]
    assert row["images_low"] < row["low"] < row["high"] < row["images_high"]
    assert not any("is not recorded" in note for note in notes)


def test_predictions_that_are_not_recorded_are_said_once() -> None:
    _, notes = told(found([0.9, 0.91, 0.92]), classic([0.5, 0.52, 0.51]))
    assert sum("the prediction for each image is not recorded" in n for n in notes) == 1


def test_ties() -> None:
    same = [0.70, 0.71, 0.72, 0.73, 0.74]
    _, notes = told(found(same), classic(same))
    assert notes[0] == (
        "a is not distinguishable from the best classic, c: +0.0000 in test accuracy, "
        "95 % interval [-0.0051, +0.0051], 5 paired seeds, p 1"
    )


def test_seeds_without_an_accuracy_are_said() -> None:
    table, notes = told(found([0.9, 0.8, np.nan, 0.7]), classic([0.5, np.nan, 0.6, 0.4]))
    assert list(table["seeds"]) == [2]
    assert table["left_out"][0] == "1, 2"
    assert notes[0].endswith(
        "2 paired seeds, a test needs 3; seeds 1, 2 are left out: a picked network has no test "
        "result"
    )


def test_seeds_are_paired() -> None:
    table, _ = told(
        found([0.9, 0.8, 0.7, 0.6]),
        {"name": "e", "kind": "random", "validation": [0.8] * 4, "test": [0.6, 0.7, 0.8, 0.9],
         "seed": [3, 2, 1, 0]},
    )  # fmt: skip
    assert list(table["difference"]) == pytest.approx([0.0])
    assert list(table["seeds"]) == [4]


def test_a_classic_that_breaks_a_constraint_is_no_opponent() -> None:
    large = {"name": "big", "kind": "classic", "validation": [0.99] * 3, "test": [0.99] * 3,
             "breaks": "macs 900,000 > 100,000"}  # fmt: skip
    table, notes = told(found([0.9, 0.91, 0.92]), classic([0.5, 0.52, 0.51]), large)
    assert list(table["against"]) == ["c"]
    assert (
        "big, the best of all classics by validation, breaks a constraint "
        "(macs 900,000 > 100,000), so no verdict compares with it"
    ) in notes
    table, notes = told(found([0.9, 0.91, 0.92]), large)
    assert table.empty
    assert notes[0] == "no verdict against classics: none keeps the constraints"


LIMITED = Rules({"macs": 100}, ("macs",))
STEADY = [0.90, 0.91, 0.92, 0.91]


def test_the_best_classic_of_at_most_its_cost_is_a_second_opponent() -> None:
    """The best classic costs more than the searched network, another one less."""
    large = classic([0.92, 0.93, 0.94, 0.93], name="large", macs=100) | {"validation": [0.8] * 4}
    small = classic([0.80, 0.82, 0.81, 0.81], name="small", macs=70)
    table, (first, second, *_) = told_under(LIMITED, found(STEADY, macs=80), large, small)
    assert list(zip(table["against"], table["role"], strict=True)) == [
        ("large", "best"), ("small", "equal cost"),
    ]  # fmt: skip
    assert first.startswith("a is worse than the best classic, large, with 20 % fewer MACs: -0.02")
    assert second.startswith(
        "a is better than the best classic of at most its cost, small, with 14 % more MACs: +0.1"
    )
    assert list(table["tests"]) == [2, 2]
    table, _ = told_under(LIMITED, found(STEADY, macs=100), large, small)
    assert list(table["against"]) == ["large"]  # it costs no more itself
    table, _ = told_under(LIMITED, found(STEADY, macs=60), large, small)
    assert list(table["against"]) == ["large"]  # none costs so little


def test_every_compared_cost_counts() -> None:
    rules = Rules({}, ("macs", "params"), is_tradeoff=True)
    large = classic([0.92, 0.93, 0.94, 0.93], name="large", macs=80, params=9) | {
        "validation": [0.8] * 4
    }
    small = classic([0.80, 0.82, 0.81, 0.81], name="small", macs=80, params=6)
    table, notes = told_under(rules, found(STEADY, macs=80, params=6), large, small)
    assert list(table["against"]) == ["large", "small"]
    assert "large, with equal MACs and 33 % fewer params" in notes[0]
    assert "small, with equal MACs and equal params" in notes[1]


def test_each_seed_allows_the_classics_of_at_most_the_cost_of_its_pick() -> None:
    """After seed 1 the cheap one is ahead, for which one classic alone is cheap enough."""
    rows = (
        found([0.8] * 4, name="dear", macs=90, search=0.9) | {"validation": [0.9, 0.5, 0.5, 0.5]},
        found([0.6] * 4, name="cheap", macs=50, search=0.8) | {"validation": [0.9, 0.9, 0.9, 0.9]},
        classic([0.5] * 4, name="large", macs=85) | {"validation": [0.8] * 4},
        classic([0.4] * 4, name="small", macs=45) | {"validation": [0.7] * 4},
    )
    table, _ = told_under(LIMITED, *rows)
    assert list(zip(table["searched"], table["against"], strict=True)) == [
        ("cheap", "large"), ("cheap", "small"),
    ]  # fmt: skip
    # Of dear, cheap, cheap, cheap and of none, small, small, small.
    assert table["difference"][1] == pytest.approx(0.2)
    assert table["only_pick"][1] == "0"


def test_as_good_with_fewer() -> None:
    rng = np.random.default_rng(0)
    alike = [0.9 + value for value in rng.normal(0, 0.001, 6)]
    other = [0.9 + value for value in rng.normal(0, 0.001, 6)]
    table, notes = told_under(LIMITED, found(alike, macs=62), classic(other, macs=100))
    assert notes[0].startswith(
        "a is not distinguishable from the best classic, c, and as good to within 0.01, with 38 % "
        "fewer MACs: "
    )
    assert table["as_good"][0]
    assert table["saves"][0]
    assert table["low"][0] >= -table["margin"][0]
    # An interval that reaches farther does not say so.
    wide = [0.88, 0.92, 0.90, 0.93, 0.87, 0.91]
    table, notes = told_under(LIMITED, found(wide, macs=62), classic(other, macs=100))
    assert notes[0].startswith("a is not distinguishable from the best classic, c, with 38 % fewer")
    assert "not shown to be as good to within 0.01" in notes[0]
    assert not table["as_good"][0]
    # What costs more is not praised for being as good.
    _, notes = told_under(LIMITED, found(alike, macs=100), classic(other, macs=62))
    assert "as good" not in notes[0]
    assert "with 61 % more MACs" in notes[0]


def test_as_good_may_not_hold_for_other_images() -> None:
    rng = np.random.default_rng(0)
    first, second = (mistakes(rng, 0.9, 200, seeds=5) for _ in range(2))
    table, notes = told_under(LIMITED, found(**first, macs=50), classic(**second, macs=100))
    assert "and as good to within 0.01, with 50 % fewer MACs" in notes[0]
    assert "it may not hold for another draw of 200 test images" in notes[0]
    assert table["images_low"][0] < -table["margin"][0] <= table["low"][0]


def test_the_margin_of_a_metric_that_is_not_a_fraction_is_a_share() -> None:
    """A loss, to be minimised, of about 50: as good is at most 0.5 more."""
    error = Metric(name="error", direction="minimize")
    loss = Metric(name="loss", direction="minimize", unit="nats")
    rng = np.random.default_rng(0)
    rows = networks(
        found([50.2 + value for value in rng.normal(0, 0.1, 6)], macs=50),
        classic([50 + value for value in rng.normal(0, 0.1, 6)], macs=100),
    )
    names = {f"{part}_accuracy": f"{part}_error" for part in ("validation", "test", "search")}
    rows = rows.rename(columns=names)
    rows.attrs["metrics"] = Catalogue((error, loss)).definition()
    table = verdicts(rows, {"mine": Rules({}, ("macs",))})
    assert table["margin"][0] == pytest.approx(0.5, rel=0.01)
    assert table["as_good"][0]
    assert table["high"][0] < 0.5
    rows.loc[rows["kind"] == "searched", "test_error"] += 0.5
    assert not verdicts(rows, {"mine": Rules({}, ("macs",))})["as_good"][0]


def test_where_cost_is_an_objective_the_cheapest_match_is_compared() -> None:
    def named(name: str, accuracy: float, macs: int) -> dict[str, Any]:
        test = [accuracy + step for step in (0.001, 0.002, 0.001, 0.003)]
        return found(test, name=name, macs=macs, search=accuracy) | {"validation": [accuracy] * 4}

    other = classic([0.902, 0.901, 0.903, 0.902], macs=80) | {"validation": [0.9] * 4}
    rows = (named("top", 0.95, 90), named("lean", 0.901, 40), named("poor", 0.5, 10), other)
    table, notes = told_under(Rules({}, ("macs",), is_tradeoff=True), *rows)
    assert list(table["searched"]) == ["top", "lean"]
    assert list(table["role"]) == ["best", "cheaper"]
    assert notes[1].startswith(
        "lean, the cheapest that matched the best classic by validation, is not distinguishable "
        "from the best classic, c, and as good to within 0.01, with 50 % fewer MACs"
    )
    assert table["only_pick"][1] == "0"  # nothing was known of the classic before
    table, _ = told_under(Rules({}, ("macs",)), *rows)
    assert list(table["searched"]) == ["top"]


def test_classics_and_random_search_of_another_campaign_stand_in() -> None:
    """The second campaign has neither; its random search counts only with the same space."""
    rows = networks(
        found(STEADY, campaign="one"),
        classic([0.5, 0.51, 0.52, 0.5], campaign="one", macs=80),
        classic([0.9, 0.91, 0.92, 0.93], campaign="one", name="big", macs=200)
        | {"validation": [0.8] * 4},
        found([0.7, 0.71, 0.7, 0.7], campaign="one", name="e", kind="random"),
        found([0.93, 0.94, 0.94, 0.95], campaign="two", name="b"),
    )
    rules = {"one": Rules(space="s"), "two": Rules({"macs": 100}, ("macs",), space="s")}
    table = verdicts(rows, rules)
    against = list(zip(table["campaign"], table["against"], strict=True))
    assert ("one", "big") in against
    assert ("two", "one:c") in against
    assert ("two", "one:e") in against
    assert ("one", "two:b") in against
    notes = "\n".join(table.attrs["notes"])
    assert "two: big, the best of all classics by validation, breaks a constraint" in notes
    assert "one and two have different constraints: none, and macs at most 100" in notes
    table = verdicts(rows, rules | {"two": Rules(space="t")})
    assert (
        "two: no verdict against random search: none is in the final stage" in table.attrs["notes"]
    )


def test_a_constraint_that_cannot_be_checked_is_said() -> None:
    other = classic([0.5, 0.52, 0.51]) | {"unchecked": "depth"}
    table = networks(found([0.9, 0.91, 0.92]), other).assign(unchecked=[None] * 3 + ["depth"] * 3)
    assert (
        "mine: it is not recorded whether c keeps the constraint on depth; verdicts take it as kept"
        in verdicts(table).attrs["notes"]
    )


def test_unequal_candidates_and_what_one_search_says() -> None:
    rows = [found([0.9, 0.91, 0.92], name=name) for name in "ab"]
    _, notes = told(*rows, found([0.9, 0.91, 0.92], name="e", kind="random"))
    assert notes[-2].startswith(
        "the best of 2 finalists is compared with the best of 1 of random search: the best"
    )
    assert notes[-1].startswith("each search ran once, which says little about the searchers")
    _, notes = told(found([0.9, 0.91, 0.92]), classic([0.5, 0.52, 0.51]))
    assert not any("each search ran once" in note for note in notes)


def test_why_there_is_no_verdict() -> None:
    found = {"name": "a", "kind": "searched", "validation": [0.9] * 3, "test": [0.9] * 3}
    classic = {"name": "c", "kind": "classic", "validation": [0.7] * 3, "test": [0.5] * 3}
    table = verdicts(networks(found, classic | {"group": "B"}))
    assert table.empty
    assert table.attrs["notes"] == [
        "mine: no verdict against classics: none is in the comparability group A of a",
        "mine: no verdict against random search: none is in the final stage",
    ]
    assert verdicts(networks(classic)).attrs["notes"] == [
        "mine: no verdict: no searched network is in the final stage"
    ]


def test_campaigns_are_compared_under_like_conditions_alone() -> None:
    found = {"name": "a", "kind": "searched", "validation": [0.9] * 3, "test": [0.9, 0.91, 0.92]}
    rows = networks(
        found | {"campaign": "one"},
        found | {"campaign": "two", "test": [0.5, 0.52, 0.51]},
        found | {"campaign": "three", "group": "B"},
    )
    table = verdicts(rows)
    assert list(table["against"]) == ["two:a"]
    assert list(table["verdict"]) == ["better"]
    notes = "\n".join(table.attrs["notes"])
    assert "one and three: no verdict: their best searched networks are in different" in notes


def test_the_same_trainings_are_one_test() -> None:
    first = {"name": "a", "kind": "searched", "validation": [0.9] * 3, "test": [0.9, 0.91, 0.92]}
    other = first | {"test": [0.5, 0.52, 0.51]}
    table = verdicts(networks(
        first | {"campaign": "one"}, first | {"campaign": "copy"}, other | {"campaign": "two"},
    ))  # fmt: skip
    assert list(zip(table["campaign"], table["against"], strict=True)) == [
        ("one", "two:a"), ("copy", "two:a"),
    ]  # fmt: skip
    assert list(table["tests"]) == [1, 1]
    assert list(table["corrected_p"]) == list(table["p"])
    assert (
        "one and copy: no verdict: their best searched networks are the same trainings"
        in (table.attrs["notes"])
    )


def test_selection_bias_is_named() -> None:
    table = pd.DataFrame({
        "campaign": "mine", "kind": ["searched", "searched", "random", "classic"],
        "name": ["a", "b", "e", "c"], "seeds": 1,
        "search_accuracy": [0.95, 0.97, 0.90, None],
        "validation_accuracy": [0.96, 0.93, 0.92, 0.5],
    })  # fmt: skip
    first, second = selection(table)
    assert "the search observed 0.9700 for b, its best trial" in first
    assert "the final stage, validation accuracy is 0.9300: 0.0400 less" in first
    assert "the random search observed 0.9000 for e, its best trial" in second
    assert second.endswith("0.0200 more")


def test_equal_budgets_are_said_in_what_was_trained(tmp_path: Path) -> None:
    def trial(search: str, number: int, **metrics: int) -> list[dict[str, Any]]:
        name = f"{search}-000{number}"
        end = {"type": "result", "trial": name, "status": "completed", "error": None, "seconds": 1,
               "metrics": {"validation_accuracy": 0.5, **metrics}}  # fmt: skip
        return [ask(name, search=search), end]

    rows = [*trial("asha", 0, epochs=3), *trial("asha", 1, epochs=9, epochs_before=3)]
    write(tmp_path, rows + trial("random", 0, epochs=9))
    assert list(budgets({"": tmp_path})) == [
        "the searches have spent equally: asha 9, random 9 epochs"
    ]
    failed = trial("asha", 1)
    failed[1] |= {"status": "failed", "error": "nan", "metrics": {}}
    rows = trial("asha", 0, epochs=3) + failed
    write(tmp_path, rows + trial("random", 0, epochs=3) + trial("random", 1, epochs=3))
    assert list(budgets({"": tmp_path})) == [
        "the searches have spent equally: asha 2, random 2 trials"
    ]
    write(tmp_path, trial("asha", 0) + trial("random", 0) + trial("random", 1))
    assert list(budgets({"": tmp_path})) == [
        "the searches have spent unequally: asha 1, random 2 trials"
    ]


@pytest.mark.parametrize("campaigns", [3, 9])
def test_each_campaign_is_picked_from_once(monkeypatch: pytest.MonkeyPatch, campaigns: int) -> None:
    """The comparisons grow with the square of the campaigns, so each must cost little."""
    counted = Mock(wraps=contests.forward_picks)
    monkeypatch.setattr(contests, "forward_picks", counted)
    table = verdicts(networks(*(
        {"name": "a", "kind": "searched", "campaign": str(number), "validation": [0.9] * 3,
         "test": [0.5, 0.5, 0.5 + number / 100]}
        for number in range(campaigns)
    )))  # fmt: skip
    assert len(table) == campaigns * (campaigns - 1) / 2
    assert counted.call_count == campaigns
