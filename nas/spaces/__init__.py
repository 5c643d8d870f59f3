"""Search spaces by name: YAML files read by one module a family, or functions in Python."""

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
"""Where the shipped spaces are: inside an installed package, beside ``nas/`` in a checkout."""


def spaces() -> dict[str, Path]:
    """The shipped space files by name."""
    found = (path for directory in _DIRECTORIES for path in directory.glob("*.yaml"))
    return {path.stem: path for path in sorted(found)}


def space(
    name: str | Path,
    input_shape: tuple[int, ...] = (3, 32, 32),
    classes: int = 10,
    **overrides: Any,
) -> SearchSpace:
    """The search space of a name, a YAML file or a function, bound to an input and classes.

    Args:
        name: a shipped space (``"primitives"``), the path of a YAML file, or a function in Python
            (``"package.module:function"``, ``"path/to/file.py:function"``).
        input_shape: what its architectures take, without the batch, channels first.
        classes: how many outputs they have.
        overrides: keys of the file with other values than there: ``cells=2, channels=12``; of a
            function, its other keyword-only arguments.

    A function that takes no ``input_shape`` or ``classes`` decides them itself.

    Raises:
        InputError: for an unknown name, or naming what is wrong in the file.
    """
    from nas.configuration import read_yaml
    from nas.spaces.constraints import constrained
    from nas.spaces.families.family import read_family
    from nas.spaces.python_space import python_space
    from nas.spaces.search_space import SearchSpace

    shape = tuple(input_shape)
    if is_code(str(name)):
        return python_space(str(name), shape, classes, overrides)
    path = space_file(name)
    with in_file(path):
        family = read_family(read_yaml(path), path.parent, overrides)
    found = SearchSpace(
        lambda choose: family.architecture(choose, shape, classes),
        path.stem,
        family.members,
        family,
    )
    return constrained(found, family.constraints, path.parent)


def space_file(name: str | Path) -> Path:
    """Where a YAML space is written: a shipped one's file, or the path itself."""
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
