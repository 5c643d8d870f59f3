"""Promotion by learning curves: decided by the recorded curves, and the same after a resume."""

import shutil
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

from nas.campaigns.drive.run import run
from nas.errors import InputError
from nas.evaluators.work import Progress, Work
from nas.statistics.learning_curves import expected_end
from tests.campaigns.lines import read_records
from tests.campaigns.toy import CAMPAIGN, evaluate, genotypes, write
from tests.searchers.test_multi_fidelity import Results, get_job

OWN = "{name: evolution, population_size: 2, tournament_size: 2}"
ASHA = (
    "{name: asha, min_fidelity: 4, max_fidelity: 16, reduction_factor: 2, "
    "promotion: learning_curve}\nrandom_baseline: false"
)
PROMOTION = (
    CAMPAIGN.replace(OWN, ASHA)
    .replace("epochs: 1", "epochs: 16")
    .replace("trials: 4", "trials: 24")
    .replace("{top: 1, top_random: 1, classics: [resnet20]}", "{top: 1}")
)
RUNGS = (4, 8, 16)


def crossing(trial: Mapping[str, Any], checkpoint: bytes | None) -> Work:
    """Trains nothing; the accuracy rises to its limit as a power law, from low or from high."""
    digest = blake2b(trial["architecture"].encode(), digest_size=2).digest()
    limit, span = (byte / 256 for byte in digest)
    before, until = int(checkpoint or 0), trial["epochs"] or 16
    curve = []
    for epoch in range(1, until + 1):
        accuracy = (1 + limit) / 2 * (1 - span / epoch)
        curve.append({"epoch": epoch, "validation_accuracy": accuracy, "train_seconds": 0.5})
        yield Progress(curve[-1], str(max(before, epoch)).encode)
    return {
        **evaluate(trial),
        "validation_accuracy": accuracy,
        "epochs": until,
        "epochs_before": before,
        "curve": curve,
        "train_seconds": 0.5 * until,
    }


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write(tmp_path_factory.mktemp("promotion") / "campaign", PROMOTION)
    run(folder, evaluator=f"{__name__}:crossing")
    return folder


def test_every_promotion_follows_from_the_recorded_curves(promoted: Path) -> None:
    rungs: list[Results] = [[] for _ in RUNGS]
    values: list[Results] = [[] for _ in RUNGS]
    gone: set[int] = set()
    asks: dict[str, dict[str, Any]] = {}
    otherwise = 0
    for record in read_records(promoted):
        if record.get("stage") == "search":
            asks[record["trial"]] = record
            found, rung = record.get("continues"), RUNGS.index(record["fidelity"])
            assert (found, rung) == get_job(rungs, [0, 0, 0], gone, 2)
            otherwise += (found, rung) != get_job(values, [0, 0, 0], gone, 2)
            gone |= {found} - {None}
        elif record["type"] == "result" and record["trial"] in asks:
            ask = asks[record["trial"]]
            curve = [point["validation_accuracy"] for point in record["metrics"]["curve"]]
            assert len(curve) == ask["fidelity"]  # also of a trial that went on
            end = expected_end(curve, 16) if len(curve) < 16 else curve[-1]
            rungs[RUNGS.index(len(curve))].append(((-end,), ask["number"]))
            values[RUNGS.index(len(curve))].append(((-curve[-1],), ask["number"]))
    assert all(rungs)
    assert otherwise, "promotion by value would have done the same"


def test_a_search_cut_anywhere_promotes_the_same_trials(promoted: Path, tmp_path: Path) -> None:
    lines = (promoted / "records.jsonl").read_text().splitlines(keepends=True)
    for kept in range(8, len(lines), 17):
        folder = tmp_path / str(kept)
        shutil.copytree(promoted, folder)
        (folder / "records.jsonl").write_text("".join(lines[:kept]))
        run(folder, evaluator=f"{__name__}:crossing")
        assert genotypes(folder) == genotypes(promoted)
    path = folder / "campaign.yaml"
    path.write_text(path.read_text().replace(", promotion: learning_curve", ""))
    with pytest.raises(
        InputError, match=r'searcher\.promotion: recorded "learning_curve", now "val'
    ):
        run(folder, evaluator=f"{__name__}:crossing")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("fidelity: train_fraction", "searcher.promotion: .* with fidelity train_fraction: value"),
        ("objectives: [params]", "searcher.promotion: .* allowed objectives: validation_accuracy"),
        ("objectives: [validation_accuracy, params]", "promotion: .* with 2 objectives: value"),
        (
            "evaluator: {name: supernet, epochs: 1}",
            "searcher.promotion: judges by learning curves, but the evaluator supernet trains no",
        ),
        ("early_stopping: median", "early_stopping: the searcher asha stops trials early"),
    ],
)
def test_where_there_are_no_curves_it_is_refused(tmp_path: Path, more: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(write(tmp_path / "c", f"{PROMOTION}{more}\n"), evaluator=f"{__name__}:crossing")


def test_a_curve_says_nothing_of_its_best_epoch(tmp_path: Path) -> None:
    best = PROMOTION.replace("preset: quick", "preset: quick, keep: best")
    message = "searcher.promotion: learning_curve extrapolates .* allowed with it: keep: last"
    with pytest.raises(InputError, match=message):
        run(write(tmp_path / "c", best), evaluator=f"{__name__}:crossing")
    write(tmp_path / "c", best.replace("promotion: learning_curve", "promotion: value"))
    run(tmp_path / "c", evaluator=f"{__name__}:crossing")
