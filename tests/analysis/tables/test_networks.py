import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy import stats

from nas.analysis.tables.networks import COLUMNS, campaign_table
from nas.analysis.tables.render import FORMATS, render
from nas.campaigns.drive.run import run
from nas.campaigns.store.types import SCHEMA
from nas.classics.table import classics_table
from nas.errors import InputError
from nas.metrics import METRICS
from tests.campaigns import toy
from tests.campaigns.lines import read_records

SPECIFICATION = {
    "objectives": [{"metric": "validation_accuracy", "direction": "maximize"}],
    "recipe": {"epochs": 6},
    "data": {"name": "digits", "split": {"seed": 0}},
}
COST = {"params": 1000, "macs": 20000, "flops": 30000, "activations": 400}


def ask(trial: str, stage: str, kind: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": "ask", "trial": trial, "stage": stage, "kind": kind,
        "seed": int(trial[-1]) if "seed" in trial else 0,
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
    ask("evolution-0000", "search", "searched"),
    result("evolution-0000", 0.90),
    ask("evolution-0001", "search", "searched"),
    result("evolution-0001", 0.95),
    ask("random-0000", "search", "random"),
    result("random-0000", 0.92),
]
RETRAINED = [
    ask("final-evolution-0001-seed0", "final", "searched", label="evolution-0001"),
    result("final-evolution-0001-seed0", 0.93, 0.90),
    ask("final-evolution-0001-seed1", "final", "searched", label="evolution-0001"),
    result("final-evolution-0001-seed1", 0.91, 0.94),
    ask("final-lenet5-seed0", "final", "classic", label="lenet5"),
    result("final-lenet5-seed0", 0.97, 0.96),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, SEARCHED + RETRAINED)
    return tmp_path


def write(folder: Path, records: list[dict[str, Any]], specification: Any = SPECIFICATION) -> None:
    first = {"type": "campaign", "schema": SCHEMA, "specification": specification}
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
    assert "different numbers of seeds: 1, 2" in notes
    assert "6 trials, 0 failed" in notes
    assert "6 epochs" in notes


def test_failed_and_unfinished_trials_are_counted_not_hidden(tmp_path: Path) -> None:
    failed = result("evolution-0002", 0.0) | {"status": "failed", "metrics": {}, "error": "boom"}
    more = [
        ask("evolution-0002", "search", "searched"),
        failed,
        ask("evolution-0003", "search", "searched"),
    ]
    write(tmp_path, SEARCHED + more)
    table = campaign_table(tmp_path)
    assert "4 trials, 1 failed, 1 unfinished: the campaign is not over" in table.attrs["notes"]
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
    assert "no row, because every trial of the final stage failed: nin" in notes
    notes = campaign_notes(tmp_path, SEARCHED + RETRAINED)
    assert not any("every trial of the final stage failed" in note for note in notes)


def campaign_notes(folder: Path, records: list[dict[str, Any]]) -> list[str]:
    write(folder, records)
    notes: list[str] = campaign_table(folder).attrs["notes"]
    return notes


def test_the_schema_is_fixed(folder: Path) -> None:
    for per_seed in (False, True):
        dtypes = {n: str(d) for n, d in campaign_table(folder, per_seed=per_seed).dtypes.items()}
        assert dtypes == {name: dtype for name, (dtype, _) in COLUMNS.items()}


def test_a_row_a_network_keeps_the_rank_of_its_architecture(folder: Path) -> None:
    table = campaign_table(folder, per_seed=True)
    assert list(table["name"]) == ["lenet5", "evolution-0001", "evolution-0001"]
    assert list(table["rank"]) == [1, 2, 2]
    assert list(table["seed"]) == [0, 0, 1]
    assert list(table["test_accuracy"]) == [0.96, 0.90, 0.94]
    assert table["test_std"].isna().all()


def test_the_interval_is_students_and_takes_three_seeds(folder: Path) -> None:
    two = campaign_table(folder).set_index("name").loc["evolution-0001"]
    assert two[["test_low", "test_high"]].isna().all()
    trial = "final-evolution-0001-seed2"
    third = [record | {"trial": trial} for record in RETRAINED
             if record["trial"] == "final-evolution-0001-seed1"]  # fmt: skip
    third[0] |= {"seed": 2}
    write(folder, SEARCHED + RETRAINED + third)
    found = campaign_table(folder).set_index("name").loc["evolution-0001"]
    low, high = stats.t.interval(0.95, 2, loc=2.78 / 3, scale=stats.sem([0.90, 0.94, 0.94]))
    assert (found["test_low"], found["test_high"]) == pytest.approx((low, min(high, 1)))


