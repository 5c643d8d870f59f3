"""What users' code returns and raises: a failed row with the reason, and readable records."""

import math
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from nas.campaigns.drive.run import run
from nas.campaigns.engines.base import Engine, Outcome, Source, Trial, Update, carry_out
from nas.campaigns.engines.serial import SerialEngine
from nas.campaigns.engines.simulated import SimulatedCluster, timed
from nas.campaigns.engines.worker import Worker
from nas.campaigns.store.log import read_records
from nas.campaigns.store.types import Result
from nas.cli import main
from nas.errors import CampaignError
from nas.evaluators.work import Progress, Work
from tests.campaigns import toy


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("this text fails")


class Odd(BaseException):
    pass


class Hidden:
    def __repr__(self) -> str:
        raise RuntimeError("this text fails")


def exits(trial: Mapping[str, Any]) -> dict[str, Any]:
    sys.exit(3)


def mute(trial: Mapping[str, Any]) -> dict[str, Any]:
    raise Mute


def odd(trial: Mapping[str, Any]) -> dict[str, Any]:
    raise Odd("own")


def ends_early(trial: Mapping[str, Any]) -> dict[str, Any]:
    raise GeneratorExit


def surrogate(trial: Mapping[str, Any]) -> dict[str, Any]:
    raise ValueError("a file called \udc80")


def exits_later(trial: Mapping[str, Any], checkpoint: bytes | None) -> Work:
    yield Progress({"epoch": 1}, lambda: b"")
    sys.exit(3)


class Leaving(Exception):
    def __str__(self) -> str:
        sys.exit(1)


def leaving(trial: Mapping[str, Any]) -> dict[str, Any]:
    raise Leaving


RAISED = {
    leaving: "Leaving: <exception str() failed>",
    exits: "SystemExit: 3",
    mute: "Mute: <exception str() failed>",
    odd: "Odd: own",
    ends_early: "GeneratorExit",
    surrogate: r"ValueError: a file called \udc80",
    exits_later: "SystemExit: 3",
}


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


RETURNED: list[tuple[Any, str]] = [
    ({"epochs": 2.5}, "epochs: 2.5, expected a whole number of at least 0"),
    ({"epochs": -1}, "epochs: -1, expected a whole number of at least 0"),
    ({"epochs": "two"}, 'epochs: "two", expected a whole number of at least 0'),
    ({"epochs": math.nan}, "epochs: null, expected a whole number of at least 0"),
    ({"epochs_before": "x"}, 'epochs_before: "x", expected a whole number of at least 0'),
    ({"train_seconds": -1.0}, "train_seconds: -1.0, expected a number of at least 0"),
    ({"validation_accuracy": 93.0}, "validation_accuracy: 93.0, expected a number from 0 to 1"),
    ({"validation_accuracy": True}, "True as validation_accuracy, which is not a number"),
    ({"test_accuracy": math.nan}, "test_accuracy: null, expected a number from 0 to 1"),
    ({"test_accuracy": "high"}, 'test_accuracy: "high", expected a number from 0 to 1'),
    ({"curve": 5}, "wrong metrics: curve: Input should be a valid array, got 5"),
    ({"curve": [1]}, "wrong metrics: curve.0: must be a mapping of keys to values, got 1"),
    ({"evaluations": 5}, "wrong metrics: evaluations: must be a mapping of keys to values"),
    ({"device": 3}, "wrong metrics: device: Input should be a valid string, got 3"),
    ({"x": "\udc80"}, r"returned '\udc80' as metrics.x, which is not plain JSON"),
    ({"\udc80": 1}, r"returned '\udc80' as the name of a metric in metrics"),
    ({"x": nested(300)}, "the evaluator returned metrics with more than 50 levels"),
    ({"x": 10**5000}, "returned a value of type int as metrics.x, which is not plain JSON"),
    ({"x": {1, 2}}, "returned {1, 2} as metrics.x, which is not plain JSON"),
    ({"x": Hidden()}, "Hidden instance at"),
    (Hidden(), "expected a mapping of metrics"),
    (None, "the evaluator returned None, expected a mapping of metrics"),
]


