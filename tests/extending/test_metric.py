"""A metric in a file of a user's folder: measured, searched for, shown and checked."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import nas
from nas.campaigns.drive.run import run
from nas.campaigns.store.log import read_records
from nas.cli import main

pytestmark = pytest.mark.xdist_group("metric")  # one fixture for all

METRIC = '''\
import torch

import nas


def recall(predictions, targets):
    """The mean over classes of the share of their images that are right."""
    right = (predictions.argmax(1) == targets).double()
    return torch.stack([right[targets == label].mean() for label in targets.unique()]).mean()


balanced_accuracy = nas.Metric(
    name="balanced_accuracy", function=recall, direction="maximize", unit="fraction",
    meaning="mean over classes of the fraction of their images that are right",
)
'''

CAMPAIGN = """\
space: space.py:space
searcher: {name: evolution, population_size: 2, tournament_size: 2}
metrics: [recall.py:balanced_accuracy]
objectives: [validation_balanced_accuracy]
budget: {trials: 3}
data:
  name: digits
  split: {train: 0.6, validation: 0.2, test: 0.2}
recipe: {preset: quick, epochs: 1, augment: []}
final: {top: 2, top_random: 1, seeds: [0], ensembles: [2], protocol: flip}
engine: {name: serial}
"""

SPACE = """\
import nas


def space(choose, *, input_shape, classes):
    g = nas.Builder(input_shape)
    x = g.relu(g.conv(g.input, choose("width", [4, 8, 12]), kernel=3))
    return g.build(g.linear(g.global_pool(x), classes))
"""


def measured(trial: dict[str, Any]) -> dict[str, float]:
    """An evaluator that reports a metric of its own."""
    tested = {"test_accuracy": 0.25} if trial["test"] else {}
    return {"validation_accuracy": 0.5, "inherited_energy": 2.5, **tested}


def write(folder: Path, campaign: str = CAMPAIGN) -> Path:
    folder.mkdir()
    (folder / "recall.py").write_text(METRIC)
    (folder / "space.py").write_text(SPACE)
    (folder / "campaign.yaml").write_text(campaign)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = write(tmp_path_factory.mktemp("mine") / "campaign")
    assert main(["run", str(made)]) == 0
    return made


def test_it_is_measured_on_validation_in_the_search_and_on_test_at_the_end(folder: Path) -> None:
    header, *records = read_records(folder)
    assert header.specification["objectives"] == [  # type: ignore[union-attr]
        {"metric": "validation_balanced_accuracy", "direction": "maximize"}
    ]
    trials = nas.results(folder)
    trials = trials[trials["status"] == "completed"]
    searched, final = (trials[trials["stage"] == stage] for stage in ("search", "final"))
    assert searched["validation_balanced_accuracy"].between(0, 1).all()
    assert searched["test_balanced_accuracy"].isna().all()
    assert final["test_balanced_accuracy"].between(0, 1).all()
    for record in records:
        if record.type == "result" and record.trial in set(final["trial"]):
            for parts in record.metrics["evaluations"].values():
                found = parts["validation"]
                assert found["balanced_accuracy"] == pytest.approx(
                    sum(found["per_class"]) / len(found["per_class"])
                )


def test_it_is_a_column_with_its_meaning(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["table", str(folder), "--format", "json"]) == 0
    rows = pd.DataFrame(json.loads(capsys.readouterr().out)["rows"])
    assert rows["validation_balanced_accuracy"].notna().all()
    assert rows["test_balanced_accuracy"].notna().all()
    assert main(["report", str(folder), "--out", str(tmp_path / "report.html")]) == 0
    page = (tmp_path / "report.html").read_text()
    assert "mean over classes of the fraction of their images that are right" in page


def test_the_folder_is_checked_and_resumed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(folder), "--replay"]) == 0, capsys.readouterr().out
    before = (folder / "records.jsonl").read_bytes()
    assert main(["run", str(folder)]) == 0
    assert (folder / "records.jsonl").read_bytes() == before


def test_a_value_that_is_not_possible_is_found(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    changed = Path(shutil.copytree(folder, tmp_path / "changed"))
    text = (folder / "records.jsonl").read_text()
    text = re.sub(r'("validation_balanced_accuracy": ?)[0-9.]+', r"\g<1>1.5", text, count=1)
    (changed / "records.jsonl").write_text(text)
    assert main(["check", str(changed)]) == 1
    said = capsys.readouterr().out
    assert "validation_balanced_accuracy: 1.5, expected a number from 0 to 1" in said


def test_what_an_evaluator_reports_is_a_column_when_it_is_declared(
    folder: Path, tmp_path: Path
) -> None:
    declared = "metrics: [{name: inherited_energy, unit: J, direction: minimize, meaning: used}]\n"
    plain = re.sub("metrics: .*\nobjectives: .*\n", declared, CAMPAIGN)
    made = write(tmp_path / "declared", plain.replace("ensembles: [2], ", ""))
    run(made, evaluator=f"{__name__}:{measured.__name__}")
    trials = nas.results(made)
    assert (trials[trials["status"] == "completed"]["inherited_energy"] == 2.5).all()


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ("recall.py:balanced", r"metrics.0: .*unknown name 'balanced'"),
        ("recall.py:recall", "metrics.0: .*must be an instance of nas.Metric, but is a function"),
        ("{name: accuracy, function: 3}", "metrics.0"),
        ("{name: epochs}", "metrics.*there is a metric or a column 'epochs' already"),
        ("{name: test_speed}", "metrics.*begins with test_"),
        ("{name: Speed}", "metrics.0.*Speed"),
    ],
)
def test_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], metrics: str, message: str
) -> None:
    text = CAMPAIGN.replace("[recall.py:balanced_accuracy]", f"[{metrics}]")
    made = write(tmp_path / "bad", text.replace("objectives: [validation_balanced_accuracy]\n", ""))
    assert main(["run", str(made)]) == 2
    said = capsys.readouterr().err
    assert re.search(message, said), said
    assert "campaign.yaml" in said
