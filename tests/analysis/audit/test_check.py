"""`nas check`: sound campaigns pass, whoever searched them, and a planted corruption is named."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from nas.analysis.audit.check import check
from nas.analysis.tables.networks import campaign_table
from nas.analysis.tables.render import render
from nas.campaigns.drive.run import run
from nas.cli import main
from nas.errors import InputError
from nas.tasks.mistakes import packed
from tests.campaigns import toy

pytestmark = pytest.mark.xdist_group("check")  # one clean campaign for all

CAMPAIGN = (
    toy.CAMPAIGN.replace("duplicates: evaluate", "duplicates: reuse")
    .replace("epochs: 1", "epochs: 2")
    .replace("trials: 4", "trials: 6")
    .replace("tournament_size: 2}", "tournament_size: 2, mutations: {choice: 1}, neutral: keep}")
) + "constraints: {params: 130}\n"
EVALUATE = f"{toy.HERE}:evaluate"

Records = list[dict[str, Any]]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign that has trained, and its tables."""
    folder = toy.write(tmp_path_factory.mktemp("check") / "campaign", CAMPAIGN)
    run(folder)
    (folder / "table.csv").write_text(render(campaign_table(folder), "csv") + "\n")
    (folder / "table.md").write_text(render(campaign_table(folder, True), "markdown") + "\n")
    return folder


@pytest.fixture
def copy(clean: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clean, tmp_path / "copy"))


def read(folder: Path) -> Records:
    return [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]


def write(folder: Path, records: Records) -> None:
    lines = (json.dumps(record, separators=(",", ":")) + "\n" for record in records)
    (folder / "records.jsonl").write_text("".join(lines))


