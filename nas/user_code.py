"""Python code that a user names: ``package.module:name`` or ``path/to/file.py:name``."""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from nas.errors import InputError
from nas.registry import unknown


def is_file(name: str) -> bool:
    """Whether the name is of a function in a file, and not in a module that is installed."""
    return name.rpartition(":")[0].endswith(".py")


def load(name: str, label: str) -> tuple[ModuleType, Any]:
    """The module, a file's read anew, and what is called so in it.

    The folder of the file, or the current one, is added to the end of Python's search path.
    :class:`InputError` begins with ``label`` where there is no such thing, or it is not Python.
    """
    module = _module(name, label)
    attribute = name.rpartition(":")[2]
    if not hasattr(module, attribute):
        functions = {n: f for n, f in inspect.getmembers(module, inspect.isfunction)
                     if f.__module__ == module.__name__ and not n.startswith("_")}  # fmt: skip
        raise InputError(f"{label}: {unknown('function', attribute, functions)}")
    return module, getattr(module, attribute)


def _module(name: str, label: str) -> ModuleType:
    place = name.rpartition(":")[0]
    try:
        if is_file(name):
            return _from_file(Path(place))
        _findable(Path.cwd())
        return importlib.import_module(place)
    except SyntaxError as error:
        file = Path(error.filename or place).name
        raise InputError(f"{label}: {file}:{error.lineno}: not Python: {error.msg}") from None
    except ModuleNotFoundError as error:
        if is_file(name) or not f"{place}.".startswith(f"{error.name}."):
            raise  # one that the user's code imports
        raise InputError(
            f"{label}: no module {error.name!r}; a file is written file.py:function"
        ) from None
    except (ValueError, TypeError) as error:
        if place and not place.startswith("."):
            raise
        raise InputError(f"{label}: must be module:function or file.py:function") from error


def _from_file(path: Path) -> ModuleType:
    try:
        source = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    path = path.resolve()
    _findable(path.parent)
    module = ModuleType(f"nas_user_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses look their module up
    # Without the import system, whose cache takes a file changed within a second for unchanged.
    exec(compile(source, path, "exec"), module.__dict__)
    return module


def _findable(folder: Path) -> None:
    """At the end of the path: what is imported already by a name stays what it is."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
