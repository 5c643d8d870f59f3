"""Hard limits on cost, checked on the analytic cost before any network is built."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from nas.architecture.graph import Architecture
from nas.architecture.passes import depth
from nas.architecture.profile import Profile
from nas.configuration import Config
from nas.errors import InputError
from nas.files import checksum, read_bytes
from nas.registry import unknown
from nas.spaces.choices import (
    Genotype,
    architecture_choices,
)
from nas.spaces.search_space import SearchSpace


def _whole(given: Any) -> Any:
    """Return a whole number for ``50e6``, which YAML reads as a float."""
    return int(given) if isinstance(given, float) and given.is_integer() else given


Whole = Annotated[int, BeforeValidator(_whole), Field(ge=1)] | None


class Costs(Config):
    """The largest allowed costs of an architecture that :mod:`nas.architecture.cost` computes."""

    params: Whole = None
    """The largest number of trainable parameters."""
    macs: Whole = None
    """The largest number of multiply-accumulates of one image."""
    flops: Whole = None
    """The largest number of operations as fvcore counts them."""
    activations: Whole = None
    """The largest number of values in the outputs of convolution and linear layers."""


class Latency(Config):
    """The largest allowed latency in milliseconds.

    ``{limit: 5}``, or the bare number, limits the latency that is measured on the device of a trial
    before it is trained. With ``table`` and ``column``, the latency is read from a table that has
    every architecture of the space, before anything is built. The table is a CSV file. Its column
    ``architecture`` has the text that the space's ``to_string`` writes, or its column
    ``fingerprint`` has the fingerprints; ``column`` has the milliseconds. With ``profile``, the
    latency is predicted (:mod:`nas.architecture.profile`), also where it is an objective. Paths are
    relative to the file that names them.
    """

    limit: Annotated[float, Field(gt=0)]
    """The largest latency in milliseconds."""
    table: str | None = None
    """A CSV file with latencies; by default, the latency is measured."""
    column: str | None = None
    """The column of the table with the milliseconds."""
    profile: str | None = None
    """A file of `nas profile`, by which the latency is predicted instead."""

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, given: Any) -> Any:
        if isinstance(given, int | float) and not isinstance(given, bool):
            return {"limit": given}
        if not isinstance(given, Mapping):
            raise InputError(
                "must be milliseconds, or a mapping of limit with table and column, or with profile"
            )
        return given

    @model_validator(mode="after")
    def _is_whole(self) -> Latency:
        if (self.table is None) != (self.column is None):
            raise InputError("a table needs a column, and a column its table; got one of them")
        if self.profile is not None and self.table is not None:
            raise InputError("must be read from a table or predicted by a profile, got both")
        return self

    @property
    def file(self) -> str | None:
        """The file that the latency comes from; None if it is measured."""
        return self.table or self.profile


class Constraints(Costs):
    """The largest allowed costs.

    An architecture that breaks one is drawn again, before anything is trained. A measured latency
    is not a cost of an architecture; a trial that breaks this limit fails.
    """

    depth: Whole = None
    """The largest number of weighted layers on a path: :func:`nas.architecture.passes.depth`."""
    latency_ms: Latency | None = None
    """The largest latency in milliseconds: a number, or a mapping of the keys below."""
    fit: str | None = None
    """A choice of the space that is not searched, such as `multiplier`: each network takes its
    largest number within the limits. So all networks cost about the same."""

    @property
    def limits(self) -> dict[str, Any]:
        """The limits that are set, by name."""
        return {name: most for name, most in self if most is not None and name != "fit"}

    @property
    def measured_latency(self) -> float | None:
        """The limit in milliseconds for a measured latency; None if there is none."""
        latency = self.latency_ms
        return latency.limit if latency is not None and latency.file is None else None

    @property
    def latency_profile(self) -> str | None:
        """The file by which latencies are predicted; None if they are not."""
        return None if self.latency_ms is None else self.latency_ms.profile

    @property
    def before_training(self) -> Constraints:
        """The limits that depend on the architecture alone."""
        measured = self.measured_latency is not None
        return self.model_copy(update={"latency_ms": None}) if measured else self

    def definition(self, folder: Path) -> dict[str, Any]:
        """Return the limits that are set, as plain JSON, with a checksum of the file's content."""
        given = self.model_dump(mode="json", exclude_none=True)
        if self.latency_ms is not None and self.latency_ms.file is not None:
            content = read_bytes(folder / self.latency_ms.file)
            given["latency_ms"]["checksum"] = checksum(content, 8)
        return given


