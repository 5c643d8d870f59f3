"""Reads published tables; one function per table converts it into the common form."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.configuration import validate_options
from nas.errors import InputError, at, in_file
from nas.evaluators.tabular import Table
from nas.registry import Registry
from nas.yaml_files import read_yaml

TABLES = Registry(
    "table",
    {
        "columns": "nas.evaluators.tables.columns:columns",
        "nasbench201": "nas.evaluators.tables.nasbench201:nasbench201",
        "transnasbench101": "nas.evaluators.tables.nasbench201:transnasbench101",
        "spikenas": "nas.evaluators.tables.nasbench201:spikenas",
        "nats_bench": "nas.evaluators.tables.nats_bench:nats_bench",
        "nasbench101": "nas.evaluators.tables.nasbench101:nasbench101",
        "campaign": "nas.campaigns.store.as_table:campaign",
    },
)
"""The tables that ``name:`` in a description may name."""


def read_table(given: str | Mapping[str, Any], folder: Path, data: Path | None = None) -> Table:
    """Reads the table that a configuration file describes.

    Args:
        given: the description, ``{name: columns, file: ...}``, or the path of a YAML file with a
            description, relative to ``folder``.
        folder: the folder of the configuration file.
        data: the folder of the table's files; by default the folder of the description.

    Raises :class:`InputError` naming the key, or the file and the column.
    """
    if isinstance(given, str):
        file = folder / given
        with in_file(file):
            return read_table(_mapping(read_yaml(file)), file.parent, data)
    name = _mapping(given)["name"]
    with at("name"):
        read = TABLES.find(name, folder)
    options = {key: value for key, value in given.items() if key != "name"}
    table: Table = read(data or folder, **validate_options(read, options, folder))
    return table


def _mapping(given: Any) -> Mapping[str, Any]:
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise InputError(
            f"must be a mapping with a name, one of {', '.join(TABLES)}; got {given!r}"
        )
    return given
