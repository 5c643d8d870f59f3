"""Tables of planted searchers: what is equal, what is better, what failed."""

import numpy as np
import pandas as pd
import pytest

from nas.benchmark.comparison import (
    PAIRWISE,
    SUMMARY,
    anytime,
    budgets,
    leaders,
    pairwise,
    quantile,
    summary,
)
from nas.benchmark.regret import Curves, curves
from nas.statistics.paired import SignFlip, holm, holm_levels
from tests.analysis.runs import MAX, drawn, run

NAN = float("nan")
BEST = {"validation": 100.0, "test": 100.0}


def followed(trials: pd.DataFrame) -> Curves:
    return curves(trials, MAX, BEST)


@pytest.fixture(scope="module")
def planted() -> Curves:
    return followed(drawn({"first": 0, "same": 0, "better": 2}, seeds=80, evaluations=20))


def test_summary_by_hand() -> None:
    trials = pd.concat(
        [
            run("a", 0, [90, 94], [91, 95], reused=[False, True], evaluation=[1, 1]),
            run("a", 1, [92, 90], [93, 99]),
            run("b", 0, [96, 90], [97, 90]),
            run("b", 1, [NAN, NAN], [NAN, NAN]),
        ]
    )
    table = summary(followed(trials))
    names = [name for name in SUMMARY if "METRIC" not in name]
    for metric in ("validation", "test"):
        names += [n.replace("METRIC", metric) for n in SUMMARY if "METRIC" in n]
    assert set(table.columns) == set(names)
    a, b = table.to_dict("records")
    assert (a["group"], a["runs"], a["trials"], a["reused"], a["failed"]) == ("a", 2, 2, 0.5, 0)
    assert (a["test_mean"], a["test_sd"]) == pytest.approx((94, 2**0.5))
    assert a["test_regret"] == 6  # of 5 and 7
    assert a["test_rank"] == 1.5  # beaten by b with seed 0; b has nothing with seed 1
    assert b["test_rank"] == 1.5
    assert (b["runs"], b["failed"], b["no_result"], a["no_result"]) == (2, 1, 1, 0)
    assert (b["test_mean"], np.isnan(b["test_sd"])) == (97, True)
    assert np.isnan(b["test_regret"])  # half of its runs are infinitely far


def test_pairwise_finds_the_planted_difference_and_not_the_null(planted: Curves) -> None:
    table = pairwise(planted)
    assert list(table.columns) == list(PAIRWISE)
    words = {
        (row.metric, frozenset((row.first, row.second))): row.verdict for row in table.itertuples()
    }
    for metric in ("validation", "test"):
        assert words[metric, frozenset(("first", "same"))] == "not distinguishable"
        assert words[metric, frozenset(("first", "better"))] == "better"
        assert words[metric, frozenset(("same", "better"))] == "better"
    assert (table.loc[table["verdict"] == "better", "first"] == "better").all()


def test_pairwise_is_the_statistics_of_the_differences_by_seed(planted: Curves) -> None:
    table = pairwise(planted)
    final = planted.by_seed(planted.regret["test"][:, -1])
    rows = table[table["metric"] == "test"]
    levels = holm_levels(rows["p"])
    for row, level in zip(rows.itertuples(), levels, strict=True):
        difference = (final[row.first] - final[row.second]).to_numpy().round(9)
        assert row.difference == pytest.approx(difference.mean())
        test = SignFlip(difference)
        assert (row.low, row.high) == test.interval(level)
        assert row.p == test.p
        assert row.seeds == 80
    assert rows["corrected_p"].to_numpy() == pytest.approx(holm(rows["p"]))


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        (1, {"too few seeds"}),
        (2, {"too few seeds"}),
        (5, {"too few seeds"}),
        (6, {"too few seeds"}),  # 2/2^6 by three pairs is 0.094
        (7, {"better", "not distinguishable"}),  # and 2/2^7 by three is 0.047
        (12, {"better", "not distinguishable"}),
    ],
)
def test_too_few_seeds_are_said_and_words_agree_with_intervals(seeds: int, words: set[str]) -> None:
    table = pairwise(followed(drawn({"a": 0, "b": 0, "better": 30}, seeds, 5)))
    assert set(table["verdict"]) == words
    for row in table.to_dict("records"):
        if row["verdict"] == "too few seeds":
            assert np.isnan(row["low"])
        else:
            assert (row["low"] <= 0 <= row["high"]) == (row["verdict"] == "not distinguishable")


def test_the_leaders_are_the_best_and_what_it_does_not_beat(planted: Curves) -> None:
    assert leaders(planted, "test", 20) == {"better"}
    equals = followed(drawn({"first": 0, "same": 0}, seeds=40, evaluations=10))
    assert leaders(equals, "test", 10) == {"first", "same"}


def test_unlike_seeds_are_paired_where_both_ran() -> None:
    trials = drawn({"a": 0, "b": 3}, seeds=12, evaluations=5)
    trials = trials[~((trials["searcher"] == "b") & (trials["seed"] > 8))]
    assert pairwise(followed(trials))["seeds"].tolist() == [9, 9]


def test_a_run_without_a_result_counts_as_the_worst_of_all() -> None:
    trials = pd.concat(
        [run("a", s, [NAN], [NAN]) for s in range(20)]
        + [run("b", s, [80 + s], [80.0 + s]) for s in range(20)]
    )
    rows = pairwise(followed(trials)).set_index("metric")
    assert rows.loc["test", ["first", "verdict"]].tolist() == ["b", "better"]
    assert rows.loc["test", "difference"] == pytest.approx(-(np.arange(20.0)).mean())


def test_groups_of_unlike_workers_are_not_compared() -> None:
    trials = pd.concat(
        drawn({"a": 0, "b": 1}, 6, 4).assign(workers=w, seconds=lambda t, w=w: t["evaluation"] / w)
        for w in (1, 4)
    )
    table = pairwise(followed(trials))
    assert {frozenset(pair) for pair in zip(table["first"], table["second"], strict=True)} == {
        frozenset(("a, 1 worker", "b, 1 worker")),
        frozenset(("a, 4 workers", "b, 4 workers")),
    }


def test_anytime_holds_the_quartiles_of_regret(planted: Curves) -> None:
    table = anytime(planted)
    row = table[(table["group"] == "better") & (table["metric"] == "test")].set_index("evaluations")
    regret = planted.regret["test"][planted.rows("better")]
    for point in (1, 10, 20):
        now = regret[:, point - 1]
        assert row.loc[point, ["q25", "median", "q75"]].tolist() == pytest.approx(
            np.quantile(now, [0.25, 0.5, 0.75])
        )
        assert row.loc[point, "mean"] == pytest.approx(100 - now.mean())
        assert row.loc[point, "sd"] == pytest.approx(now.std(ddof=1))


def test_budgets_are_round_numbers_up_to_the_end(planted: Curves) -> None:
    assert budgets(planted) == [10, 20]
    long = followed(drawn({"a": 0}, 2, 300))
    assert budgets(long) == [10, 20, 50, 100, 200, 300]
    hours = followed(drawn({"a": 0}, 2, 300).assign(workers=1, seconds=range(1, 601)))
    assert set(budgets(hours)) <= set(hours.grid)
    assert budgets(hours)[-1] == hours.grid[-1]


def test_a_quantile_counts_no_result_as_infinitely_far() -> None:
    assert quantile(np.array([1.0, NAN, 2.0]), 0.5) == 2
    assert np.isnan(quantile(np.array([1.0, NAN, NAN]), 0.5))
    assert quantile(np.array([3.0]), 0.25) == 3
