"""The primitive operations; each holds its attributes, shape rule, cost rule and torch module."""

from dataclasses import MISSING, fields
from typing import Any

from nas.architecture.operations.base import ArchitectureError, Operation, Reach, Shape, infer
from nas.architecture.operations.boxes import Boxes
from nas.architecture.operations.layers import (
    Activation,
    Attention,
    Dropout,
    DropPath,
    Linear,
    Scale,
)
from nas.architecture.operations.normalization import (
    BatchNorm,
    GroupNorm,
    L2Norm,
    LayerNorm,
    LocalResponseNorm,
)
from nas.architecture.operations.shaping import (
    AdaptiveAvgPool,
    ChannelShuffle,
    Flatten,
    Mean,
    Pad,
    Permute,
    Resize,
    Unflatten,
    Upsample,
)
from nas.architecture.operations.windows import (
    AvgPool,
    Conv,
    ConvTranspose,
    MaxPool,
    MaxUnpool,
)
from nas.architecture.operations.wiring import (
    Add,
    Concat,
    Identity,
    LogMeanSoftmax,
    Multiply,
    Rescale,
    Slice,
    Zero,
)
from nas.registry import unknown

__all__ = [
    "OPERATIONS",
    "Activation",
    "AdaptiveAvgPool",
    "Add",
    "ArchitectureError",
    "Attention",
    "AvgPool",
    "BatchNorm",
    "Boxes",
    "ChannelShuffle",
    "Concat",
    "Conv",
    "ConvTranspose",
    "DropPath",
    "Dropout",
    "Flatten",
    "GroupNorm",
    "Identity",
    "L2Norm",
    "LayerNorm",
    "Linear",
    "LocalResponseNorm",
    "LogMeanSoftmax",
    "MaxPool",
    "MaxUnpool",
    "Mean",
    "Multiply",
    "Operation",
    "Pad",
    "Permute",
    "Reach",
    "Rescale",
    "Resize",
    "Scale",
    "Shape",
    "Slice",
    "Unflatten",
    "Upsample",
    "Zero",
    "from_attributes",
    "infer",
]

OPERATIONS: dict[str, type[Operation]] = {
    operation.kind: operation
    for operation in (
        Conv, ConvTranspose, MaxPool, AvgPool, AdaptiveAvgPool, Mean, Pad, Upsample, Resize,
        Linear, Attention, Scale, BatchNorm, LayerNorm, GroupNorm, LocalResponseNorm, L2Norm,
        MaxUnpool, Activation, Dropout, DropPath,
        Identity, Zero, Add, LogMeanSoftmax, Multiply, Rescale, Concat, Slice, Flatten, Unflatten,
        Permute, ChannelShuffle, Boxes,
    )
}  # fmt: skip
"""All operations by kind."""


def from_attributes(kind: str, attributes: dict[str, Any]) -> Operation:
    """Return the operation that JSON describes.

    Raises:
        ArchitectureError: for an unknown kind or attribute, naming what is allowed.
    """
    if kind not in OPERATIONS:
        raise ArchitectureError(unknown("operation", kind, OPERATIONS))
    cls = OPERATIONS[kind]
    allowed = [field.name for field in fields(cls)]
    for name in attributes:
        if name not in allowed:
            raise ArchitectureError(f"{kind}: {unknown('attribute', name, allowed)}")
    for field in fields(cls):
        if field.default is MISSING and field.name not in attributes:
            raise ArchitectureError(f"{kind}: attribute {field.name!r} is missing")
    return cls(**attributes)
