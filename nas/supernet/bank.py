"""A bank of parameters that the members of any space share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from hashlib import blake2b
from math import prod
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from nas.architecture.graph import Architecture
from nas.architecture.node import Node
from nas.architecture.operations import Conv, ConvTranspose, Linear, Operation, Shape
from nas.memory import check_memory
from nas.training.initialization import initialize

Kernels = Literal["own", "centre", "transformed"]
Start = Callable[[Architecture], Mapping[str, Callable[[nn.Module], None]]]
"""Returns what prepares the initial weights of a member's layers, by their names."""

_SIZES: Mapping[type[Operation], frozenset[str]] = {
    Conv: frozenset({"channels"}),
    ConvTranspose: frozenset({"channels"}),
    Linear: frozenset({"features"}),
}
"""The attributes that set nothing but the number of outputs of an operation."""
_WINDOW = frozenset({"kernel", "padding"})
"""The attributes that set nothing but the size of a convolution's window."""


def check_room(params: int) -> None:
    """Raise :class:`nas.memory.TooLarge` if there is no memory for so many more shared weights."""
    needed = 2 * 4 * params
    check_memory(needed, "shared weights and their gradients", "limit the space with constraints")


class Slot(NamedTuple):
    """The place of an operation's tensors in a bank.

    Attributes:
        node: the name of its node.
        kind: the operation without its sizes, as text.
        elastic: whether convolutions with windows of other sizes share the weights.
    """

    node: str
    kind: str
    elastic: bool

    @classmethod
    def of(
        cls, node: str, operation: Operation, inputs: tuple[Shape, ...], kernels: Kernels = "own"
    ) -> Slot:
        """Return the place of an operation's tensors."""
        known, dropped = operation.attributes(), set(_SIZES.get(type(operation), ()))
        depthwise = False
        if isinstance(operation, Conv | ConvTranspose) and operation.groups > 1:
            depthwise = operation.groups == inputs[0][0]
            if depthwise:
                known["groups"] = "depthwise"
                if operation.channels != inputs[0][0]:  # the channels of an input lie together
                    known["multiplier"] = operation.channels // inputs[0][0]
            else:
                dropped.clear()
                known["inputs"] = inputs[0][0]
        if kernels != "own" and isinstance(operation, Conv):
            dropped |= _WINDOW
        kept = sorted((name, value) for name, value in known.items() if name not in dropped)
        return cls(node, f"{operation.kind} {kept}", kernels == "transformed" and depthwise)

    def path(self, tensor: str) -> str:
        """Return the name of a tensor in the state of a compiled network."""
        return f"{self.node}.{tensor}" if tensor else self.node

    def named(self, tensor: str) -> str:
        """Return the name of a tensor in the state of a bank; torch allows no dots in it."""
        return _named(self, tensor)


@lru_cache(maxsize=2**16)
def _named(slot: Slot, tensor: str) -> str:
    digest = blake2b(slot.kind.encode(), digest_size=4).hexdigest()
    return f"{slot.node}.{tensor}.{digest}".replace(".", "|")


class Used(NamedTuple):
    """An operation of a member: its module or parameter, its place, and its tensors' sizes by name.

    The tensors of the module are on no device, until a member puts its own in.
    """

    module: Any
    slot: Slot
    sizes: dict[str, Shape]

    @classmethod
    def of(
        cls, node: str, operation: Operation, inputs: tuple[Shape, ...], kernels: Kernels = "own"
    ) -> Used | None:
        """Return it for an operation; None if that has no module and no parameter."""
        with torch.device("meta"):
            made = operation.module(inputs)
        if made is None:
            return None
        sizes = {name: tuple(each.shape) for name, each in tensors(made).items()}
        return cls(made, Slot.of(node, operation, inputs, kernels), sizes)


