"""Trials that go on: from a rung of a multi-fidelity search, after a crash, after a lost worker."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from nas.campaigns.drive.run import run
from nas.campaigns.drive.runner import Runner
from nas.campaigns.engines import base as trials
from nas.campaigns.engines.base import Engine, Outcome, Trial, carry_out
from nas.campaigns.engines.serial import SerialEngine
from nas.campaigns.store.checkpoints import Checkpoints
from nas.errors import CampaignError, InputError
from tests.campaigns.lines import read_records
from tests.campaigns.toy import CAMPAIGN, HERE, check_complete, genotypes, write

ASHA = (
    CAMPAIGN.replace(
        "searcher: {name: evolution, population_size: 2, tournament_size: 2}",
        "searcher: {name: asha, min_fidelity: 1, max_fidelity: 9, reduction_factor: 3}",
    )
    .replace("epochs: 1", "epochs: 9")
    .replace("trials: 4", "trials: 40")
)


def results(folder: Path) -> dict[str, dict[str, Any]]:
    return {r["trial"]: r for r in read_records(folder) if r["type"] == "result"}


def asks(folder: Path) -> dict[str, dict[str, Any]]:
    return {r["trial"]: r for r in read_records(folder) if r["type"] == "ask"}


# --- files ---


def test_a_checkpoint_is_whole_or_not_there(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path)
    assert kept.find("a") is None
    kept.discard("a")
    kept.write("a", b"one")
    kept.write("a", b"two")
    kept.write("b", b"three")
    path = kept.find("a")
    assert path is not None
    assert path.read_bytes() == b"two"
    assert sorted(p.name for p in path.parent.iterdir()) == ["a.pt", "b.pt"]
    kept.discard("a")
    assert kept.find("a") is None
    kept.clear({"a", "b"})
    kept.clear({"a", "b"})
    assert not path.parent.exists()


def test_what_killed_runs_have_left_is_deleted_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    ours = [".resolved.0123abcd.part.json", "weights/.a.0123abcd.part.safetensors"]
    others = [".notes.0123abcd.part.json", "weights/.c.0123abcd.part.safetensors", ".resolved.json"]
    for name in (*ours, *others):
        (tmp_path / name).touch()
    Checkpoints(tmp_path).clear({"a", "b"})
    left = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert left == set(others)


# --- carrying out ---


def events(payload: dict[str, Any], **options: Any) -> list[Any]:
    return list(carry_out(f"{HERE}:epochs", {**payload, "architecture": "", "seed": 0,
                                            "test": False}, **options))  # fmt: skip


def test_progress_is_told_and_the_last_state_kept_where_it_is_wanted() -> None:
    *updates, outcome = events({"epochs": 3})
    assert [update.metrics["epoch"] for update in updates] == [1, 2, 3]
    assert {update.checkpoint for update in updates} == {None}
    assert (outcome.metrics["epochs"], outcome.checkpoint) == (3, None)
    *_, outcome = events({"epochs": 3}, keep=True)
    assert outcome.checkpoint == b"3"
    *updates, outcome = events({"epochs": 5}, checkpoint=b"3")
    assert [update.metrics["epoch"] for update in updates] == [1, 2, 3, 4, 5]
    assert outcome.metrics["epochs_before"] == 3


def test_a_long_trial_is_saved_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "CHECKPOINT_SECONDS", 0.0)
    *updates, _ = events({"epochs": 3})
    assert [update.checkpoint for update in updates] == [b"1", b"2", b"3"]


# --- multi-fidelity ---


@pytest.mark.parametrize(
    "engine",
    ["serial", pytest.param("ray", marks=[pytest.mark.slow, pytest.mark.xdist_group("ray")])],
)
def test_rungs_of_asha_continue_each_other(
    tmp_path: Path, engine: str, request: pytest.FixtureRequest
) -> None:
    if engine == "ray":
        request.getfixturevalue("cluster")
    folder = write(tmp_path / "c", ASHA.replace("name: serial", f"name: {engine}"))
    run(folder, evaluator=f"{HERE}:epochs")
    asked, ended = asks(folder), results(folder)
    continued = 0
    for name, ask in asked.items():
        if "duplicate_of" in ask:
            continue
        metrics = ended[name]["metrics"]
        assert metrics["epochs"] == ask.get("fidelity", 9)
        before = 0
        if "continues" in ask:
            continued += 1
            before = asked[f"asha-{ask['continues']:04d}"]["fidelity"]
        assert metrics["epochs_before"] == before
    assert continued > 3
    assert {ask.get("fidelity") for ask in asked.values()} >= {1, 3, 9}
    # Results of unlike fidelity do not compare: whoever got to the top was retrained first.
    picked = {
        a["label"] for a in asked.values() if a["stage"] == "final" and a["kind"] == "searched"
    }
    top = [n for n, a in asked.items() if a.get("fidelity") == 9 and "duplicate_of" not in a]
    assert picked
    assert len(picked & set(top)) == min(len(picked), len({asked[n]["fingerprint"] for n in top}))
    assert not (folder / "checkpoints").exists()


def test_a_promoted_duplicate_continues_what_was_trained_for_it(tmp_path: Path) -> None:
    text = ASHA.replace("asha", "successive_halving").replace("evaluate", "reuse")
    folder = write(tmp_path / "c", text)
    run(folder, evaluator=f"{HERE}:epochs")
    asked, ended = asks(folder), results(folder)
    continued = {name: ask for name, ask in asked.items() if "continues" in ask and name in ended}
    before = {n: asked[f"successive_halving-{a['continues']:04d}"] for n, a in continued.items()}
    assert any("duplicate_of" in ask for ask in before.values()), "the case is not tried"
    for name, ask in before.items():
        assert ended[name]["metrics"]["epochs_before"] == ask["fidelity"]


def test_no_state_is_kept_that_no_trial_can_go_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bracket of nine: the losers of a rung are of no more use when it has ended."""
    kept = []
    done = Runner.done

    def noted(self: Runner, trial: str, outcome: Outcome) -> None:
        done(self, trial, outcome)
        kept.append(len(list((tmp_path / "c" / "checkpoints").glob("*.pt"))))

    monkeypatch.setattr(Runner, "done", noted)
    text = ASHA.replace("asha", "successive_halving").replace("trials: 40", "trials: 39")
    run(write(tmp_path / "c", text + "random_baseline: false\n"), evaluator=f"{HERE}:epochs")
    bracket = [*range(1, 9), 3, 3, 3, 1, 0]  # 9 of one epoch, 3 of three, 1 of nine
    assert kept[:39] == bracket * 3


