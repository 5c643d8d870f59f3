"""One word in campaign.yaml makes classics and spaces backbones: from search to the masks."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import nas
from nas.cli import main

pytestmark = pytest.mark.xdist_group("segmentation")  # one fixture for all

CAMPAIGN = """\
space: {name: primitives, multiplier: [0.25], stages: [2, 3], nodes: [1, 2]}
searcher: {name: evolution, population_size: 2, tournament_size: 2}
task: {name: segmentation, head: unet}
budget: {trials: 2}
constraints: {macs: 1_000_000}
data:
  name: python
  function: shapes.py:shapes
  split: {train: 0.6, validation: 0.2, test: 0.2}
recipe: {preset: quick, epochs: 2, batch_size: 12, augment: [flip, {name: shift, pixels: 2}]}
final:
  top: 2
  top_random: 1
  seeds: [0]
  ensembles: [2]
  calibrated: true
  classics: [{name: resnet20, fit: {macs: 900_000}}, lenet5]
engine: {name: serial}
"""

USER = Path(__file__).parent / "user"


def write(folder: Path, campaign: str = CAMPAIGN) -> Path:
    folder.mkdir()
    shutil.copy(USER / "shapes.py", folder)
    (folder / "campaign.yaml").write_text(campaign)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = write(tmp_path_factory.mktemp("masks") / "campaign")
    assert main(["run", str(made)]) == 0
    return made


def test_it_is_ranked_by_miou_beside_classics_and_a_constant(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trials = nas.results(folder)
    assert set(trials["status"]) <= {"completed", "duplicate"}
    assert trials[trials["stage"] == "search"]["macs"].max() <= 1_000_000
    assert main(["table", str(folder), "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    rows = pd.DataFrame(told["rows"]).sort_values("rank")
    assert rows["validation_miou"].is_monotonic_decreasing
    assert {"searched", "random", "ensemble", "classic"} == set(rows["kind"])
    assert "rank by validation_miou, pareto against macs" in told["notes"]
    constant = next(note for note in told["notes"] if "does not look at the images" in note)
    chance = float(re.search(r"mIoU ([\d.]+)", constant)[1])  # type: ignore[index]
    assert 0.1 < chance < 1 / 3
    assert main(["table", str(folder), "--columns", "name,test_pixel_accuracy"]) == 0
    assert "in test mIoU" in capsys.readouterr().out


def test_it_is_checked_resumed_and_reported(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    before = (folder / "records.jsonl").read_bytes()
    assert main(["run", str(folder)]) == 0
    assert (folder / "records.jsonl").read_bytes() == before
    assert main(["check", str(folder), "--replay"]) == 0, capsys.readouterr().out
    assert main(["report", str(folder), "--out", str(tmp_path / "report.html")]) == 0
    page = (tmp_path / "report.html").read_text()
    assert "validation mIoU" in page
    assert "accuracy" not in page.replace("pixel accuracy", "").replace("pixel_accuracy", "")
    assert main(["export", f"{folder}:best", "--to", "card", "--out", str(tmp_path / "c.md")]) == 0
    assert main(["show", f"{folder}:best"]) == 0
    assert "backbone" in capsys.readouterr().out


@pytest.mark.slow
def test_masks_are_predicted_and_exported(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    picture = tmp_path / "a.png"
    image, mask = (each[0] for each in nas_shapes())
    Image.fromarray(image[..., 0]).save(picture)
    name = f"{folder}:best"
    assert main(["predict", name, str(picture), "--json", "--out", str(tmp_path / "masks")]) == 0
    told = json.loads(capsys.readouterr().out)["predictions"]
    (written,) = (tmp_path / "masks").iterdir()
    predicted = np.asarray(Image.open(written))
    assert predicted.shape == mask.shape
    shares = {each["class"]: each["share"] for each in told}
    assert shares == {str(c): (predicted == c).mean() for c in range(3)}
    assert main(["export", name, "--to", "onnx", "--out", str(tmp_path / "net.onnx")]) == 0
    assert "its script answers 8 test pictures" in capsys.readouterr().out
    done = subprocess.run(
        [sys.executable, "net_onnx_predict.py", "a.png"], cwd=tmp_path, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "a.png a.png.mask.png\n"
    assert (np.asarray(Image.open(tmp_path / "a.png.mask.png")) == predicted).mean() > 0.99
    assert main(["export", name, "--to", "onnx-int8", "--out", str(tmp_path / "x")]) == 2
    assert "this network predicts masks" in capsys.readouterr().err
    assert main(["predict", name, "--part", "test"]) == 0
    assert "accuracy" not in capsys.readouterr().out


def nas_shapes() -> tuple[np.ndarray, np.ndarray]:
    from nas.registry import load

    found: tuple[np.ndarray, np.ndarray] = load(f"{USER / 'shapes.py'}:shapes", "shapes")()
    return found


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("head: unet", "head: unett", r"task.head: unknown head 'unett' \(did you mean 'unet'"),
        ("  name: python\n  function: shapes.py:shapes", "  name: digits",
         "data: the task Segmentation needs masks, a class per pixel, the data set has one class"),
        ("task: {name: segmentation, head: unet}\n", "", "data: the task Classification needs one"),
        ("[flip,", "[elastic,", "recipe.augment.0: elastic cannot move the targets of the task"),
        ("ensembles: [2]\n  calibrated: true", "protocol: flip",
         "final.protocol: the outputs of the task"),
        ("head: unet", "head: unet, output_stride: 0", "task.output_stride: "),
    ],
)  # fmt: skip
def test_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], before: str, after: str, message: str
) -> None:
    made = write(tmp_path / "bad", CAMPAIGN.replace(before, after))
    assert main(["run", str(made)]) == 2
    said = capsys.readouterr().err
    assert re.search(message, said), said
    assert "Traceback" not in said


def test_nas_train_makes_a_classifier_a_backbone(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(write(tmp_path / "here"))
    command = ["train", "resnet20:width=0.25", "--data", "shapes.py:shapes", "--recipe", "quick",
               "--set", "epochs=1", "augment=[]", "--device", "cpu"]  # fmt: skip
    assert main([*command, "--task", "segmentation", "--out", "trained"]) == 0
    said = capsys.readouterr().out
    assert "miou" in said
    assert "chance, test" in said
    row = json.loads(Path("trained/row.json").read_text())
    assert row["preprocessing"]["output"] == "masks"
    assert nas.Architecture.from_json(
        Path("trained/architecture.json").read_text()
    ).output_shape == (3, 16, 12)
    assert main([*command, "--out", "other"]) == 2
    assert "the task Classification needs one class per image" in capsys.readouterr().err
