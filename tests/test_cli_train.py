"""``nas train``: what it prints, how it is stopped, how it says what is wrong."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.test_cli import run

DIGITS = "{name: digits, resolution: 16, split: {train: 0.1, validation: 0.1, test: 0.8}}"
LENET = ("train", "lenet5", "--data", DIGITS, "--recipe", "quick", "--threads", "1")


def test_it_trains_into_a_folder_of_its_own_and_prints_the_row(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capsys, *LENET, "--set", "epochs=2", "augment=[]", "--evaluate", "flip")
    assert code == 0
    told = json.loads((tmp_path / "results" / "lenet5-digits-0" / "row.json").read_text())
    assert told["recipe"]["epochs"] == 2
    assert told["recipe"]["augment"] == []
    assert told["protocol"] == "flip"
    lines = out.splitlines()
    assert lines[0] == "lenet5 on digits: 21,386 parameters, " + (
        f"{told['precision']} on {told['device']}, up to epoch 2"
    )
    assert [line.split()[:2] for line in lines[1:3]] == [["epoch", "1/2"], ["epoch", "2/2"]]
    assert lines[-1].split()[:3] == (
        ["test", f"{told['test']['loss']:.4f}", f"{told['test']['accuracy']:.4f}"]
    )
    code, again, _ = run(capsys, *LENET, "--set", "epochs=2", "augment=[]", "--evaluate", "flip")
    assert code == 0
    assert again.splitlines()[0].endswith("this training has ended before")
    assert again.splitlines()[1:] == lines[3:]
    code, _, err = run(capsys, *LENET, "--set", "epochs=3", "augment=[]", "--evaluate", "flip")
    assert code == 2
    assert "recipe.epochs: recorded 2, now 3" in err


def test_ctrl_c_stops_it_and_says_how_to_go_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nas.cli", *LENET]
    command += ["--out", str(tmp_path), "--set", "epochs=500", "warmup_epochs=1"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    started = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert started.stdout is not None
    while not started.stdout.readline().startswith("epoch 2/500"):
        assert started.poll() is None
    started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=60)
    assert started.returncode == 130
    assert out.splitlines()[-1] == (
        "stopped; 1 of 500 epochs are kept: run the same command again to go on"
    )
    assert err == "nas: interrupted\n"


def test_a_folder_of_pictures_then_other_classes_from_its_weights(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    for name in ("dark", "light"):
        (tmp_path / "pics" / name).mkdir(parents=True)
        for number in range(10):
            pixels = rng.integers(0, 100, (16, 16, 3)) + 150 * (name == "light")
            Image.fromarray(pixels.astype(np.uint8)).save(
                tmp_path / "pics" / name / f"{number}.png"
            )
    split = "{train: 0.6, validation: 0.2, test: 0.2}"
    data = f"{{name: folder, root: {tmp_path}/pics, colour: grey, split: {split}}}"
    base = ("train", "lenet5", "--recipe", "quick", "--set", "epochs=1", "warmup_epochs=0")
    code, _, err = run(capsys, *base, "--data", data, "--out", str(tmp_path / "a"))
    assert (code, err) == (0, "")
    weights = tmp_path / "a" / "weights.safetensors"
    transfer = ("--from", str(weights), "--freeze", "body", "--out", str(tmp_path / "b"))
    code, _, err = run(capsys, *base, "--data", DIGITS, *transfer)
    assert (code, err) == (0, "")
    told = json.loads((tmp_path / "b" / "row.json").read_text())
    assert told["start"]["freeze"] == "body"
    assert told["classes"] is None
    told = json.loads((tmp_path / "a" / "row.json").read_text())
    assert told["classes"] == ["dark", "light"]  # of per_class and confusion, in this order
    (tmp_path / "pics" / "new").mkdir()
    pictures = list((tmp_path / "pics" / "dark").iterdir())
    pictures[0].rename(tmp_path / "pics" / "new" / "one.png")
    code, _, err = run(capsys, *base, "--data", data, "--out", str(tmp_path / "c"))
    assert code == 2
    assert "split: class 2 (new) has 1 images: too few for fractions [0.6, 0.2, 0.2]" in err


def test_a_loss_that_is_no_number_ends_with_code_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    wild = ("--set", "optimizer=sgd", "learning_rate=1e12", "gradient_clip=null", "warmup_epochs=0")
    code, _, err = run(capsys, *LENET, *wild, "--out", str(tmp_path))
    assert code == 1
    assert err.startswith("nas: epoch 1: the ")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lenet5", "--recipe", "quick"], "--data"),
        (["lenet6", "--data", DIGITS, "--recipe", "quick"], "unknown classic 'lenet6'"),
        (["none.json", "--data", DIGITS, "--recipe", "quick"], "none.json: cannot be read"),
        ([*LENET[1:], "--data", "digit"], "unknown data set 'digit'"),
        ([*LENET[1:], "--data", "{name: folder, root: none}"], "none: is not a folder"),
        ([*LENET[1:], "--data", "mnist.yaml"], "mnist.yaml: cannot be read"),
        ([*LENET[1:], "--data", "{name: digits, split: {train: 1}}"], "--data: split."),
        ([*LENET[1:], "--recipe", "quik"], "unknown preset 'quik'"),
        ([*LENET[1:], "--set", "epochs=many"], "--recipe: epochs: "),
        ([*LENET[1:], "--set", "epochs"], "--set: must be key=value"),
        ([*LENET[1:], "--set", "augment=[flip, lighting]"],
         "--recipe: augment.1: lighting: needs colour images, got 1 channel(s)"),
        ([*LENET[1:], "--set", "augment=[{name: shift, pixels: 16, fill: reflect}]"],
         "augment.0: shift: by reflection, pixels must be below the sides of an image, "
         "16x16, got 16"),
        ([*LENET[1:], "--seed", "-1"], "--seed"),
        ([*LENET[1:], "--threads", "0"], "--threads"),
        ([*LENET[1:], "--device", "tpu"], "--device"),
        ([*LENET[1:], "--evaluate", "tencrop"], "--evaluate: unknown protocol 'tencrop'"),
        ([*LENET[1:], "--freeze", "body"], "--freeze: needs weights"),
        ([*LENET[1:], "--from", "none.pt"], "none.pt: cannot be read"),
        ([*LENET[1:], "--out", "/dev/null/x"], "/dev/null"),
        (
            ["lenet5", "--data", "{name: digits, resolution: 8}", "--recipe", "quick"],
            "node 'conv2'",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_one_message_and_exit_code_2(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, "train", *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err
    assert not (tmp_path / "results").exists()
