"""A network of each task is trained, exported and used by the plain script beside the export."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas.cli import main

SIDE = 12
RNG = np.random.default_rng(0)
NUMBERS = RNG.random((48, 4)).astype(np.float32)


def squares(number: int) -> Any:
    """Pictures of a bright square in the dark, and the masks of these."""
    masks = np.zeros((number, SIDE, SIDE), np.uint8)
    for mask in masks:
        top, left = RNG.integers(0, SIDE - 5, 2)
        mask[top : top + 5, left : left + 5] = 1
    return (40 + 160 * masks + RNG.integers(0, 40, masks.shape)).astype(np.uint8), masks


IMAGES, MASKS = squares(48)
CLASSES = np.arange(48) % 2
IDENTITIES = np.repeat(np.arange(12), 4)
TASKS: dict[str, Any] = {
    "classification": CLASSES,
    "multilabel": RNG.integers(0, 2, (48, 3)),
    "segmentation": MASKS,
    "embedding": IDENTITIES,
    "reconstruction": CLASSES,
    "landmarks": NUMBERS,
    "regression": NUMBERS,
}
FAST = ("embedding",)
OPTIONS = {
    "segmentation": "{name: segmentation, head: unet}",
    "embedding": "{name: embedding, dimension: 8}",
    "reconstruction": "{name: reconstruction, head: {name: decoder, bottleneck: 4}}",
}


@pytest.mark.parametrize(
    "task",
    [*FAST, *(pytest.param(each, marks=pytest.mark.slow) for each in TASKS if each not in FAST)],
)
def test_a_plain_script_answers_as_nas_predict_does(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("held.npz", images=IMAGES, labels=TASKS[task])
    of = "classes" if task == "embedding" else "images"
    split = f"{{train: 0.5, validation: 0.25, test: 0.25, of: {of}}}"
    data = f"{{name: arrays, path: held.npz, split: {split}}}"
    assert not main(
        ["train", "resnet20:width=0.25", "--data", data, "--task", OPTIONS.get(task, task),
         "--recipe", "quick",
         "--set", "epochs=1", "batch_size=12", "augment=[]", "--out", "made"]
    )  # fmt: skip
    assert not main(["export", "made", "--to", "onnx", "--out", "made.onnx"])
    assert "checked: from file to class, its script answers 8" in capsys.readouterr().out
    Image.fromarray(IMAGES[0]).save("one.png")
    done = subprocess.run(
        [sys.executable, "made_onnx_predict.py", "one.png"],
        check=True,
        capture_output=True,
        text=True,
    )
    told = done.stdout.strip().removeprefix("one.png ")
    if task in ("segmentation", "reconstruction"):
        assert not main(["predict", "made", "one.png", "--out", "pictures"])
        (ours,) = Path("pictures").iterdir()
        apart = np.asarray(Image.open(ours)).astype(int) - np.asarray(Image.open(told))
        assert np.abs(apart).max() <= (task == "reconstruction")  # by rounding
        assert np.mean(apart != 0) < 0.05
    elif task in ("classification", "multilabel"):
        assert not main(["predict", "made", "one.png", "--top", "1", "--json"])
        (best,) = json.loads(capsys.readouterr().out)["predictions"]
        name, probability = told.split()
        assert name == best["class"]
        assert float(probability) == pytest.approx(best["probability"], abs=1e-4)
    else:
        assert not main(["predict", "made", "one.png", "--out", "ours.npy"])
        assert json.loads(told) == pytest.approx(np.load("ours.npy")[0].tolist(), abs=1e-4)
        if task == "embedding":
            assert np.linalg.norm(json.loads(told)) == pytest.approx(1, abs=1e-4)
