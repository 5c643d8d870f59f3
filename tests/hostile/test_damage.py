"""Records that are lost, and weights and checkpoints that are damaged."""

import io
import json
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