def test_a_schedule_beyond_the_recipe_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "c", ASHA.replace("epochs: 9", "epochs: 8"))
    with pytest.raises(InputError, match=r"max_fidelity: must be at most the epochs .* 8, got 9"):
        run(folder, evaluator=f"{HERE}:epochs")


# --- interruptions ---


def test_a_killed_trial_goes_on_where_it_was_saved(tmp_path: Path) -> None:
    folder = write(tmp_path / "c", CAMPAIGN.replace("epochs: 1", "epochs: 12"))
    program = (
        "import nas.campaigns.engines.base as t; t.CHECKPOINT_SECONDS = 0.0; "
        f"from nas.campaigns.drive.run import run; run({str(folder)!r}, "
        f"evaluator='{HERE}:slow_epochs')"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.DEVNULL)
    saved = folder / "checkpoints"
    deadline = time.monotonic() + 60
    # A name that begins with a dot is a file that is being written.
    while not (saved.exists() and any(int(p.read_bytes()) >= 3 for p in saved.glob("[!.]*.pt"))):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait()
    run(folder, evaluator=f"{HERE}:epochs")
    before = [r["metrics"]["epochs_before"] for r in results(folder).values()]
    assert max(before) >= 3
    assert sum(n > 0 for n in before) == 1
    check_complete(folder, len(before))
    undisturbed = write(tmp_path / "u", CAMPAIGN.replace("epochs: 1", "epochs: 12"))
    run(undisturbed, evaluator=f"{HERE}:epochs")
    assert genotypes(folder) == genotypes(undisturbed)


class Losing(Engine):
    """An engine whose workers die: each trial's first time, or always."""

    slots = 1

    def __init__(self, times: int) -> None:
        self.inner = SerialEngine(f"{HERE}:evaluate")
        self.lost: dict[str, int] = {}
        self.times = times

    def run(self, source: Any) -> None:
        while (trial := source.next()) is not None:
            self.lost[trial.id] = self.lost.get(trial.id, 0) + 1
            if self.lost[trial.id] <= self.times:
                source.done(trial.id, Outcome("failed", {}, "lost", 1.0, "worker_died"))
            else:
                source.done(trial.id, self.inner._carried_out(trial, source))


def test_a_trial_whose_worker_died_is_tried_again(tmp_path: Path) -> None:
    folder = write(tmp_path / "c")
    run(folder, engine=Losing(1))
    records = read_records(folder)
    failures = [r["trial"] for r in records if r["type"] == "failure"]
    assert sorted(failures) == sorted(results(folder))
    assert {r["status"] for r in results(folder).values()} == {"completed"}
    check_complete(folder, len(failures))
    undisturbed = write(tmp_path / "u")
    run(undisturbed, evaluator=f"{HERE}:evaluate")
    assert genotypes(folder) == genotypes(undisturbed)


def test_a_trial_that_always_loses_its_worker_is_a_failed_row(tmp_path: Path) -> None:
    text = CAMPAIGN.replace("name: serial", "name: serial, retries: 2").replace(
        "trials: 4", "trials: 2"
    )
    folder = write(tmp_path / "c", text)

    class First(Losing):
        def run(self, source: Any) -> None:
            trial: Trial = source.next()
            while trial.id == "evolution-0000":
                source.done(trial.id, Outcome("failed", {}, "lost", 1.0, "worker_died"))
                trial = source.next()
            source.done(trial.id, self.inner._carried_out(trial, source))
            super().run(source)

    run(folder, engine=First(0))
    records = [r for r in read_records(folder) if r.get("trial") == "evolution-0000"]
    assert [r["type"] for r in records] == ["ask", "failure", "failure", "result"]
    assert (records[-1]["status"], records[-1]["cause"]) == ("failed", "worker_died")


def test_a_trial_over_its_time_is_a_failed_row(tmp_path: Path) -> None:
    text = CAMPAIGN.replace("name: serial", "name: serial, minutes_per_trial: 0.002")
    folder = write(
        tmp_path / "c", text.replace("epochs: 1", "epochs: 6").replace("trials: 4", "trials: 2")
    )
    with pytest.raises(CampaignError, match="the first 5 trials of this run all failed"):
        run(folder, evaluator=f"{HERE}:slow_epochs")
    for result in results(folder).values():
        assert (result["status"], result["cause"]) == ("failed", "time_limit")
        assert "took longer than the limit of 0.12 s" in result["error"]
        assert json.dumps(result["metrics"]) == "{}"
