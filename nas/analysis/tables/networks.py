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

from nas.analysis.tables.comparability import Groups, conditions
from nas.analysis.tables.notes import notes
from nas.analysis.tables.trainings import NAME, is_training, trainings
from nas.analysis.tables.trials import COLUMNS as TRIAL_COLUMNS
from nas.analysis.tables.trials import EVALUATED, recorded, trials
from nas.analysis.tables.verdict import budgets, prefix, selection, verdicts
from nas.campaigns.store.history import History
from nas.errors import InputError
from nas.registry import unknown
from nas.statistics.hypervolume import pareto_front
from nas.statistics.paired import mean_interval

COLUMNS = {
    "campaign": ("str", "the name of its folder, or nas train; empty in a table of one"),
    "name": ("str", "the classic's with its options, the trial that found the architecture, the "
                    "ensemble's with its members' numbers, or what nas train was given"),
    "kind": ("str", "searched (suggested by the campaign's searcher), random (by its baseline), "
                    "classic, ensemble (of the best searched ones, once retrained) or, of nas "
                    "train, other"),
    "conditions": ("str", "a letter: equal for rows of equal data, split, recipe and stage"),
    "rank": ("Int64", "1 is best, ties share; among architectures of equal conditions, by mean "
                      "validation accuracy unless the notes say otherwise"),
    "pareto": ("bool", "on the front of the same accuracy and a cost that the notes name"),
    "params": ("Int64", "trainable parameters"),
    "macs": ("Int64", "multiply-accumulates of convolution and linear layers, batch 1"),
    "flops": ("Int64", "what fvcore totals; where it has not counted, by the equal analytic rule"),
    "activations": ("Int64", "elements that convolution and linear layers put out"),
    "latency_ms": ("float64", "mean over seeds, where the evaluator measured it"),
    "train_seconds": ("float64", "wall time of training, mean over seeds"),
    "search_accuracy": ("float64", "validation accuracy that the search saw: the best of many, so "
                                   "optimistic"),
    "validation_accuracy": ("float64", "after retraining from scratch, mean over seeds"),
    "validation_std": ("float64", "its sample standard deviation over seeds"),
    "test_accuracy": ("float64", "of the same networks, read once, mean over seeds"),
    "test_std": ("float64", "its sample standard deviation over seeds"),
    "test_low": ("float64", "of the 95 % interval of its mean over seeds, by Student's t, "
                            "cut at 0 and 1"),
    "test_high": ("float64", "of the same"),
    **{name: TRIAL_COLUMNS[name] for name in EVALUATED},
    "seeds": ("Int64", "how many networks were retrained"),
    "seed": ("UInt64", "of this network, where a row is one network"),
    "recipe": ("str", "what was searched of the recipe with it; empty: the campaign's recipe"),
    "fingerprint": ("str", "of the architecture: equal for isomorphic ones"),
}  # fmt: skip
"""The table's columns: dtype and meaning. Accuracies are fractions, what is not known is empty."""

ACCURACIES = ("validation_accuracy", "test_accuracy", "search_accuracy")
COSTS = ("params", "macs", "flops", "activations", "latency_ms", "train_seconds")


