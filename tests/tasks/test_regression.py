"""Regression's numbers are scikit-learn's; the error of landmarks is the closed form."""

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from nas.architecture.builder import Builder
from nas.architecture.network import compile
from nas.configuration import Named
from nas.errors import InputError
from nas.tasks import make
from nas.tasks.landmarks import Landmarks
from nas.tasks.regression import Regression
from nas.training.data import Part, SearchData
from nas.training.datasets.python import as_images
from nas.training.evaluation import predictions
from nas.training.loop import Trainer
from nas.training.recipe import check_augment, resolve


def test_metrics_are_scikit_learns() -> None:
    generator = torch.Generator().manual_seed(0)
    truth, predicted = torch.rand(2, 20, 3, generator=generator)
    found = Regression().evaluate(predicted, truth)
    a, b = truth.numpy(), predicted.numpy()
    assert found["absolute_error"] == pytest.approx(mean_absolute_error(a, b))
    assert found["loss"] == pytest.approx(mean_squared_error(a, b))
    assert found["r2"] == pytest.approx(r2_score(a, b))
    constant = np.tile(truth.median(0).values.numpy(), (20, 1))
    assert found["chance"]["absolute_error"] == pytest.approx(mean_absolute_error(a, constant))


def test_the_normalised_mean_error_in_closed_form() -> None:
    """Three points of a right triangle, 3 wide and 4 high, each moved by half a unit."""
    truth = torch.tensor([[0.0, 0.0, 3.0, 0.0, 0.0, 4.0]])
    moved = truth + torch.tensor([[0.5, 0.0, 0.0, -0.5, 0.3, 0.4]])
    by_eyes = Landmarks(between=(1, 2)).evaluate(moved, truth)
    assert by_eyes["nme"] == pytest.approx(0.5 / 5)
    by_box = Landmarks().evaluate(moved, truth)
    assert by_box["nme"] == pytest.approx(0.5 / 12**0.5)
    assert by_box["failures"] == 1.0
    assert Landmarks().evaluate(truth, truth)["nme"] == 0.0


@pytest.mark.parametrize("unit", [1e-2, 1e3])
@pytest.mark.parametrize("pools", [True, False])
def test_networks_begin_at_the_mean_and_learn_values_of_any_unit(pools: bool, unit: float) -> None:
    """They tell how bright images are, on a scale far from 0, after 128 steps of a preset."""
    rng = np.random.default_rng(0)
    brightness = rng.integers(0, 200, 160)
    noise = rng.integers(0, 56, (160, 1, 12, 12))
    images = (brightness[:, None, None, None] + noise).astype(np.uint8)
    values = (unit * (50 + np.outer(brightness, [0.02, -0.01]))).astype(np.float32)
    g = Builder((1, 12, 12))
    x = g.relu(g.conv(g.input, 8, 3, 2))
    last = g.global_pool(g.conv(x, 2, 3)) if pools else g.linear(g.flatten(x), 2)
    train, test = Part(images[:128], values[:128]), Part(images[128:], values[128:])
    data = SearchData(train, test, np.full(1, 128.0), np.full(1, 60.0), 2, "split", "data")
    recipe = resolve({"preset": "quick", "augment": [], "epochs": 16, "batch_size": 16})
    trainer = Trainer(lambda: compile(g.build(last)), data, recipe, 0, task=Regression())
    mean, deviation = values.mean(0), values.std(0)
    before = predictions(trainer.network, test, data, Regression()).numpy()
    assert (np.abs(before - mean) < 8 * deviation).all()
    error = trainer.run(16).curve[-1].validation["absolute_error"]
    assert error < 0.6 * np.abs(test.labels - mean).mean()


def test_data_sets_have_values() -> None:
    images = np.zeros((4, 6, 6), np.uint8)
    points = np.arange(4 * 2 * 2).reshape(4, 2, 2) / 16
    found = as_images([*zip(images, points, strict=True)], "f")
    assert (found.kind, found.classes) == ("values", 4)
    assert np.array_equal(found.labels, points.reshape(4, 4).astype(np.float32))
    ages = as_images([*zip(images, [1.5, 2.0, 3.0, 1.0], strict=True)], "f")
    assert (ages.kind, ages.classes) == ("values", 1)
    whole = as_images([*zip(images, [1.0, 0.0, 1.0, 0.0], strict=True)], "f")
    assert whole.kind == "classes"
    points[2, 1, 0] = np.nan
    with pytest.raises(InputError, match="the label of image 2 holds a value that is no number"):
        as_images([*zip(images, points, strict=True)], "f")


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match=r"points have two values each, x and y; .* has 5"):
        Landmarks().output_shape((1, 8, 8), 5)
    with pytest.raises(InputError, match=r"between: the data set has 3 points, got \[0, 3\]"):
        Landmarks(between=(0, 3)).output_shape((1, 8, 8), 6)
    with pytest.raises(InputError, match="between: must be two different points"):
        make(Named(name="landmarks", between=[1, 1]))
    recipe = resolve({"preset": "quick", "augment": ["flip"]})
    check_augment(recipe, Regression(), (1, 8, 8))
    with pytest.raises(InputError, match="flip cannot move the targets of the task Landmarks"):
        check_augment(recipe, Landmarks(), (1, 8, 8))
