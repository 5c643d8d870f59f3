"""Names that users write (in YAML, on the command line) and the callables they stand for."""

import difflib
import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nas.errors import InputError


class Registry(Mapping[str, Callable[..., Any]]):
    """A literal table of names, imported when first used.

    Args:
        kind: what an entry is, for messages: "searcher", "classic", "data set".
        entries: ``{name: "module:attribute"}``. Nothing is imported before it is asked for, so
            a registry may name modules that need torch, ray or optuna.

    Looking up an unknown name raises :class:`InputError` with the allowed names.
    """

    def __init__(self, kind: str, entries: dict[str, str]) -> None:
        self.kind = kind
        self._entries = entries

    def __getitem__(self, name: str) -> Callable[..., Any]:
        if name not in self._entries:
            raise InputError(unknown(self.kind, name, self._entries))
        return resolve(self._entries[name])

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def resolve(path: str) -> Callable[..., Any]:
    """What ``"module:attribute"`` names, imported now."""
    module, attribute = path.split(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return found


def unknown(kind: str, name: object, allowed: Mapping[str, Any] | list[str]) -> str:
    """The message for a name that is not in ``allowed``, with the nearest one suggested."""
    close = difflib.get_close_matches(str(name), list(allowed), n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"unknown {kind} {name!r}{hint}; allowed: {', '.join(allowed) or 'none'}"
