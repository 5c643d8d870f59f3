"""Forms comparability groups: only rows that were measured in the same way are ranked together."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import count, product
from string import ascii_uppercase
from typing import Any

from nas.campaigns.spec.fidelity import FULL
from nas.campaigns.spec.specification import flat
from nas.campaigns.store.defaults import with_defaults
from nas.training.datasets import OFFICIAL

Setting = dict[str, Any]
"""The settings that all rows of a comparability group share: plain JSON by key path, as in an
experiment specification."""

_RETRAINED = ("training", "proxy", "supernet", "gradient")
"""The evaluators whose final stage is a training by the recipe, whatever the search measured."""
_NAMED = 6
"""The largest number of differences that a note names."""


def setting(
    specification: Mapping[str, Any],
    stage: str,
    recipe: str = "",
    fidelity: int = 0,
    checksum: str | None = None,
    images: str | None = None,
) -> Setting:
    """Returns the settings that must be equal for two results to be ranked together.

    These are the data, their split, the task, the recipe (or the table that was looked up) and the
    stage. The stage matters because the best result of a search has been selected, and may come
    from a lower fidelity or from inherited weights. In the final stage, it does not matter how the
    search evaluated.

    Args:
        specification: the recorded specification of the campaign.
        stage: the stage of the trial: see :data:`nas.analysis.tables.trials.COLUMNS`.
        recipe: the trial's own recipe as JSON; "" for the campaign's.
        fidelity: the fidelity of the trial; 0 if the searcher sets none.
        checksum: the checksum of the split, if it is known.
        images: the fingerprint of the data set, if it is known; it counts for the user's own
            images, because those of official data sets are known by their name.
    """
    parts = ("data", "task", "recipe", "evaluator")
    found = flat(with_defaults({key: specification[key] for key in parts if key in specification}))
    if stage == "final" and found.get("evaluator.name") in _RETRAINED:
        found = {key: value for key, value in found.items() if not key.startswith("evaluator.")}
    if recipe:
        found |= flat({"recipe": json.loads(recipe)})
    if checksum is not None:
        found["data.checksum"] = checksum
    if images and "data.name" in found and found["data.name"] not in OFFICIAL:
        found["data.images"] = images
    found["stage"] = stage
    if stage == "final" and "time_limit" in specification:
        found |= flat({"time_limit": specification["time_limit"]})
    axis = specification.get("fidelity", "epochs")
    if fidelity not in (0, FULL if axis != "epochs" else found.get("recipe.epochs")):
        found[f"fidelity.{axis}"] = fidelity
    if stage == "search" and specification.get("inherit_weights"):
        found["inherit_weights"] = True
    return found


class Groups:
    """Gives each comparability group a letter: A for the first, and so on."""

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
        """Yields, for each group after the first, one line with its differences from the first."""
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
