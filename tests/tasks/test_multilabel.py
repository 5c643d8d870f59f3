"""Multi-label classification: metrics by scikit-learn, the table of labels, a whole training."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import average_precision_score, f1_score, log_loss

from nas.cli import main
from nas.errors import InputError
from nas.tasks.multilabel import MultiLabel
from nas.training.datasets import DATASETS


@pytest.mark.parametrize("seed", range(3))
def test_metrics_are_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, found = rng.integers(0, 2, (40, 4)), rng.random((40, 4)).round(1).clip(0.05, 0.95)
    told = MultiLabel().evaluate(torch.from_numpy(found), torch.from_numpy(truth).float())
    assert told["average_precision"] == pytest.approx(average_precision_score(truth, found))
    assert told["macro_f1"] == pytest.approx(f1_score(truth, found > 0.5, average="macro"))
    losses = [log_loss(t, f) for t, f in zip(truth.T, found.T, strict=True)]
    assert told["loss"] == pytest.approx(np.mean(losses))
    assert told["chance"]["average_precision"] == pytest.approx(truth.mean())
    every = f1_score(truth, np.ones_like(truth), average="macro")
    assert told["chance"]["macro_f1"] == pytest.approx(every)


def test_classes_that_no_image_has_do_not_count() -> None:
    truth, found = torch.tensor([[1.0, 0], [0, 0]]), torch.tensor([[0.9, 0.2], [0.1, 0.3]])
    told = MultiLabel().evaluate(found, truth)
    assert (told["average_precision"], told["per_class"]) == (1, [1, None])


def written(folder: Path, text: str) -> Path:
    """A table of labels and its pictures: those of class a are bright, of class b have a bar."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "labels.csv").write_text(text)
    for line in text.splitlines()[1:]:
        file, _, classes = line.partition(",")
        pixels = np.full((12, 12), 200 if "a" in classes else 40, np.uint8)
        pixels[4:7] = 255 * ("b" in classes)
        if not file.startswith("missing"):
            Image.fromarray(pixels).save(folder / file)
    return folder


def test_the_table_of_labels_is_read(tmp_path: Path) -> None:
    found = DATASETS["table"](root=str(written(tmp_path / "1", "f,c\n1.png,b;a\n2.png,\n3.png,b")))
    assert (found.kind, found.names, found.classes) == ("tags", ("a", "b"), 2)
    assert found.labels.tolist() == [[1, 1], [0, 0], [0, 1]]
    columns = DATASETS["table"](root=str(written(tmp_path / "2", "f,x,y\n1.png,1,1\n2.png,0,1")))
    assert (columns.names, columns.labels.tolist()) == (("x", "y"), [[1, 1], [0, 1]])
    classes = DATASETS["table"](root=str(written(tmp_path / "3", "f,c\n1.png,b\n2.png,a")))
    assert (classes.kind, classes.names, classes.labels.tolist()) == ("classes", ("a", "b"), [1, 0])
    values = DATASETS["table"](root=str(written(tmp_path / "4", "f,x,y\n1.png,0.5,2\n2.png,0,1")))
    assert (values.kind, values.labels.tolist()) == ("values", [[0.5, 2], [0, 1]])
    for part in ("train", "test"):
        written(tmp_path / "5" / part, "f,c\n1.png,b;a\n2.png,a")
    assert DATASETS["table"](root=str(tmp_path / "5")).official_test == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("f,c\nmissing.png,a", "labels.csv: line 2: there is no picture missing.png"),
        ("f,c\n1.png,a,b", "labels.csv: line 2: has 3 columns, the first line 2"),
        ("f,c", "labels.csv: holds no pictures; expected a first line"),
        ("f,c,d\n1.png,1,x", "labels.csv: could not convert string to float: 'x'; expected"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        DATASETS["table"](root=str(written(tmp_path, text)))


def test_several_classes_are_trained_predicted_and_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    kinds = ("a", "b", "a;b", "")
    lines = [f"{number}.png,{kinds[number % 4]}" for number in range(80)]
    written(tmp_path / "pics", "\n".join(["file,classes", *lines]))
    assert not main(
        ["train", "resnet20:width=0.25", "--data", "{name: table, root: pics, colour: grey}",
         "--task", "multilabel", "--recipe", "quick",
         "--set", "epochs=4", "batch_size=8", "augment=[flip]", "--out", "made"]
    )  # fmt: skip
    row = json.loads((tmp_path / "made" / "row.json").read_text())
    assert row["test"]["average_precision"] > row["test"]["chance"]["average_precision"]
    capsys.readouterr()
    assert not main(["export", "made", "--to", "python"])
    assert "its script answers 8 test pictures" in capsys.readouterr().out
    assert not main(["predict", "made", "pics/2.png", "--json"])
    told = json.loads(capsys.readouterr().out)["predictions"]
    assert {each["class"] for each in told} == {"a", "b"}
