"""Says how something ranked networks, beside their number of parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan

import numpy as np

from nas.statistics.correlation import compare, mean_over_runs
from nas.words import counted

FEW = 10
"""How many networks are needed to judge a ranking."""

LEVEL = 0.05
"""The level of significance at which a ranking is better than that by parameters."""

Row = tuple[float, float, float]
"""What is said of a network, its number of parameters, and its value; a larger value is better."""

Run = Sequence[Row]


def judged_at_one_fidelity(
    what: str, found: Mapping[float, Sequence[Run]], value: str, network: str
) -> str:
    """Says how something ranked networks that were evaluated at different fidelities.

    Their values cannot be compared, so only those of one fidelity are judged: the highest of those
    at which the most runs have enough. The arguments are those of :func:`judged`, with the runs at
    each fidelity.
    """
    fidelity = max(found, key=lambda each: (sum(min(len(run), FEW) for run in found[each]), each))
    what += f" at fidelity {fidelity:g}" if len(found) > 1 else ""
    return judged(what, found[fidelity], value, network)


def judged(what: str, runs: Sequence[Run], value: str, network: str) -> str:
    """Says how something ranked networks, beside their number of parameters.

    Args:
        what: what is judged.
        runs: the networks of one run or of several; the correlations are means over the runs.
        value: the value in words.
        network: what the networks are, in the singular.
    """
    several = len(runs) > 1
    ranked = [
        np.array(sorted(run, key=lambda row: -row[2]), float) for run in runs if len(run) >= FEW
    ]
    if not ranked:
        most = max(map(len, runs), default=0)
        known = " a run" if several else "" if most else " with recorded values"
        they_rank = "it ranks" if what.startswith("proxy") else "they rank"
        return (
            f"{what}: {counted(most, network)}{known} {'is' if most == 1 else 'are'} too "
            f"few to say how {they_rank}; {FEW} are needed"
        )
    fewest, most = (f(map(len, ranked)) for f in (min, max))
    networks = counted(most, network)
    if several:
        networks = f"{fewest:,} to {networks}" if fewest < most else networks
        networks += f", mean of {counted(len(ranked), 'run')},"
    # A fifth of fewer than 20 networks says too little.
    best_ones = " or ".join(dict.fromkeys("4" if n < 20 else "fifth" for n in (fewest, most)))
    every = mean_over_runs([compare(*table.T) for table in ranked])
    best = mean_over_runs([compare(*table[: max(len(table) // 5, 4)].T) for table in ranked])
    text = (
        f"{what}: rank correlation with {value} of {networks} {_shown(every.one)}, in the best "
        f"{best_ones} {_shown(best.one)}"
    )
    if all((table[:, 0] == table[:, 1]).all() for table in ranked):  # these are the parameters
        return text
    text += f"; that of params {_shown(every.other)} and {_shown(best.other)}: "
    if isnan(every.p):
        return f"{text}too few runs to say which is better"
    verdict = "better than" if every.p < LEVEL else "no better than"
    return f"{text}{verdict} counting parameters (p {every.p:.2g})"


def _shown(correlation: float) -> str:
    return "undefined" if isnan(correlation) else f"{correlation:.2f}"
