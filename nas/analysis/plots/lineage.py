"""Plots the ancestors of the best network and the change at each step."""

from __future__ import annotations

import json
from collections import Counter
from textwrap import wrap

import pandas as pd
from matplotlib.figure import Figure

from nas.analysis.plots import names
from nas.analysis.plots.campaign import Campaign
from nas.analysis.plots.style import FAINT, KINDS
from nas.spaces.choices import Genotype

_ROWS = 30
"""The largest number of generations that are drawn: the first one and the last ones."""

_COLUMNS = ["trial", "name", "value", "macs", "mutation", "change", "siblings"]

_CHARACTERS = 36
"""The length of a line of text, so that the figure can be read on a telephone."""


def ancestors(campaign: Campaign) -> pd.DataFrame:
    """Returns the ancestors of the best searched network, the oldest first.

    The columns are trial, name (of what the search started from, or the trial's number), value (of
    the first objective), macs, mutation (its name, or ""), change (of the genotype since the
    parent, in words) and siblings (a list of the values of the parent's other children). The result
    is empty if no trial has completed.
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
        parent, ask = parents[trial], campaign.history.asks[trial]
        before = campaign.history.asks.get(parent) if isinstance(parent, str) else None
        others = children.get(parent, ()) if before is not None else ()
        initial = ask.note.get("initial")
        origin = "drawn at random" if initial is None else f"starts as {initial}"
        rows.append(
            {
                "trial": trial,
                "name": initial or f"trial {names.short(trial)}",
                "value": values.get(trial, float("nan")),
                "macs": ask.cost["macs"],
                "mutation": ask.note.get("mutation", ""),
                "change": origin if before is None else change(before.genotype, ask.genotype),
                "siblings": [values[t] for t in others if t != trial and t in values],
            }
        )
        trial = parent
    return pd.DataFrame(rows[::-1], columns=_COLUMNS)


def change(parent: Genotype, child: Genotype) -> str:
    """Describes the first choice that differs and the number of further ones.

    If a cell has gained or lost a single node, its operation is named instead.
    """
    differing = [
        name
        for name in dict.fromkeys([*child, *parent])
        if name not in child or name not in parent or child[name] != parent[name]
    ]
    if not differing:
        return "nothing changed"
    first = differing[0]
    scope, _, last = first.rpartition(".")
    if last == "nodes":
        before, after = (_operations(genotype, scope) for genotype in (parent, child))
        gained, lost = (after - before).elements(), (before - after).elements()
        match [*gained], [*lost]:
            case [operation], []:
                return f"{operation} added to {scope}"
            case [], [operation]:
                return f"{operation} removed from {scope}"
    old, new = (_word(genotype, first) for genotype in (parent, child))
    more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
    return f"{first}: {old} → {new}{more}"


def _operations(genotype: Genotype, scope: str) -> Counter[str]:
    """Counts the operations of a cell's nodes."""
    nodes = (name for name in genotype if name.startswith(f"{scope}."))
    return Counter(str(genotype[name]) for name in nodes if name.endswith(".operation"))


def _word(genotype: Genotype, name: str) -> str:
    if name not in genotype:
        return "not asked"
    option = genotype[name]
    return option if isinstance(option, str) else json.dumps(option)


def lineage(campaign: Campaign) -> Figure | str:
    """Draws a chain of networks: what each is, what changed, its value and those of siblings."""
    if campaign.trials["parent"].isna().all():
        return "the searcher tells no parents"
    line = ancestors(campaign)
    if line.empty:
        return "no search trial has completed"
    if len(line) == 1:
        trial, origin = line[["trial", "change"]].iloc[0]
        return f"the best trial, {trial}, has no parent: {origin}"
    left_out = max(len(line) - _ROWS, 0)
    shown = pd.concat([line.iloc[:1], line.iloc[1 + left_out :]], ignore_index=True)
    texts: list[tuple[str, bool]] = []  # a line of text, and whether it names a network
    heights = []
    for number, row in shown.iterrows():
        if number == 1 and left_out:
            texts.append((f"… {left_out} generations are not shown …", False))
        if number or not row["change"].startswith("starts as"):
            words = f"{row['mutation']}: {row['change']}" if row["mutation"] else row["change"]
            texts += [(text, False) for text in wrap(words, _CHARACTERS)]
        named = wrap(row["name"], _CHARACTERS)
        heights.append(len(texts))
        texts += [(text, True) for text in named]
        texts += [(f"{row['value']:#.4g}, {row['macs']:,} MACs", False), ("", False)]
    figure = Figure(figsize=(4.6, 0.165 * len(texts) + 0.7), layout="constrained")
    told, panel = figure.subplots(1, 2, sharey=True, width_ratios=[1.7, 1])
    colour = KINDS["searched"].colour
    told.axis("off")
    told.set_xlim(0, 1)
    told.plot([0.02] * len(heights), heights, "o-", color=colour, lw=1.4, ms=5)
    for place, (text, is_name) in enumerate(texts):
        weight, shade = ("bold", "black") if is_name else ("normal", "#444444")
        told.text(0.08, place, text, fontsize=8.5, va="center", weight=weight, color=shade)
    for number, siblings in shown["siblings"].items():
        for value in siblings if number and not (number == 1 and left_out) else ():
            ends = [heights[number - 1], heights[number]]
            panel.plot([shown["value"][number - 1], value], ends, color=FAINT, lw=0.6)
        panel.plot(siblings, [heights[number]] * len(siblings), "o", color=FAINT, ms=3.5)
    panel.plot(shown["value"], heights, "o-", color=colour, lw=1.4, ms=5)
    # Bad siblings may lie outside, so that the steps of the chain can be seen.
    lowest, highest = shown["value"].min(), shown["value"].max()
    room = (highest - lowest) / 2 or 0.01
    panel.set_xlim(lowest - room, highest + room)
    panel.locator_params(axis="x", nbins=3)
    panel.set_ylim(len(texts) - 1, -0.9)
    panel.tick_params(axis="y", left=False, labelleft=False)
    panel.grid(axis="y", visible=False)
    panel.spines["left"].set_visible(False)
    value = names.axis(campaign.objectives[0].metric, campaign.metrics)
    panel.set_xlabel("\n".join([*wrap(value, 24), "other children in grey"]))
    return figure
