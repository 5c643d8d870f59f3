import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.campaigns.drive.failure_limit import FIRST
from nas.campaigns.drive.run import run
from nas.campaigns.drive.runner import Runner
from nas.campaigns.engines.base import Outcome
from nas.campaigns.engines.serial import SerialEngine
from nas.campaigns.spec.campaign import load_campaign
from nas.campaigns.store.log import RecordLog
from nas.errors import CampaignError, InputError
from nas.searchers import Observation
from tests.campaigns import toy
from tests.campaigns.lines import read_records

EVALUATE = f"{toy.HERE}:evaluate"


def edit(folder: Path, old: str, new: str, name: str = "campaign.yaml") -> Path:
    path = folder / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    return folder


def test_a_campaign_from_end_to_end(folder: Path) -> None:
    summary = run(folder, evaluator=EVALUATE)
    toy.check_complete(folder, 11)
    assert [trial for trial, _ in toy.genotypes(folder)][:9] == [
        *(f"evolution-000{n}" for n in range(4)),
        *(f"random-000{n}" for n in range(4)),
        "final-resnet20-seed0",
    ]
    records = read_records(folder)
    asks = {r["trial"]: r for r in records if r["type"] == "ask"}
    results = {r["trial"]: r["metrics"] for r in records if r["type"] == "result"}
    found = [t for t in results if t.startswith("evolution")]
    best = max(found, key=lambda t: results[t]["validation_accuracy"])
    assert (summary.best_trial, summary.completed, summary.failed) == (best, 11, 0)
    assert asks[f"final-{best}-seed0"]["genotype"] == asks[best]["genotype"]
    # Only the final stage has read the test images.
    assert {t for t, metrics in results.items() if "test_accuracy" in metrics} == {
        t for t in results if t.startswith("final-")
    }
    architecture = load_campaign(folder).space.decode(asks[best]["genotype"])
    assert asks[best]["fingerprint"] == architecture.fingerprint
    assert asks[best]["cost"] == architecture.cost._asdict()
    assert "going on" not in (folder / "run.log").read_text()
    resolved = json.loads((folder / "resolved.json").read_text())
    assert resolved["specification"] == records[0]["specification"]
    prints = {records[0]["recipe"], resolved["recipe_fingerprint"]}
    assert prints == {load_campaign(folder).recipe.fingerprint}
    assert resolved["environment"]["versions"]["torch"]
    before = (folder / "records.jsonl").read_bytes()
    assert run(folder, evaluator=EVALUATE) == summary
    assert (folder / "records.jsonl").read_bytes() == before


def test_the_seed_decides_what_is_asked(tmp_path: Path) -> None:
    asked = []
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        folder = toy.write(tmp_path / name, toy.CAMPAIGN + f"seed: {seed}\n")
        run(folder, evaluator=EVALUATE)
        asked.append(toy.genotypes(folder))
    assert asked[0] == asked[1] != asked[2]
    searches = [[g for t, g in asked[0] if t.startswith(n)] for n in ("evolution", "random")]
    assert searches[0] != searches[1]


