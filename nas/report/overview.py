"""Describes campaigns in one row each: state, best network, costs and dates."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from nas.analysis.plots.campaign import Campaign, read
from nas.analysis.tables.trials import recorded
from nas.errors import InputError
from nas.escape import one_line
from nas.report import specification
from nas.report.data import column
from nas.words import counted

FILE_NAME = "report.html"
"""The name of a report in the folder of its campaign."""

_COLUMNS = {
    "name": ("campaign", "text", "the folder of the campaign", "card"),
    "state": ("state", "text", "finished, or not: waiting, running or stopped", "card"),
    "value": ("best", "fraction", "the value of the best searched network", "card"),
    "metric": ("of", "text", "the metric of this value", "first"),
    "best": ("network", "text", "the best searched network", "more"),
    "macs": ("MACs", "count", "the multiply-accumulates of the best searched network", "card"),
    "trials": ("trials", "count", "how many trials have a result", "first"),
    "hours": ("hours", "number", "the time that all trials took in their workers", "first"),
    "last": ("last result", "text", "when the last result was recorded, in UTC", "first"),
    "params": ("params", "count", "the parameters of the best searched network", "more"),
    "failed": ("failed", "count", "how many trials have failed", "more"),
    "data": ("about", "text", "data, space, searcher, objectives and constraints", "more"),
}


def overview(folders: Mapping[str, Path]) -> list[dict[str, Any]]:
    """Returns the columns of a table with one row per campaign, in the page's form.

    Args:
        folders: the folder of each campaign, by the name that the table shows.
    """
    rows = [{"name": name, **_row(folder, state(folder))} for name, folder in folders.items()]
    return [
        column(name, title, form, meaning, place, [row.get(name) for row in rows])
        for name, (title, form, meaning, place) in _COLUMNS.items()
    ]


def state(folder: Path) -> str:
    """Returns a text that changes when the records change."""
    try:
        found = (folder / "records.jsonl").stat()
    except OSError:
        return ""
    return f"{found.st_mtime_ns}-{found.st_size}"


@lru_cache(maxsize=1024)
def _row(folder: Path, now: str) -> dict[str, Any]:
    if not now:
        return {"state": "not started"}
    try:
        _, history = recorded(folder)
        campaign = read(folder)
    except (InputError, OSError) as error:
        return {"state": f"cannot be read: {one_line(str(error))}"}
    told = specification.resolved(folder)
    waits = any(True for _ in specification.unfinished(campaign.trials, told))
    last = max((each.time for each in history.results.values() if each.time), default=None)
    trials = campaign.trials
    return {
        "state": "not finished" if waits else "finished",
        "trials": len(history.results),
        "failed": int((trials["status"] == "failed").sum()),
        "hours": round(float(trials["seconds"].sum()) / 3600, 3),
        "last": None if last is None else f"{datetime.fromtimestamp(last, UTC):%Y-%m-%d %H:%M}",
        "data": specification.in_one_line(history.header, told),
        **_best(campaign),
    }


def _best(campaign: Campaign) -> dict[str, Any]:
    """Returns the best searched network, and its test value if it was retrained."""
    name, metrics, trials = campaign.best, campaign.metrics, campaign.trials
    if name is None:
        return {}
    own = trials[(trials["label"] == name) & (trials["stage"] == "final")]
    test = own[metrics.test].mean()
    searched = trials[trials["trial"] == name].iloc[0]
    words = f"{metrics[metrics.test].in_words}, {counted(own[metrics.test].count(), 'seed')}"
    if pd.isna(test):
        first = campaign.objectives[0].metric
        known = metrics[first].in_words if first == metrics.validation else first.replace("_", " ")
        test, words = campaign.values().get(name), f"{known}, search"
    return {
        "best": name,
        "value": None if test is None else round(float(test), 6),
        "metric": words,
        "macs": int(searched["macs"]),
        "params": int(searched["params"]),
    }
