"""What a recorded specification means: keys that its version did not have stand for their defaults.

A specification is recorded with every default written out, so that a recorded value stays what it
was, even if a later version has another default. A key that is not recorded is one that a later
version has added, with a default that leaves results as they were. So two specifications are
compared after both have been completed.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from nas.configuration import defaults
from nas.evaluators.tabular import TabularOptions
from nas.searchers import SEARCHERS
from nas.training.datasets import DATASETS
from nas.training.recipe import Recipe, with_all_options
from nas.training.splitting import SplitConfig

Json = dict[str, Any]

PLACES = ("root", "path", "memory_gb")
"""The options of a data set that do not change its images."""

EARLIER = {
    "duplicates": "evaluate",  # the only one of these that was no default when it was added
    "early_stopping": None,
    "fidelity": "epochs",
    "inherit_weights": False,
    "reading": "image",
    "mutations": {"weights": {"choice": 1.0}, "neutral": "keep", "draws": 10_000},
}
"""What campaigns did before a specification had these keys."""


def completed(specification: Mapping[str, Any]) -> Json:
    """A campaign's recorded specification with the keys that later versions have added."""
    found = {**EARLIER, **with_defaults(specification)}
    searcher = found.get("searcher")
    if isinstance(searcher, Mapping) and searcher.get("name") in SEARCHERS:
        complete = {**_options(SEARCHERS[searcher["name"]]), **searcher}
        if complete.get("initial") == []:  # which earlier versions recorded for no members
            del complete["initial"]
        found["searcher"] = complete
    return found


def recorded_specification(resolved: Mapping[str, Any]) -> Json:
    """Returns the specification in a ``resolved.json``; versions before schema 3 call it question.

    Raises :class:`KeyError` if there is none.
    """
    found: Json = resolved["specification" if "specification" in resolved else "question"]
    return found


def with_defaults(specification: Mapping[str, Any]) -> Json:
    """Returns what decides if results are comparable, with keys that later versions have added.

    These are the sections data, recipe and evaluator, of a campaign or of a training. The places of
    files are left out, because data sets are compared by their content.
    """
    found = dict(specification)
    recipe, data = found.get("recipe"), found.get("data")
    if isinstance(recipe, Mapping):
        found["recipe"] = {**_RECIPE, **with_all_options(recipe)}
    if isinstance(data, Mapping):
        known = _options(DATASETS[data["name"]]) if data.get("name") in DATASETS else {}
        split = {**_SPLIT, **data.get("split", {})}
        found["data"] = _without_places({**known, **data, "split": split})
    evaluator = found.get("evaluator")
    if isinstance(evaluator, Mapping):
        found["evaluator"] = {**_EVALUATORS.get(evaluator.get("name", ""), {}), **evaluator}
    return found


def _without_places(data: Mapping[str, Any]) -> Json:
    """Returns a section data without the places of its files, and how they are kept in memory."""
    found = {key: value for key, value in data.items() if key not in PLACES}
    if isinstance(function := found.get("function"), str):
        found["function"] = function.rpartition("/")[2]
    return found


def _options(function: Callable[..., Any]) -> Json:
    found: Json = json.loads(json.dumps(defaults(function)))
    return found


def _fields(model: Any) -> Json:
    fields = model.model_fields.items()
    made = {name: field.get_default(call_default_factory=True) for name, field in fields
            if not field.is_required()}  # fmt: skip
    found: Json = json.loads(json.dumps(made))
    return found


_RECIPE, _SPLIT = map(_fields, (Recipe, SplitConfig))
_EVALUATORS = {"tabular": _fields(TabularOptions), "supernet": {"affine": True}}
"""The options that later versions have added to evaluators."""
