"""Table, page, plots, verdicts and references select the same best network and the same front."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.analysis.plots.campaign import read
from nas.analysis.plots.networks import front, points
from nas.analysis.tables.networks import campaign_table
from nas.campaigns.store.history import History
from nas.campaigns.store.log import read_records
from nas.jobs import references
from nas.metrics import COSTS, METRICS
from nas.report.outcome import leaders
from tests.analysis.tables.test_trials import ask, write


def drawn_campaign(folder: Path, seed: int) -> Path:
    """Records of random results, full of ties, of which some retrainings have failed."""
    rng = np.random.default_rng(seed)

    def result(trial: str, failed: bool = False, **metrics: Any) -> dict[str, Any]:
        status, error = ("failed", "x") if failed else ("completed", None)
        return {"type": "result", "trial": trial, "status": status, "error": error, "seconds": 1.0,
                "metrics": {} if failed else metrics}  # fmt: skip

    def accuracy() -> float:
        return float(rng.choice([0.1, 0.2, 0.3, 0.7]))

    records = []
    for search, kind in (("evolution", "searched"), ("random", "random")):
        cost = {name: int(rng.integers(1, 4)) for name in COSTS}
        found = [f"{search}-000{number}" for number in range(4)]
        for trial in found:
            records.append(ask(trial, search=search, kind=kind, cost=cost))
            records.append(result(trial, validation_accuracy=accuracy()))
        for label in rng.permutation(found)[:3].tolist():
            for seed in range(4):
                trial = f"final-{label}-seed{seed}"
                made = ask(trial, stage="final", kind=kind, label=label, seed=seed, cost=cost)
                records.append({k: v for k, v in made.items() if k not in ("search", "note")})
                told = {"validation_accuracy": accuracy(), "test_accuracy": accuracy()}
                records.append(result(trial, failed=rng.random() < 0.15, **told))
    objectives = [{"metric": "validation_accuracy", "direction": "maximize"}]
    return write(folder, records, {"objectives": objectives})


@pytest.mark.parametrize("seed", range(12))
def test_all_agree(tmp_path: Path, seed: int) -> None:
    folder = drawn_campaign(tmp_path, seed)
    table, history = campaign_table(folder), History(folder, read_records(folder))
    best = table.loc[table["kind"] == "searched", "name"].iloc[0]
    page = {leader["kind"]: leader["name"] for leader in leaders(table)}
    assert page["searched"] == best
    assert read(folder).best == best
    assert references._best(folder, history, references._scores(history, METRICS)).label == best
    for words in table.attrs["verdicts"]["words"]:
        assert words["sentence"].startswith(best)
    drawn = points(read(folder))
    on_front = front(drawn[drawn["retrained"]], "macs", METRICS.primary)["name"]
    assert set(on_front) == set(table.loc[table["pareto"], "name"])
