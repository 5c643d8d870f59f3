"""Runs the operations of an architecture at once, instead of compiling them to a module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn


class Value:
    """A tensor that stands in for a node of a ``torch.fx.Graph``."""

    __slots__ = ("meta", "tensor")

    def __init__(self, tensor: Tensor, shape: tuple[int, ...] | None = None) -> None:
        self.tensor = tensor
        self.meta = {"shape": shape}


class Immediate:
    """Has the methods of ``torch.fx.Graph`` that operations emit with, and runs what they emit.

    Compiling a network takes longer than a training step of a small one, so a network that is used
    for one step is run like this.

    Args:
        targets: the modules and parameters by the name of their node.
    """

    def __init__(self, targets: Mapping[str, Any]) -> None:
        self._targets = targets

    def get_attr(self, target: str) -> Value:
        """Return a parameter."""
        return Value(self._targets[target])

    def call_module(self, target: str, args: tuple[Value, ...]) -> Value:
        """Call a module."""
        module: nn.Module = self._targets[target]
        return Value(module(*(each.tensor for each in args)))

    def call_function(
        self,
        function: Callable[..., Tensor],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any] | None = None,
    ) -> Value:
        """Call a function."""
        return Value(function(*_tensors(args), **(kwargs or {})))

    def call_method(
        self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None = None
    ) -> Value:
        """Call a method of the first argument."""
        first, *others = _tensors(args)
        return Value(getattr(first, name)(*others, **(kwargs or {})))


def _tensors(args: Any) -> Any:
    """Replace values by their tensors, also within tuples and lists."""
    if isinstance(args, Value):
        return args.tensor
    if isinstance(args, tuple | list):
        return type(args)(map(_tensors, args))
    return args
