"""Tasks: what networks are trained for, that is targets, loss, metrics and output shape."""

from typing import cast

from nas.configuration import Named, validate_options
from nas.registry import Registry
from nas.tasks.base import Task

__all__ = ["DEFAULT", "TASKS", "Task", "make"]

DEFAULT = "classification"

TASKS = Registry(
    "task",
    {
        DEFAULT: "nas.tasks.classification:Classification",
        "segmentation": "nas.tasks.segmentation:Segmentation",
        "embedding": "nas.tasks.embedding:Embedding",
        "detection": "nas.tasks.detection:Detection",
        "landmarks": "nas.tasks.landmarks:Landmarks",
        "multilabel": "nas.tasks.multilabel:MultiLabel",
        "reconstruction": "nas.tasks.reconstruction:Reconstruction",
        "regression": "nas.tasks.regression:Regression",
    },
    subclass_of="nas.tasks.base:Task",
)
"""The tasks that a campaign may name; their options are their keyword-only arguments."""


def make(given: Named) -> Task:
    """The task of a name and its options.

    Raises :class:`InputError` where the name or an option is wrong.
    """
    kind = TASKS.find(given.name)
    return cast(Task, kind(**validate_options(kind, given.options)))
