"""What a search may spend: trials, hours, accelerator hours, epochs; counted from the records."""

import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from nas.analysis.audit.check import check
from nas.campaigns.drive.epoch_counter import epochs_trained
from nas.campaigns.drive.run import run
from nas.campaigns.drive.runner import Runner
from nas.campaigns.engines.base import Outcome, Source, Trial, Update, failure
from nas.campaigns.spec.budget import Budget, Spending
from nas.campaigns.spec.campaign import load_campaign
from nas.campaigns.store import log
from nas.campaigns.store.log import RecordLog
from nas.campaigns.store.types import Ask, Failure, Result
from nas.configuration import validate
from nas.errors import InputError
from tests.campaigns import toy
from tests.campaigns.lines import ask, read_records, result

HOUR = 3600


class Clocked:
    """An engine of one worker whose trials take a quarter of an hour by a clock of its own."""

    slots = 1

    def __init__(self, stop_after: int = 1_000) -> None:
        self.now = 0.0
        self.ended = 0
        self._stop_after = stop_after

    def run(self, source: Source) -> None:
        while (trial := source.next()) is not None:
            if self.ended == self._stop_after:
                raise KeyboardInterrupt  # with a trial under way
            self.now += HOUR / 4
            self.ended += 1
            source.done(trial.id, self.outcome(trial))

    def outcome(self, trial: Trial) -> Outcome:
        return Outcome("completed", toy.evaluate(trial.payload), None, HOUR / 4)


def go(folder: Path, engine: Clocked) -> None:
    """A run of a campaign by the engine's clock."""
    with RecordLog(folder) as log:
        runner = Runner(load_campaign(folder), log, lambda: engine.now)
        engine.run(runner)


def campaign(folder: Path, budget: str, more: str = "") -> Path:
    text = toy.CAMPAIGN.replace("budget: {trials: 4}", f"budget: {budget}{more}")
    return toy.write(folder, text.replace("engine: {name: serial}", "engine: {cpus_per_trial: 2}"))


def asked(folder: Path, search: str) -> int:
    return sum(r.get("search") == search for r in read_records(folder))


@pytest.mark.parametrize(
    ("budget", "trials"),
    [
        ("{trials: 3}", 3),
        ("{hours: 1}", 4),
        ("{hours: 1.1}", 5),  # the fifth is under way when it ends, and is finished
        ("{accelerator_hours: 3}", 6),  # two cores a trial
        ("{epochs: 7}", 7),
        ("{epochs: 7, hours: 1, trials: 5}", 4),
        ("{epochs: 3, hours: 10, trials: 5}", 3),
        ("{trials: 2, hours: 10, accelerator_hours: 10, epochs: 10}", 2),
    ],
)
@pytest.mark.parametrize("stop_after", [1_000, 2, 4])
def test_every_search_ends_at_the_first_limit_and_resume_counts_what_is_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: str, trials: int, stop_after: int
) -> None:
    monkeypatch.setattr("nas.campaigns.drive.runner.gpus", list)
    folder = campaign(tmp_path / "c", budget)
    if stop_after < 1_000:
        with pytest.raises(KeyboardInterrupt):
            go(folder, Clocked(stop_after))
    go(folder, Clocked())
    assert (asked(folder, "evolution"), asked(folder, "random")) == (trials, trials)
    toy.check_complete(folder, 2 * trials + 3)
    go(folder, Clocked())
    toy.check_complete(folder, 2 * trials + 3)


@pytest.mark.parametrize(
    ("before", "after", "trials"),
    [
        ("{hours: 0.5}", "{hours: 1}", 4),
        ("{epochs: 2}", "{epochs: 3, hours: 9}", 3),
        ("{trials: 2, hours: 9}", "{hours: 1.25}", 5),
        ("{accelerator_hours: 1.5}", "{accelerator_hours: 2, trials: 8}", 4),
    ],
)
def test_a_larger_budget_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, after: str, trials: int
) -> None:
    monkeypatch.setattr("nas.campaigns.drive.runner.gpus", list)
    folder = campaign(tmp_path / "c", before)
    go(folder, Clocked())
    assert asked(folder, "evolution") < trials
    campaign(folder, after)
    go(folder, Clocked())
    assert (asked(folder, "evolution"), asked(folder, "random")) == (trials, trials)


class Unlucky(Clocked):
    """The second attempt fails after five epochs; the third is lost with its worker."""

    def run(self, source: Source) -> None:
        attempts = 0
        while (trial := source.next()) is not None:
            attempts += 1
            self.now += HOUR / 4
            for epoch in range(1, 6):
                source.update(trial.id, Update({"epoch": epoch}, None))
            outcome = Outcome("completed", {**toy.evaluate(trial.payload), "epochs": 8}, None, HOUR)
            if attempts in (2, 3):
                cause = "error" if attempts == 2 else "worker_died"
                outcome = failure("no luck", HOUR / 2, cause)
            source.done(trial.id, outcome)


