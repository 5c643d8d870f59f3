"""Runs that are killed while weights are shared, and resumed, end like one that was not killed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nas.campaigns.drive.run import run
from nas.cli import main
from tests.supernet.test_relaxation import CAMPAIGN as GRADIENT
from tests.supernet.test_training import CAMPAIGN as SUPERNET

TIMES = ("train_seconds", "evaluation_seconds", "epochs_before")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "events"),
    [
        # Events are counted anew in each run: in the second epoch, after it, in a later trial.
        (SUPERNET, [5, 3, 9]),
        (GRADIENT.replace("order: 2", "order: 1"), [4, 5]),
    ],
)
def test_killed_and_resumed_runs_are_equal(tmp_path: Path, text: str, events: list[int]) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
        (folder / "campaign.yaml").write_text(text)
    run(whole)
    command = [sys.executable, "-m", "tests.supernet.killed", str(killed), *map(str, events)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told.count(": killed") == len(events)
    assert told.endswith("event 0: 0\n")
    assert _ended(killed) == _ended(whole)
    assert main(["check", str(killed), "--replay"]) == 0


def _ended(folder: Path) -> dict[str, Any]:
    """The metrics of every trial, except times and the epochs of an earlier attempt."""
    found = {}
    for line in (folder / "records.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record["type"] == "result":
            metrics = {k: v for k, v in record["metrics"].items() if k not in TIMES}
            for point in metrics.get("curve", metrics.get("shared_curve", ())):
                for name in TIMES:
                    point.pop(name, None)
            found[record["trial"]] = metrics
    return found
