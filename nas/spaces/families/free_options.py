"""The sections of a free-graph space file: what it offers for stem, stages, cells and head."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt

from nas.configuration import Config
from nas.spaces.families.family import distinct
from nas.spaces.families.free_network import Join, Pooling, StemPadding

LISTED = (Field(min_length=1), AfterValidator(distinct))
Counts = Annotated[tuple[PositiveInt, ...], *LISTED]
Joins = Annotated[tuple[Join, ...], *LISTED]


class CellOperation(Config):
    """An entry of ``operations``: a block with its options."""

    block: str
    options: dict[str, Any] = Field(default_factory=dict)


class ReductionOptions(Config):
    """An entry of ``reductions``: one way in which a stage can begin.

    Without a ``block``, the first cell of the stage has the stride. ``widens`` tells if the block
    changes the number of channels to the stage's width; otherwise the cells do. ``dropout`` is the
    probability of dropout after the block.
    """

    block: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    stride: PositiveInt = 2
    widens: bool = True
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class StemOptions(Config):
    """The options of the first convolution."""

    kernel: Counts = (3,)
    stride: Counts = (1,)
    padding: Annotated[tuple[StemPadding, ...], *LISTED] = ("same",)


class HeadOptions(Config):
    """The options of the head: see :class:`nas.spaces.families.free_network.Head`."""

    pooling: Annotated[tuple[Pooling, ...], *LISTED] = ("mean",)
    channels: Annotated[tuple[PositiveInt | None, ...], *LISTED] = (None,)
    dense: Annotated[tuple[NonNegativeInt, ...], *LISTED] = (0,)
    """The number of hidden layers; heads that end with a convolution have none."""
    dense_width: Counts = (128,)
    dropout: Annotated[tuple[float, ...], *LISTED] = (0.0,)
