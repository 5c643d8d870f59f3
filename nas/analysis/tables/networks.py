"""The one table: searched, random-search, classic and ensemble rows, from records alone.

It combines campaigns and single trainings. There is one row per architecture or one row per trained
network, always with the same columns.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nas.analysis.tables.columns import WITHOUT, network_columns
from nas.analysis.tables.columns import recorded as recorded_metrics
from nas.analysis.tables.comparability import Groups, setting
from nas.analysis.tables.feasibility import feasibility, limits
from nas.analysis.tables.notes import budgets, details, notes
from nas.analysis.tables.trainings import NAME, is_training, training_metrics, trainings
from nas.analysis.tables.trials import recorded, trials
from nas.analysis.tables.verdict import Rules, prefix, selection, verdicts
from nas.campaigns.store.history import History
from nas.campaigns.store.types import SHARED, Header
from nas.errors import InputError
from nas.metrics import COSTS, METRICS, Catalogue, joined
from nas.registry import unknown
from nas.statistics.hypervolume import pareto_front
from nas.statistics.paired import mean_interval
from nas.words import counted

COLUMNS = network_columns(METRICS)
"""The table's columns where no campaign declares metrics of its own."""


def campaign_table(
    folders: Path | Sequence[Path],
    every_trial: bool = False,
    *,
    per_seed: bool = False,
    by: str | None = None,
    cost: str | None = None,
) -> pd.DataFrame:
    """Makes the table of campaigns and single trainings, by comparability group, best first.

    Args:
        folders: folders of campaigns, of which only ``records.jsonl`` is read, and folders of
            `nas train`, of which only ``row.json`` is read.
        every_trial: whether to add a row for each completed search trial that was not retrained. If
            no row was retrained, these rows are always shown.
        per_seed: whether there is one row per trained network instead of one per architecture; rank
            and front remain those of the architecture.
        by: the column for rank and front: the task's primary metric on the validation images (the
            default), on the test images, or in the search. Rows that were not retrained have only
            the last one and are ranked by it.
        cost: the cost for the front, a metric that is minimised; by default the first one that is
            an objective of the first campaign, or macs.

    Returns the columns of :func:`nas.analysis.tables.columns.network_columns`. ``attrs["notes"]``
    holds what a reader must know, the verdicts first; ``attrs["verdicts"]`` holds the verdicts in
    words alone (:func:`nas.analysis.tables.verdict.verdicts`), ``attrs["details"]`` those notes
    that limit no conclusion, ``attrs["cost"]`` the cost of the front, and ``attrs["metrics"]`` the
    metrics that are not built in.

    Raises :class:`InputError` where there are no records, they are corrupt, no trial has completed,
    or networks are of several tasks.
    """
    folders = [folders] if isinstance(folders, Path) else list(folders)
    metrics = _metrics(folders)
    by = by or metrics.validation
    costs = _costs(metrics)
    scores = [metrics.validation, metrics.test, metrics.search]
    for option, given, allowed in (("by", by, scores), ("cost", cost, costs)):
        if given is not None and given not in allowed:
            raise InputError(f"--{option}: {unknown('column', given, allowed)}")
    alone = [folder for folder in folders if is_training(folder)]
    groups, parts = Groups(), []
    told: list[str] = []
    made: list[str] = []
    rules: dict[str, Rules] = {}
    labelled = dict(zip(labels(folders), folders, strict=True))
    for label, folder in labelled.items():
        if folder in alone:
            continue
        _, history = recorded(folder)
        specification = history.header.specification
        networks = _networks(folder, every_trial, metrics)
        cost = cost or _cost(specification, costs)
        letters = _letters(groups, history.header, networks, _checksum(history))
        rules[label] = _rules(specification, costs, cost)
        networks = networks.assign(
            campaign=label,
            group=letters,
            mistakes=[_mistakes(history, trial) for trial in networks["trial"]],
            further_costs=[history.asks[trial].further_costs for trial in networks["trial"]],
        )
        parts.append(networks.assign(**feasibility(networks, rules[label].limits)))
        told += [prefix(label) + note for note in notes(history)]
        made += [prefix(label) + note for note in details(history)]
    if alone:
        label = NAME if parts else ""
        networks, said = trainings(alone, groups, metrics)
        parts.append(networks.assign(campaign=label))
        told += [prefix(label) + note for note in said]
    networks = pd.concat(parts, ignore_index=True)
    if not rules:
        networks["breaks"] = None  # no campaign limits anything
    cost = cost or "macs"
    ranked = _ranked(_aggregated(networks, metrics), by, cost, metrics)
    places = ranked[[*_KEYS, "rank", "pareto"]].reset_index(names="place")
    each = places.merge(
        networks.assign(seeds=(networks["stage"] == "final").astype("int64")), on=_KEYS
    )
    each = each.sort_values(["group", "rank", "seed"], kind="stable", ignore_index=True)
    each.attrs["metrics"] = ranked.attrs["metrics"] = metrics.definition()
    table = _typed(each if per_seed else ranked, metrics)
    judged = verdicts(each.sort_values(["place", "seed"]), rules).attrs
    campaigns = {label: folder for label, folder in labelled.items() if label in rules}
    table.attrs |= {"verdicts": judged, "cost": cost}
    table.attrs["details"] = [*made, *_ranking_notes(ranked, by, cost)]
    table.attrs["notes"] = [
        *(f"{words['sentence']}: {words['evidence']}" for words in judged["words"]),
        *judged["notes"],
        *selection(ranked),
        *budgets(campaigns),
        *groups.notes(),
        *told,
        *_caution(by, metrics),
        *table.attrs["details"],
    ]
    return table


