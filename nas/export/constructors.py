"""The source of the call that makes a module, its literals open to be named."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

from torch import nn

_LISTS = {"nn.Sequential": "{}", "nn.ModuleList": "[{}]"}
_RUN = 3
"""As many equal modules in a row are written as a repetition."""


class Slot(NamedTuple):
    """A literal argument, which may become a parameter of the class around the call.

    Attributes:
        name: the argument's.
        value: its source text.
        default: likewise; None if it has none, then it is passed by position.
    """

    name: str
    value: str
    default: str | None = None


class Call(NamedTuple):
    """The call of a constructor, ``head(arguments)``."""

    head: str
    arguments: tuple[Slot | Call, ...] = ()

    @property
    def form(self) -> tuple[Any, ...]:
        """The call without its literals: equal for calls that differ in these alone."""
        parts = (a.form if isinstance(a, Call) else (a.name, a.default) for a in self.arguments)
        return (self.head, *parts)

    def slots(self) -> Iterator[Slot]:
        """The literals, in the order in which :meth:`source` writes them."""
        for argument in self.arguments:
            if isinstance(argument, Call):
                yield from argument.slots()
            else:
                yield argument

    def heads(self) -> list[str]:
        """The classes of the modules in it, sequences unrolled."""
        if self.head not in _LISTS:
            return [self.head]
        return [head for a in self.arguments if isinstance(a, Call) for head in a.heads()]

    def source(self, texts: Iterator[str]) -> str:
        """The call with a text for each slot; what is equal to its default is left out."""
        parts = []
        for argument in self.arguments:
            if isinstance(argument, Call):
                parts.append(argument.source(texts))
            elif (text := next(texts)) != argument.default:
                parts.append(text if argument.default is None else f"{argument.name}={text}")
        if self.head in _LISTS:
            parts = list(_runs(parts))
        return f"{self.head}({_LISTS.get(self.head, '{}').format(', '.join(parts))})"


def _runs(parts: Iterable[str]) -> Iterator[str]:
    for part, equal in groupby(parts):
        number = len(list(equal))
        yield from [part] * number if number < _RUN else [f"*({part} for _ in range({number}))"]


def constructor(module: nn.Module | nn.Parameter) -> Call:
    """The call that makes the module anew: torch keeps each argument as the attribute's name."""
    if isinstance(module, nn.Parameter):
        value = float(f"{module.flatten()[0].item():.6g}")  # of a double, kept as a float
        full = Call(
            "torch.full", (Slot("size", repr(tuple(module.shape))), Slot("value", repr(value)))
        )
        return Call("nn.Parameter", (full,))
    cls = type(module)
    parameters = inspect.signature(cls).parameters
    slots = []
    for name, parameter in parameters.items():
        if name in _NOT_KEPT or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        value = getattr(module, name)
        if name == "bias":
            if _AFFINE & parameters.keys():
                continue  # it follows from these in our norms, and not every torch takes it
            value = value is not None
        required = parameter.default is parameter.empty
        slots.append(Slot(name, _source(value), None if required else _source(parameter.default)))
    return Call(f"nn.{cls.__name__}" if is_torchs(cls) else cls.__name__, tuple(slots))


_NOT_KEPT = ("device", "dtype")
_AFFINE = {"affine", "elementwise_affine"}


def is_torchs(cls: type[nn.Module]) -> bool:
    """Whether torch has the class, so that a file that has torch need not hold it."""
    return getattr(nn, cls.__name__, None) is cls


def _source(value: Any) -> str:
    if isinstance(value, tuple) and len(set(value)) == 1:
        value = value[0]  # torch's own short form of the same on each axis
    return f'"{value}"' if isinstance(value, str) else repr(value)
