"""The image data sets and their names."""

from nas.registry import Registry
from nas.training.datasets.images import Images
from nas.training.datasets.stored import Integers, Pixels, Stored

__all__ = ["DATASETS", "OFFICIAL", "Images", "Integers", "Pixels", "Stored"]

DATASETS = Registry(
    "data set",
    {
        "digits": "nas.training.datasets.digits:digits",
        "mnist": "nas.training.datasets.idx:mnist",
        "fashion_mnist": "nas.training.datasets.idx:fashion_mnist",
        "cifar10": "nas.training.datasets.cifar:cifar10",
        "cifar100": "nas.training.datasets.cifar:cifar100",
        "svhn": "nas.training.datasets.svhn:svhn",
        "folder": "nas.training.datasets.folder:folder",
        "boxes": "nas.training.datasets.boxes:boxes",
        "masks": "nas.training.datasets.masks:masks",
        "table": "nas.training.datasets.table:table",
        "arrays": "nas.training.datasets.arrays:arrays",
        "unseen": "nas.training.datasets.unseen:unseen",
        "series": "nas.training.datasets.series:series",
        "python": "nas.training.datasets.python:python",
    },
)
"""The data sets that ``data.name`` may name; their options are their keyword-only arguments."""

_OWN = {"folder", "boxes", "masks", "table", "arrays", "unseen", "series", "python"}

OFFICIAL = frozenset(DATASETS) - _OWN
"""The data sets whose content is known by their name; that of others is the user's."""
