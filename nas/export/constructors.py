"""Writes the call that constructs a module; its literals may be replaced by names."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

from torch import nn

_LISTS = {"nn.Sequential": "{}", "nn.ModuleList": "[{}]"}
_RUN = 3
"""From this number on, equal modules in a row are written as a repetition."""


class Slot(NamedTuple):
    """A literal argument, which may become a parameter of the class around the call.

    Attributes:
        name: the name of the argument.
        value: the source text of the argument.
        default: the source text of its default; None if it has none and is passed by position.
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
        """The call without its literals; calls that differ only in literals have equal forms."""
        parts = (a.form if isinstance(a, Call) else (a.name, a.default) for a in self.arguments)
        return (self.head, *parts)

    def slots(self) -> Iterator[Slot]:
        """Yields the literals in the order in which :meth:`source` writes them."""
        for argument in self.arguments:
            if isinstance(argument, Call):
                yield from argument.slots()
            else:
                yield argument

    def heads(self) -> list[str]:
        """Lists the classes of the modules in the call, with sequences unrolled."""
        if self.head not in _LISTS:
            return [self.head]
        return [head for a in self.arguments if isinstance(a, Call) for head in a.heads()]

    def source(self, texts: Iterator[str]) -> str:
        """Writes the call with a text for each slot, without arguments that equal their default."""
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
    """Makes the call that constructs the module; torch keeps its arguments as attributes."""
    if isinstance(module, nn.Parameter):
        value = float(f"{module.flatten()[0].item():.6g}")  # a double that was stored as a float
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
                continue  # our norms imply it, and not every version of torch accepts it
            value = value is not None
        required = parameter.default is parameter.empty
        slots.append(Slot(name, _source(value), None if required else _source(parameter.default)))
    return Call(f"nn.{cls.__name__}" if is_torchs(cls) else cls.__name__, tuple(slots))


_NOT_KEPT = ("device", "dtype")
_AFFINE = {"affine", "elementwise_affine"}


def is_torchs(cls: type[nn.Module]) -> bool:
    """Tells if the class belongs to torch, so that the exported file need not define it."""
    return getattr(nn, cls.__name__, None) is cls


def _source(value: Any) -> str:
    if isinstance(value, tuple) and len(set(value)) == 1:
        value = value[0]  # torch's short form for the same value on each axis
    return f'"{value}"' if isinstance(value, str) else repr(value)
