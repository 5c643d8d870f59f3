"""Classification's numbers are torch's own, written out, to the last digit."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

import nas
from nas.errors import InputError
from nas.tasks import TASKS, Task, make
from nas.tasks.classification import Classification
from nas.training.data import Part, SearchData
from nas.training.loop import Trainer, measure
from nas.training.recipe import resolve

CLASSES = 4


class Spied(Classification):
    """Remembers what the loss of each batch was made of."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, Tensor, Tensor]] = []

    def training_loss(self, outputs: Any, targets: Tensor, smoothing: float, weight: float) -> Any:
        loss = super().training_loss(outputs, targets, smoothing, weight)
        self.seen.append((outputs, targets, loss))
        return loss


def data() -> SearchData:
    rng = np.random.default_rng(0)
    part = Part(rng.integers(0, 256, (30, 1, 12, 12), dtype=np.uint8), rng.integers(0, CLASSES, 30))
    return SearchData(part, part, (120.0,), (70.0,), CLASSES, "")


def with_heads() -> nas.Architecture:
    g = nas.Builder((1, 12, 12))
    x = g.relu(g.conv(g.input, 6, kernel=3))
    early = g.linear(g.global_pool(x), CLASSES)
    x = g.relu(g.conv(x, 6, kernel=3, stride=2))
    return g.build(g.linear(g.global_pool(x), CLASSES), early)


@pytest.mark.parametrize("mixtures", [(), ("mixup", "cutmix")])
def test_the_loss_of_every_step_is_cross_entropy_written_out(mixtures: tuple[str, ...]) -> None:
    recipe = resolve(
        {
            "preset": "quick", "epochs": 2, "batch_size": 8, "warmup_epochs": 0,
            "precision": "fp32", "label_smoothing": 0.1, "auxiliary_weight": 0.3,
            "augment": [*mixtures],
        }
    )  # fmt: skip
    task, images = Spied(), data()
    trainer = Trainer(lambda: nas.compile(with_heads()), images, recipe, 0, task=task)
    curve = trainer.run(2).curve
    assert len(task.seen) == 8
    for (main, head), targets, loss in task.seen:
        assert targets.shape == ((len(main), CLASSES) if mixtures else (len(main),))
        written = cross_entropy(main, targets, label_smoothing=0.1)
        written = written + 0.3 * cross_entropy(head, targets, label_smoothing=0.1)
        assert torch.equal(loss, written)
    sizes = [len(main) for (main, _), _, _ in task.seen]
    for epoch, point in enumerate(curve):
        steps = range(4 * epoch, 4 * epoch + 4)
        total = torch.stack([task.seen[step][2].detach() * sizes[step] for step in steps])
        assert point.train_loss == pytest.approx(total.sum().item() / 30, rel=1e-6)
    network, part = trainer.network.eval(), images.validation
    pixels = (torch.from_numpy(part.images).float() - 120.0) / 70.0
    labels = torch.from_numpy(part.labels)
    with torch.inference_mode():
        scores = network(pixels)
    told = measure(network, part, images)
    assert told == curve[-1].validation
    assert told["loss"] == cross_entropy(scores, labels, reduction="sum").item() / 30
    assert told["accuracy"] == (scores.argmax(1) == labels).sum().item() / 30


def test_targets_and_predictions() -> None:
    task, labels = Classification(), torch.tensor([2, 0])
    assert task.targets(labels, CLASSES) is labels
    assert torch.equal(task.soft_targets(labels, CLASSES), one_hot(labels, CLASSES).float())
    scores = torch.tensor([[0.0, 1.0, 2.0, 3.0], [1.0, 1.0, 1.0, 1.0]])
    assert torch.equal(task.predictions(scores), torch.softmax(scores, 1))
    assert task.output_shape((3, 8, 8), CLASSES) == (CLASSES,)
    assert (task.primary.name, task.primary.direction) == ("accuracy", "maximize")


def test_it_says_what_does_not_fit() -> None:
    task, built = Classification(), with_heads()
    task.check_fit(built, (1, 12, 12), CLASSES)
    with pytest.raises(InputError, match=r"returns \(4,\), the data set has 5 classes"):
        task.check_fit(built, (1, 12, 12), 5)
    with pytest.raises(InputError, match=r"takes \(1, 12, 12\) images, the data set has \(3, 12"):
        task.check_fit(built, (3, 12, 12), CLASSES)


@pytest.mark.parametrize("name", TASKS)
def test_every_task_can_be_made_and_measures_a_loss(name: str) -> None:
    from nas.configuration import Named

    task = make(Named(name=name))
    assert isinstance(task, Task)
    assert "loss" in [metric.name for metric in task.metrics]
    assert task.primary.direction in ("maximize", "minimize")
