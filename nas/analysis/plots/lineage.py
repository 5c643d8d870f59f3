"""Plots the ancestors of the best network and the change at each step."""

from __future__ import annotations

import json

import pandas as pd
from matplotlib.figure import Figure

from nas.analysis.plots import names
from nas.analysis.plots.campaign import Campaign
from nas.analysis.plots.style import FAINT, KINDS
from nas.spaces.choices import Genotype

_ROWS = 30
"""The largest number of generations that are drawn; they are the last ones."""


def ancestors(campaign: Campaign) -> pd.DataFrame:
    """Returns the ancestors of the best searched network, the oldest first.

    The columns are trial, value (of the first objective), change (of the genotype since the parent,
    in words) and siblings (a list of the values of the parent's other children). The result is
    empty if no trial has completed.
    """
    parents = dict(zip(campaign.trials["trial"], campaign.trials["parent"], strict=True))
    values = campaign.values()
    children: dict[str, list[str]] = {}
    for trial, parent in parents.items():
        if isinstance(parent, str):
            children.setdefault(parent, []).append(trial)
    rows: list[dict[str, object]] = []
    trial = campaign.best
    while isinstance(trial, str) and trial in parents:
        parent = parents[trial]
        born = isinstance(parent, str) and parent in campaign.history.asks
        others = [t for t in children.get(parent, ()) if t != trial and t in values] if born else []
        rows.append(
            {
                "trial": trial,
                "value": values.get(trial, float("nan")),
                "change": change(_genotype(campaign, parent), _genotype(campaign, trial))
                if born
                else _origin(campaign, trial),
                "siblings": [values[other] for other in others],
            }
        )
        trial = parent
    return pd.DataFrame(rows[::-1], columns=["trial", "value", "change", "siblings"])


def _origin(campaign: Campaign, trial: str) -> str:
    """Describes where a trial without a parent comes from."""
    initial = campaign.history.asks[trial].note.get("initial")
    return "drawn at random" if initial is None else f"starts as {initial}"


def _genotype(campaign: Campaign, trial: str) -> Genotype:
    found: Genotype = campaign.history.asks[trial].genotype
    return found


def change(parent: Genotype, child: Genotype) -> str:
    """Describes the first choice that differs and the number of further ones."""
    differing = [
        name
        for name in dict.fromkeys([*child, *parent])
        if name not in child or name not in parent or child[name] != parent[name]
    ]
    if not differing:
        return "nothing changed"
    first = differing[0]
    old, new = (_word(genotype, first) for genotype in (parent, child))
    more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
    return f"{first}: {old} → {new}{more}"


def _word(genotype: Genotype, name: str) -> str:
    if name not in genotype:
        return "not asked"
    option = genotype[name]
    return option if isinstance(option, str) else json.dumps(option)


def lineage(campaign: Campaign) -> Figure | str:
    """Draws one row per generation with its value and those of its siblings."""
    if campaign.trials["parent"].isna().all():
        return "the searcher tells no parents"
    line = ancestors(campaign)
    if line.empty:
        return "no search trial has completed"
    if len(line) == 1:
        trial, origin = line[["trial", "change"]].iloc[0]
        return f"the best trial, {trial}, has no parent: {origin}"
    whole, line = len(line), line.tail(_ROWS).reset_index(drop=True)
    figure = Figure(figsize=(7.4, 0.24 * len(line) + 0.9), layout="constrained")
    panel = figure.subplots()
    colour = KINDS["searched"].colour
    for row, siblings in line["siblings"].items():
        for value in siblings:
            panel.plot([line["value"][row - 1], value], [row - 1, row], color=FAINT, lw=0.6)
        panel.plot(siblings, [row] * len(siblings), "o", color=FAINT, ms=3.5)
    panel.plot(line["value"], line.index, "o-", color=colour, lw=1.4, ms=5)
    for row, text in line["change"].items():
        panel.annotate(
            text, (1, row), (6, 0), fontsize=8, va="center", color="#333333",
            xycoords=panel.get_yaxis_transform(), textcoords="offset points",
        )  # fmt: skip
    panel.set_yticks(line.index, [names.short(trial) for trial in line["trial"]])
    panel.set_ylim(len(line) - 0.4, -0.6)
    panel.grid(axis="y", visible=False)
    rest = f" (the last {len(line)} of {whole} generations)" if whole > len(line) else ""
    value = names.axis(campaign.objectives[0].metric, campaign.metrics)
    panel.set(xlabel=value, ylabel=f"trial{rest}")
    panel.set_title("the best and its ancestors, other children of each in grey", loc="left")
    return figure