def test_failures_and_lost_attempts_are_charged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.campaigns.drive.runner.gpus", lambda: ["a GPU"])
    folder = campaign(tmp_path / "c", "{epochs: 20}", "\nrandom_baseline: false")
    go(folder, Unlucky())
    records = [r for r in read_records(folder) if r["type"] in ("result", "failure")]
    own = [r for r in records if r["trial"].startswith("evolution")]
    # 8, then 5 of a failure, 5 of a lost attempt, which had saved nothing, and all of the next.
    assert [(r["trial"], r["epochs"]) for r in own] == [
        ("evolution-0000", 8), ("evolution-0001", 5), ("evolution-0002", 5), ("evolution-0002", 8),
    ]  # fmt: skip
    assert {r["accelerators"] for r in own} == {1.0}  # the GPU
    spending = Spending(Budget(accelerator_hours=3.0, hours=1.0, epochs=26, trials=9))
    for record in log.read_records(folder):
        if isinstance(record, Ask) and record.search == "evolution":
            spending.asked(record)
        elif isinstance(record, Failure) and record.trial.startswith("evolution"):
            spending.lost(record)
        elif isinstance(record, Result) and record.trial.startswith("evolution"):
            spending.ended(record)
    assert spending.shares(HOUR) == {
        "trials": (3, 9), "hours": (1.0, 1.0), "accelerator_hours": (3.0, 3.0), "epochs": (26, 26),
    }  # fmt: skip


def test_what_a_searcher_measures_is_charged_even_for_a_duplicate() -> None:
    spending = Spending(Budget(accelerator_hours=1.0))
    spending.asked(ask(proposal_seconds=1200.0))
    spending.asked(ask(proposal_seconds=600.0, duplicate_of="evolution-0000"))
    assert spending.shares(0.0) == {"accelerator_hours": (0.5, 1.0)}
    assert spending.trials == 1


def test_what_overlaps_is_counted_once_and_what_is_under_way_up_to_now() -> None:
    spending = Spending(Budget(hours=1.0))
    spending.asked(ask(elapsed=100.0))
    spending.asked(ask(elapsed=200.0))
    assert spending.shares(1000.0)["hours"][0] == pytest.approx(900 / HOUR)
    spending.ended(result(elapsed=1000.0))
    spending.ended(result(elapsed=1900.0))
    assert spending.shares(9999.0)["hours"][0] == pytest.approx(0.5)
    assert spending.expected_trials(9999.0) == 4
    spending.asked(ask(elapsed=9000.0))
    assert spending.is_over(10_800.0)
    assert not spending.is_over(10_799.0)
    assert spending.tightest(9900.0) == "hours 0.75 of 1"


@pytest.mark.parametrize(
    ("before", "metrics", "epochs"),
    [
        (0, {"epochs": 8, "epochs_before": 0}, 8),
        (2, {"epochs": 8, "epochs_before": 2}, 6),  # it went on with another trial
        (2, {"epochs": 8, "epochs_before": 0}, 8),  # whose checkpoint was lost
        (0, {"epochs": 8, "epochs_before": 5}, 8),  # its own, of a run that was killed
        (2, {"epochs": 8}, 6),
        (2, {}, 4),
    ],
)
def test_epochs_are_charged_once(before: int, metrics: dict[str, Any], epochs: int) -> None:
    assert epochs_trained(before, metrics, 6) == epochs


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "must be one or more of trials, hours, accelerator_hours, epochs, got none"),
        ({"hours": 0}, "hours: Input should be greater than 0, got 0"),
        ({"hour": 1}, "unknown key 'hour' (did you mean 'hours'?)"),
        ({"epochs": 1.5}, "epochs: Input should be a valid integer, got 1.5"),
    ],
)
def test_what_is_no_budget_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        validate(Budget, given)


def test_a_campaign_of_hours_alone_ends_says_what_limits_it_and_is_sound(tmp_path: Path) -> None:
    folder = campaign(tmp_path / "c", "{hours: 0.0001}")
    path = folder / "campaign.yaml"
    path.write_text(path.read_text().replace("{cpus_per_trial: 2}", "{name: serial}"))
    run(folder, evaluator=f"{toy.HERE}:evaluate")
    assert asked(folder, "evolution") > 0
    assert asked(folder, "random") > 0
    log = (folder / "run.log").read_text()
    assert "each search up to hours 0.0001; engine serial" in log
    assert "trials an hour" in log
    assert check(folder, replay=True, console=Console(quiet=True)).problems == []
    ended = sum(r["type"] == "result" for r in read_records(folder))
    run(folder, evaluator=f"{toy.HERE}:evaluate")
    assert f"going on after {ended} of {ended} trials" in (folder / "run.log").read_text()
