"""The classics of the final stage: named, or as large as a limit allows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import model_validator

from nas.architecture.graph import Architecture
from nas.architecture.operations import ArchitectureError
from nas.architecture.passes import depth
from nas.campaigns.spec.frame import Frame
from nas.classics import CLASSICS, Classic
from nas.configuration import Named, defaults, validate, validate_options
from nas.errors import InputError, at
from nas.registry import unknown
from nas.spaces.constraints import Costs

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

QUICK = ("vgg8", "lenet5", "resnet20")
"""Those of them that learn quickly."""

OWN_LIMITS = "constraints"
"""The value of ``fit`` that stands for the campaign's constraints."""

DEPTHS = ("blocks", "configuration")
"""The arguments of families that set the depth; classics that differ in nothing else are fitted
together."""

WIDEST = 10.0
"""The largest width that a classic is fitted with."""

_STEPS = 100
"""Fitted widths are multiples of one hundredth."""


@dataclass(frozen=True, eq=False)
class Contestant:
    """A classic in the final stage.

    Attributes:
        label: the name of its row, which distinguishes classics with the same name.
        name: its name in the catalogue.
        options: its options, with the fitted width.
        architecture: its architecture.
    """

    label: str
    name: str
    options: dict[str, Any]
    architecture: Architecture


class Fit(Costs):
    """The limits that the size of a classic is fitted to; each is the largest allowed cost."""

    @model_validator(mode="after")
    def _limits_something(self) -> Fit:
        if not any(limit is not None for _, limit in self):
            raise InputError(
                f"must be constraints, or one or more of {', '.join(Fit.model_fields)}, got none"
            )
        return self


class _Unreachable(InputError):
    """No width of a classic is under the limits.

    Attributes:
        over: the smallest values that are still too large.
        reason: describes them in words.
    """

    def __init__(self, smallest: str, limits: Mapping[str, int], over: Mapping[str, int]) -> None:
        self.over = over
        costs = ", ".join(
            f"{name} {value:,} (the limit is {limits[name]:,})" for name, value in over.items()
        )
        self.reason = f"the smallest, {smallest}, has {costs}"
        super().__init__(f"no width is small enough: {self.reason}")


def contestants(
    entries: Iterable[Named], frame: Frame, constraints: Mapping[str, int]
) -> tuple[dict[str, Contestant], list[str]]:
    """Returns the classics of the final stage by label, and remarks on how they were fitted.

    With the option ``fit``, a classic is made as large as limits allow: those that it names, or
    the campaign's own if it is ``constraints``. Networks that differ only in their depth, such as
    ResNet-20 to ResNet-110, are one family. Of a family, the deepest network is taken that meets
    the limits at its published width, or the shallowest if none does; then the largest width is
    taken that meets the limits. So a fitted network is as close to a published one as possible,
    and nothing is trained to choose it.

    Args:
        entries: the classics with their options. The entry ``fitted`` stands for :data:`FITTED`, by
            default with ``fit: constraints``; those that no width brings under the limits are left
            out.
        frame: makes the network for the campaign's images and task of a classic; limits are on this
            network.
        constraints: the campaign's limits of the costs and the depth, by name.

    Raises :class:`InputError` for an unknown classic or option, or a limit that no width reaches.
    """
    found: dict[str, Contestant] = {}
    notes: list[str] = []
    for position, entry in enumerate(entries):
        with at("final", "classics", position):
            named = {entry.name: entry.options} if entry.name != ALL else _fitted(entry.options)
            made: list[Contestant] = []
            left_out: dict[str, InputError] = {}
            for name, options in named.items():
                try:
                    made.append(_contestant(name, options, frame, constraints))
                except (_Unreachable, ArchitectureError) as error:
                    if entry.name != ALL:
                        raise
                    left_out[name] = error
                    continue
                if made[-1].name != name:
                    notes.append(f"final.classics: {name} is fitted as {made[-1].label}")
            if not made:
                raise _none_fits([*left_out.values()])
            notes += [
                f"final.classics: fitted leaves out {name}: {error.args[0]}"
                for name, error in left_out.items()
            ]
            for each in made:
                # Two fits may find the same network, which is then listed once.
                if each.label in found and entry.name != ALL and "fit" not in entry.options:
                    raise InputError(f"{each.label} is listed twice")
                found[each.label] = each
    return found, notes


