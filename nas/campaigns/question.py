"""What recorded answers depend on: it may not change while a campaign goes on."""

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

from nas.campaigns.config import Campaign
from nas.errors import InputError
from nas.searchers import SEARCHERS
from nas.training.datasets import DATASETS


def question(campaign: Campaign) -> dict[str, Any]:
    """The campaign's question: plain JSON, every default written out.

    So a default that is spelled out is no change, and one that a new version changes is.
    Budget, baseline, final stage and engine are not in it: they do not touch what is recorded.
    """
    own = campaign.config.searcher
    return {
        "space": campaign.space_definition,
        "constraints": campaign.config.constraints.limits,
        "searcher": {"name": own.name} | _with_defaults(SEARCHERS[own.name], own.options),
        "objective": campaign.config.objective,
        "data": campaign.data.model_dump(mode="json")
        | _with_defaults(DATASETS[campaign.data.name], campaign.data.options),
        "recipe": campaign.recipe.model_dump(mode="json"),
        "seed": campaign.config.seed,
    }


def check_same(campaign: Campaign, recorded: Mapping[str, Any]) -> None:
    """:class:`InputError` with every difference, unless the campaign still asks ``recorded``."""
    before, now = _flat(recorded), _flat(question(campaign))
    changed = [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]
    if changed:
        lines = [f"  {key}: recorded {_shown(before, key)}, now {_shown(now, key)}"
                 for key in changed]  # fmt: skip
        raise InputError(
            f"{campaign.file}: asks another question than the one that records.jsonl answers:\n"
            + "\n".join(lines)
            + "\nStart a campaign in another folder, or put the recorded values back."
        )


def _with_defaults(function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    complete: dict[str, Any] = json.loads(json.dumps({**defaults, **options}))
    return complete


def _flat(tree: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(tree, Mapping):
        return {path: tree}
    return {
        key: value
        for name, branch in tree.items()
        for key, value in _flat(branch, f"{path}.{name}" if path else name).items()
    }


def _shown(flat: Mapping[str, Any], key: str) -> str:
    return json.dumps(flat[key]) if key in flat else "nothing"
