"""Comparability groups: only rows that were measured in the same way are ranked together."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import count, product
from string import ascii_uppercase
from typing import Any

from nas.campaigns.spec.fidelity import FULL
from nas.campaigns.spec.specification import flat
from nas.campaigns.store.defaults import with_defaults

Setting = dict[str, Any]
"""What the rows of a comparability group have in common: plain JSON by key path, as in an
experiment specification."""

_NAMED = 6
"""Differences that a note names before it only counts."""


def setting(
    specification: Mapping[str, Any],
    stage: str,
    recipe: str = "",
    fidelity: int = 0,
    checksum: str | None = None,
) -> Setting:
    """Returns what must be equal for two results to be ranked together.

    That is the data, their split, the task and the recipe (or the table that was looked up), and
    the stage: a search's best score was selected for, and may rest on a lower fidelity or on its
    parent's weights.

    Args:
        specification: the campaign's recorded one.
        stage: of the trial, as the following: see :data:`nas.analysis.tables.trials.COLUMNS`.
        recipe: "" for the campaign's own.
        fidelity: 0 where the searcher asked for none.
        checksum: of the split, where it is known.
    """
    parts = ("data", "task", "recipe", "evaluator")
    found = flat(with_defaults({key: specification[key] for key in parts if key in specification}))
    if recipe:
        found |= flat({"recipe": json.loads(recipe)})
    if checksum is not None:
        found["data.checksum"] = checksum
    found["stage"] = stage
    axis = specification.get("fidelity", "epochs")
    if fidelity not in (0, FULL if axis != "epochs" else found.get("recipe.epochs")):
        found[f"fidelity.{axis}"] = fidelity
    if stage == "search" and specification.get("inherit_weights"):
        found["inherit_weights"] = True
    return found


class Groups:
    """The letters of comparability groups: A for the first, and so on."""

    def __init__(self) -> None:
        self._letters: dict[str, str] = {}
        self._members: dict[str, Setting] = {}
        self._free = _letters()

    def letter(self, found: Setting) -> str:
        """Returns the letter of the group with this setting."""
        key = json.dumps(found, sort_keys=True)
        if key not in self._letters:
            self._letters[key] = next(self._free)
            self._members[self._letters[key]] = found
        return self._letters[key]

    def notes(self) -> Iterator[str]:
        """Says why rows are not ranked together, in one line per further letter."""
        (first, reference), *others = self._members.items() or [("", {})]
        for letter, found in others[:_NAMED]:
            yield f"group {letter} is not ranked with {first}: {unlike(found, reference)}"
        if len(others) > _NAMED:
            yield f"there are {len(others) - _NAMED} further groups, which differ in similar ways"


def unlike(these: Setting, those: Setting) -> str:
    """Returns the keys in which two settings differ, with both values."""
    keys = sorted(k for k in {*these, *those} if these.get(k) != those.get(k))
    parts = [f"{key} {_shown(these, key)}, not {_shown(those, key)}" for key in keys]
    return "; ".join(_some(parts)) or "nothing"


def _some(parts: Sequence[str]) -> list[str]:
    left = len(parts) - _NAMED
    return [*parts[:_NAMED], *([f"and {left} more"] if left > 0 else [])]


def _shown(found: Setting, key: str) -> str:
    value = found.get(key)
    return value if isinstance(value, str) else json.dumps(value)


def _letters() -> Iterator[str]:
    for length in count(1):
        yield from map("".join, product(ascii_uppercase, repeat=length))