class Direct(Engine):
    """A user's engine that passes metrics on as they are."""

    def __init__(self, evaluate: Callable[..., Any]) -> None:
        self.slots = 1
        self._evaluate = evaluate

    def run(self, source: Source) -> None:
        while (trial := source.next()) is not None:
            source.done(trial.id, Outcome("completed", self._evaluate(trial.payload), None, 1.0))


def outcome(evaluator: Any) -> Outcome:
    *_, last = carry_out(evaluator, {})
    assert isinstance(last, Outcome)
    return last


@pytest.mark.parametrize("evaluator", RAISED)
def test_an_exception_of_any_kind_is_a_failure_of_the_trial(evaluator: Any) -> None:
    last = outcome(evaluator)
    assert (last.status, last.metrics) == ("failed", {})
    assert (last.error or "").rstrip().endswith(RAISED[evaluator])


@pytest.mark.parametrize("evaluator", RAISED)
def test_it_is_one_in_a_worker_of_ray(evaluator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker.__new__(Worker)
    worker._name = "here"
    worker._events = carry_out(evaluator, {}, fatal=lambda error: False)
    told: dict[str, Any] = {}
    while "outcome" not in told:
        told = worker.step()
    assert '"status": "failed"' in told["outcome"]


class OneTrial(Source):
    """Has a single trial, and keeps its outcome."""

    def __init__(self) -> None:
        self.left = [Trial("trial", {})]
        self.outcomes: list[Outcome] = []

    def next(self) -> Trial | None:
        return self.left.pop() if self.left else None

    def update(self, trial: str, update: Update) -> bool:
        return False

    def done(self, trial: str, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


def raises_it(trial: Mapping[str, Any]) -> dict[str, Any]:
    raise KeyboardInterrupt


def gets_ctrl_c(trial: Mapping[str, Any]) -> dict[str, Any]:
    signal.raise_signal(signal.SIGINT)
    return {}


def swallows_ctrl_c(trial: Mapping[str, Any]) -> dict[str, Any]:
    with suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    return {}


def test_the_current_folder_stays_that_of_the_run(tmp_path: Path) -> None:
    def moves(trial: Mapping[str, Any]) -> dict[str, Any]:
        os.chdir(tmp_path)
        return {}

    before = Path.cwd()
    SerialEngine(moves).run(OneTrial())
    assert Path.cwd() == before


def test_a_keyboard_interrupt_without_ctrl_c_is_a_failure_of_the_trial() -> None:
    source = OneTrial()
    SerialEngine(raises_it).run(source)
    assert [each.status for each in source.outcomes] == ["failed"]


@pytest.mark.parametrize(("evaluator", "ended"), [(gets_ctrl_c, 0), (swallows_ctrl_c, 1)])
def test_ctrl_c_ends_the_run_and_not_the_trial(evaluator: Any, ended: int) -> None:
    source = OneTrial()
    with pytest.raises(KeyboardInterrupt):
        SerialEngine(evaluator).run(source)
    assert [each.status for each in source.outcomes] == ["completed"] * ended


@pytest.mark.parametrize(
    ("yielded", "reason"),
    [
        (5, "the evaluator yielded 5, expected a Progress"),
        (Progress(5, lambda: b""), "the evaluator yielded 5, expected metrics"),  # type: ignore[arg-type]
        (Progress({"epoch": 1.5}, lambda: b""), "epoch 1.5, expected a whole number from 1"),
        (Progress({"epoch": 1}, lambda: "text"), "'text' as its state, expected bytes"),  # type: ignore[arg-type,return-value]
    ],
)
def test_wrong_progress_is_a_failure_of_the_trial(yielded: Any, reason: str) -> None:
    def work(trial: Mapping[str, Any], checkpoint: bytes | None) -> Work:
        yield yielded
        return {}

    *_, last = carry_out(work, {}, keep=True)
    assert isinstance(last, Outcome)
    assert last.status == "failed"
    assert reason in (last.error or "")


@pytest.mark.parametrize("engine", ["serial", "simulated"])
@pytest.mark.parametrize("evaluator", [exits, mute, surrogate])
def test_a_campaign_records_it_and_stays_readable(
    evaluator: Any, engine: str, tmp_path: Path
) -> None:
    def sometimes(trial: Mapping[str, Any]) -> dict[str, Any]:
        return toy.evaluate(trial) if toy.width(trial) % 2 else evaluator(trial)

    folder = toy.write(tmp_path / "c")
    on = SimulatedCluster(timed(sometimes), 2) if engine == "simulated" else None
    summary = run(folder, evaluator=sometimes, engine=on)
    assert summary.completed
    assert summary.failed
    assert main(["check", str(folder)]) == 0
    assert main(["table", str(folder)]) == 0


def final_returns(value: Any) -> Callable[[Mapping[str, Any]], Any]:
    """An evaluator that returns wrong values in the final stage."""

    def evaluate(trial: Mapping[str, Any]) -> Any:
        if not trial["test"]:
            return toy.evaluate(trial)
        return {**toy.evaluate(trial), **value} if isinstance(value, dict) else value

    return evaluate


def check_final_failed(folder: Path) -> list[str]:
    """The final stage failed and the folder can be read; returns the reasons."""
    results = [each for each in read_records(folder) if isinstance(each, Result)]
    assert [each.status for each in results] == ["completed"] * 8 + ["failed"] * 3
    assert main(["check", str(folder)]) == 0
    assert main(["table", str(folder)]) == 0
    return [each.error or "" for each in results[8:]]


@pytest.mark.parametrize("returned", RETURNED, ids=lambda each: each[1])
def test_a_wrong_value_is_a_failed_row_that_says_why(
    returned: tuple[Any, str], tmp_path: Path
) -> None:
    value, reason = returned
    folder = toy.write(tmp_path / "c")
    run(folder, evaluator=final_returns(value))
    assert all(reason in error for error in check_final_failed(folder))
    assert run(folder, evaluator=final_returns(value)).failed == 3  # it can be resumed


@pytest.mark.parametrize(
    "value", [{"epochs": 2.5}, {"x": "\udc80"}, {"x": math.nan}, {"x": nested(300)}, Hidden()]
)
def test_a_users_engine_cannot_write_what_is_not_readable(value: Any, tmp_path: Path) -> None:
    folder, evaluate = toy.write(tmp_path / "c"), final_returns(value)
    run(folder, evaluator=evaluate, engine=Direct(evaluate))
    assert all(check_final_failed(folder))


@pytest.mark.parametrize(("code", "returned"), [("0", 1), ("'bye'", 1), ("3", 3)])
def test_a_command_that_user_code_ends_has_a_traceback(
    code: str, returned: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "exits.py"
    path.write_text(f"import sys\ndef space(choose):\n    sys.exit({code})\n")
    assert main(["sample", f"{path}:space"]) == returned
    assert f'File "{path}", line 3, in space' in capsys.readouterr().err


def test_too_many_failures_of_one_kind_end_the_run(tmp_path: Path) -> None:
    folder = toy.write(tmp_path / "c")
    with pytest.raises(CampaignError, match="5 of them in one way"):
        run(folder, evaluator=lambda trial: Hidden())


@pytest.mark.parametrize("text", [r'"\uDC80"', "[" * 300 + "]" * 300])
def test_a_specification_that_cannot_be_read_again_is_refused(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = toy.write(tmp_path / "c")
    (tmp_path / "c" / "mine.py").write_text("def evaluate(trial, *, x=None):\n    return {}\n")
    keys = yaml.safe_dump({**yaml.safe_load(toy.CAMPAIGN)})
    (folder / "campaign.yaml").write_text(
        f"{keys}evaluator: {{name: mine.py:evaluate, x: {text}}}\n"
    )
    assert main(["run", str(folder)]) == 2
    said = capsys.readouterr().err
    assert "campaign.yaml" in said
    assert len(said) < 300
    assert not (folder / "records.jsonl").exists() or not read_records(folder)
