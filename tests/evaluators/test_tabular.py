import re
from pathlib import Path

import numpy as np
import pytest

import nas
from nas.errors import InputError, at, in_file
from nas.evaluators.tables import read_table
from nas.evaluators.tabular import Lookup, Table
from nas.spaces.hyperparameters import joint

SPACE = nas.space("nasbench201", nodes=3)
"""125 cells of three edges."""

IDENTITY = "|skip_connect~0|+|none~0|skip_connect~1|"
SAME = "|none~0|+|skip_connect~0|none~1|"
CONV = "|nor_conv_3x3~0|+|skip_connect~0|skip_connect~1|"


def table(**changes: object) -> Table:
    fields: dict[str, object] = {
        "source": "t.csv",
        "keys": [IDENTITY, CONV],
        "key": "notation",
        "metrics": {"val": np.array([[1.0, 2.0], [3.0, np.nan]]), "test": np.array([5.0, 6.0])},
        "epochs": (1, 10),
        "seconds": np.array([[1.0, 10.0], [2.0, 20.0]]),
    }
    return Table(**(fields | changes))  # type: ignore[arg-type]


def test_a_row_is_found_by_its_notation_and_read_at_an_epoch() -> None:
    lookup = Lookup(table(), SPACE)
    row = lookup.row(SPACE.from_string(IDENTITY))
    assert row == 0
    assert [lookup.value("val", row, epoch) for epoch in (1, 10, None)] == [1.0, 2.0, 2.0]
    assert [lookup.value("test", row, epoch) for epoch in (10, None)] == [5.0, 5.0]
    assert [lookup.seconds(row, epoch) for epoch in (1, 10, None)] == [1.0, 10.0, 10.0]
    assert lookup.seconds(row, 10, since=1) == 9.0
    assert table().metric("val").tolist()[0] == 2.0


def test_a_table_without_times_takes_a_second_a_trial() -> None:
    lookup = Lookup(table(seconds=None), SPACE)
    assert lookup.seconds(0, 10, since=1) == 1.0
    assert Lookup(table(seconds=np.array([7.0, 8.0])), SPACE).seconds(1) == 8.0


def test_a_row_may_stand_for_all_genotypes_of_an_architecture() -> None:
    lookup = Lookup(table(key="isomorphism"), SPACE)
    assert lookup.row(SPACE.from_string(SAME)) == lookup.row(SPACE.from_string(IDENTITY)) == 0
    assert lookup.row(SPACE.from_string(CONV)) == 1
    with pytest.raises(InputError, match="are one architecture, and have two rows"):
        Lookup(table(keys=[IDENTITY, SAME], key="isomorphism"), SPACE)


def test_a_row_may_be_keyed_by_fingerprint_and_by_a_name_of_the_tables_own() -> None:
    fingerprints = [SPACE.decode(SPACE.from_string(text)).fingerprint for text in (IDENTITY, CONV)]
    lookup = Lookup(table(keys=fingerprints, key="fingerprint"), SPACE)
    assert lookup.row(SPACE.from_string(SAME)) == 0
    assert lookup.row_of(fingerprints[1]) == 1
    assert lookup.row_of("x") is None
    named = Lookup(table(keys=["s", "n"], key=lambda text: text[1]), SPACE)
    assert named.row(SPACE.from_string(CONV)) == 1
    assert named.row_of("n") is None


def test_duplicates_are_equal_architectures_by_an_equal_recipe() -> None:
    lookup = Lookup(table(keys=[IDENTITY, SAME]), SPACE)
    first, second = (SPACE.from_string(text) for text in (IDENTITY, SAME))
    assert (lookup.row(first), lookup.row(second)) == (0, 1)
    assert lookup.identity(first) == lookup.identity(second)
    assert lookup.identity(first) != lookup.identity(SPACE.from_string(CONV))
    searched = joint(SPACE, {"epochs": (1, 2)}, lambda answers: None)
    one, other = ({**first, "recipe.epochs": epochs} for epochs in (1, 2))
    assert Lookup(table(), searched).identity(one) != Lookup(table(), searched).identity(other)


def test_a_missing_row_is_named() -> None:
    message = f"t.csv: no row for the architecture {SAME} of space nasbench201"
    with pytest.raises(InputError, match=re.escape(message)):
        Lookup(table(), SPACE).row(SPACE.from_string(SAME))


@pytest.mark.parametrize(
    ("metric", "row", "epoch", "message"),
    [
        ("val", 1, 10, f"t.csv: val of '{CONV}' is empty after 10 epochs"),
        ("val", 1, None, f"t.csv: val of '{CONV}' is empty"),
        ("val", 0, 5, "t.csv: nothing was measured after 5 epochs; allowed: 1, 10"),
        (
            "test",
            0,
            1,
            "t.csv: test is known only after the whole training, and not after 1 epochs",
        ),
    ],
)
def test_what_was_not_measured_is_named(
    metric: str, row: int, epoch: int | None, message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        Lookup(table(), SPACE).value(metric, row, epoch)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keys": [CONV, CONV]}, f"t.csv: architecture '{CONV}' has two rows"),
        ({"keys": []}, "t.csv: the table has no row"),
        ({"metrics": {"val": np.zeros(3)}}, "t.csv: val: has shape (3,); there are 2 rows"),
        ({"epochs": (1,)}, "t.csv: val: has shape (2, 2); there are 2 rows and 1 epochs"),
        ({"epochs": (10, 1)}, "t.csv: epochs must ascend from 1 or more, got [10, 1]"),
        ({"epochs": (0, 1)}, "t.csv: epochs must ascend from 1 or more, got [0, 1]"),
        (
            {"seconds": np.array([1.0, np.nan])},
            f"t.csv: seconds of training of '{CONV}' must be a number of at least 0, got nan",
        ),
    ],
    ids=["twice", "empty", "rows", "columns", "order", "zero", "seconds"],
)
def test_a_table_whose_parts_do_not_fit_is_refused(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        table(**changes)


def test_an_unknown_metric_is_named() -> None:
    with pytest.raises(InputError, match=r"t\.csv: unknown metric 'vall' \(did you mean 'val'\?\)"):
        table().metric("vall")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "b.yaml: table: must be a mapping with a name, one of columns, nasbench201, "),
        ({"file": "t.csv"}, "b.yaml: table: must be a mapping with a name"),
        ({"name": "column"}, "b.yaml: table.name: unknown table 'column' (did you mean"),
        ({"name": "columns"}, "b.yaml: table.file: Field required"),
        ({"name": "columns", "file": "t", "kye": 1}, "b.yaml: table.kye: unknown key 'kye'"),
        ({"name": "columns", "file": "t.csv"}, "t.csv: cannot be read: No such file"),
        ("none.yaml", "none.yaml: cannot be read"),
    ],
    ids=["number", "nameless", "name", "missing", "key", "file", "yaml"],
)
def test_a_mistake_in_a_description_is_named(tmp_path: Path, given: str, message: str) -> None:
    raised = pytest.raises(InputError, match=re.escape(message))
    with raised as caught, in_file(tmp_path / "b.yaml"), at("table"):
        read_table(given, tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_description_may_stand_in_a_file_and_the_data_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "t.csv").write_text("architecture,val\nx,1\n")
    (tmp_path / "table.yaml").write_text("name: columns\nfile: t.csv\n")
    here = read_table("table.yaml", tmp_path, tmp_path / "data")
    (tmp_path / "t.csv").write_text("architecture,val\nx,2\n")
    beside = read_table("table.yaml", tmp_path)
    assert (here.metric("val"), beside.metric("val")) == (1.0, 2.0)
