"""The stages of a staged space: what the file says about them, and what is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt

from nas.architecture.builder import Handle
from nas.blocks import Block
from nas.configuration import Config
from nas.spaces.choices import Choose
from nas.spaces.families.family import Count, distinct


def _listed(given: Any) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, list) else (given,)


_ONE_OR_SOME = (BeforeValidator(_listed), Field(min_length=1), AfterValidator(distinct))
Sizes = Annotated[tuple[PositiveInt, ...], *_ONE_OR_SOME]
Counts = Annotated[tuple[Count, ...], *_ONE_OR_SOME]
Names = Annotated[tuple[str, ...], *_ONE_OR_SOME]
Values = Annotated[tuple[str | int | float | None, ...], *_ONE_OR_SOME]


class Operation(Config):
    """One entry of ``operations``: a block, and those of its options that are fixed."""

    layer: str
    """The block: see :meth:`nas.spaces.families.family.Family.block`."""
    settings: dict[str, str | bool | int | float | None] = Field(default_factory=dict)
    """Options of the block that are fixed."""


@dataclass(frozen=True)
class Layer:
    """The layer that an operation of the space builds.

    Attributes:
        block: the block, with the settings that the operation fixes.
        open: the block's other settings.
        left_out: whether it leaves the layer out.
    """

    block: Callable[..., Handle]
    open: frozenset[str]
    left_out: bool


class Stage(Config):
    """Describes the layers of a stage. A value is fixed; a list of values is a choice.

    Each operation takes those of the ``settings`` that its block has and it does not fix.
    """

    operation: Names = ()
    """The labels of the operations; several are a choice."""
    width: Sizes = ()
    """The channels of its layers, before the space's ``width_multiplier``."""
    depth: Counts = ()
    """The number of layers."""
    settings: dict[str, Values] = Field(default_factory=dict)
    """Values of the blocks' other options; several are a choice."""

    def filled(self, default: Stage) -> Stage:
        """Return the stage with the keys that it leaves out taken from ``default``."""
        return Stage.model_construct(
            operation=self.operation or default.operation,
            width=self.width or default.width,
            depth=self.depth or default.depth,
            settings={**default.settings, **self.settings},
        )


@dataclass(frozen=True)
class Plan:
    """The choices of a stage: what is asked about its width, its depth and its layers."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    stride: int
    keeping: tuple[str, ...]
    """The operations that are offered for a layer that keeps the shape."""
    changing: tuple[str, ...]
    """Those for a layer that changes the shape, and so cannot be left out."""
    blocks: Mapping[str, Callable[..., Handle]]
    """The block of each operation, with the settings that it fixes."""
    open: Mapping[str, tuple[tuple[str, tuple[Any, ...]], ...]]
    """The other settings of each operation, and their options."""

    @classmethod
    def of(cls, stage: Stage, stride: int, layers: Mapping[str, Layer]) -> Plan:
        """Return the plan of a stage whose defaults are filled in."""
        chosen = {label: layers[label] for label in stage.operation}
        return cls(
            stage.width,
            stage.depth,
            stride,
            keeping=stage.operation,
            changing=tuple(label for label, layer in chosen.items() if not layer.left_out),
            blocks={label: layer.block for label, layer in chosen.items()},
            open={
                label: tuple((n, given) for n, given in stage.settings.items() if n in layer.open)
                for label, layer in chosen.items()
            },
        )

    def ask(self, choose: Choose, where: str, kept: bool) -> Block:
        """Ask for a layer; ``kept`` says whether it keeps the shape."""
        label = ask(choose, f"{where}.operation", self.keeping if kept else self.changing)
        settings = {n: ask(choose, f"{where}.{n}", options) for n, options in self.open[label]}
        return partial(self.blocks[label], **settings)

    def ways(self, kept: bool) -> int:
        """Return the number of answers to :meth:`ask`."""
        labels = self.keeping if kept else self.changing
        return sum(prod(len(options) for _, options in self.open[label]) for label in labels)


def ask(choose: Choose, name: str, options: tuple[Any, ...]) -> Any:
    """Ask for one of ``options``, unless there is only one."""
    return choose(name, options) if len(options) > 1 else options[0]
