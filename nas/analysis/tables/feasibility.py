"""Finds the classics that break a constraint of a campaign; its searches avoid such networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf
from typing import Any

import pandas as pd


def limits(specification: Mapping[str, Any]) -> dict[str, float]:
    """Returns the largest allowed values by constraint, also those of the space's own file.

    Args:
        specification: the recorded specification of the campaign.
    """
    found: dict[str, float] = {}
    for section in (specification, specification.get("space")):
        given = section.get("constraints") if isinstance(section, Mapping) else None
        for name, most in (given or {}).items():
            number = most.get("limit") if isinstance(most, Mapping) else most
            if isinstance(number, int | float):
                found[name] = min(number, found.get(name, inf))
    return found


def feasibility(networks: pd.DataFrame, most: Mapping[str, float]) -> pd.DataFrame:
    """Says for each classic which constraints it breaks, and which cannot be checked.

    Args:
        networks: one row per network with its costs, measured latency (whose mean over seeds
            counts) and ``further_costs``, in which a campaign records what else it limits.
        most: the constraints, from :func:`limits`.

    Returns the columns ``breaks`` (None if no constraint is known to be broken) and ``unchecked``
    (the names of constraints whose values are not recorded; None if there are none).
    """
    values = networks.reindex(columns=[*most]).astype("float64")
    if len(most):
        values = values.groupby([networks["name"], networks["group"]]).transform("mean")
    told = networks["further_costs"] if "further_costs" in networks else [None] * len(networks)
    rows = []
    for kind, row, further in zip(networks["kind"], values.to_dict("records"), told, strict=True):
        known = {**row, **(further if isinstance(further, dict) else {})}
        known = known if kind == "classic" else {}
        broken = "; ".join(_broken(known, most))
        lacking = ", ".join(name for name, value in known.items() if pd.isna(value))
        rows.append((broken or None, lacking or None))
    return pd.DataFrame(rows, networks.index, ["breaks", "unchecked"], dtype="object")


def _broken(known: Mapping[Any, Any], most: Mapping[str, float]) -> Iterator[str]:
    for name, limit in most.items():
        if known.get(name, 0) > limit:
            value = known[name]
            yield f"{name} {int(value) if value == int(value) else value:,} > {limit:,}"
