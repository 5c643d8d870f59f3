"""Steps of an optimizer on parts of its parameters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nas.supernet.bank import carry, dense

Parts = Sequence[tuple[nn.Parameter, Tensor]]
"""Parameters of an optimizer, each with a part of it that has a gradient, see
:meth:`nas.supernet.bank.Bank.lending`."""


class PartialSteps:
    """Makes steps of an optimizer on parts of its parameters.

    Args:
        optimizer: the optimizer, which goes on to hold the state of the whole parameters.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        groups = enumerate(optimizer.param_groups)
        self._group = {id(whole): number for number, group in groups for whole in group["params"]}

    @torch.no_grad()
    def step(self, parts: Parts) -> None:
        """Makes a step as if the parts were all parameters of the optimizer.

        Parameters and their state, such as the momentum, are read and written in the same part.
        Counts of steps belong to the whole parameter.
        """
        groups, state = self._optimizer.param_groups, self._optimizer.state
        wholes = [group["params"] for group in groups]
        self._optimizer.state = defaultdict(dict)
        for group in groups:
            group["params"] = []
        try:
            for whole, leaf in parts:
                groups[self._group[id(whole)]]["params"].append(leaf)
                self._optimizer.state[leaf] = {
                    name: dense(value, tuple(leaf.shape)) if _is_like(value, whole) else value
                    for name, value in state[whole].items()
                }
            self._optimizer.step()
            for whole, leaf in parts:
                carry(leaf, whole)
                for name, value in self._optimizer.state[leaf].items():
                    if not _is_like(value, leaf):
                        state[whole][name] = value
                        continue
                    if name not in state[whole]:
                        state[whole][name] = torch.zeros_like(whole)
                    carry(value, state[whole][name])
        finally:
            self._optimizer.state = state
            for group, held in zip(groups, wholes, strict=True):
                group["params"] = held


def _is_like(value: object, parameter: Tensor) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0 and value.shape == parameter.shape
