"""A stage of a staged space: what the file says of it, and what is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt

from nas.architecture.builder import Handle
from nas.configuration import Config
from nas.spaces.choices import Choose
from nas.spaces.families.family import distinct
from nas.spaces.families.staged_layers import LAYERS, identity

Layer = Callable[..., Handle]
"""One of :data:`nas.spaces.families.staged_layers.LAYERS`."""


def _listed(given: Any) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, list) else (given,)


_ONE_OR_SOME = (BeforeValidator(_listed), Field(min_length=1), AfterValidator(distinct))
Counts = Annotated[tuple[PositiveInt, ...], *_ONE_OR_SOME]
Names = Annotated[tuple[str, ...], *_ONE_OR_SOME]
Values = Annotated[tuple[str | int | float, ...], *_ONE_OR_SOME]


class Operation(Config):
    """One entry of ``operations``: a layer, and settings that are fixed in it."""

    layer: str
    settings: dict[str, str | int | float] = Field(default_factory=dict)

    def open(self) -> set[str]:
        """The settings that the layer has and this does not fix."""
        return set(LAYERS[self.layer].__kwdefaults__ or ()) - set(self.settings)

    @property
    def is_layer(self) -> bool:
        """False of the one that leaves the layer out."""
        return LAYERS[self.layer] is not identity


class Stage(Config):
    """What a stage's layers are. A value is fixed, a list of values is a choice.

    Each operation takes those of the ``settings`` that its layer has and it does not fix.
    """

    operation: Names = ()
    width: Counts = ()
    """Channels of its layers, times the space's ``width_multiplier``."""
    depth: Counts = ()
    """Layers."""
    settings: dict[str, Values] = Field(default_factory=dict)

    def filled(self, default: Stage) -> Stage:
        """This, with what it does not say as ``default`` says."""
        return Stage.model_construct(
            operation=self.operation or default.operation,
            width=self.width or default.width,
            depth=self.depth or default.depth,
            settings={**default.settings, **self.settings},
        )


@dataclass(frozen=True)
class Plan:
    """What is asked of a stage's layers."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    stride: int
    keeping: tuple[str, ...]
    """Operations of a layer that keeps the shape."""
    changing: tuple[str, ...]
    """Those of one that does not: it cannot be left out."""
    fixed: Mapping[str, Layer]
    """The layer of each operation, with the settings that it fixes."""
    open: Mapping[str, tuple[tuple[str, tuple[Any, ...]], ...]]
    """The other settings of each operation, and their options."""

    @classmethod
    def of(cls, stage: Stage, stride: int, operations: Mapping[str, Operation]) -> Plan:
        """The plan of a stage whose defaults are filled in."""
        chosen = {label: operations[label] for label in stage.operation}
        return cls(
            stage.width,
            stage.depth,
            stride,
            keeping=stage.operation,
            changing=tuple(label for label, op in chosen.items() if op.is_layer),
            fixed={label: partial(LAYERS[op.layer], **op.settings) for label, op in chosen.items()},
            open={
                label: tuple((n, given) for n, given in stage.settings.items() if n in op.open())
                for label, op in chosen.items()
            },
        )

    def ask(self, choose: Choose, where: str, kept: bool) -> Layer:
        """What a layer is; ``kept``: it keeps the shape."""
        label = ask(choose, f"{where}.operation", self.keeping if kept else self.changing)
        settings = {n: ask(choose, f"{where}.{n}", options) for n, options in self.open[label]}
        return partial(self.fixed[label], **settings)

    def ways(self, kept: bool) -> int:
        """The number of answers to :meth:`ask`."""
        labels = self.keeping if kept else self.changing
        return sum(prod(len(options) for _, options in self.open[label]) for label in labels)


def ask(choose: Choose, name: str, options: tuple[Any, ...]) -> Any:
    """One of ``options``; not asked where there is but one."""
    return choose(name, options) if len(options) > 1 else options[0]
