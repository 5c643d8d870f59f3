"""Reads time series of the UCR and UEA archives."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nas.configuration import Place
from nas.errors import InputError, in_file
from nas.files import read_bytes
from nas.training.datasets.images import Images, assembled, checksum
from nas.training.datasets.parts import Role

_ENDINGS = (".ts", ".ts.gz")
_PARTS: tuple[tuple[Role, str], ...] = (("train", "_TRAIN"), ("test", "_TEST"))


def series(*, root: Place) -> Images:
    """Series in ``root_TRAIN.ts`` and ``root_TEST.ts``, an official test part, packed or not.

    The form is that of the UCR and UEA archives (Bagnall et al. 2018, arXiv:1811.00075): a line per
    series, with a colon between channels and before the class. All series have one length, and no
    value is missing.

    Args:
        root: the files without ``_TRAIN.ts``: ``series/GunPoint``.
    """
    held: list[npt.NDArray[np.float32]] = []
    labels: list[str] = []
    counts: dict[Role, int] = {}
    for role, name in _PARTS:
        path = _file(Path(root), name)
        with in_file(path):
            values, truth = _read(path)
        if held and values.shape[1:] != held[0].shape[1:]:
            raise InputError(
                f"{path}: has series of {list(values.shape[1:])} (channels, length), the training "
                f"part of {list(held[0].shape[1:])}"
            )
        held.append(values)
        labels += truth
        counts[role] = len(truth)
    found = np.concatenate(held)
    digests = [checksum(each.tobytes()) for each in found]
    return assembled(found, labels, counts, root, digests=digests)


def series_root(path: Path) -> Path | None:
    """Returns the root of a file of series, or of those in a folder; None if it is neither.

    Raises :class:`InputError` for a folder with several data sets.
    """
    files = path.iterdir() if path.is_dir() else [path]
    roots = sorted({
        file.with_name(file.name.removesuffix(f"{name}{ending}"))
        for file in files for _, name in _PARTS for ending in _ENDINGS
        if file.name.endswith(f"{name}{ending}")
    })  # fmt: skip
    if len(roots) > 1:
        found = ", ".join(root.name for root in roots[:5])
        raise InputError(f"{path}: has several data sets, {found}: name a file of one of them")
    return roots[0] if roots else None


def _file(root: Path, name: str) -> Path:
    for ending in _ENDINGS:
        if (path := root.with_name(f"{root.name}{name}{ending}")).is_file():
            return path
    raise InputError(f"{root}{name}.ts: No such file, and none that ends in .gz")


def _read(path: Path) -> tuple[npt.NDArray[np.float32], list[str]]:
    """Returns the series of a file, [N, C, L], and their classes."""
    content = read_bytes(path)
    try:
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"is damaged: {error}") from None
    _, found, rest = text.partition("@data")
    lines = [line for line in rest.splitlines() if line.strip()]
    if not found or not lines:
        raise InputError("has no series behind a line @data")
    values: list[npt.NDArray[np.float32]] = []
    labels: list[str] = []
    for number, line in enumerate(lines, start=1):
        *channels, label = line.split(":")
        try:
            one = [[float(value) for value in channel.split(",")] for channel in channels]
        except ValueError as error:
            raise InputError(f"series {number}: {error}; every value must be a number") from None
        shape = {len(one), *map(len, one)} if not one else {len(channel) for channel in one}
        if len(shape) != 1 or (values and np.shape(one) != values[0].shape):
            raise InputError(
                f"series {number}: has {len(one)} channels of length "
                f"{', '.join(map(str, sorted(shape)))}; all series must have one number of "
                "channels and one length"
            )
        values.append(np.array(one, np.float32))
        labels.append(label.strip())
    if not np.isfinite(values).all():
        raise InputError("holds values that are no finite numbers")
    return np.stack(values), labels