def labels(folders: Sequence[Path]) -> list[str]:
    """Names the folders by their last parts, or by whole paths; a single folder has no name."""
    if len(folders) == 1:
        return [""]
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise InputError(f"a folder is given twice: {', '.join(map(str, folders))}")
    names = [folder.resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]


_KEYS = ["campaign", "name", "group"]


def _metrics(folders: Sequence[Path]) -> Catalogue:
    """The metrics of all folders together."""
    found = []
    for folder in folders:
        if is_training(folder):
            found.append((folder, training_metrics(folder)))
        else:
            _, history = recorded(folder)
            found.append((folder, recorded_metrics(history.header.specification)))
    return joined(found)


def _costs(metrics: Catalogue) -> list[str]:
    """Lists the costs against which accuracy may be compared: minimised, but not predicted."""
    predicted = {metrics.validation, metrics.test, *metrics.on_predictions}
    return [
        name
        for name, metric in metrics.of("networks").items()
        if metric.direction == "minimize" and name not in predicted
    ]


def _rules(specification: dict[str, Any], costs: Sequence[str], cost: str) -> Rules:
    """Returns what a campaign's specification says about its comparisons.

    Args:
        specification: the recorded specification.
        costs: the metrics that are costs.
        cost: the one that is compared if the campaign names none.
    """
    most = limits(specification)
    objectives = [each["metric"] for each in specification.get("objectives", [])]
    traded = [name for name in objectives if name in costs]
    named = dict.fromkeys([*traded, *(name for name in most if name in costs)])
    searched = {key: specification.get(key) for key in ("space", "constraints")}
    return Rules(most, [*named] or [cost], bool(traded), json.dumps(searched, sort_keys=True))


def _cost(specification: dict[str, Any], costs: Sequence[str]) -> str:
    """Returns the cost against which a campaign compares accuracy."""
    metrics = [objective["metric"] for objective in specification.get("objectives", [])]
    return next((metric for metric in metrics if metric in costs), "macs")


def _networks(folder: Path, every_trial: bool, metrics: Catalogue) -> pd.DataFrame:
    """Returns the completed trials for the table, with the columns that a row needs."""
    asked = trials(folder)
    done = asked[asked["status"] == "completed"]
    if done.empty:
        raise InputError(f"{folder}: {_nothing(asked)}")
    final, searched = done[done["stage"] == "final"], done[done["stage"] == "search"]
    seen = dict(zip(searched["trial"], searched[metrics.validation], strict=True))
    final = final.assign(**{metrics.search: final["label"].map(seen).astype("float64")})
    searched = searched[~searched["label"].isin(final["label"])].assign(
        **{metrics.search: searched[metrics.validation], metrics.validation: np.nan}
    )
    taken = pd.concat([final, searched]) if every_trial or final.empty else final
    return taken.rename(columns={"label": "name"})


