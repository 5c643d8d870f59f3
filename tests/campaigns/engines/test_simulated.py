"""The simulated cluster against closed forms, brute force and the serial engine."""

import csv
import math
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import nas
from nas.campaigns.drive.run import run
from nas.campaigns.engines.base import Engine, Outcome, Trial, failure
from nas.campaigns.engines.serial import SerialEngine
from nas.campaigns.engines.simulated import Faults, SimulatedCluster
from nas.errors import InputError
from nas.searchers import Observation, Proposal
from nas.testing.searchers import SearcherCase as Case
from nas.testing.toy import loss
from tests.campaigns import toy
from tests.campaigns.lines import read_records


class Jobs:
    """A source of trials of given durations, and what happened to them."""

    def __init__(self, seconds: Sequence[float]) -> None:
        self.seconds = seconds
        self.cluster: SimulatedCluster
        self.starts: list[float] = []
        self.told: list[int] = []
        self.told_before: list[int] = []
        self.ends: dict[int, float] = {}
        self.outcomes: dict[int, Outcome] = {}

    def next(self) -> Trial | None:
        number = len(self.starts)
        if number == len(self.seconds):
            return None
        self.starts.append(self.cluster.clock)
        self.told_before.append(len(self.told))
        return Trial(str(number), {"seconds": self.seconds[number]})

    def done(self, trial: str, outcome: Outcome) -> None:
        self.told.append(int(trial))
        self.ends[int(trial)] = self.cluster.clock
        self.outcomes[int(trial)] = outcome


def evaluate(payload: Mapping[str, Any]) -> Outcome:
    return Outcome("completed", {"value": 1.0}, None, payload["seconds"])


def ran(seconds: Sequence[float], workers: int, **options: Any) -> Jobs:
    jobs = Jobs(seconds)
    jobs.cluster = SimulatedCluster(evaluate, workers, **options)
    jobs.cluster.run(jobs)
    return jobs


# --- the clock ----------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 3, 8, 64, 512])
@pytest.mark.parametrize("trials", [0, 1, 8, 100])
def test_equal_trials_take_so_many_rounds(trials: int, workers: int) -> None:
    jobs = ran([2.5] * trials, workers)
    rounds = math.ceil(trials / workers)
    assert jobs.cluster.clock == 2.5 * rounds
    assert jobs.cluster.slots == workers
    assert sum(jobs.cluster.busy_seconds) == 2.5 * trials
    assert jobs.cluster.utilization == (trials / (workers * rounds) if trials else 0)
    assert max(jobs.cluster.busy_seconds) == 2.5 * rounds
    assert jobs.told == list(range(trials))


@pytest.mark.parametrize("workers", [1, 2, 7, 40])
def test_trials_run_as_by_list_scheduling(workers: int) -> None:
    rng = random.Random(workers)
    seconds = [rng.expovariate(0.1) for _ in range(200)]
    free = [0.0] * workers
    starts, ends = [], []
    for duration in seconds:  # Graham 1966: each job, in order, to whoever is free first
        first = free.index(min(free))
        starts.append(free[first])
        free[first] += duration
        ends.append(free[first])
    jobs = ran(seconds, workers)
    assert jobs.starts == starts
    assert [jobs.ends[i] for i in range(200)] == ends
    assert jobs.cluster.clock == max(ends)
    assert jobs.told == sorted(range(200), key=ends.__getitem__)
    # What was known when a trial was asked for: what had ended by then.
    assert jobs.told_before == [sum(end <= start for end in ends) for start in starts]
    assert sum(jobs.cluster.busy_seconds) == pytest.approx(sum(seconds))


def test_trials_that_end_together_end_in_the_order_they_started_in() -> None:
    jobs = ran([3.0, 2.0, 1.0, 1.0, 1.0], 3)
    assert jobs.told == [2, 1, 3, 0, 4]
    assert [jobs.ends[i] for i in jobs.told] == [1, 2, 2, 3, 3]


def test_a_source_that_has_nothing_now_is_asked_again_when_a_trial_has_ended() -> None:
    class Generations(Jobs):
        def next(self) -> Trial | None:
            waits = len(self.starts) % 4 == 0 and len(self.told) < len(self.starts)
            return None if waits else super().next()

    jobs = Generations([1.0, 2.0, 3.0, 4.0] * 3)
    jobs.cluster = SimulatedCluster(evaluate, 4)
    jobs.cluster.run(jobs)
    assert jobs.starts == [0.0] * 4 + [4.0] * 4 + [8.0] * 4
    assert jobs.cluster.clock == 12
    assert jobs.cluster.utilization == 10 / 16


def test_a_trial_of_no_duration_is_possible_and_one_of_no_number_is_not() -> None:
    assert ran([0.0, 0.0, 1.0], 2).cluster.clock == 1
    for seconds in (float("nan"), float("inf"), -1.0):
        with pytest.raises(ValueError, match=r"trial 1 takes .* s"):
            ran([1.0, seconds], 2)


