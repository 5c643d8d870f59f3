"""Plots how often each operation was chosen."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nas.analysis.plots.campaign import Campaign
from nas.spaces.choices import Genotype

_SHARED = 3
"""If at least this many choices share their options, these count as operations."""

_PANELS = 3


def operations(campaign: Campaign) -> Figure | str:
    """Draws how often the searcher proposed each operation, in a moving window of its trials."""
    proposed = [
        ask.genotype
        for ask in campaign.history.asks.values()
        if ask.stage == "search" and ask.kind == "searched"
    ]
    asked = roles(proposed)
    if not asked:
        return "no operations are chosen: no three choices share options that are words"
    tables = {role: frequencies(proposed, chosen) for role, chosen in asked.items()}
    heights = [len(table.columns) for table in tables.values()]
    size = (7.4, 0.19 * sum(heights) + 0.85 * len(heights) + 0.3)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(tables), 1, squeeze=False, height_ratios=heights)[:, 0]
    # A window in which no network makes these choices has no shares.
    highest = max(np.nanmax(table.to_numpy(float)) for table in tables.values())
    for panel, (role, table) in zip(panels, tables.items(), strict=True):
        shares = table.to_numpy(float).T
        edges = np.append(table.index - 0.5, table.index[-1] + 0.5)
        mesh = panel.pcolormesh(
            edges,
            np.arange(len(shares) + 1),
            shares,
            cmap="Blues",
            vmin=0,
            vmax=highest,
            rasterized=True,
        )
        panel.grid(False)
        panel.set_yticks(np.arange(len(shares)) + 0.5, table.columns)
        panel.tick_params(axis="y", length=0)
        for row, values in enumerate(shares):
            first, last = values[~np.isnan(values)][[0, -1]]  # of windows with this choice
            panel.annotate(
                f"{first:.0%} → {last:.0%}", (1, row + 0.5), (5, 0), fontsize=8, va="center",
                xycoords=panel.get_yaxis_transform(), textcoords="offset points",
            )  # fmt: skip
        panel.set_title(f"{role}: {len(asked[role])} choices", loc="left")
    figure.colorbar(mesh, ax=panels, label="share", format="{x:.0%}", aspect=30)
    window = len(proposed) - len(tables[next(iter(tables))]) + 1
    panels[-1].set_xlabel(
        f"last trial of a window of {window}; at the right its first and its last place"
    )
    return figure


def roles(genotypes: list[Genotype]) -> dict[str, list[str]]:
    """Groups the choices that share options that are words by their role, such as ``operation``.

    The role of a choice is the last part of its name without numbers. Choices that name other parts
    of the network, such as inputs, are left out. The role with the most choices comes first.
    """
    options: dict[str, set[object]] = {}
    for genotype in genotypes:
        for name, option in genotype.items():
            options.setdefault(name, set()).add(option)
    parts = {part for name in options for part in name.split(".")}
    found: dict[str, list[str]] = {}
    for name in options:
        role = re.sub(r"[\d-]+", "", name.rpartition(".")[2])
        found.setdefault(role, []).append(name)
    shared = {
        role: chosen
        for role, chosen in found.items()
        if len(chosen) >= _SHARED and _are_words(set().union(*(options[n] for n in chosen)), parts)
    }
    return dict(sorted(shared.items(), key=lambda item: -len(item[1]))[:_PANELS])


def _are_words(options: set[object], parts: set[str]) -> bool:
    if len(options) < 2 or not all(isinstance(option, str) for option in options):
        return False
    return not any(parts & set(str(option).split("+")) for option in options)


def frequencies(
    genotypes: list[Genotype], chosen: list[str], window: int | None = None
) -> pd.DataFrame:
    """Computes the share of each option among the answers to some choices, in a moving window.

    Args:
        genotypes: the genotypes in the order suggested.
        chosen: the choices.
        window: the number of trials in a window; by default a fifth of all, at least ten.

    Returns one row per end of a window, numbered from 1, and one column per option; the option
    whose share has risen most is the last.
    """
    counts = pd.DataFrame(
        [pd.Series([g[name] for name in chosen if name in g]).value_counts() for g in genotypes]
    ).fillna(0)
    counts.index = pd.RangeIndex(1, len(counts) + 1)
    width = window or min(len(counts), max(10, len(counts) // 5))
    sums = counts.rolling(width).sum().iloc[width - 1 :]
    shares = sums.div(sums.sum(axis=1).replace(0, np.nan), axis=0)
    return shares[shares.iloc[-1].sort_values(kind="stable").index]
