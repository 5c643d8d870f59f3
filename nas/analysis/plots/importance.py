"""Plots how important each choice is, and how sure this is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.ensemble import RandomForestRegressor

from nas.analysis.plots import names
from nas.analysis.plots.campaign import Campaign
from nas.analysis.plots.distributions import order
from nas.analysis.plots.style import COLOURS, FAINT
from nas.words import counted

_FEWEST, _BARS = 10, 15
_SAMPLES, _TREES = 60, 10
"""The bootstrap samples, and the trees of the forest that is fitted to each of them."""


class Importance(NamedTuple):
    """How important choices are.

    Attributes:
        shares: one row per choice, the most important first: ``mean``, ``low`` and ``high``, the
            mean and the 95 % range over the bootstrap samples.
        explained: the share of the variance that the forests explain for genotypes that they have
            not seen (R²), the mean over the samples.
        genotypes: the number of different genotypes.
    """

    shares: pd.DataFrame
    explained: float
    genotypes: int

    @property
    def noise(self) -> pd.Series:
        """Tells for each choice whether its range includes 0, which a choice without effect has."""
        return self.shares["low"] <= 0


def importances(options: pd.DataFrame, values: pd.Series) -> Importance:
    """Computes the importance of each choice as its total share of the variance of ranks.

    It is the permutation importance of a random forest (Breiman 2001, section 10): how much the
    squared error grows if the options of a choice are shuffled over the trials. Half of it, divided
    by the variance, is the total Sobol index if choices are independent (Jansen 1999; Gregorutti
    et al. 2017, proposition 1): the share of the variance in which the choice has a part, alone or
    with others. So shares can add up to more than 1. Errors are those of trials that are not in the
    bootstrap sample to which the forest was fitted, so a choice without effect has a mean of 0.
    Values are replaced by their ranks, so that a few failed trainings do not decide. Trials of the
    same genotype count once, with their mean.

    Args:
        options: one column per choice and one row per trial; NaN where it was not made.
        values: the values of the trials.
    """
    codes = pd.DataFrame(
        {
            name: column.map({o: i for i, o in enumerate(sorted(set(column.dropna()), key=order))})
            for name, column in options.items()
        }
    ).fillna(-1)
    means = values.groupby([codes[name] for name in codes]).mean()
    inputs, ranks = means.index.to_frame().to_numpy(np.float32), rankdata(means)
    rng, (count, choices) = np.random.default_rng(0), inputs.shape
    found: list[NDArray[np.float64]] = []
    explained = []
    while len(found) < _SAMPLES:
        chosen = rng.integers(count, size=count)
        others = np.setdiff1d(np.arange(count), chosen)
        variance = np.var(ranks[others]) if len(others) else 0.0
        if not variance:
            continue
        forest = RandomForestRegressor(_TREES, max_features=5 / 6, random_state=len(found))
        forest.fit(inputs[chosen], ranks[chosen])
        asked = np.tile(inputs[others], (1 + choices, 1, 1))  # as they are, then each shuffled
        for choice in range(choices):
            asked[1 + choice, :, choice] = rng.permutation(inputs[others, choice])
        predicted = forest.predict(asked.reshape(-1, choices)).reshape(1 + choices, -1)
        errors = np.square(predicted - ranks[others]).mean(axis=1) / variance
        explained.append(1 - errors[0])
        found.append((errors[1:] - errors[0]) / 2)
    low, high = np.quantile(found, [0.025, 0.975], axis=0)
    shares = pd.DataFrame(
        {"mean": np.mean(found, axis=0), "low": low, "high": high}, index=options.columns
    )
    ordered = shares.sort_values("mean", ascending=False, kind="stable")
    return Importance(ordered, float(np.mean(explained)), count)


def importance(campaign: Campaign) -> Figure | str:
    """Draws the most important choices with their ranges, and tells those that may be noise."""
    rows, options = campaign.completed()
    if len(rows) < _FEWEST:
        return f"{counted(len(rows), 'completed trial')}: importance needs ten"
    if rows["value0"].nunique() == 1:
        return "all trials have the same value: nothing to explain"
    # What few trials choose, or all alike, cannot be told from noise, and would take time.
    options = options.loc[:, options.notna().sum() >= _FEWEST]
    options = options.loc[:, options.nunique(dropna=False) > 1]
    if options.empty:
        return "no choice was made in different ways by ten trials"
    found = importances(options, rows["value0"])
    shown = found.shares.head(_BARS)
    figure = Figure(figsize=(6.4, 0.24 * len(shown) + 1.3), layout="constrained")
    panel = figure.subplots()
    for place, (name, row) in enumerate(shown.iterrows()):
        colour = FAINT if found.noise[name] else COLOURS[0]
        panel.barh(place, row["mean"], color=colour, height=0.7)
        panel.plot([row["low"], row["high"]], [place, place], color="black", lw=1)
        told = f"{row['mean']:.0%}" + (", may be noise" if found.noise[name] else "")
        panel.annotate(
            told, (max(row["high"], 0), place), (4, 0), textcoords="offset points", fontsize=8,
            va="center",
        )  # fmt: skip
    panel.set_yticks(range(len(shown)), [str(name) for name in shown.index])
    panel.invert_yaxis()
    panel.axvline(0, color="black", lw=0.8)
    panel.grid(axis="y", visible=False)
    panel.spines["left"].set_visible(False)
    panel.tick_params(axis="y", length=0)
    panel.xaxis.set_major_formatter("{x:.0%}")
    panel.margins(x=0.2, y=0.02)
    panel.set_xlabel("share of the variance of ranks; line: 95 % range over bootstrap samples")
    metric = names.plain(campaign.objectives[0].metric)
    figure.suptitle(f"{metric}: {_in_words(found)}", fontsize=9, x=0.01, ha="left")
    return figure


def _in_words(found: Importance) -> str:
    sure, every = int((~found.noise).sum()), len(found.noise)
    if found.explained <= 0:
        models = "forests cannot predict unseen genotypes, so nothing is sure"
    else:
        models = f"forests explain {found.explained:.0%} for unseen genotypes"
    told = f"{sure} of {counted(every, 'choice')} can be told from noise"
    rest = every - _BARS
    more = f"\n{counted(rest, 'further choice')} not shown" if rest > 0 else ""
    return f"{told}\n{counted(found.genotypes, 'genotype')}; {models}{more}"
