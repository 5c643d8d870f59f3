"""What an operation is, and checks for its attributes.

An operation is a frozen dataclass; its fields are the attributes that JSON shows. A shape is a
tuple without the batch: ``(channels, *spatial)`` or ``(features,)``. The number of spatial axes is
read from it, so the same operation serves sequences, images and volumes. Attributes per axis
(kernel, stride, padding, dilation) hold one int per axis.

Cost rules are those of fvcore in eval mode at batch 1; where it counts nothing, ``macs`` follow
the definition (see :class:`nas.architecture.cost.Cost`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import lru_cache
from math import inf, isfinite
from sys import float_info
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeVar, get_args

from nas.architecture.cost import FREE, Cost
from nas.errors import InputError
from nas.registry import unknown

if TYPE_CHECKING:
    from torch import fx, nn

Shape = tuple[int, ...]
Axes = tuple[int, ...]
Channels = Literal["kept", "mixed", "ordered"]

LARGEST = 2**31 - 1
"""The largest size of an axis, and the largest whole number in an attribute."""

T = TypeVar("T")


class ArchitectureError(InputError):
    """An architecture is not valid; the message names the node and says what is wrong with it."""


class Reach(NamedTuple):
    """Says which positions of an input the positions of one output axis depend on.

    Position ``i`` sees, on the input's ``axis``, the positions from ``i * stride + first`` to
    ``i * stride + last``. If it sees them all, these are minus and plus infinity.
    """

    axis: int
    stride: Fraction = Fraction(1)
    first: Fraction | float = Fraction(0)
    last: Fraction | float = Fraction(0)


def all_of(axis: int) -> Reach:
    """Return the reach of positions that see the whole axis, and keep their place on it."""
    return Reach(axis, Fraction(1), -inf, inf)


@dataclass(frozen=True)
class Operation(ABC):
    """A primitive operation.

    Subclasses say what it does to shapes, what it costs and how torch runs it.

    Class attributes:
        kind: the operation's name in JSON.
        arity: the number of inputs; None means one or more.
        commutative: whether the order of the inputs does not matter.
        view: whether the output in eval mode shares the input's memory and is no new tensor.
        statistics: whether it keeps tensors that are no parameters, as batch norm.
        channelwise: whether channels of its input in another order only put those of its output
            in that order, as in an activation.
    """

    kind: ClassVar[str]
    arity: ClassVar[int | None] = 1
    commutative: ClassVar[bool] = False
    view: ClassVar[bool] = False
    statistics: ClassVar[bool] = False
    channelwise: ClassVar[bool] = False

    @abstractmethod
    def shape(self, *inputs: Shape) -> Shape:
        """Return the output's shape; raise :class:`ArchitectureError` if the inputs do not fit."""

    def cost(self, inputs: tuple[Shape, ...], output: Shape) -> Cost:
        """Return what it costs at batch 1; by default it is free."""
        return FREE

    def reach(self, source: Shape, output: Shape) -> tuple[Reach | None, ...]:
        """Return what each output axis sees of one input, whose shape is ``source``.

        It is None for an axis without positions, such as the channels of a convolution. An axis of
        the input that no item names is seen as a whole. By default, each element sees the element
        in its place. If no evenly moving window is exact, it is the smallest one that holds all.
        """
        return tuple(Reach(axis) for axis in range(len(output)))

    def channels_as(self, inputs: tuple[Shape, ...]) -> Channels:
        """Say what the order of channels means to it.

        "kept": its output has the order of its input. "mixed": no order matters, as every output
        channel has a weight of its own for every input channel, as in a dense convolution.
        "ordered": anything else.
        """
        return "kept" if self.channelwise else "ordered"

    def module(self, inputs: tuple[Shape, ...]) -> nn.Module | nn.Parameter | None:
        """Return what stands at the node's path in the network.

        It is a module, which :meth:`emit` calls, or a bare parameter, which it reads, or None if
        the operation only calls functions.
        """
        return None

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        """Appends the call to an fx graph; ``target`` is the module's dotted path."""
        return graph.call_module(target, inputs)

    @property
    def label(self) -> str:
        """A short word for the operation in names and drawings."""
        return self.kind

    def attributes(self) -> dict[str, Any]:
        """Return the attributes by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@lru_cache(maxsize=1 << 16)
def infer(operation: Operation, inputs: tuple[Shape, ...]) -> tuple[Shape, Cost]:
    """Return output shape and cost. They are cached, because cells repeat."""
    if operation.arity is None:
        if not inputs:
            raise ArchitectureError(f"{operation.kind} needs at least one input")
    elif len(inputs) != operation.arity:
        raise ArchitectureError(
            f"{operation.kind} takes {operation.arity} input(s), got {len(inputs)}"
        )
    output = operation.shape(*inputs)
    if min(output) < 1:
        raise ArchitectureError(f"{operation} makes {output}, an empty shape, of {inputs}")
    if max(output) > LARGEST:
        raise ArchitectureError(
            f"{operation} makes {output} of {inputs}; an axis has at most {LARGEST} positions"
        )
    return output, operation.cost(inputs, output)


def whole(kind: str, name: str, value: Any, minimum: int | None = 1) -> int:
    """Return ``value`` if it is a whole number from ``minimum`` to :data:`LARGEST`."""
    low = -LARGEST if minimum is None else minimum
    if type(value) is not int or not low <= value <= LARGEST:
        limit = "" if minimum is None else f" >= {minimum}"
        if type(value) is int and abs(value) > LARGEST:
            limit += f" and at most {LARGEST}"
        raise ArchitectureError(f"{kind}: {name} must be a whole number{limit}, got {value!r}")
    return value


def flag(kind: str, name: str, value: Any) -> None:
    """Raise unless ``value`` is true or false."""
    if type(value) is not bool:
        raise ArchitectureError(f"{kind}: {name} must be true or false, got {value!r}")


def number(kind: str, name: str, value: Any, low: float, high: float = float("inf")) -> float:
    """Return ``value`` as a float if it is a finite number from ``low`` to ``high``."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    if not plain or not low <= value <= min(high, float_info.max):
        limit = f" and <= {high}" if isfinite(high) else ""
        raise ArchitectureError(f"{kind}: {name} must be a number >= {low}{limit}, got {value!r}")
    return float(value)


