"""Successive halving, ASHA, Hyperband and BOHB against their papers' tables and pseudocode."""

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from nas.errors import InputError
from nas.searchers import SEARCHERS, Observation, Proposal, Searcher, searcher
from nas.searchers.duplicates import Policy
from nas.searchers.hyperband import hyperband_brackets
from nas.searchers.loop import SearchLoop
from nas.searchers.multi_fidelity import fidelities
from nas.spaces.search_space import SearchSpace
from nas.testing.searchers import SearcherCase as Case
from nas.testing.toy import campaign, loss, misled, proposals, space

KINDS = ("successive_halving", "asha", "hyperband", "bohb")
every_kind = pytest.mark.parametrize("kind", KINDS)


def make(kind: str, seed: int = 0, objectives: int = 1, **options: Any) -> Searcher:
    options = {"max_fidelity": 27, **options}
    return Case(kind, options, objectives).make(seed)


# --- rungs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minimum", "maximum", "factor", "expected"),
    [
        (1, 81, 3, [1, 3, 9, 27, 81]),  # Hyperband, table 1
        (1, 9, 3, [1, 3, 9]),  # ASHA, figure 1
        (4, 256, 4, [4, 16, 64, 256]),
        (1, 100, 3, [1, 4, 11, 33, 100]),  # 100 / 81 = 1.2, 3.7, 11.1, 33.3
        (2, 100, 3, [4, 11, 33, 100]),  # 1.2 is less than 2
        (5, 5, 2, [5]),
        (5, 9, 2, [9]),
    ],
)
def test_rungs_are_the_papers(minimum: int, maximum: int, factor: int, expected: list[int]) -> None:
    assert list(fidelities(minimum, maximum, factor)) == expected


def test_rungs_rise_from_the_minimum_to_the_maximum() -> None:
    for minimum in range(1, 20):
        for maximum in range(minimum, 200, 7):
            for factor in (2, 3, 4):
                rungs = fidelities(minimum, maximum, factor)
                assert minimum <= rungs[0] < factor * minimum + 1
                assert rungs[-1] == maximum
                assert sorted(set(rungs)) == list(rungs)


# --- brackets -----------------------------------------------------------------------------------

