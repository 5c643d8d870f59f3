"""Which networks break a constraint of their campaign: searches avoid it, classics may do so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from nas.metrics import COSTS

_COLUMNS = (*COSTS, "latency_ms")


def breaks(networks: pd.DataFrame, constraints: Mapping[str, Any]) -> list[str]:
    """Says for each network which constraints it breaks; empty if it keeps all that are recorded.

    The depth of a network and a latency that a table knows are not in the records, so they are not
    checked here.

    Args:
        networks: one row per network, with columns of costs.
        constraints: those of the campaign, as its first record has them.
    """
    limits = {column: _most(constraints.get(column)) for column in _COLUMNS}
    known = {column: most for column, most in limits.items() if most is not None}
    return ["; ".join(_broken(row, known)) for row in networks.to_dict("records")]


def _most(limit: Any) -> float | None:
    if isinstance(limit, Mapping):  # of a latency
        return None if "table" in limit else limit.get("limit")
    return limit if isinstance(limit, int | float) else None


def _broken(row: Mapping[Any, Any], limits: Mapping[str, float]) -> Iterator[str]:
    for column, most in limits.items():
        value = row.get(column)
        if value is not None and pd.notna(value) and value > most:
            yield f"{column} {value:,} > {most:,}"
