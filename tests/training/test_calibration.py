"""Temperature scaling against its closed form."""

import math

import pytest
import torch

from nas.errors import InputError
from nas.tasks import TASKS
from nas.tasks.classification import Classification
from nas.tasks.segmentation import Segmentation
from nas.training.calibration import temperature


@pytest.mark.parametrize("gap", [0.5, 4.0])
@pytest.mark.parametrize("right", [55, 70, 95])
def test_two_classes_with_one_gap(right: int, gap: float) -> None:
    """The probability falls to the fraction that is right: sigmoid(gap / T) = right / 100."""
    scores = torch.tensor([[gap, 0.0]]).repeat(100, 1)
    targets = (torch.arange(100) >= right).long()
    expected = max(1.0, gap / math.log(right / (100 - right)))
    found, _ = temperature(Classification(), scores.softmax(1), targets)
    assert found == pytest.approx(expected, rel=5e-3)
    images = scores.softmax(1).reshape(4, 25, 2).mT[..., None], targets.reshape(4, 25, 1)
    assert temperature(Segmentation(), *images)[0] == pytest.approx(expected, rel=5e-3)


@pytest.mark.parametrize(("right", "bound"), [(100, 1), (50, 20), (0, 20)])
def test_what_is_always_right_or_at_chance_ends_at_the_bounds(right: int, bound: float) -> None:
    scores = torch.tensor([[1.0, 0.0]]).repeat(100, 1)
    found, _ = temperature(Classification(), scores.softmax(1), (torch.arange(100) >= right).long())
    assert found == pytest.approx(bound, rel=0.01)


def test_probabilities_that_are_rounded_to_0() -> None:
    probabilities = torch.tensor([[1.0, 0.0, 0.0]] * 3)
    assert all(
        map(math.isfinite, temperature(Classification(), probabilities, torch.tensor([0, 0, 2])))
    )


def test_only_a_softmax_has_a_temperature() -> None:
    Segmentation().check_calibrated()
    for name in ("regression", "detection", "multilabel"):
        with pytest.raises(InputError, match=r"must be a softmax, .*allowed: false, got true"):
            TASKS[name]().check_calibrated()