class Bank(nn.Module):
    """Parameters that the members of a space share.

    A tensor is known by the name of its node, by its operation without the sizes, and by its own
    name, so two members share a tensor where they have the same operation under the same name.
    Of operations with unlike sizes, the smaller one takes the first channels of the larger one's
    weights, and of its batch norm ("elastic width": Cai et al. 2020, "Once-for-All",
    arXiv:1908.09791, section 3.3). The first channels of a grouped convolution belong to other
    groups, so those that are not depthwise share only if their sizes are equal.

    A tensor grows when a larger member needs it; what it held stays where it is. New values are
    drawn for each tensor from a generator of its own, so they do not depend on which member came
    first. A bank also grows to the sizes of a state that it loads.

    Args:
        kernels: how convolutions with windows of other sizes share weights. "own": not at all;
            "centre": the smaller one is the centre of the larger one; "transformed": the centre is
            multiplied by a learned matrix for each step to the next smaller size ("elastic kernel
            size", in the same section), if the convolution is depthwise. The matrices begin as the
            identity.
        seed: the seed of the initial values.
        initialization: their scheme, see :func:`nas.training.initialization.initialize`. Fan-ins
            are those of the largest member so far.
        start: returns what then prepares the layers of a member, such as
            :meth:`nas.tasks.base.Task.start` with the labels.
    """

    def __init__(
        self,
        kernels: Kernels = "own",
        seed: int = 0,
        initialization: str = "default",
        start: Start = lambda architecture: {},
    ) -> None:
        super().__init__()
        self._start = start
        self.kernels = kernels
        self.seed = seed
        self.initialization = initialization
        self._windows: dict[Slot, list[Shape]] = {}
        self._lent: dict[str, list[Tensor]] | None = None
        self._known: dict[tuple[str, Operation, tuple[Shape, ...]], Used | None] = {}

    @property
    def size(self) -> int:
        """The number of parameters, without the matrices that transform kernels."""
        return sum(p.numel() for name, p in self.named_parameters() if _TO not in name)

    @property
    def transforms(self) -> int:
        """The number of parameters of the matrices that transform kernels."""
        return sum(p.numel() for name, p in self.named_parameters() if _TO in name)

    @property
    def _device(self) -> torch.device:
        return next((each.device for each in self.parameters()), torch.device("cpu"))

    def use(self, node: Node, member: Architecture) -> Used | None:
        """Return what a member needs of a node; None if it has no module and no parameter.

        The bank makes room for its tensors. Members share the modules of equal operations, because
        making a module takes longer than calling it.
        """
        inputs = tuple([member.shapes[name] for name in node.inputs])
        key = (node.owner, node.operation, inputs)
        if key not in self._known:
            self._known[key] = used = Used.of(*key, self.kernels)
            if used is not None:
                self._enter(used.slot, used.sizes, lambda: self._draw(*key, member))
        return self._known[key]

    def _draw(
        self, node: str, operation: Operation, inputs: tuple[Shape, ...], member: Architecture
    ) -> Any:
        """Make the module or parameter of a member's operation, with initial values."""
        made = operation.module(inputs)
        if isinstance(made, nn.Module):
            initialize(made, self.initialization)
            if prepare := self._start(member).get(node):
                prepare(made)
        return made

    def _enter(self, slot: Slot, sizes: Mapping[str, Shape], draw: Callable[[], Any]) -> None:
        """Make room for an operation's tensors.

        Args:
            slot: their place.
            sizes: the sizes that are needed, by name.
            draw: makes the operation's module or parameter with initial values.
        """
        if slot.elastic:
            self._enter_window(slot, sizes["weight"][2:])
        lacking = [name for name, size in sizes.items() if not self._holds(slot.named(name), size)]
        if not lacking:
            return
        check_room(sum(prod(sizes[name]) for name in lacking))
        digest = blake2b(f"{self.seed} {slot}".encode(), digest_size=7).digest()
        with torch.random.fork_rng(devices=()):
            torch.default_generator.manual_seed(int.from_bytes(digest))
            drawn = tensors(draw())
            for name in lacking:
                drawn[name].data = drawn[name].data.to(self._device)
                self._store(slot.named(name), drawn[name])

    def take(self, slot: Slot, name: str, shape: Shape) -> Tensor:
        """Return a tensor of the size ``shape``, which shares memory with the bank if it can."""
        own = slot.named(name)
        if not slot.elastic or name != "weight":
            return self._part(own, shape)
        value = self._part(own, (*shape[:2], *getattr(self, own).shape[2:]))
        for size in self._windows[slot]:
            if prod(size) < prod(shape[2:]):
                break
            if size != tuple(value.shape[2:]):
                centre = part(value, (*value.shape[:2], *size))
                matrix = self._part(_matrix(slot, size), (prod(size), prod(size)))
                value = nn.functional.linear(centre.flatten(2), matrix).view(centre.shape)
        return value

    @contextmanager
    def lending(self) -> Iterator[list[tuple[nn.Parameter, Tensor]]]:
        """Let members take parts of the parameters that have gradients of their own.

        The gradient of a slice is as large as the whole tensor, and optimizers take only tensors
        without gaps. So in the context, :meth:`take` gives copies of slices that are leaves of the
        autograd graph. At its end, the list holds each parameter that was taken with its part,
        whose ``grad`` is the sum over the members.
        """
        returned: list[tuple[nn.Parameter, Tensor]] = []
        self._lent = {}
        try:
            yield returned
            for name, leaves in self._lent.items():
                whole: nn.Parameter = getattr(self, name)
                used = [(leaf, leaf.grad) for leaf in leaves if leaf.grad is not None]
                if len(used) > 1:  # of several sizes
                    together, total = whole.detach(), torch.zeros_like(whole)
                    for leaf, grad in used:
                        part(total, tuple(leaf.shape)).add_(grad)
                    together.grad = total
                    used = [(together, total)]
                returned += [(whole, leaf) for leaf, _ in used]
        finally:
            self._lent = None

    def _part(self, name: str, shape: Shape) -> Tensor:
        """Return a part of a tensor of the bank; while lending, it is part of a leaf."""
        whole: Tensor = getattr(self, name)
        if self._lent is None or not isinstance(whole, nn.Parameter):
            return part(whole, shape)
        leaves = self._lent.setdefault(name, [])
        for leaf in leaves:
            larger = all(has >= size for has, size in zip(leaf.shape[:2], shape[:2], strict=True))
            if larger and tuple(leaf.shape[2:]) == shape[2:]:
                return part(leaf, shape)
        leaves.append(dense(whole.detach(), shape).requires_grad_())
        return leaves[-1]

    def _holds(self, name: str, needed: Shape) -> bool:
        known = getattr(self, name, None)
        return known is not None and all(
            has >= size for has, size in zip(known.shape, needed, strict=True)
        )

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        """Makes room for larger and further tensors of a state, and then loads it."""
        for key in [key for key in state_dict if key.startswith(prefix)]:
            name, value = key.removeprefix(prefix), state_dict[key]
            if not self._holds(name, tuple(value.shape)):
                learned = name.split("|")[-2] not in _STATISTICS
                room = value.detach().clone()  # what grows is drawn with the spread of its values
                self._store(name, nn.Parameter(room) if learned else room)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _store(self, name: str, value: Tensor) -> None:
        known = getattr(self, name, None)
        if known is not None:
            shape = tuple(map(max, zip(known.shape, value.shape, strict=True)))
            if shape != tuple(value.shape):  # each is larger in another axis
                grown = value.detach().new_empty(shape).normal_(0.0, value.detach().std().item())
                carry(value, grown)
                value = nn.Parameter(grown) if isinstance(value, nn.Parameter) else grown
            carry(known, value)
        if isinstance(value, nn.Parameter):
            self.register_parameter(name, value)
        else:
            self.register_buffer(name, value)

    def _enter_window(self, slot: Slot, window: Shape) -> None:
        """Register a size of a convolution's window, and the matrices that lead to smaller ones."""
        name = slot.named("weight")
        largest: Tensor | None = getattr(self, name, None)
        if slot not in self._windows and largest is not None:  # it was loaded
            stored = [each.partition(f"{name}{_TO}")[2] for each in self._parameters]
            known = [tuple(map(int, size.split("x"))) for size in stored if size]
            self._windows[slot] = [tuple(largest.shape[2:]), *known]
        sizes = sorted({*self._windows.get(slot, ()), window}, key=prod, reverse=True)
        self._windows[slot] = sizes
        for size in sizes[1:]:
            if not hasattr(self, _matrix(slot, size)):
                matrix = nn.Parameter(torch.eye(prod(size), device=self._device))
                self.register_parameter(_matrix(slot, size), matrix)