def retrained(label: str, kind: str, validation: float, **cost: int) -> list[dict[str, Any]]:
    trial = f"final-{label}-seed0"
    own = {"cost": {**COST, **cost}}
    return [
        ask(trial, "final", kind, label=label, **own),
        result(trial, validation, 1 - validation),
    ]


def test_rank_and_front(tmp_path: Path) -> None:
    rows = [
        *(
            each
            for name in "ab"
            for each in (
                ask(f"{name}-0000", "search", "searched", number=0),
                result(f"{name}-0000", 0.5),
            )
        ),
        *retrained("a-0000", "searched", 0.9, macs=5, params=9),
        *retrained("b-0000", "searched", 0.8, macs=5, params=5),  # as dear as a, and worse
        *retrained("c", "classic", 0.8, macs=3, params=5),
        *retrained("d", "classic", 0.7, macs=4, params=4),
    ]
    write(tmp_path, rows)
    table = campaign_table(tmp_path)
    ranks = dict(zip(table["name"], table["rank"], strict=True))
    assert ranks == {"a-0000": 1, "b-0000": 2, "c": 2, "d": 4}
    assert set(table["name"][table["pareto"]]) == {"a-0000", "c"}
    by_params = campaign_table(tmp_path, cost="params")
    assert set(by_params["name"][by_params["pareto"]]) == {"a-0000", "b-0000", "c", "d"}
    objectives = [{"metric": "validation_accuracy"}, {"metric": "params"}]
    write(tmp_path, rows, SPECIFICATION | {"objectives": objectives})
    pd.testing.assert_frame_equal(campaign_table(tmp_path), by_params)
    by_test = campaign_table(tmp_path, by="test_accuracy")
    assert by_test["name"].iloc[0] == "d"
    assert any("is fitted to the test images" in note for note in by_test.attrs["notes"])


def test_rows_of_unlike_recipes_are_never_ranked_together(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "second", "third")]
    specifications = [
        SPECIFICATION,
        SPECIFICATION | {"recipe": {"epochs": 8}},
        SPECIFICATION | {"space": "other"},
    ]
    for folder, specification in zip(folders, specifications, strict=True):
        folder.mkdir()
        write(folder, SEARCHED + RETRAINED, specification)
    table = campaign_table(folders)
    assert list(table["campaign"]) == ["first", "third"] * 2 + ["second"] * 2
    assert list(table["group"]) == ["A"] * 4 + ["B"] * 2
    assert list(table["rank"]) == [1, 1, 3, 3, 1, 2]
    notes = table.attrs["notes"]
    assert "group B is not ranked with A: recipe.epochs 8, not 6" in notes
    assert any("first and second: no verdict: their best searched" in note for note in notes)
    assert (
        "first and third: no verdict: their best searched networks are the same trainings" in notes
    )


def test_what_a_search_saw_is_not_ranked_with_what_was_retrained(folder: Path) -> None:
    table = campaign_table(folder, every_trial=True)
    assert list(table["group"]) == ["A", "A", "B", "B"]
    assert list(table["rank"]) == [1, 2, 1, 2]  # random-0000's 0.92 is no better than 0.92
    assert "group B is not ranked with A: stage search, not final" in table.attrs["notes"]


def test_lower_fidelities_are_other_conditions_and_the_full_one_is_none(tmp_path: Path) -> None:
    rungs = [3, 6, None]  # of a recipe of 6 epochs
    rows = []
    for number, fidelity in enumerate(rungs):
        asked = {} if fidelity is None else {"fidelity": fidelity}
        trial = f"hyperband-000{number}"
        rows += [ask(trial, "search", "searched", **asked), result(trial, 0.9 - number / 10)]
    write(tmp_path, rows)
    table = campaign_table(tmp_path)
    letters = dict(zip(table["name"], table["group"], strict=True))
    assert letters == {"hyperband-0000": "A", "hyperband-0001": "B", "hyperband-0002": "B"}
    note = "group B is not ranked with A: fidelity.epochs null, not 3"
    assert note in table.attrs["notes"]


def test_of_a_real_run_without_fvcore_and_seconds(tmp_path: Path) -> None:
    text = toy.CAMPAIGN.replace("epochs: 1", "epochs: 1, initialization: reference")
    folder = toy.write(tmp_path / "campaign", text)
    run(folder, evaluator=f"{toy.HERE}:evaluate")
    table = campaign_table(folder)
    assert set(table["kind"]) == {"searched", "random", "classic"}
    records = read_records(folder)
    costs = {r["label"]: r["cost"] for r in records if r.get("stage") == "final"}
    assert dict(zip(table["name"], table["flops"], strict=True)) == {
        label: cost["flops"] for label, cost in costs.items()
    }
    assert table["train_seconds"].isna().all()
    notes = "\n".join(table.attrs["notes"])
    assert f"recipe {records[0]['recipe']}, 1 epoch;" in notes
    assert "each classic has that of its reference" in notes
    assert "(resnet20 kaiming_normal)" in notes
    for form in set(FORMATS) - {"parquet"}:
        shown = render(table, form)
        assert "resnet20" in shown
        assert "nan" not in shown.lower()
    assert len(campaign_table(folder, every_trial=True)) > len(table)


