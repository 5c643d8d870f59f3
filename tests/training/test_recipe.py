import json
import os
import subprocess
import sys
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from nas.errors import InputError
from nas.training.presets import PRESETS
from nas.training.recipe import Recipe, resolve

SGD = {
    "preset": "quick",
    "epochs": 8,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "weight_decay": 5e-4,
    "gradient_clip": None,
    "initialization": "default",
}


def recipe(**overrides: Any) -> Recipe:
    return resolve({**SGD, "augment": [], **overrides})


def ours(recipe: Recipe, steps_per_epoch: int = 1) -> list[float]:
    count = recipe.epochs * steps_per_epoch
    return [recipe.learning_rate_at(step, steps_per_epoch) for step in range(count)]


def theirs(kind: Any, steps: int, rate: float, **options: Any) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
    scheduler = kind(optimizer, **options)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_cosine_is_torchs() -> None:
    mine = ours(recipe(epochs=7, warmup_epochs=0, learning_rate=0.3), 5)
    assert mine == pytest.approx(theirs(lr_scheduler.CosineAnnealingLR, 35, 0.3, T_max=35))


def test_step_is_torchs() -> None:
    mine = ours(
        recipe(epochs=10, warmup_epochs=0, schedule="step", steps=[0.3, 0.6, 0.8], step_factor=0.2),
        4,
    )
    expected = theirs(lr_scheduler.MultiStepLR, 40, 0.1, milestones=[12, 24, 32], gamma=0.2)
    assert mine == pytest.approx(expected)


def test_one_cycle_is_torchs() -> None:
    # torch's phases end at steps pct_start * T - 1 and T - 1, ours at the epochs given.
    expected = theirs(lr_scheduler.OneCycleLR, 20, 0.1, max_lr=0.1, total_steps=21, pct_start=0.3)
    assert ours(recipe(epochs=20, warmup_epochs=5.3, schedule="one_cycle")) == pytest.approx(
        expected
    )


def test_exponential_is_torchs_step_every_so_many_epochs() -> None:
    how = recipe(
        epochs=10, warmup_epochs=0, schedule="exponential", step_factor=0.94, decay_epochs=2.0
    )
    expected = theirs(lr_scheduler.StepLR, 40, 0.1, step_size=8, gamma=0.94)
    assert ours(how, 4) == pytest.approx(expected)


