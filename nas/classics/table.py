"""Makes the table of the classics: name, year, cost and paper."""

from __future__ import annotations

import pandas as pd


def classics_table() -> pd.DataFrame:
    """Return a table of all classics as published: name, year, cost and paper, oldest first."""
    from nas.classics import CLASSICS, classic

    rows = []
    for name, entry in sorted(CLASSICS.items(), key=lambda item: item[1].year):
        cost = classic(name).cost
        rows.append(
            {
                "name": name,
                "year": entry.year,
                "input": "x".join(map(str, entry.input_shape)),
                "classes": entry.classes,
                **cost._asdict(),
                "source": entry.source,
                "paper": entry.paper,
            }
        )
    return pd.DataFrame(rows)