def test_a_sound_campaign_passes_and_is_left_as_it_is(
    clean: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(clean)
    assert main(["check", str(clean), "--replay"]) == 0
    asks = sum(record["type"] == "ask" for record in read(clean))
    assert capsys.readouterr().out == (
        f"{clean}: problems: 0; warnings: 0; checked: {asks} asks, 15 results, architectures built "
        "again, proposals made again, table.csv compared, table.md compared\n"
    )
    assert asks > 15, "the case is not tried: there is no duplicate"
    assert files(clean) == before


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# What is planted: an edit of the records, and of which line of which trial what is said.
Plant = Callable[[Records], tuple[int, str]]


def line_of(records: Records, kind: str, trial: str | None) -> int:
    return next(n for n, r in enumerate(records, 1) if (r["type"], r.get("trial")) == (kind, trial))


def changed(kind: str, trial: str | None, key: str, value: Any, said: str = "") -> Plant:
    """Another value in a record; what is said of it begins with trial and key."""

    def plant(records: Records) -> tuple[int, str]:
        line = line_of(records, kind, trial)
        *path, last = key.split("/")
        target = records[line - 1]
        for name in path:
            target = target[int(name) if name.isdigit() else name]
        target[int(last) if last.isdigit() else last] = value
        return line, said or f"{trial}: {last}: {json.dumps(value)}, expected"

    return plant


def deleted_ask(records: Records) -> tuple[int, str]:
    line = line_of(records, "ask", "evolution-0001")
    result = line_of(records, "result", "evolution-0001")
    del records[line - 1]
    return result - 1, "evolution-0001: a result, but it was never asked before"


def doubled_result(records: Records) -> tuple[int, str]:
    line = line_of(records, "result", "evolution-0001")
    records.insert(line, dict(records[line - 1]))
    return (
        line + 1,
        f"evolution-0001: a second result (asked in line {line - 1}, ended in line {line})",
    )


def doubled_ask(records: Records) -> tuple[int, str]:
    line = line_of(records, "ask", "evolution-0001")
    records.insert(line, dict(records[line - 1]))
    return line + 1, f"evolution-0001: a second ask (asked in line {line})"


def result_before_ask(records: Records) -> tuple[int, str]:
    line = line_of(records, "ask", "evolution-0001")
    records[line - 1 : line + 1] = records[line - 1 : line + 1][::-1]
    return line, f"a result, but it was never asked before (asked in line {line + 1})"


def result_of_a_duplicate(records: Records) -> tuple[int, str]:
    line, ask = next((n, r) for n, r in enumerate(records, 1) if "duplicate_of" in r)
    result = next(r for r in records if r["type"] == "result")
    records.insert(line, {**result, "trial": ask["trial"], "time": ask["time"]})
    return line + 1, f"{ask['trial']}: a result, expected none, as it repeats"


def of_another(records: Records) -> tuple[int, str]:
    line, ask = next((n, r) for n, r in enumerate(records, 1) if "duplicate_of" in r)
    others = (r for r in records[: line - 1] if r.get("search") == ask["search"])
    ask["duplicate_of"] = next(
        r["trial"]
        for r in others
        if r["fingerprint"] != ask["fingerprint"] and "duplicate_of" not in r
    )
    return line, f'{ask["trial"]}: duplicate_of: "{ask["duplicate_of"]}", expected a trial of'


def of_an_architecture_that_was_never_searched(records: Records) -> tuple[int, str]:
    line, ask = next((n, r) for n, r in enumerate(records, 1) if "duplicate_of" in r)
    ask["duplicate_of"] = "evolution-9999"
    return line, 'duplicate_of: "evolution-9999", expected an earlier trial of its search'


def swapped_with_the_next(records: Records) -> tuple[int, str]:
    """The label of a retrained trial, with the id that goes with it."""
    line, ask = next(
        (n, r) for n, r in enumerate(records, 1) if r["type"] == "ask" and r["stage"] == "final"
        and r["kind"] == "searched"
    )  # fmt: skip
    other = next(
        r["trial"]
        for r in records
        if r.get("search") == "evolution" and r["fingerprint"] != ask["fingerprint"]
    )
    old, ask["label"], ask["trial"] = ask["trial"], other, f"final-{other}-seed0"
    next(r for r in records if r["type"] == "result" and r["trial"] == old)["trial"] = ask["trial"]
    return line, f"{ask['trial']}: genotype."


def impossible_accuracy(records: Records) -> tuple[int, str]:
    metrics = records[2]["metrics"]
    metrics["validation_accuracy"] = metrics["curve"][-1]["validation_accuracy"] = 1.5
    return 3, "evolution-0000: validation_accuracy: 1.5, expected a number from 0 to 1"


def too_few_epochs(records: Records) -> tuple[int, str]:
    metrics = records[2]["metrics"]
    del metrics["curve"][0]
    metrics["curve"][0]["epoch"] = metrics["epochs"] = 1
    metrics["train_seconds"] = metrics["curve"][0]["train_seconds"]
    metrics["evaluation_seconds"] = metrics["curve"][0]["evaluation_seconds"]
    return 3, "evolution-0000: epochs: 1, expected 2"


def renumbered(records: Records) -> tuple[int, str]:
    line = line_of(records, "ask", "random-0000")
    for record in records[line - 1 :]:
        if record.get("trial") == "random-0000":
            record["trial"] = "random-0033"
    records[line - 1]["number"] = 33
    return line, "random-0033: number: 33, expected 0"


def failed(records: Records) -> tuple[int, str]:
    records[2]["status"] = "failed"
    return 3, "evolution-0000: error: null, expected why it failed"


def result_lost_before_the_final_stage(records: Records) -> tuple[int, str]:
    line = line_of(records, "ask", "evolution-0001")
    del records[line_of(records, "result", "evolution-0001") - 1]
    return line, "evolution-0001: no result, expected one before line "


def another_specification(records: Records) -> tuple[int, str]:
    records[0]["specification"]["recipe"]["learning_rate"] *= 2
    return 1, f"recipe: {json.dumps(records[0]['recipe'])}, expected"


def unknown_stage(records: Records) -> tuple[int, str]:
    records[1]["stage"] = "middle"
    return 2, "stage: Input should be 'search' or 'final', got 'middle'"


def another_schema(records: Records) -> tuple[int, str]:
    records[0]["schema"] = 1
    return 1, "schema: this program reads schema 2 and 3, got 1; finish it with the version"


def clock_of_nobody(records: Records) -> tuple[int, str]:
    del records[2]["time"]
    return 3, "time: null, expected Unix seconds"


def less_elapsed(records: Records) -> tuple[int, str]:
    line = line_of(records, "result", "random-0000")
    records[line - 1]["elapsed"] = 0.0
    return line, "elapsed: 0.0, expected at least"


FIRST, CLASSIC = "evolution-0000", "final-resnet20-seed0"
PLANTS: dict[str, Plant] = {
    "genotype": changed("ask", FIRST, "genotype/width", 1, f"{FIRST}: fingerprint: "),
    "genotype_outside": changed(
        "ask", FIRST, "genotype/width", 5, f"{FIRST}: genotype: space tiny: choice 'width': 5"
    ),
    "genotype_over_the_limit": changed(
        "ask", FIRST, "genotype", {
            "stages": 1, "width": 4, "stage0.cells": 1, "cell.nodes": 2,
            "cell.node0.operation": "conv", "cell.node0.input": "input",
            "cell.node0.second_input": None, "cell.node1.operation": "conv",
            "cell.node1.input": "node0", "cell.node1.second_input": None,
        }, "is 142, over the limit of 130",
    ),
    "fingerprint": changed("ask", FIRST, "fingerprint", "0" * 32),
    "cost": changed("ask", FIRST, "cost/macs", 1, f"{FIRST}: cost.macs: 1, expected "),
    "classics_options": changed("ask", CLASSIC, "options/width", 0.5, 'options: {"width": 0.5}, '),
    "classics_options_unknown": changed(
        "ask", CLASSIC, "options/widht", 0.5, 'options: {"widht": 0.5}, expected {}'
    ),
    "classics_name": changed(
        "ask", CLASSIC, "classic", "resnet21", 'classic: "resnet21", expected "resnet20"'
    ),
    "classics_fingerprint": changed("ask", CLASSIC, "fingerprint", "0" * 32),
    "kind": changed("ask", FIRST, "kind", "random"),
    "training_seed": changed("ask", "evolution-0001", "seed", 1),
    "final_seed": changed("ask", CLASSIC, "seed", 1, f'trial: "{CLASSIC}", expected '),
    "initialization": changed("ask", FIRST, "initialization", "vgg"),
    "deleted_ask": deleted_ask,
    "doubled_ask": doubled_ask,
    "doubled_result": doubled_result,
    "result_before_ask": result_before_ask,
    "lost_result": result_lost_before_the_final_stage,
    "data": changed("campaign", None, "data", "0" * 16, 'data: "0000000000000000", expected '),
    "result_of_a_duplicate": result_of_a_duplicate,
    "duplicate_of_another": of_another,
    "duplicate_of_nothing": of_an_architecture_that_was_never_searched,
    "renumbered": renumbered,
    "label": swapped_with_the_next,
    "accuracy": changed("result", FIRST, "metrics/validation_accuracy", 0.75),
    "loss_is_no_number": changed("result", FIRST, "metrics/train_loss", "low"),
    "seconds": changed("result", FIRST, "metrics/train_seconds", 1e6),
    "impossible_accuracy": impossible_accuracy,
    "objective": changed("result", FIRST, "metrics/validation_accuracy", None),
    "too_few_epochs": too_few_epochs,
    "test_metric": changed("result", FIRST, "metrics/test_accuracy", 0.5),
    "test_metric_in_the_curve": changed("result", FIRST, "metrics/curve",
        [{"epoch": 1}, {"epoch": 2, "test_loss": 0.5}], f"{FIRST}: test_loss: 0.5, expected none"),
    "status": failed,
    "cause": changed("result", FIRST, "cause", "diverged"),
    "test_is_no_number": changed("result", CLASSIC, "metrics/test_accuracy", None),
    "evaluation": changed("result", CLASSIC, "metrics/evaluations/single/test/accuracy", 0.01,
        f"{CLASSIC}: evaluations.single.test.accuracy: 0.01, expected "),
    "confusion": changed("result", CLASSIC, "metrics/evaluations/single/validation/confusion/0/0",
        99, f"{CLASSIC}: evaluations.single.validation.accuracy: "),
    "mistakes": changed("result", CLASSIC, "metrics/evaluations/single/test/mistakes",
        packed([1] * 50), f"{CLASSIC}: evaluations.single.test.accuracy: "),
    "mistakes unread": changed("result", CLASSIC, "metrics/evaluations/single/test/mistakes",
        "u1:!", f"{CLASSIC}: evaluations.single.test.accuracy: its mistakes cannot be read"),
    "epochs_before": changed("result", FIRST, "metrics/epochs_before", 3),
    "kept_epoch": changed("result", FIRST, "metrics/kept_epoch", 99,
        f"{FIRST}: kept_epoch: 99, expected 1 to "),
    "curve": changed("result", FIRST, "metrics/curve/0", {"epoch": 1}, f"{FIRST}: curve: keys: "),
    "epochs charged": changed("result", FIRST, "epochs", 99),
    "data_checksum": changed("result", CLASSIC, "metrics/data_checksum", "0" * 16),
    "fvcore": changed("result", CLASSIC, "metrics/fvcore/flops", 1, f"{CLASSIC}: fvcore: "),
    "recipe_fingerprint": changed("campaign", None, "recipe", "0" * 16, 'recipe: "000000000000'),
    "specification": another_specification,
    "stage": unknown_stage,
    "schema": another_schema,
    "time": clock_of_nobody,
    "elapsed": less_elapsed,
}  # fmt: skip
"""Corruptions of the records, each an edit of a line or two."""


@pytest.mark.parametrize("name", PLANTS)
def test_a_corruption_of_the_records_is_found(copy: Path, name: str) -> None:
    records = read(copy)
    line, said = PLANTS[name](records)
    write(copy, records)
    problems = check(copy).problems
    expected = f"{copy / 'records.jsonl'}:{line}: "
    assert any(p.startswith(expected) and said in p for p in problems), problems
    assert len(problems) <= 6, "one corruption is not to be said in a dozen ways"


def test_a_truncated_line_is_found(copy: Path) -> None:
    path = copy / "records.jsonl"
    lines = path.read_text().splitlines()
    lines[4] = lines[4][:-9]
    path.write_text("\n".join(lines) + "\n")
    problems = check(copy).problems
    assert any(problem.startswith(f"{path}:5: is corrupt: ") for problem in problems)


def test_a_torn_last_line_is_no_problem(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = copy / "records.jsonl"
    path.write_text(path.read_text()[:-9])
    (copy / "table.csv").unlink()
    (copy / "table.md").unlink()
    assert main(["check", str(copy), "--replay"]) == 0
    lines = len(path.read_text().splitlines())
    *warnings, summary = capsys.readouterr().out.splitlines()
    assert warnings[0].startswith(f"warning: {path}:{lines}: is torn")
    assert f"warning: {copy}: no result yet of final-" in warnings[1]
    assert ": problems: 0; warnings: 2; checked: " in summary


def test_an_attempt_that_was_lost_with_its_worker_comes_before_the_result(copy: Path) -> None:
    records = read(copy)
    failure = {"type": "failure", "trial": FIRST, "error": "lost", "cause": "worker_died",
               "seconds": 1.0, "time": records[1]["time"]}  # fmt: skip
    write(copy, [*records[:2], failure, *records[2:]])
    assert not check(copy, replay=True).problems
    write(copy, [*records[:3], failure, *records[3:]])
    (problem,) = check(copy).problems
    assert problem.endswith(
        f":4: {FIRST}: a failure after its result (asked in line 2, ended in line 3)"
    )


def test_an_older_time_is_a_warning(copy: Path) -> None:
    records = read(copy)
    records[5]["time"] -= 1e6
    write(copy, records)
    report = check(copy)
    assert not report.problems
    assert report.warnings[0].startswith(f"{copy / 'records.jsonl'}:6: time: ")


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("campaign.yaml", "budget:", "seed: 1\nbudget:", "seed: recorded 0, now 1"),
        ("campaign.yaml", "params: 130", "params: 100", "constraints.params: recorded 130, now"),
        ("campaign.yaml", "epochs: 2", "epochs: 3", "recipe.epochs: recorded 2, now 3"),
        ("campaign.yaml", "budget:", "budge:", "budge: unknown key 'budge'"),
        ("tiny.yaml", "[1, 2, 3, 4]", "[1, 2]", "space.width: recorded [1, 2, 3, 4], now [1, 2]"),
        ("resolved.json", '"seed": 0', '"seed": 1', "seed: recorded 0, now 1"),
        ("resolved.json", '"recipe_fingerprint": "', '"recipe_fingerprint": "0', "recipe: "),
        ("resolved.json", "{", "[", "is corrupt"),
        ("table.csv", ",classic,", ",searched,", ",searched,"),
        ("table.md", "| random ", "| search ", "| search "),
    ],
)
def test_another_file_that_disagrees_is_found(
    copy: Path, name: str, old: str, new: str, said: str
) -> None:
    path = copy / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    report = check(copy, replay=True)
    source = "campaign.yaml" if name == "tiny.yaml" else name
    assert all(problem.startswith(str(copy / source)) for problem in report.problems)
    assert any(said in problem for problem in report.problems)
    if source == "campaign.yaml":
        assert any("proposals were not made again" in each for each in report.warnings)


