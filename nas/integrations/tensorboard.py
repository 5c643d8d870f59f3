"""Writes a campaign's scalars for TensorBoard."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.summary import scalar

from nas.analysis.tables.columns import metrics_of
from nas.analysis.tables.trials import curves, trials
from nas.errors import InputError
from nas.files import output_folder


def write_scalars(folder: Path, out: Path) -> int:
    """Writes one run per search and one per trial with a learning curve; returns their number.

    The run of a search shows the task's primary metric of its trials on the validation images, and
    the best so far, by trial number. The run of a trial shows its losses and that metric by epoch.

    Args:
        folder: the folder of the campaign.
        out: the folder to write; it is created if it is missing and must be empty.

    Raises :class:`InputError` if there are no records or the folder is not empty, and
    :class:`nas.errors.CampaignError`, without a folder, if it cannot be written.
    """
    asked, points = trials(folder), curves(folder)
    metrics = metrics_of(asked)
    value, better = metrics.validation, metrics.primary.flipped
    if out.exists() and any(out.iterdir()):
        raise InputError(f"--out: {out}: must be an empty folder, so that runs are not mixed")
    searched = asked[(asked["stage"] == "search") & (asked["status"] == "completed")]
    runs = 0
    with output_folder(out) as made:
        for name, rows in searched.groupby("search"):
            best = better(better(rows[value]).cummin())
            numbers = rows["number"]
            _write(
                made / str(name),
                [
                    *((value, *point) for point in zip(rows[value], numbers, strict=True)),
                    *((f"best_{value}", *point) for point in zip(best, numbers, strict=True)),
                ],
            )
            runs += 1
        for name, rows in points.groupby("trial", sort=False):
            shown = ("train_loss", *metrics.curve)
            _write(
                made / str(name),
                ((tag, row[tag], row["epoch"]) for row in rows.to_dict("records") for tag in shown),
            )
            runs += 1
    return runs


def _write(run: Path, scalars: Iterable[tuple[str, float, int]]) -> None:
    """Writes the tags, values and steps of one run; an OSError says that the disk is full.

    tensorboardX's own ``SummaryWriter`` writes in a thread, where such an error would be lost.
    """
    run.mkdir()
    with closing(EventsWriter(str(run / "events"))) as file:
        for tag, value, step in scalars:
            file.write_event(
                Event(wall_time=time.time(), step=int(step), summary=scalar(tag, value))
            )
