"""What networks are trained for: the targets, the loss, the metrics, and the shape of an answer."""

from typing import cast

from nas.configuration import Named, validate_options
from nas.registry import Registry
from nas.tasks.base import Task

__all__ = ["TASKS", "Task", "make"]

TASKS = Registry("task", {"classification": "nas.tasks.classification:Classification"})
"""What ``task`` of a campaign may say; the options of each are its keyword-only arguments."""


def make(given: Named) -> Task:
    """The task of a name and its options.

    Raises :class:`InputError` where the name or an option is wrong.
    """
    kind = TASKS.find(given.name)
    return cast(Task, kind(**validate_options(kind, given.options)))