@pytest.mark.parametrize("seed", [0, 7])
def test_retraining_with_the_campaigns_seed_does_not_repeat_the_search(
    folder: Path, seed: int
) -> None:
    edit(folder, "top: 1, top_random: 1, classics: [resnet20]", f"top: 1, seeds: [{seed}]")
    edit(folder, "budget:", f"random_baseline: false\nseed: {seed}\nbudget:")
    edit(folder, "trials: 4", "trials: 1")
    run(folder)
    searched, final = (r["metrics"] for r in read_records(folder) if r["type"] == "result")
    assert searched["train_loss"] != final["train_loss"]


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_a_log_cut_at_any_byte_is_finished_as_if_nothing_had_been(
    folder: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    edit(folder, "trials: 4", "trials: 2")
    edit(folder, ", classics: [resnet20]", "")
    edit(folder, "budget:", "random_baseline: false\nbudget:")
    run(folder, evaluator=EVALUATE)
    asked = toy.genotypes(folder)
    (folder / "resolved.json").unlink()  # it is written after the first record
    path = folder / "records.jsonl"
    content = path.read_bytes()
    campaign, engine = load_campaign(folder), SerialEngine(EVALUATE)
    monkeypatch.setattr("os.fsync", lambda descriptor: None)  # thousands of them
    for end in range(0, len(content), step):
        path.write_bytes(content[:end])
        with RecordLog(folder) as log:
            engine.run(Runner(campaign, log))
        assert toy.genotypes(folder) == asked, end
        toy.check_complete(folder, 3)


def test_recorded_results_are_replayed_and_not_repeated(folder: Path) -> None:
    run(folder, evaluator=EVALUATE)
    path = folder / "records.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:6]))  # evolution-0002 was asked and has no result
    run(folder, evaluator=EVALUATE)
    again = path.read_text().splitlines(keepends=True)
    assert again[:6] == lines[:6]
    assert json.loads(again[6])["type"] == "result"
    assert "going on after 2 of 11 trials" in (folder / "run.log").read_text()
    toy.check_complete(folder, 11)


def test_a_larger_budget_goes_on(folder: Path, tmp_path: Path) -> None:
    run(folder, evaluator=EVALUATE)
    run(edit(folder, "trials: 4", "trials: 6"), evaluator=EVALUATE)
    whole = edit(toy.write(tmp_path / "whole"), "trials: 4", "trials: 6")
    run(whole, evaluator=EVALUATE)

    def searched(campaign: Path) -> dict[str, object]:
        return {t: g for t, g in toy.genotypes(campaign) if not t.startswith("final-")}

    assert searched(folder) == searched(whole)
    assert len(searched(folder)) == 12


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("campaign.yaml", "epochs: 1", "epochs: 2", "recipe.epochs: recorded 1, now 2"),
        ("campaign.yaml", "seed: 0", "seed: 1", "seed: recorded 0, now 1"),
        (
            "campaign.yaml",
            "seed: 0",
            "constraints: {params: 100}",
            "constraints.params: recorded nothing, now 100",
        ),
        (
            "campaign.yaml",
            "population_size: 2",
            "population_size: 3",
            "searcher.population_size: recorded 2, now 3",
        ),
        (
            "campaign.yaml",
            "validation: 0.2, test: 0.2",
            "validation: 0.1, test: 0.3",
            "data.split.test: recorded 0.2, now 0.3\n"
            "  data.split.validation: recorded 0.2, now 0.1",
        ),
        (
            "tiny.yaml",
            "width: [1, 2, 3, 4]",
            "width: [1, 2]",
            "space.width: recorded [1, 2, 3, 4], now [1, 2]",
        ),
    ],
)
def test_another_specification_is_refused(
    folder: Path, name: str, old: str, new: str, message: str
) -> None:
    edit(folder, "engine:", "seed: 0\nengine:")
    run(folder, evaluator=EVALUATE)
    before = (folder / "records.jsonl").read_bytes()
    with pytest.raises(InputError, match=re.escape(message)):
        run(edit(folder, old, new, name), evaluator=EVALUATE)
    assert (folder / "records.jsonl").read_bytes() == before


def test_what_does_not_touch_the_history_may_change(folder: Path) -> None:
    run(folder, evaluator=EVALUATE)
    edit(folder, "name: serial", "name: serial, cpus_per_trial: 2")
    edit(folder, "epochs: 1", "epochs: 1, momentum: 0.9")  # the default, spelled out
    edit(folder, "top: 1", "top: 2")
    edit(folder, "budget:", "random_baseline: false\nbudget:")
    run(folder, evaluator=EVALUATE)
    toy.check_complete(folder, 12)


def test_a_budget_below_what_is_recorded_is_refused(folder: Path) -> None:
    run(folder, evaluator=EVALUATE)
    with pytest.raises(InputError, match=r"budget\.trials: .* allowed: at least 4, got 3"):
        run(edit(folder, "trials: 4", "trials: 3"), evaluator=EVALUATE)


def test_a_program_that_builds_other_architectures_is_refused(folder: Path) -> None:
    run(folder, evaluator=EVALUATE)
    edit(folder, '"fingerprint":"', '"fingerprint":"0', "records.jsonl")
    with pytest.raises(InputError, match="builds another architecture for trial evolution-0000"):
        run(folder, evaluator=EVALUATE)


