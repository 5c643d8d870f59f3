"""Defines the operations that normalise."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar, Literal

from nas.architecture.cost import Cost
from nas.architecture.operations.base import (
    ArchitectureError,
    Operation,
    Reach,
    Shape,
    all_of,
    assign,
    flag,
    number,
    one_of,
    per_rank,
    whole,
)

if TYPE_CHECKING:
    from torch import fx, nn


@dataclass(frozen=True)
class BatchNorm(Operation):
    """Normalises each channel over the batch (Ioffe & Szegedy 2015, Algorithms 1 and 2).

    ``momentum`` is torch's: the weight of the new batch in the running statistics.
    """

    kind: ClassVar[str] = "batch_norm"
    channelwise: ClassVar[bool] = True
    statistics: ClassVar[bool] = True
    epsilon: float = 1e-5
    momentum: float = 0.1
    affine: bool = True

    def __post_init__(self) -> None:
        assign(
            self,
            epsilon=number(self.kind, "epsilon", self.epsilon, 0.0),
            momentum=number(self.kind, "momentum", self.momentum, 0.0, 1.0),
        )
        flag(self.kind, "affine", self.affine)

    def shape(self, *inputs: Shape) -> Shape:
        if len(inputs[0]) > 4:
            raise ArchitectureError(f"batch_norm takes at most three spatial axes, got {inputs[0]}")
        return inputs[0]

    def cost(self, inputs: tuple[Shape, ...], output: Shape) -> Cost:
        return Cost(
            params=2 * output[0] * self.affine, flops=prod(output) * (2 if self.affine else 1)
        )

    def module(self, inputs: tuple[Shape, ...]) -> nn.Module:
        from torch import nn

        norms = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
        norm = per_rank(norms, max(len(inputs[0]) - 1, 1))
        return norm(inputs[0][0], self.epsilon, self.momentum, self.affine)


@dataclass(frozen=True)
class LocalResponseNorm(Operation):
    """Normalises over neighbouring channels (Krizhevsky et al. 2012, section 3.3).

    It is computed as in torch: ``alpha`` is divided by ``size``, unlike in the paper's formula.
    """

    kind: ClassVar[str] = "local_response_norm"
    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0

    def __post_init__(self) -> None:
        whole(self.kind, "size", self.size)
        for name in ("alpha", "beta", "k"):
            assign(self, **{name: number(self.kind, name, getattr(self, name), 0.0)})

    def shape(self, *inputs: Shape) -> Shape:
        if len(inputs[0]) < 2:
            raise ArchitectureError(f"local_response_norm needs spatial axes, got {inputs[0]}")
        return inputs[0]

    def reach(self, source: Shape, output: Shape) -> tuple[Reach | None, ...]:
        return (all_of(0), *(Reach(axis) for axis in range(1, len(output))))

    def module(self, inputs: tuple[Shape, ...]) -> nn.Module:
        from torch import nn

        return nn.LocalResponseNorm(self.size, self.alpha, self.beta, self.k)

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        (x,) = inputs
        if len(x.meta["shape"]) > 3:  # torch views two axes as one, so they must be contiguous
            x = graph.call_method("contiguous", (x,))
        return graph.call_module(target, (x,))


@dataclass(frozen=True)
class GroupNorm(Operation):
    """Normalises over groups of channels and all positions (Wu & He 2018, eq. 7)."""

    kind: ClassVar[str] = "group_norm"
    groups: int
    epsilon: float = 1e-5
    affine: bool = True

    def __post_init__(self) -> None:
        whole(self.kind, "groups", self.groups)
        assign(self, epsilon=number(self.kind, "epsilon", self.epsilon, 0.0))
        flag(self.kind, "affine", self.affine)

    def shape(self, *inputs: Shape) -> Shape:
        if inputs[0][0] % self.groups:
            raise ArchitectureError(
                f"group_norm: groups must divide the channels, got {self.groups} groups for "
                f"{inputs[0][0]} channels"
            )
        if prod(inputs[0]) == self.groups:
            raise ArchitectureError(
                f"group_norm: each of {self.groups} groups has a single value of {inputs[0]}, "
                "which torch cannot normalise"
            )
        return inputs[0]

    def cost(self, inputs: tuple[Shape, ...], output: Shape) -> Cost:
        return _statistics_cost(output[0], output, self.affine)

    def reach(self, source: Shape, output: Shape) -> tuple[Reach | None, ...]:
        return tuple(all_of(axis) for axis in range(len(output)))

    def module(self, inputs: tuple[Shape, ...]) -> nn.Module:
        from torch import nn

        return nn.GroupNorm(self.groups, inputs[0][0], self.epsilon, self.affine)


NormAxis = Literal["channels", "last"]


@dataclass(frozen=True)
class LayerNorm(Operation):
    """Normalises each position over its features (Ba et al. 2016, arXiv:1607.06450).

    The features are on the ``axis`` "channels" (the first) or "last" (where attention and linear
    layers have them). There is one scale and one shift per feature.
    """

    kind: ClassVar[str] = "layer_norm"
    axis: NormAxis = "channels"
    epsilon: float = 1e-5
    affine: bool = True

    def __post_init__(self) -> None:
        one_of(self.kind, "axis", self.axis, NormAxis)
        assign(self, epsilon=number(self.kind, "epsilon", self.epsilon, 0.0))
        flag(self.kind, "affine", self.affine)

    def shape(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def cost(self, inputs: tuple[Shape, ...], output: Shape) -> Cost:
        return _statistics_cost(self._features(output), output, self.affine)

    def reach(self, source: Shape, output: Shape) -> tuple[Reach | None, ...]:
        normed = 0 if self.axis == "channels" else len(output) - 1
        return tuple(all_of(i) if i == normed else Reach(i) for i in range(len(output)))

    def module(self, inputs: tuple[Shape, ...]) -> nn.Module:
        from torch import nn

        return nn.LayerNorm(self._features(inputs[0]), self.epsilon, self.affine)

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        import torch

        last = len(inputs[0].meta["shape"])
        if self.axis == "last" or last == 1:
            return graph.call_module(target, inputs)
        x = graph.call_function(torch.movedim, (inputs[0], 1, last))
        return graph.call_function(torch.movedim, (graph.call_module(target, (x,)), last, 1))

    def _features(self, shape: Shape) -> int:
        return shape[0] if self.axis == "channels" else shape[-1]


def _statistics_cost(features: int, output: Shape, affine: bool) -> Cost:
    """Return fvcore's count for norms that compute statistics: 5 per element, 4 without affine."""
    return Cost(params=2 * features * affine, flops=prod(output) * (5 if affine else 4))


@dataclass(frozen=True)
class L2Norm(Operation):
    """Divides each position by the Euclidean length of its channels, at least ``epsilon``."""

    kind: ClassVar[str] = "l2_norm"
    channelwise: ClassVar[bool] = True
    epsilon: float = 1e-12

    def __post_init__(self) -> None:
        assign(self, epsilon=number(self.kind, "epsilon", self.epsilon, 0.0))

    def shape(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def reach(self, source: Shape, output: Shape) -> tuple[Reach | None, ...]:
        return (all_of(0), *(Reach(axis) for axis in range(1, len(output))))

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        from torch.nn import functional

        return graph.call_function(
            functional.normalize, (inputs[0],), {"dim": 1, "eps": self.epsilon}
        )
