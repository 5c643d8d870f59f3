"""What networks are trained for: the targets, the loss, the metrics, and the shape of an answer."""

from pathlib import Path
from typing import cast

from nas.configuration import Named, validate_options
from nas.errors import InputError
from nas.registry import Registry, unknown
from nas.tasks.base import Task

__all__ = ["TASKS", "Task", "make"]

TASKS = Registry("task", {"classification": "nas.tasks.classification:Classification"})
"""What ``task`` of a campaign may say; the options of each are its keyword-only arguments."""


def make(given: Named, source: str | Path, where: str) -> Task:
    """The task of a name and its options.

    Raises :class:`InputError` naming the file ``source`` and the key path ``where``.
    """
    if given.name not in TASKS:
        raise InputError(f"{source}: {where}: {unknown('task', given.name, TASKS)}")
    kind = TASKS[given.name]
    return cast(Task, kind(**validate_options(kind, given.options, source, where)))
