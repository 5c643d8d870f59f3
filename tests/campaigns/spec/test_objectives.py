"""Campaigns with objectives of all kinds, against the true front of a small space."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from nas.analysis.audit.check import check
from nas.analysis.tables.networks import campaign_table
from nas.analysis.tables.render import render
from nas.campaigns.drive.run import run
from nas.campaigns.spec.campaign import load_campaign
from nas.campaigns.spec.objectives import (
    Front,
    Objective,
    complete,
    minimised,
    missing,
)
from nas.metrics import METRICS
from nas.statistics.pareto import best_first, crowding_distance, non_dominated_rank
from tests.campaigns import toy
from tests.campaigns.lines import ask, read_records

SEVERAL = """
space: tiny.yaml
searcher: {name: nsga2, population_size: 8}
objectives: [validation_accuracy, params]
budget: {trials: 48}
duplicates: evaluate
data: {name: digits, split: {train: 0.6, validation: 0.2, test: 0.2}}
recipe: {preset: quick, epochs: 1}
final: {top: 3, top_random: 2, classics: [resnet20]}
engine: {name: serial}
"""


def objectives(*given: Any) -> tuple[Objective, ...]:
    return complete(tuple(Objective.model_validate(each) for each in given), METRICS)


def by_width(trial: Mapping[str, Any]) -> dict[str, Any]:
    """The wider, the more accurate, up to 3; what is deep is noisy."""
    accuracy = min(toy.width(trial), 3) / 4
    depth = len(json.loads(trial["architecture"])["nodes"])
    tested = {"test_accuracy": accuracy} if trial["test"] else {}
    return {"validation_accuracy": accuracy, "noise": float(depth), **tested}


def searched(folder: Path, search: str) -> dict[str, tuple[float, ...]]:
    """The recorded objectives of a search by trial, to be minimised by hand."""
    records = read_records(folder)
    asks = {r["trial"]: r for r in records if r["type"] == "ask"}
    return {
        r["trial"]: (-r["metrics"]["validation_accuracy"], asks[r["trial"]]["cost"]["params"])
        for r in records
        if r["type"] == "result" and asks[r["trial"]].get("search") == search
    }


def finals(folder: Path, kind: str) -> list[str]:
    asks = [r for r in read_records(folder) if r.get("stage") == "final"]
    return [ask["label"] for ask in asks if ask["kind"] == kind]


def dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def test_nsga2_finds_the_true_front_and_retrains_from_it(tmp_path: Path) -> None:
    folder = toy.write(tmp_path / "c", SEVERAL)
    run(folder, evaluator=f"{__name__}:by_width")
    space = load_campaign(folder).space
    everything = set()
    for genotype in space.enumerate():
        architecture = space.decode(genotype)
        accuracy = by_width({"architecture": architecture.to_json(), "test": False})
        everything.add((-accuracy["validation_accuracy"], architecture.cost.params))
    truth = {a for a in everything if not any(dominates(b, a) for b in everything)}
    assert 1 < len(truth) < len(everything)
    found = searched(folder, "nsga2")
    assert truth <= set(found.values())
    chosen = [found[label] for label in finals(folder, "searched")]
    # A front of three and three to retrain: all of it, one architecture each.
    assert len(chosen) == 3 == len(truth)
    assert set(chosen) == truth
    report = check(folder, replay=True, console=Console(quiet=True))
    assert report.problems == []
    table = campaign_table(folder)
    points = list(zip(-table["validation_accuracy"], table["params"], strict=True))
    front = [not any(dominates(b, a) for b in points) for a in points]
    assert table["pareto"].tolist() == front
    assert table["validation_accuracy"].is_monotonic_decreasing
    assert "pareto against params" in render(table, "text")


def test_several_objectives_are_resumed_from_any_line(tmp_path: Path) -> None:
    folder = toy.write(tmp_path / "c", SEVERAL.replace("48", "20"))
    run(folder, evaluator=f"{__name__}:by_width")
    path, asked = folder / "records.jsonl", toy.genotypes(folder)
    lines = path.read_text().splitlines(keepends=True)
    for end in range(2, len(lines), 25):
        path.write_text("".join(lines[:end]))
        run(folder, evaluator=f"{__name__}:by_width")
        assert toy.genotypes(folder) == asked


def test_a_metric_of_ones_own_is_optimised_the_way_that_it_says(tmp_path: Path) -> None:
    asked = "objectives: [{metric: noise, direction: maximize}]"
    text = SEVERAL.replace("objectives: [validation_accuracy, params]", asked)
    folder = toy.write(tmp_path / "c", text.replace("48", "12"))
    summary = run(folder, evaluator=f"{__name__}:by_width")
    noise = {
        r["trial"]: r["metrics"]["noise"] for r in read_records(folder) if r["type"] == "result"
    }
    own = {trial: value for trial, value in noise.items() if trial.startswith("nsga2")}
    assert summary.best == max(own.values()) > min(own.values())
    assert summary.best_trial == max(own, key=own.__getitem__)  # the first of equals
    assert own[finals(folder, "searched")[0]] == summary.best
    assert check(folder, replay=True, console=Console(quiet=True)).problems == []


def test_a_trial_without_one_of_its_objectives_has_failed(tmp_path: Path) -> None:
    text = SEVERAL.replace("params]", "{metric: noise, direction: minimize}, train_seconds]")
    folder = toy.write(tmp_path / "c", text.replace("48", "3"))
    run(folder, evaluator=f"{__name__}:at_times")
    results = [r for r in read_records(folder) if r["type"] == "result"]
    assert {r["error"] for r in results if r["status"] == "failed"} == {
        "the evaluator returned None as train_seconds, which is not a number"
    }
    assert {r["cause"] for r in results if r["status"] == "failed"} == {"error"}
    assert any(r["status"] == "completed" for r in results)


def at_times(trial: Mapping[str, Any]) -> dict[str, Any]:
    """Networks of width 2 have no time."""
    seconds = {"train_seconds": 1.0} if toy.width(trial) != 2 else {}
    return {**by_width(trial), **seconds}


def test_signs_change_for_what_is_maximised_and_costs_are_the_asks() -> None:
    trial = ask(cost={"params": 7, "macs": 5, "flops": 5, "activations": 1})
    metrics = {"validation_accuracy": 0.25, "noise": 3, "params": 1}
    several = objectives(
        "validation_accuracy", "params", {"metric": "noise", "direction": "maximize"}
    )
    assert minimised(several, trial, metrics) == (-0.25, 7.0, -3.0)
    assert missing(several, trial, metrics) == ""
    for wrong in (None, "1", True, float("nan"), float("inf")):
        assert missing(several, trial, {**metrics, "noise": wrong}) == "noise"


@pytest.mark.parametrize("count", [2, 3])
def test_the_best_come_front_by_front_and_the_less_crowded_first(count: int) -> None:
    points = np.random.default_rng(count).integers(0, 9, (60, count)).astype(float)
    points = points[np.sort(np.unique(points, axis=0, return_index=True)[1])]
    order = list(best_first([tuple(point) for point in points]))
    ranks = non_dominated_rank(points)
    distances = crowding_distance(points, ranks)
    expected = sorted(range(len(points)), key=lambda i: (ranks[i], -distances[i], points[i][0], i))
    assert order == expected
    assert points[order[0]][0] == points[:, 0].min()  # one to retrain: the best by the first
    assert max(ranks) > 2


def test_of_one_objective_the_first_of_equals_is_the_best() -> None:
    assert list(best_first([(2.0,), (1.0,), (2.0,), (1.0,)])) == [1, 3, 0, 2]
    assert list(best_first([])) == []


def test_of_equals_in_a_front_one_comes_before_its_other_members_and_one_after_them() -> None:
    ends, middle, dominated = [(0.0, 9.0), (9.0, 0.0)], (4.0, 4.0), (5.0, 5.0)
    assert list(best_first([dominated, *ends, *ends, middle])) == [1, 2, 5, 3, 4, 0]


def test_a_front_that_grows_is_the_front_of_what_came() -> None:
    points = np.random.default_rng(0).integers(0, 12, (80, 2)).astype(float)
    front = Front()
    for seen, point in enumerate(points, start=1):
        front.add(tuple(point.tolist()))
        assert len(front) == (non_dominated_rank(points[:seen]) == 0).sum()
