"""Writes a benchmark's report: which searcher is better, by how much, and how certain that is."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nas.analysis.plots.ranks import critical_difference_figure
from nas.analysis.plots.style import picture
from nas.analysis.tables.rankings import judged_at_one_fidelity
from nas.benchmark import plots as bench_plots
from nas.benchmark.comparison import (
    anytime,
    budgets,
    leaders,
    mean_ranks,
    pairwise,
    seed_ranks,
    summary,
)
from nas.benchmark.regret import Curves, curves
from nas.files import write_whole
from nas.statistics.paired import critical_difference, friedman

ALPHA = 0.05


def report(
    trials: pd.DataFrame,
    folder: Path,
    *,
    title: str,
    direction: Mapping[str, str],
    optimum: Mapping[str, float],
    objectives: Mapping[str, str] | None = None,
    true_front: ArrayLike | None = None,
    reference_point: ArrayLike | None = None,
    origin: Sequence[str] = (),
) -> str:
    """Writes a benchmark's tables and figures into a folder; returns the text of ``summary.md``.

    ``summary.csv``, ``anytime.csv`` and ``pairwise.csv`` hold the tables of
    :mod:`nas.benchmark.comparison`. ``regret.svg`` shows the curves, ``ranks.svg`` the critical
    differences (one file per number of workers, such as ``ranks_8.svg``), and ``fronts.svg`` the
    fronts if there are two objectives. ``origin`` are the last lines of the text, which say how it
    was made. The other arguments are those of :func:`nas.benchmark.regret.curves`.
    """
    followed = curves(
        trials,
        direction,
        optimum,
        objectives=objectives,
        true_front=true_front,
        reference_point=reference_point,
    )
    tables = {
        "summary": summary(followed),
        "anytime": anytime(followed),
        "pairwise": pairwise(followed, ALPHA),
    }
    figures = {"regret": bench_plots.regret_figure(followed)}
    notes = dict(_ranking(followed, figures))
    judged = list(_rankings(trials, followed, direction))
    if objectives and len(objectives) == 2 and true_front is not None:
        figures["fronts"] = bench_plots.fronts_figure(trials, followed, objectives, true_front)
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        text = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
        write_whole(folder / f"{name}.csv", text.encode())
    for name, figure in figures.items():
        write_whole(folder / f"{name}.svg", picture(figure, "svg"))
    below = ["\n".join(f"- {line}" for line in origin)] if origin else []
    text = "\n\n".join([*_text(title, followed, tables, figures, notes, judged), *below]) + "\n"
    write_whole(folder / "summary.md", text.encode())
    return text


def _ranking(curves: Curves, figures: dict[str, Figure]) -> Iterator[tuple[str, str]]:
    """Draws the diagram of each worker count; yields its name and the result of its test."""
    metric = list(curves.regret)[-1]
    final = curves.regret[metric][:, -1]
    ranks = mean_ranks(curves, final)
    for workers, groups in curves.contests.items():
        blocks = seed_ranks(curves, final, groups)
        if len(groups) < 2 or len(blocks) < 2:
            continue
        name = "ranks" if len(curves.contests) == 1 else f"ranks_{workers}"
        difference = critical_difference(len(groups), len(blocks), ALPHA)
        caption = f"average rank by {metric}, {len(blocks)} seeds"
        of_searchers = {
            curves.runs.loc[curves.rows(group), "searcher"].iloc[0]: ranks[group]
            for group in groups
        }
        figures[name] = critical_difference_figure(of_searchers, difference, caption)
        note = f"Nemenyi's critical difference is {difference:.3g} at {ALPHA}"
        if len(groups) > 2:
            note = f"Friedman's test of equal ranks: p = {friedman(blocks):.2g}; {note}"
        yield name, note + "; bars join searchers that it does not distinguish"


def _text(
    title: str,
    curves: Curves,
    tables: Mapping[str, pd.DataFrame],
    figures: Mapping[str, Figure],
    notes: Mapping[str, str],
    judged: Sequence[str],
) -> Iterator[str]:
    main = list(curves.regret)[-1]
    unit = "charged evaluations" if curves.axis == "evaluations" else curves.axis
    yield f"# {title}"
    yield (
        f"Budget: {curves.grid[-1]:.6g} {unit}. Runs of one seed are paired. "
        + (
            "Hypervolume is the share of the true front's."
            if main == "hypervolume"
            else "The incumbent is chosen by validation; test is read only here. "
            "Regret is the distance to the best of the whole table."
        )
    )
    yield "## At the end"
    yield (
        "Mean ± deviation over runs, median regret, mean regret over the whole budget (the area "
        "under its curve), average rank over seeds; trials, duplicates and failures per run."
    )
    yield _markdown(_at_the_end(curves, tables["summary"]))
    if below := [*_warnings(curves, tables["summary"]), *judged]:
        yield "\n".join(f"- {line}" for line in below)
    yield "## Over time"
    yield (
        f"{main.capitalize()} by number of {unit}: mean ± deviation (median regret). Bold: the "
        "first by average rank, and those that are not distinguishable from it."
    )
    yield _markdown(_over_time(curves, tables["anytime"], main))
    yield f"![regret against {unit}](regret.svg)"
    if "fronts" in figures:
        yield "![fronts of the runs of median hypervolume](fronts.svg)"
    yield "## Who is better"
    yield (
        f"Compared is the {main} regret at the end. The difference is first minus second, negative "
        "if the first is better. p is that of the sign-flip test of its mean over paired seeds, "
        "corrected by Holm over these pairs; the 95 % interval belongs to the same test and the "
        f"same correction, so it leaves out zero exactly if corrected p is at most {ALPHA}. Too "
        "few seeds: even the clearest outcome could not reach that (without a correction, it "
        "takes six)."
    )
    pairs = tables["pairwise"]
    yield _markdown(_verdicts(pairs[pairs["metric"] == main]))
    if main != next(iter(curves.regret)):
        yield "The comparison by validation is in pairwise.csv."
    for name, note in notes.items():
        yield f"![critical-difference diagram]({name}.svg)"
        yield f"{note}."


def _at_the_end(curves: Curves, table: pd.DataFrame) -> pd.DataFrame:
    shown = {"searcher": table["group"], "runs": table["runs"]}
    for metric in reversed(list(curves.regret)):
        spread = zip(table[f"{metric}_mean"], table[f"{metric}_sd"], strict=True)
        shown[metric] = [_spread(mean, deviation) for mean, deviation in spread]
        shown[f"{metric} regret"] = table[f"{metric}_regret"].map("{:.3g}".format)
        shown[f"over the budget: {metric}"] = table[f"{metric}_area"].map("{:.3g}".format)
        shown[f"rank: {metric}"] = table[f"{metric}_rank"].map("{:.2f}".format)
    for count in ("trials", "reused", "failed"):
        shown[count] = table[count].map("{:.4g}".format)
    return pd.DataFrame(shown)


def _over_time(curves: Curves, table: pd.DataFrame, metric: str) -> pd.DataFrame:
    points = budgets(curves)
    rows = table[(table["metric"] == metric) & table[curves.axis].isin(points)]
    best = {point: leaders(curves, metric, point, ALPHA) for point in points}
    cells = []
    for row in rows.to_dict("records"):
        text = f"{_spread(row['mean'], row['sd'])} ({row['median']:.3g})" if row["runs"] else "-"
        led = row["runs"] and row["group"] in best[row[curves.axis]]
        cells.append(f"**{text}**" if led else text)
    wide = rows.assign(cell=cells).pivot(index="group", columns=curves.axis, values="cell")
    wide.columns = [f"{point:.3g}" for point in wide.columns]
    return wide.loc[curves.groups].rename_axis("searcher").reset_index()


def _verdicts(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "first": table["first"],
            "is": table["verdict"].map("**{}**".format),
            "second": table["second"],
            "difference": [_with_interval(row) for row in table.to_dict("records")],
            "p": table["p"].map(_p),
            "corrected p": table["corrected_p"].map(_p),
            "seeds": table["seeds"],
        }
    )


def _with_interval(row: Mapping[Hashable, Any]) -> str:
    if pd.isna(row["difference"]):
        return "-"
    interval = "" if pd.isna(row["low"]) else f" [{row['low']:.4f}, {row['high']:.4f}]"
    return f"{row['difference']:.4f}{interval}"


def _p(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.2g}"


def _warnings(curves: Curves, table: pd.DataFrame) -> Iterator[str]:
    runs = curves.runs
    budget = runs.groupby("workers")["end"].transform("max")
    early = (runs["end"] < 0.9 * budget).groupby(runs["group"], sort=False).sum()
    for group, count in early[early > 0].items():
        yield f"{group}: {count} runs ended before 90 % of the budget; their last values are kept"
    for row in table[table["no_result"] > 0].itertuples():
        yield f"{row.group}: {row.no_result} runs never had a result; they rank last"
    if table["runs"].nunique() > 1:
        yield "numbers of runs differ: pairs use the seeds that both ran, ranks those that all ran"
    if table["reused"].any():
        yield "reused: duplicates, answered from the run's own history at no cost"


def _rankings(trials: pd.DataFrame, curves: Curves, direction: Mapping[str, str]) -> Iterator[str]:
    """Yields how predictions and proxies of each searcher ranked what it evaluated, over its runs.

    Trials of earlier versions have no such columns. Of proxies, larger values are better.
    """
    sign = -1 if direction.get("validation") == "min" else 1
    of_runs = curves.runs[["searcher", "workers", "seed", "group"]]
    for name in trials.columns:
        if not (name == "predicted" or name.startswith("proxy ")):
            continue
        judged = (trials["status"] == "completed") & ~trials["reused"] & trials[name].notna()
        found = trials[judged].assign(workers=trials.get("workers", 1))
        signs = (sign if name == "predicted" else 1, 1, sign)
        for group, rows in found.merge(of_runs).groupby("group", sort=False):
            by_fidelity = {
                fidelity: [
                    run[[name, "params", "validation"]].to_numpy() * signs
                    for _, run in part.groupby("seed")
                ]
                for fidelity, part in rows.groupby("fidelity", dropna=False)
            }
            what = "predictions" if name == "predicted" else name
            yield judged_at_one_fidelity(f"{what} of {group}", by_fidelity, "validation", "network")


def _spread(mean: float, deviation: float) -> str:
    """Writes mean ± deviation with two digits of the deviation and at least two decimals.

    A mean without a deviation has four digits.
    """
    if pd.isna(deviation):
        return f"{mean:.4g}"
    if deviation <= 1e-9 * abs(mean):  # it is zero, or a rounding error
        return f"{mean:.4g} ± 0"
    digits = max(2, 1 - math.floor(math.log10(deviation)))
    return f"{mean:.{digits}f} ± {deviation:.{digits}f}"


def _markdown(table: pd.DataFrame) -> str:
    return str(table.to_markdown(index=False, disable_numparse=True))