def test_classics_are_sorted_by_year_and_named_with_source_and_paper() -> None:
    table = classics_table()
    assert table["year"].is_monotonic_increasing
    lenet = table.set_index("name").loc["lenet5"]
    assert (lenet["year"], lenet["params"]) == (1998, 61706)
    assert table["paper"].str.len().min() > 5
    assert table["source"].isin(["paper", "torchvision", "timm"]).all()


def test_bad_input(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(InputError, match=r"--by: unknown column 'accuracy' \(.*; allowed: val"):
        campaign_table(folder, by="accuracy")
    with pytest.raises(InputError, match=r"--cost: unknown column 'mac' \(did you mean 'macs'"):
        campaign_table(folder, cost="mac")
    with pytest.raises(InputError, match="a folder is given twice"):
        campaign_table([folder, folder / ".." / folder.name])
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="empty: no records yet; run the campaign: nas run"):
        campaign_table(empty)
    write(empty, SEARCHED[:1])
    with pytest.raises(InputError, match="no results yet: 1 trial started"):
        campaign_table(empty)
    failed = {"status": "failed", "metrics": {}, "error": "boom\nOSError: no", "cause": "error"}
    write(empty, [*SEARCHED[:1], SEARCHED[1] | failed])
    with pytest.raises(InputError, match=r"has completed: 1 failed \(error 1\); .* OSError: no"):
        campaign_table(empty)


def test_tables_of_records_without_evaluations_are_what_they_were(folder: Path) -> None:
    columns = render(campaign_table(folder), "csv").splitlines()[0].split(",")
    assert columns == [name for name in COLUMNS if name not in METRICS.evaluated]


def test_evaluations_are_columns_and_gaps_are_noted(tmp_path: Path) -> None:
    records = json.loads(json.dumps(SEARCHED + RETRAINED))
    for record, loss, crops in ((records[7], 0.5, 0.92), (records[11], 0.25, 0.97)):
        record["metrics"]["evaluations"] = {
            "single": {"test": {"loss": loss, "calibration_error": 0.1}},
            "ten_crop": {"test": {"accuracy": crops}, "validation": {"accuracy": 0.5}},
        }
    write(tmp_path, records)
    table = campaign_table(tmp_path).set_index("name")
    assert table["test_loss"].to_dict() == {"evolution-0001": 0.5, "lenet5": 0.25}
    assert table["test_ten_crop"].to_dict() == {"evolution-0001": 0.92, "lenet5": 0.97}
    assert table["validation_ten_crop"].tolist() == [0.5, 0.5]
    assert table["test_top5"].isna().all()
    gaps = [note for note in table.attrs["notes"] if "(single 1, ten_crop 1)" in note]
    assert [note.partition(" some")[0] for note in gaps] == ["of 3 networks of the final stage"]
    shown = render(campaign_table(tmp_path), "text").splitlines()[0].split()
    assert "test_ten_crop" in shown
    assert not {"test_flip", "test_loss"} & set(shown)


def test_a_note_tells_if_only_some_ensembles_are_calibrated(tmp_path: Path) -> None:
    def averages(*calibrated: bool) -> list[dict[str, Any]]:
        records = []
        for number, each in enumerate(calibrated):
            trial = f"final-average{number}-seed0"
            ensemble = ask(trial, "final", "ensemble", label=f"average{number}")
            del ensemble["classic"]
            ensemble |= {"members": ["final-evolution-0001-seed0", "final-lenet5-seed0"]}
            ended = result(trial, 0.98, 0.97)
            ended["metrics"] |= {"temperatures": [1.5, 2.0]} if each else {}
            records += [ensemble, ended]
        return records

    for calibrated, expected in {(True, True): 0, (False, False): 0, (False, True): 1}.items():
        write(tmp_path, SEARCHED + RETRAINED + averages(*calibrated))
        notes = campaign_table(tmp_path).attrs["notes"]
        told = [note for note in notes if "calibrated" in note]
        assert len(told) == expected
        assert all("true for 1 of 2 ensembles" in note for note in told)


def test_the_documentation_has_every_column() -> None:
    text = (Path(__file__).parents[3] / "docs" / "results.md").read_text()
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = {name.strip("` ") for cell in cells for name in cell.split(",")}
    assert set(COLUMNS) <= named
