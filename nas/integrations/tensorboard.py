"""Writes a campaign's scalars for TensorBoard."""

from __future__ import annotations

from pathlib import Path

from tensorboardX import SummaryWriter

from nas.analysis.tables.columns import metrics_of
from nas.analysis.tables.trials import curves, trials
from nas.errors import InputError


def write_scalars(folder: Path, out: Path) -> int:
    """Writes one run per search and one per trial with a learning curve; returns their number.

    The run of a search shows the task's primary metric of its trials on the validation images, and
    the best so far, by trial number. The run of a trial shows its losses and that metric by epoch.

    Args:
        folder: the folder of the campaign.
        out: the folder to write; it is created if it is missing and must be empty.
    """
    asked, points = trials(folder), curves(folder)
    metrics = metrics_of(asked)
    value, better = metrics.validation, metrics.primary.flipped
    if out.exists() and any(out.iterdir()):
        raise InputError(f"--out: {out}: must be an empty folder, so that runs are not mixed")
    searched = asked[(asked["stage"] == "search") & (asked["status"] == "completed")]
    runs = 0
    for name, rows in searched.groupby("search"):
        with SummaryWriter(str(out / str(name))) as writer:
            best = better(better(rows[value]).cummin())
            for row, incumbent in zip(rows.to_dict("records"), best, strict=True):
                writer.add_scalar(value, row[value], row["number"])
                writer.add_scalar(f"best_{value}", incumbent, row["number"])
        runs += 1
    for name, rows in points.groupby("trial", sort=False):
        with SummaryWriter(str(out / str(name))) as writer:
            for row in rows.to_dict("records"):
                for scalar in ("train_loss", *metrics.curve):
                    writer.add_scalar(scalar, row[scalar], row["epoch"])
        runs += 1
    return runs
