"""Records that are lost, and weights and checkpoints that are damaged."""

import io
import json
import shutil
from pathlib import Path

import pytest
import torch

from nas.campaigns.drive.run import run
from nas.campaigns.engines.base import Trial
from nas.campaigns.store.checkpoints import verify_weights, write_weights
from nas.campaigns.store.log import read_records
from nas.cli import main
from nas.errors import CampaignError, InputError
from nas.files import is_damaged
from tests.benchmark.conftest import write as write_benchmark
from tests.campaigns.toy import HERE


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        (None, "records.jsonl: is not there"),
        (b"", "records.jsonl: is empty"),
        (b"\0" * 4096, "records.jsonl: has no record, but 4,096 bytes of something else"),
        (b"\n\n\n", "records.jsonl: has no record, but 3 bytes of something else"),
        (b'{"type": "camp', "records.jsonl: has no record, but 14 bytes of something else"),
    ],
)
@pytest.mark.parametrize("left", ["resolved.json", "weights", "checkpoints"])
def test_lost_records_are_not_a_fresh_start(
    campaign: Path, content: bytes | None, seen: str, left: str
) -> None:
    (campaign / "resolved.json").unlink()
    if left == "resolved.json":
        (campaign / left).write_text("{}")
    else:
        (campaign / left).mkdir()
        (campaign / left / "final-a-0000-seed0.pt").write_bytes(b"")
    records = campaign / "records.jsonl"
    records.unlink()
    if content is not None:
        records.write_bytes(content)
    for _ in range(2):
        with pytest.raises(InputError, match=f"{seen}, although .* has left {left}: its records"):
            run(campaign, evaluator=f"{HERE}:evaluate")
        assert (records.read_bytes() if content is not None else None) == content


def test_a_folder_in_which_nothing_has_ended_is_begun(campaign: Path) -> None:
    """As after a crash before the first line was whole."""
    (campaign / "resolved.json").unlink()
    (campaign / "records.jsonl").write_bytes(b'{"type": "camp')
    run(campaign, evaluator=f"{HERE}:evaluate")
    assert len(read_records(campaign)) > 1


def test_weights_are_verified(tmp_path: Path) -> None:
    recorded = write_weights(tmp_path, "a-0000", b"weights")
    path = tmp_path / "weights" / "a-0000.safetensors"
    verify_weights(path, recorded)
    verify_weights(path, "")
    path.write_bytes(b"weighty")
    with pytest.raises(InputError, match=r"a-0000.safetensors: is damaged: .*, recorded \w{32}"):
        verify_weights(path, recorded)


def saved(path: Path) -> None:
    content = io.BytesIO()
    torch.save({"weight": torch.arange(1000.0), "epoch": 3}, content)
    path.write_bytes(content.getvalue())


