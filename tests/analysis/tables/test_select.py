"""Conditions over a table: against pandas' own answers, and what they refuse."""

import pandas as pd
import pytest

from nas.analysis.tables.select import columns, sort, where
from nas.errors import InputError

TABLE = pd.DataFrame({
    "name": ["resnet20", "resnet50", "lenet5", "nin"],
    "kind": ["classic", "classic", "classic", "searched"],
    "macs": [40, 4000, 4, 30],
    "rank": pd.array([1, 2, None, 3], dtype="Int64"),
    "accuracy": [0.9, 0.8, None, 0.7],
    "pareto": [True, False, False, True],
})  # fmt: skip
TABLE.attrs["notes"] = ["kept"]


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("macs < 1e3", ["resnet20", "lenet5", "nin"]),
        ("4 < macs <= 40", ["resnet20", "nin"]),
        ("macs == 4 or macs == 30", ["lenet5", "nin"]),
        ('kind == "classic" and not pareto', ["resnet50", "lenet5"]),
        ("pareto", ["resnet20", "nin"]),
        ('"resnet" in name', ["resnet20", "resnet50"]),
        ('"resnet" not in name', ["lenet5", "nin"]),
        ('kind in ("searched", "random")', ["nin"]),
        ("macs not in [4, 40]", ["resnet50", "nin"]),
        ("rank < 3", ["resnet20", "resnet50"]),
        # An empty cell is neither above nor below, equal nor unequal.
        ("accuracy != 0.9", ["resnet50", "nin"]),
        ("accuracy > -1", ["resnet20", "resnet50", "nin"]),
        ("rank < macs", ["resnet20", "resnet50", "nin"]),
        ("macs < -1", []),
    ],
)
def test_where(condition: str, names: list[str]) -> None:
    found = where(TABLE, condition)
    assert list(found["name"]) == names
    assert list(found.index) == list(range(len(names)))
    assert found.attrs == TABLE.attrs


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("mac < 3", r"unknown column 'mac' \(did you mean 'macs'\?\); allowed: name, kind, macs"),
        ("macs <", "'macs <': invalid syntax"),
        ("", "''"),
        ("macs", "'macs' is not a condition"),
        ("1 < 2", "must compare a column"),
        ('macs < "a"', "compares a text with a number"),
        ("name == 3", "compares a text with a number"),
        ("macs in 3", "a column in a list"),
        ("macs is 3", "allowed comparisons"),
        ("macs + 1 < 3", "must be a column, a number, a text"),
        # Nothing is called and nothing is looked up.
        ("__import__('os').system('true')", "is not a condition"),
        ("name.str.len() > 3", "must be a column"),
        ("macs < open('/etc/passwd')", "must be a column"),
    ],
)
def test_where_refuses(condition: str, message: str) -> None:
    with pytest.raises(InputError, match=f"--where: .*{message}"):
        where(TABLE, condition)


def test_sort() -> None:
    assert list(sort(TABLE, "macs")["name"]) == ["lenet5", "nin", "resnet20", "resnet50"]
    assert list(sort(TABLE, "kind:desc, macs:desc")["macs"]) == [30, 4000, 40, 4]
    assert list(sort(TABLE, "accuracy")["name"])[-1] == "lenet5"
    assert list(sort(TABLE, "accuracy:desc")["name"])[-1] == "lenet5"
    with pytest.raises(InputError, match="--sort: unknown column 'size'; allowed: name"):
        sort(TABLE, "macs,size")
    with pytest.raises(InputError, match="allowed after a colon: asc, desc"):
        sort(TABLE, "macs:down")


def test_columns() -> None:
    assert columns(TABLE, "macs, name") == ["macs", "name"]
    assert columns(TABLE, "all") == list(TABLE.columns)
    with pytest.raises(InputError, match=r"--columns: unknown column 'nam' \(did you mean 'name'"):
        columns(TABLE, "nam")
