"""What of a folder's Python runs, and what is asked before."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from nas.campaigns.drive.run import run
from nas.campaigns.engines.base import attempt
from nas.cli import main
from nas.errors import InputError
from nas.user_code import load_module
from tests.campaigns.toy import CAMPAIGN, HERE, write

SPACE = """
from pathlib import Path
import nas

def space(choose, *, input_shape, classes):
    g = nas.Builder(input_shape)
    return g.build(g.linear(g.global_pool(g.conv(g.input, choose("width", [1, 2, 3]), 1)), classes))
"""
SIGN = "Path(__file__).with_name('ran').touch()\n"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign of a space in Python, which has ended."""
    folder = tmp_path_factory.mktemp("finished") / "c"
    write(folder, CAMPAIGN.replace("tiny.yaml", "mine.py:space"))
    (folder / "mine.py").write_text(SPACE)
    run(folder, evaluator=f"{HERE}:evaluate")
    return folder


@pytest.fixture
def campaign(finished: Path, tmp_path: Path) -> Path:
    """A copy of the campaign that has ended."""
    return shutil.copytree(finished, tmp_path / "c")


READING: list[list[str]] = [
    ["check", "{c}"], ["check", "{c}", "--replay"], ["show", "{c}:best"], ["cost", "{c}:best"],
    ["report", "{c}"], ["table", "{c}"], ["plot", "{c}", "--kind", "incumbent"],
    ["export", "{c}:best", "--to", "json", "--out", "{c}/out.json"],
    ["export", "{c}:best", "--to", "card", "--out", "{c}/out.md"],
]  # fmt: skip


