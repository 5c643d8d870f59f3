"""Evaluates trials by looking them up in a table: ``evaluator: {name: tabular, ...}``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nas.architecture.graph import Architecture
from nas.configuration import validate
from nas.errors import at
from nas.evaluators.base import Evaluate, Evaluator
from nas.evaluators.tables import read_table
from nas.evaluators.tabular import Lookup, Tabular, TabularOptions
from nas.spaces.choices import Genotype
from nas.spaces.search_space import SearchSpace


class TableLookup(Evaluator):
    """Looks up published results; see :class:`nas.evaluators.tabular.Tabular`."""

    shape = "lookup"
    trains = False
    more_metrics = "evaluator.metrics names more of the table's"

    def __init__(self, options: Mapping[str, Any], folder: Path) -> None:
        self._options = validate(TabularOptions, options, folder)
        self.input = (self._options.input_shape, self._options.classes)
        with at("table"):
            self._table = read_table(self._options.table, folder)
        self.has_epochs = bool(self._table.epochs)
        known = self._table.known_before(self._options.validation, self._options.test)
        self.columns = [name for name, own in self._options.metrics.items() if own in known]

    def bind(self, space: SearchSpace) -> None:
        """Finds the rows of the space's architectures."""
        self._tabular = Tabular(self._options, Lookup(self._table, space))
        self.metrics = self._tabular.metrics

    def column(self, metric: str) -> Callable[[Genotype], float]:
        """Returns what looks up one of :attr:`columns`."""
        return self._tabular.lookup.measure(self._options.metrics[metric])

    @property
    def evaluate(self) -> Evaluate:
        """The function that engines call."""
        return self._tabular

    @property
    def label(self) -> str:
        """The evaluator's name in records."""
        return "tabular"

    @property
    def definition(self) -> dict[str, Any]:
        """Returns the options and the checksums of the table's files."""
        options = self._options.model_dump(mode="json", exclude={"table"})
        return {"name": self.label, **options, "table": dict(self._table.files)}

    def refusal(self, architecture: Architecture) -> str:
        """Returns why an architecture cannot be looked up; "" if it can."""
        if self._tabular.lookup.row_of(architecture.fingerprint) is not None:
            return ""
        return (
            f"{self._table.source} has no row for it, and a table is all there is to look it up "
            "in; leave it out"
        )
