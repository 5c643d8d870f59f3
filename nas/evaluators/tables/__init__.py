"""Tables that others publish, each read by one function into one form."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.configuration import read_yaml, validate_options
from nas.errors import InputError
from nas.evaluators.tabular import Table
from nas.registry import Registry, unknown

TABLES = Registry(
    "table",
    {
        "columns": "nas.evaluators.tables.columns:columns",
        "nasbench201": "nas.evaluators.tables.nasbench201:nasbench201",
        "spikenas": "nas.evaluators.tables.nasbench201:spikenas",
        "nats_bench": "nas.evaluators.tables.nats_bench:nats_bench",
        "nasbench101": "nas.evaluators.tables.nasbench101:nasbench101",
        "campaign": "nas.campaigns.store.as_table:campaign",
    },
)
"""What ``name:`` in a table's description may say."""


def read_table(
    given: str | Mapping[str, Any], source: Path, where: str, data: Path | None = None
) -> Table:
    """The table that a configuration file describes.

    Args:
        given: the description, ``{name: columns, file: ...}``, or the path of a YAML file that
            holds one, relative to ``source``.
        source: the file that says so, for messages.
        where: the key path within that file, for messages.
        data: the folder that the files of the table are in; by default that of the description.

    Raises :class:`InputError` naming the file and the key, or the file and the column.
    """
    if isinstance(given, str):
        source = source.parent / given
        given, where = read_yaml(source), ""
    place = f"{source}: {where}" if where else str(source)
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise InputError(
            f"{place}: must be a mapping with a name, one of {', '.join(TABLES)}; got {given!r}"
        )
    name = given["name"]
    if name not in TABLES:
        raise InputError(f"{place}: name: {unknown('table', name, TABLES)}")
    options = {key: value for key, value in given.items() if key != "name"}
    options = validate_options(TABLES[name], options, source, where)
    table: Table = TABLES[name](data or source.parent, **options)
    return table
