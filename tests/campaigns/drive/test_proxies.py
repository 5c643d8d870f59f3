"""Campaigns that use zero-cost proxies: as objective, as columns beside training, as a start."""

import math
from pathlib import Path

import numpy as np
import pytest

import nas
from nas.analysis.audit.check import check
from nas.analysis.tables.networks import campaign_table
from nas.campaigns.drive.run import run
from nas.campaigns.spec.campaign import load_campaign
from nas.campaigns.spec.screening import Screening
from nas.configuration import Named
from nas.errors import InputError
from tests.campaigns import toy
from tests.campaigns.drive.test_training import asks, results

PROXY = """
objectives: [synflow]
evaluator: {name: proxy, proxies: [synflow, mine.py:double], batch: 8}
"""
MINE = """
def double(network, batch, generator):
    return 2.0 * len(batch.images)

snip = Score = test_score = params = double
"""
FINAL = "final: {top: 2, top_random: 1}"


def write(folder: Path, more: str, old: str = "", new: str = "") -> Path:
    text = toy.CAMPAIGN.replace("final: {top: 1, top_random: 1, classics: [resnet20]}", FINAL)
    toy.write(folder, text.replace(old, new) + more)
    (folder / "mine.py").write_text(MINE)
    return folder


def test_a_search_by_a_proxy_trains_its_finalists_alone(tmp_path: Path) -> None:
    folder = write(tmp_path / "c", PROXY)
    run(folder)
    found, made = results(folder), asks(folder)
    searched = [name for name, ask in made.items() if ask["stage"] == "search"]
    for name in searched:
        metrics = found[name]["metrics"]
        assert metrics.keys() >= {"synflow", "double", "proxy_seconds"}
        assert metrics["double"] == 16
        assert found[name]["epochs"] == 0
        assert found[name]["seconds"] >= metrics["proxy_seconds"] > 0
    final = [name for name, ask in made.items() if ask["stage"] == "final"]
    assert all(found[name]["metrics"]["epochs"] == 1 for name in final)
    assert all("test_accuracy" in found[name]["metrics"] for name in final)
    mine = [name for name in searched if name.startswith("evolution")]
    best = max(mine, key=lambda name: found[name]["metrics"]["synflow"])
    top = found[f"final-{best}-seed0"]["metrics"]
    assert math.isfinite(top["synflow"])
    table = nas.results(folder)
    assert table["synflow"].notna().sum() == len(found)
    assert not check(folder, replay=True).problems


def test_proxies_are_columns_beside_training(tmp_path: Path) -> None:
    more = "evaluator: {name: training, proxies: snip, batch: 8}\n"
    folder = write(tmp_path / "c", more, "trials: 4", "trials: 1")
    run(folder)
    for result in results(folder).values():
        assert result["metrics"].keys() >= {"snip", "proxy_seconds", "validation_accuracy"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{name: proxy}", "evaluator.proxies: Field required"),
        ("{name: proxy, proxies: snap}", "evaluator.proxies.0: unknown proxy 'snap'"),
        ("{name: proxy, proxies: params}", "evaluator.proxies.0: params is counted"),
        ("{name: proxy, proxies: [snip, snip]}", "evaluator.proxies.1: there is a metric or a"),
        ("{name: proxy, proxies: [snip, mine.py:snip]}", "evaluator.proxies.1: there is a metric"),
        ("{name: training, proxies: mine.py:params}", "evaluator.proxies.0: there is a metric"),
        ("{name: proxy, proxies: mine.py:Score}", "evaluator.proxies.0.name: String should match"),
        ("{name: proxy, proxies: mine.py:test_score}", "evaluator.proxies.0: the name of a metric"),
        ("{name: proxy, proxies: snip, batch: 1}", "evaluator.batch: Input should be greater"),
        ("{name: training, epochs: 3}", "evaluator.epochs: unknown key 'epochs'"),
        ("{name: proxy, proxies: snip}", "unknown metric 'validation_accuracy'; allowed: params"),
    ],
)
def test_a_wrong_option_is_named(tmp_path: Path, given: str, message: str) -> None:
    folder = write(tmp_path / "c", f"evaluator: {given}\n")
    with pytest.raises(InputError) as error:
        load_campaign(folder)
    assert message in str(error.value)


# --- warm start ---


def test_a_warm_start_takes_the_evaluators_batch_and_ranks_infinity_last() -> None:
    given = {"proxy": "synflow", "candidates": 20, "keep": 2}
    evaluator = Named(name="training", batch=8)
    searcher = Named(name="evolution", warm_start=given)
    found, evaluator = Screening.read(searcher, evaluator, Path())
    assert found.warm_start is not None
    assert (found.warm_start.batch, found.batch, evaluator.options["batch"]) == (8, 8, 8)
    values = iter([math.inf, 1.0, math.nan, 3.0, -math.inf, 2.0, *[0.0] * 20])
    scored: dict[str, float] = {}

    def score(architecture: nas.Architecture) -> float:
        scored[architecture.fingerprint] = next(values)
        return scored[architecture.fingerprint]

    space = nas.space("nasbench201")
    screen = found.screen(space, lambda name, batch: score)
    best = found.warm_start.best(space, (0,), screen.scores["synflow"])
    assert [scored[space.decode(each).fingerprint] for each in best.values()] == [3.0, 2.0]


