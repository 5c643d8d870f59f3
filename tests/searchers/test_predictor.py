"""Search with a predictor: what is chosen, what is noted, and that the model is free to choose."""

from typing import Any

import numpy as np
import pytest

import nas
from nas.errors import InputError
from nas.predictors.base import Prediction
from nas.searchers import Observation, Searcher, searcher
from nas.searchers.predictor import ACQUISITIONS
from nas.spaces.asked_space import NothingFeasible
from nas.spaces.choices import Genotype
from nas.spaces.search_space import SearchSpace
from nas.testing.searchers import SearcherCase as Case
from nas.testing.toy import OPTIMUM, campaign, loss, proposals, space


def make(seed: int = 0, **options: Any) -> Searcher:
    return Case("predictor", {"initial_size": 6, "candidates": 30, **options}).make(seed)


def test_the_acquisitions_are_their_definitions() -> None:
    rng = np.random.default_rng(0)
    found = Prediction(np.array([1.0, 0.0, 2.0]), np.array([1.0, 0.1, 3.0]))
    draws = rng.normal(found.mean, found.deviation, size=(200_000, 3))
    improvement = np.maximum(0.5 - draws, 0).mean(axis=0)
    assert ACQUISITIONS["ei"](found, 0.5, rng) == pytest.approx(-improvement, abs=0.01)
    assert ACQUISITIONS["ucb"](found, 0.5, rng).tolist() == [-1.0, -0.2, -4.0]
    assert ACQUISITIONS["mean"](found, 0.5, rng).tolist() == [1.0, 0.0, 2.0]
    certain = Prediction(np.array([0.2, 0.9]), np.zeros(2))
    assert ACQUISITIONS["ei"](certain, 0.5, rng) == pytest.approx([-0.3, 0.0])


@pytest.mark.parametrize("scale", [1.0, -2.5])
def test_what_was_predicted_is_noted_in_units_of_the_objective(scale: float) -> None:
    value = lambda genotype: 100 + abs(scale) * loss(genotype)  # noqa: E731
    made = make(model={"name": "gaussian_process"}, acquisition="mean")
    events = campaign(made, 60, value=value)
    told = {i: o.values[0] for i, _, o in events if o is not None and o.values is not None}
    predicted = {
        i: p.note["predicted"] for i, p, _ in events if p is not None and "predicted" in p.note
    }
    assert min(predicted) == 6  # not of random genotypes
    errors = [abs(predicted[i] - told[i]) for i in predicted]
    assert np.median(errors) < 2.5 * abs(scale)
    assert all(float(f"{each:.6g}") == each for each in predicted.values())


@pytest.mark.parametrize(("exploration", "random"), [(0, 0), (20, 80), (5.0, 20)])
def test_exploration_adds_random_candidates_that_become_fewer(
    exploration: float, random: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(initial_size=5, candidates=20, exploration=exploration)
    monkeypatch.setattr(SearchSpace, "child", _nothing)  # no parent has a child
    drawn = [made.ask(trial) for trial in range(5)]
    for trial, proposal in enumerate(drawn):
        assert proposal is not None
        made.tell(Observation(trial, proposal.genotype, (float(trial),)))
    draws: list[Genotype] = []
    sample = SearchSpace.sample
    monkeypatch.setattr(
        SearchSpace, "sample", lambda self, rng: draws.append(sample(self, rng)) or draws[-1]
    )
    made.ask(5)
    assert len(draws) == (random or 1)  # without any candidate, a random genotype is proposed


def _nothing(*_: Any) -> Any:
    raise NothingFeasible("nothing")


def test_a_prediction_beyond_the_best_extends_the_line() -> None:
    made = make(initial_size=5, acquisition="mean")
    genotypes = [space().sample(np.random.default_rng(seed)) for seed in range(5)]
    for trial_id, (genotype, value) in enumerate(zip(genotypes, (3, 1, 2, 5, 4), strict=True)):
        made.tell(Observation(trial_id, genotype, (float(value),)))
    made.ask(5)
    current: Any = made._round  # type: ignore[attr-defined]
    targets = np.log((np.arange(5) + 0.5) / 5)
    assert [current.in_units(each) for each in targets] == [1, 2, 3, 4, 5]
    assert current.in_units((targets[1] + targets[2]) / 2) == 2.5
    slope = 2 / (targets[2] - targets[0])
    assert current.in_units(targets[0] - 1) == pytest.approx(1 - slope, rel=1e-5)
    assert current.in_units(9.0) == 5
    endless = current._replace(values=np.full(5, np.inf))
    assert endless.in_units(0.0) is None


def test_features_are_named() -> None:
    cells = nas.space("nasbench201")
    for features, count in ((None, 1), (("wl",), 1), (("path", "one_hot"), 2)):
        made: Any = searcher("predictor", space=cells, seed=0, features=features)
        made.ask(0)
        assert len(made.features) == count
    both = cells.sample(np.random.default_rng(0))
    assert made._features(both) == cells.encode(both, "path") | cells.encode(both, "one_hot")


@pytest.mark.parametrize("model", ["gaussian_process", "boosted_trees", "forest", "ensemble"])
def test_it_ends_near_the_optimum_of_the_toy_with_every_model(model: str) -> None:
    events = campaign(make(model=model, refit_every=3, candidates=60), 80)
    assert min(loss(p.genotype) for p in proposals(events)) <= 1
    if model == "gaussian_process":
        assert OPTIMUM in [p.genotype for p in proposals(events)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "tree"}, r"searcher predictor: model.name: unknown predictor 'tree'"),
        ({"model": {}}, "searcher predictor: model.name: unknown predictor 'None'"),
        (
            {"model": {"name": "forest", "leaves": 3}},
            r"searcher predictor: model.leaves: unknown key 'leaves'; allowed: trees",
        ),
        ({"initial_size": 1}, "searcher predictor: initial_size must be at least 2, got 1"),
        ({"exploration": -1}, "searcher predictor: exploration must be from 0 to 1000, got -1"),
        ({"exploration": float("nan")}, "exploration must be from 0 to 1000, got nan"),
        ({"features": ()}, "searcher predictor: features must be at least one of one_hot, path"),
        ({"features": ("wl",)}, "space toy: has no cells, so no wl encoding"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(**options).ask(0)