def one_of(kind: str, name: str, value: Any, allowed: Any) -> None:
    """Raise unless ``value`` is one of the names that a ``Literal`` type lists."""
    if value not in get_args(allowed):
        raise ArchitectureError(f"{kind}: {unknown(name, value, list(get_args(allowed)))}")


def axes(kind: str, name: str, value: Any, rank: int, minimum: int | None = 1) -> Axes:
    """Return one whole number per axis; a single int stands for all axes."""
    values = (value,) * rank if type(value) is int else value
    if not isinstance(values, tuple | list) or len(values) != rank:
        raise ArchitectureError(f"{kind}: {name} must be {rank} whole numbers, got {value!r}")
    return tuple(whole(kind, name, v, minimum) for v in values)


def rank_of(kind: str, name: str, value: Any) -> int:
    """Return the number of axes, one to three, that an attribute has a number for."""
    rank = len(value) if isinstance(value, tuple | list) else 1
    if not 1 <= rank <= 3:
        raise ArchitectureError(f"{kind}: {name} must have one to three axes, got {value!r}")
    return rank


def assign(operation: Operation, **values: Any) -> None:
    """Set attributes to their checked form, in ``__post_init__`` of a frozen dataclass only."""
    for name, value in values.items():
        object.__setattr__(operation, name, value)


def spatial_axes(kind: str, shape: Shape, rank: int) -> Shape:
    """Return the spatial part of a shape, which must have ``rank`` spatial axes."""
    if len(shape) != rank + 1:
        raise ArchitectureError(
            f"{kind} over {rank} axes needs a shape of {rank + 1} numbers (channels first), "
            f"got {shape}"
        )
    return shape[1:]


def per_rank(options: tuple[T, T, T], rank: int) -> T:
    """Return the one of three options (1-d, 2-d, 3-d) for a rank."""
    return options[rank - 1]


def listed(shapes: tuple[Shape, ...]) -> str:
    """Return shapes as text for a message."""
    return ", ".join(map(str, shapes))
