"""Tabular benchmarks: results of many architectures are looked up instead of trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nas.configuration import Config
from nas.errors import InputError
from nas.metrics import METRICS, is_test
from nas.registry import unknown
from nas.spaces.choices import Genotype, genotype_key, recipe_choices
from nas.spaces.search_space import SearchSpace

Floats = NDArray[np.float64]

KeyKind = Literal["notation", "isomorphism", "fingerprint"]
"""The kinds of keys that a table may have.

- ``notation``: ``space.to_string(genotype)``, with one row per genotype;
- ``isomorphism``: the same notation, with one row for all genotypes of an architecture;
- ``fingerprint``: ``architecture.fingerprint``.
"""

NameOf = Callable[[str], str]
"""A function from a genotype's notation to the table's own key."""


@dataclass(frozen=True, eq=False)
class Table:
    """The results of many architectures, one row each.

    Attributes:
        source: the file, for messages.
        keys: the unique keys of the architectures.
        key: the kind of the keys.
        metrics: the metrics by name, [rows], or [rows, len(epochs)] for learning curves. Missing
            values are NaN. Units and signs are those of the source.
        epochs: the epochs of the curves, ascending; empty without curves.
        seconds: the training times, [rows], or [rows, len(epochs)] up to each epoch; None if they
            are unknown.
        files: the SHA-256 of every file that was read, by its name.

    Raises :class:`InputError` if the arrays do not fit together or a key occurs twice.
    """

    source: str
    keys: Sequence[str]
    key: KeyKind | NameOf
    metrics: Mapping[str, Floats]
    epochs: tuple[int, ...] = ()
    seconds: Floats | None = None
    files: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = len(self.keys)
        if len(set(self.keys)) < rows:
            twice = Counter(self.keys).most_common(1)[0][0]
            raise InputError(f"{self.source}: architecture {twice!r} has two rows")
        if not rows:
            raise InputError(f"{self.source}: the table has no row")
        columns = dict(self.metrics)
        if self.seconds is not None:
            columns["seconds of training"] = self.seconds
            if wrong := np.argwhere(~(self.seconds >= 0)).tolist():
                raise InputError(
                    f"{self.source}: seconds of training of {self.keys[wrong[0][0]]!r} must be a "
                    f"number of at least 0, got {self.seconds[tuple(wrong[0])]}"
                )
        for name, values in columns.items():
            if values.shape not in ((rows,), (rows, len(self.epochs))):
                raise InputError(
                    f"{self.source}: {name}: has shape {values.shape}; there are {rows} rows and "
                    f"{len(self.epochs)} epochs"
                )
        if list(self.epochs) != sorted(set(self.epochs)) or min(self.epochs, default=1) < 1:
            raise InputError(
                f"{self.source}: epochs must ascend from 1 or more, got {list(self.epochs)}"
            )

    def metric(self, name: str) -> Floats:
        """Returns a metric, [rows]; of a learning curve, the values after the last epoch."""
        if name not in self.metrics:
            raise InputError(f"{self.source}: {unknown('metric', name, dict(self.metrics))}")
        values = self.metrics[name]
        return values if values.ndim == 1 else values[:, -1]

    def known_before(self, *searched: str) -> list[str]:
        """Returns the metrics that may serve as zero-cost proxies, without those of curves.

        Whether they need no training, only the user knows.

        Args:
            searched: what is searched for, or tested.
        """
        found = self.metrics.items()
        return [name for name, each in found if each.ndim == 1 and name not in searched]


class Lookup:
    """Finds the row and the values of a space's genotypes in a table.

    Args:
        table: the table.
        space: the space of the genotypes.
    """

    def __init__(self, table: Table, space: SearchSpace) -> None:
        self.table = table
        self.space = space
        self._columns = {epoch: index for index, epoch in enumerate(table.epochs)}
        self._found: dict[Hashable, int] = {}
        self._identities: dict[Hashable, Hashable] = {}
        self._params: dict[Hashable, float] = {}
        keys: Sequence[str] = table.keys
        if table.key == "isomorphism":
            keys = [space.identity(self._parsed(key)) for key in table.keys]
        self._rows = {key: row for row, key in enumerate(keys)}
        self._prints = list(
            {len(key): key for key in keys}.values()
        )  # one key per version of the hash
        if len(self._rows) < len(keys):
            first = next(row for row, key in enumerate(keys) if self._rows[key] != row)
            raise InputError(
                f"{table.source}: {table.keys[first]!r} and "
                f"{table.keys[self._rows[keys[first]]]!r} are one architecture, and have two rows"
            )

    def row(self, genotype: Genotype) -> int:
        """Returns the row of a genotype; raises :class:`InputError` if there is none."""
        name = genotype_key(genotype)
        row = self._found.get(name)
        if row is None:
            row = self._rows.get(self._key(genotype))
            if row is None:
                raise InputError(
                    f"{self.table.source}: no row for the architecture "
                    f"{self.space.to_string(genotype)} of space {self.space.name}"
                )
            self._found[name] = row
        return row

    def identity(self, genotype: Genotype) -> Hashable:
        """Returns the key that duplicates share: the architecture and searched recipe choices."""
        name = genotype_key(genotype)
        identity = self._identities.get(name)
        if identity is None:
            recipe = genotype_key(recipe_choices(genotype))
            identity = self._identities[name] = (self.space.identity(genotype), recipe)
        return identity

    def params(self, genotype: Genotype) -> float:
        """Returns the number of parameters of the network of a genotype."""
        name = genotype_key(genotype)
        params = self._params.get(name)
        if params is None:
            params = self._params[name] = self.space.decode(genotype).cost.params
        return params

    def row_of(self, fingerprint: str) -> int | None:
        """Returns the row of any architecture, if the table is keyed by fingerprints."""
        return self._rows.get(fingerprint) if self.table.key == "fingerprint" else None

    def value(self, metric: str, row: int, epoch: int | None = None) -> float:
        """Returns a metric after ``epoch`` epochs; None means after the longest training.

        Raises :class:`InputError` if it was not measured.
        """
        values = self.table.metrics[metric]
        if values.ndim == 1:
            found = values.item(row)
            if epoch is not None and epoch not in (None, *self.table.epochs[-1:]):
                raise InputError(
                    f"{self.table.source}: {metric} is known only after the whole training, "
                    f"and not after {epoch} epochs"
                )
        else:
            found = values.item(row, self.column(epoch))
        if found != found:
            raise InputError(
                f"{self.table.source}: {metric} of {self.table.keys[row]!r} is empty"
                + (f" after {epoch} epochs" if epoch else "")
            )
        return found

    def measure(self, metric: str) -> Callable[[Genotype], float]:
        """Returns a function from a genotype to a metric after the whole training.

        It is NaN for a genotype without a row, or without a value.
        """
        values = self.table.metric(metric)

        def look_up(genotype: Genotype) -> float:
            try:
                return values.item(self.row(genotype))
            except InputError:
                return nan

        return look_up

    def seconds(self, row: int, epoch: int | None = None, since: int | None = None) -> float:
        """Returns the training time up to an epoch, after the epoch ``since`` if it is given.

        If the table has no times, every training takes one second.
        """
        known = self.table.seconds
        if known is None:
            return 1.0
        if known.ndim == 1:
            return known.item(row)
        until = known.item(row, self.column(epoch))
        return until if since is None else until - known.item(row, self.column(since))

    def column(self, epoch: int | None) -> int:
        """Returns the position of an epoch in the curves; -1 for None."""
        if epoch is None:
            return -1
        if epoch not in self._columns:
            known = self.table.epochs
            shown = ", ".join(map(str, known[:12])) + (f" … {known[-1]}" if known[12:] else "")
            raise InputError(
                f"{self.table.source}: nothing was measured after {epoch} epochs; "
                f"allowed: {shown or 'the whole training'}"
            )
        return self._columns[epoch]

    def _key(self, genotype: Genotype) -> str:
        if callable(self.table.key):
            return self.table.key(self.space.to_string(genotype))
        if self.table.key == "notation":
            return self.space.to_string(genotype)
        if self.table.key == "isomorphism":
            return self.space.identity(genotype)
        architecture = self.space.decode(genotype)
        prints = [architecture.recorded_as(key)[0] for key in self._prints]
        return next((each for each in prints if each in self._rows), architecture.fingerprint)

    def _parsed(self, key: str) -> Genotype:
        try:
            return self.space.from_string(key)
        except InputError as error:
            raise InputError(f"{self.table.source}: {error}") from None


class TabularOptions(Config):
    """``evaluator: {name: tabular, ...}`` of a campaign."""

    table: str | dict[str, Any]
    """The table: a YAML file that describes it, or its keys."""
    validation: str
    """The metric of the table that the search observes."""
    test: str
    """The metric of the table that only the final stage reads."""
    scale: Annotated[float, Field(gt=0)] = 1.0
    """A factor that makes fractions of both: 0.01 for percent."""
    metrics: dict[str, str] = Field(default_factory=dict)
    """Further metrics that the search observes unchanged: their names here, and in the table."""
    input_shape: tuple[Annotated[int, Field(ge=1)], ...] = (3, 32, 32)
    """The shape of an image for which networks are built and counted."""
    classes: Annotated[int, Field(ge=1)] = 10
    """The number of classes for which networks are built and counted."""


@dataclass(frozen=True, eq=False)
class Tabular:
    """Evaluates a trial by returning the table's values for its architecture.

    Making one raises :class:`InputError` if the table lacks one of the metrics.
    """

    options: TabularOptions
    lookup: Lookup

    def __post_init__(self) -> None:
        options = self.options
        further = {f"metrics.{name}": metric for name, metric in options.metrics.items()}
        named = {"validation": options.validation, "test": options.test, **further}
        for key, metric in named.items():
            try:
                self.lookup.table.metric(metric)
            except InputError as error:
                raise InputError(f"{key}: {error}") from None
        for key, metric in further.items():
            if metric == options.test or is_test(key.removeprefix("metrics.")):
                raise InputError(f"{key}: a search must not see a test metric, got {metric!r}")

    @property
    def metrics(self) -> list[str]:
        """Lists the metrics of a search trial."""
        seconds = ["train_seconds"] if self.lookup.table.seconds is not None else []
        return [METRICS.validation, *seconds, *self.options.metrics]

    def __call__(self, trial: Mapping[str, Any]) -> dict[str, Any]:
        """Looks a trial up.

        Args:
            trial: ``genotype``, or ``fingerprint`` for a network without genotype; ``epochs`` (None
                for full training), ``since`` (the epoch from which it continues, None from
                scratch) and ``test`` (whether the test metric is requested).

        Returns ``validation_accuracy`` and the further ``metrics``; those without a curve have the
        same value after every epoch. Also returns ``train_seconds`` and ``epochs`` if the table has
        them, and ``test_accuracy`` if it is requested.
        """
        lookup, options, epochs = self.lookup, self.options, trial["epochs"]
        row = lookup.row(trial["genotype"]) if "genotype" in trial else None
        if row is None:
            row = lookup.row_of(trial["fingerprint"])
        if row is None:
            raise InputError(
                f"{lookup.table.source}: no row for fingerprint {trial['fingerprint']}"
            )
        value = lookup.value(options.validation, row, epochs)
        found: dict[str, Any] = {METRICS.validation: options.scale * value}
        for name, metric in options.metrics.items():
            is_curve = lookup.table.metrics[metric].ndim > 1
            found[name] = lookup.value(metric, row, epochs if is_curve else None)
        if lookup.table.seconds is not None:
            found["train_seconds"] = lookup.seconds(row, epochs, trial["since"])
        if lookup.table.epochs:
            found["epochs"] = epochs or lookup.table.epochs[-1]
        if trial["test"]:
            found[METRICS.test] = options.scale * lookup.value(options.test, row)
        return found