def test_what_an_evaluator_says_is_passed_on() -> None:
    failed = failure("no such luck", 7.0)
    jobs = Jobs([0.0])
    jobs.cluster = SimulatedCluster(lambda _: failed, 1)
    jobs.cluster.run(jobs)
    assert jobs.outcomes == {0: failed}
    assert jobs.cluster.clock == 7


# --- beside the serial engine -------------------------------------------------------------------


class Search:
    """A source that a searcher feeds, and all that passed through it."""

    def __init__(self, trials: int) -> None:
        options = {"max_fidelity": 9, "searcher": "evolution", "min_points": 4}
        self.searcher = Case("hyperband", options).make()
        self.trials = trials
        self.log: list[Any] = []
        self.asked: list[Proposal] = []

    def next(self) -> Trial | None:
        if len(self.asked) == self.trials:
            return None
        proposal = self.searcher.ask(len(self.asked))
        assert proposal is not None
        assert proposal.fidelity is not None
        before = None if proposal.continues is None else self.asked[proposal.continues].fidelity
        payload = {"genotype": proposal.genotype, "epochs": proposal.fidelity - (before or 0)}
        self.asked.append(proposal)
        self.log.append(proposal)
        return Trial(str(len(self.asked) - 1), payload)

    def done(self, trial: str, outcome: Outcome) -> None:
        proposal = self.asked[int(trial)]
        value = outcome.metrics["loss"] if outcome.status == "completed" else None
        self.log.append((trial, value))
        self.searcher.tell(
            Observation(
                int(trial),
                proposal.genotype,
                None if value is None else (value,),
                proposal.note,
                proposal.fidelity,
            )
        )


