"""Operations on features: linear layer, scale, attention, activation, dropout."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar, Literal

from nas.architecture.cost import Cost
from nas.architecture.operations.base import (
    ArchitectureError,
    Channels,
    Operation,
    Reach,
    Shape,
    all_of,
    assign,
    flag,
    listed,
    number,
    one_of,
    whole,
)

if TYPE_CHECKING:
    from torch import fx, nn


@dataclass(frozen=True)
class Linear(Operation):
    """Applies a fully connected layer over the last axis."""

    kind: ClassVar[str] = "linear"
    features: int
    bias: bool = True

    def __post_init__(self) -> None:
        whole(self.kind, "features", self.features)
        flag(self.kind, "bias", self.bias)

    def shape(self, *inputs: Shape) -> Shape:
        return (*inputs[0][:-1], self.features)

    def cost(self, inputs: tuple[Shape, ...], output: Shape) -> Cost:
        macs = prod(inputs[0]) * self.features
        params = inputs[0][-1] * self.features + self.features * self.bias
        return Cost(params, macs, macs, prod(output))

    def channels_as(self, inputs: tuple[Shape, ...]) -> Channels:
        return "mixed" if len(inputs[0]) == 1 else "ordered"

    def reach(self, source: Shape, output: Shape) -> tuple[Reach | None, ...]:
        return (*(Reach(axis) for axis in range(len(output) - 1)), None)

    def module(self, inputs: tuple[Shape, ...]) -> nn.Module:
        from torch import nn

        return nn.Linear(inputs[0][-1], self.features, self.bias)


@dataclass(frozen=True)
class Scale(Operation):
    """Multiplies each channel by a learnt factor.

    This is layer scale (Touvron et al. 2021, arXiv:2103.17239, eq. 4). Its one parameter,
    ``(C, 1, ...)``, is at the node's own path and begins as ``initial``.
    """

    kind: ClassVar[str] = "scale"
    channelwise: ClassVar[bool] = True
    initial: float = 1e-6

    def __post_init__(self) -> None:
        assign(self, initial=number(self.kind, "initial", self.initial, 0.0))

    def shape(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def cost(self, inputs: tuple[Shape, ...], output: Shape) -> Cost:
        return Cost(params=output[0])

    def module(self, inputs: tuple[Shape, ...]) -> nn.Parameter:
        import torch

        channels, *spatial = inputs[0]
        return torch.nn.Parameter(torch.full((channels, *(1 for _ in spatial)), self.initial))

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        import torch

        return graph.call_function(torch.mul, (graph.get_attr(target), inputs[0]))


@dataclass(frozen=True)
class Attention(Operation):
    """Computes multi-head scaled dot-product attention of queries, keys and values.

    The inputs come in this order (Vaswani et al. 2017, section 3.2). The projections are not part
    of it; they are linear layers of their own. Features are on the last axis, and all axes before
    it are positions: ``(length, features)``, or ``(H, W, features)`` of a permuted map. Each head
    takes its part of the features.

    Each query is multiplied with each key, and each resulting weight with a value: over all heads
    these are queries x keys x (query features + value features) multiply-accumulates. fvcore does
    not count torch's fused operator, so ``flops`` and ``activations`` do not include them.
    """

    kind: ClassVar[str] = "attention"
    arity: ClassVar[int | None] = 3
    heads: int

    def __post_init__(self) -> None:
        whole(self.kind, "heads", self.heads)

    def shape(self, *inputs: Shape) -> Shape:
        query, key, value = inputs
        fits = len(query) > 1 and query[-1] == key[-1] and key[:-1] == value[:-1] != ()
        if not fits:
            raise ArchitectureError(
                "attention needs (positions, features), as many features in queries as in keys, "
                f"and as many positions in keys as in values, got {listed(inputs)}"
            )
        if query[-1] % self.heads or value[-1] % self.heads:
            raise ArchitectureError(
                f"attention: heads must divide the features, got {self.heads} heads for "
                f"{listed(inputs)}"
            )
        return (*query[:-1], value[-1])

    def cost(self, inputs: tuple[Shape, ...], output: Shape) -> Cost:
        query, key, value = inputs
        return Cost(macs=prod(query[:-1]) * prod(key[:-1]) * (query[-1] + value[-1]))

    def reach(self, source: Shape, output: Shape) -> tuple[Reach | None, ...]:
        return (*(all_of(axis) for axis in range(len(output) - 1)), None)

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        from torch.nn import functional

        def split(x: fx.Node) -> fx.Node:  # to (batch, heads, positions, features of a head)
            if len(x.meta["shape"]) > 2:
                x = graph.call_method("flatten", (x, 1, -2))
            x = graph.call_method("unflatten", (x, -1, (self.heads, -1)))
            return graph.call_method("transpose", (x, 1, 2))

        x = graph.call_function(
            functional.scaled_dot_product_attention, tuple(split(x) for x in inputs)
        )
        x = graph.call_method("transpose", (x, 1, 2))
        x = graph.call_method("flatten", (x, 2))
        positions = inputs[0].meta["shape"][:-1]
        return graph.call_method("unflatten", (x, 1, positions)) if len(positions) > 1 else x


Function = Literal["relu", "relu6", "sigmoid", "tanh", "hard_sigmoid", "silu", "hard_swish", "gelu"]


@dataclass(frozen=True)
class Activation(Operation):
    """Applies an elementwise nonlinearity, always as a module, so that hooks can find it."""

    kind: ClassVar[str] = "activation"
    channelwise: ClassVar[bool] = True
    function: Function

    def __post_init__(self) -> None:
        one_of(self.kind, "function", self.function, Function)

    @property
    def label(self) -> str:
        """The function's name."""
        return self.function

    def shape(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def module(self, inputs: tuple[Shape, ...]) -> nn.Module:
        from torch import nn

        modules: dict[str, type[nn.Module]] = {
            "relu": nn.ReLU,
            "relu6": nn.ReLU6,
            "sigmoid": nn.Sigmoid,
            "tanh": nn.Tanh,
            "hard_sigmoid": nn.Hardsigmoid,
            "silu": nn.SiLU,
            "hard_swish": nn.Hardswish,
            "gelu": nn.GELU,
        }
        return modules[self.function]()


@dataclass(frozen=True)
class Dropout(Operation):
    """Zeroes each element with ``probability`` in training (Srivastava et al. 2014)."""

    kind: ClassVar[str] = "dropout"
    channelwise: ClassVar[bool] = True
    view: ClassVar[bool] = True
    probability: float = 0.5

    def __post_init__(self) -> None:
        assign(self, probability=number(self.kind, "probability", self.probability, 0.0, 1.0))

    def shape(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def module(self, inputs: tuple[Shape, ...]) -> nn.Module:
        from torch import nn

        return nn.Dropout(self.probability)


@dataclass(frozen=True)
class DropPath(Operation):
    """Zeroes whole samples with ``probability`` in training, and scales up those that it keeps.

    This is stochastic depth (Huang et al. 2016, arXiv:1603.09382, eq. 2; here the scaling is in
    training, not in eval). It belongs at the end of a residual branch.
    """

    kind: ClassVar[str] = "drop_path"
    channelwise: ClassVar[bool] = True
    view: ClassVar[bool] = True
    probability: float = 0.5

    def __post_init__(self) -> None:
        assign(self, probability=number(self.kind, "probability", self.probability, 0.0, 1.0))

    def shape(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def module(self, inputs: tuple[Shape, ...]) -> nn.Module:
        from nas.architecture import modules

        return modules.DropPath(self.probability)
