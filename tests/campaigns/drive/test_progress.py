import errno
import os
import re
import time
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from nas.campaigns.drive.progress import Progress, Status
from nas.campaigns.spec.objectives import Objective, complete
from nas.campaigns.store.provenance import gpus
from nas.metrics import METRICS
from tests.campaigns.lines import ask, result

ASK = ask(cost={"params": 1234, "macs": 5678, "flops": 5678, "activations": 1})
RESULT = result(metrics={"validation_accuracy": 0.5}, seconds=2.0)


def test_where_there_is_no_terminal_a_trial_is_a_line_here_and_in_the_log(tmp_path: Path) -> None:
    console = Console(file=StringIO(), width=40)
    objectives = (Objective(metric="validation_accuracy", direction="maximize"),)
    status = Status(total=9, done=1, objectives=objectives)
    with Progress(tmp_path, status, console) as progress:
        status.done += 1
        progress.trial(ASK, RESULT)
        status.done += 1
        error = "Traceback:\n  somewhere\nArithmeticError: " + "long " * 50
        progress.trial(ASK, result(status="failed", error=error, seconds=0.1))
    assert isinstance(console.file, StringIO)
    lines = console.file.getvalue().splitlines()
    assert re.match(
        r"a-0000  validation_accuracy 0\.5000  params 1,234  macs 5,678  2\.0 s  \(2/9", lines[0]
    )
    assert lines[1].startswith("a-0000  failed: ArithmeticError: long")
    assert len(lines[1]) < 200
    logged = (tmp_path / "run.log").read_text().splitlines()
    assert [line[:4].isdigit() for line in logged] == [True, True]
    assert [line.partition("  ")[2] for line in logged] == lines


def test_a_line_now_and_then_says_where_the_campaign_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.campaigns.drive.progress.gpu_use", lambda: [97, 5])
    given = tuple(Objective(metric=name) for name in ("validation_accuracy", "macs"))
    objectives = complete(given, METRICS)
    status = Status(total=None, failed=1, objectives=objectives, best=0.75, best_trial="a-0001",
                    front=3, budget="a: hours 0.5 of 2")  # fmt: skip
    for terminal in (False, True):
        console = Console(file=StringIO(), width=300, force_terminal=terminal, color_system=None)
        with Progress(tmp_path, status, console) as progress:
            status.done += 5
            progress.summary()
        line = (tmp_path / "run.log").read_text().splitlines()[-1]
        expected = (
            rf"  {status.done} trials · 0 running · 1 failed · best 0\.7500 \(a-0001\) · front 3 · "
            r"a: hours 0\.5 of 2 · [\d,]+ trials an hour · 0:00:0\d elapsed · time left: unknown · "
            r"GPU 97 % 5 %"
        )
        assert re.search(expected + "$", line)
    status.total, status.estimated = 40, True
    assert status.count == "10/~40"


def test_a_long_trial_says_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.campaigns.drive.progress.SUMMARY_SECONDS", 0.0)
    console, status = Console(file=StringIO(), width=300), Status(total=9, running=1)
    with Progress(tmp_path, status, console) as progress:
        progress.epoch("a-0000", {"epoch": 2, "train_seconds": 50, "evaluation_seconds": 10}, 62)
        for seconds in (1e308, float("nan"), -1.0, "3", None):  # an evaluator of the user
            progress.epoch("a-0000", {"epoch": 2, "train_seconds": seconds}, 62)
        progress.epoch("a-0000", {"loss": 0.5}, None)
        for strange in (0, -1, 63, 10**5000, "2", None):
            progress.epoch("a-0000", {"epoch": strange}, 62)
        progress.trial(ASK, RESULT)
    log = (tmp_path / "run.log").read_text().splitlines()
    assert "· 1 running · a-0000: epoch 2 of 62, about 1:00:00 left · 0 failed" in log[0]
    assert all("· 1 running · a-0000: epoch 2 of 62 · 0 failed" in line for line in log[1:6])
    assert len(log) == 8  # the last two are the trial's line and the state
    assert "epoch" not in log[7]


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("error", [errno.EPIPE, errno.EIO, errno.ENOSPC])
def test_the_work_goes_on_if_nobody_reads_its_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool, error: int
) -> None:
    def leave(self: Console) -> None:  # as rich does, which also closes the output of this process
        raise SystemExit(1)

    monkeypatch.setattr(Console, "on_broken_pipe", leave)

    class Closed(StringIO):
        def write(self, text: str) -> int:
            raise OSError(error, "closed")

    console = Console(file=Closed(), width=300, force_terminal=terminal)
    with Progress(tmp_path, Status(total=9), console) as progress:
        progress.line("one")
        progress.line("two")
    assert [line[-3:] for line in (tmp_path / "run.log").read_text().splitlines()] == ["one", "two"]


def test_a_trial_that_the_limit_ends_earlier_says_no_time_of_its_own(tmp_path: Path) -> None:
    now, console = time.monotonic(), Console(file=StringIO(), width=300)
    for ends, told in ((now + 9000, "of 62, about 1:00:00 left"), (now + 900, "of at most 62")):
        status = Status(total=9, running=1, ends=ends)
        with Progress(tmp_path, status, console) as progress:
            progress.epoch("a", {"epoch": 2, "train_seconds": 50, "evaluation_seconds": 10}, 62)
        assert status.epoch == f"a: epoch 2 {told}"


def test_the_time_left_is_estimated_from_the_trials_of_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    status = Status(total=14)
    told = []
    with Progress(tmp_path, status, Console(file=StringIO(), width=300)) as progress:
        for trial, seconds in [(ASK, 1)] * 10 + [(ask(stage="final", label="a-0000"), 60)] * 2:
            now += seconds
            status.done += 1
            progress.trial(trial, RESULT)
            told.append(progress.left())
    assert told[:10] == [f"about 0:00:{left:02} left" for left in range(13, 3, -1)]
    assert told[10:] == ["about 0:03:00 left", "about 0:02:00 left"]


def test_a_program_that_hangs_tells_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = tmp_path / "asked"
    hanging = tmp_path / "nvidia-smi"
    hanging.write_text(f"#!/bin/sh\necho >> {asked}\nexec sleep 60\n")
    hanging.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("nas.campaigns.store.provenance._SECONDS", 0.2)
    assert gpus() == []
    with Progress(tmp_path, Status(total=9), Console(file=StringIO())) as progress:
        for _ in range(3):
            progress.summary()
    assert len(asked.read_text()) == 2  # who does not tell once is not asked again


def test_in_a_terminal_the_display_is_alive(tmp_path: Path) -> None:
    console = Console(file=StringIO(), width=120, force_terminal=True, color_system=None)
    status = Status(total=8, done=2, failed=1, running=3, best=0.75, best_trial="a-0001")
    with Progress(tmp_path, status, console) as progress:
        status.done += 2
        progress.line("a line above")
    assert isinstance(console.file, StringIO)
    shown = console.file.getvalue()
    for part in ("4/8 trials", "3 running", "1 failed", "best 0.7500 (a-0001)", "a line above"):
        assert part in shown
    assert "about 0:00:00 left" in shown
