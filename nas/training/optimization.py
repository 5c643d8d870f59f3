"""Makes the recipe's optimizer, and averages weights during training."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nas.training.recipe import Recipe


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Makes the recipe's optimizer with two parameter groups, with and without weight decay.

    As in timm, norms and biases are the parameters of at most one dimension; so are layer scales,
    whose other axes have size 1. Frozen parameters are left out.

    RMSProp is that of torch, which divides by ``sqrt(mean) + epsilon`` with a mean that starts at
    0. TensorFlow's RMSProp, used for Inception and the MobileNets, divides by
    ``sqrt(mean + epsilon)`` with a mean that starts at 1. With epsilon 1 and the same learning
    rate, steps here are 0.7 to 1.4 times as long.
    """
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for parameter in network.parameters():
        if not parameter.requires_grad:
            continue
        many_to_one = parameter.ndim > 1 and parameter[0].numel() > 1
        (decayed if many_to_one or recipe.decay_norm_and_bias else kept).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": kept, "weight_decay": 0.0},
    ]
    match recipe.optimizer:
        case "adamw":
            betas = (recipe.momentum, 0.999)
            return FusedAdamW(groups, recipe.learning_rate, betas)
        case "rmsprop":
            return torch.optim.RMSprop(
                groups,
                lr=recipe.learning_rate,
                alpha=recipe.rmsprop_decay,
                eps=recipe.rmsprop_epsilon,
                momentum=recipe.momentum,
                foreach=True,
            )
        case "sgd":
            sgd = torch.optim.SGD(
                groups,
                lr=recipe.learning_rate,
                momentum=recipe.momentum,
                nesterov=recipe.momentum > 0,
                fused=True,
            )
            if recipe.momentum:
                # torch's fused step fails if some parameters get their first gradient later than
                # others, as in a supernet. A momentum of zero leaves the first step as it is.
                for parameter in (*decayed, *kept):
                    sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
            return sgd


class FusedAdamW(torch.optim.AdamW):
    """Does the same as torch's fused AdamW, bit for bit, with less work in Python.

    For a small network, what torch looks up and checks in every step takes several times as long as
    the arithmetic. Here it is done again only after a state was loaded, or if the groups have other
    parameters, or others have gradients, than in the step before: torch makes this step. All other
    steps call its kernel.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float, betas: tuple[float, float]) -> None:
        super().__init__(groups, lr=lr, betas=betas, fused=True)
        self._known: list[_Known] = []

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads a state of this optimizer or of torch's AdamW."""
        super().load_state_dict(state_dict)
        self._known = []

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Updates the parameters by their gradients."""
        gradients = [
            found
            for known, group in zip(self._known, self.param_groups, strict=False)
            if known.group is group["params"] and (found := known.gradients()) is not None
        ]
        if len(gradients) < len(self.param_groups):
            super().step()
            self._known = [_Known.of(group["params"], self.state) for group in self.param_groups]
            return
        for group, known, found in zip(self.param_groups, self._known, gradients, strict=True):
            if not found:
                continue
            known.steps.add_(1)
            torch._fused_adamw_(
                known.parameters,
                found,
                known.means,
                known.squares,
                [],
                known.steps_of_each,
                lr=group["lr"],
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                amsgrad=False,
                maximize=False,
            )


class _Known(NamedTuple):
    """The state of a parameter group in the form in which the kernel takes it.

    ``steps_of_each`` are the elements of ``steps``, one per parameter, which share its memory.
    """

    group: list[Tensor]
    parameters: list[Tensor]
    without_gradient: list[Tensor]
    means: list[Tensor]
    squares: list[Tensor]
    steps: Tensor
    steps_of_each: list[Tensor]

    @classmethod
    def of(cls, parameters: list[Tensor], states: Mapping[Tensor, dict[str, Any]]) -> _Known:
        """Collects the states of the parameters that have gradients; moves their step numbers."""
        held = [parameter for parameter in parameters if parameter.grad is not None]
        steps = torch.stack([states[each]["step"] for each in held]) if held else torch.empty(0)
        steps_of_each = list(steps.unbind())
        for parameter, each in zip(held, steps_of_each, strict=True):
            states[parameter]["step"] = each
        return cls(
            group=parameters,
            parameters=held,
            without_gradient=[parameter for parameter in parameters if parameter.grad is None],
            means=[states[parameter]["exp_avg"] for parameter in held],
            squares=[states[parameter]["exp_avg_sq"] for parameter in held],
            steps=steps,
            steps_of_each=steps_of_each,
        )

    def gradients(self) -> list[Tensor] | None:
        """Returns the gradients; None if other parameters than before have one."""
        found = [grad for parameter in self.parameters if (grad := parameter.grad) is not None]
        missing = len(found) < len(self.parameters)
        more = any(parameter.grad is not None for parameter in self.without_gradient)
        return None if missing or more else found


class WeightAverage:
    """An exponential moving average of a network's weights (Polyak & Juditsky 1992).

    After update ``n`` (from 1) the average keeps ``min(decay, n / (n + 9))`` of itself, so early
    weights are soon forgotten, as in TensorFlow's ``ExponentialMovingAverage`` with its step
    count. Statistics of batch norms are averaged too; counters are copied.

    Args:
        network: the network to average, which is not changed.
        decay: a number from 0 to 1.

    Attributes:
        network: a copy that holds the average.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.decay = decay
        self.updates = 0
        self._tensors = _pairs(self.network, network)

    @torch.no_grad()
    def update(self) -> None:
        """Updates the average with the network's current weights."""
        self.updates += 1
        share = 1.0 - min(self.decay, self.updates / (self.updates + 9))
        averaged, current = self._tensors["floating"]
        torch._foreach_lerp_(averaged, current, share)
        for copied, original in zip(*self._tensors["whole"], strict=True):
            copied.copy_(original)


def _pairs(average: nn.Module, network: nn.Module) -> dict[str, tuple[list[Tensor], list[Tensor]]]:
    pairs: dict[str, tuple[list[Tensor], list[Tensor]]] = {"floating": ([], []), "whole": ([], [])}
    theirs = network.state_dict()
    for name, tensor in average.state_dict().items():
        mine, other = pairs["floating" if tensor.is_floating_point() else "whole"]
        mine.append(tensor)
        other.append(theirs[name])
    return pairs