def _checksum(history: History) -> str | None:
    """Returns the campaign's split checksum, if the evaluator reports it."""
    told = (result.metrics.get("data_checksum") for result in history.results.values())
    return next((checksum for checksum in told if isinstance(checksum, str)), None)


def _mistakes(history: History, trial: str) -> str | None:
    """Returns the recorded prediction for each test image: see :mod:`nas.tasks.mistakes`."""
    found: Any = history.results[trial].metrics
    for key in ("evaluations", "single", "test", "mistakes"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else None


def _letters(
    groups: Groups, header: Header, networks: pd.DataFrame, checksum: str | None
) -> list[str]:
    @cache
    def letter(stage: str, recipe: str, fidelity: int) -> str:
        same = (int(fidelity), checksum, header.data)
        return groups.letter(setting(header.specification, stage, recipe, *same))

    # What was not retrained has a group of its own.
    stages = networks["stage"].mask(networks["kind"] == SHARED, SHARED)
    columns = (stages, networks["recipe"].fillna(""), networks["fidelity"].fillna(0))
    return [letter(*each) for each in zip(*columns, strict=True)]


def _nothing(asked: pd.DataFrame) -> str:
    """Says why there is no row."""
    failed = asked[asked["status"] == "failed"]
    if failed.empty:
        return f"no results yet: {counted(len(asked), 'trial')} started, none has ended"
    causes = ", ".join(
        f"{cause} {count}" for cause, count in failed["cause"].value_counts().items()
    )
    last = str(failed["error"].iloc[0]).rstrip().rpartition("\n")[2]
    return f"no trial has completed: {len(failed)} failed ({causes}); the first: {last}"


def _aggregated(networks: pd.DataFrame, metrics: Catalogue) -> pd.DataFrame:
    """One row per architecture: means, deviations and intervals over its networks."""
    same = ["kind", *COSTS, WITHOUT, metrics.search, "recipe", "fingerprint", "breaks"]
    told = [name for name in metrics.of("networks") if name not in COSTS]
    networks = networks.reindex(columns=list(dict.fromkeys([*networks.columns, *told])))
    groups = networks.groupby(_KEYS, sort=False)
    table = groups[same].first().join(groups[told].mean())
    table["seeds"] = (networks["stage"] == "final").groupby([networks[k] for k in _KEYS]).sum()
    deviations = groups[told].std()
    table["validation_std"] = deviations[metrics.validation]
    table["test_std"] = deviations[metrics.test]
    low, high = mean_interval(table[metrics.test], table["test_std"], groups[metrics.test].count())
    # With few seeds the interval may extend beyond possible values.
    least, most = metrics.primary.bounds
    table["test_low"], table["test_high"] = np.maximum(low, least), np.minimum(high, most)
    return table.reset_index()


def _typed(table: pd.DataFrame, metrics: Catalogue) -> pd.DataFrame:
    table["recipe"] = table["recipe"].map(_in_words, na_action="ignore")
    dtypes = {name: dtype for name, (dtype, _) in network_columns(metrics).items()}
    return table.reindex(columns=list(dtypes)).astype(dtypes)


def _in_words(recipe: str) -> str:
    return ", ".join(f"{key} {json.dumps(value)}" for key, value in json.loads(recipe).items())


def _ranked(table: pd.DataFrame, by: str, cost: str, metrics: Catalogue) -> pd.DataFrame:
    """Adds rank and front within each comparability group and sorts by group, best first."""
    # Means are rounded, so that rounding errors do not decide between equal ones.
    seen = table[by].where(table["seeds"] > 0, table[metrics.search]).round(12)
    value = metrics.primary.flipped(seen)
    groups = table["group"]
    table["rank"] = value.groupby(groups).rank(method="min")
    table["pareto"] = False
    for rows in table.groupby("group").groups.values():
        points = np.column_stack([table.loc[rows, cost].astype("float64"), value[rows]])
        table.loc[rows, "pareto"] = pareto_front(points)
    return table.sort_values(["group", "rank"], kind="stable", ignore_index=True)


def _ranking_notes(table: pd.DataFrame, by: str, cost: str) -> Iterator[str]:
    among = ", within each group" if table["group"].nunique() > 1 else ""
    yield f"rank by {by}, pareto against {cost}{among}"


def _caution(by: str, metrics: Catalogue) -> Iterator[str]:
    if by == metrics.test:
        yield "a network that is selected by this rank is fitted to the test images"
