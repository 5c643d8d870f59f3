"""BANANAS: what it learns from, what it asks, and that it finds more than chance does."""

import csv
import gzip
import math
from collections import Counter
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import nas
from nas.errors import InputError
from nas.predictors.base import Prediction
from nas.predictors.ensemble import Ensemble
from nas.searchers import Observation, Searcher, searcher
from nas.searchers.predictor import thompson
from nas.spaces.choices import Choose, Genotype
from nas.spaces.search_space import SearchSpace
from nas.testing.searchers import SearcherCase as Case
from nas.testing.toy import OPTIMUM, campaign, loss, proposals, space
from tests.spaces.chance import assert_distributed

QUICK = {"initial_size": 6, "refit_every": 4, "networks": 2, "candidates": 30}


def make(seed: int = 0, **options: Any) -> Searcher:
    return Case("bananas", {**QUICK, **options}).make(seed)


def tell(made: Searcher, trial_id: int, genotype: Genotype, value: float | None) -> None:
    made.tell(Observation(trial_id, genotype, None if value is None else (value,)))


# --- the draw ----------------------------------------------------------------------------------


def test_every_candidate_is_drawn_from_a_normal_distribution_of_its_own() -> None:
    found = Prediction(np.array([0.0, 0.0, 9.0]), np.array([1.0, 2.0, 1.0]))
    rng = np.random.default_rng(0)
    wins = Counter(int(thompson(found, 0.0, rng).argmin()) for _ in range(4000))
    assert_distributed(wins, {0: 1 / 2, 1: 1 / 2})  # the third never wins
    # The first has mean 1 and deviation 1: it wins where N(1, 1 + 4) is below 0.
    found.mean[0] = 1.0
    wins = Counter(int(thompson(found, 0.0, rng).argmin()) for _ in range(4000))
    chance = (1 + math.erf(-1 / math.sqrt(5) / math.sqrt(2))) / 2
    assert_distributed(wins, {0: chance, 1: 1 - chance})


# --- the ensemble ------------------------------------------------------------------------------


def test_networks_are_trained_on_so_many_results(monkeypatch: pytest.MonkeyPatch) -> None:
    fits: list[int] = []
    fit = Ensemble.fit

    def noted(self: Ensemble, features: Any, values: Any, rng: Any) -> None:
        assert values == pytest.approx(np.log((np.arange(len(values)) + 0.5) / len(values)))
        fits.append(len(features))
        fit(self, features, values, rng)

    monkeypatch.setattr(Ensemble, "fit", noted)
    made = make()
    for trial_id in range(20):
        proposal = made.ask(trial_id)
        assert proposal is not None
        made.ask(trial_id)
        tell(made, trial_id, proposal.genotype, None if trial_id == 3 else float(trial_id))
    # Six successes first, one of seven trials failed; then after every four.
    assert fits == [6, 10, 14, 18]


def test_predictions_rank_what_was_not_told() -> None:
    rng = np.random.default_rng(0)
    genotypes = [space().sample(rng) for _ in range(260)]
    features = [space().encode(g, "one_hot") for g in genotypes]
    values = [loss(g) for g in genotypes]
    ensemble = Ensemble()
    ensemble.fit(features[:60], np.array(values[:60]), rng)
    predicted = ensemble.predict(features[60:])
    assert predicted.deviation.min() > 0
    assert np.corrcoef(predicted.mean, values[60:])[0, 1] > 0.7


def test_only_ranks_matter() -> None:
    def asked(value: Any) -> list[Genotype]:
        return [p.genotype for p in proposals(campaign(make(), 30, value=value))]

    assert asked(loss) == asked(lambda g: math.exp(9 * loss(g)))
    worst = loss({})
    assert asked(lambda g: min(loss(g), 9)) == asked(lambda g: loss(g) if loss(g) < 9 else math.inf)
    assert asked(loss) != asked(lambda g: worst - loss(g))


# --- candidates --------------------------------------------------------------------------------


@pytest.mark.parametrize("mutations", [1, 3])
def test_it_asks_mutants_of_the_best(mutations: int) -> None:
    made = make(parents=2, spacing=1, max_mutations=mutations, candidates=200)
    rng = np.random.default_rng(3)
    told = sorted((space().sample(rng) for _ in range(6)), key=loss)
    for trial_id, genotype in enumerate(told):
        tell(made, trial_id, genotype, float(trial_id))
    near = {repr(g) for parent in told[:2] for g in space().neighbors(parent)}
    asked = [made.ask(trial_id) for trial_id in range(10, 30)]
    mutants = [repr(p.genotype) for p in asked if p is not None]
    assert len(mutants) == 20
    assert (set(mutants) <= near) == (mutations == 1)


def test_of_close_genotypes_only_the_best_is_a_parent() -> None:
    def five(choose: Choose) -> None:
        for name in "abcde":
            choose(name, (0, 1, 2))

    toy = SearchSpace(cast(Any, five), "five")
    best, close, far, worst = (
        dict(zip("abcde", answers, strict=True))
        for answers in ([0, 0, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 1, 1], [2, 2, 2, 2, 2])
    )

    def asked(spacing: int) -> list[Genotype]:
        made = searcher(
            "bananas", space=toy, seed=0, initial_size=4, parents=2, spacing=spacing,
            max_mutations=1, candidates=300,
        )  # fmt: skip
        for trial_id, genotype in enumerate((worst, far, close, best)):
            tell(made, trial_id, cast(Any, genotype), -float(trial_id))
        proposed = [made.ask(trial_id) for trial_id in range(4, 20)]
        return [proposal.genotype for proposal in proposed if proposal is not None]

    def apart(genotype: Genotype, other: dict[str, int]) -> int:
        return sum(genotype[name] != other[name] for name in other)

    for spacing, second in ((1, close), (2, far), (3, worst)):
        # Both parents have children, and there are no others.
        parents = [
            [apart(genotype, parent) == 1 for parent in (best, second)]
            for genotype in asked(spacing)
        ]
        assert all(map(any, parents))
        assert all(any(of_one) for of_one in zip(*parents, strict=True))


