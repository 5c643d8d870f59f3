"""Understands the names that people give to the parts of a data set: ``Training``, ``val``.

Folders, the arrays of a file and the keys of a Python dict are read by the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal, TypeVar, get_args

from nas.errors import InputError

T = TypeVar("T")

Role = Literal["train", "validation", "test"]
"""What a part is for. A data set always has ``train``; its other parts are official ones."""

ROLES: tuple[Role, ...] = get_args(Role)

EXPECTED = "train (or Training), val (or valid, validation), test (or Testing)"

_WORDS: dict[str, Role] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_FILLING = {"set", "data", "dataset", "split", "images", "image", "img", "imgs", "pictures"}
_PARTS = _WORDS | {f"{word}{each}": role for word, role in _WORDS.items() for each in _FILLING}
"""Also with both words in one, as in ``trainset``."""


def role(name: str) -> Role | None:
    """Returns the part that a name stands for; None if it is not the name of a part.

    ``Train``, ``training_set``, ``01 train-images``, ``trainset`` and ``train2017`` are all the
    training part.
    """
    words = re.findall(r"[^\W\d_]+", name.lower())
    roles = [_PARTS.get(word) for word in words if word not in _FILLING]
    return roles[0] if len(roles) == 1 else None


def words_of(name: str) -> list[str]:
    """Splits a name into its words, in small letters."""
    return [word for word in re.split(r"[\W_]+", name.lower()) if word]


def arranged(named: Mapping[str, T], where: object) -> dict[Role, T]:
    """Sorts parts into train, validation and test by their names.

    Raises :class:`InputError` that names the parts that are unknown or given twice, and says if
    there is no training part.
    """
    if unknown := [name for name in named if role(name) is None]:
        raise InputError(
            f"{where}: holds {_listed(named)}; {_listed(unknown)} is no part of a data set: "
            f"expected {EXPECTED}"
        )
    found: dict[Role, str] = {}
    for name in named:
        meaning = role(name)
        assert meaning is not None
        if meaning in found:
            raise InputError(f"{where}: {found[meaning]} and {name} are both the {meaning} part")
        found[meaning] = name
    if "train" not in found:
        raise InputError(f"{where}: holds {_listed(named)}, but no train part; expected {EXPECTED}")
    return {each: named[found[each]] for each in ROLES if each in found}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(map(str, names)))
