"""Plots the course of a search by gradients, from which its collapse can be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nas.analysis.plots.campaign import Campaign
from nas.words import counted


def mixtures(campaign: Campaign) -> Figure | str:
    """Draws the mean weight of each operation by epochs, and the share of skips that are chosen."""
    curve = _curve(campaign)
    if not curve:
        return "nothing was searched by gradients"
    epochs = [point["epoch"] for point in curve]
    means = np.array([np.mean(list(point["mixture"].values()), axis=0) for point in curve])
    figure = Figure(figsize=(7.4, 3.4), layout="constrained")
    panel = figure.subplots()
    for place, (name, values) in enumerate(zip(curve[-1]["mixed"], means.T, strict=True)):
        panel.plot(epochs, values, marker="osD^vPX*"[place % 8], ms=3, lw=1.2, label=name)
    chosen = [point["skips"] for point in curve]
    panel.plot(epochs, chosen, "k--", lw=1.5, label="skips among\nthe chosen")
    figure.legend(loc="outside right center")
    panel.set(xlabel="epoch", ylabel="mean weight over the edges", ylim=(0, None))
    title = f"{counted(len(curve[-1]['mixture']), 'edge')}, skips {chosen[-1]:.0%}"
    curvature = [point["hessian"] for point in curve if point.get("hessian") is not None]
    if curvature:
        title += f", largest eigenvalue {curvature[0]:.2g} to {curvature[-1]:.2g}"
    panel.set_title(title)
    return figure


def _curve(campaign: Campaign) -> Sequence[Mapping[str, Any]]:
    for result in campaign.history.results.values():
        curve = result.metrics.get("shared_curve") or [{}]
        if "mixture" in curve[-1]:
            return curve
    return ()