@pytest.mark.parametrize("command", READING, ids=" ".join)
@pytest.mark.parametrize("how", ["changed", "another", "searcher", "data", "metric", "of a space"])
def test_commands_that_read_run_no_code_that_the_records_were_not_made_with(
    campaign: Path, command: list[str], how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = campaign / "campaign.yaml"
    text = file.read_text()
    match how:
        case "changed":
            (campaign / "mine.py").write_text(SPACE + SIGN)
        case "another":
            (campaign / "theirs.py").write_text(SPACE + SIGN)
            file.write_text(text.replace("mine.py", "theirs.py"))
        case "searcher":
            (campaign / "theirs.py").write_text("from pathlib import Path\n" + SIGN)
            file.write_text(text.replace("name: evolution", "name: theirs.py:Searcher"))
        case "data":
            (campaign / "theirs.py").write_text("from pathlib import Path\n" + SIGN)
            file.write_text(text.replace("name: digits", "name: theirs.py:data"))
        case "metric":
            (campaign / "theirs.py").write_text("from pathlib import Path\n" + SIGN)
            file.write_text(text + "metrics: [theirs.py:metric]\n")
        case "of a space":
            (campaign / "theirs.py").write_text("from pathlib import Path\n" + SIGN)
            space = (campaign / "tiny.yaml").read_text()
            space = space.replace("{block: identity}", "{block: 'theirs.py:block'}")
            (campaign / "tiny.yaml").write_text(space)
            file.write_text(text.replace("mine.py:space", "tiny.yaml"))
    main([part.format(c=campaign) for part in command])
    assert not (campaign / "ran").exists()
    assert "Traceback" not in capsys.readouterr().err


def test_the_recorded_code_is_run_as_before(campaign: Path) -> None:
    for command in READING[:-1]:
        assert main([part.format(c=campaign) for part in command]) == 0, command


def hostile(campaign: Path, evaluator: str) -> None:
    """Rewrites line 1 of the records and leaves a trial to do."""
    path = campaign / "records.jsonl"
    first, *rest = path.read_text().splitlines()
    record: dict[str, Any] = {**json.loads(first), "evaluator": evaluator}
    path.write_text("\n".join([json.dumps(record), *rest[:1]]) + "\n")


def test_an_evaluator_that_only_the_records_name_is_confirmed_once(
    campaign: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (campaign / "theirs.py").write_text(f"from pathlib import Path\n{SIGN}from {HERE} import *\n")
    name = f"{campaign}/theirs.py:evaluate"
    hostile(campaign, name)
    assert main(["run", str(campaign)]) == 2
    said = capsys.readouterr().err
    assert f"records.jsonl:1: evaluator: only the records name {name}, which would be" in said
    assert f"nas run {campaign} --trust" in said
    assert not (campaign / "ran").exists()
    assert main(["run", str(campaign), "--trust"]) == 0
    assert (campaign / "ran").exists()
    assert main(["run", str(campaign)]) == 0
    with open(campaign / "theirs.py", "a") as file:
        file.write("# changed\n")
    assert main(["run", str(campaign)]) == 2
    shutil.copytree(campaign, tmp_path / "elsewhere")
    assert main(["run", str(tmp_path / "elsewhere")]) == 2


def test_a_search_that_goes_on_asks_as_well(
    campaign: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (campaign / "theirs.py").write_text(f"from pathlib import Path\n{SIGN}from {HERE} import *\n")
    hostile(campaign, f"{campaign}/theirs.py:evaluate")
    with (campaign / "campaign.yaml").open("a") as file:
        file.write("time_limit: {minutes: 1}\n")
    assert main(["search", "digits", "--minutes", "1", "--out", str(campaign)]) == 2
    assert f"nas run {campaign} --trust" in capsys.readouterr().err
    assert not (campaign / "ran").exists()


@pytest.mark.parametrize("name", ["a\nb:c", "\x1b[2J:x", "os:system; rm", "x" * 20 + ":"])
def test_the_name_of_an_evaluator_has_a_form(
    campaign: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile(campaign, name)
    assert main(["run", str(campaign)]) == 2
    assert "records.jsonl:1: evaluator: String should match pattern" in capsys.readouterr().err


@pytest.mark.parametrize("code", ["raise SystemExit", "import sys; sys.exit(0)", "exit(0)"])
def test_code_that_ends_the_program_is_an_error(
    tmp_path: Path, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path / "c", CAMPAIGN.replace("tiny.yaml", "mine.py:space"))
    (folder / "mine.py").write_text(f"{code}\n")
    with pytest.raises(InputError, match=r"mine.py ended the program while it was imported"):
        load_module(f"{folder}/mine.py:space", "space")
    assert main(["run", str(folder)]) == 2
    (folder / "mine.py").write_text(f"def space(choose, **options):\n    {code}\n")
    assert main(["run", str(folder)]) == 1  # with its traceback, as for any bug
    assert "SystemExit" in capsys.readouterr().err


def test_an_evaluator_that_ends_the_program_fails_its_trial() -> None:
    def evaluate(trial: Any) -> dict[str, Any]:
        raise SystemExit(0)

    outcome = attempt(evaluate, {})
    assert outcome.status == "failed"
    assert "SystemExit" in str(outcome.error)


def test_a_home_that_is_not_known_is_one_message(
    campaign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """As in a container whose user is in no list of users."""
    hostile(campaign, f"{HERE}:evaluate")
    for state in ("~nosuchuser/state", "relative"):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("XDG_STATE_HOME", state)
        assert main(["run", str(campaign)]) == 2
        assert "only the records name" in capsys.readouterr().err
        assert main(["run", str(campaign), "--trust"]) == 1
        assert "the path is not absolute; set XDG_STATE_HOME" in capsys.readouterr().err
        assert not (tmp_path / state).exists()


@pytest.mark.parametrize("path", ["~nosuchuser/x", "~nosuchuser/x.py:f", "~nosuchuser/x.yaml"])
def test_the_home_of_nobody_is_a_missing_file(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "lenet5", "--data", path, "--recipe", "quick"]) == 2
    assert "~nosuchuser/x" in capsys.readouterr().err


def test_a_campaign_whose_trials_all_failed_ends_with_code_1(tmp_path: Path) -> None:
    """When the failures stop it, and also when nothing is left to do."""
    folder = write(tmp_path / "c", f"{CAMPAIGN}evaluator: mine.py:evaluate\n")
    (folder / "mine.py").write_text("def evaluate(trial):\n    raise SystemExit(0)\n")
    for _ in range(2):
        assert main(["run", str(folder)]) == 1
