"""Collects what a page about several campaigns shows, as plain values.

A network is named CAMPAIGN:NETWORK, as in references.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os.path import relpath
from pathlib import Path
from textwrap import shorten
from typing import Any

import pandas as pd

from nas.analysis.tables.columns import metrics_of
from nas.analysis.tables.feasibility import limits
from nas.analysis.tables.networks import campaign_table, labels
from nas.analysis.tables.trials import recorded, trials
from nas.report import data, outcome, specification
from nas.report.drawings import DRAWN, Drawing, drawings, genotypes
from nas.report.overview import FILE_NAME, overview

_LONGEST = 200
"""How many characters of a setting stand beside those of other campaigns."""


def several(folders: Sequence[Path], beside: Path) -> dict[str, Any]:
    """Collects the values for the template of a page about several campaigns.

    Args:
        folders: two folders or more, each with the records of a campaign.
        beside: the folder of the page, from which it links to reports that are there.

    Raises :class:`nas.errors.InputError` if a folder has no readable records or no completed trial,
    or if their tasks differ.
    """
    labelled = dict(zip(labels(folders), folders, strict=True))
    histories = {label: recorded(folder)[1] for label, folder in labelled.items()}
    table = campaign_table(folders)
    metrics, attrs = metrics_of(table), table.attrs
    pictures: dict[str, Drawing] = {}
    members: dict[str, Any] = {}
    leaders, undrawn = [], []
    for label, rows in table.groupby("campaign", sort=False):
        rows.attrs = attrs
        own = outcome.leaders(rows)
        for each in own[:1]:
            known = {"title": f"{label}: {each['title']}", "name": _name(label, each["name"])}
            leaders.append({**each, **known})
        single = rows[rows["kind"] != "ensemble"]["name"].head(max(1, DRAWN // len(labelled)))
        drawn, fault = drawings(labelled[label], histories[label], single)
        pictures |= {_name(label, name): each for name, each in drawn.items()}
        members |= {_name(label, n): each for n, each in genotypes(histories[label], drawn).items()}
        undrawn += [f"{label}: {fault}"] if fault else []
    every = pd.concat([_trials(folder, label) for label, folder in labelled.items()])
    every.attrs = attrs
    table["name"] = [_name(*each) for each in zip(table["campaign"], table["name"], strict=True)]
    verdicts = attrs["verdicts"]
    told = attrs["notes"][sum(map(len, verdicts.values())) :]
    most = [limits(history.header.specification) for history in histories.values()]
    return {
        "name": " and ".join(labelled) if len(labelled) == 2 else ", ".join(labelled),
        "compared": " ".join(map(str, folders)),
        "leaders": leaders,
        "rule": "",
        "partial": [],
        "verdicts": verdicts["words"],
        "missing": verdicts["notes"],
        "notes": [note for note in told if note not in attrs["details"]],
        "details": attrs["details"],
        "undrawn": "; ".join(undrawn),
        "drawings": pictures,
        "specifications": _side_by_side(labelled),
        "campaigns": list(labelled),
        "data": {
            "state": "",
            "folder": "",
            "links": _links(labelled, beside),
            "campaigns": overview(labelled),
            "rows": [*data.rows(table), _of(table)],
            "trials": [*data.trials(every), _of(every)],
            "incumbents": _incumbents(labelled),
            "curves": {
                _name(label, trial): curve
                for label, history in histories.items()
                for trial, curve in data.curves(history, metrics).items()
            },
            "metrics": data.measured(metrics, _shared(most)),
            "labels": data.labels(every),
            "drawings": {name: each._asdict() for name, each in pictures.items()},
            "genotypes": members,
        },
    }


def _name(label: Any, name: Any) -> str:
    return f"{label}:{name}"


def _trials(folder: Path, label: str) -> pd.DataFrame:
    """Returns the trials of a campaign, whose names tell the campaign."""
    own = trials(folder).assign(campaign=label)
    for name in ("trial", "label", "parent", "duplicate_of"):
        own[name] = (f"{label}:" + own[name]).where(own[name].notna(), own[name])
    return own


def _of(table: pd.DataFrame) -> dict[str, Any]:
    """Returns the column that says to which campaign a row belongs; names show it already."""
    meaning = "the campaign of the network"
    return data.column("campaign", "campaign", "text", meaning, "never", list(table["campaign"]))


def _incumbents(labelled: Mapping[str, Path]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    searches = {}
    for label, folder in labelled.items():
        own = data.incumbents(folder)
        if found and own["metric"] != found["metric"]:
            continue  # another objective has no place on the same axis
        found = found or own
        for search, curve in own["searches"].items():
            by = [_name(label, trial) for trial in curve["by"]]
            searches[_name(label, search)] = {**curve, "by": by, "campaign": label}
    return {**found, "searches": searches}


def _shared(most: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Returns the limits that all campaigns have."""
    first, *others = most
    return {
        name: limit
        for name, limit in first.items()
        if all(other.get(name) == limit for other in others)
    }


def _side_by_side(labelled: Mapping[str, Path]) -> list[tuple[str, list[str], bool]]:
    """Returns what each campaign asked for: a term, its words for each, and whether they differ."""
    each = [
        dict(specification.summary(recorded(folder)[1].header, specification.resolved(folder)))
        for folder in labelled.values()
    ]
    terms = dict.fromkeys(term for facts in each for term in facts)
    words = {term: [facts.get(term, "") for facts in each] for term in terms}
    return [
        (term, [shorten(one, _LONGEST, placeholder=" …") for one in said], len(set(said)) > 1)
        for term, said in words.items()
    ]


def _links(labelled: Mapping[str, Path], beside: Path) -> dict[str, str]:
    """Returns the addresses of the campaigns' own reports, where they have been written."""
    return {
        label: Path(relpath(folder / FILE_NAME, beside)).as_posix()
        for label, folder in labelled.items()
        if (folder / FILE_NAME).exists()
    }
