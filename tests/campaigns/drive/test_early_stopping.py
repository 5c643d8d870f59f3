"""Median stopping: by its definition, on whatever engine, and what becomes of a stopped trial."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.analysis.audit.check import check
from nas.analysis.tables.networks import campaign_table
from nas.campaigns.drive.asks import Asks
from nas.campaigns.drive.run import run
from nas.campaigns.drive.runner import Runner
from nas.campaigns.drive.search import Search
from nas.campaigns.engines.base import Update
from nas.campaigns.spec.campaign import load_campaign
from nas.campaigns.spec.early_stopping import CurveRule, MedianRule, points, reached
from nas.campaigns.spec.objectives import Objective
from nas.campaigns.store.history import History
from nas.campaigns.store.log import RecordLog
from nas.campaigns.store.types import Result
from nas.errors import InputError
from tests.campaigns.lines import read_records
from tests.campaigns.toy import CAMPAIGN, HERE, check_complete, genotypes, write

EPOCHS = 6
STOPPING = (
    CAMPAIGN.replace("epochs: 1", f"epochs: {EPOCHS}")
    .replace("trials: 4", "trials: 12")
    .replace("budget:", "early_stopping: {name: median, grace_epochs: 2, min_trials: 2}\nbudget:")
)


def stops(curve: list[float], others: list[list[float]], grace: int, least: int) -> bool:
    """Section 3.2.2 of the paper, word by word."""
    step = len(curve)
    averages = [np.mean(other[:step]) for other in others if len(other) >= step]
    enough = step >= grace and len(averages) >= least
    return bool(enough and max(curve) < np.median(averages))


def test_the_rule_is_the_papers() -> None:
    rng = np.random.default_rng(0)
    verdicts = set()
    for _ in range(200):
        grace, least = int(rng.integers(1, 4)), int(rng.integers(1, 5))
        others = [rng.random(rng.integers(1, 6)).tolist() for _ in range(rng.integers(0, 7))]
        rule = MedianRule(grace, least)
        for other in others:
            rule.completed(other)
        curve = rng.random(rng.integers(1, 7)).tolist()
        verdict = rule.stops(curve)
        assert verdict == stops(curve, others, grace, least)
        verdicts.add(verdict)
    assert verdicts == {True, False}


def test_equal_to_the_median_is_not_worse() -> None:
    rule = MedianRule(1, 1)
    rule.completed([0.5, 0.5])
    assert not rule.stops([0.5])
    assert rule.stops([0.4])
    assert not rule.stops([0.6, 0.1])  # the best value counts, not the last


def rising(limit: float, length: int = 30) -> list[float]:
    return [limit - 0.5 / epoch for epoch in range(1, length + 1)]


def test_a_curve_that_will_hardly_be_the_best_is_stopped() -> None:
    rule = CurveRule(1, 2)
    rule.completed(rising(0.9))
    assert not rule.stops(rising(0.6, 20))  # one trial has completed
    rule.completed(rising(0.8))
    assert rule.stops(rising(0.6, 20))
    assert not rule.stops(rising(0.6, 3))  # too short to be extrapolated
    assert not rule.stops(rising(0.95, 20))
    assert not rule.stops([*rising(0.6, 19), -np.inf])
    assert not rule.stops(rising(0.6, 30))  # it ends here anyway
    late = CurveRule(25, 1)
    late.completed(rising(0.9))
    assert (late.stops(rising(0.6, 24)), late.stops(rising(0.6, 25))) == (False, True)


@pytest.mark.parametrize("rule", ["median", "learning_curve"])
def test_trials_without_a_curve_say_nothing(tmp_path: Path, rule: str) -> None:
    text = STOPPING.replace("name: median", f"name: {rule}")
    campaign = load_campaign(write(tmp_path / "c", text))
    search = Search(campaign, "evolution", Asks(campaign, History(tmp_path)))
    for curve in (None, [], [0.5], {"epoch": 1}, [{"epoch": 1}, 0.5]):
        ask = search.suggest()
        assert ask is not None
        search.enter(ask)
        metrics = {"validation_accuracy": 0.5, "curve": curve}
        search.tell(ask, Result.model_construct(status="completed", metrics=metrics, seconds=1.0))
    assert not search.stops([{"epoch": 1, "validation_accuracy": 0.0}])


def test_a_campaign_extrapolates_curves(tmp_path: Path) -> None:
    text = STOPPING.replace("name: median, grace_epochs: 2", "name: learning_curve")
    campaign = load_campaign(write(tmp_path / "campaign", text))
    assert campaign.config.early_stopping is not None
    search = Search(campaign, "evolution", Asks(campaign, History(tmp_path)))
    assert isinstance(search._rule, CurveRule)


def test_what_a_stopped_trial_has_reached() -> None:
    curve = [{"epoch": 1, "loss": 2.0, "train_seconds": 1.5},
             {"epoch": 2, "loss": None, "train_seconds": 2.0}]  # fmt: skip
    expected = {"loss": None, "train_seconds": 3.5, "epochs": 2, "curve": curve}
    assert reached(curve) == expected
    assert points(curve, Objective(metric="loss", direction="maximize")) == [2.0, -np.inf]


def results(folder: Path) -> dict[str, dict[str, Any]]:
    return {r["trial"]: r for r in read_records(folder) if r["type"] == "result"}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write(tmp_path_factory.mktemp("stopping") / "campaign", STOPPING)
    run(folder, evaluator=f"{HERE}:epochs")
    return folder


def accuracies(metrics: dict[str, Any]) -> list[float]:
    return [point["validation_accuracy"] for point in metrics["curve"]]


def test_every_verdict_of_a_campaign_follows_from_its_records(stopped: Path) -> None:
    seen = {"completed": 0, "stopped": 0}
    completed: dict[str, list[list[float]]] = {}
    asks = {r["trial"]: r for r in read_records(stopped) if r["type"] == "ask"}
    for trial, result in results(stopped).items():
        if asks[trial]["stage"] == "final":
            assert (result["status"], result["metrics"]["epochs"]) == ("completed", EPOCHS)
            continue
        others = completed.setdefault(asks[trial]["search"], [])
        curve = accuracies(result["metrics"])
        assert len(curve) == result["metrics"]["epochs"]
        verdicts = [stops(curve[:step], others, 2, 2) for step in range(1, EPOCHS)]
        seen[result["status"]] += 1
        if result["status"] == "completed":
            assert not any(verdicts)
            others.append(curve)
        else:
            assert verdicts.index(True) == len(curve) - 1
            assert result["metrics"]["validation_accuracy"] == curve[-1]
            assert (result["error"], result["cause"]) == (None, None)
    assert min(seen.values()) >= 3
    check_complete(stopped, len(asks))


def test_what_was_stopped_is_not_retrained_and_counts_as_neither(stopped: Path) -> None:
    ended = results(stopped)
    labels = {r["label"] for r in read_records(stopped) if r.get("stage") == "final"}
    assert {ended[label]["status"] for label in labels & ended.keys()} == {"completed"}
    count = sum(result["status"] == "stopped" for result in ended.values())
    notes = campaign_table(stopped, every_trial=True).attrs["notes"]
    assert f"{len(ended)} trials, 0 failed, {count} stopped early" in notes
    assert not list(check(stopped).problems)


def test_a_search_cut_anywhere_stops_the_same_trials(stopped: Path, tmp_path: Path) -> None:
    lines = (stopped / "records.jsonl").read_text().splitlines(keepends=True)
    for kept in range(2, len(lines), 7):
        folder = tmp_path / str(kept)
        shutil.copytree(stopped, folder)
        (folder / "records.jsonl").write_text("".join(lines[:kept]))
        run(folder, evaluator=f"{HERE}:epochs")
        assert genotypes(folder) == genotypes(stopped)
        assert {t: r["metrics"] for t, r in results(folder).items()} == {
            t: r["metrics"] for t, r in results(stopped).items()
        }


def test_a_curve_is_judged_from_its_first_epoch_or_not_at_all(
    stopped: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "c"
    shutil.copytree(stopped, folder)
    path = folder / "campaign.yaml"
    path.write_text(path.read_text().replace("trials: 12", "trials: 13"))
    with RecordLog(folder) as log:
        runner = Runner(load_campaign(folder), log)
        trial = runner.next()
        assert trial is not None

        def verdicts(*epochs: int) -> list[bool]:
            points = ({"epoch": epoch, "validation_accuracy": -1.0} for epoch in epochs)
            return [runner.update(trial.id, Update(point, None)) for point in points]

        assert verdicts(3, 4, 5) == [False] * 3  # it goes on from a checkpoint
        assert verdicts(1, 2, 3) == [False, True, True]
        assert verdicts(1, 2, 3, 4, 5, 6) == [False, *[True] * 4, False]  # its worker had died


def test_a_stopped_trial_answers_for_no_duplicate(tmp_path: Path) -> None:
    folder = write(tmp_path / "c", STOPPING.replace("duplicates: evaluate", "duplicates: reuse"))
    path = folder / "campaign.yaml"
    path.write_text(path.read_text().replace("trials: 12", "trials: 9"))
    run(folder, evaluator=f"{HERE}:epochs")
    ended = results(folder)
    originals = {r["duplicate_of"] for r in read_records(folder) if "duplicate_of" in r}
    assert originals, "the case is not tried"
    assert {ended[original]["status"] for original in originals} == {"completed"}
    assert "stopped" in {result["status"] for result in ended.values()}


@pytest.mark.xdist_group("ray")
@pytest.mark.usefixtures("cluster")
def test_ray_stops_the_same_trials_as_the_serial_engine(
    stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a worker tells of every epoch; short ones it gathers, and then some come too late."""
    from ray import cloudpickle

    import tests.campaigns.drive.test_early_stopping as module
    from nas.campaigns.engines import tune

    class Eager(tune.Worker):
        step_seconds = 0.0

    cloudpickle.register_pickle_by_value(module)
    monkeypatch.setattr(tune, "Worker", Eager)
    text = STOPPING.replace("name: serial", "name: ray, concurrency: 1")
    folder = write(tmp_path / "campaign", text)
    run(folder, evaluator=f"{HERE}:epochs")
    cloudpickle.unregister_pickle_by_value(module)
    assert genotypes(folder) == genotypes(stopped)
    expected = results(stopped)
    for trial, result in results(folder).items():
        for key in ("status", "metrics", "error"):
            assert json.dumps(result[key]) == json.dumps(expected[trial][key])
        host, node, pid = result["worker"].split("/")
        assert host
        assert len(node) == 8
        assert pid.isdigit()


