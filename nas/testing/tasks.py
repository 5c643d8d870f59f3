"""Checks on random outputs what every task promises to training, evaluation and campaigns."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nas.architecture.builder import Builder
from nas.errors import InputError
from nas.tasks.base import Task


@dataclass(frozen=True)
class TaskCase:
    """A task with labels, to be checked on random outputs.

    Attributes:
        task: the task.
        labels: the labels of at least four images, of the kind that the task needs.
        classes: the number of classes in the data set, or of values per image.
        input_shape: the shape of an image.
    """

    task: Task
    labels: Sequence[Any] = (0, 1, 2, 3, 0, 1, 2, 3, 3, 3)
    classes: int = 4
    input_shape: tuple[int, ...] = (3, 8, 8)

    def outputs(self) -> Tensor:
        """Draws outputs, float32, [N, *output_shape]; they are the same each time."""
        shape = self.task.output_shape(self.input_shape, self.classes)
        generator = torch.Generator().manual_seed(0)
        return torch.randn(len(self.labels), *shape, generator=generator)

    def targets(self) -> Tensor:
        """Makes the targets of the labels."""
        return self.task.targets(self.held, self.classes)

    @property
    def held(self) -> Tensor:
        """The labels as a tensor."""
        return torch.from_numpy(np.asarray(self.labels))


def check_task(
    task: Task,
    labels: Sequence[Any] = TaskCase.labels,
    *,
    classes: int = 4,
    input_shape: tuple[int, ...] = (3, 8, 8),
) -> None:
    """Run every check of :data:`CHECKS` on a task.

    The arguments are those of :class:`TaskCase`. Raises :class:`AssertionError` if a promise is
    broken.
    """
    case = TaskCase(task, labels, classes, input_shape)
    for check in CHECKS:
        check(case)


def metrics_are_named_once_and_have_a_direction(case: TaskCase) -> None:
    """There is a metric ``loss``, and the primary metric has a direction."""
    names = [metric.name for metric in case.task.metrics]
    assert len(set(names)) == len(names), f"a metric is named twice: {', '.join(names)}"
    assert "loss" in names, f"there is no metric 'loss' among {', '.join(names)}"
    assert case.task.primary.direction, f"{case.task.primary.name} has no direction"


def the_loss_is_a_scalar_that_every_output_changes(case: TaskCase) -> None:
    """The loss is finite and repeatable, and has a gradient for the output of every image."""
    outputs, targets = case.outputs().requires_grad_(), case.targets()
    loss = case.task.loss(outputs, targets)
    assert loss.shape == (), f"the loss must be a scalar, but has shape {tuple(loss.shape)}"
    assert loss.isfinite(), f"the loss is {loss.item()}"
    assert loss.equal(case.task.loss(outputs, targets)), "the loss differs between two calls"
    (gradient,) = torch.autograd.grad(loss, outputs)
    assert gradient.isfinite().all(), "the gradient of the loss is not finite"
    assert gradient.flatten(1).any(1).all(), "the output of some image does not change the loss"


def heads_add_to_the_loss_by_their_weight(case: TaskCase) -> None:
    """``training_loss`` adds the loss of an auxiliary head, multiplied by the weight."""
    outputs, targets = case.outputs(), case.targets()
    main, head = case.task.loss(outputs, targets), case.task.loss(-outputs, targets)
    found = case.task.training_loss((outputs, -outputs), targets, 0.0, 0.4)
    _close(found.item(), (main + 0.4 * head).item(), "training_loss with an auxiliary head")
    _close(case.task.training_loss(outputs, targets, 0.0, 0.4).item(), main.item(), "training_loss")


def sums_over_batches_are_those_of_all_images(case: TaskCase) -> None:
    """The sums of ``tally`` over two batches are those of all images; ``finish`` accepts them."""
    outputs, targets, images = case.outputs(), case.targets(), len(case.labels)
    first, second = (
        case.task.tally(outputs[part], targets[part]) for part in (slice(3), slice(3, None))
    )
    whole = case.task.tally(outputs, targets)
    added = case.task.total([first, second])
    for name, total in whole.items():
        assert isinstance(total, Tensor), f"tally: {name} must be a tensor, got {total!r}"
        assert added[name].float().allclose(total.float(), rtol=1e-4), (
            f"tally: {name} of two batches adds up to {added[name]}, but is {total} for all images"
        )
    found = case.task.finish(whole, images)
    for name in ("loss", case.task.primary.name):
        assert name in found, f"after an epoch there is no {name}, only {', '.join(found)}"
        assert math.isfinite(found[name]), f"after an epoch {name} is {found[name]}"


def evaluation_gives_every_metric_as_plain_json(case: TaskCase) -> None:
    """Each metric of the task is a finite number, and the evaluation is plain JSON."""
    found = case.task.evaluate(case.task.predictions(case.outputs()), case.targets())
    for metric in case.task.metrics:
        assert metric.name in found, f"evaluate returns no {metric.name}: {', '.join(found)}"
        value = found[metric.name]
        assert isinstance(value, int | float), f"evaluate: {metric.name} is not a number: {value!r}"
        assert math.isfinite(value), f"evaluate: {metric.name} is {value}"
    for recorded in (found, case.task.concise(found)):
        try:
            again = json.loads(json.dumps(recorded))
        except (TypeError, ValueError) as error:
            raise AssertionError(f"evaluate: not JSON: {error}: {recorded}") from None
        assert again == recorded, f"evaluate: JSON gives {recorded} back as {again}"


def evaluation_agrees_with_the_sums_after_an_epoch(case: TaskCase) -> None:
    """``evaluate`` and ``finish`` give the same loss and the same primary metric."""
    outputs, targets = case.outputs(), case.targets()
    evaluated = case.task.evaluate(case.task.predictions(outputs), targets)
    summed = case.task.finish(case.task.tally(outputs, targets), len(case.labels))
    for name in ("loss", case.task.primary.name):
        _close(evaluated[name], summed[name], f"{name} by evaluate and by tally")


def the_order_of_images_does_not_matter(case: TaskCase) -> None:
    """In the opposite order, the images have the same loss and the same metrics."""
    outputs, targets = case.outputs(), case.targets()
    _close(
        case.task.loss(outputs, targets).item(),
        case.task.loss(outputs.flip(0), targets.flip(0)).item(),
        "the loss of images in another order",
    )
    one, other = (
        case.task.evaluate(case.task.predictions(o), t)
        for o, t in ((outputs, targets), (outputs.flip(0), targets.flip(0)))
    )
    for metric in case.task.metrics:
        name = metric.name
        _close(one[name], other[name], f"{name} of images in another order")


def an_average_of_equal_predictions_is_one_of_them(case: TaskCase) -> None:
    """The average of equal predictions, of views or networks, is that prediction."""
    predictions = case.task.predictions(case.outputs())
    for count in (1, 3):
        average = case.task.average([predictions] * count)
        assert average.allclose(predictions, atol=1e-6), (
            f"the average of {count} equal predictions differs from them"
        )


def a_lower_loss_is_no_worse_a_result(case: TaskCase) -> None:
    """Outputs that are fitted to the targets have a lower loss and no worse primary metric."""
    outputs, targets, primary = case.outputs().requires_grad_(), case.targets(), case.task.primary
    optimizer = torch.optim.Adam([outputs], lr=0.1)
    before = case.task.evaluate(case.task.predictions(outputs.detach()), targets)
    for _ in range(200):
        (outputs.grad,) = torch.autograd.grad(case.task.loss(outputs, targets), outputs)
        optimizer.step()
    after = case.task.evaluate(case.task.predictions(outputs.detach()), targets)
    assert after["loss"] < before["loss"], (
        f"fitted to the targets, outputs have a loss of {after['loss']}, before {before['loss']}"
    )
    sign = 1 if primary.direction == "maximize" else -1
    assert sign * after[primary.name] >= sign * before[primary.name], (
        f"{primary.name} is to {primary.direction}; fitted to the targets, outputs have "
        f"{after[primary.name]}, before {before[primary.name]}"
    )


def soft_targets_have_the_loss_of_the_targets(case: TaskCase) -> None:
    """If a task has soft targets, those of single images have the same loss as hard targets."""
    try:
        soft = case.task.soft_targets(case.held, case.classes)
    except InputError:
        return
    assert soft.is_floating_point(), f"soft targets must be floats, but are {soft.dtype}"
    hard = case.task.loss(case.outputs(), case.targets())
    _close(case.task.loss(case.outputs(), soft).item(), hard.item(), "the loss of soft targets")


def label_smoothing_is_heeded_or_refused(case: TaskCase) -> None:
    """``smooths`` tells if label smoothing changes the loss; if not, such a recipe is refused."""
    plain, smooth = (
        case.task.loss(case.outputs(), case.targets(), smoothing) for smoothing in (0.0, 0.1)
    )
    assert plain.equal(smooth) != case.task.smooths, (
        f"smooths is {case.task.smooths}, but label smoothing changes the loss from "
        f"{plain.item()} to {smooth.item()}"
    )
    try:
        case.task.check_recipe(label_smoothing=0.1)
    except InputError:
        assert not case.task.smooths, "smooths is True, but a recipe with smoothing is refused"
    else:
        assert case.task.smooths, "smooths is False, but a recipe with smoothing is accepted"


def only_a_network_that_fits_is_accepted(case: TaskCase) -> None:
    """A network with the task's output is accepted; another number of outputs or images is not.

    The network is that which the task makes of a small backbone. The check is skipped if the task
    has no outputs for a linear layer.
    """
    try:
        size = case.task.outputs(case.input_shape, case.classes)
    except InputError:
        return
    larger = (*case.input_shape[:-1], case.input_shape[-1] + 1)
    for shape, outputs, fits in (
        (case.input_shape, size, True),
        (case.input_shape, size + 1, False),
        (larger, size, False),
    ):
        g = Builder(shape)
        pooled = g.global_pool(g.relu(g.conv(g.input, 4, kernel=1)))
        architecture = case.task.network(g.build(g.linear(pooled, outputs)), outputs)
        refusal = ""
        try:
            case.task.check_fit(architecture, case.input_shape, case.classes)
        except InputError as error:
            refusal = str(error)
        assert fits == (not refusal), (
            f"a network from {shape} to {outputs} outputs is {refusal or 'accepted'}"
        )


def _close(found: float, expected: float, what: str) -> None:
    assert math.isclose(found, expected, rel_tol=1e-4, abs_tol=1e-6), (
        f"{what}: {found} and {expected} differ"
    )


CHECKS: tuple[Callable[[TaskCase], None], ...] = (
    metrics_are_named_once_and_have_a_direction,
    the_loss_is_a_scalar_that_every_output_changes,
    heads_add_to_the_loss_by_their_weight,
    sums_over_batches_are_those_of_all_images,
    evaluation_gives_every_metric_as_plain_json,
    evaluation_agrees_with_the_sums_after_an_epoch,
    the_order_of_images_does_not_matter,
    an_average_of_equal_predictions_is_one_of_them,
    a_lower_loss_is_no_worse_a_result,
    soft_targets_have_the_loss_of_the_targets,
    label_smoothing_is_heeded_or_refused,
    only_a_network_that_fits_is_accepted,
)
"""All checks of a task; each is a function of a case."""
