"""Which classics break a constraint, for every constraint that a campaign can have."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import nas
from nas.analysis.audit.check import check
from nas.analysis.tables.feasibility import feasibility, limits
from nas.analysis.tables.networks import campaign_table
from nas.campaigns.drive.run import run
from nas.spaces.constraints import Constraints
from tests.campaigns import toy

RESNET = nas.classic("resnet20", (1, 8, 8), 10)
LIMITS = {**RESNET.cost._asdict(), "depth": 20}


def measured(trial: Mapping[str, Any]) -> dict[str, Any]:
    """An accuracy, and a latency of 7 ms."""
    return {**toy.evaluate(trial), "latency_ms": 7.0}


def row(folder: Path, constraint: str) -> tuple[Any, list[str]]:
    """Runs the toy campaign under a constraint: what its classic breaks, and the notes."""
    toy.write(folder, f"{toy.CAMPAIGN}constraints: {{{constraint}}}\n")
    run(folder, evaluator=f"{__name__}:measured")
    table = campaign_table(folder).set_index("name")
    assert table.loc[table["kind"] != "classic", "breaks"].isna().all()
    return table.loc["resnet20", "breaks"], table.attrs["notes"]


@pytest.mark.parametrize("name", LIMITS)
def test_each_counted_limit(folder: Path, name: str) -> None:
    broken, notes = row(folder, f"{name}: {LIMITS[name] - 1}")
    assert broken == f"{name} {LIMITS[name]:,} > {LIMITS[name] - 1:,}"
    assert (
        f"resnet20, the best of all classics by validation, breaks a constraint ({broken}), so no "
        "verdict compares with it"
    ) in notes
    assert not check(folder).problems


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_that_is_just_kept(folder: Path, name: str) -> None:
    broken, notes = row(folder, f"{name}: {LIMITS[name]}")
    assert pd.isna(broken)
    assert any("the best classic, resnet20" in note for note in notes)


@pytest.mark.parametrize(("limit", "broken"), [(6.5, "latency_ms 7 > 6.5"), (7.5, None)])
def test_a_measured_latency(folder: Path, limit: float, broken: str | None) -> None:
    found, _ = row(folder, f"latency_ms: {limit}")
    assert (None if pd.isna(found) else found) == broken


def table_of(folder: Path, *, milliseconds: float | None) -> None:
    """Writes a table with the latency of all members and, if it is given, of the classic."""
    (folder / "tiny.yaml").write_text(toy.SPACE)
    space = nas.space(folder / "tiny.yaml", input_shape=(1, 8, 8), classes=10)
    known = {space.decode(each).fingerprint: 1.0 for each in space.enumerate()}
    if milliseconds is not None:
        known[RESNET.fingerprint] = milliseconds
    pd.Series(known, name="ms").rename_axis("fingerprint").to_csv(folder / "latency.csv")


@pytest.mark.parametrize(("known", "broken"), [(3.5, "latency_ms 3.5 > 2.0"), (2.0, None)])
def test_a_latency_from_a_table(folder: Path, known: float, broken: str | None) -> None:
    table_of(folder, milliseconds=known)
    found, notes = row(folder, "latency_ms: {limit: 2.0, table: latency.csv, column: ms}")
    assert (None if pd.isna(found) else found) == broken
    assert not any("it is not recorded whether" in note for note in notes)


def test_a_latency_that_the_table_does_not_have_is_said(folder: Path) -> None:
    table_of(folder, milliseconds=None)
    text = "latency_ms: {limit: 2.0, table: latency.csv, column: ms}"
    toy.write(folder, f"{toy.CAMPAIGN}constraints: {{{text}}}\n")
    run(folder, evaluator="tests.campaigns.toy:evaluate")
    notes = campaign_table(folder).attrs["notes"]
    assert (
        "it is not recorded whether resnet20 keeps the constraint on latency_ms; verdicts take it "
        "as kept"
    ) in notes


def test_constraints_of_the_spaces_own_file(folder: Path) -> None:
    toy.write(folder, toy.CAMPAIGN + "constraints: {macs: 10_000_000, params: 10_000}\n")
    (folder / "tiny.yaml").write_text(toy.SPACE + "constraints: {depth: 3, params: 20_000}\n")
    run(folder, evaluator="tests.campaigns.toy:evaluate")
    table = campaign_table(folder).set_index("name")
    assert table.loc["resnet20", "breaks"] == "params 269,434 > 10,000; depth 20 > 3"


def test_records_of_an_earlier_version_have_no_depth(folder: Path) -> None:
    row(folder, "depth: 12")
    path = folder / "records.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        line.pop("further_costs", None)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    table = campaign_table(folder)
    assert pd.isna(table.set_index("name").loc["resnet20", "breaks"])
    assert any("whether resnet20 keeps the constraint on depth" in n for n in table.attrs["notes"])
    assert not check(folder).problems


def test_every_constraint_is_checked() -> None:
    """So that a new constraint cannot be forgotten here: its values are unknown, not kept."""
    most = limits({"constraints": dict.fromkeys(Constraints.model_fields, 1)})
    networks = pd.DataFrame({"kind": ["classic"], "name": ["c"], "group": ["A"]})
    found = feasibility(networks, most)
    assert found["unchecked"][0].split(", ") == list(Constraints.model_fields)
