"""The columns of every table: dtype and meaning. Those of metrics come from the registry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from nas.metrics import Catalogue

Columns = dict[str, tuple[str, str]]
"""By name, the dtype and the meaning. What is not known is empty: NaN, or NA of "Int64"."""


WITHOUT = "flops_without"
"""The column that says what ``flops`` leave out."""

_WITHOUT = ("str", "the operations with matrix products for which fvcore counts nothing; flops and "
                   "activations are without them; empty: none")  # fmt: skip


def flops_without(cost: Mapping[str, int], metrics: Mapping[str, Any]) -> str | None:
    """Names what the recorded FLOPs of a trial leave out; None if nothing is known to be missing.

    Args:
        cost: the recorded counts.
        metrics: those of the result; fvcore has counted in the final stage only.
    """
    lacking = any("attention" in name for name in metrics.get("fvcore_uncounted", ()))
    return "attention" if lacking or cost["macs"] > cost["flops"] else None


def recorded(specification: Mapping[str, Any]) -> Catalogue:
    """The metrics of a recorded campaign; the built-in ones where it declares none."""
    return Catalogue.read(specification.get("metrics"))


def metrics_of(table: pd.DataFrame) -> Catalogue:
    """The metrics that a table has columns of, which its ``attrs`` hold."""
    return Catalogue.read(table.attrs.get("metrics"))


def trial_columns(metrics: Catalogue) -> Columns:
    """The columns of a table with one row per trial; metrics are those after its last epoch."""
    return {
        "trial": ("str", "its id"),
        "stage": ("str", "search, or final: retrained from scratch and tested"),
        "kind": ("str", "searched (suggested by the campaign's searcher), random (by its "
                        "baseline), classic, ensemble (of the best searched ones, once "
                        "retrained) or shared weights (of a searched one, not retrained)"),
        "search": ("str", "the searcher that suggested it; empty in the final stage"),
        "number": ("Int64", "the searcher's number for it; empty in the final stage"),
        "label": ("str", "final stage: what the seeds of one architecture share, the trial that "
                         "found it or the classic's name; search stage: the trial"),
        "seed": ("UInt64", "of its training"),
        "fidelity": ("Int64", "that the searcher asked for: epochs, or what else the campaign "
                              "counts; empty: the full one"),
        "status": ("str", "completed, stopped (early), failed, unfinished (suggested, no result "
                          "yet) or duplicate (its result is that of duplicate_of; it spent no "
                          "budget)"),
        "cause": ("str", "of a failure: error, out_of_memory, diverged, time_limit, worker_died or "
                         "infeasible"),
        "error": ("str", "of a failure: the last traceback"),
        "attempts": ("Int64", "how often it was begun, once more for each worker that died"),
        "fingerprint": ("str", "of the architecture: equal for isomorphic ones"),
        **{name: metric.column for name, metric in metrics.of("trials").items()},
        WITHOUT: _WITHOUT,
        "seconds": ("float64", "wall time in the worker"),
        "proposal_seconds": ("float64", "how long the searcher measured zero-cost proxies for it, "
                                        "before it was given out"),
        "worker": ("str", "the process that it ran in, where the engine has several"),
        "asked_s": ("float64", "when it was given out, in seconds since the campaign's first "
                               "record"),
        "ended_s": ("float64", "when its result was recorded, in seconds since the first record"),
        "duplicate_of": ("str", "the trial whose architecture it repeats"),
        "parent": ("str", "the trial that it was mutated from, the first parent of a crossover"),
        "mutation": ("str", "the mutation that made it, where the searcher has several"),
        "initial": ("str", "the member or genotype that the search started from, if it is one"),
        "recipe": ("str", "what was searched of the recipe with it, as JSON; empty: nothing"),
    }  # fmt: skip


def curve_columns(metrics: Catalogue) -> Columns:
    """The columns of a table with one row per epoch; metrics and seconds are those of the epoch."""
    return {
        "trial": ("str", "its id"),
        "epoch": ("Int64", "from 1; of a continued trial, those before it included"),
        **{name: metric.column for name, metric in metrics.of("curves").items()},
    }


def network_columns(metrics: Catalogue) -> Columns:
    """The columns of the one table, with one row per architecture; metrics are means over seeds."""
    primary, shown = metrics.primary, metrics.of("networks")
    at_last = {metrics.validation, metrics.test, *metrics.on_predictions}
    return {
        "campaign": ("str", "the name of its folder, or nas train; empty in a table of one"),
        "name": ("str", "the classic's with its options, the trial that found the architecture, "
                        "the ensemble's with its members' numbers, or what nas train was given"),
        "kind": ("str", "searched (suggested by the campaign's searcher), random (by its "
                        "baseline), classic, ensemble (of the best searched ones, once retrained), "
                        "shared weights (of a searched one, not retrained) or, of nas train, "
                        "other"),
        "group": ("str", "the comparability group, a letter: equal for rows of equal data, "
                      "split, recipe and stage"),
        "rank": ("Int64", "1 is best, ties share; among the architectures of a group, by mean "
                          f"validation {primary.in_words} unless the notes say otherwise"),
        "pareto": ("bool", f"whether it is on the front of the same {primary.in_words} and a cost "
                           "that the notes name"),
        **{name: metric.column for name, metric in shown.items() if name not in at_last},
        WITHOUT: _WITHOUT,
        metrics.search: ("float64", f"validation {primary.in_words} that the search observed: the "
                                    "best of many, so optimistic"),
        metrics.validation: ("float64", f"validation {primary.in_words} after retraining from "
                                        "scratch, mean over seeds"),
        "validation_std": ("float64", "its sample standard deviation over seeds"),
        metrics.test: ("float64", f"test {primary.in_words} of the same networks, read once, mean "
                                  "over seeds"),
        "test_std": ("float64", "its sample standard deviation over seeds"),
        "test_low": ("float64", "lower end of the 95 % interval of its mean over seeds, by "
                                "Student's t, cut to what is possible"),
        "test_high": ("float64", "upper end of the same interval"),
        **{name: shown[name].column for name in metrics.on_predictions},
        "seeds": ("Int64", "how many networks were retrained"),
        "seed": ("UInt64", "of this network, where a row is one network"),
        "recipe": ("str", "what was searched of the recipe with it; empty: the campaign's recipe"),
        "fingerprint": ("str", "of the architecture: equal for isomorphic ones"),
        "breaks": ("str", "for a classic, the constraint of the campaign that it breaks, if it "
                          "breaks one; no verdict compares with such a classic"),
    }  # fmt: skip
