"""Augmentation: geometry against exact cases, colour against Pillow, draws against their laws."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from nas.configuration import Named
from nas.errors import InputError
from nas.tasks.classification import Classification
from nas.training import augmentation, rand_augment
from nas.training.augmentation import MIXTURES, TRANSFORMATIONS
from nas.training.pipeline import Pipeline

NEEDED = {"cutout": {"size": 4}}
"""Options that have no default."""


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(
    n: int = 6, channels: int = 3, height: int = 12, width: int = 10, seed: int = 0
) -> Tensor:
    shape = (n, channels, height, width)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator(seed))


def smooth(n: int = 1, side: int = 32) -> Tensor:
    """Images without detail, which survive resampling."""
    y, x = torch.meshgrid(*[torch.linspace(-2, 2, side)] * 2, indexing="ij")
    image = 127 + 100 * torch.sin(x + 0.5 * y) * torch.exp(-(x**2 + y**2) / 4)
    return image.expand(n, 3, side, side).contiguous()


def applied(name: str, images: Tensor, seed: int = 0, **options: Any) -> Tensor:
    step = Named(name=name, **{**NEEDED.get(name, {}), **options})
    labels = torch.arange(len(images)) % 10
    return Pipeline([step], Classification(), 10)(images, labels, generator(seed))[0]


# --- every transformation ---


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_a_batch_keeps_shape_and_range_and_its_input(name: str) -> None:
    for images in (noise(), noise(seed=1).float()):
        before = images.clone()
        made = applied(name, images)
        assert made.shape == images.shape
        assert made.dtype in (torch.uint8, torch.float32)
        assert 0 <= made.min() <= made.max() <= 255
        assert torch.equal(images, before)


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_draws_are_of_the_generator_and_each_images_own(name: str) -> None:
    images = noise(1).expand(40, -1, -1, -1)
    torch.manual_seed(0)
    made = applied(name, images, seed=1)
    torch.manual_seed(9)
    assert torch.equal(made, applied(name, images, seed=1))
    assert not torch.equal(made, applied(name, noise(40), seed=1))
    if name not in MIXTURES:  # copies mix to copies
        assert len({image.numpy().tobytes() for image in made}) > 1


STILL = {
    "shift": None, "flip": {"probability": 0.0}, "rotate": {"degrees": 0.0},
    "resized_crop": {"area": (1.0, 1.0), "ratio": (1.0, 1.0)}, "shear": {"degrees": 0.0},
    "elastic": {"strength": 0.0}, "brightness": {"strength": 0.0}, "contrast": {"strength": 0.0},
    "saturation": {"strength": 0.0}, "lighting": {"deviation": 0.0},
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name, options in STILL.items() if options])
def test_without_strength_nothing_changes(name: str) -> None:
    images = noise(4, height=9, width=9)
    made = applied(name, images, **(STILL[name] or {}))
    assert torch.allclose(made.float(), images.float(), atol=0.01)


def test_steps_follow_each_other_and_no_steps_are_the_identity() -> None:
    images, labels = noise(), torch.arange(6)
    same, targets = Pipeline([], Classification(), 10)(images, labels, generator())
    assert same is images
    assert targets is labels
    both = Pipeline([Named(name="shift"), Named(name="flip")], Classification(), 10)
    made, _ = both(images, labels, generator(3))
    drawn = generator(3)
    shifted = augmentation.shift(images, drawn)
    assert torch.equal(made, augmentation.flip(shifted, drawn))


# --- geometry ---


@given(
    pixels=st.integers(1, 4),
    channels=st.sampled_from([1, 3]),
    height=st.integers(5, 9),
    width=st.integers(5, 9),
    seed=st.integers(0, 100),
)
def test_a_shift_is_a_translation_into_black(
    pixels: int, channels: int, height: int, width: int, seed: int
) -> None:
    images = noise(6, channels, height, width, seed).clamp(min=1)
    shifted = applied("shift", images, seed, pixels=pixels)
    assert shifted.dtype == torch.uint8
    moves = range(-pixels, pixels + 1)
    for image, moved in zip(images, shifted, strict=True):
        assert any(torch.equal(moved, translated(image, d, r)) for d in moves for r in moves)


def translated(image: Tensor, down: int, right: int) -> Tensor:
    result = torch.zeros_like(image)
    _, height, width = image.shape
    for row in range(height):
        for column in range(width):
            if 0 <= row - down < height and 0 <= column - right < width:
                result[:, row, column] = image[:, row - down, column - right]
    return result


def test_a_shift_may_be_filled_by_reflection() -> None:
    images = noise(50, height=6, width=6)
    shifted = applied("shift", images, fill="reflect")
    mirrored = np.pad(images.numpy(), ((0, 0), (0, 0), (4, 4), (4, 4)), mode="reflect")
    for image, moved in zip(mirrored, shifted.numpy(), strict=True):
        windows = [image[:, y : y + 6, x : x + 6] for y in range(9) for x in range(9)]
        assert any(np.array_equal(moved, window) for window in windows)


def test_shifts_and_flips_are_uniform() -> None:
    image = torch.zeros(1, 1, 5, 5, dtype=torch.uint8)
    image[0, 0, 2, 2] = 9
    shifted = applied("shift", image.expand(9000, -1, -1, -1), pixels=1)
    counts = (shifted[:, 0] == 9).sum(0)  # nine places, each with probability 1/9
    assert counts.sum() == 9000
    assert torch.all((counts[1:4, 1:4] - 1000).abs() < 150)  # five standard deviations
    image[0, 0] = torch.arange(25).view(5, 5)
    flipped = applied("flip", image.expand(1000, -1, -1, -1))
    same = (flipped == image).flatten(1).all(1)
    assert torch.all(same ^ (flipped == image.flip(3)).flatten(1).all(1))
    assert 420 < same.sum() < 580


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_quarter_turn_is_exact(turns: int) -> None:
    images = noise(3, height=11, width=11)
    turned = augmentation.rotated(images, torch.full((3,), 90.0 * turns))
    assert torch.allclose(turned, images.rot90(turns, (2, 3)).float(), atol=0.01)


def test_turning_there_and_back_is_nearly_nothing() -> None:
    image = smooth()
    there = augmentation.rotated(image, torch.tensor([20.0]))
    back = augmentation.rotated(there, torch.tensor([-20.0]))
    inner = (..., slice(8, 24), slice(8, 24))
    assert (there[inner] - image[inner]).abs().max() > 10
    assert torch.allclose(back[inner], image[inner], atol=1.5)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_shear_of_45_degrees_moves_each_row_by_its_distance(axis: int) -> None:
    images = noise(2, height=9, width=9).float()
    made = augmentation.sheared(images, torch.tensor([45.0, 45.0]), axis)
    if axis == 1:
        images, made = images.transpose(2, 3), made.transpose(2, 3)
    for row in range(9):
        offset = row - 4
        expected = torch.zeros_like(images[:, :, row])
        for column in range(9):
            if 0 <= column + offset < 9:
                expected[:, :, column] = images[:, :, row, column + offset]
        assert torch.allclose(made[:, :, row], expected, atol=0.01)


def test_a_crop_has_the_drawn_area_and_ratio() -> None:
    """On an image whose pixels are their coordinates, a window's slopes are its sides."""
    side = 64
    ramp = torch.arange(side).float() * (255 / side)
    images = torch.stack([ramp.expand(side, side), ramp.view(-1, 1).expand(side, side)])
    made = applied("resized_crop", images.expand(400, 2, side, side), area=(0.2, 0.5))
    middle = side // 2
    step = 255 / side
    width = (made[:, 0, middle, middle + 8] - made[:, 0, middle, middle - 8]) / (16 * step)
    height = (made[:, 1, middle + 8, middle] - made[:, 1, middle - 8, middle]) / (16 * step)
    area, ratio = width * height, width / height
    assert area.min() > 0.19
    assert area.max() < 0.51
    assert abs(area.mean() - 0.35) < 0.02
    assert ratio.min() > 0.74
    assert ratio.max() < 1.34
    assert made.min() >= 0


