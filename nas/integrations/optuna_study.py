"""Writes a campaign as Optuna studies, for optuna-dashboard and ``optuna.visualization``."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna

from nas.analysis.tables.trials import recorded
from nas.campaigns.store.types import Ask
from nas.errors import CampaignError, InputError
from nas.files import output
from nas.integrations.optuna_trials import frozen_trials, quiet
from nas.metrics import METRICS

_DEFAULT = [{"metric": METRICS.validation, "direction": METRICS.primary.direction}]
"""The objectives of records that tell none."""


def optuna_studies(folder: Path, storage: str) -> list[str]:
    """Writes one study per search of a campaign; returns their names, ``FOLDER-SEARCH``.

    The choices of a trial's genotype become categorical parameters, whose options are those that
    the campaign has tried. The objectives become the values, the first objective after each epoch
    the intermediate values, and everything else in the records user attributes. Duplicates, which
    were not evaluated, are left out.

    Args:
        folder: the folder of the campaign.
        storage: a storage URL of Optuna, or the path of a SQLite file.

    Raises :class:`InputError` if there are no records, if the storage cannot be opened, or if it
    already holds a study of the same name.
    """
    _, history = recorded(folder)
    objectives = history.header.specification.get("objectives", _DEFAULT)
    searches: dict[str, list[Ask]] = {}
    for ask in history.evaluated:
        if ask.stage == "search":
            searches.setdefault(ask.search, []).append(ask)
    names = {search: f"{folder.resolve().name}-{search}" for search in searches}
    with quiet(), _url(storage) as url:
        opened = _opened(url, storage)
        if taken := set(optuna.get_all_study_names(opened)) & set(names.values()):
            raise InputError(f"--out: {storage}: already holds a study {min(taken)}")
        metrics = [objective["metric"] for objective in objectives]
        directions = [objective["direction"] for objective in objectives]
        try:
            for search, asks in searches.items():
                study = optuna.create_study(
                    storage=opened, study_name=names[search], directions=directions
                )
                study.set_metric_names(metrics)
                study.add_trials(list(frozen_trials(asks, history, metrics)))
        except optuna.exceptions.StorageInternalError as error:
            reason = str(error.__cause__ or error).partition("\n")[0]
            raise CampaignError(f"{storage}: cannot be written: {reason}") from None
    return list(names.values())


@contextmanager
def _url(storage: str) -> Iterator[str]:
    """Yields a URL to write to; a file takes its place only when all studies are in it."""
    if "://" in storage:
        yield storage
        return
    path = Path(storage)
    with output(path) as temporary:
        if path.is_file():
            shutil.copyfile(path, temporary)
        yield f"sqlite:///{temporary}"


def _opened(url: str, storage: str) -> Any:
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return optuna.storages.get_storage(url)
    except (SQLAlchemyError, ImportError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"--out: {storage}: cannot be opened by Optuna: {reason}") from None