def test_failed_trials_are_recorded_and_the_search_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.campaigns.toy.os._exit", lambda code: 1 / 0)
    summary = run(edit(folder, "trials: 4", "trials: 8"), evaluator=f"{toy.HERE}:faulty")
    results = [r for r in read_records(folder) if r["type"] == "result"]
    failed = [r for r in results if r["status"] == "failed"]
    assert summary.failed == len(failed) > 0
    assert summary.completed == len(results) - len(failed) > 0
    errors = {r["error"].strip().splitlines()[-1] for r in failed}
    assert "ArithmeticError: no luck" in errors
    assert "the evaluator returned None as validation_accuracy, which is not a number" in errors
    assert all("Traceback" in r["error"] for r in failed if "no luck" in r["error"])


def test_a_run_in_which_nothing_works_is_stopped(folder: Path) -> None:
    edit(folder, "trials: 4", "trials: 6")
    for rounds in (1, 2):
        with pytest.raises(CampaignError, match=r"(?s)all failed.*RuntimeError: no such luck"):
            run(folder, evaluator=f"{toy.HERE}:broken")
        results = [r for r in read_records(folder) if r["type"] == "result"]
        assert len(results) == rounds * FIRST  # all recorded; run again, it tries the next
    run(folder, evaluator=EVALUATE)
    toy.check_complete(folder, 14)  # and one of the baseline alone is left to find


def no_json(trial: Mapping[str, Any]) -> Any:
    """Returns numbers of numpy's, nothing, or what is no JSON, by the width of the stem."""
    match toy.width(trial):
        case 1:
            return None
        case 2:
            return {**toy.evaluate(trial), "seen": {1, 2}}
    half = {"validation_accuracy": np.float32(0.5), "test_accuracy": np.float64(0.5)}
    return {**half, "n": np.int64(3)}


def test_what_is_no_json_fails_the_trial_and_not_the_campaign(folder: Path) -> None:
    run(edit(folder, "trials: 4", "trials: 8"), evaluator=f"{__name__}:no_json")
    results = [r for r in read_records(folder) if r["type"] == "result"]
    last_lines = {r["error"].strip().splitlines()[-1] for r in results if r["status"] == "failed"}
    assert last_lines == {
        "TypeError: the evaluator returned None, expected a mapping of metrics",
        "TypeError: the evaluator returned {1, 2} as metrics.seen, which is not plain JSON",
    }
    told = [r["metrics"] for r in results if r["status"] == "completed"]
    assert told
    assert all(metrics["n"] == 3 for metrics in told)


def cuda_breaks(trial: Mapping[str, Any]) -> Any:
    """As a fault on a GPU: whatever this process computes there later fails too."""
    if toy.width(trial) == 1:
        raise RuntimeError("CUDA error: device-side assert triggered\nmore of it")
    return toy.evaluate(trial)


def test_a_gpu_that_is_of_no_more_use_ends_a_serial_run_and_not_the_campaign(folder: Path) -> None:
    edit(folder, "trials: 4", "trials: 8")
    told: list[str] = []
    for _ in range(20):
        try:
            run(folder, evaluator=f"{__name__}:cuda_breaks")
            break
        except CampaignError as error:
            told.append(str(error))
    assert told
    assert all("the GPU unusable for this process (CUDA error: dev" in text for text in told)
    toy.check_complete(folder, 19)
    failed = [r for r in read_records(folder) if r["type"] == "result" and r["status"] == "failed"]
    assert len(failed) == len(told)


def test_an_evaluator_is_remembered(folder: Path) -> None:
    run(folder, evaluator=EVALUATE)
    run(edit(folder, "trials: 4", "trials: 5"))  # trains nothing
    records = read_records(folder)
    assert records[0]["evaluator"] == EVALUATE
    assert not any("train_loss" in r["metrics"] for r in records if r["type"] == "result")
    assert "warning" not in (folder / "run.log").read_text()
    run(edit(folder, "trials: 5", "trials: 6"), evaluator=f"{__name__}:no_json")
    assert f"begun with the evaluator {EVALUATE}, and continues" in (folder / "run.log").read_text()
    with pytest.raises(InputError, match=r"evaluator nowhere:at_all: no module 'nowhere'; "):
        run(folder, evaluator="nowhere:at_all")


