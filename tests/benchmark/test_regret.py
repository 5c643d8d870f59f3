"""Against curves worked out by hand and a slow replay of the definition."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from nas.benchmark.regret import Curves, curves
from nas.errors import InputError
from nas.statistics.hypervolume import hypervolume
from tests.analysis.runs import MAX, drawn, run

NAN = float("nan")
BEST = {"validation": 10.0, "test": 20.0}


def followed(*runs: pd.DataFrame, **options: Any) -> Curves:
    return curves(pd.concat(runs, ignore_index=True), MAX, BEST, **options)


def test_the_incumbent_is_chosen_by_validation_and_scored_by_test() -> None:
    found = followed(run("a", 0, [5, 7, 6, 9], [18, 12, 19, 15]))
    assert found.axis == "evaluations"
    assert found.grid.tolist() == [1, 2, 3, 4]
    assert found.regret["validation"].tolist() == [[5, 3, 3, 1]]
    assert found.regret["test"].tolist() == [[2, 8, 8, 5]]  # test's own best, 19, is never picked


def test_of_equal_validations_the_earlier_stays() -> None:
    assert followed(run("a", 0, [7, 7, 7], [15, 19, 11])).regret["test"].tolist() == [[5, 5, 5]]


def test_area_is_the_mean_over_evaluations() -> None:
    found = followed(run("a", 0, [5, 7, 6, 9], [18, 12, 19, 15]))
    assert found.area["validation"].tolist() == [(5 + 3 + 3 + 1) / 4]
    # Regret 1 / n after n evaluations has the harmonic mean area.
    n = np.arange(1, 201)
    found = followed(run("a", 0, 10 - 1 / n, 20 - 1 / n))
    assert found.area["test"] == pytest.approx((1 / n).sum() / 200)


def test_area_over_hours_is_the_integral_of_the_steps() -> None:
    hour = 3600.0
    trials = run("a", 0, [5, 9], [15, 19], seconds=[1 * hour, 3 * hour], workers=2)
    other = run("b", 0, [8], [18], seconds=[8 * hour], workers=2)
    found = followed(trials, other)
    assert found.axis == "virtual hours"
    # Before the first result: the worst first result of all, 5. The budget is b's 8 hours.
    assert found.area["validation"].tolist() == [(5 * 1 + 5 * 2 + 1 * 5) / 8, 5.0]
    assert found.grid[[0, -1]].tolist() == [1, 8]
    assert np.isnan(found.regret["validation"][1, :-1]).all()
    assert found.regret["validation"][:, -1].tolist() == [1, 2]


def test_a_duplicate_costs_nothing_and_changes_nothing() -> None:
    evaluation, reused = [1, 2, 2, 3], [False, False, True, False]
    found = followed(
        run("a", 0, [5, 7, 7, 9], [15, 17, 17, 19], evaluation=evaluation, reused=reused)
    )
    assert found.regret["validation"].tolist() == [[5, 3, 1]]
    assert found.runs.loc[0, ["trials", "reused", "failed", "end"]].tolist() == [4, 1, 0, 3]


def test_failures_are_evaluations_without_a_result() -> None:
    found = followed(run("a", 0, [NAN, 7, NAN, 9], [NAN, 17, 11, 19]))
    assert found.regret["validation"][0].tolist() == pytest.approx([NAN, 3, 3, 1], nan_ok=True)
    assert found.regret["test"][0].tolist() == pytest.approx([NAN, 3, 3, 1], nan_ok=True)
    assert found.runs["failed"].tolist() == [2]
    assert found.area["validation"].tolist() == [(3 + 3 + 3 + 1) / 4]
    retried = followed(run("a", 0, [5, 9], [15, 19], status=["completed", "retried"]))
    assert retried.regret["validation"].tolist() == [[5, 5]]
    assert retried.runs["failed"].tolist() == [0]


def test_a_run_without_any_result_has_no_regret_and_the_worst_area() -> None:
    found = followed(run("a", 0, [NAN, NAN], [NAN, NAN]), run("b", 0, [4, 9], [4, 9]))
    assert np.isnan(found.regret["test"][0]).all()
    assert found.area["validation"].tolist() == [6, (6 + 1) / 2]
    alone = followed(run("a", 0, [NAN, NAN], [NAN, NAN]))
    assert np.isnan(alone.area["test"]).all()


def test_a_higher_fidelity_is_believed_first() -> None:
    seconds = [1.0, 2.0, 3.0, 4.0, 5.0]
    fidelity = [1, 1, 3, 3, NAN]  # the last is trained in full
    validation = [6.0, 8.0, 5.0, 7.0, 4.0]
    found = followed(run("a", 0, validation, validation, seconds=seconds, fidelity=fidelity))
    assert list(dict.fromkeys(found.regret["validation"][0])) == [4, 2, 5, 3, 6]


def test_minimised_metrics_and_mixed_directions() -> None:
    trials = run("a", 0, [0.5, 0.3, 0.4], [80, 85, 90])
    found = curves(trials, {"validation": "min", "test": "max"}, {"validation": 0.1, "test": 95})
    assert found.regret["validation"][0] == pytest.approx([0.4, 0.2, 0.2])
    assert found.regret["test"][0].tolist() == [15, 10, 10]
    assert found.scale == {"validation": (0.1, 1.0), "test": (95, -1.0)}


def test_runs_are_told_apart_whatever_their_order() -> None:
    a, b = run("a", 0, [5, 9], [15, 19]), run("b", 0, [6, 7], [16, 17])
    together = followed(a, b)
    woven = pd.concat([a.iloc[:1], b.iloc[:1], a.iloc[1:], b.iloc[1:]], ignore_index=True)
    assert followed(woven).regret["test"].tolist() == together.regret["test"].tolist()
    assert together.groups == ["a", "b"]
    assert together.by_seed(together.regret["test"][:, -1]).loc[0].tolist() == [1, 3]


def test_workers_make_groups_and_contests() -> None:
    parts = [
        run(name, 0, [5, 9], [15, 19], seconds=[60.0 / w, 120.0 / w], workers=w)
        for w in (1, 8)
        for name in ("a", "b")
    ]
    found = followed(*parts)
    assert found.groups == ["a, 1 worker", "b, 1 worker", "a, 8 workers", "b, 8 workers"]
    assert found.contests == {1: found.groups[:2], 8: found.groups[2:]}
    # Each contest by its own budget.
    assert found.area["validation"] == pytest.approx([5.0] * 4)


def test_the_vectors_are_the_definition_trial_by_trial() -> None:
    trials = drawn({"a": 0, "b": 1}, seeds=5, evaluations=30)
    trials.loc[trials.sample(frac=0.2, random_state=0).index, ["validation", "status"]] = (
        NAN,
        "failed",
    )
    found = curves(trials, MAX, {"validation": 100, "test": 100})
    for place, (_, path) in enumerate(trials.groupby(["searcher", "seed"])):
        incumbent = None
        for step, trial in enumerate(path.itertuples()):
            better = incumbent is None or trial.validation > incumbent.validation
            if trial.status == "completed" and better:
                incumbent = trial
            expected = (NAN, NAN)
            if incumbent is not None:
                expected = (100 - incumbent.validation, 100 - incumbent.test)
            got = [found.regret[metric][place, step] for metric in ("validation", "test")]
            assert got == pytest.approx(expected, nan_ok=True)


def test_hypervolume_is_a_share_of_the_true_fronts() -> None:
    trials = drawn({"a": 0, "b": 1}, seeds=3, evaluations=12)
    trials.loc[4, "status"] = "failed"
    front, reference = [[100.0, 2.0], [95.0, 0.5]], [80.0, 30.0]
    objectives = {"validation": "max", "latency": "min"}
    found = curves(
        trials, {}, {}, objectives=objectives, true_front=front, reference_point=reference
    )
    flip = np.array([-1, 1])
    whole = hypervolume(np.array(front) * flip, np.array(reference) * flip)
    assert list(found.regret) == ["hypervolume"]
    for place, (_, path) in enumerate(trials.groupby(["searcher", "seed"])):
        for step in range(12):
            seen = path.iloc[: step + 1]
            points = seen.loc[seen["status"] == "completed", list(objectives)].to_numpy() * flip
            share = hypervolume(points, np.array(reference) * flip) / whole
            assert found.regret["hypervolume"][place, step] == pytest.approx(1 - share)


def test_short_trainings_are_on_no_front() -> None:
    trials = drawn({"a": 0}, seeds=1, evaluations=12)
    trials["seconds"] = np.arange(1.0, 13.0)
    trials["fidelity"] = [3.0, 9.0] * 6
    front, reference = [[100.0, 2.0], [95.0, 0.5]], np.array([80.0, 30.0])
    objectives = {"validation": "max", "latency": "min"}
    found = curves(
        trials, {}, {}, objectives=objectives, true_front=front, reference_point=reference
    )
    flip = np.array([-1, 1])
    long = trials.loc[trials["fidelity"] == 9, list(objectives)].to_numpy() * flip
    whole = hypervolume(np.array(front) * flip, reference * flip)
    share = hypervolume(long, reference * flip) / whole
    assert found.regret["hypervolume"][0, -1] == pytest.approx(1 - share)


@pytest.mark.parametrize(
    ("trials", "message"),
    [
        (run("a", 0, [1.0], [1.0]).drop(columns="test"), "there is no column test"),
        (run("a", 0, [1.0], [1.0]).iloc[:0], "there are none"),
        (run("a", 0, [1.0, 2.0], [1.0, 2.0], evaluation=[2, 1]), "order of evaluation and time"),
        (run("a", 0, [1.0], [1.0], workers=1), "order of evaluation and time"),
        (run("a", 0, [1.0], [1.0], workers=1).drop(columns="seconds"), "no column seconds"),
        (run("a", 0, [1.0], [1.0], workers=1, seconds=0.0), "seconds are all zero"),
    ],
    ids=["column", "empty", "order", "no time", "no seconds", "zero"],
)
def test_what_cannot_be_followed_is_named(trials: pd.DataFrame, message: str) -> None:
    with pytest.raises(InputError, match=message):
        followed(trials)


def test_objectives_need_a_front_that_lies_before_the_reference() -> None:
    trials = run("a", 0, [1.0], [1.0], latency=[2.0])
    objectives = {"validation": "max", "latency": "min"}
    with pytest.raises(InputError, match="true front and a reference point"):
        curves(trials, {}, {}, objectives=objectives)
    with pytest.raises(InputError, match="no point of the true front"):
        curves(trials, {}, {}, objectives=objectives, true_front=[[1, 9]], reference_point=[0.5, 5])