def test_warm_up_is_linear_and_meets_the_schedule() -> None:
    mine = ours(recipe(epochs=4, warmup_epochs=1, schedule="constant", learning_rate=1), 5)
    assert mine == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0] + [1.0] * 15)
    mine = ours(recipe(epochs=4, warmup_epochs=1, schedule="cosine", learning_rate=1), 5)
    assert mine[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    assert mine[5:] == pytest.approx(theirs(lr_scheduler.CosineAnnealingLR, 15, 1.0, T_max=15))


@given(
    schedule=st.sampled_from(["constant", "cosine", "step", "exponential", "one_cycle"]),
    epochs=st.integers(2, 20),
    share=st.floats(0.01, 0.99),
    steps_per_epoch=st.integers(1, 50),
)
def test_rates_are_positive_and_at_most_the_peak(
    schedule: str, epochs: int, share: float, steps_per_epoch: int
) -> None:
    made = recipe(schedule=schedule, epochs=epochs, warmup_epochs=share * epochs)
    assert all(0 < rate <= 0.1 * (1 + 1e-12) for rate in ours(made, steps_per_epoch))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_recipes_and_can_be_overridden(name: str) -> None:
    plain = resolve({"preset": name})
    assert plain == resolve(PRESETS[name])
    changed = resolve({"preset": name, "epochs": 9})
    assert changed.model_dump() == {**plain.model_dump(), "epochs": 9}


def test_the_cifar_preset_is_the_published_one() -> None:
    # arXiv:1605.07146, section 3: 0.1, divided by 5 at 60, 120 and 160 of 200 epochs.
    cifar = resolve({"preset": "cifar"})
    rates = [cifar.learning_rate_at(epoch, 1) for epoch in (0, 59, 60, 119, 120, 159, 160, 199)]
    assert rates == pytest.approx([0.1, 0.1, 0.02, 0.02, 0.004, 0.004, 0.0008, 0.0008])


def test_the_amoebanet_preset_takes_as_many_steps_as_nasnets_code() -> None:
    # cifar_config in tensorflow/models, research/slim/nets/nasnet/nasnet.py: total_training_steps
    # is 937500, of CIFAR-10's 50,000 images.
    amoebanet = resolve({"preset": "amoebanet"})
    assert amoebanet.epochs * 50_000 / amoebanet.batch_size == 937_500


def test_only_reference_gives_way_to_a_scheme_of_ones_own() -> None:
    own = recipe(initialization="reference", epochs=9).with_reference("vgg")
    assert own == recipe(initialization="vgg", epochs=9)
    for fixed in ("default", "xavier_normal", "resnet"):
        made = recipe(initialization=fixed)
        assert made.with_reference("vgg") == made


def test_the_fingerprint_is_of_the_values() -> None:
    values = json.loads(recipe().model_dump_json())
    assert resolve(dict(reversed(values.items()))).fingerprint == recipe().fingerprint
    assert recipe(learning_rate=1).fingerprint == recipe(learning_rate=1.0).fingerprint
    other = {
        "optimizer": "adamw",
        "initialization": "xavier_normal",
        "schedule": "step",
        "augment": ["flip"],
        "decay_norm_and_bias": True,
        "gradient_clip": 1.0,
        "steps": [0.25],
        "weight_average": 0.99,
        "keep": "best",
        "drop_path_schedule": "linear",
        "precision": "fp32",
    }
    prints = {recipe().fingerprint}
    for name, value in values.items():
        changed = other.get(name) or (value + 1 if isinstance(value, int) else value * 0.5 + 0.01)
        prints.add(recipe(**{name: changed}).fingerprint)
    assert len(prints) == 1 + len(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"preset": "quik"},
            "preset: unknown preset 'quik' (did you mean 'quick'?)",
        ),
        ({"preset": ["quick"]}, "preset: unknown preset ['quick']"),
        ({"epoch": 3}, "unknown key 'epoch' (did you mean 'epochs'?)"),
        ({"epochs": 0}, "epochs: "),
        ({"epochs": 2.5}, "epochs: "),
        ({"batch_size": 1}, "batch_size: "),
        ({"learning_rate": 0}, "learning_rate: "),
        ({"learning_rate": float("inf")}, "learning_rate: "),
        ({"learning_rate": "0.1"}, "learning_rate: "),
        ({"momentum": 1.0}, "momentum: "),
        ({"weight_decay": -1e-4}, "weight_decay: "),
        ({"label_smoothing": 1.0}, "label_smoothing: "),
        ({"gradient_clip": 0.0}, "gradient_clip: "),
        ({"optimizer": "adam"}, "optimizer: "),
        ({"augment": "flip"}, "augment: "),
        (
            {"augment": ["flop"]},
            "augment.0.name: unknown transformation 'flop' (did you mean 'flip'",
        ),
        (
            {"augment": ["flip", {"name": "cutout"}]},
            "augment.1.size: Field required",
        ),
        (
            {"augment": [{"name": "shift", "fill": "white"}]},
            "augment.0.fill: Input should be 'black' or 'reflect', got 'white'",
        ),
        (
            {"augment": [{"name": "resized_crop", "area": [1, 0.5]}]},
            "augment.0.area: must be from the least to the most, got [1.0, 0.5]",
        ),
        (
            {"augment": [{"name": "resized_crop", "ratio": [1.5, 0.5]}]},
            "augment.0.ratio: must be from the least to the most, got [1.5, 0.5]",
        ),
        (
            {"augment": [{"name": "resized_crop", "area": [0.5, 9]}]},
            "augment.0.area.1: Input should be less than or equal to 1, got 9",
        ),
        (
            {"augment": ["mixup", "flip"]},
            "augment.1: flip comes after a transformation that mixes images",
        ),
        ({"steps": [0.5, 1.5]}, "steps.1: "),
        ({"warmup_epochs": 9.0}, "warmup_epochs must be at most epochs (8), got 9.0"),
        ({"schedule": "one_cycle", "warmup_epochs": 0.0}, "must be above 0 and below epochs"),
    ],
)
def test_a_wrong_key_is_named_with_its_path(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as error:
        resolve({**SGD, **change})
    assert message in str(error.value)


def test_without_a_preset_the_essentials_are_needed() -> None:
    with pytest.raises(InputError, match=r"learning_rate: Field required"):
        resolve({"epochs": 3, "batch_size": 32, "optimizer": "sgd"})
    with pytest.raises(InputError, match=r"^must be a mapping"):
        resolve("quick")


def test_configuration_needs_no_torch() -> None:
    code = "import sys, nas.training.data, nas.training.recipe; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ}, check=False)
    assert done.returncode == 0
