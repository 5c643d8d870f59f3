"""Reads the row of a single training, which ``nas train`` writes into ``row.json``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from nas.campaigns.store.defaults import recorded_specification
from nas.errors import InputError
from nas.files import read_json
from nas.metrics import Catalogue
from nas.words import counted

Row = dict[str, Any]


@contextmanager
def as_written(folder: Path) -> Iterator[None]:
    """Raises :class:`InputError` if a row that is used inside is not what `nas train` writes."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{folder / 'row.json'}: is not what nas train writes ({error!r}); train again, into "
            "another folder"
        ) from None


def read_row(folder: Path) -> Row | None:
    """Reads the row of the training in this folder; None before it has ended.

    Raises :class:`InputError` if the file is not a JSON object.
    """
    path = folder / "row.json"
    if not path.exists():
        return None
    row = read_json(path)
    if not isinstance(row, dict):
        raise InputError(f"{path}: must hold a JSON object, holds a {type(row).__name__}")
    if row.get("kind") == "found":  # the word of earlier versions
        row["kind"] = "searched"
    if "images" not in row:  # earlier versions recorded the data set's fingerprint elsewhere
        with suppress(OSError, ValueError, KeyError, TypeError):
            resolved = read_json(folder / "resolved.json")
            row["images"] = recorded_specification(resolved)["images"]
    return row


def tells(row: Row, metric: str) -> bool:
    """Tells if a metric says anything: of up to five classes, all are among the five first."""
    return metric != "top5" or len((row["test"] or row["validation"]).get("per_class", ())) > 5


def summary(row: Row) -> str:
    """The row as a small table."""
    measured = [m.name for m in Catalogue.read(row.get("metrics")).task if tells(row, m.name)]
    shown = sorted(measured, key=lambda name: name != "loss")
    epochs = len(row["curve"])
    lines = [
        f"{row['name']} on {row['data']['name']}, seed {row['seed']}: {row['params']:,} parameters,"
        f" {row['macs']:,} MACs, {counted(epochs, 'epoch')} in "
        f"{row['train_seconds']:,.0f} s, recipe {row['recipe_fingerprint']}",
        " ".join(f"{column:>17}" for column in (row["protocol"], *shown)),
    ]
    for part in ("validation", "test"):
        if not row[part]:  # the labels of the test part are unknown
            continue
        values = (f"{row[part][column]:17.4f}" for column in shown)
        lines.append(" ".join([f"{part:>17}", *values]))
    if chance := row["test"].get("chance"):
        values = (f"{chance[c]:17.4f}" if c in chance else " " * 17 for c in shown)
        lines.append(" ".join([f"{'chance, test':>17}", *values]))
    return "\n".join(lines)
