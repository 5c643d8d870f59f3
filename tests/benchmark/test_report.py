"""The files of a report: complete, the same every time, and well-formed."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nas.benchmark.regret import curves
from nas.benchmark.report import _rankings, _spread, report
from tests.analysis.runs import MAX, drawn, run

BEST = {"validation": 100.0, "test": 100.0}
ONE: dict[str, Any] = {"title": "Toy", "direction": MAX, "optimum": BEST}
TWO: dict[str, Any] = {
    "title": "Toy", "direction": {}, "optimum": {},
    "objectives": {"validation": "max", "latency": "min"},
    "true_front": [[100.0, 2.0], [95.0, 0.5]], "reference_point": [80.0, 30.0],
}  # fmt: skip


def written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def svg_text(path: Path) -> set[str]:
    root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    return {"".join(node.itertext()).strip() for node in root.iter() if node.tag.endswith("text")}


@pytest.fixture(scope="module")
def trials() -> pd.DataFrame:
    return drawn({"first": 0, "same": 0, "better": 2}, seeds=30, evaluations=20)


def test_report_writes_tables_and_figures(trials: pd.DataFrame, tmp_path: Path) -> None:
    text = report(trials, tmp_path / "new" / "folder", **ONE)
    files = written(tmp_path / "new" / "folder")
    assert list(files) == [
        "anytime.csv", "pairwise.csv", "ranks.svg", "regret.svg", "summary.csv", "summary.md",
    ]  # fmt: skip
    assert files["summary.md"].decode() == text
    assert text.startswith("# Toy\n\nBudget: 20 charged evaluations.")
    assert "**not distinguishable**" in text
    assert "**better**" in text
    for name in ("regret.svg", "ranks.svg"):
        assert f"]({name})" in text
        assert {"first", "same"} <= {
            word for cell in svg_text(tmp_path / "new" / "folder" / name) for word in cell.split()
        }
    table = pd.read_csv(tmp_path / "new" / "folder" / "summary.csv")
    assert table["group"].tolist() == ["first", "same", "better"]
    assert table["test_rank"].sum() == pytest.approx(6)


def test_the_same_trials_give_the_same_bytes(trials: pd.DataFrame, tmp_path: Path) -> None:
    for name in "ab":
        report(trials, tmp_path / name, **ONE)
    assert written(tmp_path / "a") == written(tmp_path / "b")


def test_several_objectives_are_judged_by_hypervolume(trials: pd.DataFrame, tmp_path: Path) -> None:
    text = report(trials.drop(columns="test"), tmp_path, **TWO)
    assert "Compared is the hypervolume regret at the end" in text
    assert "fronts.svg" in written(tmp_path)
    assert {"true front", "validation", "latency"} <= svg_text(tmp_path / "fronts.svg")


def test_workers_have_their_own_rankings_against_hours(
    trials: pd.DataFrame, tmp_path: Path
) -> None:
    parts = [
        trials.assign(workers=w, seconds=trials["evaluation"] * 600.0 / w, fidelity=3)
        for w in (1, 8)
    ]
    text = report(pd.concat(parts), tmp_path, **ONE)
    assert {"ranks_1.svg", "ranks_8.svg", "regret.svg"} <= set(written(tmp_path))
    assert "virtual hours" in text
    assert "test regret of the incumbent, 8 workers" in svg_text(tmp_path / "regret.svg")


def test_what_a_reader_must_know_is_said(trials: pd.DataFrame, tmp_path: Path) -> None:
    short = trials[~((trials["searcher"] == "same") & (trials["evaluation"] > 10))]
    failing = short.copy()
    mine = (failing["searcher"] == "first") & (failing["seed"] == 3)
    failing.loc[mine, "status"] = "failed"
    text = report(failing[~((failing["searcher"] == "better") & (failing["seed"] == 0))],
                  tmp_path, **ONE)  # fmt: skip
    assert "- same: 30 runs ended before 90 % of the budget; their last values are kept" in text
    assert "- first: 1 runs never had a result; they rank last" in text
    assert "- numbers of runs differ" in text


def predicting(
    searcher: str, seeds: int, sign: float, noise: float, **columns: Any
) -> pd.DataFrame:
    """Runs with predictions from the sixth trial, of 30 trials or, in the first run, of 40."""
    rng = np.random.default_rng(seeds)
    runs = []
    for seed in range(seeds):
        values = rng.uniform(80, 95, 30 if seed else 40).round(1)
        predicted = values + rng.normal(scale=noise, size=len(values))
        predicted[:5] = np.nan
        params = (values + rng.normal(scale=9, size=len(values))).round()
        of_run = run(searcher, seed, sign * values, sign * values, predicted=sign * predicted,
                     params=params, **columns)  # fmt: skip
        of_run.loc[9, "reused"] = True
        runs.append(of_run)
    return pd.concat(runs, ignore_index=True)


def correlations(trials: pd.DataFrame, sign: int, best_fifth: bool) -> tuple[float, float]:
    """The means over runs, by SciPy, where larger values are better."""
    better = {name: sign * trials[name] for name in ("predicted", "validation")}
    judged = trials.assign(**better)[trials["predicted"].notna() & ~trials["reused"]]
    found = []
    for _, rows in judged.groupby("seed"):
        if best_fifth:
            rows = rows.nlargest(len(rows) // 5, "validation")
        both = (stats.spearmanr(rows[name], rows["validation"]) for name in ("predicted", "params"))
        found.append([each.statistic for each in both])
    one, other = np.mean(found, axis=0)
    return float(one), float(other)


@pytest.mark.parametrize("direction", ["max", "min"])
def test_predictions_are_judged_in_each_run_beside_parameters(
    direction: str, tmp_path: Path
) -> None:
    sign = 1 if direction == "max" else -1
    good = predicting("good", 8, sign, noise=0.5)
    poor = predicting("poor", 7, sign, noise=90.0)
    poor["proxy params"] = poor["params"].where(poor["predicted"].notna())
    trials = pd.concat([good, poor, drawn({"none": 0}, 8, 30)])
    ways = {"direction": dict.fromkeys(MAX, direction), "optimum": dict.fromkeys(MAX, sign * 100.0)}
    text = report(trials.reset_index(drop=True), tmp_path, **ONE | ways)
    (every, of_params), (best, best_params) = (correlations(good, sign, b) for b in (False, True))
    assert (
        "- predictions of good: rank correlation with validation of 24 to 34 networks, mean of 8 "
        f"runs, {every:.2f}, in the best fifth {best:.2f}; that of params {of_params:.2f} and "
        f"{best_params:.2f}: better than counting parameters (p 0.0039)\n"
    ) in text
    (none,) = [line for line in text.splitlines() if line.startswith("- predictions of poor: ")]
    assert ": no better than counting parameters (p " in none
    (_, every), (_, best) = (correlations(poor, sign, each) for each in (False, True))
    assert (
        "- proxy params of poor: rank correlation with validation of 24 to 34 networks, mean of 7 "
        f"runs, {every:.2f}, in the best fifth {best:.2f}\n"
    ) in text
    assert "predictions of none" not in text


def test_predictions_are_judged_at_the_fidelity_of_most_runs() -> None:
    def runs(searcher: str, seeds: int) -> list[pd.DataFrame]:
        return [predicting(searcher, seeds, 1, 0.5, workers=w) for w in (1, 8)]

    trials = pd.concat([*runs("BOHB", 6), *runs("few", 4)], ignore_index=True)
    trials["seconds"] = trials["evaluation"] * 60.0
    trials["fidelity"] = np.where(trials["trial"] % 3, 3, 9)  # a third is too few, but for one run
    bohb, its_eight, few, _ = _rankings(trials, curves(trials, MAX, BEST), MAX)
    assert its_eight.startswith(
        "predictions of BOHB, 8 workers at fidelity 3: rank correlation with "
    )
    assert "of 17 to 23 networks, mean of 6 runs, " in bohb
    assert few.endswith(": too few runs to say which is better")


@pytest.mark.parametrize("seeds", [1, 3])
def test_one_searcher_or_few_seeds_still_give_a_report(seeds: int, tmp_path: Path) -> None:
    report(drawn({"alone": 0}, seeds, 5), tmp_path, **ONE)
    assert "ranks.svg" not in written(tmp_path)
    report(drawn({"a": 0, "b": 0}, seeds, 5), tmp_path / "two", **ONE)


def test_failures_alone_still_give_a_report(tmp_path: Path) -> None:
    trials = drawn({"a": 0, "b": 0}, 3, 5).assign(status="failed", validation=float("nan"))
    text = report(trials, tmp_path, **ONE)
    assert "3 runs never had a result" in text
    assert "not distinguishable" in text


@pytest.mark.parametrize(
    ("mean", "deviation", "text"),
    [
        (0.9971989, 0.0, "0.9972 ± 0"),  # not "1.00 ± 0.00"
        (0.9971989, 1e-16, "0.9972 ± 0"),  # equal values, summed with rounding
        (94.3712, 0.0, "94.37 ± 0"),
        (0.98842, 0.00801, "0.9884 ± 0.0080"),
        (94.37, 0.2, "94.37 ± 0.20"),
        (0.5, float("nan"), "0.5"),
    ],
)
def test_means_have_the_digits_that_their_deviation_leaves(
    mean: float, deviation: float, text: str
) -> None:
    assert _spread(mean, deviation) == text