WARM = """
searcher: {name: evolution, population_size: 3, tournament_size: 2,
  warm_start: {proxy: synflow, candidates: 8, keep: 2, batch: 8}}
random_baseline: false
"""
SEARCHER = "searcher: {name: evolution, population_size: 2, tournament_size: 2}\n"


def warm(folder: Path, trials: int) -> Path:
    write(folder, WARM, SEARCHER, "")
    text = (folder / "campaign.yaml").read_text().replace(FINAL, "final: {top: 0}")
    (folder / "campaign.yaml").write_text(text.replace("trials: 4", f"trials: {trials}"))
    run(folder)
    return folder


def test_a_search_starts_from_what_a_proxy_chose(tmp_path: Path) -> None:
    folder = warm(tmp_path / "c", 3)
    first, second, third = asks(folder).values()
    space = load_campaign(folder).space
    names = [ask["note"].get("initial", "") for ask in (first, second, third)]
    count = int(names[0].rpartition(" ")[2])
    assert names == [f"synflow 1 of {count}", f"synflow 2 of {count}", ""]
    values = [result["metrics"]["synflow"] for result in results(folder).values()]
    assert values[0] >= values[1]
    rng = np.random.default_rng((0, 0, 1))
    drawn = [space.decode(space.sample(rng)).fingerprint for _ in range(8)]
    assert len(set(drawn)) == count
    assert {first["fingerprint"], second["fingerprint"]} <= set(drawn)
    assert not check(folder, replay=True).problems
    notes = campaign_table(folder).attrs["notes"]
    assert any(note.startswith("proxy synflow: 3 trained networks") for note in notes)


def test_a_warm_start_is_resumed_from_the_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = asks(warm(tmp_path / "whole", 3))
    folder = warm(tmp_path / "parts", 1)
    warm(folder, 2)

    def again(*_: object) -> None:
        raise AssertionError("both are recorded")

    monkeypatch.setattr("nas.evaluators.proxies.scorer", again)
    warm(folder, 3)
    for trial, ask in asks(folder).items():
        assert (ask["genotype"], ask["note"]) == (whole[trial]["genotype"], whole[trial]["note"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{proxy: snap, candidates: 9, keep: 2}", "warm_start.proxy: unknown proxy 'snap'"),
        ("{proxy: snip, candidates: 9}", "searcher.warm_start.keep: Field required"),
        ("{proxy: mine.py:Score, candidates: 9, keep: 2}", "warm_start.proxy.name: String should"),
        ("{proxy: snip, candidates: 2, keep: 3}", "keep: must be at most candidates (2), got 3"),
        ("{proxy: snip, candidates: 9, keep: 4}",
         "warm_start holds 4 genotypes, more than population_size (3)"),
    ],
)  # fmt: skip
def test_a_wrong_warm_start_is_named(tmp_path: Path, given: str, message: str) -> None:
    right = "{proxy: synflow, candidates: 8, keep: 2, batch: 8}"
    folder = write(tmp_path / "c", WARM.replace(right, given), SEARCHER, "")
    with pytest.raises(InputError) as error:
        load_campaign(folder)
    assert message in str(error.value)


# --- filter and features ---


def screened(folder: Path, searcher: str, trials: int, more: str = "") -> Path:
    write(folder, f"searcher: {searcher}\nrandom_baseline: false\n{more}", SEARCHER, "")
    text = (folder / "campaign.yaml").read_text().replace(FINAL, "final: {top: 0}")
    (folder / "campaign.yaml").write_text(text.replace("trials: 4", f"trials: {trials}"))
    run(folder)
    return folder


def test_a_proxy_chooses_among_candidates_and_its_seconds_are_charged(tmp_path: Path) -> None:
    given = """{name: evolution, population_size: 2, tournament_size: 1,
      filter: {proxy: synflow, candidates: 4}}"""
    batch = "evaluator: {name: training, batch: 8}\n"
    folder = screened(tmp_path / "c", given, 3, batch)
    campaign = load_campaign(folder)
    searcher, space = campaign.searcher("evolution"), campaign.space
    score = campaign._proxy("synflow", 8)
    seen: set[str] = set()  # what was proposed before is not proposed again
    for number, (ask, result) in enumerate(
        zip(list(asks(folder).values())[:2], results(folder).values(), strict=False)
    ):
        rng = searcher.rng(number)
        drawn = [space.decode(space.sample(rng)) for _ in range(4)]
        values = [score(each) for each in drawn if each.fingerprint not in seen]
        assert result["metrics"]["synflow"] == pytest.approx(max(values), rel=1e-4)
        assert ask["proposal_seconds"] > 0
        seen.add(ask["fingerprint"])
    assert searcher.ask(0) == searcher.ask(0)
    assert searcher.screen.seconds > 0
    assert not check(folder, replay=True).problems
    table = nas.results(folder)
    assert table["proposal_seconds"].max() > 0
    notes = campaign_table(folder).attrs["notes"]
    assert any(note.startswith("proxy synflow: 3 trained networks") for note in notes)


