"""The operation that turns a map into boxes."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from nas.architecture.operations.base import (
    ArchitectureError,
    Axes,
    Operation,
    Reach,
    Shape,
    assign,
    axes,
    number,
    one_of,
    spatial_axes,
)

if TYPE_CHECKING:
    from torch import fx

Coder = Literal["centres", "distances"]

_LARGEST = math.log(1000 / 16)
"""Sides are at most so many times as long as those of the anchor, as in torchvision."""

PRIOR = -math.log((1 - 0.01) / 0.01)
"""What is added to the score of each class, so that it begins near a probability of 0.01."""


@dataclass(frozen=True)
class Boxes(Operation):
    """Decodes the boxes of a map: ``(A * (4 + C), H, W)`` to ``(H * W * A, 4 + C)``.

    Each position has A anchors with the centre ``((x + 1/2) * stride, (y + 1/2) * stride)``. A box
    is x and y of its corners, in pixels of the input. Its C other values are logits of classes, to
    which a constant is added for a probability of 0.01 (Lin et al. 2017, arXiv:1708.02002, section
    4.1). fvcore counts nothing.

    Attributes:
        stride: the pixels from one row, and from one column, to the next.
        sizes: the width and height of each anchor, in pixels.
        coder: "centres" moves and stretches the anchor: Girshick et al. 2014 (arXiv:1311.2524,
            appendix C). "distances" has the distances of its sides from the centre, as multiples of
            the anchor's: Tian et al. 2019 (FCOS, arXiv:1904.01355, section 3.2).
    """

    kind: ClassVar[str] = "boxes"
    stride: Axes
    sizes: tuple[tuple[float, float], ...]
    coder: Coder = "centres"

    def __post_init__(self) -> None:
        sizes = self.sizes
        if (
            not isinstance(sizes, tuple | list)
            or not sizes
            or any(not isinstance(size, tuple | list) or len(size) != 2 for size in sizes)
        ):
            raise ArchitectureError(
                f"boxes: sizes must be a width and a height of each anchor, got {sizes!r}"
            )
        assign(
            self,
            stride=axes(self.kind, "stride", self.stride, 2),
            sizes=tuple(
                tuple(number(self.kind, "sizes", side, 1e-6) for side in size) for size in sizes
            ),
        )
        one_of(self.kind, "coder", self.coder, Coder)

    def shape(self, *inputs: Shape) -> Shape:
        height, width = spatial_axes(self.kind, inputs[0], 2)
        values, rest = divmod(inputs[0][0], len(self.sizes))
        if rest or values < 5:
            raise ArchitectureError(
                f"boxes: {len(self.sizes)} anchors need 5 or more channels each, got {inputs[0][0]}"
            )
        return height * width * len(self.sizes), values

    def reach(self, source: Shape, output: Shape) -> tuple[Reach | None, ...]:
        return None, None

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        import torch

        def call(function: Any, *values: Any, **options: Any) -> fx.Node:
            return graph.call_function(function, values, options)

        def channels(of: fx.Node, first: int, last: int | None) -> fx.Node:
            return call(operator.getitem, of, (slice(None), slice(first, last)))

        # Coordinates are too large for half precision.
        x = graph.call_method("float", inputs)
        count = x.args[0].meta["shape"][0] // len(self.sizes)  # type: ignore[union-attr]
        one = call(torch.ones_like, channels(x, 0, 1))
        centres = [  # from 1/2 on, x before y
            call(torch.mul, call(torch.add, call(torch.cumsum, one, axis), -0.5), step)
            for axis, step in ((3, self.stride[1]), (2, self.stride[0]))
        ]
        decoded = []
        for place, size in enumerate(self.sizes):
            start = place * count
            corners: list[list[fx.Node]] = [[], []]
            for axis in (0, 1):
                a = channels(x, start + axis, start + axis + 1)
                b = channels(x, start + axis + 2, start + axis + 3)
                half = size[axis] / 2
                if self.coder == "centres":
                    middle = call(torch.add, call(torch.mul, a, size[axis]), centres[axis])
                    limited = call(torch.clamp, b, max=_LARGEST)
                    before = after = call(torch.mul, call(torch.exp, limited), half)
                else:
                    middle = centres[axis]
                    before, after = (
                        call(torch.mul, call(torch.exp, call(torch.clamp, v, max=_LARGEST)), half)
                        for v in (a, b)
                    )
                corners[0].append(call(torch.sub, middle, before))
                corners[1].append(call(torch.add, middle, after))
            scores = call(torch.add, channels(x, start + 4, start + count), PRIOR)
            decoded.append(call(torch.cat, [*corners[0], *corners[1], scores], 1))
        # [N, A, 4 + C, H, W] to [N, H, W, A, 4 + C].
        stacked = call(torch.permute, call(torch.stack, decoded, 1), (0, 3, 4, 1, 2))
        return graph.call_method("flatten", (stacked, 1, 3))
