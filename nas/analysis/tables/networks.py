"""The one table: searched, random-search, classic and ensemble rows, from records alone.

One campaign or several, single trainings too, an architecture a row or a trained network a row:
always the same columns.
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
from nas.analysis.tables.comparability import Groups, conditions
from nas.analysis.tables.feasibility import breaks
from nas.analysis.tables.notes import notes
from nas.analysis.tables.trainings import NAME, is_training, training_metrics, trainings
from nas.analysis.tables.trials import recorded, trials
from nas.analysis.tables.verdict import budgets, prefix, selection, verdicts
from nas.campaigns.store.history import History
from nas.errors import InputError
from nas.metrics import COSTS, METRICS, Catalogue, joined
from nas.registry import unknown
from nas.statistics.hypervolume import pareto_front
from nas.statistics.paired import mean_interval

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
    """The table of campaigns and single trainings: rows of equal conditions together, best first.

    Args:
        folders: of campaigns, of which only ``records.jsonl`` is read, and of `nas train`, of which
            only ``row.json`` is.
        every_trial: add a row for each completed search trial that was not retrained. Without any
            retrained row they are shown in any case.
        per_seed: a row for each network, in place of each architecture; rank and front stay the
            architecture's.
        by: the column of rank and front: the task's primary metric on the validation images (the
            default), on the test images, or as the search saw it. Rows that were not retrained have
            only the last, and are ranked by that.
        cost: of the front, a metric that is minimised. By default the first that is an objective
            of the first campaign, or macs.

    Returns the columns of :func:`nas.analysis.tables.columns.network_columns`; ``attrs["notes"]``
    holds what a reader must know, ``attrs["metrics"]`` the metrics that are not built in. Raises
    :class:`InputError` where there are no records, they are corrupt, no trial has completed, or
    networks are of several tasks.
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
    spent: list[str] = []
    for label, folder in zip(_labels(folders), folders, strict=True):
        if folder in alone:
            continue
        _, history = recorded(folder)
        specification = history.header.specification
        networks = _networks(folder, every_trial, metrics)
        cost = cost or _cost(specification, costs)
        letters = _letters(groups, specification, networks, _checksum(history))
        broken = breaks(networks, specification.get("constraints", {}))
        parts.append(networks.assign(campaign=label, conditions=letters, breaks=broken))
        spent += [prefix(label) + note for note in budgets(folder)]
        told += [prefix(label) + note for note in notes(history)]
    if alone:
        label = NAME if parts else ""
        networks, said = trainings(alone, groups, metrics)
        parts.append(networks.assign(campaign=label))
        told += [prefix(label) + note for note in said]
    networks = pd.concat(parts, ignore_index=True)
    networks["breaks"] = networks["breaks"].replace("", None) if "breaks" in networks else None
    cost = cost or "macs"
    ranked = _ranked(_aggregated(networks, metrics), by, cost, metrics)
    each = ranked[[*_KEYS, "rank", "pareto"]].merge(
        networks.assign(seeds=(networks["stage"] == "final").astype("int64")), on=_KEYS
    )
    each = each.sort_values(["conditions", "rank", "seed"], kind="stable", ignore_index=True)
    each.attrs["metrics"] = ranked.attrs["metrics"] = metrics.definition()
    table = _typed(each if per_seed else ranked, metrics)
    table.attrs["notes"] = [
        *verdicts(each).attrs["notes"],
        *selection(ranked),
        *spent,
        *groups.notes(),
        *told,
        *_ranking_notes(ranked, by, cost, metrics),
    ]
    return table


_KEYS = ["campaign", "name", "conditions"]


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
    """The columns that accuracy may be weighed against: what is minimised, and not predicted."""
    predicted = {metrics.validation, metrics.test, *metrics.on_predictions}
    return [
        name
        for name, metric in metrics.of("networks").items()
        if metric.direction == "minimize" and name not in predicted
    ]


def _cost(question: dict[str, Any], costs: Sequence[str]) -> str:
    """What a campaign weighs accuracy against."""
    metrics = [objective["metric"] for objective in question.get("objectives", [])]
    return next((metric for metric in metrics if metric in costs), "macs")


def _labels(folders: Sequence[Path]) -> list[str]:
    """Names that tell the folders apart: their last parts, or all of the path; one needs none."""
    if len(folders) == 1:
        return [""]
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise InputError(f"a folder is given twice: {', '.join(map(str, folders))}")
    names = [folder.resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]


def _networks(folder: Path, every_trial: bool, metrics: Catalogue) -> pd.DataFrame:
    """The completed trials that are of the table, with the columns that a row needs."""
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
    """The split's, as far as the evaluator tells it; a campaign has one."""
    told = (result.metrics.get("data_checksum") for result in history.results.values())
    return next((checksum for checksum in told if isinstance(checksum, str)), None)


def _letters(
    groups: Groups, question: dict[str, Any], networks: pd.DataFrame, checksum: str | None
) -> list[str]:
    @cache
    def letter(stage: str, recipe: str, fidelity: int) -> str:
        return groups.letter(conditions(question, stage, recipe, int(fidelity), checksum))

    columns = (networks["stage"], networks["recipe"].fillna(""), networks["fidelity"].fillna(0))
    return [letter(*each) for each in zip(*columns, strict=True)]


def _nothing(asked: pd.DataFrame) -> str:
    """Why there is no row."""
    failed = asked[asked["status"] == "failed"]
    if failed.empty:
        return f"no results yet: {len(asked)} trials are asked, none has ended"
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
    # With few seeds the interval is wider than what is possible.
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
    """With rank and front among rows of equal conditions; these together, the best first."""
    value = metrics.primary.flipped(table[by].where(table["seeds"] > 0, table[metrics.search]))
    groups = table["conditions"]
    table["rank"] = value.groupby(groups).rank(method="min")
    table["pareto"] = False
    for rows in table.groupby("conditions").groups.values():
        points = np.column_stack([table.loc[rows, cost].astype("float64"), value[rows]])
        table.loc[rows, "pareto"] = pareto_front(points)
    return table.sort_values(["conditions", "rank"], kind="stable", ignore_index=True)


def _ranking_notes(table: pd.DataFrame, by: str, cost: str, metrics: Catalogue) -> Iterator[str]:
    among = ", among rows of equal conditions" if table["conditions"].nunique() > 1 else ""
    yield f"rank by {by}, pareto against {cost}{among}"
    if by == metrics.test:
        yield "whoever chooses by this rank has fitted the choice to the test images"