def test_a_crop_at_the_edge_is_not_darkened() -> None:
    white = torch.full((2000, 1, 8, 8), 255, dtype=torch.uint8)
    assert applied("resized_crop", white).min() == pytest.approx(255)


@pytest.mark.parametrize("side", [64, 60])
def test_elastic_vectors_are_as_strong_and_as_far_apart_as_told(side: int) -> None:
    """On a ramp, the change of a pixel is twice its displacement."""
    ramp = (torch.arange(side).float() * 2).expand(400, 1, side, side)
    moved = (applied("elastic", ramp, strength=2.0, spacing=8) - ramp)[:, 0] / 2
    vectors = moved[:, 16:48:8, 16:48:8]
    assert vectors.std() == pytest.approx(2.0, rel=0.05)
    neighbours = torch.corrcoef(
        torch.stack([vectors[..., :-1].flatten(), vectors[..., 1:].flatten()])
    )
    assert neighbours[0, 1].abs() < 0.08
    # Half-way, bicubic weights (a = -0.75) are 19/32 and -3/32, twice on each axis.
    middle = moved[:, 20:48:8, 20:48:8]
    assert middle.std() == pytest.approx(2.0 * 2 * ((19 / 32) ** 2 + (3 / 32) ** 2), rel=0.05)


# --- colour ---


def pillow(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).numpy())


ENHANCERS: dict[str, Callable[[Image.Image], Any]] = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "color": ImageEnhance.Color,
    "sharpness": ImageEnhance.Sharpness,
}


