"""Reads a folder of pictures whose labels are in a table."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nas.configuration import Place
from nas.errors import InputError, in_file
from nas.files import read_bytes
from nas.training.datasets.files import folders, shown
from nas.training.datasets.folder import Listing, read_later
from nas.training.datasets.images import Images, Resolution
from nas.training.datasets.labels import numbered
from nas.training.datasets.parts import Role, arranged
from nas.training.datasets.pictures import Fit
from nas.training.datasets.stored import MEMORY_GB, Gigabytes

_NAME = "labels.csv"
_EXPECTED = (
    "a first line with names; then lines with a file and its classes, as in a.png,cat;dog, or with "
    "a file and a number per column"
)


def table(
    *,
    root: Place,
    resolution: Resolution = None,
    colour: Literal["rgb", "grey"] = "rgb",
    memory_gb: Gigabytes = MEMORY_GB,
    fit: Fit = "crop",
) -> Images:
    """Pictures whose labels are in ``root/labels.csv``, or in ``root/train/labels.csv`` and so on.

    The first line has the names of the columns. The first column is the path of a picture, from the
    folder of the table. If there is one other column, which holds names, these are the classes of
    the picture, separated by semicolons, and none if it is empty; if every picture has one, they
    are ordinary classes. Otherwise all other columns are numbers: 1 for the classes of the picture
    and 0 for others, or values.

    Args:
        root: the folder.
        resolution: the side of the images in pixels; null keeps the size, which must then be the
            same for all. Values stay as they are.
        colour: whether images have three channels or one.
        memory_gb: pictures that need more memory than this, in 10^9 bytes, stay on the disk.
        fit: ``crop`` cuts the middle out of a picture that is not square; ``squeeze`` distorts it.
    """
    top = Path(root)
    parts: dict[Role, Path] = {"train": top}
    if not (top / _NAME).is_file():
        inner = {path.name: path for path in folders(top)} if top.is_dir() else {}
        if not inner:
            raise InputError(f"{shown(top / _NAME)}: No such file; expected {_EXPECTED}")
        parts = arranged(inner, shown(top))
    paths: list[Path] = []
    rows: list[list[str]] = []
    counts: dict[Role, int] = {}
    header: list[str] = []
    for part, place in parts.items():
        with in_file(shown(place / _NAME)):
            columns, *lines = _lines(place / _NAME)
            if header and columns != header:
                raise InputError(f"has the columns {columns}; the training part has {header}")
            header = columns
            for number, (file, *row) in enumerate(lines, start=2):
                if not (place / file).is_file():
                    raise InputError(f"line {number}: there is no picture {file}")
                paths.append(place / file)
                rows.append(row)
        counts[part] = len(lines)
    with in_file(shown(top / _NAME)):
        held, names = _labels(rows, header[1:])
    labels, classes, own = numbered(held, shown(top))
    listed = Listing(top, paths, [], names or own or (), counts, ())
    return read_later(listed, labels, classes, resolution, colour, memory_gb, fit)


def _lines(path: Path) -> list[list[str]]:
    try:
        lines = [*csv.reader(read_bytes(path).decode("utf-8-sig").splitlines())]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"is no table: {error}; expected {_EXPECTED}") from None
    lines = [[cell.strip() for cell in line] for line in lines if line]
    for number, line in enumerate(lines, start=1):
        if len(line) != len(lines[0]) or len(line) < 2:
            raise InputError(
                f"line {number}: has {len(line)} columns, the first line {len(lines[0])}; expected "
                f"{_EXPECTED}"
            )
    if len(lines) < 2:
        raise InputError(f"holds no pictures; expected {_EXPECTED}")
    return lines


def _labels(rows: list[list[str]], columns: list[str]) -> tuple[list[Any], tuple[str, ...]]:
    """Returns the label of each picture, and the names of the classes if it has several."""
    try:
        numbers = np.array(rows, dtype=np.float64)
    except ValueError as error:
        if len(columns) > 1:
            raise InputError(f"{error}; expected {_EXPECTED}") from None
        lists = [[name.strip() for name in row[0].split(";") if name.strip()] for row in rows]
        if all(len(each) == 1 for each in lists):
            return [name for (name,) in lists], ()
        names = tuple(sorted({name for each in lists for name in each}))
        return [np.array([name in each for name in names]) for each in lists], names
    if len(columns) > 1 and np.isin(numbers, (0, 1)).all():
        return [*(numbers > 0)], tuple(columns)
    return [*numbers], ()
