"""Predicts the latency of a network as the sum of what its operations take on one device.

Cai, Zhu and Han, "ProxylessNAS", ICLR 2019 (arXiv:1812.00332), section 3.3 and appendix B: a table
holds the time of each operation at each shape. ``nas profile`` measures it
(:mod:`nas.training.profiling`). Deviations: the sum is scaled to the times of whole networks, and
operations that are not in the table are estimated from those of their kind, or else from all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from math import prod
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from nas.architecture.graph import Architecture, checked_input
from nas.architecture.operations import Operation, Shape, from_attributes, infer
from nas.configuration import Config, validate
from nas.errors import InputError, at, in_file
from nas.files import read_json

Piece = tuple[Operation, tuple[Shape, ...]]
"""An operation with the shapes of its inputs."""


def pieces(architecture: Architecture) -> list[Piece]:
    """Returns the operations of a network in eval mode with the shapes of their inputs."""
    shapes, inner = architecture.shapes, architecture.inference()
    return [(node.operation, tuple([shapes[name] for name in node.inputs])) for node in inner.nodes]


class About(Config):
    """How a profile was measured, and how well it predicts."""

    device: str
    """The model of the device."""
    threads: Annotated[int, Field(ge=1)]
    """The number of torch's CPU threads."""
    scale: Annotated[float, Field(gt=0)]
    """The time of a whole network divided by the sum of the times of its operations."""
    networks: Annotated[int, Field(ge=2)]
    """The number of measured networks: half of them gave the scale, the others the error."""
    error: Annotated[float, Field(ge=0)]
    """The median relative error of the prediction."""
    rank_correlation: Annotated[float, Field(ge=-1, le=1)] | None
    """Spearman's correlation of prediction and measurement; None if either is constant."""


class _File(About):
    operations: Annotated[tuple[dict[str, Any], ...], Field(min_length=1)]


@dataclass(frozen=True, eq=False)
class Profile:
    """The times of operations on one device.

    Attributes:
        times: milliseconds at batch 1 of each operation and its input shapes.
        about: how they were measured.
    """

    times: Mapping[Piece, float]
    about: About

    def latency(self, architecture: Architecture) -> float:
        """Predicts the latency of a network in milliseconds at batch 1."""
        return self.about.scale * sum(self._time(each) for each in pieces(architecture))

    def prediction(self, architecture: Architecture) -> dict[str, Any]:
        """Predicts a latency in the form of :func:`nas.training.latency.measure_latency`."""
        about = self.about
        return {
            "latency_ms": self.latency(architecture),
            "latency_batch": 1,
            "latency_threads": about.threads,
            "latency_device": about.device,
            "latency_error": about.error,
        }

    def _time(self, piece: Piece) -> float:
        found = self.times.get(piece)
        return self._estimate(piece) if found is None else found

    def _estimate(self, piece: Piece) -> float:
        every = tuple(self.times.items())
        alike = tuple(each for each in every if each[0][0].kind == piece[0].kind)
        return float(_size(piece) @ _rates(alike or every))

    def to_json(self) -> str:
        """Returns the profile as JSON, which :meth:`read` reads."""
        operations = [
            {"kind": operation.kind, **operation.attributes(), "inputs": inputs, "ms": ms}
            for (operation, inputs), ms in self.times.items()
        ]
        return json.dumps({**self.about.model_dump(), "operations": operations}) + "\n"

    @classmethod
    def read(cls, path: Path) -> Profile:
        """Reads the file of a profile; an :class:`InputError` names it and says what is wrong."""
        with in_file(path):
            given = validate(_File, read_json(path))
            times = {}
            for number, each in enumerate(given.operations):
                with at("operations", number):
                    piece, ms = _entry(dict(each))
                    times[piece] = ms
            about = {name: getattr(given, name) for name in About.model_fields}
        return cls(times, About(**about))


def _entry(given: dict[str, Any]) -> tuple[Piece, float]:
    try:
        kind, inputs, ms = (given.pop(key) for key in ("kind", "inputs", "ms"))
        milliseconds = float(ms)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"must have kind, attributes, inputs and ms, got {error!r}") from None
    if not isinstance(kind, str) or not isinstance(inputs, list) or not inputs:
        raise InputError("kind must be text, and inputs a list of one or more shapes")
    if not 0 <= milliseconds < np.inf:
        raise InputError(f"ms must be finite and not negative, got {ms}")
    shapes = tuple(map(checked_input, inputs))
    operation = from_attributes(kind, given)
    infer(operation, shapes)
    return (operation, shapes), milliseconds


def _size(piece: Piece) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Returns what the time of an operation grows with: a call, its MACs, and its values."""
    operation, inputs = piece
    shape, cost = infer(operation, inputs)
    return np.array([1.0, cost.macs, sum(map(prod, chain(inputs, [shape])))])


@lru_cache(maxsize=64)
def _rates(known: tuple[tuple[Piece, float], ...]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Fits milliseconds to the sizes of operations of one kind; no rate is negative."""
    from scipy.optimize import nnls

    sizes = np.stack([_size(piece) for piece, _ in known])
    times = np.array([ms for _, ms in known])
    weights = 1 / np.maximum(times, times.max() / 1000 or 1.0)  # relative errors count
    found: np.ndarray[Any, np.dtype[np.float64]] = nnls(sizes * weights[:, None], times * weights)[
        0
    ]
    return found
