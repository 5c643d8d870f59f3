"""Linear layers, normalisation, activation, dropout."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from nas.architecture.cost import Cost
from nas.architecture.operations.base import (
    ArchitectureError,
    Operation,
    Shape,
    assign,
    flag,
    number,
    per_rank,
    whole,
)
from nas.registry import unknown

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Linear(Operation):
    """A fully connected layer over the last axis."""

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

    def module(self, inputs: tuple[Shape, ...]) -> nn.Module:
        from torch import nn

        return nn.Linear(inputs[0][-1], self.features, self.bias)


@dataclass(frozen=True)
class BatchNorm(Operation):
    """Batch normalisation over channels (Ioffe & Szegedy 2015, Algorithms 1 and 2).

    ``momentum`` is torch's: the weight of the new batch in the running statistics.
    """

    kind: ClassVar[str] = "batch_norm"
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
    """Normalisation over neighbouring channels (Krizhevsky et al. 2012, section 3.3).

    As torch computes it: ``alpha`` is divided by ``size``, which the paper's formula does not do.
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

    def module(self, inputs: tuple[Shape, ...]) -> nn.Module:
        from torch import nn

        return nn.LocalResponseNorm(self.size, self.alpha, self.beta, self.k)


Function = Literal["relu", "relu6", "sigmoid", "tanh", "hard_sigmoid", "silu", "hard_swish", "gelu"]


@dataclass(frozen=True)
class Activation(Operation):
    """An elementwise nonlinearity. Always a module, so that hooks can find it."""

    kind: ClassVar[str] = "activation"
    function: Function

    def __post_init__(self) -> None:
        if self.function not in get_args(Function):
            message = unknown("function", self.function, list(get_args(Function)))
            raise ArchitectureError(f"activation: {message}")

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
    """Zero each element with ``probability`` in training (Srivastava et al. 2014)."""

    kind: ClassVar[str] = "dropout"
    probability: float = 0.5

    def __post_init__(self) -> None:
        assign(self, probability=number(self.kind, "probability", self.probability, 0.0, 1.0))

    def shape(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def module(self, inputs: tuple[Shape, ...]) -> nn.Module:
        from torch import nn

        return nn.Dropout(self.probability)
