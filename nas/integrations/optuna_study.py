"""A campaign as Optuna studies, which optuna-dashboard and ``optuna.visualization`` open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna

from nas.analysis.optuna_trials import frozen_trials, quiet
from nas.analysis.tables.trials import recorded
from nas.campaigns.store.log import Record
from nas.errors import InputError

_DEFAULT = [{"metric": "validation_accuracy", "direction": "maximize"}]


def optuna_studies(folder: Path, storage: str) -> list[str]:
    """Writes a study for each search of a campaign; returns their names, ``FOLDER-SEARCH``.

    A trial has the choices of its genotype as categorical parameters over what the campaign has
    tried of each, the objectives as values, the first objective after each epoch as intermediate
    values, and what else the records tell as user attributes. Duplicates, which no evaluation
    stands behind, are left out.

    Args:
        folder: of the campaign.
        storage: a URL of Optuna's, or a file, for SQLite.

    Raises :class:`InputError` where there are no records, the storage cannot be opened, or holds
    a study of such a name.
    """
    records, history = recorded(folder)
    objectives = records[0]["question"].get("objectives", _DEFAULT)
    url = storage if "://" in storage else f"sqlite:///{storage}"
    searches: dict[str, list[Record]] = {}
    for ask in history.evaluated:
        if ask["stage"] == "search":
            searches.setdefault(ask["search"], []).append(ask)
    names = {search: f"{folder.resolve().name}-{search}" for search in searches}
    with quiet():
        opened = _opened(url, storage)
        if taken := set(optuna.get_all_study_names(opened)) & set(names.values()):
            raise InputError(f"--out: {storage}: holds a study {min(taken)} already")
        for search, asks in searches.items():
            study = optuna.create_study(
                storage=opened,
                study_name=names[search],
                directions=[objective["direction"] for objective in objectives],
            )
            metrics = [objective["metric"] for objective in objectives]
            study.set_metric_names(metrics)
            study.add_trials(list(frozen_trials(asks, history, metrics)))
    return list(names.values())


def _opened(url: str, storage: str) -> Any:
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return optuna.storages.get_storage(url)
    except (SQLAlchemyError, ImportError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"--out: {storage}: cannot be opened by Optuna: {reason}") from None
