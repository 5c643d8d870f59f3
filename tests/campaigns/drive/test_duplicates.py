import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from nas.analysis.tables.networks import campaign_table
from nas.campaigns.drive.run import run
from nas.campaigns.drive.runner import Runner
from nas.campaigns.engines.base import Outcome
from nas.campaigns.engines.serial import SerialEngine
from nas.campaigns.spec.campaign import load_campaign
from nas.campaigns.store.log import RecordLog
from nas.errors import InputError
from nas.searchers import Observation
from nas.searchers.duplicates import LIMIT, TRIES, Duplicates
from tests.campaigns import toy
from tests.campaigns.lines import read_records

EVALUATE = f"{toy.HERE}:evaluate"


def test_a_completed_result_is_shared_and_a_running_one_is_waited_for() -> None:
    duplicates: Duplicates[int] = Duplicates("reuse")
    assert duplicates.repeats(0, "a") is None
    assert duplicates.repeats(1, "b") is None
    assert duplicates.repeats(2, "a") == 0
    assert duplicates.waits(0)
    assert duplicates.repeats(3, "a") == 0
    assert duplicates.ended(0, completed=True) == [2, 3]
    assert duplicates.repeats(4, "a") == 0
    assert not duplicates.waits(0)
    assert duplicates.ended(1, completed=True) == []
    assert duplicates.count == 3


def test_a_failure_is_shared_by_those_that_waited_and_by_no_later_one() -> None:
    duplicates: Duplicates[int] = Duplicates("reuse")
    assert duplicates.repeats(0, "a") is None
    assert duplicates.repeats(1, "a") == 0
    assert duplicates.ended(0, completed=False) == [1]
    assert duplicates.repeats(2, "a") is None  # tried again
    assert duplicates.ended(2, completed=True) == []
    assert duplicates.repeats(3, "a") == 2


def test_retry_makes_nobody_wait_and_evaluate_only_counts() -> None:
    retry: Duplicates[int] = Duplicates("retry")
    evaluate: Duplicates[int] = Duplicates("evaluate")
    for duplicates, answer in ((retry, 0), (evaluate, None)):
        assert duplicates.repeats(0, "a") is None
        assert duplicates.repeats(1, "a") == answer
        assert duplicates.count == 1
    assert retry.ended(0, completed=True) == []
    assert evaluate.ended(1, completed=True) == []
    assert evaluate.ended(0, completed=False) == []
    assert evaluate.repeats(2, "a") is None


def test_endless_duplicates_stop_a_search_until_something_ends() -> None:
    duplicates: Duplicates[int] = Duplicates("reuse")
    number = 0

    def repeat(times: int) -> None:
        nonlocal number
        for _ in range(times):
            assert not duplicates.stuck
            number += 1
            assert duplicates.repeats(number, "a") == 0

    duplicates.repeats(0, "a")
    repeat(TRIES)
    assert duplicates.stuck  # a worker is free, but has to wait for trial 0
    assert len(duplicates.ended(0, completed=True)) == TRIES
    repeat(LIMIT - TRIES)
    assert duplicates.stuck  # nothing is under way: for good

    assert duplicates.repeats(-1, "b") is None  # had it been something new
    assert not duplicates.stuck
    repeat(TRIES)
    assert duplicates.stuck
    duplicates.ended(-1, completed=True)
    repeat(LIMIT - TRIES)
    assert duplicates.stuck


def with_policy(folder: Path, policy: str, trials: int = 4) -> Path:
    text = toy.CAMPAIGN.replace("duplicates: evaluate", f"duplicates: {policy}")
    return toy.write(folder, text.replace("trials: 4", f"trials: {trials}"))


def asks(folder: Path, search: str = "evolution") -> list[dict[str, Any]]:
    return [r for r in read_records(folder) if r["type"] == "ask" and r.get("search") == search]


