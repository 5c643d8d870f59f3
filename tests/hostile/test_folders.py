"""A campaign's folder that somebody else has prepared or that other work shares."""

import json
import os
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from nas.analysis.audit.check import check
from nas.campaigns.drive.run import run
from nas.campaigns.store.checkpoints import Checkpoints, write_weights
from nas.campaigns.store.log import read_records
from nas.cli import main
from nas.errors import CampaignError, InputError
from tests.campaigns.toy import HERE, evaluate, write


def content(folder: Path) -> dict[str, bytes]:
    """Returns all files below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes every record."""
    path = folder / "records.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for record in records:
        change(record)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def test_files_in_a_linked_folder_of_checkpoints_stay(campaign: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    (scratch / "deep").mkdir(parents=True)
    names = ["theirs.pt", "notes.txt", "deep/file", f"{read_records(campaign)[1].trial}.pt"]  # type: ignore[union-attr]
    for name in names:
        (scratch / name).write_text("theirs")
    before = content(scratch)
    (campaign / "checkpoints").symlink_to(scratch)
    run(campaign, evaluator=f"{HERE}:evaluate")
    assert content(scratch) == before


def test_tidying_deletes_the_files_of_the_campaigns_trials_alone(campaign: Path) -> None:
    known = next(record.trial for record in read_records(campaign)[1:])  # type: ignore[union-attr]
    kept = campaign / "checkpoints"
    (kept / "deep").mkdir(parents=True)
    for name in ("deep/file", f"{known}.pt", f".{known}.0123abcd.part.pt", "other.pt", "notes"):
        (kept / name).write_text("content")
    (kept / "x-0001.pt").symlink_to(campaign / "campaign.yaml")
    for _ in range(2):  # and a rerun does not fail either
        run(campaign, evaluator=f"{HERE}:evaluate")
        left = sorted(path.name for path in kept.iterdir())
        assert left == ["deep", "notes", "other.pt", "x-0001.pt"]
    assert (campaign / "campaign.yaml").exists()


@pytest.mark.parametrize("folder", ["weights", "checkpoints"])
def test_nothing_is_written_through_a_linked_folder(tmp_path: Path, folder: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    campaign = write(tmp_path / "c")
    (campaign / folder).symlink_to(outside)
    writes: dict[str, Callable[[], None]] = {
        "weights": lambda: write_weights(campaign, "a-0000", b"weights"),
        "checkpoints": lambda: Checkpoints(campaign).write("a-0000", b"state"),
    }
    with pytest.raises(CampaignError, match=f"{folder}: cannot be written: it is a link to .*outs"):
        writes[folder]()
    assert content(outside) == {}


@pytest.mark.parametrize("name", ["records.jsonl", "records.lock"])
def test_nothing_is_appended_through_a_link(tmp_path: Path, name: str) -> None:
    outside = tmp_path / "theirs"
    outside.write_text("")
    folder = write(tmp_path / "c")
    (folder / name).symlink_to(outside)
    with pytest.raises(CampaignError, match=f"{name}: cannot be written"):
        run(folder, evaluator=f"{HERE}:evaluate")
    assert outside.read_text() == ""


@pytest.mark.parametrize("when", [1, 4, 11])
def test_a_folder_that_is_moved_while_it_runs_is_not_made_again(tmp_path: Path, when: int) -> None:
    folder, elsewhere = write(tmp_path / "c"), tmp_path / "elsewhere"
    calls = count(1)

    def moving(trial: Mapping[str, Any]) -> dict[str, Any]:
        if next(calls) == when:
            folder.rename(elsewhere)
        return evaluate(trial)

    with pytest.raises(CampaignError, match=r"cannot be written: No such file .* are safe"):
        run(folder, evaluator=moving)
    assert not folder.exists()
    recorded = (elsewhere / "records.jsonl").read_bytes()
    elsewhere.rename(folder)
    run(folder, evaluator=moving)
    assert (folder / "records.jsonl").read_bytes().startswith(recorded)
    assert check(folder).problems == []


def test_a_link_or_a_pipe_in_place_of_the_log_stops_nothing(tmp_path: Path) -> None:
    outside = tmp_path / "theirs"
    outside.write_text("")
    folder = write(tmp_path / "c")
    (folder / "run.log").symlink_to(outside)
    run(folder, evaluator=f"{HERE}:evaluate")
    assert outside.read_text() == ""
    (folder / "run.log").unlink()
    os.mkfifo(folder / "run.log")
    run(folder, evaluator=f"{HERE}:evaluate")


def test_a_pipe_in_place_of_the_records_does_not_block(tmp_path: Path) -> None:
    folder = write(tmp_path / "c")
    os.mkfifo(folder / "records.jsonl")
    with pytest.raises((CampaignError, InputError), match=r"records.jsonl: "):
        run(folder, evaluator=f"{HERE}:evaluate")


def test_a_link_in_place_of_an_output_is_replaced(campaign: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")
    (campaign / "resolved.json").unlink()
    (campaign / "resolved.json").symlink_to(theirs)
    run(campaign, evaluator=f"{HERE}:evaluate")
    assert theirs.read_text() == "theirs"
    assert not (campaign / "resolved.json").is_symlink()


BAD = ["/x/y/model", "../model", "..", ".hidden", "a/b", "a\nb", "a\0b", "\x1b[2J", "", "x" * 300]


@pytest.mark.parametrize("name", BAD)
def test_an_id_that_would_be_a_path_is_refused_by_every_command(
    campaign: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(record: dict[str, Any]) -> None:
        if "trial" in record:
            record["trial"] = record["trial"].replace(first, name)

    first = next(record.trial for record in read_records(campaign)[1:])  # type: ignore[union-attr]
    rewrite(campaign, change)
    before = content(tmp_path)
    out = str(tmp_path / "out")
    with pytest.raises(InputError, match=r"records.jsonl:2: trial: String should"):
        run(campaign)
    for command in (
        ["table", str(campaign)], ["plot", str(campaign)],
        ["report", str(campaign)], ["show", f"{campaign}:best"],
        ["export", str(campaign), "--to", "tensorboard", "--out", out],
        ["export", str(campaign), "--to", "optuna", "--out", out],
        ["export", f"{campaign}:best", "--to", "python", "--out", out],
    ):  # fmt: skip
        assert main(command) == 2, command
        assert "records.jsonl:2: trial: String should" in capsys.readouterr().err
    assert main(["check", str(campaign)]) == 1
    after = content(tmp_path)
    after.pop("c/records.lock", None)
    before.pop("c/records.lock", None)
    assert after == before


@pytest.mark.parametrize("key", ["label", "search", "duplicate_of", "classic", "fingerprint"])
def test_other_names_in_an_ask_are_no_paths_either(campaign: Path, key: str) -> None:
    rewrite(campaign, lambda record: record.update({key: "../x"}) if key in record else None)
    path = campaign / "records.jsonl"
    if key not in path.read_text():  # no trial of the toy is a duplicate
        rewrite(campaign, lambda each: each.update({key: "../x"}) if "seed" in each else None)
    with pytest.raises(InputError, match=rf"records.jsonl:\d+: {key}: String should match pattern"):
        read_records(campaign)
