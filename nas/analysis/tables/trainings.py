"""Makes table rows of the trainings of `nas train`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nas.analysis.tables.columns import WITHOUT, flops_without, trial_columns
from nas.analysis.tables.comparability import Groups, Setting, setting
from nas.analysis.tables.notes import initializations
from nas.analysis.tables.trials import frame
from nas.campaigns.spec.specification import flat
from nas.errors import InputError
from nas.jobs.row import Row, as_written, read_row, tells
from nas.metrics import COSTS, Catalogue
from nas.words import counted

NAME = "nas train"
"""The text in place of a campaign's name."""


def is_training(folder: Path) -> bool:
    """Tells if a folder holds a finished training and no campaign."""
    return (folder / "row.json").exists() and not (folder / "records.jsonl").exists()


def training_metrics(folder: Path) -> Catalogue:
    """Returns the metrics of a training's task."""
    return Catalogue.read((read_row(folder) or {}).get("metrics"))


def trainings(
    folders: Sequence[Path], groups: Groups, metrics: Catalogue
) -> tuple[pd.DataFrame, list[str]]:
    """Returns one row per training, and notes on them.

    Trainings with the same name and comparability group are the seeds of one architecture, like
    those of a campaign's final stage.

    Args:
        folders: folders for which :func:`is_training` is true.
        groups: assigns letters to comparability groups. Besides data, split and recipe, a group
            depends on initial weights and on the evaluation, if they differ from a campaign's.
        metrics: the metrics for which the table has columns.

    The columns are those of a campaign's networks. Raises :class:`InputError` if a ``row.json`` was
    not written by `nas train`, or if a training is given twice.
    """
    rows = [_row(folder, groups, metrics) for folder in folders]
    table = frame(rows, trial_columns(metrics)).rename(columns={"label": "name"})
    table["group"] = [row["group"] for row in rows]
    table["mistakes"] = [row["mistakes"] for row in rows]
    table[metrics.search] = np.nan  # there was no search
    table["name"] = _told_apart(table)
    for _, same in table.groupby(["name", "group", "seed"]):
        if len(same) > 1:
            raise InputError(
                f"{' and '.join(same['trial'])}: hold the same training, {same['name'].iloc[0]} "
                f"with seed {same['seed'].iloc[0]}: give one of them"
            )
    return table, list(_notes(table, rows))


def _row(folder: Path, groups: Groups, metrics: Catalogue) -> dict[str, Any]:
    """Returns the columns of a training and the values for its notes."""
    row = read_row(folder)
    assert row is not None
    same = ("kind", "fingerprint", "seed", *COSTS, "train_seconds")
    with as_written(folder):
        by_reference = row["recipe"].get("initialization") == "reference"
        return {
            **{column: row[column] for column in same},
            WITHOUT: flops_without(row, {}),
            "trial": str(folder),
            "label": row["name"],
            "stage": "final",
            "status": "completed",
            metrics.validation: row["validation"][metrics.primary.name],
            metrics.test: row["test"].get(metrics.primary.name),
            **_evaluated(row, metrics),
            "mistakes": row["test"].get("mistakes"),
            "group": groups.letter(_setting(row)),
            "told": f"data {row['data']['name']}, split seed {row['data']['split']['seed']}, "
            f"recipe {row['recipe_fingerprint']}, {row['recipe']['epochs']} epoch(s)",
            "initialization": row["reference_initialization"] if by_reference else None,
        }


def _evaluated(row: Row, metrics: Catalogue) -> dict[str, float]:
    """Returns the columns of the training's evaluation protocol."""
    return {
        name: row[part][metric]
        for name, (protocol, part, metric) in metrics.evaluated.items()
        if protocol == row["protocol"] and metric in row[part] and tells(row, metric)
    }


def _setting(row: Row) -> Setting:
    sections: dict[str, Any] = {key: row[key] for key in ("data", "task", "recipe") if key in row}
    found = setting(sections, "final", images=row.get("images"))
    if row["start"] is not None:
        found |= flat({key: row["start"][key] for key in ("weights", "freeze")}, "start")
    return found if row["protocol"] == "single" else {**found, "protocol": row["protocol"]}


def _told_apart(table: pd.DataFrame) -> pd.Series:
    """Returns the names, with fingerprints if architectures share a name."""
    several = table.groupby("name")["fingerprint"].transform("nunique") > 1
    return table["name"].where(~several, table["name"] + " " + table["fingerprint"].str[:8])


def _notes(table: pd.DataFrame, rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    counts = table.groupby(["name", "group"]).size()
    trained = f"{counted(len(table), 'training')} by nas train, test read once by each"
    if (counts == 1).all():
        yield f"{trained}; one seed per row: differences within its noise cannot be told apart"
    elif counts.nunique() == 1:
        yield trained
    else:
        yield f"{trained}; rows have different numbers of seeds"
    for letter, told in {row["group"]: row["told"] for row in rows}.items():
        yield f"group {letter}: {told}"
    by_reference = [row for row in rows if row["initialization"] is not None]
    if by_reference:
        yield initializations(
            {f"{row['label']} {row['initialization']}"
             for row in by_reference if row["kind"] == "classic"}
        )  # fmt: skip
