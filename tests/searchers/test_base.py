"""The randomness of trials, and what searchers are shown."""

import inspect
import itertools
from collections import Counter
from dataclasses import fields

import numpy as np
import pytest

from nas.searchers import SEARCHERS, Observation, Searcher, searcher
from nas.testing.toy import space
from tests.spaces.chance import assert_distributed


def made(*seed: int) -> Searcher:
    return searcher("random", space=space(), seed=seed)


def test_the_randomness_of_a_trial_is_its_own() -> None:
    draws = {
        (seed, trial_id): tuple(made(*seed).rng(trial_id).random(4))
        for seed in ((0,), (1,), (0, 1), (1, 0), (12,), (1, 2), (2**80,))
        for trial_id in (-1, 0, 1, 2, 10, 12, 2**70)
    }
    assert len(set(draws.values())) == len(draws)
    for (seed, trial_id), draw in draws.items():
        assert tuple(made(*seed).rng(trial_id).random(4)) == draw


def test_a_seed_is_its_numbers_whatever_their_type() -> None:
    expected = made(3, 1).rng(5).random()
    for seed in ([3, 1], np.array([3, 1]), (np.int64(3), np.uint8(1))):
        again = searcher("random", space=space(), seed=seed)  # type: ignore[arg-type]
        assert again.rng(5).random() == expected


@pytest.mark.parametrize("across", ["trials", "seeds", "draws"])
def test_the_draws_of_neighbors_are_uniform_and_independent(across: str) -> None:
    """Of successive trials, of successive seeds and within a trial."""
    count = 6400
    if across == "trials":
        stream = [made(7).rng(i).random() for i in range(count)]
    elif across == "seeds":
        stream = [made(7, i).rng(0).random() for i in range(count)]
    else:
        stream = np.concatenate([made(7).rng(i).random(2) for i in range(count // 2)]).tolist()
    pairs = Counter(
        (int(4 * a), int(4 * b)) for a, b in zip(stream[::2], stream[1::2], strict=True)
    )
    assert_distributed(pairs, dict.fromkeys(itertools.product(range(4), repeat=2), 1 / 16))


def test_integers_and_normal_numbers_are_drawn_too() -> None:
    """The generator is a whole one: 32 bits at a time as well as 64."""
    rngs = [made(7).rng(i) for i in range(4000)]
    normal = np.array([rng.standard_normal(3) for rng in rngs])
    assert np.abs(normal.mean(axis=0)).max() < 4 / 4000**0.5
    assert np.abs(np.cov(normal.T) - np.eye(3)).max() < 6 / 4000**0.5
    digits = Counter(int(rng.integers(4, dtype=np.uint32)) for rng in rngs)
    assert_distributed(digits, dict.fromkeys(range(4), 1 / 4))


# --- what a searcher may see -------------------------------------------------------------------


def test_an_observation_has_no_place_for_a_test_metric() -> None:
    names = {field.name for field in fields(Observation)}
    assert names == {"trial_id", "genotype", "values", "note", "fidelity", "suggested", "curve"}
    with pytest.raises(TypeError, match="test"):
        Observation(0, {}, (1.0,), test=0.9)  # type: ignore[call-arg]


@pytest.mark.parametrize("name", SEARCHERS)
def test_a_searcher_is_shown_observations_and_nothing_else(name: str) -> None:
    kind = SEARCHERS[name]
    assert isinstance(kind, type)
    assert issubclass(kind, Searcher)
    shown = {
        method: {
            parameter.name: parameter.annotation
            for parameter in inspect.signature(
                getattr(kind, method), eval_str=True
            ).parameters.values()
        }
        for method in ("ask", "tell")
    }
    assert shown["ask"].keys() == {"self", "trial_id"}
    assert shown["tell"].keys() == {"self", "observation"}
    assert shown["tell"]["observation"] is Observation