def train(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {"loss": loss(payload["genotype"])}


def simulate(payload: Mapping[str, Any]) -> Outcome:
    return Outcome("completed", train(payload), None, float(payload["epochs"]))


def searched(engine: Engine) -> Search:
    search = Search(150)
    engine.run(search)
    return search


def test_one_worker_does_what_the_serial_engine_does() -> None:
    simulated = searched(SimulatedCluster(simulate, 1))
    assert simulated.log == searched(SerialEngine(f"{__name__}:train")).log


def test_a_continued_trial_costs_the_epochs_that_it_adds() -> None:
    cluster = SimulatedCluster(simulate, 1)
    search = searched(cluster)
    furthest: dict[int, int] = {}  # by the trial that a configuration began with
    began: dict[int, int] = {}
    for trial_id, proposal in enumerate(search.asked):
        first = trial_id if proposal.continues is None else began[proposal.continues]
        began[trial_id] = first
        furthest[first] = proposal.fidelity or 0
    assert cluster.clock == sum(furthest.values())


def test_a_run_is_repeatable_and_more_workers_are_faster() -> None:
    faults = Faults(straggling=0.5, losses_per_hour=30, probability=0.05)
    makespans = []
    for workers in (1, 4, 16):
        runs = []
        for _ in range(2):
            cluster = SimulatedCluster(simulate, workers, faults=faults)
            runs.append((searched(cluster).log, cluster.clock, cluster.busy_seconds))
        assert runs[0] == runs[1]
        makespans.append(runs[0][1])
    assert makespans[0] > 3 * makespans[1] > 2 * makespans[2]


# --- faults -------------------------------------------------------------------------------------

TRIALS = 4000


def struck(seconds: float, faults: Faults) -> list[Outcome]:
    jobs = ran([seconds] * TRIALS, 100, faults=faults)
    assert sum(jobs.cluster.busy_seconds) == pytest.approx(
        sum(outcome.seconds for outcome in jobs.outcomes.values())
    )
    return [jobs.outcomes[i] for i in range(TRIALS)]


def failures(outcomes: Sequence[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.status == "failed"]


def is_share(count: int, chance: float) -> bool:
    return abs(count - TRIALS * chance) < 4 * (TRIALS * chance * (1 - chance)) ** 0.5


def kolmogorov(values: Sequence[float], distribution: Callable[[float], float]) -> float:
    """The Kolmogorov-Smirnov statistic times the root of the sample's size: 1.95 is p = 0.001."""
    ordered = sorted(values)
    return len(ordered) ** 0.5 * max(
        abs(distribution(value) - (i + 0.5) / len(ordered)) for i, value in enumerate(ordered)
    )


def test_a_share_of_the_trials_fails_somewhere_on_its_way() -> None:
    outcomes = struck(50.0, Faults(probability=0.3))
    failed = failures(outcomes)
    assert is_share(len(failed), 0.3)
    assert kolmogorov([o.seconds for o in failed], lambda s: s / 50) < 1.95
    assert {o.seconds for o in outcomes if o.status == "completed"} == {50.0}
    for outcome in failed:
        assert outcome.metrics == {}
        assert str(outcome.error).startswith("injected fault after ")


@pytest.mark.parametrize("seconds", [360.0, 3600.0])
def test_losses_come_at_a_rate(seconds: float) -> None:
    """Appendix A.1 of the ASHA paper: a trial of t units is lost with chance 1 - (1 - p)^t."""
    rate = 1.5
    chance = 1 - math.exp(-rate * seconds / 3600)
    failed = failures(struck(seconds, Faults(losses_per_hour=rate)))
    assert is_share(len(failed), chance)
    assert (
        kolmogorov([o.seconds for o in failed], lambda s: (1 - math.exp(-rate * s / 3600)) / chance)
        < 1.95
    )


def test_stragglers_take_longer_by_a_half_normal_share() -> None:
    """Appendix A.1 of the ASHA paper: 1 + |z| times as long, z normal."""
    outcomes = struck(10.0, Faults(straggling=0.7))
    assert not failures(outcomes)
    excess = [outcome.seconds / 10 - 1 for outcome in outcomes]
    assert min(excess) > 0
    assert kolmogorov(excess, lambda x: math.erf(x / 0.7 / 2**0.5)) < 1.95
    assert statistics.fmean(excess) == pytest.approx(0.7 * (2 / math.pi) ** 0.5, rel=0.05)


def test_faults_are_of_the_trial_whenever_and_wherever_it_runs() -> None:
    faults = Faults(straggling=0.5, losses_per_hour=60, probability=0.2)
    assert ran([9.0] * 50, 1, faults=faults).outcomes == ran([9.0] * 50, 9, faults=faults).outcomes
    other = replace(faults, seed=1)
    assert ran([9.0] * 50, 1, faults=faults).outcomes != ran([9.0] * 50, 1, faults=other).outcomes


def test_no_faults_are_none() -> None:
    assert struck(10.0, Faults()) == [evaluate({"seconds": 10.0})] * TRIALS


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"straggling": -1.0}, r"faults: straggling must be at least 0, got -1\.0"),
        ({"losses_per_hour": float("nan")}, "faults: losses_per_hour must be at least 0, got nan"),
        ({"probability": 1.5}, r"faults: probability must be from 0 to 1, got 1\.5"),
    ],
)
def test_wrong_faults_are_named(options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Faults(**options)  # type: ignore[arg-type]


def test_there_is_a_worker() -> None:
    with pytest.raises(InputError, match="simulated cluster: workers must be at least 1, got 0"):
        SimulatedCluster(evaluate, 0)


# --- as the engine of a campaign ----------------------------------------------------------------

EPOCHS = (1, 3, 9)
TABLE = """
space: {name: tiny.yaml, width: [1, 2, 3, 4, 5, 6, 7, 8]}
searcher: {name: asha, max_fidelity: 9}
random_baseline: false
duplicates: evaluate
budget: {trials: 24}
evaluator:
  name: tabular
  table:
    name: columns
    file: table.csv
    metrics: [test]
    curves: {validation: "validation_{epoch}"}
    seconds: seconds
  validation: validation
  test: test
final: {top: 1}
engine: {name: ENGINE}
"""


def tabular(folder: Path, engine: str) -> Path:
    """A campaign over a table: nine seconds an epoch and unit of width, curves that cross."""
    toy.write(folder, TABLE.replace("ENGINE", engine))
    with (folder / "table.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        named = [f"validation_{epoch}" for epoch in EPOCHS]
        rows.writerow(["architecture", *named, "test", "seconds"])
        made = nas.space(folder / "tiny.yaml", width=list(range(1, 9)))
        for i, genotype in enumerate(made.enumerate()):
            curve = [(37 * i % 101) / 202 + epoch / 18 for epoch in EPOCHS]
            rows.writerow([made.to_string(genotype), *curve, 0.5, 81 * int(genotype["width"])])  # type: ignore[arg-type]
    return folder


def test_a_campaign_runs_on_a_simulated_cluster(tmp_path: Path) -> None:
    records = {}
    for engine in ("serial", "simulated", "simulated, concurrency: 4"):
        folder = tabular(tmp_path / engine, engine)
        run(folder)
        toy.check_complete(folder, 25)
        records[engine] = toy.genotypes(folder)
        log = read_records(folder)
        asks = {r["trial"]: r for r in log if r["type"] == "ask"}
        for result in (r for r in log if r["type"] == "result" and engine != "serial"):
            ask = asks[result["trial"]]
            before = asks[f"asha-{ask['continues']:04d}"] if "continues" in ask else {}
            epochs = ask.get("fidelity", 9) - before.get("fidelity", 0)
            assert result["seconds"] == 9 * ask["genotype"]["width"] * epochs
        order = [r["trial"] for r in log if r["type"] == "result"]
        assert (order == sorted(order)) == ("4" not in engine)
    assert records["serial"] == records["simulated"] != records["simulated, concurrency: 4"]


def test_a_simulated_cluster_trains_nothing(folder: Path) -> None:
    file = folder / "campaign.yaml"
    file.write_text(file.read_text().replace("name: serial", "name: simulated"))
    with pytest.raises(InputError, match=r"campaign.yaml: engine.name: simulated does not fit"):
        run(folder)


# --- size ---------------------------------------------------------------------------------------


def test_twenty_thousand_trials_on_512_workers() -> None:
    """Graham's bounds of list scheduling: the mean load, and that with one more longest trial."""
    seconds = [1.0 + i % 7 for i in range(20_000)]
    jobs = ran(seconds, 512)
    assert sorted(jobs.told) == list(range(20_000))
    load = sum(seconds) / 512
    assert load <= jobs.cluster.clock <= load + max(seconds)