def campaign_table(
    folders: Path | Sequence[Path],
    every_trial: bool = False,
    *,
    per_seed: bool = False,
    by: str = "validation_accuracy",
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
        by: the accuracy of rank and front, one of :data:`ACCURACIES`. Rows that were not retrained
            have only ``search_accuracy``, and are ranked by that.
        cost: of the front, one of :data:`COSTS`. By default the first that is an objective of the
            first campaign, or macs.

    Returns the columns of :data:`COLUMNS`; ``attrs["notes"]`` holds what a reader must know.
    Raises :class:`InputError` where there are no records, they are corrupt, or no trial has
    completed.
    """
    folders = [folders] if isinstance(folders, Path) else list(folders)
    for option, given, allowed in (("by", by, ACCURACIES), ("cost", cost, COSTS)):
        if given is not None and given not in allowed:
            raise InputError(f"--{option}: {unknown('column', given, list(allowed))}")
    alone = [folder for folder in folders if is_training(folder)]
    groups, parts = Groups(), []
    told: list[str] = []
    spent: list[str] = []
    for label, folder in zip(_labels(folders), folders, strict=True):
        if folder in alone:
            continue
        _, history = recorded(folder)
        specification = history.header.specification
        networks = _networks(folder, every_trial)
        cost = cost or _cost(specification)
        letters = _letters(groups, specification, networks, _checksum(history))
        parts.append(networks.assign(campaign=label, conditions=letters))
        spent += [prefix(label) + note for note in budgets(folder)]
        told += [prefix(label) + note for note in notes(history)]
    if alone:
        label = NAME if parts else ""
        networks, said = trainings(alone, groups)
        parts.append(networks.assign(campaign=label))
        told += [prefix(label) + note for note in said]
    networks = pd.concat(parts, ignore_index=True)
    cost = cost or "macs"
    ranked = _ranked(_aggregated(networks), by, cost)
    each = ranked[[*_KEYS, "rank", "pareto"]].merge(
        networks.assign(seeds=(networks["stage"] == "final").astype("int64")), on=_KEYS
    )
    each = each.sort_values(["conditions", "rank", "seed"], kind="stable", ignore_index=True)
    table = _typed(each if per_seed else ranked)
    table.attrs["notes"] = [
        *verdicts(each).attrs["notes"],
        *selection(ranked),
        *spent,
        *groups.notes(),
        *told,
        *_ranking_notes(ranked, by, cost),
    ]
    return table


_KEYS = ["campaign", "name", "conditions"]


def _cost(question: dict[str, Any]) -> str:
    """What a campaign weighs accuracy against."""
    metrics = [objective["metric"] for objective in question.get("objectives", [])]
    return next((metric for metric in metrics if metric in COSTS), "macs")


def _labels(folders: Sequence[Path]) -> list[str]:
    """Names that tell the folders apart: their last parts, or all of the path; one needs none."""
    if len(folders) == 1:
        return [""]
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise InputError(f"a folder is given twice: {', '.join(map(str, folders))}")
    names = [folder.resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]


def _networks(folder: Path, every_trial: bool) -> pd.DataFrame:
    """The completed trials that are of the table, with the columns that a row needs."""
    asked = trials(folder)
    done = asked[asked["status"] == "completed"]
    if done.empty:
        raise InputError(f"{folder}: {_nothing(asked)}")
    final, searched = done[done["stage"] == "final"], done[done["stage"] == "search"]
    seen = dict(zip(searched["trial"], searched["validation_accuracy"], strict=True))
    final = final.assign(search_accuracy=final["label"].map(seen).astype("float64"))
    searched = searched[~searched["label"].isin(final["label"])].assign(
        search_accuracy=searched["validation_accuracy"], validation_accuracy=np.nan
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


def _aggregated(networks: pd.DataFrame) -> pd.DataFrame:
    """A row an architecture: means, deviations and intervals over its networks."""
    same = ["kind", "params", "macs", "flops", "activations", "search_accuracy",
            "recipe", "fingerprint"]  # fmt: skip
    told = ["latency_ms", "train_seconds", "validation_accuracy", "test_accuracy", *EVALUATED]
    groups = networks.groupby(_KEYS, sort=False)
    table = groups[same].first().join(groups[told].mean())
    table["seeds"] = (networks["stage"] == "final").groupby([networks[k] for k in _KEYS]).sum()
    deviations = groups[told].std()
    table["validation_std"] = deviations["validation_accuracy"]
    table["test_std"] = deviations["test_accuracy"]
    low, high = mean_interval(
        table["test_accuracy"], table["test_std"], groups["test_accuracy"].count()
    )
    # With few seeds the interval is wider than what an accuracy can be.
    table["test_low"], table["test_high"] = np.maximum(low, 0), np.minimum(high, 1)
    return table.reset_index()


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    table["recipe"] = table["recipe"].map(_in_words, na_action="ignore")
    dtypes = {name: dtype for name, (dtype, _) in COLUMNS.items()}
    return table.reindex(columns=list(COLUMNS)).astype(dtypes)


def _in_words(recipe: str) -> str:
    return ", ".join(f"{key} {json.dumps(value)}" for key, value in json.loads(recipe).items())


def _ranked(table: pd.DataFrame, by: str, cost: str) -> pd.DataFrame:
    """With rank and front among rows of equal conditions; these together, the best first."""
    value = table[by].where(table["seeds"] > 0, table["search_accuracy"])
    groups = table["conditions"]
    table["rank"] = value.groupby(groups).rank(ascending=False, method="min")
    table["pareto"] = False
    for rows in table.groupby("conditions").groups.values():
        points = np.column_stack([table.loc[rows, cost].astype("float64"), -value[rows]])
        table.loc[rows, "pareto"] = pareto_front(points)
    return table.sort_values(["conditions", "rank"], kind="stable", ignore_index=True)


def _ranking_notes(table: pd.DataFrame, by: str, cost: str) -> Iterator[str]:
    among = ", among rows of equal conditions" if table["conditions"].nunique() > 1 else ""
    yield f"rank by {by}, pareto against {cost}{among}"
    if by == "test_accuracy":
        yield "whoever chooses by this rank has fitted the choice to the test images"