def test_a_missing_metric_is_a_warning(copy: Path) -> None:
    records = read(copy)
    line = line_of(records, "result", CLASSIC)
    del records[line - 1]["metrics"]["precision"]
    write(copy, records)
    report = check(copy)
    assert not report.problems
    said = f"{CLASSIC}: metrics: has no precision, unlike most of its stage"
    assert report.warnings == [f"{copy / 'records.jsonl'}:{line}: {said}"]


def test_whatever_is_written_in_the_records_is_reported_not_raised(copy: Path) -> None:
    path = copy / "records.jsonl"
    clean, rng = path.read_bytes(), Random(0)
    values = [None, 0, -1, 2.5, float("nan"), 10**30, "", "x", FIRST, [], [1], {}, {"a": 1}, True]
    found = 0
    for _ in range(40):
        records = [json.loads(line) for line in clean.splitlines()]
        target: Any = rng.choice(records)
        key = rng.choice(list(target))
        while rng.random() < 0.7 and isinstance(target[key], dict | list) and target[key]:
            target = target[key]
            key = rng.choice(list(target) if isinstance(target, dict) else range(len(target)))
        target[key] = rng.choice(values)
        write(copy, records)
        found += bool(check(copy, replay=rng.random() < 0.5).problems)
    assert found >= 25  # not each is wrong: a time or the name of a device may be anything


