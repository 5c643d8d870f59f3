"""The settings that results depend on, which must not change when a campaign is resumed."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nas.campaigns.spec import searcher_options
from nas.campaigns.spec.campaign import Campaign
from nas.campaigns.store.defaults import PLACES, completed
from nas.campaigns.store.types import Header, given
from nas.configuration import Named, defaults
from nas.errors import InputError
from nas.searchers import SEARCHERS
from nas.spaces.choices import Options
from nas.tasks import DEFAULT, Task
from nas.training.data import DataConfig
from nas.training.datasets import DATASETS
from nas.user_code import checksums, portable, relative


def specification(campaign: Campaign) -> dict[str, Any]:
    """Returns all settings that recorded results depend on, as plain JSON with every default.

    So writing out a default is no change, but a default that a new version changes is one. Budget,
    baseline, final stage and engine are not part of it, because recorded results do not depend on
    them.
    """
    own = campaign.config.searcher
    stopping = campaign.config.early_stopping
    return {
        "space": campaign.space_definition,
        "constraints": campaign.config.constraints.definition(campaign.folder),
        "hyperparameters": {
            key: options.definition if isinstance(options, Options) else list(options)
            for key, options in campaign.config.hyperparameters.items()
        },
        "searcher": {"name": relative(own.name, campaign.folder)}
        | _with_defaults(SEARCHERS[own.name], searcher_options.own_options(own))
        | ({"initial": campaign.initial} if campaign.initial else {})
        | campaign.screening.definition(campaign.folder),
        "mutations": campaign.space.mutations.model_dump(),
        "objectives": [each.model_dump() for each in campaign.config.objectives],
        "duplicates": campaign.config.duplicates,
        "early_stopping": stopping.model_dump() if stopping else None,
        "inherit_weights": campaign.config.inherit_weights,
        "fidelity": campaign.fidelities.axis,
        "reading": campaign.frame.reading,
        **_evaluation(campaign),
        **_measured(campaign),
        "seed": campaign.config.seed,
        **({"code": code} if (code := _code(campaign)) else {}),
    }


def _code(campaign: Campaign) -> dict[str, str]:
    """Returns the checksums of all files of the user's code that the campaign uses."""
    config = campaign.config
    names = [config.space.name, *searcher_options.code(config.searcher, campaign.folder)]
    names.append(config.evaluator.name)
    names += [
        *campaign.screening.names,
        *campaign.evaluator.code,
        *(metric.name for metric in config.metrics),
    ]
    if campaign.data is not None:
        names += [campaign.data.name, str(campaign.data.options.get("function"))]
    return checksums(names, campaign.folder)


def _evaluation(campaign: Campaign) -> dict[str, Any]:
    """Returns what says how a trial is evaluated: data, recipe, time limit and evaluator."""
    found: dict[str, Any] = {}
    if campaign.data is not None:
        found["data"] = data_definition(campaign.data, campaign.folder)
    if campaign.recipe is not None:
        found["recipe"] = campaign.recipe.model_dump(mode="json")
    if (limit := campaign.config.time_limit) is not None and campaign.recipe is not None:
        found["time_limit"] = {
            "epochs": limit.epochs or campaign.recipe.epochs,
            **given(classics=limit.classics, trial_seconds=limit.trial_seconds),
        }
    if definition := campaign.evaluator.definition:
        found["evaluator"] = definition
    return found


def _measured(campaign: Campaign) -> dict[str, Any]:
    """Returns the task and the metrics that are not built in, with the checksums of their code."""
    task = task_definition(campaign.config.task, campaign.task, campaign.folder)
    metrics = campaign.metrics.definition()
    measured = {"task": task, "metrics": metrics}
    return {key: value for key, value in measured.items() if value}


def task_definition(given: Named, task: Task, folder: Path) -> dict[str, Any]:
    """Returns the task with all its options and the checksums of its code.

    It is empty for the default task without options.
    """
    options = _with_defaults(type(task), given.options)
    if given.name == DEFAULT and not options:
        return {}
    return {
        "name": relative(given.name, folder),
        **options,
        "code": checksums([given.name], folder),
    }


def check_same(campaign: Campaign, first: Header) -> None:
    """Checks that a campaign has the specification and the data of its first record.

    Raises :class:`InputError` with every difference.
    """
    if lines := changes(campaign, first.specification):
        raise InputError(
            f"{campaign.file}: is not the experiment specification that records.jsonl was made "
            "with:\n"
            + lines
            + "\nStart a campaign in another folder, or put the recorded values back."
        )
    recorded = first.data  # older records have none
    if recorded and recorded not in campaign.data_fingerprints:
        raise InputError(
            f"{campaign.file}: data: its images or labels are others than those that records.jsonl "
            f"was made with (fingerprint {campaign.data_fingerprint}, recorded {recorded}). Put "
            "the files back, or start a campaign in another folder."
        )


def changes(campaign: Campaign, recorded: Mapping[str, Any]) -> str:
    """Compares the recorded specification with the campaign's; one line per differing key path.

    Versions that did not record ``code`` recorded only the checksum of the space's own file.
    Earlier versions recorded only the names of members in ``initial``.
    """
    now = specification(campaign)
    if "code" not in recorded:
        now.pop("code", None)
    named = recorded.get("searcher", {}).get("initial")
    if named and isinstance(named, list):
        now["searcher"]["initial"] = list(campaign.initial)
    return differences(completed(recorded), completed(now))


def differences(recorded: Mapping[str, Any], present: Mapping[str, Any]) -> str:
    """Compares two specifications and returns one line per key path at which they differ."""
    before, now = flat(recorded), flat(present)
    return "\n".join(
        f"  {key}: recorded {_shown(before, key)}, now {_shown(now, key)}"
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key)
    )


def data_definition(config: DataConfig, folder: Path | None = None) -> dict[str, Any]:
    """Returns the data section with all options of the data set.

    The paths of the user's files are relative to ``folder``.
    """
    start = folder or Path()
    options = _with_defaults(DATASETS[config.name], config.options)
    places = {key: os.path.relpath(options[key], start) for key in PLACES
              if isinstance(options.get(key), str)}  # fmt: skip
    section = {**config.model_dump(mode="json"), **options, **places}
    found: dict[str, Any] = portable(section, start)
    return found


def _with_defaults(function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    complete: dict[str, Any] = json.loads(json.dumps({**defaults(function), **options}))
    return complete


def flat(tree: Any, path: str = "") -> dict[str, Any]:
    """Returns the leaves of nested mappings by key path: ``{"data.split.seed": 0}``."""
    if not isinstance(tree, Mapping):
        return {path: tree}
    return {
        key: value
        for name, branch in tree.items()
        for key, value in flat(branch, f"{path}.{name}" if path else name).items()
    }


def _shown(flat: Mapping[str, Any], key: str) -> str:
    return json.dumps(flat[key]) if key in flat else "nothing"
