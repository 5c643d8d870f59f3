"""Reads a table in CSV or Parquet with one row per architecture."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nas.errors import InputError
from nas.evaluators.tabular import Floats, KeyKind, Table
from nas.files import read_bytes
from nas.memory import check_unpacked, gunzipped
from nas.registry import unknown

_PLACE = "{epoch}"


def columns(
    folder: Path,
    *,
    file: str,
    key: str = "architecture",
    keys: KeyKind = "notation",
    metrics: tuple[str, ...] | None = None,
    curves: dict[str, str] | None = None,
    epochs: tuple[int, ...] | None = None,
    seconds: str | None = None,
    join: dict[str, str] | None = None,
) -> Table:
    """Reads a table of named columns.

    Args:
        folder: the folder to which file names are relative.
        file: a ``.csv``, ``.csv.gz`` or ``.parquet`` file.
        key: the column that names the architecture.
        keys: the kind of keys in it, see :data:`nas.evaluators.tabular.KeyKind`.
        metrics: columns of numbers, which may have empty cells; by default all such columns.
        curves: learning curves by the name of their metric: one column per epoch, written
            ``"validation_{epoch}"``, or an array [rows, epochs] of an ``.npz`` file,
            ``"curves.npz:validation"``.
        epochs: the epochs of the curves; by default 1, 2, 3, …, or those for which there are
            columns.
        seconds: the training time: a column with the time of the whole training, or curves as
            above with the seconds up to each epoch. A total is divided evenly over the epochs.
        join: further files, ``{file: column}``: their columns are added by equal values of a
            column that both files have.

    Raises :class:`InputError` naming the file and the column.
    """
    read = Files(folder)
    frame = read.frame(file, text=(key,))
    for other, column in (join or {}).items():
        frame = joined(frame, file, read.frame(other, text=(key,)), other, column)
    where = str(folder / file)
    keys_given = _keys(frame, key, where)
    along, arrays = _curves(read, frame, where, curves or {}, epochs)
    if metrics is None:
        metrics = tuple(numeric(frame.drop(columns=key)))
    values = {name: column_of(frame, name, where) for name in metrics} | arrays
    return Table(
        where, keys_given, keys, values, along, _seconds(read, frame, where, seconds, along),
        read.checksums,
    )  # fmt: skip


class Files:
    """Reads the files of a table and keeps their SHA-256 in ``checksums``."""

    def __init__(self, folder: Path) -> None:
        self.checksums: dict[str, str] = {}
        self._folder = folder

    def bytes(self, name: str) -> bytes:
        """Reads a whole file; :class:`InputError` if it cannot be read."""
        path = self._folder / name
        content = read_bytes(path)
        self.checksums[name] = hashlib.sha256(content).hexdigest()
        return content

    def frame(self, name: str, text: Iterable[str] = ()) -> pd.DataFrame:
        """Reads a CSV or Parquet file; the columns ``text`` are not converted."""
        path, content = self._folder / name, self.bytes(name)
        try:
            if path.suffix == ".parquet":
                return pd.read_parquet(BytesIO(content))
            if path.suffix == ".gz":
                content = gunzipped(content, f"{path}: its rows")
            _check_last_line(content, path)
            return pd.read_csv(
                BytesIO(content), dtype=dict.fromkeys(text, str), float_precision="round_trip"
            )
        except InputError:
            raise
        except (ValueError, EOFError, OSError, zlib.error) as error:
            # pandas, pyarrow and gzip raise these for damaged files and for files of another kind.
            kind = "Parquet" if path.suffix == ".parquet" else "CSV"
            raise InputError(f"{path}: is no whole {kind} file: {error}") from None

    def array(self, name: str, member: str) -> Floats:
        """Reads an array of an ``.npz`` file as floats."""
        path, content = self._folder / name, self.bytes(name)
        try:
            check_unpacked(BytesIO(content), f"{path}: its arrays")
            with np.load(BytesIO(content)) as arrays:
                if member not in arrays:
                    raise InputError(f"{path}: {unknown('array', member, list(arrays))}")
                found: Floats = arrays[member].astype(float)
                return found
        except InputError:
            raise
        except Exception as error:  # a damaged file may raise any exception
            raise InputError(f"{path}: is no whole .npz file: {error}") from None


def column_of(frame: pd.DataFrame, name: str, source: str) -> Floats:
    """Returns a column of numbers; :class:`InputError` names the first other value."""
    if name not in frame:
        raise InputError(f"{source}: {unknown('column', name, list(frame))}")
    numbers: Floats = pd.to_numeric(frame[name], errors="coerce").to_numpy(float)
    wrong = np.isnan(numbers) & frame[name].notna().to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"{source}: column {name}, row {row + 1}: must be a number, got {frame[name][row]!r}"
        )
    return numbers


def numeric(frame: pd.DataFrame) -> list[str]:
    """Lists the columns that hold numbers."""
    return list(frame.select_dtypes("number"))


def joined(
    frame: pd.DataFrame, file: str, other: pd.DataFrame, other_file: str, column: str
) -> pd.DataFrame:
    """Adds the columns of ``other`` to ``frame``, by equal values of ``column``."""
    for each, name in ((frame, file), (other, other_file)):
        if column not in each:
            raise InputError(f"{name}: join: {unknown('column', column, list(each))}")
    if twice := other[column][other[column].duplicated()].tolist():
        raise InputError(f"{other_file}: join: column {column} holds {twice[0]!r} twice")
    if both := sorted((set(frame) & set(other)) - {column}):
        raise InputError(f"{other_file}: join: {file} has the column {both[0]}, too")
    return frame.merge(other, on=column, how="left", validate="many_to_one")


def _keys(frame: pd.DataFrame, key: str, source: str) -> list[str]:
    if key not in frame:
        raise InputError(f"{source}: key: {unknown('column', key, list(frame))}")
    if frame[key].isna().any():
        row = int(frame[key].isna().to_numpy().argmax())
        raise InputError(f"{source}: column {key}, row {row + 1}: names no architecture")
    return [str(value) for value in frame[key]]


def _curves(
    read: Files,
    frame: pd.DataFrame,
    source: str,
    wanted: Mapping[str, str],
    epochs: tuple[int, ...] | None,
) -> tuple[tuple[int, ...], dict[str, Floats]]:
    arrays = {}
    for metric, written in wanted.items():
        if _PLACE in written and epochs is None:
            epochs = _epochs_of(frame, written)
        array = _curve(read, frame, source, f"curves.{metric}", written, epochs)
        epochs = epochs or tuple(range(1, array.shape[1] + 1))
        arrays[metric] = array
    return (epochs or ()) if arrays else (), arrays


def _curve(
    read: Files,
    frame: pd.DataFrame,
    source: str,
    where: str,
    written: str,
    epochs: tuple[int, ...] | None,
) -> Floats:
    if _PLACE in written:
        parts = [column_of(frame, written.replace(_PLACE, str(e)), source) for e in epochs or ()]
        if not parts:
            raise InputError(f"{source}: {where}: there is no column {written!r} for any epoch")
        return np.stack(parts, axis=1)
    file, colon, member = written.rpartition(":")
    if not colon:
        raise InputError(
            f"{source}: {where}: must be columns, as 'name_{_PLACE}', or an array, as "
            f"'file.npz:name'; got {written!r}"
        )
    array = read.array(file, member)
    if array.ndim != 2 or len(array) != len(frame):
        raise InputError(
            f"{source}: {where}: must have {len(frame)} rows and a column for each epoch, "
            f"got shape {array.shape}"
        )
    return array


def _epochs_of(frame: pd.DataFrame, written: str) -> tuple[int, ...]:
    before, _, after = written.partition(_PLACE)
    found = (str(n).removeprefix(before).removesuffix(after) for n in frame)
    return tuple(
        sorted(int(e) for e in set(found) if e.isdecimal() and f"{before}{e}{after}" in frame)
    )


def _seconds(
    read: Files,
    frame: pd.DataFrame,
    source: str,
    written: str | None,
    epochs: tuple[int, ...],
) -> Any:
    if written is None:
        return None
    if written in frame:
        return evenly(column_of(frame, written, source), epochs)
    if _PLACE not in written and ":" not in written:
        raise InputError(f"{source}: seconds: {unknown('column', written, list(frame))}")
    return _curve(read, frame, source, "seconds", written, epochs or None)


def evenly(total: Floats, epochs: tuple[int, ...]) -> Floats:
    """Divides the seconds of the whole training evenly over the epochs."""
    return np.outer(total, np.array(epochs) / epochs[-1]) if epochs else total


def _check_last_line(content: bytes, path: Path) -> None:
    """Checks the last line, because a truncated file may still look complete."""
    if content.endswith(b"\n"):
        return
    first, last = content.split(b"\n", 1)[0], content.rsplit(b"\n", 1)[-1]
    if last.count(b",") < first.count(b",") and b'"' not in last:
        raise InputError(f"{path}: ends in a torn line: {last[:60].decode(errors='replace')!r}")
