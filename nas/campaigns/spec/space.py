"""Makes the space that ``campaign.yaml`` names."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nas.campaigns.spec.frame import Frame
from nas.configuration import Named, validate
from nas.errors import InputError, at, in_file
from nas.spaces import space, space_file
from nas.spaces.constraints import Constraints
from nas.spaces.finishing import finished
from nas.spaces.python_space import definition
from nas.spaces.search_space import SearchSpace
from nas.user_code import is_code
from nas.yaml_files import read_yaml

DESCRIPTIVE = ("paper", "description", "members")
"""Keys of a space file that do not change what is in the space."""


def read_space(entry: Named, folder: Path, frame: Frame) -> tuple[SearchSpace, dict[str, Any]]:
    """The space that a file names, and what it is: as plain JSON that changes when it does.

    The networks of the space are those that the frame makes of its architectures.
    """
    name, options = entry.name, entry.options
    is_yaml = name.endswith((".yaml", ".yml"))
    where = str(folder / name) if is_yaml else name
    with at("space"):
        for key in ("input_shape", "classes"):
            if key in options:
                raise InputError(f"{key}: is the data set's, not the space's to choose")
        found = space(where, frame.shape, frame.outputs, **options)
        if not frame.is_empty:
            found = finished(found, frame.network)
        if is_code(name):
            return found, {**definition(where), **options}
        file = space_file(where)
        described = {k: v for k, v in read_yaml(file).items() if k not in DESCRIPTIVE} | options
        for limits, where_from in own_constraints(entry, folder):
            described["constraints"] = limits.definition(where_from)
        if code := found.language.code():
            described["code"] = code
        return found, json.loads(json.dumps(described))  # as recorded: all keys are texts


def own_constraints(entry: Named, folder: Path) -> Iterator[tuple[Constraints, Path]]:
    """Yields the constraints that the space's own file sets, with the folder of their paths."""
    if is_code(entry.name):
        return
    is_yaml = entry.name.endswith((".yaml", ".yml"))
    file = space_file(str(folder / entry.name) if is_yaml else entry.name)
    given = {**read_yaml(file), **entry.options}
    if "constraints" in given:
        with in_file(file), at("constraints"):
            yield validate(Constraints, given["constraints"]), file.parent
