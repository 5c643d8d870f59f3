"""Campaigns that measure latency: as an objective, and as a limit before any training."""

from pathlib import Path

import pytest
from rich.console import Console

from nas.analysis.audit.check import check
from nas.analysis.tables.networks import campaign_table
from nas.analysis.tables.render import render
from nas.campaigns.drive.failure_limit import FIRST
from nas.campaigns.drive.run import run
from nas.campaigns.drive.runner import Runner
from nas.campaigns.engines.base import Outcome
from nas.campaigns.spec.campaign import load_campaign
from nas.campaigns.store.log import RecordLog
from nas.errors import InputError
from tests.campaigns import toy
from tests.campaigns.lines import read_records

FAST = toy.CAMPAIGN.replace(", classics: [resnet20]", "")
BEYOND = "constraints: {latency_ms: 1e-6}\nrandom_baseline: false\nbudget:"


def results(folder: Path) -> dict[str, dict[str, object]]:
    return {r["trial"]: r for r in read_records(folder) if r["type"] == "result"}


def problems(folder: Path) -> list[str]:
    return check(folder, replay=True, console=Console(quiet=True)).problems


def test_what_is_too_slow_is_a_failed_row_that_costs_no_training(folder: Path) -> None:
    text = FAST.replace("trials: 4", f"trials: {FIRST + 1}")
    toy.write(folder, text.replace("budget:", BEYOND))
    summary = run(folder)
    found = results(folder)
    searched = [found[trial] for trial in found if trial.startswith("evolution")]
    assert len(searched) == FIRST + 1  # a limit that is kept is no reason to give up
    assert {(r["status"], r["cause"], r["epochs"]) for r in searched} == {
        ("failed", "infeasible", 0)
    }
    assert all("over the limit of 1e-06" in str(r["error"]) for r in searched)
    assert (summary.completed, summary.best) == (0, None)
    assert problems(folder) == []
    with pytest.raises(InputError, match=r"constraints\.latency_ms\.limit: recorded 1e-06, now 2"):
        run(toy.write(folder, text.replace("budget:", BEYOND.replace("1e-6", "2"))))


def test_the_final_stage_measures_and_does_not_judge(folder: Path) -> None:
    """The classics are what is compared with, whatever they take."""
    toy.write(folder, toy.CAMPAIGN.replace("budget:", BEYOND))
    asked = {}
    with RecordLog(folder) as log:
        runner = Runner(load_campaign(folder), log)
        while trial := runner.next():
            asked[trial.id] = trial.payload["latency"]
            runner.done(trial.id, Outcome("completed", {"validation_accuracy": 0.5}, None, 0.0))
    assert asked["evolution-0003"] == {"limit": 1e-6}
    assert asked["final-resnet20-seed0"] == asked["final-evolution-0000-seed0"] == {"limit": None}


def test_latency_as_an_objective_is_in_every_row(folder: Path) -> None:
    text = FAST.replace("trials: 4", "trials: 2").replace(
        "{name: evolution, population_size: 2, tournament_size: 2}", "{name: nsga2}"
    )
    toy.write(folder, "objectives: [latency_ms, validation_accuracy]\n" + text)
    summary = run(folder)
    found = results(folder)
    latency = {trial: r["metrics"]["latency_ms"] for trial, r in found.items()}
    assert summary.best == min(latency[f"nsga2-000{n}"] for n in range(2))
    table = campaign_table(folder)
    assert sorted(table["latency_ms"]) == sorted(
        latency[trial] for trial in latency if trial.startswith("final-")
    )
    fastest = table["latency_ms"].idxmin()
    assert table["pareto"][fastest]
    assert "latency_ms" in render(table, "text")
    assert problems(folder) == []


def test_a_row_beyond_the_limit_that_was_trained_all_the_same_is_a_problem(folder: Path) -> None:
    text = FAST.replace("trials: 4", "trials: 1")
    toy.write(folder, text.replace("budget:", BEYOND.replace("1e-6", "1000")))
    run(folder)
    assert problems(folder) == []
    path = folder / "records.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    before, _, after = lines[2].partition('"latency_ms":')
    lines[2] = before + '"latency_ms":1000.5' + after[after.index(",") :]
    path.write_text("".join(lines))
    assert problems(folder) == [
        f"{path}:3: evolution-0000: latency_ms: 1000.5, expected at most 1000.0"
    ]