def test_other_versions_are_a_warning(copy: Path) -> None:
    path = copy / "resolved.json"
    path.write_text(re.sub(r'"optuna": "[^"]*"', '"optuna": "0.1"', path.read_text()))
    report = check(copy)
    assert not report.problems
    assert f"{copy}: it ran with other versions: optuna 0.1, here " in report.warnings[0]


def accuracies(records: Records) -> str:
    """Every network of the search better than the one before."""
    for number, record in enumerate(records):
        if record["type"] == "result" and record["trial"].startswith("evolution"):
            metrics = record["metrics"]
            metrics["validation_accuracy"] = number / 100
            metrics["curve"][-1]["validation_accuracy"] = metrics["validation_accuracy"]
    return ": asked again: "


def another_architecture(records: Records) -> str:
    """A duplicate of an earlier trial in place of another one, and consistently."""
    first, ask = (records[line_of(records, "ask", f"evolution-000{n}") - 1] for n in (0, 1))
    for key in ("genotype", "fingerprint", "cost"):
        ask[key] = first[key]
    return "evolution-0001: asked again: genotype."


def second_best(records: Records) -> str:
    """What was retrained is not the best of the random search, and consistently so."""
    ask = next(r for r in records if r.get("stage") == "final" and r["kind"] == "random")
    results = {r["trial"]: r for r in records if r["type"] == "result"}
    best = ask["label"]
    other = next(
        r
        for r in records
        if r.get("search") == "random"
        and r["fingerprint"] != ask["fingerprint"]
        and r["trial"] in results
    )
    final = results[ask["trial"]]
    ask["label"] = other["trial"]
    ask["trial"] = final["trial"] = f"final-{other['trial']}-seed0"
    for key in ("genotype", "fingerprint", "cost"):
        ask[key] = other[key]
    final["metrics"]["fvcore"] = other["cost"]
    return f'{ask["trial"]}: label: "{other["trial"]}", expected "{best}" before it, which was'


