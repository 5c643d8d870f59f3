"""A campaign of detectors, from the search to boxes by a script that does not need the package."""

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nas
from nas.cli import main

CAMPAIGN = """\
space: {name: primitives, multiplier: [0.25], stages: [2, 3], nodes: [1, 2], norm: [batch]}
searcher: {name: evolution, population_size: 2, tournament_size: 2}
task: {name: detection, head: {name: towers, width: 16, depth: 1}, strides: [4]}
budget: {trials: 2}
constraints: {macs: 1_500_000}
data: {name: python, function: "cells.py:cells"}
recipe: {preset: quick, epochs: 12, batch_size: 8, augment: [flip]}
final:
  top: 1
  top_random: 0
  seeds: [0]
  classics: [{name: resnet20, fit: constraints}]
random_baseline: false
engine: {name: serial}
"""

USER = Path(__file__).parent / "user"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("boxes") / "campaign"
    made.mkdir()
    shutil.copy(USER / "cells.py", made)
    (made / "campaign.yaml").write_text(CAMPAIGN)
    assert main(["run", str(made)]) == 0
    return made


def test_it_is_ranked_by_ap_beside_a_classic_and_chance(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    trials = nas.results(folder)
    assert set(trials["status"]) <= {"completed", "duplicate"}
    assert main(["table", str(folder), "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert "rank by validation_ap, pareto against macs" in told["notes"]
    chance = next(note for note in told["notes"] if "does not look at the images" in note)
    assert float(re.search(r"AP50 ([\d.]+)", chance)[1]) < 0.2  # type: ignore[index]
    assert main(["check", str(folder), "--replay"]) == 0, capsys.readouterr().out
    assert main(["report", str(folder), "--out", str(tmp_path / "report.html")]) == 0
    page = (tmp_path / "report.html").read_text()
    assert page.count('class="photo"') == 8
    assert "validation AP" in page


@pytest.mark.slow
def test_boxes_are_predicted_and_exported(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Also for a picture of another size, in whose pixels the boxes are."""
    from nas.registry import load

    _, tested = load(f"{folder / 'cells.py'}:cells", "cells")()
    small = Image.fromarray(tested[0][0][..., 0])
    small.resize((96, 72), Image.Resampling.NEAREST).save(tmp_path / "a.png")
    small.save(tmp_path / "b.png")
    name = f"{folder}:best"
    command = ["predict", name, str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    assert main([*command, "--json", "--out", str(tmp_path / "boxes.csv")]) == 0
    large, same = map(json.loads, capsys.readouterr().out.splitlines())
    found = large["predictions"]
    assert found
    (best,) = [max((e for e in found if e["class"] == "bright"), key=lambda e: e["probability"])]
    truth = np.array(tested[0][1]["boxes"][0]) * 3
    assert np.abs(np.array(best["box"]) - truth).max() < 12
    with (tmp_path / "boxes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(found) + len(same["predictions"])
    assert rows[0]["class"] == found[0]["class"]
    assert main(["export", name, "--to", "onnx", "--out", str(tmp_path / "net.onnx")]) == 0
    assert "its script answers 8 test pictures" in capsys.readouterr().out
    done = subprocess.run(
        [sys.executable, "net_onnx_predict.py", "a.png", "b.png"], cwd=tmp_path,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for line, ours in zip(done.stdout.splitlines(), (found, same["predictions"]), strict=True):
        theirs = json.loads(line.partition(" ")[2])
        assert [each["class"] for each in theirs] == [each["class"] for each in ours]
        for one, other in zip(theirs, ours, strict=True):
            assert np.allclose(one["box"], other["box"], atol=1e-3)
            assert one["probability"] == pytest.approx(other["probability"], abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["python", "torchscript", "torch-export"])
def test_every_form_gives_the_same_boxes(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, form: str
) -> None:
    path = tmp_path / f"net.{'py' if form == 'python' else 'pt'}"
    assert main(["export", f"{folder}:best", "--to", form, "--out", str(path)]) == 0
    assert "its script answers 8 test pictures" in capsys.readouterr().out


def test_what_does_not_fit(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"{folder}:best"
    assert main(["export", name, "--to", "onnx-int8", "--out", str(tmp_path / "x")]) == 2
    assert "this network predicts boxes" in capsys.readouterr().err
    assert main(["predict", name, "--part", "test", "--out", str(tmp_path / "x.npy")]) == 2
    assert "--out: must end in .csv" in capsys.readouterr().err