def test_where_it_does_not_fit_it_is_refused(tmp_path: Path) -> None:
    asha = "{name: asha, max_fidelity: 6}"
    own = "{name: evolution, population_size: 2, tournament_size: 2}"
    for text, message in (
        (STOPPING.replace(own, asha), "early_stopping: the searcher asha stops trials early"),
        (
            STOPPING.replace("name: median", "name: mean"),
            "early_stopping.name: Input should be 'median'",
        ),
        (
            f"{STOPPING}evaluator: {{name: supernet, epochs: 1}}",
            "early_stopping: judges by learning curves, but the evaluator supernet trains no",
        ),
        (STOPPING.replace("min_trials: 2", "min_trials: 0"), "early_stopping.min_trials: "),
    ):
        assert text != STOPPING
        with pytest.raises(InputError, match=message):
            run(write(tmp_path / "c", text), evaluator=f"{HERE}:epochs")


def test_it_is_part_of_the_specification(stopped: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(stopped, folder)
    path = folder / "campaign.yaml"
    path.write_text(path.read_text().replace("grace_epochs: 2", "grace_epochs: 3"))
    with pytest.raises(InputError, match=r"early_stopping.grace_epochs: recorded 2, now 3"):
        run(folder, evaluator=f"{HERE}:epochs")