@pytest.mark.parametrize("plant", [accuracies, another_architecture, second_best])
def test_a_consistent_forgery_is_found_by_asking_again(
    copy: Path, plant: Callable[[Records], str]
) -> None:
    (copy / "table.csv").unlink()
    (copy / "table.md").unlink()
    records = read(copy)
    said = plant(records)
    write(copy, records)
    assert not check(copy).problems
    problems = check(copy, replay=True).problems
    assert any(said in problem for problem in problems), problems


def test_seeds_that_are_alike_and_not_the_campaigns_are_found(copy: Path) -> None:
    records = read(copy)
    for record in records:
        if record.get("stage") == "search":
            record["seed"] = 0
    write(copy, records)
    asks = sum(record.get("stage") == "search" for record in records)
    problems = check(copy).problems
    assert sum(": seed: 0, expected " in problem for problem in problems) == asks


SEARCHERS = {
    "tpe": "{name: optuna, sampler: TPE, sampler_options: {n_startup_trials: 3}}",
    "gp": "{name: optuna, sampler: GP, sampler_options: {n_startup_trials: 3}}",
    "nsga2": "{name: optuna, sampler: NSGAII, sampler_options: {population_size: 3}}",
    "local_search": "local_search",
    "asha": "{name: asha, max_fidelity: 4, reduction_factor: 2}",
    "hyperband": "{name: hyperband, max_fidelity: 4, reduction_factor: 2}",
    "bohb": "{name: bohb, max_fidelity: 4, reduction_factor: 2, min_points: 2}",
}