class Limit(NamedTuple):
    """A limit of one cost.

    Attributes:
        column: the name of the cost.
        most: its largest value.
        measure: returns it for a member of a space, which is a genotype and its network.
    """

    column: str
    most: float
    measure: Callable[[Genotype, Architecture], float]


def limit_of(column: str, most: Any, space: SearchSpace, folder: Path) -> Limit:
    """Return a limit of :attr:`Constraints.limits`; read the file that it names, if any."""
    if isinstance(most, Latency):
        if most.profile is not None:
            predicted = Profile.read(folder / most.profile).latency
            return Limit(column, most.limit, lambda _, architecture: predicted(architecture))
        table = _LatencyTable(most, folder)
        return Limit(column, most.limit, lambda *member: table.of_member(space, *member))
    if column == "depth":
        return Limit(column, most, lambda _, architecture: depth(architecture))
    return Limit(column, most, lambda _, architecture: int(getattr(architecture.cost, column)))


def strictest(several: Iterable[Constraints]) -> dict[str, int]:
    """Return the smallest limit of each counted cost and of the depth, by name."""
    found: dict[str, int] = {}
    for name, most in (each for one in several for each in one.limits.items()):
        if isinstance(most, int):
            found[name] = min(most, found.get(name, most))
    return found


def further_costs(
    several: Iterable[tuple[Constraints, Path]],
) -> Callable[[Architecture], dict[str, float]]:
    """Return a function that computes what constraints limit beside the counted cost.

    These are the depth, and the latency by a profile, or by a table that has the fingerprint. The
    function suits networks that are not members of the space, such as classics.

    Args:
        several: constraints, each with the folder that the path of its file is relative to.
    """
    deep = False
    latencies: list[Callable[[Architecture], float | None]] = []
    for constraints, folder in several:
        deep = deep or constraints.depth is not None
        latency = constraints.latency_ms
        if latency is not None and latency.profile is not None:
            latencies.append(Profile.read(folder / latency.profile).latency)
        elif latency is not None and latency.table is not None:
            latencies.append(_LatencyTable(latency, folder).of)

    def measure(architecture: Architecture) -> dict[str, float]:
        found: dict[str, float] = {"depth": depth(architecture)} if deep else {}
        known = [latency(architecture) for latency in latencies]
        if told := [milliseconds for milliseconds in known if milliseconds is not None]:
            found["latency_ms"] = max(told)
        return found

    return measure


class _LatencyTable:
    """The latencies of a table, by the text of a genotype or by fingerprint."""

    def __init__(self, latency: Latency, folder: Path) -> None:
        import pandas as pd

        assert latency.table is not None
        path = self._path = folder / latency.table
        read_bytes(path)  # raises if the file cannot be read
        try:
            table = pd.read_csv(path, dtype={"architecture": str, "fingerprint": str})
        except ValueError as error:  # as pandas' own errors and a wrong encoding are
            raise InputError(f"{path}: not a CSV table: {error}") from None
        key = self._key = "architecture" if "architecture" in table else "fingerprint"
        if key not in table:
            raise InputError(f"{path}: needs a column architecture or fingerprint")
        if latency.column not in table:
            columns = [
                str(column) for column in table if column not in ("architecture", "fingerprint")
            ]
            raise InputError(f"{path}: {unknown('column', latency.column, columns)}")
        numbers = pd.to_numeric(table[latency.column], errors="coerce")
        if not np.isfinite(numbers).all():
            row = int(np.argmin(np.isfinite(numbers)))
            raise InputError(
                f"{path}: row {row + 2}: {latency.column} must be a number, "
                f"got {str(table[latency.column][row])!r}"
            )
        if (twice := table[key].duplicated()).any():
            raise InputError(f"{path}: {key} {table[key][twice.argmax()]!r} is in the table twice")
        self._known: dict[str, float] = dict(
            zip(table[key], numbers.astype(float).tolist(), strict=True)
        )

    def of_member(
        self, space: SearchSpace, genotype: Genotype, architecture: Architecture
    ) -> float:
        """Return the latency of a member of the space; the table must have it."""
        if self._key == "architecture":
            which = space.to_string(architecture_choices(genotype))
        else:
            which = self._fingerprint(architecture)
        if which not in self._known:
            raise InputError(f"{self._path}: has no row whose {self._key} is {which!r}")
        return self._known[which]

    def of(self, architecture: Architecture) -> float | None:
        """Return the latency of any architecture, or None if the table does not have it."""
        by_text = self._key == "architecture"
        return None if by_text else self._known.get(self._fingerprint(architecture))

    def _fingerprint(self, architecture: Architecture) -> str:
        return architecture.recorded_as(next(iter(self._known), ""))[0]
