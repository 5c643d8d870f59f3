"""Finds search spaces by name: YAML files, with one module per family, or Python functions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import InputError, in_file
from nas.registry import unknown
from nas.user_code import FORMS, is_code

if TYPE_CHECKING:
    from nas.spaces.search_space import SearchSpace

_PACKAGE = Path(__file__).parents[1]
_DIRECTORIES = (_PACKAGE / "search_spaces", _PACKAGE.parent / "search_spaces")
"""The folders of shipped spaces: inside an installed package, or beside ``nas/`` in a checkout."""


def spaces() -> dict[str, Path]:
    """Return the shipped space files by name."""
    found = (path for directory in _DIRECTORIES for path in directory.glob("*.yaml"))
    return {path.stem: path for path in sorted(found)}


def space(
    name: str | Path,
    input_shape: tuple[int, ...] = (3, 32, 32),
    classes: int = 10,
    **overrides: Any,
) -> SearchSpace:
    """Return the search space of a name, bound to an input shape and a number of classes.

    Args:
        name: a shipped space (``"primitives"``), the path of a YAML file, or a function in Python
            (``"package.module:function"``, ``"path/to/file.py:function"``).
        input_shape: the input of its architectures without the batch, channels first.
        classes: the number of outputs of its architectures.
        overrides: other values for keys of the file, such as ``cells=2, channels=12``; for a
            function, its other keyword-only arguments.

    A function that does not take ``input_shape`` or ``classes`` decides them itself.

    Raises:
        InputError: for an unknown name, or saying what is wrong in the file.
    """
    from nas.spaces.constrained_space import constrained
    from nas.spaces.families.family import read_family
    from nas.spaces.families.priors import check_names, describing
    from nas.spaces.python_space import python_space
    from nas.spaces.search_space import SearchSpace
    from nas.yaml_files import read_yaml

    shape = tuple(input_shape)
    if is_code(str(name)):
        return python_space(str(name), shape, classes, overrides)
    path = space_file(name)
    with in_file(path):
        family = read_family(read_yaml(path), path.parent, overrides)
        described = describing(family.priors, family.ordered)
        found = SearchSpace(
            lambda choose: family.architecture(described(choose), shape, classes),
            path.stem,
            family.members,
            family.bound(shape),
        )
        check_names(found, "priors", family.priors)
        check_names(found, "ordered", {name: {} for name in family.ordered})
    return constrained(found, family.constraints, path.parent)


def space_file(name: str | Path) -> Path:
    """Return the file of a YAML space: that of a shipped one, or the path itself."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return path
    shipped = spaces()
    if name not in shipped:
        raise InputError(
            f"{unknown('space', name, shipped)}; or the path of a .yaml file, or a function as "
            f"{FORMS}"
        )
    return shipped[str(name)]
