"""Campaigns that look up instead of training, and tables made of past campaigns."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import nas
from nas.analysis.audit.check import check
from nas.analysis.tables.networks import campaign_table
from nas.analysis.tables.render import render
from nas.campaigns.drive.run import run
from nas.campaigns.spec.campaign import load_campaign
from nas.campaigns.store.as_table import campaign as campaign_as_table
from nas.errors import InputError
from tests.campaigns import toy
from tests.campaigns.lines import read_records

CAMPAIGN = """
space: {name: nasbench201, nodes: 3, cells: 1, channels: 4}
searcher: {name: evolution, population_size: 4, tournament_size: 2}
budget: {trials: 20}
evaluator:
  name: tabular
  table: {name: columns, file: t.csv, seconds: seconds}
  validation: val
  test: test
  scale: 0.01
final: {top: 2, top_random: 1}
"""


@pytest.fixture
def tabular(tmp_path: Path) -> Path:
    """A campaign over 125 cells, the accuracy of which is in a table."""
    folder = tmp_path / "tabular"
    folder.mkdir()
    (folder / "campaign.yaml").write_text(CAMPAIGN)
    space = nas.space("nasbench201", nodes=3)
    rng = np.random.default_rng(0)
    lines = [
        f"{space.to_string(g)},{rng.integers(1000, 9000) / 100},{rng.integers(1000) / 100},60"
        for g in space.enumerate()
    ]
    (folder / "t.csv").write_text("\n".join(["architecture,val,test,seconds", *lines]) + "\n")
    return folder


def rows(folder: Path) -> dict[str, tuple[float, float]]:
    cells = (line.split(",") for line in (folder / "t.csv").read_text().splitlines()[1:])
    return {key: (float(val), float(test)) for key, val, test, _ in cells}


def test_trials_are_looked_up_and_the_final_stage_alone_reads_the_test(tabular: Path) -> None:
    summary = run(tabular)
    space, known = load_campaign(tabular).space, rows(tabular)
    records = read_records(tabular)
    asks = {r["trial"]: r for r in records if r["type"] == "ask"}
    results = [r for r in records if r["type"] == "result"]
    assert summary.completed == len(results) == 43
    for result in results:
        ask, metrics = asks[result["trial"]], result["metrics"]
        validation, test = known[space.to_string(ask["genotype"])]
        expected = {"validation_accuracy": validation / 100, "train_seconds": 60.0}
        if ask["stage"] == "final":
            expected["test_accuracy"] = test / 100
        assert metrics == pytest.approx(expected)
    specification = records[0]["specification"]
    assert not {"data", "recipe"} & set(specification)
    assert set(specification["evaluator"]["table"]) == {"t.csv"}
    assert "recipe" not in records[0]
    table = campaign_table(tabular)
    assert "looked up, nothing was trained: t.csv, validation val, test test" in render(
        table, "text"
    )
    assert table["test_accuracy"].notna().sum() == 3
    before = (tabular / "records.jsonl").read_bytes()
    assert run(tabular) == summary
    assert (tabular / "records.jsonl").read_bytes() == before


def test_a_table_that_has_changed_is_another_specification(tabular: Path) -> None:
    run(tabular)
    path = tabular / "t.csv"
    path.write_text(path.read_text().replace(",60\n", ",61\n", 1))
    with pytest.raises(InputError, match=r"evaluator\.table\.t\.csv: recorded"):
        run(tabular)


def test_a_missing_row_fails_the_trial_by_name(tabular: Path) -> None:
    path = tabular / "t.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], *lines[1::2]]))
    run(tabular)
    failed = [r for r in read_records(tabular) if r.get("status") == "failed"]
    assert failed
    for result in failed:
        assert re.search(r"t\.csv: no row for the architecture \|\w+~0\|\+\|", result["error"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: tabular", "name: tabluar", "evaluator.name: unknown evaluator 'tabluar'"),
        ("name: tabular", "name: training", "data: Field required"),
        ("test: test", "", "evaluator.test: Field required"),
        ("test: test", "test: tset", "evaluator: test: "),
        ("test: test", "test: tset", "unknown metric 'tset' (did you mean 'test'?)"),
        ("scale: 0.01", "scale: 0", "evaluator.scale: Input should be greater than 0, got 0"),
        ("file: t.csv", "file: x.csv", "x.csv: cannot be read"),
        ("final:", "data: {name: digits}\nfinal:", "data: unknown key 'data'; allowed: space, "),
        ("final:", "recipe: {epochs: 1}\nfinal:", "recipe: unknown key 'recipe'; allowed: space, "),
        ("final:", "hyperparameters: {epochs: [1]}\nfinal:", "hyperparameters: unknown key 'hy"),
        ("final:", "engine: {name: ray}\nfinal:", "ray does not fit the evaluator; allowed: s"),
        ("top: 2,", "top: 2, ensembles: [2],", "final.ensembles: unknown key 'ensembles'"),
        ("top: 2,", "top: 2, protocol: ten_crop,",
         "protocol'; allowed: top, lineages, top_random, classics; the evaluator trains nothing"),
        ("top: 2,", "top: 2, seeds: [0, 1],", "final.seeds: unknown key 'seeds'; allowed: top, "),
        ("top: 2,", "top: 2, classics: [resnet20],", "final.classics.0: resnet20: "),
        ("budget:", "duplicates: ruse\nbudget:",
         "duplicates: Input should be 'reuse', 'retry' or 'evaluate', got 'ruse'"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(tabular: Path, old: str, new: str, message: str) -> None:
    path = tabular / "campaign.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        load_campaign(tabular)
    assert str(tabular) in str(caught.value)


@pytest.mark.parametrize("key", ["data", "recipe"])
def test_training_needs_data_and_recipe(folder: Path, key: str) -> None:
    text = re.sub(rf"\n{key}: .*", "", toy.CAMPAIGN)
    with pytest.raises(InputError, match=f"campaign.yaml: {key}: Field required"):
        load_campaign(toy.write(folder, text))


@pytest.fixture
def past(folder: Path) -> Path:
    """A campaign that has run: twelve trials, two retrained, and a classic."""
    text = toy.CAMPAIGN.replace("trials: 4", "trials: 6").replace(
        "top: 1,", "top: 1, seeds: [0, 1],"
    )
    run(toy.write(folder, text), evaluator=f"{toy.HERE}:evaluate")
    return folder


def test_a_past_campaign_is_a_table(past: Path) -> None:
    table = campaign_as_table(past.parent, campaigns=(past.name,))
    records = read_records(past)
    asks = {r["trial"]: r for r in records if r["type"] == "ask"}
    first: dict[str, float] = {}
    tested: dict[str, list[float]] = {}
    for result in (r for r in records if r["type"] == "result"):
        ask, metrics = asks[result["trial"]], result["metrics"]
        if ask["stage"] == "search":
            first.setdefault(ask["fingerprint"], metrics["validation_accuracy"])
        else:
            tested.setdefault(ask["fingerprint"], []).append(metrics["test_accuracy"])
    assert list(table.keys) == list(first)
    assert table.metric("validation_accuracy").tolist() == list(first.values())
    for key, test in zip(table.keys, table.metric("test_accuracy"), strict=True):
        assert test == pytest.approx(np.mean(tested[key])) if key in tested else np.isnan(test)
    costs = {a["fingerprint"]: a["cost"]["params"] for a in asks.values()}
    assert table.metric("params").tolist() == [costs[key] for key in table.keys]


def test_a_campaign_may_search_what_another_has_found(past: Path, tmp_path: Path) -> None:
    folder = toy.write(tmp_path / "again")
    (folder / "campaign.yaml").write_text(f"""