def test_a_flipped_bit_in_a_checkpoint_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    saved(path)
    assert not is_damaged(path)
    whole = path.read_bytes()
    at = whole.index(torch.arange(1000.0).numpy().tobytes()) + 400
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    assert is_damaged(path)
    path.write_bytes(whole[: len(whole) // 2])
    assert is_damaged(path)
    path.write_bytes(whole.replace(b"archive/data/0", b"archive\xff\xff.0", 1))
    assert is_damaged(path)
    path.write_bytes(b"state of a user's own")
    assert not is_damaged(path)
    path.unlink()
    assert is_damaged(path)
    with pytest.raises(CampaignError, match=r"a\.pt: cannot be read: No such file .*; earlier res"):
        Trial("a", {}, path).state()


def test_check_and_export_verify_weights(
    campaign: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = campaign / "records.jsonl"
    lines = [json.loads(line) for line in records.read_text().splitlines()]
    trial = next(r["trial"] for r in lines if r.get("kind") == "classic")
    recorded = write_weights(campaign, trial, b"weights")
    for line in lines:
        if line["type"] == "result" and line["trial"] == trial:
            line["weights"] = recorded
    records.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main(["check", str(campaign)]) == 0
    path = campaign / "weights" / f"{trial}.safetensors"
    path.write_bytes(b"weighty")
    (campaign / "checkpoints").mkdir()
    (campaign / "checkpoints" / f"{trial}.pt").write_bytes(b"PK half")
    capsys.readouterr()
    assert main(["check", str(campaign)]) == 1
    printed = capsys.readouterr().out
    assert f"{path}: is damaged: its checksum is" in printed
    assert f"{trial}.pt: is damaged: a checksum inside is wrong" in printed
    for command in (
        ["export", f"{campaign}:{trial}", "--to", "json", "--out", str(campaign / "out.json")],
        ["export", "resnet20", "--to", "json", "--weights", f"{campaign}:{trial}",
         "--out", str(campaign / "out.json")],
    ):  # fmt: skip
        assert main(command) == 2
        assert f"{path}: is damaged" in capsys.readouterr().err


DIGITS = "{name: digits, split: {train: 0.1, validation: 0.1, test: 0.8}}"
TRAIN = ["train", "lenet5:width=0.25", "--data", DIGITS, "--recipe", "{preset: quick, epochs: 1}"]


def files(folder: Path) -> dict[str, bytes]:
    """Returns the results in a folder."""
    others = ("run.log", "train.lock")
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name not in others}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of `nas train`."""
    folder = tmp_path_factory.mktemp("trained") / "t"
    assert main([*TRAIN, "--out", str(folder)]) == 0
    return folder


@pytest.mark.parametrize(
    ("content", "lost", "said"),
    [
        (None, ["checkpoint.pt"], "t/weights.safetensors: is there, but neither row.json nor"),
        (None, ["checkpoint.pt", "resolved.json"], "t/weights.safetensors: is there, but neither"),
        (b"\0" * 99, [], "t/row.json: is not JSON"),
        (b"\0" * 99, ["checkpoint.pt"], "t/row.json: is not JSON"),
        (b"[]", [], "t/row.json: must hold a JSON object"),
        (b"{}", [], "t/row.json: is not what nas train writes"),
    ],
)
def test_the_results_of_a_training_that_are_lost_are_not_replaced(
    trained: Path, tmp_path: Path, content: bytes | None, lost: list[str], said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder = shutil.copytree(trained, tmp_path / "t")
    for name in ("row.json", *lost):
        (folder / name).unlink()
    if content is not None:
        (folder / "row.json").write_bytes(content)
    before = files(folder)
    assert main([*TRAIN, "--out", str(folder)]) == 2
    assert said in capsys.readouterr().err
    assert files(folder) == before


def test_a_row_that_is_lost_is_made_again_from_the_checkpoint(
    trained: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(trained, tmp_path / "t")
    recorded = json.loads((folder / "row.json").read_text())
    (folder / "row.json").unlink()
    assert main([*TRAIN, "--out", str(folder)]) == 0
    assert json.loads((folder / "row.json").read_text())["test"] == recorded["test"]


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of `nas bench`."""
    folder = write_benchmark(tmp_path_factory.mktemp("bench") / "b", seeds=1)
    assert main(["bench", str(folder), "--processes", "1"]) == 0
    return folder


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("trials.parquet", b"", "b/trials.parquet: is damaged: its checksum is"),
        ("trials.parquet", b"\0" * 999, "b/trials.parquet: is damaged: its checksum is"),
        ("resolved.json", None, "b/resolved.json: does not say how trials.parquet was made"),
        ("resolved.json", b"\0" * 99, "b/resolved.json: does not say how trials.parquet was made"),
        ("resolved.json", b"[]", "b/resolved.json: does not say how trials.parquet was made"),
        ("resolved.json", b"{}", "b/resolved.json: does not say how trials.parquet was made"),
    ],
)
def test_the_results_of_a_benchmark_that_are_damaged_are_not_replaced(
    benchmark: Path, tmp_path: Path, name: str, content: bytes | None, said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder = shutil.copytree(benchmark, tmp_path / "b")
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    before = files(folder)
    assert main(["bench", str(folder), "--processes", "1"]) == 2
    assert said in capsys.readouterr().err
    assert files(folder) == before


def test_trials_that_an_earlier_version_recorded_without_a_checksum(
    benchmark: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(benchmark, tmp_path / "b")
    resolved = json.loads((folder / "resolved.json").read_text())
    del resolved["trials"]
    (folder / "resolved.json").write_text(json.dumps(resolved))
    assert main(["bench", str(folder)]) == 0
    (folder / "trials.parquet").write_bytes(b"PAR1 half")
    assert main(["bench", str(folder)]) == 2
    assert "b/trials.parquet: is damaged: " in capsys.readouterr().err