# Li et al. 2018, Algorithm 1 with R = 81 and eta = 3: (n_i, r_i) for s = 4, ..., 0.
R81 = [
    [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
    [(34, 3), (11, 9), (3, 27), (1, 81)],
    [(15, 9), (5, 27), (1, 81)],
    [(8, 27), (2, 81)],
    [(5, 81)],
]
# The same with R = 8 and eta = 2, as printed in the documentation of mlr3hyperband.
R8 = [[(8, 1), (4, 2), (2, 4), (1, 8)], [(6, 2), (3, 4), (1, 8)], [(4, 4), (2, 8)], [(4, 8)]]


@pytest.mark.parametrize("workers", [1, 7])
@pytest.mark.parametrize(
    ("largest", "factor", "table"), [(81, 3, R81), (8, 2, R8)], ids=["R81", "R8"]
)
def test_hyperband_trains_what_its_table_says(
    largest: int, factor: int, table: list[list[tuple[int, int]]], workers: int
) -> None:
    assert [[n for n, _ in rungs] for rungs in table] == list(
        map(list, hyperband_brackets(len(table) - 1, factor))
    )
    cycle = sum(n for rungs in table for n, _ in rungs)
    made = searcher(
        "hyperband", space=space(), seed=0, max_fidelity=largest, reduction_factor=factor
    )
    # With several workers the later brackets have begun by then: two cycles, to see one whole.
    asked = proposals(campaign(made, 2 * cycle, workers=workers))
    counted = Counter((p.note["bracket"], p.fidelity) for p in asked)
    found = [
        [(n, r) for (b, r), n in sorted(counted.items()) if b == bracket]
        for bracket in range(len(table))
    ]
    assert found == table
    if workers == 1:
        assert [p.note["bracket"] for p in asked] == sorted(p.note["bracket"] for p in asked)
        cycles = [[(p.note["bracket"], p.fidelity) for p in part] for part in halves(asked)]
        assert [(b - len(table), r) for b, r in cycles[1]] == cycles[0]


def halves(items: list[Proposal]) -> tuple[list[Proposal], list[Proposal]]:
    return items[: len(items) // 2], items[len(items) // 2 :]


def test_a_bracket_of_successive_halving_is_exact_under_curves_that_keep_their_ranks() -> None:
    made = searcher(
        "successive_halving", space=space(), seed=3, max_fidelity=27, configurations=100
    )
    trials = 100 + 33 + 11 + 3
    proposed: list[Proposal] = []
    for trial_id in range(trials):
        proposal = made.ask(trial_id)
        assert proposal is not None
        assert proposal.fidelity is not None
        proposed.append(proposal)
        # Of equals the first asked is the best; curves fall, and never cross.
        final = (loss(proposal.genotype), trial_id if proposal.continues is None else -1)
        made.tell(Observation(trial_id, proposal.genotype, (final[0] + 9 / proposal.fidelity,)))
    first = sorted(range(100), key=lambda trial_id: (loss(proposed[trial_id].genotype), trial_id))
    for fidelity, count in ((1, 100), (3, 33), (9, 11), (27, 3)):
        reached = [p.genotype for p in proposed if p.fidelity == fidelity]
        best = [proposed[trial_id].genotype for trial_id in first[:count]]
        assert len(reached) == count
        assert reached == (best if fidelity > 1 else [p.genotype for p in proposed[:100]])
    following = made.ask(trials)
    assert following is not None
    assert (following.fidelity, following.note["bracket"]) == (1, 1)


def test_a_rung_is_decided_when_all_of_it_has_ended() -> None:
    made = searcher("successive_halving", space=space(), seed=0, max_fidelity=3)
    asked = [made.ask(trial_id) for trial_id in range(4)]
    assert [(p.note["bracket"], p.fidelity) for p in asked if p] == [(0, 1)] * 3 + [(1, 1)]
    for trial_id, reached in ((2, 1.0), (0, 0.5)):
        made.tell(Observation(trial_id, asked[trial_id].genotype, (reached,)))  # type: ignore[union-attr]
    assert made.ask(4).note["bracket"] == 1  # type: ignore[union-attr]
    made.tell(Observation(1, asked[1].genotype, None))  # type: ignore[union-attr]
    promoted = made.ask(5)
    assert promoted == Proposal(asked[0].genotype, {"bracket": 0}, 3, 0)  # type: ignore[union-attr]


def test_a_bracket_that_fails_as_a_whole_ends() -> None:
    made = searcher("successive_halving", space=space(), seed=0, max_fidelity=9)
    asked = proposals(campaign(made, 30, failures=1.0))
    assert [p.note["bracket"] for p in asked] == [i // 9 for i in range(30)]
    assert {p.fidelity for p in asked} == {1}


# --- ASHA ---------------------------------------------------------------------------------------


Results = list[tuple[tuple[float, ...], int]]


def order(results: Results) -> list[int]:
    """Non-dominated sorting by brute force, and crowding distances by their definition."""
    if results and len(results[0][0]) == 1:
        return [trial_id for _, trial_id in sorted(results)]
    left, found = sorted(results, key=lambda result: result[1]), []
    while left:
        front: Results = []
        for values, trial_id in left:
            others = [other for other, _ in left if other != values]
            dominated = any(
                all(a <= b for a, b in zip(other, values, strict=True)) for other in others
            )
            if not dominated and values not in [member for member, _ in front]:
                front.append((values, trial_id))
        front.sort()  # by the first objective, so the second falls
        gaps = {front[0][1]: float("inf"), front[-1][1]: float("inf")}
        for (low, _), (_, trial_id), (high, _) in zip(front, front[1:], front[2:], strict=False):
            gaps[trial_id] = sum(
                abs(high[k] - low[k]) / abs(front[-1][0][k] - front[0][0][k])
                for k in range(len(low))
            )
        found += [trial_id for _, trial_id in sorted(front, key=lambda r: (-gaps[r[1]], r[0]))]
        left = [result for result in left if result not in front]
    return found


def get_job(
    rungs: list[Results], failed: list[int], promoted: set[int], eta: int
) -> tuple[int | None, int]:
    """Algorithm 2 of Li et al. 2020, line by line: whom to promote, and to which rung."""
    for k in reversed(range(len(rungs) - 1)):
        size = len(rungs[k]) + failed[k]
        candidates = order(rungs[k])[: size // eta]
        promotable = [trial_id for trial_id in candidates if trial_id not in promoted]
        if promotable:
            return promotable[0], k + 1
    return None, 0


@pytest.mark.parametrize(
    ("eta", "largest", "workers", "failures", "objectives"),
    [
        (2, 16, 1, 0.0, 1),
        (3, 27, 4, 0.0, 1),
        (3, 100, 25, 0.2, 1),
        (4, 64, 9, 0.5, 1),
        (2, 16, 1, 0.0, 2),
        (3, 27, 9, 0.2, 2),
    ],
)
def test_asha_promotes_as_a_brute_force_reference(
    eta: int, largest: int, workers: int, failures: float, objectives: int
) -> None:
    made = make("asha", 2, objectives, max_fidelity=largest, reduction_factor=eta)
    rung_of = {fidelity: k for k, fidelity in enumerate(fidelities(1, largest, eta))}
    rungs: list[Results] = [[] for _ in rung_of]
    failed = [0 for _ in rung_of]
    promoted: set[int] = set()
    trials = 600 if objectives == 1 else 80
    events = campaign(made, trials, workers=workers, failures=failures)
    for trial_id, proposal, observation in events:
        if proposal is not None:
            assert proposal.fidelity is not None
            expected = get_job(rungs, failed, promoted, eta)
            assert (proposal.continues, rung_of[proposal.fidelity]) == expected
            promoted |= {expected[0]} - {None}  # type: ignore[arg-type]
        if observation is not None:
            assert observation.fidelity is not None
            k = rung_of[observation.fidelity]
            if observation.values is None:
                failed[k] += 1
            else:
                rungs[k].append((observation.values, trial_id))
    assert all(rungs)


def test_a_rung_of_several_objectives_promotes_its_front() -> None:
    made = make("successive_halving", objectives=2, max_fidelity=3, configurations=9)
    asked = [made.ask(trial_id) for trial_id in range(9)]
    # Trials 2, 5 and 7 are a front: nothing is better in both. Trial 8 is the copy of one of them.
    values = [(9, 9), (5, 9), (1, 8), (9, 5), (6, 6), (4, 4), (4, 5), (8, 1), (4, 4)]
    for trial_id, (one, other) in enumerate(values):
        proposal = asked[trial_id]
        assert proposal is not None
        made.tell(Observation(trial_id, proposal.genotype, (float(one), float(other))))
    promoted = [made.ask(trial_id) for trial_id in range(9, 12)]
    assert [proposal and proposal.continues for proposal in promoted] == [2, 7, 5]


# --- every kind ---------------------------------------------------------------------------------


@every_kind
def test_who_goes_on_continues_a_success_of_the_rung_below_once(kind: str) -> None:
    events = campaign(make(kind), 300, workers=8, failures=0.2)
    proposed = {i: p for i, p, _ in events if p is not None}
    succeeded: set[int] = set()
    continued: Counter[int] = Counter()
    rungs = fidelities(1, 27, 3)
    for trial_id, proposal, observation in events:
        if observation is not None and observation.values is not None:
            succeeded.add(trial_id)
        if proposal is None or proposal.continues is None:
            continue
        before = proposed[proposal.continues]
        assert proposal.continues in succeeded
        assert before.genotype == proposal.genotype
        assert rungs.index(proposal.fidelity) == rungs.index(before.fidelity) + 1  # type: ignore[arg-type]
        continued[proposal.continues] += 1
    assert set(continued.values()) == {1}
    assert {p.fidelity for p in proposed.values()} == set(rungs)


@pytest.mark.parametrize("kind", ["successive_halving", "asha", "hyperband"])
def test_early_stopping_beats_full_trainings_at_the_same_epochs(kind: str) -> None:
    """Curves whose ranks improve with the epochs, and a budget of 40 full trainings."""
    rungs = [0, *fidelities(1, 27, 3)]
    full, budget, seeds = 27, 40 * 27, 20

    def found(made: Searcher) -> float:
        spent, trial_id, best = 0, 0, float("inf")
        while spent < budget:
            proposal = made.ask(trial_id)
            assert proposal is not None
            fidelity = proposal.fidelity or full
            going_on = proposal.continues is not None
            spent += fidelity - (rungs[rungs.index(fidelity) - 1] if going_on else 0)
            reached = loss(proposal.genotype) + misled(proposal)
            best = min(best, loss(proposal.genotype) if fidelity == full else best)
            made.tell(Observation(trial_id, proposal.genotype, (reached,), proposal.note))
            trial_id += 1
        return best

    ours = statistics.fmean(found(make(kind, seed)) for seed in range(seeds))
    random = statistics.fmean(found(Case("random").make(seed)) for seed in range(seeds))
    assert ours < random - 0.5, (ours, random)


# --- the searcher within ------------------------------------------------------------------------


class Spy(Searcher):
    """Random, and every instance is remembered with all that it has heard."""

    instances: ClassVar[list["Spy"]] = []
    silent: ClassVar[set[int]] = set()

    def __init__(self, space: SearchSpace, seed: int | Sequence[int], objectives: int = 1) -> None:
        super().__init__(space, seed, objectives)
        self.asked: dict[int, Proposal] = {}
        self.replayed: dict[int, Proposal] = {}
        self.told: list[Observation] = []
        Spy.instances.append(self)

    def ask(self, trial_id: int) -> Proposal | None:
        if self.seed[-1] in Spy.silent:
            return None
        self.asked[trial_id] = Proposal(self.space.sample(self.rng(trial_id)), {"spy": trial_id})
        return self.asked[trial_id]

    def replay(self, trial_id: int, proposal: Proposal) -> None:
        self.replayed[trial_id] = proposal

    def tell(self, observation: Observation) -> None:
        self.told.append(observation)


@pytest.fixture
def spies(monkeypatch: pytest.MonkeyPatch) -> list[Spy]:
    """The instances within, rung by rung, of the searcher that is made next."""
    monkeypatch.setattr(Spy, "instances", [])
    monkeypatch.setattr(Spy, "silent", set())
    monkeypatch.setitem(SEARCHERS._entries, "spy", f"{__name__}:Spy")
    return Spy.instances


@every_kind
def test_every_instance_hears_of_its_own_rung_alone(kind: str, spies: list[Spy]) -> None:
    made = make(kind, searcher="spy", min_points=7)
    events = campaign(made, 250, workers=5, failures=0.1)
    proposed = {i: p for i, p, _ in events if p is not None}
    for spy, fidelity in zip(spies, fidelities(1, 27, 3), strict=True):
        expected = [
            (trial_id, observation.genotype, observation.values)
            for trial_id, _, observation in events
            if observation is not None and observation.fidelity == fidelity
        ]
        heard = [(o.trial_id, o.genotype, o.values) for o in spy.told if o.values is not None]
        assert heard == [entry for entry in expected if entry[2] is not None]
        ours = {i for i, p in proposed.items() if p.note.get("model") == fidelity}
        assert set(spy.asked) == ours
        # What it proposed for another rung ends for it at once, failed.
        failed = [o.trial_id for o in spy.told if o.values is None]
        assert sorted(failed) == sorted(
            [i for i in ours if proposed[i].fidelity != fidelity]
            + [i for i, _, values in expected if values is None]
        )
        assert not spy.replayed
        for observation in spy.told:
            note = {"spy": observation.trial_id} if observation.trial_id in ours else {}
            assert observation.note == note


@every_kind
def test_the_highest_rung_with_enough_points_proposes(kind: str, spies: list[Spy]) -> None:
    made = make(kind, searcher="spy", min_points=7, random_fraction=0.0)
    points = dict.fromkeys(fidelities(1, 27, 3), 0)
    models = set()
    for _, proposal, observation in campaign(made, 400, workers=5, failures=0.1):
        if observation is not None and observation.values is not None:
            points[observation.fidelity or 0] += 1
        if proposal is not None and proposal.continues is None:
            expected = max((f for f, n in points.items() if n >= 7), default=1)
            assert proposal.note["model"] == expected
            models.add(expected)
    assert models == set(points)


@every_kind
def test_an_instance_that_waits_lends_its_turn_to_the_rung_below(
    kind: str, spies: list[Spy]
) -> None:
    made = make(kind, searcher="spy", min_points=1, random_fraction=0.0)
    Spy.silent |= {2, 3}  # rungs of 9 and 27 epochs
    asked = proposals(campaign(made, 100, workers=5))
    assert {p.note["model"] for p in asked if p.continues is None} == {1, 3}
    Spy.silent |= {0, 1}
    assert make(kind, searcher="spy", random_fraction=0.0).ask(0) is None


def test_a_third_of_bohbs_new_configurations_is_random() -> None:
    made = make("bohb", searcher="random")
    new = [p for p in proposals(campaign(made, 1200, workers=5)) if p.continues is None]
    drawn = sum(p.note["model"] is None for p in new)
    assert abs(drawn - len(new) / 3) < 4 * (len(new) * 2 / 9) ** 0.5


def test_evolution_within_learns_from_the_trainings_that_went_far() -> None:
    """Of the full trainings that 150 trials hold, the best."""

    def found(seed: int, **options: Any) -> float:
        events = campaign(make("asha", seed, **options), 150, workers=4)
        return min(loss(p.genotype) for p in proposals(events) if p.fidelity == 27)

    evolution = {"name": "evolution", "population_size": 10, "tournament_size": 4}
    ours, random = (
        statistics.fmean(found(seed, **options) for seed in range(20))
        for options in ({"searcher": evolution}, {})
    )
    assert ours < random - 1, (ours, random)


# --- promotion by learning curves ---------------------------------------------------------------


def power(limit: float, span: float, epochs: int = 9) -> list[float]:
    return [limit + span / epoch for epoch in range(1, epochs + 1)]


def promoted(kind: str, curves: list[list[float]], **options: Any) -> int | None:
    """Returns which of the trials of the first rung goes on, given their curves."""
    made = make(kind, searcher="random", **options)
    assert made.takes_curves == ("promotion" in options)
    for trial_id in range(len(curves)):
        assert made.ask(trial_id)
    for trial_id, curve in enumerate(curves):
        made.tell(Observation(trial_id, {}, (curve[-1],), curve=curve))
    proposal = made.ask(len(curves))
    assert proposal is not None
    return proposal.continues


@every_kind
def test_the_steeper_curve_goes_on_although_its_value_is_worse(kind: str) -> None:
    curves = [power(0.30, 0.1), power(0.20, 1.2), power(0.5, 0.1)]
    assert curves[0][-1] < curves[1][-1] < curves[2][-1]
    rungs = {"min_fidelity": 9, "max_fidelity": 27}
    assert promoted(kind, curves, **rungs) == 0
    assert promoted(kind, curves, **rungs, promotion="learning_curve") == 1
    # What cannot be extrapolated keeps its value.
    diverged = [*curves[1][:-2], float("inf"), curves[1][-1]]
    rest = [curves[0], diverged, curves[2]]
    assert promoted(kind, rest, **rungs, promotion="learning_curve") == 0
    low = [curves[0], [*diverged[:-1], 0.1], curves[2]]
    assert promoted(kind, low, **rungs, promotion="learning_curve") == 1


def test_short_curves_are_compared_by_their_values() -> None:
    curves = [power(0.30, 0.1, 3), power(0.20, 1.2, 3), power(0.5, 0.1, 3)]
    rungs = {"min_fidelity": 3, "max_fidelity": 9}
    assert promoted("asha", curves, **rungs, promotion="learning_curve") == 0


def test_the_searcher_within_observes_what_was_measured(spies: list[Spy]) -> None:
    rungs = {"min_fidelity": 4, "max_fidelity": 16, "reduction_factor": 2}
    made = make("asha", searcher="spy", promotion="learning_curve", **rungs)
    events = campaign(made, 60, workers=3)
    assert [o.values for spy in spies for o in spy.told if o.values] == [
        o.values
        for fidelity in (4, 8, 16)
        for _, _, o in events
        if o is not None and o.fidelity == fidelity
    ]


@pytest.mark.parametrize("policy", ["reuse", "evaluate"])
def test_a_duplicate_has_the_curve_of_its_original(policy: Policy, spies: list[Spy]) -> None:
    spy = Spy(space(), 0)
    loop = SearchLoop(spy, policy)
    proposal = loop.propose()
    assert proposal is not None
    for key in ("one", "other", "one"):
        loop.enter(proposal, key)
    loop.end(1, (0.3,), curve=[0.4, 0.3])
    loop.end(0, (0.5,), curve=[0.9, 0.5])
    loop.enter(proposal, "other")
    told = {o.trial_id: list(o.curve) for o in spy.told}
    found = {0: [0.9, 0.5], 1: [0.4, 0.3]}
    assert told == (found if policy == "evaluate" else {**found, 2: [0.9, 0.5], 3: [0.4, 0.3]})


@every_kind
def test_curves_of_several_objectives_are_refused(kind: str) -> None:
    message = f"searcher {kind}: promotion: learning_curve .* with 2 objectives: value"
    with pytest.raises(InputError, match=message):
        make(kind, objectives=2, searcher="random", promotion="learning_curve")


# --- options ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_fidelity": 0}, r"asha: min_fidelity must be from 1 to max_fidelity \(0\), got 1"),
        ({"min_fidelity": 0}, r"min_fidelity must be from 1 to max_fidelity \(27\), got 0"),
        ({"min_fidelity": 28}, r"min_fidelity must be from 1 to max_fidelity \(27\), got 28"),
        ({"reduction_factor": 1}, "reduction_factor must be at least 2, got 1"),
        ({"min_points": 0}, "min_points must be at least 1, got 0"),
        ({"random_fraction": 1.5}, "random_fraction must be from 0 to 1, got 1.5"),
        ({"searcher": "evolutoin"}, r"searcher.name: unknown searcher 'evolutoin' \(did you mean"),
        ({"searcher": {}}, "searcher.name: unknown searcher 'None'; allowed: random"),
        ({"searcher": "hyperband"}, "searcher.name: hyperband is a multi-fidelity searcher"),
        (
            {"searcher": {"name": "evolution", "population": 3}},
            r"searcher asha: searcher.population: unknown key 'population' \(did you mean",
        ),
        (
            {"searcher": {"name": "evolution", "population_size": 0}},
            "searcher evolution: population_size must be at least 1, got 0",
        ),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make("asha", **options)


def test_a_bracket_too_small_for_its_rungs_is_refused() -> None:
    with pytest.raises(InputError, match="configurations must be at least 27 for one of them"):
        make("successive_halving", configurations=26)


@every_kind
def test_the_inner_searcher_must_take_the_objectives_too(kind: str) -> None:
    with pytest.raises(InputError, match="searcher evolution: it minimises one objective, not 2"):
        make(kind, objectives=2, searcher="evolution")
