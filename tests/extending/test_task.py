"""A task in a file of a user's folder: searched for, trained for, shown and checked."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

import nas
from nas.campaigns.store.log import read_records
from nas.cli import main
from nas.tasks import TASKS
from nas.testing import check_task

pytestmark = pytest.mark.xdist_group("task")  # one fixture for all

TASK = '''\
"""Ordinal regression: a digit is a number, and to take 3 for 4 is better than to take it for 9."""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

import nas


class Ordinal(nas.Task):
    """A network answers, for each threshold, whether the label is above it."""

    metrics = (
        nas.Metric(name="absolute_error", direction="minimize", unit="steps",
                   meaning="mean distance to the true label"),
        nas.Metric(name="loss", direction="minimize", unit="nats", meaning="mean cross entropy"),
    )

    def __init__(self, *, weight: float = 1.0) -> None:
        self.weight = weight

    def output_shape(self, input_shape, classes):
        return (classes - 1,)

    def targets(self, labels, classes):
        return (labels[:, None] > torch.arange(classes - 1, device=labels.device)).float()

    def loss(self, outputs, targets, smoothing=0.0):
        return self.weight * cross_entropy(outputs, targets)

    def tally(self, outputs, targets):
        return {
            "loss": self.loss(outputs, targets) * len(outputs),
            "absolute_error": ((outputs > 0).sum(1) - targets.sum(1)).abs().sum(),
        }

    def predictions(self, outputs):
        return outputs.float().sigmoid()

    def evaluate(self, predictions, targets):
        apart = ((predictions > 0.5).sum(1) - targets.sum(1)).abs()
        loss = torch.nn.functional.binary_cross_entropy(predictions, targets)
        return {"absolute_error": apart.mean().item(), "loss": self.weight * loss.item()}
'''

CAMPAIGN = """\
space: space.py:space
searcher: {name: evolution, population_size: 2, tournament_size: 2}
task: ordinal.py:Ordinal
budget: {trials: 3}
data:
  name: digits
  split: {train: 0.6, validation: 0.2, test: 0.2}
recipe: {preset: quick, epochs: 2, augment: []}
final:
  top: 2
  top_random: 1
  seeds: [0, 1]
  ensembles: [2]
  classics: [{name: lenet5}]
engine: {name: serial}
"""

SPACE = """\
import nas


def space(choose, *, input_shape, classes):
    g = nas.Builder(input_shape)
    x = g.relu(g.conv(g.input, choose("width", [4, 8, 12]), kernel=3))
    return g.build(g.linear(g.global_pool(x), classes))
