"""Makes the recipe's optimizer, and averages weights during training."""

from __future__ import annotations

import copy

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
            return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=betas, fused=True)
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
            return torch.optim.SGD(
                groups,
                lr=recipe.learning_rate,
                momentum=recipe.momentum,
                nesterov=recipe.momentum > 0,
                fused=True,
            )


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