def told(monkeypatch: pytest.MonkeyPatch) -> list[Observation]:
    heard: list[Observation] = []

    def tell(self: object, observation: Observation) -> None:
        heard.append(observation)
        original(self, observation)

    from nas.searchers.evolution import RegularizedEvolution

    original: Any = RegularizedEvolution.tell
    monkeypatch.setattr(RegularizedEvolution, "tell", tell)
    return heard


def test_reuse_tells_the_recorded_result_and_spends_no_budget(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = told(monkeypatch)
    run(with_policy(folder, "reuse", 8), evaluator=EVALUATE)
    asked = asks(folder)
    duplicates = {ask["trial"]: ask["duplicate_of"] for ask in asked if "duplicate_of" in ask}
    assert duplicates, "the case is not tried"
    assert len(asked) - len(duplicates) == 8
    results = {r["trial"]: r for r in read_records(folder) if r["type"] == "result"}
    assert not set(duplicates) & set(results)
    prints = {ask["trial"]: ask["fingerprint"] for ask in asked}
    values = {f"evolution-{o.trial_id:04d}": o.values for o in heard}
    assert set(values) == set(prints)
    for trial, original in duplicates.items():
        assert prints[trial] == prints[original]
        assert values[trial] == (-results[original]["metrics"]["validation_accuracy"],)
    evaluated = [ask["fingerprint"] for ask in asked if "duplicate_of" not in ask]
    assert len(set(evaluated)) == 8
    both = asked + asks(folder, "random")
    counted = Counter(ask["search"] for ask in both if "duplicate_of" in ask)
    notes = "; ".join(campaign_table(folder).attrs["notes"])
    for search, count in counted.items():
        proposals = "1 proposal" if count == 1 else f"{count} proposals"
        assert f"{search}: {proposals} repeated an earlier trial of its own and" in notes
    assert f"{sum(counted.values())} duplicates, reuse" in (folder / "run.log").read_text()


def test_retry_tells_a_failure_instead(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = told(monkeypatch)
    run(with_policy(folder, "retry", 12), evaluator=EVALUATE)
    asked = asks(folder)
    repeated = {ask["number"] for ask in asked if "duplicate_of" in ask}
    assert repeated
    assert {o.trial_id for o in heard if o.values is None} == repeated
    assert len(asked) - len(repeated) == 12


@pytest.mark.parametrize("policy", ["reuse", "retry"])
def test_a_log_cut_at_any_byte_is_finished_as_if_nothing_had_been(
    folder: Path, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_policy(folder, policy, 6)
    text = (folder / "campaign.yaml").read_text().replace(", classics: [resnet20]", "")
    (folder / "campaign.yaml").write_text(f"random_baseline: false\n{text}")
    run(folder, evaluator=EVALUATE)
    before = [(r["trial"], r["type"], r.get("duplicate_of")) for r in read_records(folder)[1:]]
    assert any(original for _, _, original in before), "the case is not tried"
    (folder / "resolved.json").unlink()  # it is written after the first record
    path = folder / "records.jsonl"
    content = path.read_bytes()
    campaign = load_campaign(folder)
    monkeypatch.setattr("os.fsync", lambda descriptor: None)  # thousands of them
    lines = [match.end() for match in re.finditer(b"\n", content)]
    for end in sorted({*range(0, len(content), 61), *lines, *(e - 1 for e in lines)}):
        path.write_bytes(content[:end])
        with RecordLog(folder) as log:
            SerialEngine(EVALUATE).run(Runner(campaign, log))
        after = [(r["trial"], r["type"], r.get("duplicate_of")) for r in read_records(folder)[1:]]
        assert after == before, end


def test_a_duplicate_of_what_runs_waits_for_it_and_takes_no_worker(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = told(monkeypatch)
    with_policy(folder, "reuse", 6)
    campaign = load_campaign(folder)

    def answer(trial: str, accuracy: float) -> Outcome:
        return Outcome("completed", {"validation_accuracy": accuracy}, None, 0.0)

    with RecordLog(folder) as log:
        runner = Runner(campaign, log)
        given = [trial.id for trial in (runner.next() for _ in range(6)) if trial]
        assert all(trial.startswith("evolution") for trial in given)
        followers = {a["trial"]: a["duplicate_of"] for a in asks(folder) if "duplicate_of" in a}
        assert followers, "the case is not tried"
        assert not heard
        leader = next(iter(followers.values()))
        runner.done(leader, answer(leader, 0.25))
        waited = [trial for trial, original in followers.items() if original == leader]
        assert [f"evolution-{o.trial_id:04d}" for o in heard] == [leader, *waited]
        assert {o.values for o in heard} == {(-0.25,)}
        before = [(o.trial_id, o.values) for o in heard]

    heard.clear()
    with RecordLog(folder) as log:  # and again from its records
        runner = Runner(campaign, log)
        assert [(o.trial_id, o.values) for o in heard] == before
        again = [trial.id for trial in (runner.next() for _ in range(5)) if trial]
        assert again == [trial for trial in given if trial != leader]


def test_a_search_that_finds_nothing_new_ends_with_a_word(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 100
    for module in ("nas.searchers.duplicates", "nas.campaigns.drive.search"):
        monkeypatch.setattr(f"{module}.LIMIT", limit)
    with_policy(folder, "reuse", 500)
    space = (folder / "tiny.yaml").read_text().replace("width: [1, 2, 3, 4]", "width: [1, 2]")
    (folder / "tiny.yaml").write_text(space.replace("nodes: [1, 2]", "nodes: [1]"))
    text = (folder / "campaign.yaml").read_text().replace(", classics: [resnet20]", "")
    (folder / "campaign.yaml").write_text(f"random_baseline: false\n{text}")
    summary = run(folder, evaluator=EVALUATE)
    asked = asks(folder)
    found = {ask["fingerprint"] for ask in asked}
    assert summary.completed == len(found) + 1  # and the finalist
    assert all("duplicate_of" in ask for ask in asked[-limit:])
    log = (folder / "run.log").read_text()
    assert f"evolution: ended after {len(found)} trials: {limit} proposals in a row" in log
    run(folder, evaluator=EVALUATE)  # and stays ended
    assert asks(folder) == asked


def test_an_older_campaign_may_go_on_evaluating_and_no_other_way(folder: Path) -> None:
    run(with_policy(folder, "evaluate"), evaluator=EVALUATE)
    path = folder / "records.jsonl"
    first, *rest = path.read_text().splitlines(keepends=True)
    header = json.loads(first)
    del header["specification"]["duplicates"]  # older campaigns had no such key
    path.write_text("".join([json.dumps(header) + "\n", *rest]))
    with pytest.raises(InputError, match='duplicates: recorded "evaluate", now "reuse"'):
        run(with_policy(folder, "reuse"), evaluator=EVALUATE)
    run(with_policy(folder, "evaluate"), evaluator=EVALUATE)


def test_records_that_contradict_themselves_are_refused(folder: Path) -> None:
    run(with_policy(folder, "reuse", 12), evaluator=EVALUATE)
    path = folder / "records.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    place, ask = next(
        (n, json.loads(line)) for n, line in enumerate(lines) if "duplicate_of" in line
    )
    del ask["duplicate_of"]
    path.write_text("".join([*lines[:place], json.dumps(ask) + "\n"]))
    message = f"trial {ask['trial']} repeats evolution-.* is recorded as repeating none"
    with pytest.raises(InputError, match=message):
        run(folder, evaluator=EVALUATE)
    path.write_text("".join([*lines[:place], json.dumps({**ask, "duplicate_of": "x"}) + "\n"]))
    message = f'trial {ask["trial"]}: duplicate_of: "x", expected an earlier trial of its search'
    with pytest.raises(InputError, match=message):
        run(folder, evaluator=EVALUATE)