def test_a_start_and_a_filter_go_together(tmp_path: Path) -> None:
    given = """{name: evolution, population_size: 2, tournament_size: 1,
      warm_start: {proxy: params, candidates: 4, keep: 1}, filter: {proxy: flops, candidates: 3}}"""
    folder = write(tmp_path / "c", f"searcher: {given}\n", SEARCHER, "")
    searcher = load_campaign(folder).searcher("evolution")
    first, second = searcher.ask(0), searcher.ask(1)
    assert first is not None
    assert second is not None
    assert first.note["initial"].startswith("params 1 of ")
    assert second.note == {}


def test_a_proxy_is_the_rung_below_the_lowest_fidelity(tmp_path: Path) -> None:
    given = "{name: asha, max_fidelity: 1, filter: {proxy: params, candidates: 5}}"
    folder = screened(tmp_path / "c", given, 3)
    campaign = load_campaign(folder)
    (first, *_), searcher = asks(folder).values(), campaign.searcher("asha")
    inner = searcher._models[1]  # type: ignore[attr-defined]
    rng = inner.rng(0)
    drawn = [campaign.space.decode(campaign.space.sample(rng)).cost.params for _ in range(5)]
    assert first["cost"]["params"] == max(drawn)
    assert "proposal_seconds" not in first  # parameters are counted


def test_a_predictor_learns_from_proxies(tmp_path: Path) -> None:
    given = """{name: predictor, initial_size: 2, candidates: 5, model: spy.py:Spy,
      proxies: [params, synflow]}"""
    folder = tmp_path / "c"
    folder.mkdir()
    spy = """
from pathlib import Path
from nas.predictors.trees import Forest

class Spy(Forest):
    def __init__(self):
        super().__init__(trees=2)

    def fit(self, features, values, rng):
        with (Path(__file__).parent / "seen").open("a") as file:
            print([sorted(n for n in f if n.startswith("proxy")) for f in features], file=file)
        super().fit(features, values, rng)
"""
    (folder / "spy.py").write_text(spy)
    screened(folder, given, 3, "evaluator: {name: training, batch: 8}\n")
    seen = (folder / "seen").read_text().splitlines()
    assert seen[0] == str([["proxy params", "proxy synflow"]] * 2)
    assert all("synflow" in each["metrics"] for each in results(folder).values())


def test_filtered_random_search_is_no_baseline(tmp_path: Path) -> None:
    given = "{name: random, filter: {proxy: mine.py:double, candidates: 2}}"
    proxy = "evaluator: {name: proxy, batch: 8}\nobjectives: [double]\n"
    folder = write(tmp_path / "c", f"searcher: {given}\n{proxy}", SEARCHER, "")
    run(folder)
    kinds = {(a["search"], a["kind"]) for a in asks(folder).values() if a["stage"] == "search"}
    assert kinds == {("filtered_random", "searched"), ("random", "random")}


def test_a_network_that_a_proxy_fails_for_is_the_worst(tmp_path: Path) -> None:
    filtered = "filter: {proxy: mine.py:picky, candidates: 4}"
    given = f"{{name: evolution, population_size: 2, tournament_size: 1, {filtered}}}"
    folder = write(tmp_path / "c", f"searcher: {given}\nrandom_baseline: false\n", SEARCHER, "")
    (folder / "mine.py").write_text("""
def picky(network, batch, generator):
    size = sum(weight.numel() for weight in network.parameters())
    return size / (size % 2)
""")
    run(folder)
    log = (folder / "run.log").read_text()
    assert (
        "proxy picky: a network could not be measured, and counts as the worst: ZeroDivisi" in log
    )
    assert len([a for a in asks(folder).values() if a["stage"] == "search"]) == 4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{name: asha, max_fidelity: 1, searcher: {name: evolution, filter: {proxy: params}}}",
         "searcher asha: searcher.filter: give it to asha itself"),
        ("{name: predictor, proxies: [params, params]}", "searcher.proxies: each must be given"),
        ("{name: local_search, filter: {proxy: params, candidates: 3}}",
         "searcher local_search: filter: a proxy cannot choose"),
        ("{name: evolution, proxies: [params]}", "searcher evolution: proxies: it does not"),
        ("{name: evolution, filter: {proxy: snap, candidates: 3}}", "filter.proxy: unknown proxy"),
        ("{name: evolution, filter: {proxy: snip, candidates: 1}}", "filter.candidates: Input"),
        ("{name: predictor, proxies: [params, snap]}", "searcher.proxies.1: unknown proxy 'snap'"),
        ("{name: asha, max_fidelity: 1, filter: {proxy: params, candidates: 3}, searcher: optuna}",
         "searcher asha: filter: a proxy cannot"),
    ],
)  # fmt: skip
def test_a_wrong_use_of_proxies_is_named(tmp_path: Path, given: str, message: str) -> None:
    folder = write(tmp_path / "c", f"searcher: {given}\n", SEARCHER, "")
    with pytest.raises(InputError) as error:
        load_campaign(folder)
    assert message in str(error.value)
