"""Turns operations, shapes and counts into the words of a drawing."""

from __future__ import annotations

from collections.abc import Sequence

from nas.architecture.cost import Cost
from nas.architecture.operations import Operation, Shape
from nas.words import compact

_FOLLOWERS = frozenset({
    "activation", "batch_norm", "channel_shuffle", "drop_path", "dropout", "flatten", "group_norm",
    "identity", "l2_norm", "layer_norm", "local_response_norm", "pad", "permute", "rescale",
    "scale", "unflatten",
})  # fmt: skip

_COLOURS = {
    "conv": "conv",
    "sep": "conv",
    "depthwise": "conv",
    "dil": "conv",
    "pool": "pool",
    "mean": "pool",
    "upsample": "pool",
    "resize": "pool",
    "linear": "linear",
    "attention": "linear",
    "add": "join",
    "concat": "join",
    "multiply": "join",
}


def leads(operation: Operation | str) -> bool:
    """Tells if an operation has its own box; activations, norms and the like have none."""
    return isinstance(operation, str) or operation.kind not in _FOLLOWERS


def leading(does: Sequence[Operation | str]) -> Operation | str:
    """Returns the operation after which a sequence of them is named."""
    return next(filter(leads, does), does[0])


def colour(does: Sequence[Operation | str]) -> str:
    """Returns the key in :data:`nas.drawing.svg.COLOURS` for operations."""
    if not does:
        return "plain"
    operation = leading(does)
    kind = operation if isinstance(operation, str) else operation.kind
    return next((found for part, found in _COLOURS.items() if part in kind), "plain")


def word(operation: Operation | str) -> str:
    """Describes an operation in a few words without its channels: ``conv 3x3/2``."""
    if isinstance(operation, str):
        return operation
    has = operation.attributes()
    text, groups = operation.label, has.get("groups", 1)
    if "channels" in has and groups > 1:
        text = f"{'depthwise' if groups == has['channels'] else 'grouped'} {text}"
    if "kernel" in has:
        text += f" {_by(has['kernel'])}"
    for name, sign in (("stride", "/"), ("dilation", " dilated ")):
        value = has.get(name, 1)
        sides = dict.fromkeys(value if isinstance(value, tuple) else (value,))
        if set(sides) != {1}:
            text += sign + _by(tuple(sides))
    return text


def words(does: Sequence[Operation | str]) -> str:
    """Describes a sequence of operations."""
    return " + ".join(map(word, does))


def changed(was: Sequence[Operation | str], now: Sequence[Operation | str]) -> str:
    """Describes what a sequence of operations was; only the attributes if only these differ."""
    differing = []
    for old, new in zip(was, now, strict=False):
        if isinstance(old, str) or isinstance(new, str) or old.kind != new.kind:
            return words(was)
        before, after = old.attributes(), new.attributes()
        differing += [f"{name} {_by(v)}" for name, v in before.items() if v != after[name]]
    return ", ".join(differing) if len(was) == len(now) else words(was)


def shape_of(first: Shape, last: Shape) -> str:
    """Writes a shape, ``64x56x56``, or a change of shape, ``96-256x56x56``."""
    if len(first) != len(last):
        return f"{_by(first)} to {_by(last)}"
    return _by(tuple(f"{a}" if a == b else f"{a}-{b}" for a, b in zip(first, last, strict=True)))


def counts(cost: Cost) -> tuple[str, ...]:
    """Writes the parameters and MACs, such as ``9.41K params``; zero counts are left out."""
    named = ((cost.params, "params"), (cost.macs, "MACs"))
    return tuple(f"{compact(count)} {name}" if count else "" for count, name in named)


def _by(value: object) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