def test_what_earlier_runs_were_made_with_is_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for trials, commit in ((4, "a"), (5, "b"), (6, "b"), (7, "c")):
        monkeypatch.setattr(
            "nas.campaigns.drive.run.environment", lambda commit=commit: {"git": commit}
        )
        toy.write(folder, toy.CAMPAIGN.replace("trials: 4", f"trials: {trials}"))
        run(folder, evaluator=EVALUATE)
    told = json.loads((folder / "resolved.json").read_text())
    assert told["environment"] == {"git": "c"}
    earlier = [(run["environment"]["git"], run["until_trial"]) for run in told["earlier_runs"]]
    ended = [r["trial"] for r in read_records(folder) if r["type"] == "result"]
    assert [commit for commit, _ in earlier] == ["a", "b"]
    # The fifth of each search is the first of its run.
    assert ended[earlier[0][1]] == "evolution-0004"
    assert ended[earlier[1][1]] == "evolution-0006"


def without(folder: Path, wanted: Callable[[dict[str, Any]], bool]) -> None:
    """Leaves the wanted records out."""
    path = folder / "records.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not wanted(json.loads(line))))


def test_records_that_contradict_each_other_are_told_of(folder: Path) -> None:
    run(folder, evaluator=EVALUATE)
    whole = (folder / "records.jsonl").read_text()
    without(folder, lambda r: (r["type"], r.get("trial")) == ("ask", "evolution-0003"))
    with pytest.raises(InputError, match="trial evolution-0003: a result, but it was never asked"):
        run(folder, evaluator=EVALUATE)
    (folder / "records.jsonl").write_text(whole)
    edit(folder, '"validation_accuracy":', '"validation_accurcay":', "records.jsonl")
    with pytest.raises(
        InputError, match=r"evolution-0000: metrics\.validation_accuracy: must be a"
    ):
        run(folder, evaluator=EVALUATE)


def test_a_baseline_that_is_switched_off_halfway_finishes_what_it_began(folder: Path) -> None:
    with (folder / "campaign.yaml").open("a") as file:
        file.write("early_stopping: {name: median}\n")
    run(folder, evaluator=f"{toy.HERE}:epochs")
    path = folder / "records.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    asked = next(n for n, line in enumerate(lines) if '"trial":"random-0001"' in line)
    path.write_text("".join(lines[: asked + 1]))
    with (folder / "campaign.yaml").open("a") as file:
        file.write("random_baseline: false\n")
    run(folder, evaluator=f"{toy.HERE}:epochs")
    ended = [r["trial"] for r in read_records(folder) if r["type"] == "result"]
    assert "random-0001" in ended
    assert "random-0002" not in ended


