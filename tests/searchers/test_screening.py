"""What searchers measure before they propose: each network once, with progress."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from nas.predictors import Features, Prediction, Predictor
from nas.searchers import Observation, screening
from nas.searchers.loop import SearchLoop
from nas.searchers.predictor import PredictorSearch
from nas.searchers.screening import Abandoned, Score, Screen
from nas.spaces.choices import Genotype
from nas.testing import toy


def test_a_genotype_is_measured_once_and_what_is_not_finite_is_the_worst() -> None:
    measured: list[Any] = []

    def measure(genotype: Genotype) -> float:
        measured.append(genotype["a"])
        return {1: 2.0, 2: math.nan, 3: math.inf}[genotype["a"]]  # type: ignore[index]

    score = Score("mine", lambda: measure)
    some = [{"a": 1, "recipe.lr": 1}, {"a": 2}, {"a": 1, "recipe.lr": 2}, {"a": 3}]
    assert score(some) == score(some) == [2.0, -math.inf, 2.0, -math.inf]
    assert measured == [1, 2, 3]
    assert score.seconds > 0


def test_what_takes_long_says_how_far_it_is_and_can_be_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]

    def measure(genotype: Genotype) -> float:
        now[0] += 4.0
        return 1.0

    monkeypatch.setattr(screening, "perf_counter", lambda: now[0])
    lines: list[str] = []
    score = Score("mine", lambda: measure)
    score.tell = lines.append
    score([{"a": n} for n in range(6)])
    assert lines == ["proxy mine: 3 of 6 networks measured, about 12 s left"]
    score.stops = lambda: now[0] >= 32.0
    with pytest.raises(Abandoned):
        score([{"a": n} for n in range(6, 12)])
    assert score.seconds == 32.0


class Spy(Predictor):
    """Remembers what it learns from."""

    seen: list[list[Features]]

    def __init__(self) -> None:
        type(self).seen = []

    def fit(self, features: Sequence[Features], values: Any, rng: np.random.Generator) -> None:
        self.seen.append(list(features))

    def predict(self, features: Sequence[Features]) -> Prediction:
        self.seen.append(list(features))
        return Prediction(np.zeros(len(features)), np.ones(len(features)))


def test_the_feature_of_a_proxy_is_the_place_among_what_was_evaluated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nas.searchers.predictor.PREDICTORS", {"spy": Spy})
    searcher = PredictorSearch(toy.space(), 0, model="spy", initial_size=20, candidates=10)
    searcher.use(toy.screen(False, True))
    for trial in range(20):
        proposal = searcher.ask(trial)
        searcher.tell(Observation(trial, proposal.genotype, (toy.loss(proposal.genotype),)))
    searcher.ask(20)
    known, candidates = Spy.seen
    widths = np.array([toy.cost(genotype) for genotype in searcher._genotypes])
    smaller = (widths < widths[:, None]).mean(axis=1) + (widths == widths[:, None]).mean(axis=1) / 2
    places = [each["proxy width"] for each in known]
    assert places == pytest.approx(12**0.5 * smaller)
    assert all(0 <= each["proxy width"] <= 12**0.5 for each in candidates)


def test_without_proxies_nothing_changes() -> None:
    made = iter([{"a": 1}, {"a": 2}])
    assert Screen().best(lambda: next(made), lambda each: each) == {"a": 1}


def test_what_was_proposed_is_proposed_again_only_if_nothing_else_is_there() -> None:
    screen = toy.screen(True, False)
    wide, small = {"width": 9}, {"width": 1}
    for before, expected in ((None, wide), (wide, small), (small, wide)):
        if before:
            screen.proposed(before)
        made = iter([small, wide, small])
        assert screen.best(lambda made=made: next(made), lambda each: each) == expected  # type: ignore[misc]


def test_a_predictor_that_is_rebuilt_within_a_round_goes_on_as_the_first_would() -> None:
    def made() -> SearchLoop:
        options: dict[str, Any] = {"initial_size": 6, "refit_every": 6, "candidates": 20}
        searcher = PredictorSearch(toy.space(), 0, **options)
        searcher.use(toy.screen(True, False))
        return SearchLoop(searcher, "evaluate")

    first, found = made(), []
    for number in range(16):  # the last ones are proposed while no result arrives
        proposal = first.propose()
        assert proposal is not None
        found.append(proposal)
        first.enter(proposal, number)
        if number < 8:
            first.end(number, (toy.loss(proposal.genotype),))
    again = made()
    for number, proposal in enumerate(found[:12]):
        again.searcher.replay(number, proposal)
        again.enter(proposal, number)
        if number < 8:
            again.end(number, (toy.loss(proposal.genotype),))
    for number in range(12, 16):
        proposal = again.propose()
        assert proposal == found[number]
        again.enter(found[number], number)
