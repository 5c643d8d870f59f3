"""Padding of windows: the words that name it, and the numbers that they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Literal

from nas.architecture.operations import ArchitectureError, Shape
from nas.architecture.operations.base import Axes, axes

PerAxis = int | Sequence[int]
"""One number for all spatial axes, or one per axis."""

Padding = Literal["valid", "same", "full"] | PerAxis
"""How a window treats the border.

"valid" pads nothing. "same" pads so that the output has ``ceil(size / stride)`` positions, by
TensorFlow's rule. "full" pads so that every window that touches the input counts. Numbers are
padded on both sides.
"""


class Window:
    """Holds kernel, stride and dilation with one number per axis; by default, stride is kernel."""

    def __init__(
        self, kind: str, shape: Shape, kernel: PerAxis, stride: PerAxis | None, dilation: PerAxis
    ) -> None:
        rank = len(shape) - 1
        if not 1 <= rank <= 3:
            raise ArchitectureError(f"{kind} needs one to three spatial axes, got {shape}")
        self.kind = kind
        self.kernel = axes(kind, "kernel", kernel, rank)
        self.stride = self.kernel if stride is None else axes(kind, "stride", stride, rank)
        self.dilation = axes(kind, "dilation", dilation, rank)

    def sides(self, name: str, padding: PerAxis) -> Axes:
        """Check padding that a user gave as numbers; return one number per axis."""
        return axes(self.kind, name, padding, len(self.kernel), minimum=0)

    def border(self, sizes: Shape, padding: str) -> list[tuple[int, int]]:
        """Return the padding ``(before, after)`` per axis for "valid", "same" or "full"."""
        amounts = []
        for size, k, s, d in zip(sizes, self.kernel, self.stride, self.dilation, strict=True):
            reach = d * (k - 1)
            if padding == "valid":
                amounts.append((0, 0))
            elif padding == "full":
                amounts.append((reach, reach))
            else:
                total = max((ceil(size / s) - 1) * s + reach + 1 - size, 0)
                amounts.append((total // 2, total - total // 2))
        return amounts