def fitting(frame: Frame, macs: int, names: Sequence[str] = QUICK) -> dict[str, Architecture]:
    """Returns the classics that suit the images, each as large as a limit allows, by name."""
    found = {}
    for name in names:
        entry = Named.model_validate({"name": name, "fit": {"macs": macs}})
        with suppress(InputError):  # it is too large, or the images are too small for it
            (made,) = contestants([entry], frame, {})[0].values()
            found[name] = made.architecture
    return found


def _none_fits(errors: Sequence[InputError]) -> InputError:
    """Makes the error for a set of which every network is too large or does not suit the images."""
    too_large = [error for error in errors if isinstance(error, _Unreachable)]
    if not too_large:
        return InputError(f"{ALL}: {errors[0]}")
    least = min(too_large, key=lambda error: min(error.over.values()))
    return InputError(f"{ALL}: no width of any of them is small enough: {least.reason}")


def _fitted(options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the options of all of :data:`FITTED`."""
    for key in options:
        if key != "fit":
            raise InputError(unknown("key", key, ["fit"]), key)
    return {name: {**own, "fit": OWN_LIMITS, **options} for name, own in FITTED.items()}


def _contestant(
    name: str, given: Mapping[str, Any], frame: Frame, constraints: Mapping[str, int]
) -> Contestant:
    if name not in CLASSICS:
        raise InputError(unknown("classic", name, CLASSICS))
    options = dict(given)
    fit = options.pop("fit", None)
    validate_options(CLASSICS[name].function, options)

    if fit is not None:
        with at("fit"):
            if "width" in options or "width" not in defaults(CLASSICS[name].function):
                raise InputError(
                    f"{name}: fit chooses its option width, so "
                    + ("leave width out" if "width" in options else "it needs one")
                )
            limits = _limits(fit, constraints)

            def build(member: str, width: float) -> Architecture:
                return frame.classic(member, **options, width=width)

            name, options["width"] = _largest(name, limits, build)
    return Contestant(_label(name, options), name, options, frame.classic(name, **options))


def _limits(fit: Any, constraints: Mapping[str, int]) -> Mapping[str, int]:
    """Returns the limits by the name of the cost."""
    if fit != OWN_LIMITS:
        if not isinstance(fit, Mapping):
            raise InputError(
                f"must be constraints, or limits of {', '.join(Fit.model_fields)}, got {fit!r}"
            )
        return {name: most for name, most in validate(Fit, fit) if most is not None}
    if not constraints.keys() & Fit.model_fields.keys():
        raise InputError(
            f"constraints: needs a limit on {', '.join(Fit.model_fields)}, but the campaign has "
            "none"
        )
    return constraints


def family(name: str) -> list[str]:
    """Returns the classics that differ from a classic in nothing but the depth, with itself."""
    own = CLASSICS[name]

    def kept(entry: Classic) -> dict[str, Any]:
        return {key: value for key, value in entry.fixed.items() if key not in DEPTHS}

    return [
        other
        for other, entry in CLASSICS.items()
        if (entry.family, entry.input_shape, kept(entry))
        == (own.family, own.input_shape, kept(own))
    ]


def _largest(
    name: str, limits: Mapping[str, int], build: Callable[[str, float], Architecture]
) -> tuple[str, float]:
    """Returns the name and the width of the largest network under the limits; see contestants.

    Args:
        name: a classic.
        limits: the largest allowed values by the name of the cost.
        build: makes the architecture of a classic with a width.
    """

    def over(member: str, width: float) -> dict[str, int]:
        made = build(member, width)
        costs = {**made.cost._asdict(), "depth": depth(made)}
        return {each: costs[each] for each, most in limits.items() if costs[each] > most}

    published = {}
    for member in family(name):
        with suppress(ArchitectureError):  # images may be too small for the deeper ones
            published[member] = build(member, 1.0).cost.macs
    by_size = sorted(published, key=published.__getitem__, reverse=True) or [name]
    member = next((each for each in by_size if not over(each, 1.0)), by_size[-1])
    # The costs grow with the width, so bisection finds the largest.
    low, high = 1, round(WIDEST * _STEPS)
    if not over(member, WIDEST):
        return member, WIDEST
    if smallest := over(member, low / _STEPS):
        raise _Unreachable(f"{member} at width {low / _STEPS:g}", limits, smallest)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if not over(member, middle / _STEPS) else (low, middle)
    return member, low / _STEPS


def _label(name: str, options: Mapping[str, Any]) -> str:
    parts = [name, *(f"{key}{value}" for key, value in options.items())]
    return re.sub(r"[^\w.-]+", "_", "-".join(parts))