@pytest.mark.parametrize("name", ENHANCERS)
@pytest.mark.parametrize("level", [-1.0, -0.4, 0.3, 1.0])
def test_factors_are_pillows(name: str, level: float) -> None:
    images = noise(3, seed=4)
    made = rand_augment.OPERATIONS[name](images.float(), torch.full((3,), level))
    for image, ours in zip(images, made, strict=True):
        theirs = np.asarray(ENHANCERS[name](pillow(image)).enhance(1 + 0.9 * level))
        assert np.abs(ours.permute(1, 2, 0).numpy() - theirs).max() < 2.1  # they round twice


def test_histogram_operations_are_pillows() -> None:
    images = torch.cat(
        [noise(3, seed=5), noise(3, seed=6) // 4 + 60, torch.full((1, 3, 12, 10), 7)]
    )
    images = images.to(torch.uint8)
    level = torch.ones(len(images))
    ours = {
        "autocontrast": rand_augment.autocontrast(images.float(), level),
        "equalize": rand_augment.equalize(images.float(), level),
        "posterize": rand_augment.posterize(images.float(), level),
        "solarize": rand_augment.solarize(images.float(), level / 2),
    }
    for index, image in enumerate(map(pillow, images)):
        theirs = {
            "autocontrast": ImageOps.autocontrast(image),
            "equalize": ImageOps.equalize(image),
            "posterize": ImageOps.posterize(image, 4),
            "solarize": ImageOps.solarize(image, 128),
        }
        for name, expected in theirs.items():
            made = ours[name][index].permute(1, 2, 0).numpy()
            atol = 1.01 if name == "autocontrast" else 0.01  # they cut off, we keep fractions
            assert np.allclose(made, np.asarray(expected), atol=atol), name


def test_saturation_leaves_grey_images_and_lighting_refuses_them() -> None:
    images = noise(4, channels=1)
    assert torch.allclose(applied("saturation", images), images.float(), atol=0.01)
    with pytest.raises(InputError, match="needs colour images, got 1 channel"):
        applied("lighting", images)


def test_lighting_has_the_covariance_of_its_components() -> None:
    images = torch.full((20_000, 3, 1, 1), 127.0)
    change = (applied("lighting", images) - 127).view(-1, 3) / 255
    covariance = change.T.cov() if change.shape[1] != 3 else torch.cov(change.T)
    spread = torch.linalg.eigvalsh(covariance).sqrt().flip(0)
    assert torch.allclose(spread, 0.1 * torch.tensor([0.2175, 0.0188, 0.0045]), rtol=0.03)


# --- erasing and mixing ---


def test_a_cutout_is_a_square_as_far_as_it_is_inside() -> None:
    images = torch.full((500, 2, 12, 10), 200, dtype=torch.uint8)
    black = applied("cutout", images, size=4) == 0
    assert torch.equal(black[:, 0], black[:, 1])
    rows, columns = black[:, 0].any(2).sum(1), black[:, 0].any(1).sum(1)
    assert torch.equal(black[:, 0].sum((1, 2)), rows * columns)
    assert {*rows.tolist(), *columns.tolist()} == {2, 3, 4}
    # Centres are uniform: of 12 rows, 9 leave all four rows of the square inside.
    assert abs((rows == 4).float().mean() - 9 / 12) < 5 * math.sqrt(0.75 * 0.25 / 500)


@pytest.mark.parametrize("name", MIXTURES)
def test_targets_are_mixed_as_the_images_are(name: str) -> None:
    """Images of one colour each, so that a mixture shows what it is made of."""
    n = 8
    colours = torch.arange(n) * 10.0
    images = colours.view(n, 1, 1, 1).expand(n, 3, 16, 16)
    made, targets = Pipeline([Named(name=name)], Classification(), n)(
        images, torch.arange(n), generator(2)
    )
    assert torch.allclose(targets.sum(1), torch.ones(n))
    assert (targets > 0).sum(1).max() == 2
    assert torch.allclose(made.mean((1, 2, 3)), targets @ colours, atol=0.01)
    if name == "cutmix":
        assert set(made.unique().tolist()) <= set(colours.tolist())


def test_mixing_weights_are_beta() -> None:
    images = torch.zeros(20_000, 1, 1, 1)
    for alpha in (0.2, 1.0, 3.0):
        weight = augmentation._beta(images, generator(1), alpha)
        assert abs(weight.mean() - 0.5) < 0.02
        # Of Beta(a, a): 1 / (4 (2a + 1)).
        assert weight.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)


def test_rand_augment_draws_each_operation_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    marks = {
        str(value): (lambda images, level, value=value: images * 0 + value) for value in range(14)
    }
    assert len(rand_augment.OPERATIONS) == 14  # Cubuk et al. 2020, section 3
    monkeypatch.setattr(rand_augment, "OPERATIONS", marks)
    made = rand_augment.rand_augment(torch.zeros(14_000, 1, 1, 1), generator())
    counts = made.flatten().long().bincount(minlength=14)
    assert torch.all((counts - 1000).abs() < 5 * math.sqrt(1000))
