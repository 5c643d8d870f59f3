"""Finds the Python objects that users name in YAML and on the command line."""

import difflib
import importlib
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nas.errors import InputError
from nas.user_code import FORMS, absolute, is_code, load_module


class Registry(Mapping[str, Any]):
    """A table of names of built-in parts, in which users' own parts can also be looked up.

    A name is either in the table, or it says where a user's part is: ``path/to/file.py:NAME`` or
    ``package.module:NAME``.

    Args:
        kind: the kind of the entries, for messages: "searcher", "data set".
        entries: ``{name: "module:attribute"}``. A module is imported when one of its names is
            looked up, so a registry may name modules that need torch, ray or optuna.
        subclass_of: the ``"module:attribute"`` of a class; a user's part must be a subclass of it.
        instance_of: the ``"module:attribute"`` of a class; a user's part must be an instance of it.

    Without ``subclass_of`` and ``instance_of``, a user's part must be callable.
    """

    def __init__(
        self,
        kind: str,
        entries: Mapping[str, str],
        *,
        subclass_of: str = "",
        instance_of: str = "",
    ) -> None:
        self.kind = kind
        self._entries = dict(entries)
        self._subclass_of = subclass_of
        self._instance_of = instance_of

    def find(self, name: str, folder: Path | None = None) -> Any:
        """Returns the object that a name stands for.

        Args:
            name: a name of the table, or the place of a user's part.
            folder: the folder at which the relative path of a user's file starts; by default the
                current folder.

        Raises :class:`InputError` if the name is unknown, the file, module or attribute does not
        exist, or the object is not of the required kind.
        """
        if name in self._entries:
            return resolve(self._entries[name])
        if not is_code(name):
            raise InputError(f"{unknown(self.kind, name, self._entries)}; or {FORMS}")
        found = load(absolute(name, folder or Path()), f"{self.kind} {name}")
        if problem := self._mismatch(found):
            raise InputError(f"{self.kind} {name}: {problem}")
        return found

    def __getitem__(self, name: str) -> Any:
        return self.find(name)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def _mismatch(self, found: Any) -> str:
        """Returns what is wrong with a user's part; "" if nothing is."""
        if self._subclass_of:
            base = resolve(self._subclass_of)
            if not (inspect.isclass(found) and issubclass(found, base)):
                return f"must be a subclass of {_public(base)}, but is {_described(found)}"
            if missing := sorted(getattr(found, "__abstractmethods__", ())):
                return f"must define {', '.join(missing)}"
        elif self._instance_of:
            base = resolve(self._instance_of)
            if not isinstance(found, base):
                return f"must be an instance of {_public(base)}, but is {_described(found)}"
        elif not callable(found):
            return f"must be a function, but is {_described(found)}"
        return ""


def resolve(path: str) -> Any:
    """Imports the object that ``"module:attribute"`` of this package names."""
    module, attribute = path.split(":")
    return getattr(importlib.import_module(module), attribute)


def load(name: str, label: str) -> Any:
    """Imports the object that a user's ``file.py:NAME`` or ``package.module:NAME`` names.

    Raises :class:`InputError`, which begins with ``label``, if it does not exist.
    """
    module = load_module(name, label)
    attribute = name.rpartition(":")[2]
    if not hasattr(module, attribute):
        own = {
            key: value
            for key, value in vars(module).items()
            if getattr(value, "__module__", None) == module.__name__ and not key.startswith("_")
        }
        raise InputError(f"{label}: {unknown('name', attribute, sorted(own))}")
    return getattr(module, attribute)


def unknown(kind: str, name: object, allowed: Mapping[str, Any] | list[str]) -> str:
    """Makes the message for a name that is not in ``allowed``; it suggests the closest name."""
    close = difflib.get_close_matches(str(name), list(allowed), n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"unknown {kind} {name!r}{hint}; allowed: {', '.join(allowed) or 'none'}"


def _public(base: type) -> str:
    """Returns the name by which users import a base class, such as ``nas.Searcher``."""
    return f"nas.{base.__name__}"


def _described(found: Any) -> str:
    if inspect.isclass(found):
        return f"the class {found.__name__}"
    kind = "function" if inspect.isroutine(found) else type(found).__name__
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