space: tiny.yaml
searcher: random
budget: {{trials: 30}}
evaluator:
  name: tabular
  table: {{name: campaign, campaigns: [../{past.name}]}}
  validation: validation_accuracy
  test: test_accuracy
  input_shape: [1, 8, 8]
final: {{top: 1}}
""")
    run(folder)
    results = [r for r in read_records(folder) if r["type"] == "result"]
    completed = [r for r in results if r["status"] == "completed"]
    known = {r["metrics"]["validation_accuracy"] for r in read_records(past) if "metrics" in r}
    assert completed
    assert {r["metrics"]["validation_accuracy"] for r in completed} <= known
    assert len(completed) < len(results)  # what the other had not found is not there


def test_curves_of_a_real_training_are_in_the_table(folder: Path) -> None:
    text = toy.CAMPAIGN.replace("trials: 4", "trials: 2").replace("epochs: 1", "epochs: 2")
    text = text.replace(", classics: [resnet20]", "")
    run(toy.write(folder, text))
    table = campaign_as_table(folder.parent, campaigns=(folder.name,))
    assert table.epochs == (1, 2)
    result = next(r for r in read_records(folder) if r["type"] == "result")
    curve = result["metrics"]["curve"]
    assert table.metrics["validation_loss"][0].tolist() == [e["validation_loss"] for e in curve]
    assert table.seconds is not None
    assert table.seconds[0, 1] == pytest.approx(sum(e["train_seconds"] for e in curve))


def test_a_table_has_the_results_of_the_best_epochs(folder: Path) -> None:
    text = toy.CAMPAIGN.replace("trials: 4", "trials: 2").replace("epochs: 1", "epochs: 3")
    text = text.replace(", classics: [resnet20]", "").replace("quick,", "quick, keep: best,")
    run(toy.write(folder, text))
    table = campaign_as_table(folder.parent, campaigns=(folder.name,))
    assert table.epochs == ()  # curves do not end with the results
    found = table.metric("validation_accuracy").tolist()
    results = [r["metrics"] for r in read_records(folder) if r["type"] == "result"]
    assert set(found) <= {metrics["validation_accuracy"] for metrics in results}
    for metrics in results:
        kept = metrics["curve"][metrics["kept_epoch"] - 1]
        assert kept["validation_accuracy"] == metrics["validation_accuracy"]
        best = max(point["validation_accuracy"] for point in metrics["curve"])
        assert metrics["validation_accuracy"] == best


def test_campaigns_that_trained_unlike_are_not_one_table(past: Path, tmp_path: Path) -> None:
    other = toy.write(tmp_path / "other", toy.CAMPAIGN.replace("epochs: 1", "epochs: 2"))
    run(other, evaluator=f"{toy.HERE}:evaluate")
    with pytest.raises(InputError, match=f"recipe is not that of {past.name}"):
        campaign_as_table(tmp_path, campaigns=(past.name, other.name))
    with pytest.raises(InputError, match=r"none/records\.jsonl: there is no record"):
        campaign_as_table(tmp_path, campaigns=("none",))
    path = other / "records.jsonl"
    lines = path.read_text().splitlines()
    head = json.loads(lines[0])
    head["specification"]["hyperparameters"] = {"epochs": [1, 2]}
    path.write_text("\n".join([json.dumps(head), *lines[1:]]) + "\n")
    with pytest.raises(InputError, match="its recipe was searched too"):
        campaign_as_table(tmp_path, campaigns=(other.name,))
    path.write_text(lines[0] + "\n")
    with pytest.raises(InputError, match="other: no search trial has completed"):
        campaign_as_table(tmp_path, campaigns=(other.name,))


def test_further_metrics_of_the_table_are_objectives(tabular: Path) -> None:
    path = tabular / "campaign.yaml"
    text = path.read_text().replace(
        "{name: evolution, population_size: 4, tournament_size: 2}", "{name: nsga2}"
    )
    text = text.replace("  scale: 0.01\n", "  scale: 0.01\n  metrics: {error: val}\n")
    own = "{metric: error, direction: minimize}"
    path.write_text(text + f"objectives: [validation_accuracy, {own}, macs]\n")
    run(tabular)
    results = [r for r in read_records(tabular) if r["type"] == "result"]
    for result in results:
        metrics = result["metrics"]
        assert metrics["error"] == pytest.approx(100 * metrics["validation_accuracy"])
    assert check(tabular, replay=True, console=Console(quiet=True)).problems == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("budget:", "objectives: [latency_ms]\nbudget:",
         "objectives.0: unknown metric 'latency_ms'; allowed: params, macs, flops, activations, "
         "validation_accuracy, train_seconds; evaluator.metrics names more of the table's"),
        ("test: test", "test: test\n  metrics: {a: tes}",
         "evaluator: metrics.a: "),
        ("test: test", "test: test\n  metrics: {a: test}",
         "evaluator: metrics.a: a search must not see a test metric, got 'test'"),
        ("test: test", "test: test\n  metrics: {test_a: val}",
         "evaluator: metrics.test_a: a search must not see a test metric, got 'val'"),
        ("budget:", "constraints: {latency_ms: 5}\nbudget:",
         "constraints.latency_ms: nothing is measured in a campaign with a table"),
        ("{trials: 20}", "{hours: 1}",
         "budget: looking up takes no time, except on the engine simulated; allowed: trials, "
         "epochs, got hours"),
        ("{trials: 20}", "{epochs: 1}", "budget.epochs: "),
    ],
)  # fmt: skip
def test_what_a_table_cannot_tell_is_refused(
    tabular: Path, old: str, new: str, message: str
) -> None:
    path = tabular / "campaign.yaml"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=re.escape(message)):
        load_campaign(tabular)


def test_hours_on_a_simulated_cluster_are_those_of_its_clock(tabular: Path) -> None:
    """A trial takes a minute: 4 workers end 40 of them in ten minutes."""
    path = tabular / "campaign.yaml"
    text = path.read_text().replace("{trials: 20}", "{hours: 0.16}\nduplicates: evaluate")
    path.write_text(text + "engine: {name: simulated, concurrency: 4}\n")
    run(tabular)
    records = read_records(tabular)
    searched = [r for r in records if r.get("stage") == "search"]
    assert [r["search"] for r in searched] == ["evolution"] * 40 + ["random"] * 40
    assert max(r.get("elapsed", 0.0) for r in records) == pytest.approx(1200 + 60)


def test_a_campaign_with_priors_goes_on_with_them_and_with_no_others(tabular: Path) -> None:
    path = tabular / "campaign.yaml"
    priors = "space: {name: nasbench201, nodes: 3, cells: 1, channels: 4, priors: {'*': {none: 0}}}"
    path.write_text(CAMPAIGN.replace(CAMPAIGN.splitlines()[1], priors))
    run(tabular)
    asks = [r["genotype"] for r in read_records(tabular) if r["type"] == "ask" and "genotype" in r]
    assert len(asks) > 20
    assert all("none" not in genotype.values() for genotype in asks)
    path.write_text(path.read_text().replace("trials: 20", "trials: 24"))
    run(tabular)
    path.write_text(path.read_text().replace("none: 0", "none: 1"))
    with pytest.raises(InputError, match=r"space.priors"):
        run(tabular)