def test_searchers_are_told_what_to_minimise_once_it_is_on_the_disk(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []

    def tell(self: object, observation: Observation) -> None:
        last = read_records(folder)[-1]
        assert last["type"] == "result"
        assert observation.values == (-last["metrics"]["validation_accuracy"],)
        told.append(observation.trial_id)

    monkeypatch.setattr("nas.searchers.evolution.RegularizedEvolution.tell", tell)
    run(folder, evaluator=EVALUATE)
    assert told == [0, 1, 2, 3]


def test_a_searcher_that_keeps_a_trace_of_its_asks_is_rebuilt(folder: Path) -> None:
    evolution = "{name: evolution, population_size: 2, tournament_size: 2}"
    options = "sampler: TPE, sampler_options: {n_startup_trials: 2}"
    edit(folder, evolution, f"{{name: optuna, {options}}}")
    edit(folder, "trials: 4", "trials: 8")
    run(folder, evaluator=EVALUATE)
    asked = toy.genotypes(folder)
    path = folder / "records.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    for end in range(4, 18):
        path.write_text("".join(lines[:end]))
        run(folder, evaluator=EVALUATE)
        assert toy.genotypes(folder) == asked


def test_constraints_hold_for_whatever_is_tried(folder: Path) -> None:
    edit(folder, "budget:", "constraints: {params: 100, macs: 2400}\nbudget:")
    edit(folder, "trials: 4", "trials: 12")
    run(folder, evaluator=EVALUATE)
    costs = [r["cost"] for r in read_records(folder) if r.get("stage") == "search"]
    assert max(cost["params"] for cost in costs) <= 100
    assert max(cost["macs"] for cost in costs) <= 2400


def test_the_finalists_are_distinct(folder: Path) -> None:
    edit(folder, "trials: 4", "trials: 30")
    edit(folder, "top: 1", "top: 20")
    run(folder, evaluator=EVALUATE)
    finals = [
        r for r in read_records(folder) if r.get("stage") == "final" and r["kind"] == "searched"
    ]
    searched = [r for r in read_records(folder) if r.get("search") == "evolution"]
    distinct = {r["fingerprint"] for r in searched}
    assert len(distinct) < len(searched), "the case is not tried: no architecture came twice"
    assert len({r["fingerprint"] for r in finals}) == len(finals) == min(20, len(distinct))


def test_classics_fill_the_end_of_a_search(folder: Path) -> None:
    """While a trial of a search runs, the final stage gives out what depends on no result."""
    with RecordLog(folder) as log:
        runner = Runner(load_campaign(folder), log)

        def finish(trial: str) -> None:
            runner.done(trial, Outcome("completed", {"validation_accuracy": 0.5}, None, 0.0))

        given = []
        while trial := runner.next():
            given.append(trial.id)
            if len(given) < 8:
                finish(trial.id)
        assert given[-2:] == ["random-0003", "final-resnet20-seed0"]
        finish("random-0003")
        last = [trial.id for trial in iter(runner.next, None) if trial]
        assert last == ["final-evolution-0000-seed0", "final-random-0000-seed0"]


@pytest.mark.parametrize("asked", ["reference", "xavier_normal"])
def test_reference_initialisation_is_each_networks_own(folder: Path, asked: str) -> None:
    edit(folder, "epochs: 1", f"epochs: 1, initialization: {asked}")
    edit(folder, "[resnet20]", "[resnet20, vgg8, nin]")
    with RecordLog(folder) as log:
        runner = Runner(load_campaign(folder), log)
        schemes = {}
        while trial := runner.next():
            schemes[trial.id] = trial.payload["recipe"]["initialization"]
            outcome = Outcome("completed", {"validation_accuracy": 0.5}, None, 0.0)
            runner.done(trial.id, outcome)
    first, *rest = read_records(folder)
    assert first["specification"]["recipe"]["initialization"] == asked
    recorded = {r["trial"]: r.get("initialization") for r in rest if r["type"] == "ask"}
    own = {"final-resnet20-seed0": "kaiming_normal", "final-vgg8-seed0": "vgg"}
    expected = {trial: own.get(trial, "default") for trial in schemes}
    assert len(schemes) == 13
    assert schemes == (expected if asked == "reference" else dict.fromkeys(schemes, asked))
    assert recorded == (expected if asked == "reference" else dict.fromkeys(schemes))


def test_an_unfinished_trial_keeps_the_initialisation_it_was_asked_with(folder: Path) -> None:
    edit(folder, "epochs: 1", "epochs: 1, initialization: reference")
    run(folder, evaluator=EVALUATE)
    path = folder / "records.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    last = next(n for n, line in enumerate(lines) if '"final-resnet20-seed0"' in line)
    path.write_text("".join(lines[: last + 1]).replace('"kaiming_normal"', '"vgg"'))
    with RecordLog(folder) as log:
        trial = Runner(load_campaign(folder), log).next()
    assert trial is not None
    assert (trial.id, trial.payload["recipe"]["initialization"]) == ("final-resnet20-seed0", "vgg")


def test_without_outcome_a_run_does_not_pass_for_complete(folder: Path) -> None:
    class Loses(SerialEngine):
        def run(self, source: object) -> None:
            assert isinstance(source, Runner)
            source.next()

    with pytest.raises(CampaignError, match="there is no outcome of evolution-0000"):
        run(folder, engine=Loses(EVALUATE))