@pytest.mark.parametrize("workers", [1, 8])
def test_nothing_is_asked_twice_whether_told_failed_or_under_way(workers: int) -> None:
    successes, asked = 0, set()
    for _, proposal, observation in campaign(make(), 80, workers=workers, failures=0.3):
        successes += observation is not None and observation.values is not None
        if proposal is not None:
            assert successes < QUICK["initial_size"] or repr(proposal.genotype) not in asked
            asked.add(repr(proposal.genotype))
    assert len(asked) > 70


def test_a_space_that_is_used_up_is_sampled() -> None:
    def small(choose: Choose) -> None:
        choose("x", (0, 1, 2))
        choose("y", (0, 1, 2))

    toy = SearchSpace(cast(Any, small), "small")
    made = searcher("bananas", space=toy, seed=0, **QUICK)
    asked = proposals(campaign(made, 40, value=lambda g: cast(int, g["x"])))
    assert len({repr(p.genotype) for p in asked}) == 9


def test_cells_are_seen_as_paths() -> None:
    toy = nas.space("nasbench201")
    made = searcher("bananas", space=toy, seed=0, **QUICK)
    campaign(made, 12, value=lambda g: float(sum(map(len, cast(Any, g.values())))))
    assert cast(Any, made).features == ("path",)


def test_each_class_of_cells_is_asked_before_any_is_asked_again() -> None:
    """In a space that is so small that every class of isomorphic cells is in reach."""
    toy = nas.space("nasbench201", nodes=3, operations=["none", "skip_connect", "nor_conv_1x1"])
    every = list(toy.enumerate())
    classes = {toy.identity(genotype) for genotype in every}
    assert len(every) == 27 > len(classes)
    made = searcher("bananas", space=toy, seed=0, **{**QUICK, "candidates": 300})
    asked = proposals(campaign(made, 60, value=lambda g: float(len(repr(g)))))
    found = [toy.identity(proposal.genotype) for proposal in asked]
    at_random = QUICK["initial_size"]
    new = [name for name in found[at_random:] if name not in found[:at_random]]
    assert set(found) == classes
    # No class comes twice before all have come.
    assert len(set(new[: len(set(new))])) == len(set(new))


def test_unlike_cells_with_equal_paths_are_both_asked() -> None:
    # One convolution that two skips feed, and two such convolutions with weights of their own.
    toy = nas.space("nasbench201")
    one, two = (
        toy.from_string(
            f"|skip_connect~0|+|skip_connect~0|none~1|+|none~0|{first}~1|nor_conv_1x1~2|"
        )
        for first in ("none", "nor_conv_1x1")
    )
    assert toy.encode(one, "path") == toy.encode(two, "path")
    options = {**QUICK, "candidates": 300, "max_mutations": 1}
    made = searcher("bananas", space=toy, seed=0, **options)
    for trial_id in range(6):
        tell(made, trial_id, one, float(trial_id))
    asked = [made.ask(trial_id) for trial_id in range(6, 40)]
    assert two in [proposal.genotype for proposal in asked if proposal is not None]


# --- whether it works --------------------------------------------------------------------------


def test_it_finds_more_than_random_search_on_nasbench201(shared_data: Path) -> None:
    """By validation accuracy on ImageNet16-120 after a hundred trials."""
    toy = nas.space("nasbench201")
    table: dict[str, float] = {}
    with gzip.open(shared_data / "nb201_accuracy.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            genotype = toy.from_string(row["arch_str"])
            table[repr(genotype)] = float(row["in16_val_e12"])

    def found(name: str, seed: int) -> float:
        made = searcher(name, space=toy, seed=seed)
        events = campaign(made, 100, value=lambda g: -table[repr(g)])
        return max(table[repr(p.genotype)] for p in proposals(events))

    guided = [found("bananas", seed) for seed in range(4)]
    chance = [found("random", seed) for seed in range(40)]
    # The best of the table is 38.67.
    assert np.mean(guided) > np.mean(chance) + 3 * np.std(chance) / 4**0.5


def test_it_ends_at_the_optimum_of_the_toy() -> None:
    events = campaign(Case("bananas").make(), 90)
    assert OPTIMUM in [p.genotype for p in proposals(events)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"initial_size": 1}, "searcher bananas: initial_size must be at least 2, got 1"),
        ({"networks": 1}, "searcher bananas: model: networks must be at least 2, got 1"),
        ({"refit_every": 0}, "searcher bananas: refit_every must be at least 1, got 0"),
        ({"parents": 0}, "searcher bananas: parents must be at least 1, got 0"),
        ({"spacing": 0}, "searcher bananas: spacing must be at least 1, got 0"),
        ({"max_mutations": 0}, "searcher bananas: max_mutations must be at least 1, got 0"),
        ({"candidates": 0}, "searcher bananas: candidates must be at least 1, got 0"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(**options)


def test_paths_need_cells() -> None:
    with pytest.raises(InputError, match="space toy: has no cells, so no path encoding"):
        make(encoding="path").ask(0)


def test_several_objectives_are_refused() -> None:
    with pytest.raises(InputError, match="searcher bananas: it minimises one objective, not 2"):
        Case("bananas", objectives=2).make()
