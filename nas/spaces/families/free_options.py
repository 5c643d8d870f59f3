"""The sections of a free-graph space file: what it offers for stem, stages, cells and head."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, PositiveInt

from nas.configuration import Config
from nas.spaces.families.family import Count, distinct
from nas.spaces.families.free_network import Join, Pooling, StemPadding

LISTED = (Field(min_length=1), AfterValidator(distinct))
Sizes = Annotated[tuple[PositiveInt, ...], *LISTED]
Counts = Annotated[tuple[Count, ...], *LISTED]
CountsFromZero = Annotated[tuple[Annotated[int, Field(ge=0, le=1000)], ...], *LISTED]
Joins = Annotated[tuple[Join, ...], *LISTED]


class CellOperation(Config):
    """An entry of ``operations``: a block with its options."""

    block: str
    """The block: a name of the list below, or ``file.py:my_block``."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the block that are fixed."""


class ReductionOptions(Config):
    """An entry of ``reductions``: one way in which a stage can begin.

    Without a ``block``, the first cell of the stage has the stride. ``widens`` tells if the block
    changes the number of channels to the stage's width; otherwise the cells do. ``dropout`` is the
    probability of dropout after the block.
    """

    block: str | None = None
    """The block; null gives the stride to the first cell of the stage."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the block that are fixed."""
    stride: PositiveInt = 2
    """The stride of the reduction."""
    widens: bool = True
    """Whether the block changes the channels to the stage's width; otherwise the cells do."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """The probability of dropout after the block."""


class StemOptions(Config):
    """The options of the first convolution."""

    kernel: Sizes = (3,)
    """The kernel of the first convolution."""
    stride: Sizes = (1,)
    """The stride of the first convolution."""
    padding: Annotated[tuple[StemPadding, ...], *LISTED] = ("same",)
    """The padding: ``same``, ``valid`` (none), or ``same_below_32``, which pads small images."""


class HeadOptions(Config):
    """The options of the head: see :class:`nas.spaces.families.free_network.Head`."""

    pooling: Annotated[tuple[Pooling, ...], *LISTED] = ("mean",)
    """How the last map becomes a vector."""
    channels: Annotated[tuple[PositiveInt | None, ...], *LISTED] = (None,)
    """Channels of a 1x1 convolution before the pooling; null for none."""
    dense: CountsFromZero = (0,)
    """The number of hidden layers; heads that end with a convolution have none."""
    dense_width: Sizes = (128,)
    """The features of each hidden layer."""
    dropout: Annotated[tuple[float, ...], *LISTED] = (0.0,)
    """The probability of dropout before the classifier."""