"""


def write(folder: Path, campaign: str = CAMPAIGN) -> Path:
    folder.mkdir()
    (folder / "ordinal.py").write_text(TASK)
    (folder / "space.py").write_text(SPACE)
    (folder / "campaign.yaml").write_text(campaign.replace("[{name: lenet5}]", "[]"))
    return folder


DOCS = Path(__file__).parents[2] / "docs" / "campaigns.md"


@pytest.mark.parametrize("source", ["here", "documents"])
def test_it_keeps_the_promises_of_a_task(tmp_path: Path, source: str) -> None:
    text = TASK
    if source == "documents":
        _, _, rest = DOCS.read_text(encoding="utf-8").partition("## Tasks and metrics of your own")
        text = rest.partition("```python\n")[2].partition("```")[0]
    (tmp_path / "ordinal.py").write_text(text)
    check_task(TASKS.find("ordinal.py:Ordinal", tmp_path)())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = write(tmp_path_factory.mktemp("mine") / "campaign")
    assert main(["run", str(made)]) == 0
    return made


def test_its_metric_is_the_objective_and_the_columns(folder: Path) -> None:
    header, *_ = read_records(folder)
    assert header.specification["objectives"] == [  # type: ignore[union-attr]
        {"metric": "validation_absolute_error", "direction": "minimize"}
    ]
    trials = nas.results(folder)
    assert "validation_accuracy" not in trials
    trials = trials[trials["status"] != "duplicate"]
    assert (trials["status"] == "completed").all()
    searched = trials[trials["stage"] == "search"]
    final = trials[trials["stage"] == "final"]
    assert searched["test_absolute_error"].isna().all()
    assert final["test_absolute_error"].between(0, 9).all()
    assert final["validation_loss"].notna().all()


def test_the_table_ranks_the_smallest_error_first(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["table", str(folder), "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    rows = pd.DataFrame(told["rows"]).sort_values("rank")
    assert rows["validation_absolute_error"].is_monotonic_increasing
    assert {"searched", "random", "ensemble"} == set(rows["kind"])
    assert "rank by validation_absolute_error, pareto against macs" in told["notes"]
    assert main(["table", str(folder)]) == 0
    assert "accuracy" not in capsys.readouterr().out
    assert main(["table", str(folder), "--by", "test_accuracy"]) == 2
    assert "--by: unknown column 'test_accuracy'" in capsys.readouterr().err


def test_the_folder_is_checked_reported_plotted_and_resumed(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["check", str(folder), "--replay"]) == 0, capsys.readouterr().out
    assert main(["report", str(folder), "--out", str(tmp_path / "report.html")]) == 0
    page = (tmp_path / "report.html").read_text()
    assert "validation absolute error" in page
    assert "ordinal.py:Ordinal" in page
    assert "accuracy" not in page
    assert main(["export", f"{folder}:best", "--to", "card", "--out", str(tmp_path / "c.md")]) == 0
    card = (tmp_path / "c.md").read_text()
    assert "A network for ordinal.py:Ordinal" in card
    about = card.partition("## Provenance")[0].replace("small_classes", "").replace("classic", "")
    assert "class" not in about
    assert main(["plot", str(folder), "--out", str(tmp_path / "plots")]) == 0
    assert main(["show", f"{folder}:best"]) == 0
    before = (folder / "records.jsonl").read_bytes()
    assert main(["run", str(folder)]) == 0
    assert (folder / "records.jsonl").read_bytes() == before


def test_another_task_is_another_experiment(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = folder / "campaign.yaml"
    text = file.read_text()
    try:
        file.write_text(text.replace("ordinal.py:Ordinal", "{name: ordinal.py:Ordinal, weight: 2}"))
        assert main(["run", str(folder)]) == 2
        assert "task.weight: recorded 1.0, now 2" in capsys.readouterr().err
        file.write_text(text.replace("task: ordinal.py:Ordinal\n", ""))
        assert main(["run", str(folder)]) == 2
        assert "task.name: recorded " in capsys.readouterr().err
    finally:
        file.write_text(text)
    other = write(tmp_path / "other", CAMPAIGN.replace("task: ordinal.py:Ordinal\n", ""))
    assert main(["run", str(other)]) == 0
    capsys.readouterr()
    assert main(["compare", str(folder), str(other)]) == 2
    assert "networks of different tasks cannot be in one table" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("ordinal.py:Ordinal", "ordinal.py:Ordnal", r"task: .*unknown name 'Ordnal' \(did you"),
        ("ordinal.py:Ordinal", "ordinl.py:Ordinal", "ordinl.py: cannot be read"),
        ("ordinal.py:Ordinal", "space.py:space", "must be a subclass of nas.Task, but is a fun"),
        ("ordinal.py:Ordinal", "clasification", r"unknown task 'clasification' \(did you mean"),
        ("augment: []", "augment: [mixup]", "recipe.augment.0: the task Ordinal has no targets"),
        ("augment: []", "label_smoothing: 0.1", "recipe.label_smoothing: the task Ordinal has n"),
        ("task:", "objectives: [validation_accuracy]\ntask:",
         r"objectives.0: unknown objective 'validation_accuracy'"),
    ],
)  # fmt: skip
def test_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], before: str, after: str, message: str
) -> None:
    made = write(tmp_path / "bad", CAMPAIGN.replace(before, after))
    assert main(["run", str(made)]) == 2
    said = capsys.readouterr().err
    assert re.search(message, said), said
    assert "campaign.yaml" in said
    assert "Traceback" not in said


def test_nas_train_takes_it_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write(tmp_path / "here"))
    command = [
        "train", "lenet5", "--data", "{name: digits, resolution: 16}", "--recipe", "quick",
        "--set", "epochs=1", "augment=[]", "--task", "ordinal.py:Ordinal", "--device", "cpu",
    ]  # fmt: skip
    for seed in ("0", "1"):
        assert main([*command, "--seed", seed, "--out", f"trained{seed}"]) == 0
    assert "absolute_error" in capsys.readouterr().out
    assert main(["compare", "trained0", "trained1", "--columns", "name,test_absolute_error"]) == 0
    row = json.loads(Path("trained0/row.json").read_text())
    assert row["test"]["absolute_error"] < 9
    architecture = nas.Architecture.from_json(Path("trained0/architecture.json").read_text())
    assert architecture.output_shape == (9,)
