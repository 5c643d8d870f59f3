"""Plots the course of a campaign: its workers, and the rank correlation of its fidelities."""

from __future__ import annotations

from heapq import heappush, heapreplace

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy.stats import spearmanr

from nas.analysis.plots import names
from nas.analysis.plots.campaign import Campaign
from nas.analysis.plots.style import KINDS, MANY
from nas.words import counted

_UNITS = {
    "epochs": "epochs",
    "train_fraction": "% of the training images",
    "resolution": "% of the resolution",
}


def lanes(trials: pd.DataFrame) -> pd.DataFrame:
    """Returns when and where each trial ran: trial, kind, stage, status, lane, start, end.

    Times are in seconds since the campaign's first record. A trial starts when it was suggested, or
    when the worker's earlier trial had ended. A lane is a worker. Trials whose worker is unknown
    are packed into as few lanes as possible, named 1, 2, ...
    """
    ran = trials.dropna(subset=["asked_s", "ended_s"]).sort_values("asked_s", kind="stable")
    ran = ran[["trial", "kind", "stage", "status", "worker", "asked_s", "ended_s"]]
    ran = ran.rename(columns={"worker": "lane", "asked_s": "start", "ended_s": "end"})
    known = ran["lane"].notna()
    packed = ran[~known].copy()
    free: list[tuple[float, int]] = []
    given = []
    for start, end in zip(packed["start"], packed["end"], strict=True):
        if free and free[0][0] <= start:
            lane = free[0][1]
            heapreplace(free, (end, lane))
        else:
            lane = len(free) + 1
            heappush(free, (end, lane))
        given.append(str(lane))
    packed["lane"] = given
    ran = pd.concat([ran[known], packed]).sort_values(["lane", "end"], kind="stable")
    before = ran.groupby("lane")["end"].shift().fillna(-np.inf)
    ran["start"] = np.maximum(ran["start"], np.minimum(before, ran["end"]))
    return ran.sort_values("start", kind="stable", ignore_index=True)


def workers(campaign: Campaign) -> Figure | str:
    """Draws one bar per trial in the lane of its worker."""
    ran = lanes(campaign.trials)
    if ran.empty:
        return "no trial has ended, or the records tell no times"
    whole = ran["end"].max() - ran["start"].min()
    unit, scale = names.time(whole)
    order = sorted(ran["lane"].unique(), key=lambda lane: (len(lane), lane))
    figure = Figure(figsize=(8.4, 0.3 * min(len(order), 40) + 1.2), layout="constrained")
    panel = figure.subplots()
    edge = 0.4 if len(ran) < 200 else 0  # a gap between bars, unless they are too thin
    for (kind, stage, lane), rows in ran.groupby(["kind", "stage", "lane"], sort=False):
        starts, ends = rows["start"].to_numpy() / scale, rows["end"].to_numpy() / scale
        panel.broken_barh(
            np.column_stack([starts, ends - starts]).tolist(), (order.index(lane) - 0.36, 0.72),
            facecolor=KINDS[kind].colour, alpha=1 if stage == "final" else 0.5,
            edgecolor="white", lw=edge, rasterized=len(ran) > MANY,
        )  # fmt: skip
    failed = ran[ran["status"] == "failed"]
    panel.plot(
        failed["end"] / scale, failed["lane"].map(order.index).to_numpy(float), "x",
        color="black", ms=5,
    )  # fmt: skip
    shown = ran.groupby(["kind", "stage"], sort=False).size().index
    handles: list[object] = [
        Patch(
            color=KINDS[kind].colour,
            alpha=1 if stage == "final" else 0.5,
            label=f"{kind}, {'final stage' if stage == 'final' else 'search'}",
        )
        for kind, stage in shown
    ]
    if len(failed):
        handles.append(Line2D([], [], ls="", marker="x", color="k", label="failed"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    busy = (ran["end"] - ran["start"]).sum() / (whole * len(order)) if whole else 1.0
    panel.set_title(f"{counted(len(order), 'worker')}, busy {busy:.0%}")
    panel.set_yticks(range(len(order)), order)
    panel.set_ylim(len(order) - 0.4, -0.6)
    panel.grid(axis="y", visible=False)
    panel.set(xlabel=f"time since the campaign began ({unit})", ylabel="worker")
    panel.set_xlim(0, 1.01 * ran["end"].max() / scale)
    return figure


def correlations(campaign: Campaign) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Computes Spearman's rank correlation of the first objective between fidelities.

    Also returns the number of architectures that completed at both fidelities of each pair. With
    fewer than three, the correlation is NaN.
    """
    told = campaign.trials[["trial", "fingerprint", "fidelity"]].dropna()
    values = told.assign(value=told["trial"].map(campaign.values()).astype("float64")).dropna()
    table = values.pivot_table(index="fingerprint", columns="fidelity", values="value")
    both = table.notna().astype(int)
    rho = table.corr(lambda a, b: spearmanr(a, b).statistic, min_periods=3)
    return rho, both.T @ both


def fidelities(campaign: Campaign) -> Figure | str:
    """Draws how well a lower fidelity ranks architectures compared with a higher one."""
    if campaign.searched["fidelity"].nunique() < 2:
        return "one fidelity: every search trial was trained alike"
    rho, count = correlations(campaign)
    size = 0.75 * len(rho) + 1.6
    figure = Figure(figsize=(size + 0.8, size), layout="constrained")
    panel = figure.subplots()
    lower = np.tril(np.ones(rho.shape, dtype=bool), -1)
    mesh = panel.imshow(np.where(lower, rho, np.nan), vmin=-1, vmax=1, cmap="PuOr_r")
    for i, j in zip(*np.nonzero(lower), strict=True):
        value = rho.iloc[i, j]
        text = "too few" if np.isnan(value) else f"{value:.2f}"
        colour = "white" if abs(value) > 0.7 else "black"
        panel.text(j, i, f"{text}\nn={count.iloc[i, j]}", ha="center", va="center", color=colour,
                   fontsize=8)  # fmt: skip
    ticks = range(len(rho))
    panel.set_xticks(ticks, rho.columns)
    panel.set_yticks(ticks, rho.index)
    panel.set(xlim=(-0.5, len(rho) - 1.5), ylim=(len(rho) - 0.5, 0.5))
    unit = _UNITS.get(campaign.fidelity, campaign.fidelity)
    panel.set(xlabel=f"fidelity ({unit})", ylabel=f"fidelity ({unit})")
    panel.grid(False)
    figure.colorbar(mesh, ax=panel, label="Spearman's rank correlation", shrink=0.8)
    return figure
