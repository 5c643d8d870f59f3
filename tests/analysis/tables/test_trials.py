import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import nas
from nas.analysis.tables.columns import curve_columns
from nas.analysis.tables.trials import COLUMNS, curves, trials
from nas.campaigns.drive.run import run
from nas.campaigns.store.types import SCHEMA
from nas.errors import InputError
from nas.metrics import METRICS
from tests.campaigns import toy
from tests.campaigns.lines import read_records

COST = {"params": 1000, "macs": 20000, "flops": 30000, "activations": 400}
POINT = {
    "train_loss": 0.5, "validation_loss": 0.6, "validation_accuracy": 0.8,
    "train_seconds": 1.0, "evaluation_seconds": 0.1,
}  # fmt: skip
CURVE = [{"epoch": 1, **POINT}, {"epoch": 2, **POINT, "validation_accuracy": 0.9}]


def ask(trial: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": "ask", "time": 101.0, "trial": trial, "stage": "search", "kind": "searched",
        "search": "evolution", "number": int(trial[-1]), "note": {}, "genotype": {},
        "seed": 2**64 - 1, "fingerprint": "f", "cost": COST, **fields,
    }  # fmt: skip


RECORDS = [
    ask("evolution-0000"),
    {
        "type": "result", "time": 104.5, "trial": "evolution-0000", "status": "completed",
        "metrics": {"validation_accuracy": 0.9, "train_seconds": 2.0, "curve": CURVE, "epochs": 2,
                    "fvcore": {**COST, "flops": 31000}, "latency_ms": 1.5},
        "error": None, "seconds": 3.0,
    },
    ask("evolution-0001", note={"parent": 0}, fidelity=4, genotype={"recipe.epochs": 4}),
    {"type": "failure", "trial": "evolution-0001", "cause": "worker_died", "error": "gone",
     "seconds": 1.0},
    {
        "type": "result", "time": 105.0, "trial": "evolution-0001", "status": "failed",
        "metrics": {}, "error": "boom", "cause": "diverged", "seconds": 1.0,
    },
    ask("evolution-0002", duplicate_of="evolution-0000"),
    ask("evolution-0003", note={"parents": [1, 0]}),
]  # fmt: skip


def write(folder: Path, records: list[dict[str, Any]], specification: Any = None) -> Path:
    first = {
        "type": "campaign",
        "time": 100.0,
        "schema": SCHEMA,
        "specification": specification or {},
    }
    lines = [json.dumps(record) + "\n" for record in [first, *records]]
    (folder / "records.jsonl").write_text("".join(lines))
    return folder


def test_a_row_a_trial_with_all_that_the_records_tell(tmp_path: Path) -> None:
    table = trials(write(tmp_path, RECORDS)).set_index("trial")
    assert list(table["status"]) == ["completed", "failed", "duplicate", "unfinished"]
    first = table.loc["evolution-0000"]
    assert (first["label"], first["seed"]) == ("evolution-0000", 2**64 - 1)
    assert (first["flops"], first["latency_ms"]) == (31000, 1.5)
    assert (first["validation_accuracy"], first["epochs"], first["train_seconds"]) == (0.9, 2, 2)
    assert (first["seconds"], first["asked_s"], first["ended_s"]) == (3.0, 1.0, 4.5)
    assert pd.isna(first["parent"])
    second = table.loc["evolution-0001"]
    assert (second["parent"], second["fidelity"], second["attempts"]) == ("evolution-0000", 4, 2)
    assert (second["cause"], second["error"]) == ("diverged", "boom")
    assert second["recipe"] == '{"epochs": 4}'
    third = table.loc["evolution-0002"]
    assert (third["duplicate_of"], third["attempts"]) == ("evolution-0000", 0)
    assert pd.isna(third["validation_accuracy"])  # counted once
    assert table.loc["evolution-0003", "parent"] == "evolution-0001"  # the first of a crossover


def test_an_epoch_a_row(tmp_path: Path) -> None:
    table = curves(write(tmp_path, RECORDS))
    assert list(table["trial"]) == ["evolution-0000"] * 2
    assert list(table["epoch"]) == [1, 2]
    assert list(table["validation_accuracy"]) == [0.8, 0.9]


@pytest.mark.parametrize("records", [[], RECORDS])
def test_the_schema_is_fixed_even_when_empty(tmp_path: Path, records: list[Any]) -> None:
    folder = write(tmp_path, records)
    for table, columns in ((trials(folder), COLUMNS), (curves(folder), curve_columns(METRICS))):
        found = {name: str(dtype) for name, dtype in table.dtypes.items()}
        assert found == {name: dtype for name, (dtype, _) in columns.items()}


def test_of_a_real_run_in_the_order_asked(tmp_path: Path) -> None:
    folder = toy.write(tmp_path / "campaign")
    run(folder, evaluator=f"{toy.HERE}:evaluate")
    table = nas.results(str(folder))
    records = read_records(folder)
    asks = [record for record in records if record["type"] == "ask"]
    assert list(table["trial"]) == [record["trial"] for record in asks]
    assert set(table["kind"]) == {"searched", "random", "classic"}
    assert (table["ended_s"] >= table["asked_s"]).all()
    final = table[table["stage"] == "final"]
    assert final["test_accuracy"].notna().all()
    assert table.loc[table["stage"] == "search", "test_accuracy"].isna().all()


def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: there is no such folder"):
        trials(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no records yet; run the campaign: nas run"):
        trials(tmp_path)
    (tmp_path / "row.json").write_text("{}")
    with pytest.raises(InputError, match="holds one training, no campaign: nas table"):
        trials(tmp_path)
    (tmp_path / "records.jsonl").write_text(
        '{"type": "campaign", "schema": 0, "specification": {}}\n'
    )
    with pytest.raises(
        InputError, match=rf"jsonl:1: schema: this program reads schema 2 and {SCHEMA}, got 0"
    ):
        trials(tmp_path)
