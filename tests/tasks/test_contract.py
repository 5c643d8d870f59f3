"""What every task promises, by ``nas.testing``."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from nas.metrics import Metric
from nas.tasks import TASKS, Task
from nas.testing import check_task
from nas.testing.tasks import CHECKS, TaskCase

MASKS = np.random.default_rng(0).choice([0, 1, 2, 3, 255], (10, 8, 8)).astype(np.uint8)
IMAGES = np.random.default_rng(0).integers(0, 256, (10, 3, 8, 8)).astype(np.uint8)
VALUES = np.random.default_rng(0).random((10, 4), np.float32)
CORNERS = np.sort(np.random.default_rng(0).random((10, 3, 2, 2)) * 32, 2).reshape(10, 3, 4)
KINDS = np.random.default_rng(1).integers(-1, 4, (10, 3, 1))
BOXES = np.concatenate([CORNERS, KINDS], 2).astype(np.float32)
BOXES[:, -1] = 0, 0, 32, 32, -1
CASES = {
    "classification": TaskCase(TASKS["classification"]()),
    "classification of ten": TaskCase(
        TASKS["classification"](), range(10), classes=10, input_shape=(1, 4, 4)
    ),
    "segmentation": TaskCase(TASKS["segmentation"](), MASKS),
    "embedding": TaskCase(TASKS["embedding"]()),
    "embedding, semi-hard": TaskCase(TASKS["embedding"](loss="semi_hard", margin=99.0)),
    "embedding, contrastive": TaskCase(TASKS["embedding"](loss="contrastive", margin=9.0)),
    "reconstruction": TaskCase(TASKS["reconstruction"](), IMAGES),
    "reconstruction by SSIM": TaskCase(
        TASKS["reconstruction"](head="unet", ssim=0.5, noise=0.1), IMAGES
    ),
    "multilabel": TaskCase(TASKS["multilabel"](), (VALUES > 0.5).astype(np.uint8)),
    "regression": TaskCase(TASKS["regression"](), VALUES),
    "detection": TaskCase(TASKS["detection"](), BOXES, input_shape=(3, 32, 32)),
    "detection by anchors": TaskCase(
        TASKS["detection"](anchors=((8, 8), (16, 8)), head="grid"), BOXES, input_shape=(3, 32, 32)
    ),
    "landmarks": TaskCase(TASKS["landmarks"](), VALUES),
    "landmarks by two points": TaskCase(TASKS["landmarks"](between=(0, 1)), VALUES),
    "segmentation with Dice": TaskCase(TASKS["segmentation"](dice=0.5, head="unet"), MASKS),
}


def test_every_task_is_held_to_the_contract() -> None:
    assert {type(case.task) for case in CASES.values()} == {TASKS[name] for name in TASKS}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_task_keeps_what_training_relies_on(check: Callable[[TaskCase], None], name: str) -> None:
    check(CASES[name])


# --- the checks find what is broken ---


class Count(Task):
    """Regression of the label as a number, with one fault."""

    metrics = (
        Metric(name="mean_absolute_error", direction="minimize", unit="labels"),
        Metric(name="loss", direction="minimize"),
    )

    def __init__(self, fault: str = "") -> None:
        self.fault = fault

    def output_shape(self, input_shape: tuple[int, ...], classes: int) -> tuple[int, ...]:
        return (1,)

    def targets(self, labels: Tensor, classes: int) -> Tensor:
        return labels.float()[:, None]

    def loss(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        errors = (outputs - targets).square()
        if self.fault == "ignores":
            errors = errors[1:]
        if self.fault == "smooths":
            errors = errors + smoothing
        return -errors.mean() if self.fault == "rises" else errors.mean()

    def tally(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        errors = outputs - targets
        reduce = "mean" if self.fault == "means" else "sum"
        return {
            "loss": getattr(errors.square(), reduce)(),
            "mean_absolute_error": getattr(errors.abs(), reduce)(),
        }

    def predictions(self, outputs: Tensor) -> Tensor:
        return outputs.float() + (self.fault == "shifted")

    def average(self, predictions: Any) -> Tensor:
        return sum(predictions) if self.fault == "adds" else super().average(predictions)

    def evaluate(self, predictions: Tensor, targets: Tensor) -> dict[str, Any]:
        errors = predictions - targets
        error = errors.abs().mean()
        found = {
            "loss": errors.square().mean().item(),
            "mean_absolute_error": error if self.fault == "tensor" else error.item(),
        }
        if self.fault == "ordered":
            found["loss"] = float(errors[0])
        return {} if self.fault == "nothing" else found


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("ignores", "the output of some image does not change the loss"),
        ("smooths", "smooths is False, but label smoothing changes the loss"),
        ("rises", "fitted to the targets, outputs have a loss of"),
        ("means", "tally: loss of two batches adds up to"),
        ("shifted", "loss by evaluate and by tally"),
        ("adds", "the average of 3 equal predictions differs"),
        ("tensor", "mean_absolute_error is not a number: tensor"),
        ("nothing", "evaluate returns no mean_absolute_error"),
    ],
)
def test_a_broken_promise_is_named(fault: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_task(Count(fault))


def test_a_primary_metric_of_the_wrong_direction_is_found() -> None:
    class Wrong(Count):
        metrics = (
            Metric(name="mean_absolute_error", direction="maximize", unit="labels"),
            Metric(name="loss", direction="minimize"),
        )

    with pytest.raises(AssertionError, match="mean_absolute_error is to maximize; fitted"):
        check_task(Wrong())


def test_a_sound_task_of_ones_own_passes() -> None:
    check_task(Count())
