import gzip
import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nas.errors import InputError
from nas.evaluators.tables.columns import columns

CSV = """architecture,id,note,val,val_1,val_10,test,seconds,s_1,s_10
a,7,x,0.1,0.3,0.5,0.25,100,9,99
b,8,y,0.2,0.4,0.6,,200,19,199
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "t.csv").write_text(CSV)
    (tmp_path / "latency.csv").write_text("id,pixel\n8,2.5\n7,1.5\n")
    np.savez(tmp_path / "curves.npz", val=np.array([[3, 5], [4, 6]]), flat=np.zeros(2))
    return tmp_path


def test_every_column_of_numbers_is_a_metric(folder: Path) -> None:
    table = columns(folder, file="t.csv")
    assert list(table.keys) == ["a", "b"]
    assert list(table.metrics) == [
        "id", "val", "val_1", "val_10", "test", "seconds", "s_1", "s_10",
    ]  # fmt: skip
    assert table.metric("val").tolist() == [0.1, 0.2]
    assert np.isnan(table.metric("test")[1])
    assert (table.epochs, table.seconds) == ((), None)
    assert table.files == {"t.csv": hashlib.sha256(CSV.encode()).hexdigest()}


@pytest.mark.parametrize("name", ["t.csv.gz", "t.parquet"])
def test_all_formats_read_alike(folder: Path, name: str) -> None:
    if name.endswith("parquet"):
        pd.read_csv(folder / "t.csv").to_parquet(folder / name)
    else:
        (folder / name).write_bytes(gzip.compress(CSV.encode()))
    ours, theirs = (columns(folder, file=file) for file in (name, "t.csv"))
    assert list(ours.keys) == list(theirs.keys)
    for metric, values in theirs.metrics.items():
        np.testing.assert_array_equal(ours.metrics[metric], values)


@pytest.mark.parametrize(
    ("options", "epochs"),
    [
        ({"curves": {"val": "val_{epoch}"}}, (1, 10)),
        ({"curves": {"val": "val_{epoch}"}, "epochs": (1, 10)}, (1, 10)),
        ({"curves": {"val": "curves.npz:val"}}, (1, 2)),
        ({"curves": {"val": "curves.npz:val"}, "epochs": (5, 50)}, (5, 50)),
    ],
    ids=["columns", "given", "array", "named"],
)
def test_curves_are_columns_or_an_array(
    folder: Path, options: dict[str, Any], epochs: tuple[int, ...]
) -> None:
    table = columns(folder, file="t.csv", metrics=("test",), seconds="seconds", **options)
    assert table.epochs == epochs
    scale = 10 if "npz" in options["curves"]["val"] else 1
    np.testing.assert_allclose(table.metrics["val"], scale * np.array([[0.3, 0.5], [0.4, 0.6]]))
    # A total passes evenly over the epochs.
    assert table.seconds is not None
    expected = np.outer([100, 200], np.array(epochs) / epochs[-1])
    np.testing.assert_allclose(table.seconds, expected)
    assert list(table.metrics) == ["test", "val"]


def test_seconds_may_be_known_up_to_each_epoch(folder: Path) -> None:
    curves = {"val": "val_{epoch}"}
    table = columns(folder, file="t.csv", curves=curves, seconds="s_{epoch}")
    assert table.seconds is not None
    assert table.seconds.tolist() == [[9, 99], [19, 199]]


def test_further_files_are_joined_by_a_column(folder: Path) -> None:
    table = columns(folder, file="t.csv", metrics=("pixel",), join={"latency.csv": "id"})
    assert table.metric("pixel").tolist() == [1.5, 2.5]
    assert set(table.files) == {"t.csv", "latency.csv"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": "arch"}, "t.csv: key: unknown column 'arch'; allowed: architecture"),
        ({"metrics": ("vall",)}, "t.csv: unknown column 'vall' (did you mean 'val'?)"),
        ({"metrics": ("note",)}, "t.csv: column note, row 1: must be a number, got 'x'"),
        ({"seconds": "second"}, "t.csv: seconds: unknown column 'second'"),
        ({"curves": {"c": "loss_{epoch}"}}, "curves.c: there is no column 'loss_{epoch}' for any"),
        ({"curves": {"c": "val"}}, "t.csv: curves.c: must be columns, as 'name_{epoch}', or"),
        ({"curves": {"c": "x.npz:val"}}, "x.npz: cannot be read: No such file"),
        ({"curves": {"c": "t.csv:val"}}, "t.csv: is no whole .npz file"),
        ({"curves": {"c": "curves.npz:vall"}}, "curves.npz: unknown array 'vall'"),
        ({"curves": {"c": "curves.npz:flat"}}, "curves.c: must have 2 rows and a column for each"),
        (
            {"curves": {"c": "curves.npz:val"}, "epochs": (1, 2, 3)},
            "t.csv: c: has shape (2, 2); there are 2 rows and 3 epochs",
        ),
        ({"join": {"latency.csv": "x"}}, "t.csv: join: unknown column 'x'"),
        ({"join": {"t.csv": "id"}}, "t.csv: join: t.csv has the column architecture, too"),
        ({"file": "t.parquet"}, "t.parquet: cannot be read"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_a_mistake_names_the_file_and_the_column(
    folder: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        columns(folder, **{"file": "t.csv", **options})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CSV[:-12], "ends in a torn line: 'b,8,y,0.2,0.4,0.6,'"),
        (CSV.replace("b,8", ",8"), "column architecture, row 2: names no architecture"),
        (CSV.replace("b,8", "a,8"), "architecture 'a' has two rows"),
        (CSV + "c,1,2,3,4,5,6,7,8,9,10,11\n", "is no whole CSV file"),
        ("", "is no whole CSV file"),
        ("architecture,val\n", "the table has no row"),
    ],
    ids=["torn", "nameless", "twice", "wide", "empty", "rowless"],
)
def test_a_file_that_is_not_whole_is_named(folder: Path, text: str, message: str) -> None:
    (folder / "t.csv").write_text(text)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        columns(folder, file="t.csv")
    assert str(folder / "t.csv") in str(caught.value)


@pytest.mark.parametrize("name", ["t.csv.gz", "t.parquet", "curves.npz"])
def test_a_file_cut_anywhere_is_named(folder: Path, name: str) -> None:
    pd.read_csv(folder / "t.csv").to_parquet(folder / "t.parquet")
    (folder / "t.csv.gz").write_bytes(gzip.compress(CSV.encode()))
    content = (folder / name).read_bytes()
    for end in range(1, len(content), max(1, len(content) // 40)):
        (folder / name).write_bytes(content[:end])
        curves = {"val": f"{name}:val"} if name.endswith("npz") else None
        with pytest.raises(InputError, match=re.escape(f"{folder / name}: is no whole")):
            columns(folder, file="t.csv" if curves else name, curves=curves)