_TO = "|to"
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def _matrix(slot: Slot, window: Shape) -> str:
    return slot.named("weight") + _TO + "x".join(map(str, window))


def part(whole: Tensor, shape: Shape) -> Tensor:
    """Return the first outputs and inputs of a tensor, and the centre of its further axes."""
    if tuple(whole.shape) == shape:
        return whole
    spare = [has - size for has, size in zip(whole.shape, shape, strict=True)]
    starts = [0 if axis < 2 else extra // 2 for axis, extra in enumerate(spare)]
    return whole[
        tuple(slice(start, start + size) for start, size in zip(starts, shape, strict=True))
    ]


def dense(whole: Tensor, shape: Shape) -> Tensor:
    """Return the tensor itself if it has this shape, else a copy of the part of this shape."""
    return whole if tuple(whole.shape) == shape else part(whole, shape).clone()


@torch.no_grad()
def carry(source: Tensor, target: Tensor) -> int:
    """Copy the part that both have, see :func:`part`; return the number of its values."""
    shape = tuple(map(min, source.shape, target.shape))
    part(target, shape).copy_(part(source, shape))
    return prod(shape)


def tensors(made: nn.Module | nn.Parameter) -> dict[str, Tensor]:
    """Return what an operation has learned or measured, by name; "" for a bare parameter."""
    if isinstance(made, nn.Parameter):
        return {"": made}
    return dict(itertools.chain(made.named_parameters(), made.named_buffers()))
