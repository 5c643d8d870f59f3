import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nas.analysis.table import COLUMNS, campaign_table, classics_table, render
from nas.campaigns.records import SCHEMA, read_records
from nas.campaigns.runner import run
from nas.errors import InputError
from tests.campaigns import toy

QUESTION = {
    "objectives": [{"metric": "validation_accuracy", "direction": "maximize"}],
    "recipe": {"epochs": 6},
    "data": {"name": "digits", "split": {"seed": 0}},
}
COST = {"params": 1000, "macs": 20000, "flops": 30000, "activations": 400}


def ask(trial: str, stage: str, kind: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": "ask", "trial": trial, "stage": stage, "kind": kind, "seed": 0,
        "fingerprint": "f", "cost": COST, "search": trial[:-5], "number": int(trial[-1]),
        "note": {}, "genotype": {}, "classic": "lenet5", "options": {}, **fields,
    }  # fmt: skip


def result(trial: str, validation: float, test: float | None = None) -> dict[str, Any]:
    metrics: dict[str, Any] = {"validation_accuracy": validation, "train_seconds": 2.0}
    if test is not None:
        metrics |= {
            "test_accuracy": test,
            "fvcore": {**COST, "flops": 31000},
            "fvcore_uncounted": ["aten::add", "aten::mul"],
        }
    return {
        "type": "result", "trial": trial, "status": "completed", "metrics": metrics,
        "error": None, "seconds": 3.0,
    }  # fmt: skip


SEARCHED = [
    ask("evolution-0000", "search", "found"),
    result("evolution-0000", 0.90),
    ask("evolution-0001", "search", "found"),
    result("evolution-0001", 0.95),
    ask("random-0000", "search", "random"),
    result("random-0000", 0.92),
]
RETRAINED = [
    ask("final-evolution-0001-seed0", "final", "found", label="evolution-0001"),
    result("final-evolution-0001-seed0", 0.93, 0.90),
    ask("final-evolution-0001-seed1", "final", "found", label="evolution-0001"),
    result("final-evolution-0001-seed1", 0.91, 0.94),
    ask("final-lenet5-seed0", "final", "classic", label="lenet5"),
    result("final-lenet5-seed0", 0.97, 0.96),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, SEARCHED + RETRAINED)
    return tmp_path


def write(folder: Path, records: list[dict[str, Any]]) -> None:
    first = {"type": "campaign", "schema": SCHEMA, "question": QUESTION}
    lines = [json.dumps(record) + "\n" for record in [first, *records]]
    (folder / "records.jsonl").write_text("".join(lines))


def test_retrained_rows_are_means_over_seeds(folder: Path) -> None:
    table = campaign_table(folder)
    assert list(table.columns) == list(COLUMNS)
    assert list(table["name"]) == ["lenet5", "evolution-0001"]  # by validation
    found = table.iloc[1]
    assert found["search_accuracy"] == 0.95  # what the search saw, beside
    assert found["validation_accuracy"] == pytest.approx(0.92)  # what retraining gave
    assert found["test_accuracy"] == pytest.approx(0.92)
    assert found["test_std"] == pytest.approx(0.02 * 2**0.5)  # sample deviation of .90 and .94
    assert found["seeds"] == 2
    assert found["flops"] == 31000  # fvcore's
    assert pd.isna(table.iloc[0]["search_accuracy"])
    assert pd.isna(table.iloc[0]["test_std"])


def test_every_trial_is_a_row_on_demand_and_has_no_test_accuracy(folder: Path) -> None:
    table = campaign_table(folder, every_trial=True).set_index("name")
    assert set(table.index) == {"lenet5", "evolution-0000", "evolution-0001", "random-0000"}
    searched = table.loc[["evolution-0000", "random-0000"]]
    assert searched["test_accuracy"].isna().all()
    assert searched["validation_accuracy"].isna().all()
    assert list(searched["search_accuracy"]) == [0.90, 0.92]
    assert list(searched["flops"]) == [30000, 30000]


def test_before_the_final_stage_the_searched_rows_are_the_table(tmp_path: Path) -> None:
    write(tmp_path, SEARCHED)
    assert list(campaign_table(tmp_path)["name"]) == [
        "evolution-0001", "random-0000", "evolution-0000",
    ]  # fmt: skip


def test_notes_say_what_a_reader_must_know(folder: Path) -> None:
    notes = "\n".join(campaign_table(folder).attrs["notes"])
    assert "fvcore does not count: aten::add, aten::mul" in notes
    assert "unlike numbers of seeds: 1, 2" in notes
    assert "6 trials, 0 failed" in notes
    assert "6 epochs" in notes


