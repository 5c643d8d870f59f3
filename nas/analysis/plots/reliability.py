"""Plots how far the confidence of retrained networks can be trusted."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nas.analysis.plots import names
from nas.analysis.plots.campaign import Campaign
from nas.analysis.plots.style import COLOURS, KINDS
from nas.campaigns.store.types import Result
from nas.words import counted

_AREA = 300
"""The area of the mark of a bin that holds all images, in square points."""


def tested(result: Result) -> dict[str, Any]:
    """Returns the evaluation of single views of the test images; {} if none is recorded."""
    tree: Any = result.metrics
    for key in ("evaluations", "single", "test"):
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree if isinstance(tree, dict) else {}


def reliability(campaign: Campaign) -> Figure | str:
    """Draws accuracy against confidence on the test images, for the best network of each kind.

    It is the reliability diagram of Guo et al. 2017 (arXiv:1706.04599, figure 1), with the bins of
    the expected calibration error, eq. 5; here a mark has the area of its share of the images. The
    images of all seeds are taken together, and the error is the mean over seeds.
    """
    final = campaign.trials[campaign.trials["stage"] == "final"]
    means = final.groupby(["kind", "label"], sort=False)[campaign.metrics.validation].mean()
    best = campaign.metrics.primary.flipped(means.dropna()).groupby("kind", sort=False).idxmin()
    found = {}
    for kind, label in best:
        own = final["trial"][final["label"] == label]
        results = [r for trial in own if (r := campaign.history.results.get(trial)) is not None]
        seeds = [test for each in results if "reliability" in (test := tested(each))]
        if seeds:
            found[kind, label] = seeds
    if not found:
        return "no retrained network has its confidences recorded, which only classification has"
    high = -(-len(found) // 2)
    figure = Figure(figsize=(6.4, 2.9 * high + 0.4), layout="constrained")
    panels = figure.subplots(high, 2, squeeze=False, sharex=True, sharey=True).ravel()
    for place, ((kind, label), seeds) in enumerate(found.items()):
        panel = panels[place]
        images, right, confidence = np.sum([each["reliability"] for each in seeds], axis=0).T
        seen = images > 0
        x, y = confidence[seen] / images[seen], right[seen] / images[seen]
        panel.plot([0, 1], [0, 1], color="#7F7F7F", lw=0.8, ls="--")
        panel.vlines(x, np.minimum(x, y), np.maximum(x, y), color=COLOURS[1], lw=1.2)
        area = _AREA * images[seen] / images.sum() + 4
        panel.scatter(x, y, area, color=KINDS[kind].colour, clip_on=False)
        error = np.mean([each["calibration_error"] for each in seeds])
        name = names.network(label, kind)
        panel.set_title(f"{name}: error {error:.3f}, {counted(len(seeds), 'seed')}", loc="left")
        panel.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        panel.tick_params(labelbottom=place + 2 >= len(found))
    for panel in panels[len(found) :]:
        panel.set_visible(False)
    figure.supxlabel("confidence: probability of the predicted class", fontsize=9)
    figure.supylabel("accuracy", fontsize=9)
    figure.suptitle(
        "area: share of the test images; line: what adds up to the expected calibration error",
        fontsize=9, x=0.01, ha="left",
    )  # fmt: skip
    return figure
