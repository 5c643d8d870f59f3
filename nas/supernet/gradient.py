"""Trains the weights and the alphas of a relaxed space in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor
from torch.func import functional_call

from nas.supernet.relaxation import Relaxation
from nas.tasks import Task
from nas.training.batches import batch_bounds, batches
from nas.training.curve import Epoch
from nas.training.data import SearchData
from nas.training.loop import Trainer
from nas.training.recipe import Recipe

Forward = Callable[[Tensor], Any]


class GradientTrainer(Trainer):
    """Trains a :class:`Relaxation`: before every step of the weights, it makes one of the alphas.

    The weights learn from the training images, and the alphas from the validation images, both
    augmented (Liu et al. 2019, arXiv:1806.09055, algorithm 1). Alphas have Adam with betas 0.5 and
    0.999, as in section 4.1 of the paper. So what is chosen has seen the validation images, as in
    any search, and not the test images.

    Args:
        build: makes the relaxed network.
        data, recipe, seed, device, task: those of :class:`Trainer`; the recipe is that of the
            weights.
        second_order: whether the step of the alphas looks ahead by one step of the weights.
        learning_rate: Adam's learning rate.
        weight_decay: Adam's weight decay.
    """

    def __init__(
        self,
        build: Callable[[], Relaxation],
        data: SearchData,
        recipe: Recipe,
        seed: int,
        device: str = "cpu",
        task: Task | None = None,
        *,
        second_order: bool = False,
        learning_rate: float = 3e-4,
        weight_decay: float = 1e-3,
    ) -> None:
        super().__init__(build, data, recipe, seed, device, task=task)
        assert isinstance(self._network, Relaxation)
        self.relaxation: Relaxation = self._network
        self._second_order = second_order
        for each in self.relaxation.choices:
            each.requires_grad_()
        if self._average is not None:  # the choice is not averaged
            averaged = self._average.network
            averaged.alphas, averaged.betas = self.relaxation.alphas, self.relaxation.betas
        self._choices = torch.optim.Adam(
            self.relaxation.choices, learning_rate, (0.5, 0.999), weight_decay=weight_decay
        )
        self._held_out: Iterator[tuple[Tensor, Tensor]] = iter(())

    def state_dict(self) -> dict[str, Any]:
        """Returns the complete state as tensors and plain values, for ``torch.save``."""
        return {**super().state_dict(), "choices": self._choices.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores a state from :meth:`state_dict` of a trainer with the same arguments."""
        super().load_state_dict(state)
        self._choices.load_state_dict(state["choices"])

    def _epoch(self, epoch: int) -> Epoch:
        self.relaxation.anneal((epoch - 1) / max(self._recipe.epochs - 1, 1))
        point = super()._epoch(epoch)
        return replace(point, more={**self.relaxation.record(), "hessian": self._hessian()})

    def _hessian(self) -> float | None:
        """Returns the largest eigenvalue on the first validation images, as in evaluation."""
        if self.relaxation.samples:
            return None
        part = self._data.validation
        bounds = batch_bounds(len(part.labels), self._recipe.batch_size)[:1]
        ((pixels, labels),) = batches(part, bounds, self._device)
        images = self._normalize(pixels)
        targets = self._task.truth(pixels, labels, self._data.classes)
        self.relaxation.eval()
        return largest_eigenvalue(
            self.relaxation, lambda forward: self._task.loss(forward(images), targets)
        )

    def _train_epoch(self, epoch: int) -> float:
        self._held_out = self._validation_batches()
        return super()._train_epoch(epoch)

    def _validation_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields batches of normalised validation images and targets, without end."""
        part = self._data.validation
        bounds = batch_bounds(len(part.labels), self._recipe.batch_size)
        while True:
            order = self._task.order(part.labels, bounds, self._generator)
            for pixels, labels in batches(part, bounds, self._device, order):
                images, targets = self._augment(pixels, labels, self._generator)
                yield self._normalize(self._task.inputs(images, self._generator)), targets

    def _update(self, images: Tensor, targets: Tensor) -> Tensor:
        held, expected = next(self._held_out)
        gradients = gradients_of_choices(
            self.relaxation,
            lambda forward: self._loss_of(self._outputs(images, forward), targets),
            lambda forward: self._loss_of(self._outputs(held, forward), expected),
            self._optimizer.param_groups[0]["lr"] if self._second_order else 0.0,
        )
        for each, gradient in zip(self.relaxation.choices, gradients, strict=True):
            each.grad = gradient
        self._choices.step()
        return super()._update(images, targets)


def gradients_of_choices(
    network: Relaxation,
    train_loss: Callable[[Forward], Tensor],
    validation_loss: Callable[[Forward], Tensor],
    rate: float,
) -> Sequence[Tensor]:
    """Return the gradient of the validation loss by alphas, and by betas if there are any.

    The validation loss is that of the weights after a step of gradient descent on the training
    loss, ``w - rate * grad L_train(w, alpha)`` (Liu et al. 2019, eq. 6). With the rate 0, this is
    the first-order approximation. Deviations: the second derivatives of eq. 7 are those of
    automatic differentiation, and not the finite differences of eq. 8; the step has no momentum and
    no weight decay, which the authors' code adds.

    Args:
        network: the network in training mode.
        train_loss: returns the loss on a training batch, given a forward function.
        validation_loss: the same on a validation batch.
        rate: the learning rate of the step.
    """
    forward: Forward = network
    if rate:
        weights = dict(network.named_parameters())
        slopes = torch.autograd.grad(
            train_loss(network), list(weights.values()), create_graph=True, materialize_grads=True
        )
        moved = {
            name: weight - rate * slope
            for (name, weight), slope in zip(weights.items(), slopes, strict=True)
        }

        def forward(images: Tensor) -> Any:
            return functional_call(network, moved, (images,))

    return torch.autograd.grad(validation_loss(forward), network.choices)


def largest_eigenvalue(
    network: Relaxation, validation_loss: Callable[[Forward], Tensor]
) -> float | None:
    """Return the largest eigenvalue of the Hessian of the validation loss by the alphas.

    It grows before a search collapses, so Zela et al. 2020 ("Understanding and Robustifying
    Differentiable Architecture Search", arXiv:1909.09656, section 4) stop by it. It comes from
    Lanczos iterations (ARPACK) on products of the Hessian with vectors, to 1 %, and is None if they
    do not converge.

    Args:
        network: the network; its alphas require gradients.
        validation_loss: returns the loss, given a forward function.
    """
    alphas = network.alphas
    (gradient,) = torch.autograd.grad(validation_loss(network), [alphas], create_graph=True)

    def product(vector: Any) -> Any:
        along = torch.as_tensor(vector).to(alphas).view_as(alphas)
        (found,) = torch.autograd.grad(gradient, [alphas], along, retain_graph=True)
        return found.flatten().cpu().numpy()

    size = alphas.numel()
    start = np.random.default_rng(0).standard_normal(size)
    operator = LinearOperator((size, size), product, dtype=np.float64)
    try:
        found = eigsh(operator, 1, which="LA", v0=start, ncv=min(size, 8), maxiter=20,
                      tol=0.01, return_eigenvectors=False)  # fmt: skip
    except ArpackNoConvergence:
        return None
    return float(found[0])