def test_failed_and_unfinished_trials_are_counted_not_hidden(tmp_path: Path) -> None:
    failed = result("evolution-0002", 0.0) | {"status": "failed", "metrics": {}, "error": "boom"}
    more = [
        ask("evolution-0002", "search", "found"),
        failed,
        ask("evolution-0003", "search", "found"),
    ]
    write(tmp_path, SEARCHED + more)
    table = campaign_table(tmp_path)
    assert "4 trials, 1 failed, 1 unfinished" in table.attrs["notes"]
    assert "evolution-0002" not in set(table["name"])


def test_what_never_could_be_retrained_is_named(tmp_path: Path) -> None:
    failed = {"status": "failed", "metrics": {}, "error": "boom"}
    more = [
        ask("final-nin-seed0", "final", "classic", label="nin"),
        result("final-nin-seed0", 0.0) | failed,
        ask("final-nin-seed1", "final", "classic", label="nin"),
        result("final-nin-seed1", 0.0) | failed,
        ask("final-lenet5-seed2", "final", "classic", label="lenet5"),
        result("final-lenet5-seed2", 0.0) | failed,
        ask("final-vgg8-seed0", "final", "classic", label="vgg8"),
        result("final-vgg8-seed0", 0.0) | failed,
        ask("final-vgg8-seed1", "final", "classic", label="vgg8"),
    ]
    write(tmp_path, SEARCHED + RETRAINED + more)
    notes = campaign_table(tmp_path).attrs["notes"]
    assert "no row, because every retraining failed: nin" in notes
    assert not any("every retraining failed" in n for n in campaign_notes(tmp_path, RETRAINED))


def campaign_notes(folder: Path, records: list[dict[str, Any]]) -> list[str]:
    write(folder, records)
    notes: list[str] = campaign_table(folder).attrs["notes"]
    return notes


@pytest.mark.parametrize("form", ["text", "csv", "markdown", "latex"])
def test_what_a_run_wrote_is_a_table(tmp_path: Path, form: str) -> None:
    """With an evaluator that knows nothing of fvcore and of seconds."""
    text = toy.CAMPAIGN.replace("epochs: 1", "epochs: 1, initialization: reference")
    folder = toy.write(tmp_path / "campaign", text)
    run(folder, evaluator=f"{toy.HERE}:evaluate")
    table = campaign_table(folder)
    assert set(table["kind"]) == {"found", "random", "classic"}
    records = read_records(folder)
    costs = {r["label"]: r["cost"] for r in records if r.get("stage") == "final"}
    assert dict(zip(table["name"], table["flops"], strict=True)) == {
        label: cost["flops"] for label, cost in costs.items()
    }
    assert table["train_seconds"].isna().all()
    notes = "\n".join(table.attrs["notes"])
    assert f"recipe {records[0]['recipe']}, 1 epochs" in notes
    assert "each classic starts from its reference's own" in notes
    assert "(resnet20 kaiming_normal)" in notes
    shown = render(table, form)
    assert "resnet20" in shown
    assert "nan" not in shown
    assert len(campaign_table(folder, every_trial=True)) > len(table)


def test_csv_reads_back_equal(folder: Path) -> None:
    table = campaign_table(folder)
    back = pd.read_csv(io.StringIO(render(table, "csv")))
    pd.testing.assert_frame_equal(back, table, check_dtype=False)


@pytest.mark.parametrize(
    ("form", "parts"),
    [
        ("text", ["lenet5", "31,000", "0.9700", "\nfvcore does not count"]),
        ("markdown", ["| lenet5 ", "\n- fvcore does not count"]),
        ("latex", [r"\begin{tabular}", r"lenet5 & classic", r"search\_accuracy", "\n% fvcore"]),
    ],
)
def test_forms(folder: Path, form: str, parts: list[str]) -> None:
    shown = render(campaign_table(folder), form)
    for part in parts:
        assert part in shown


def test_bad_input(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(InputError, match="unknown format 'html'; allowed: text, csv"):
        render(campaign_table(folder), "html")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="empty: no results yet; run the campaign: nas run"):
        campaign_table(empty)


def test_classics_are_sorted_by_year_and_named_with_source_and_paper() -> None:
    table = classics_table()
    assert table["year"].is_monotonic_increasing
    lenet = table.set_index("name").loc["lenet5"]
    assert (lenet["year"], lenet["params"]) == (1998, 61706)
    assert table["paper"].str.len().min() > 5
    assert table["source"].isin(["paper", "torchvision", "timm"]).all()
