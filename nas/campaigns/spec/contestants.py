"""The classics of the final stage: named, or as wide as a limit allows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import model_validator

from nas.architecture.graph import Architecture
from nas.architecture.passes import depth
from nas.classics import CLASSICS, classic
from nas.configuration import Config, Named, defaults, validate, validate_options
from nas.errors import InputError, at
from nas.registry import unknown
from nas.spaces.constraints import Constraints, Whole

ALL = "fitted"
"""The name that stands for all of :data:`FITTED`, each with ``fit``."""

FITTED: Mapping[str, Mapping[str, Any]] = {
    "lenet5": {},
    "nin": {"last_relu": False},
    "vgg8": {},
    "inception_small": {},
    "resnet20": {},
    "se_resnet20": {},
    "mobilenet_v2": {"stem": "cifar"},
    "shufflenet_v2_x1_0": {"stem": "cifar"},
}
"""Classics for small images, with the options that suit small images."""

OWN_LIMITS = "constraints"
"""The value of ``fit`` that stands for the campaign's constraints."""

WIDEST = 10.0
"""The largest width that a classic is fitted with."""

_STEPS = 100
"""Fitted widths are multiples of one hundredth."""


@dataclass(frozen=True, eq=False)
class Contestant:
    """A classic in the final stage; ``label`` distinguishes classics with the same name."""

    label: str
    name: str
    options: dict[str, Any]
    architecture: Architecture


class Fit(Config):
    """The limits that the width of a classic is fitted to; each is the largest allowed cost."""

    params: Whole = None
    macs: Whole = None
    flops: Whole = None
    activations: Whole = None

    @model_validator(mode="after")
    def _limits_something(self) -> Fit:
        if not any(limit is not None for _, limit in self):
            raise InputError(
                f"must be constraints, or one or more of {', '.join(Fit.model_fields)}, got none"
            )
        return self


class _Unreachable(InputError):
    """No width of a classic is under the limits."""


def contestants(
    entries: Iterable[Named],
    input_shape: tuple[int, ...],
    outputs: int,
    constraints: Constraints,
) -> tuple[dict[str, Contestant], tuple[str, ...]]:
    """Returns the classics of the final stage by label, and the names of those left out.

    Args:
        entries: the classics with their options. The option ``fit`` takes the largest width under
            limits: those that it names, or the campaign's own if it is ``constraints``. The entry
            ``fitted`` stands for :data:`FITTED`, by default with ``fit: constraints``; those that
            no width brings under the limits are left out.
        input_shape: the input of the networks without the batch, channels first.
        outputs: the number of outputs of each network.
        constraints: the campaign's constraints.

    Raises :class:`InputError` for an unknown classic or option, or a limit that no width reaches.
    """
    found: dict[str, Contestant] = {}
    left_out: list[str] = []
    for position, entry in enumerate(entries):
        with at("final", "classics", position):
            named = {entry.name: entry.options} if entry.name != ALL else _fitted(entry.options)
            made = []
            for name, options in named.items():
                try:
                    made.append(_contestant(name, options, input_shape, outputs, constraints))
                except _Unreachable:
                    if entry.name != ALL:
                        raise
                    left_out.append(name)
            if not made:
                raise InputError(f"{ALL}: no width reaches the limits in {', '.join(left_out)}")
            for each in made:
                # Two fits may find the same network, which is then listed once.
                if each.label in found and entry.name != ALL and "fit" not in entry.options:
                    raise InputError(f"{each.label} is listed twice")
                found[each.label] = each
    return found, tuple(left_out)


def _fitted(options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the options of all of :data:`FITTED`."""
    for key in options:
        if key != "fit":
            raise InputError(unknown("key", key, ["fit"]), key)
    return {name: {**own, "fit": OWN_LIMITS, **options} for name, own in FITTED.items()}


def _contestant(
    name: str,
    given: Mapping[str, Any],
    input_shape: tuple[int, ...],
    outputs: int,
    constraints: Constraints,
) -> Contestant:
    if name not in CLASSICS:
        raise InputError(unknown("classic", name, CLASSICS))
    options = dict(given)
    fit = options.pop("fit", None)
    validate_options(CLASSICS[name].function, options)

    def build(**more: float) -> Architecture:
        return classic(name, input_shape, outputs, **options, **more)

    if fit is not None:
        with at("fit"):
            if "width" in options or "width" not in defaults(CLASSICS[name].function):
                raise InputError(
                    f"{name}: fit chooses its option width, so "
                    + ("leave width out" if "width" in options else "it needs one")
                )
            options["width"] = _widest(name, _limits(fit, constraints), build)
    return Contestant(_label(name, options), name, options, build())


def _limits(fit: Any, constraints: Constraints) -> dict[str, int]:
    """Returns the limits by the name of the cost."""
    if fit != OWN_LIMITS:
        if not isinstance(fit, Mapping):
            raise InputError(
                f"must be constraints, or limits of {', '.join(Fit.model_fields)}, got {fit!r}"
            )
        return {name: most for name, most in validate(Fit, fit) if most is not None}
    limits = {name: getattr(constraints, name) for name in (*Fit.model_fields, "depth")}
    found = {name: most for name, most in limits.items() if most is not None}
    if not found.keys() & Fit.model_fields.keys():
        raise InputError(
            f"constraints: needs a limit on {', '.join(Fit.model_fields)}, but the campaign has "
            "none"
        )
    return found


def _widest(name: str, limits: Mapping[str, int], build: Callable[..., Architecture]) -> float:
    """Returns the largest width under the limits, by bisection; costs grow with the width."""
    reason = ""

    def fits(steps: int) -> bool:
        nonlocal reason
        try:
            made = build(width=steps / _STEPS)
        except InputError as error:
            reason = str(error)
            return False
        costs = {**made.cost._asdict(), "depth": depth(made)}
        over = [each for each, most in limits.items() if costs[each] > most]
        reason = "; ".join(
            f"its {each} is {costs[each]:,} there, the limit is {limits[each]:,}" for each in over
        )
        return not over

    low, high = 1, round(WIDEST * _STEPS)
    if fits(high):
        return WIDEST
    if not fits(low):
        raise _Unreachable(f"{name}: no width reaches it, not even {low / _STEPS:g}: {reason}")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low / _STEPS


def _label(name: str, options: Mapping[str, Any]) -> str:
    parts = [name, *(f"{key}{value}" for key, value in options.items())]
    return re.sub(r"[^\w.-]+", "_", "-".join(parts))
