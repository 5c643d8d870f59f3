"""Folders that an earlier version wrote, with records of schema 2, still open."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from nas.campaigns.drive.run import run
from nas.cli import main

FOLDERS = Path(__file__).parent / "schema2"


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDERS, tmp_path / "folders"))


def asks(folder: Path) -> list[dict[str, object]]:
    lines = (folder / "records.jsonl").read_text().splitlines()
    return [record for line in lines if (record := json.loads(line))["type"] == "ask"]


@pytest.mark.parametrize("name", ["finished", "lenet5"])
def test_the_table_says_what_it_said(folders: Path, name: str) -> None:
    out = folders / "now.csv"
    every = ["--all", "--per-seed", "--columns", "all"]
    assert main(["table", str(folders / name), *every, "--out", str(out)]) == 0
    before, now = (pd.read_csv(path) for path in (folders / f"{name}.csv", out))
    before["kind"] = before["kind"].replace("found", "searched")  # the word of today
    before = before.rename(columns={"conditions": "group"})
    pd.testing.assert_frame_equal(now[before.columns], before)


@pytest.mark.parametrize("name", ["finished", "stopped"])
def test_check_finds_no_problem(folders: Path, name: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["check", str(folders / name), "--replay"]) == 0
    assert "problems: 0" in capsys.readouterr().out


def test_report_and_compare(folders: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["report", str(folders / "finished")]) == 0
    assert "multi_objective_evolution-0009" in (folders / "finished" / "report.html").read_text()
    assert main(["compare", str(folders / "finished"), str(folders / "lenet5")]) == 0
    assert "multi_objective_evolution-0009" in capsys.readouterr().out


def test_a_stopped_campaign_goes_on(folders: Path) -> None:
    folder = folders / "stopped"
    before = (folder / "records.jsonl").read_text()
    summary = run(folder)
    assert (summary.completed, summary.failed) == (10, 0)
    assert (folder / "records.jsonl").read_text().startswith(before)
    asked = asks(folder)
    assert [ask["trial"] for ask in asked if ask["stage"] == "search"] == [
        f"asha-{number:04d}" for number in range(8)
    ]
    assert main(["check", str(folder), "--replay"]) == 0


def test_a_finished_campaign_takes_a_larger_budget(folders: Path) -> None:
    folder = folders / "finished"
    file = folder / "campaign.yaml"
    file.write_text(file.read_text().replace("trials: 10", "trials: 12"))
    before = len(asks(folder))
    summary = run(folder)
    assert summary.failed == 0
    assert len(asks(folder)) >= before + 4
    assert main(["check", str(folder), "--replay"]) == 0
