"""Picks by hand: by the seeds before, by what a search saw, or by nothing."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nas.statistics.picks import forward_picks

NAN = float("nan")


def test_each_pick_is_the_best_mean_of_the_seeds_before() -> None:
    scores = [[0.5, 0.9, 0.9, 0.1], [0.6, 0.1, 0.1, 0.9]]
    assert forward_picks(scores).tolist() == [-1, 1, 0, 0]
    assert forward_picks(scores, [0.8, 0.9]).tolist() == [1, 1, 0, 0]
    assert forward_picks(scores, [0.8, NAN]).tolist() == [0, 1, 0, 0]
    assert forward_picks(scores, [NAN, NAN]).tolist() == [-1, 1, 0, 0]


def test_one_candidate_is_always_picked() -> None:
    assert forward_picks([[NAN, 0.5, 0.5]]).tolist() == [0, 0, 0]


def test_what_is_not_known_is_not_picked_by() -> None:
    assert forward_picks([[NAN, NAN, 0.5, 0.1], [NAN, 0.3, 0.3, 0.3]]).tolist() == [-1, -1, 1, 0]


@given(arrays(float, (3, 5), elements=st.floats(0, 1)), st.integers(0, 4))
def test_a_pick_does_not_know_its_own_seed_or_later_ones(scores: np.ndarray, seed: int) -> None:
    changed = scores.copy()
    changed[:, seed:] = 1 - changed[:, seed:]
    assert (forward_picks(scores)[: seed + 1] == forward_picks(changed)[: seed + 1]).all()
