"""Local search: every climb ends in a local optimum, by steps that the record shows."""

import zlib
from collections import Counter
from itertools import groupby
from typing import Any, cast

import pytest

from nas.errors import InputError
from nas.searchers import Observation, Proposal, Searcher, searcher
from nas.spaces.choices import Choose, Genotype
from nas.spaces.search_space import SearchSpace
from nas.testing.searchers import SearcherCase as Case
from nas.testing.toy import SMALL, Event, best, campaign, loss, proposals, space
from tests.searchers.test_evolution import BITS, bits, zeros
from tests.spaces.chance import assert_distributed


def local_search(seed: int = 0, toy: SearchSpace | None = None, **options: Any) -> Searcher:
    return searcher("local_search", space=toy or space(), seed=(7, seed), **options)


def rugged(genotype: Genotype) -> float:
    """The loss with bumps all over it."""
    return loss(genotype) + zlib.crc32(repr(genotype).encode()) % 6


def climbs(events: list[Event]) -> list[list[tuple[int, Proposal, float]]]:
    """The trials of every climb in turn, each with its value; all but the last have ended."""
    values = {i: o.values[0] for i, _, o in events if o is not None and o.values is not None}
    asked = [(i, p, values[i]) for i, p, _ in events if p is not None]
    return [list(trials) for _, trials in groupby(asked, key=lambda trial: trial[1].note["climb"])]


@pytest.mark.parametrize("starts", [1, 5])
def test_a_climb_ends_in_a_local_optimum_and_another_starts(starts: int) -> None:
    events = campaign(local_search(starts=starts), 600, value=rugged)
    *ended, last = climbs(events)
    assert len(ended) >= 5
    optima = set()
    for trials in ended:
        number = trials[0][0]
        assert [p.note for _, p, _ in trials[:starts]] == [{"climb": number}] * starts
        assert all("from" in p.note for _, p, _ in trials[starts:])
        least = min(value for _, _, value in trials)
        top = next(p.genotype for _, p, value in trials if value == least)
        around = [repr(g) for g in space().neighbors(top)]
        assert all(rugged(g) >= least for g in space().neighbors(top))
        # It knows that, since it has asked them all; and it asked nothing twice.
        asked = [repr(p.genotype) for _, p, _ in trials]
        assert set(around) <= set(asked)
        assert len(set(asked[starts:])) == len(asked[starts:])
        optima.add(least)
    assert len(optima) > 1
    assert last[0][1].note == {"climb": last[0][0]}


def test_it_moves_to_whatever_is_better_at_once() -> None:
    events = campaign(local_search(starts=4), 500, value=rugged)
    for trials in climbs(events):
        least, at = float("inf"), None
        for trial_id, proposal, value in trials:
            if "from" in proposal.note:
                assert proposal.note["from"] == at
                source = next(p.genotype for i, p, _ in trials if i == at)
                assert proposal.genotype in list(space().neighbors(source))
            if value < least:
                least, at = value, trial_id


def test_neighbors_come_in_random_order() -> None:
    around = [repr(g) for g in space().neighbors(SMALL)]
    firsts: Counter[str] = Counter()
    lasts: Counter[str] = Counter()
    for seed in range(200):
        made = local_search(seed, starts=1)
        made.tell(Observation(0, SMALL, (1.0,)))
        asked = []
        for trial_id in range(1, len(around) + 1):
            proposal = made.ask(trial_id)
            assert proposal is not None
            asked.append(repr(proposal.genotype))
        assert sorted(asked) == sorted(around)
        firsts[asked[0]] += 1
        lasts[asked[-1]] += 1
    half = set(around[: len(around) // 2])
    for counts in (firsts, lasts):
        sides = Counter("first" if g in half else "second" for g in counts.elements())
        share = len(half) / len(around)
        assert_distributed(sides, {"first": share, "second": 1 - share})
        assert max(counts.values()) < 200 * 6 / len(around) + 10


def test_a_hill_without_traps_is_climbed_once() -> None:
    """On strings of bits every step leads up, so the first climb finds all ones."""
    toy = SearchSpace(cast(Any, bits), "bits")
    # At most all bits are wrong, and before each right step at most all others are tried.
    events = campaign(local_search(toy=toy, starts=1), 1 + BITS * BITS, value=zeros)
    first, *_ = climbs(events)
    assert first[-1][2] == 1
    assert min(value for _, _, value in first) == 0
    assert len(first) <= 1 + BITS * (BITS + 1) / 2


@pytest.mark.parametrize("workers", [4, 40])
def test_workers_climb_together_and_never_wait(workers: int) -> None:
    made = local_search(starts=3)
    events = campaign(made, 600, workers=workers, failures=0.2)
    running: set[int] = set()
    most = 0
    for trial_id, _, _ in events:
        running ^= {trial_id}
        most = max(most, len(running))
    assert most == workers
    assert best(events) == 0
    # With more workers than neighbours, several climbs go on side by side.
    assert len({p.note["climb"] for p in proposals(events)[:100]}) >= workers / 20


def test_failures_are_no_better_than_anything() -> None:
    made = local_search(starts=2)
    for trial_id in range(2):
        assert made.ask(trial_id) is not None
        made.tell(Observation(trial_id, SMALL, None))
    # Nobody is at the foot of the climb: it is over.
    proposal = made.ask(2)
    assert proposal is not None
    assert proposal.note == {"climb": 2}


def test_what_others_found_is_climbed_on() -> None:
    made = local_search(starts=1)
    made.tell(Observation(9, SMALL, (1.0,)))
    proposal = made.ask(10)
    assert proposal is not None
    assert proposal.note == {"climb": 9, "from": 9}
    assert proposal.genotype in list(space().neighbors(SMALL))


def test_where_there_are_too_many_neighbors_mutations_are_drawn() -> None:
    def wide(choose: Choose) -> None:
        for i in range(3):
            choose(f"x{i}", list(range(50)))

    toy = SearchSpace(cast(Any, wide), "wide")
    made = local_search(toy=toy, starts=1, max_neighbors=20)
    events = campaign(made, 60, value=lambda g: 0.0)
    first, second, *_ = climbs(events)
    around = list(toy.neighbors(first[0][1].genotype))
    assert len(around) == 147
    # Twenty draws, of which some may repeat.
    assert 15 < len(first) <= 21
    assert all(p.genotype in around for _, p, _ in first[1:])
    assert second[0][1].note == {"climb": second[0][0]}


def test_options_like_1_and_1_0_are_two_neighbors() -> None:
    def alike(choose: Choose) -> None:
        choose("x", [1, 1.0, "1"])

    made = local_search(toy=SearchSpace(cast(Any, alike), "alike"), starts=1)
    asked = [p.genotype["x"] for p in proposals(campaign(made, 3, value=lambda g: 0.0))]
    assert {repr(x) for x in asked} == {"1", "1.0", "'1'"}


@pytest.mark.parametrize("name", ["starts", "max_neighbors"])
def test_wrong_options_are_named(name: str) -> None:
    with pytest.raises(InputError, match=f"searcher local_search: {name} must be at least 1, got"):
        local_search(**{name: 0})


def test_several_objectives_are_refused() -> None:
    with pytest.raises(InputError, match="searcher local_search: it minimises one objective"):
        Case("local_search", objectives=2).make()