@pytest.mark.parametrize("name", SEARCHERS)
def test_every_searcher_asks_the_same_again(folder: Path, name: str) -> None:
    text = toy.CAMPAIGN.replace("duplicates: evaluate", "duplicates: reuse")
    text = text.replace("trials: 4", "trials: 12").replace("epochs: 1", "epochs: 4")
    text = text.replace("{name: evolution, population_size: 2, tournament_size: 2}",
                        SEARCHERS[name])  # fmt: skip
    evaluator = f"{toy.HERE}:epochs"
    run(toy.write(folder, text.replace("trials: 12", "trials: 7")), evaluator=evaluator)
    run(toy.write(folder, text), evaluator=evaluator)  # resumed, that is
    report = check(folder, replay=True)
    assert not report.problems
    assert "proposals made again" in report.summary
    records = read(folder)
    own = [r for r in records if r["type"] == "ask" and "search" in r and r["kind"] == "searched"]
    ask = own[9]
    ask["note"]["of_mine"] = 1
    write(folder, records)
    (problem,) = check(folder, replay=True).problems
    line = records.index(ask) + 1
    assert problem == (
        f"{folder / 'records.jsonl'}:{line}: {ask['trial']}: asked again: note.of_mine: recorded 1,"
        " now nothing"
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "campaign"


def test_a_trial_that_goes_on_with_another_is_held_against_it(folder: Path) -> None:
    text = toy.CAMPAIGN.replace("trials: 4", "trials: 12").replace("epochs: 1", "epochs: 4")
    own = "{name: evolution, population_size: 2, tournament_size: 2}"
    run(toy.write(folder, text.replace(own, SEARCHERS["asha"])), evaluator=f"{toy.HERE}:epochs")
    assert not check(folder).problems
    records = read(folder)
    line, ask = next((n, r) for n, r in enumerate(records, 1) if "continues" in r)
    right = dict(ask)
    others = [r for r in records[:line] if r.get("search") == "asha" and r["number"] < 4]
    unlike = next(r["number"] for r in others if r["genotype"] != ask["genotype"])
    for change, said in [
        ({"continues": 999}, "continues: 999, expected the number of an earlier trial"),
        ({"continues": unlike}, f"continues: {unlike}, expected one of the same genotype"),
        ({"fidelity": 1}, "expected one of a lower fidelity"),
        ({"fidelity": 1}, "epochs: 2, expected 1"),
    ]:
        records[line - 1] = right | change
        write(folder, records)
        assert any(said in problem for problem in check(folder).problems)


def test_trials_of_a_simulated_cluster_are_asked_again_in_the_recorded_order(
    folder: Path,
) -> None:
    import nas

    folder.mkdir()
    space = nas.space("nasbench201", nodes=3)
    rows = [f"{space.to_string(g)},{n % 37},{n}" for n, g in enumerate(space.enumerate(), 1)]
    (folder / "t.csv").write_text("\n".join(["architecture,val,seconds", *rows]) + "\n")
    (folder / "campaign.yaml").write_text(
        "space: {name: nasbench201, nodes: 3, cells: 1, channels: 4}\n"
        "searcher: {name: evolution, population_size: 4, tournament_size: 2}\n"
        "budget: {trials: 40}\n"
        "evaluator: {name: tabular, table: {name: columns, file: t.csv, seconds: seconds}, "
        "validation: val, test: val, scale: 0.01}\n"
        "engine: {name: simulated, concurrency: 5}\n"
    )
    run(folder)
    ended = [
        int(r["trial"][-4:]) for r in read(folder) if r["type"] == "result" and r["trial"][0] == "e"
    ]
    assert ended != sorted(ended), "the case is not tried: trials ended in order"
    report = check(folder, replay=True)
    assert not report.problems
    assert "proposals made again" in report.summary


def test_without_records_there_is_nothing_to_check(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(folder)]) == 2
    toy.write(folder)
    path = folder / "records.jsonl"
    with pytest.raises(InputError, match=re.escape(f"{path}: is not there")):
        check(folder)
    for content in ("", '{"type": "camp'):
        path.write_text(content)
        assert main(["check", str(folder)]) == 2
        assert capsys.readouterr().err.endswith(f"{path}: holds no record\n")
