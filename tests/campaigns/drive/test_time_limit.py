"""Campaigns with a time limit: what runs when, and that they end."""

import time
from collections.abc import Mapping
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

import nas
from nas.analysis.audit.check import check
from nas.analysis.tables.networks import campaign_table
from nas.architecture.reference import reference_cost
from nas.campaigns.drive.run import run
from nas.campaigns.engines.base import Engine, Source, attempt
from nas.campaigns.spec.campaign import read_file
from nas.campaigns.spec.time_limit import TimeLimit, Timetable
from nas.errors import InputError
from tests.campaigns import toy
from tests.campaigns.drive.test_training import asks, results
from tests.campaigns.lines import ask

FINAL = "{top: 2, top_random: 0, classics: [resnet20], ensembles: [2]}"
LIMITED = (
    toy.CAMPAIGN.replace("{top: 1, top_random: 1, classics: [resnet20]}", FINAL).replace(
        "trials: 4", "trials: 1000"
    )
    + "random_baseline: false\ntime_limit: {minutes: MINUTES, final: 0.5, epochs: 1000}\n"
)


def write(folder: Path, minutes: float) -> Path:
    return toy.write(folder, LIMITED.replace("MINUTES", str(minutes)))


def test_all_trainings_of_the_final_stage_get_the_same_time_and_fill_their_share() -> None:
    limit = TimeLimit(minutes=10, final=0.4)
    for slots, classics, retrained in product((1, 2, 3), (0, 1, 3), (1, 2, 5)):
        table = Timetable(limit, classics, retrained, False, partial(int, slots))
        rounds = [-(-each // slots) for each in (classics, retrained)]
        each = 0.4 * table.end / sum(rounds)
        assert table.searched_by == pytest.approx(table.end - rounds[1] * each)
        classic = ask(stage="final", kind="classic", label="a", classic="lenet5", options={})
        assert table.ends(classic, 30, retrained) == pytest.approx(30 + each)
        best = ask(stage="final", label="a-0000")
        now = table.searched_by
        for left in range(retrained, 0, -slots):
            now = table.ends(best, now, left)
            assert now == pytest.approx(table.end - (-(-left // slots) - 1) * each)
        assert now == pytest.approx(table.end)
        assert 590 < now < 600


def test_classics_may_have_less_time(tmp_path: Path) -> None:
    limit = TimeLimit(minutes=10, final=0.6, classics=0.1)
    table = Timetable(limit, 2, 2, False, lambda: 1)
    classic = ask(stage="final", kind="classic", label="a", classic="lenet5", options={})
    # It has that time from its first step: until then, workers start and read the data.
    assert table.seconds(classic) == pytest.approx(0.05 * table.end)
    assert table.ends(classic, 30, 2) == pytest.approx(table.end)
    assert table.seconds(ask()) is None
    assert table.searched_by == pytest.approx(0.4 * table.end)
    path = write(tmp_path / "c", 10) / "campaign.yaml"
    path.write_text(path.read_text().replace("final: 0.5", "final: 0.5, classics: 0.5"))
    with pytest.raises(InputError, match=r"classics: 0.5 and final: 0.5 must be less than 1"):
        read_file(path.parent)


class Clocked(Engine):
    """Carries out one trial after another; each takes so many seconds of a clock of its own.

    If ``prompt``, none takes longer than until a second before its deadline.
    """

    slots = 1

    def __init__(self, seconds: float, prompt: bool = False) -> None:
        self.seconds, self.prompt = seconds, prompt
        self.clock = 0.0
        self.given: dict[str, float] = {}

    @property
    def now(self) -> float:
        return self.clock

    def run(self, source: Source) -> None:
        while (trial := source.next()) is not None:
            left = trial.payload.get("deadline", 0.0) - time.time()
            self.given[trial.id] = self.clock + left
            self.clock += min(self.seconds, max(left - 1, 0.5)) if self.prompt else self.seconds
            source.done(trial.id, attempt(evaluate, trial.payload))


def evaluate(trial: Mapping[str, Any]) -> dict[str, Any]:
    if "members" in trial:
        return {"validation_accuracy": 0.5}
    return toy.evaluate(trial) | ({"out_of_time": True, "epochs": 1} if "seconds" in trial else {})


def test_classics_come_first_then_searches_then_what_was_best(tmp_path: Path) -> None:
    folder, engine = write(tmp_path / "c", 10), Clocked(20)
    run(folder, evaluator=evaluate, engine=engine)
    kinds = [each["kind"] for each in asks(folder).values()]
    searched = kinds.count("searched") - 2
    assert kinds == ["classic", *["searched"] * (searched + 2), "ensemble"]
    end = 600 * (1 - 0.01) - 3
    by = end - 0.03 * 600
    training = 0.5 * by / 3
    *search, _, _, ensemble = list(asks(folder).values())[1:]
    # The classic took less than its time, so the search has had more.
    assert max(each["elapsed"] for each in search) < by - 2 * training
    assert max(each["elapsed"] for each in search) + 20 >= by - 2 * training
    given = engine.given
    first, second, third = (trial for trial in given if trial.startswith("final-"))
    assert given[first] == pytest.approx(training, abs=2)
    for each in search:
        assert given[each["trial"]] == pytest.approx(by - 2 * training, abs=2)
    began = 20 * (1 + searched)
    assert given[second] == pytest.approx(began + (by - began) / 2, abs=2)
    assert given[third] == pytest.approx(by, abs=2)
    assert ensemble["kind"] == "ensemble"


def test_there_is_always_something_to_retrain(tmp_path: Path) -> None:
    """The classic takes longer than the searches have; one trial of theirs is carried out still."""
    folder, engine = write(tmp_path / "c", 10), Clocked(280)
    path = folder / "campaign.yaml"
    path.write_text(path.read_text().replace("final: 0.5", "final: 0.8, trial_seconds: 200"))
    run(folder, evaluator=evaluate, engine=engine)
    trials = asks(folder)
    assert [each["stage"] for each in trials.values()] == ["final", "search", "final"]
    second = [*trials][1]
    assert results(folder)[second]["status"] == "completed"
    end = (600 * (1 - 0.01) - 3) - 0.03 * 600
    assert engine.given[second] == pytest.approx(280 + 0.1 * (end - 280), abs=2)


@pytest.mark.parametrize("prompt", [False, True])
def test_trials_of_the_search_may_have_the_same_time(tmp_path: Path, prompt: bool) -> None:
    """Those that their own time ends are results; those that the end of the searches ends are not.

    The evaluator says of every trial of the search that it was ended.
    """
    folder = write(tmp_path / "c", 10)
    path = folder / "campaign.yaml"
    path.write_text(path.read_text().replace("final: 0.5", "final: 0.5, trial_seconds: 15"))
    engine = Clocked(20, prompt)
    run(folder, evaluator=evaluate, engine=engine)
    asked = asks(folder)
    ended = {t: r["status"] for t, r in results(folder).items() if asked[t]["stage"] == "search"}
    short = [t for t in ended if engine.given[t] - asked[t]["elapsed"] < 15]
    assert short
    assert [t for t, status in ended.items() if status == "stopped"] == short
    assert set(ended.values()) == {"completed", "stopped"}
    path.write_text(path.read_text().replace("trial_seconds: 15", "trial_seconds: 16"))
    with pytest.raises(InputError, match=r"time_limit.trial_seconds: recorded 15.*, now 16"):
        run(folder, evaluator=evaluate, engine=Clocked(20))


def test_the_time_of_all_runs_counts_and_a_larger_limit_goes_on(tmp_path: Path) -> None:
    folder = write(tmp_path / "c", 10)
    run(folder, evaluator=evaluate, engine=Clocked(50))
    before = len(results(folder))
    engine = Clocked(50)
    run(folder, evaluator=evaluate, engine=engine)
    assert (len(results(folder)), engine.given) == (before, {})
    path = folder / "campaign.yaml"
    path.write_text(path.read_text().replace("minutes: 10", "minutes: 20"))
    run(folder, evaluator=evaluate, engine=engine)
    assert len(results(folder)) > before
    path.write_text(path.read_text().replace("epochs: 1000", "epochs: 999"))
    with pytest.raises(InputError, match=r"time_limit.epochs: recorded 1000, now 999"):
        run(folder, evaluator=evaluate, engine=engine)


def test_what_does_not_end_by_itself_is_ended(tmp_path: Path) -> None:
    folder = write(tmp_path / "c", 0.03)
    summary = run(folder, evaluator="tests.campaigns.toy:hang")
    assert (summary.completed, len(asks(folder))) == (0, 1)


def test_trainings_end_early_with_their_networks(tmp_path: Path) -> None:
    # What is imported at the first use takes seconds, which would be charged.
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)])
    reference_cost(nas.classic("lenet5"))
    folder = write(tmp_path / "c", 0.1)
    run(folder)
    asked, ended = asks(folder), results(folder)
    final = {t: r for t, r in ended.items() if asked[t]["stage"] == "final"}
    assert next(iter(asked.values()))["kind"] == "classic"
    trained = [t for t in final if asked[t]["kind"] != "ensemble"]
    assert {asked[t]["kind"] for t in trained} == {"classic", "searched"}
    for trial in trained:
        metrics = final[trial]["metrics"]
        assert metrics["out_of_time"]
        assert metrics["epochs"] == len(metrics["curve"]) < 1000
        assert (folder / "weights" / f"{trial}.safetensors").exists()
    stopped = [r for r in ended.values() if r["status"] == "stopped"]
    assert all(r["metrics"]["out_of_time"] for r in stopped)
    report = check(folder)
    assert not report.problems
    notes = "\n".join(campaign_table(folder).attrs["notes"])
    assert f"{len(trained)} networks of the final stage had no time for all epochs" in notes


def test_a_time_limit_is_more_than_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"time_limit.minutes: .* greater than 0, got -?0"):
        read_file(write(tmp_path / "c", 0))
