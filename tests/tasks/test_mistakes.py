"""Mistakes are packed without loss, in little room, and tell what was predicted."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nas.tasks.classification import Classification
from nas.tasks.mistakes import packed, unpacked


@given(st.lists(st.integers(0, 999), max_size=50))
def test_packing_loses_nothing(values: list[int]) -> None:
    assert unpacked(packed(values)).tolist() == values


def test_ten_thousand_images_take_two_kilobytes() -> None:
    rng = np.random.default_rng(0)
    mistakes = rng.integers(1, 10, 10_000) * (rng.random(10_000) < 0.1)
    assert len(packed(mistakes)) < 2_800


@pytest.mark.parametrize("text", ["", "u1", "u4:AAAA", "u1:!", "u1:AAAA"])
def test_what_is_not_packed_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpacked(text)


def test_mistakes_tell_what_was_predicted() -> None:
    labels = torch.tensor([0, 1, 2, 2])
    predictions = torch.eye(3)[torch.tensor([0, 2, 0, 2])]
    mistakes = Classification().mistakes(predictions, labels)
    assert mistakes.tolist() == [0, 1, 1, 0]
    assert ((labels + mistakes) % 3).tolist() == [0, 2, 0, 2]
