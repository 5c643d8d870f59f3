"""Reads a folder of pictures and the boxes around their objects: COCO, Pascal VOC or YOLO."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np

from nas.configuration import Place
from nas.errors import InputError, in_file
from nas.files import parse_json, read_text
from nas.training.datasets.files import LeftOut, folders, pictures, shown
from nas.training.datasets.folder import Listing, read_later
from nas.training.datasets.images import Images, Resolution
from nas.training.datasets.objects import Objects, notes, padded
from nas.training.datasets.parts import ROLES, Role, role, words_of
from nas.training.datasets.pictures import Fit, opened, with_boxes
from nas.training.datasets.stored import MEMORY_GB, Gigabytes
from nas.yaml_files import parse_yaml

Names = tuple[str, ...] | None
Annotated = dict[Path, tuple[Role, Objects]]
"""The part and the objects of each picture."""


def boxes(
    *,
    root: Place,
    resolution: Resolution = None,
    colour: Literal["rgb", "grey"] = "rgb",
    memory_gb: Gigabytes = MEMORY_GB,
    fit: Fit = "squeeze",
) -> Images:
    """Pictures with boxes, annotated as in COCO, Pascal VOC or YOLO, wherever they are in ``root``.

    - COCO: ``.json`` files with ``images``, ``annotations`` and ``categories``. Crowds are left
      out.
    - Pascal VOC: an ``.xml`` file per picture, whose pixels are counted from 1. Parts are in
      ``ImageSets/Main/train.txt`` and so on.
    - YOLO: for each picture in ``images/`` a ``.txt`` file of its name in ``labels/``; names in
      ``data.yaml``. Pictures without a file have no objects.

    Parts are official ones if the annotation file, or a folder on the way to it, has the name of a
    part, see :mod:`nas.training.datasets.parts`. Boxes are cut to their pictures; those of no area
    are left out, with a note. Pictures are decoded later.

    Args:
        root: the folder.
        resolution: the side of the images in pixels; null keeps the size, which must then be the
            same for all.
        colour: whether images have three channels or one.
        memory_gb: pictures that need more memory than this, in 10^9 bytes, stay on the disk.
        fit: ``squeeze`` distorts pictures that are not square; ``crop`` cuts out their middle, and
            leaves out boxes of which less than a quarter is left.
    """
    top = Path(root)
    if not top.is_dir():
        raise InputError(f"{shown(top)}: is not a folder; expected one with pictures and boxes")
    paths = pictures(top, LeftOut(top))
    if not paths:
        raise InputError(f"{shown(top)}: holds no pictures")
    form = form_of(top)
    if form is None:
        raise InputError(
            f"{shown(top)}: holds no boxes: expected .json files of COCO, .xml files of Pascal "
            "VOC, or a folder labels with .txt files of YOLO"
        )
    annotated, names = _FORMS[form](top, paths)
    size = None if resolution is None else (resolution, resolution)
    counts: dict[Role, int] = {}
    chosen: list[Path] = []
    every: list[Objects] = []
    for part in ROLES:
        for path, (belongs, found) in sorted(annotated.items()):
            if belongs == part:
                with opened(path) as picture:
                    width, height = picture.size
                with in_file(shown(path)):
                    every.append(with_boxes(found, (height, width), size, fit))
                chosen.append(path)
                counts[part] = counts.get(part, 0) + 1
    if "train" not in counts:
        raise InputError(f"{shown(top)}: has {' and '.join(counts)} pictures, but no train part")
    labels, classes, names = padded(every, shown(top), names)
    listed = Listing(top, chosen, [], names or (), counts, notes(every))
    return read_later(listed, labels, classes, resolution, colour, memory_gb, fit)


def form_of(top: Path) -> str | None:
    """Tells in which form a folder has boxes; None if it has none.

    Only the folder and those in it are looked at, because there may be millions of pictures.
    """
    near = [top, *folders(top)]
    if any(_coco_files(top)):
        return "coco"
    inner = [each / "Annotations" for each in near]
    told = next((path for each in [*near, *inner] for path in each.glob("*.xml")), None)
    if told is not None and "<annotation" in read_text(told):
        return "voc"
    if any((each / "labels").is_dir() and (each / "images").is_dir() for each in near):
        return "yolo"
    return None


def _part(path: Path, top: Path) -> Role:
    """Returns the part that a path names, or the training part."""
    for name in (*path.relative_to(top).parent.parts, *words_of(path.stem)):
        if (found := role(name)) is not None:
            return found
    return "train"


def _coco_files(top: Path) -> Iterator[Path]:
    """Yields the files of annotations in a folder, its sub-folders and ``annotations/``."""
    for path in sorted([*top.glob("*.json"), *top.glob("*/*.json")]):
        with path.open("rb") as file:
            start = file.read(1_000_000)
        if b'"images"' in start or b'"annotations"' in start:
            yield path


def _coco(top: Path, paths: list[Path]) -> tuple[Annotated, Names]:
    by_name: dict[str, list[Path]] = {}
    for path in paths:
        by_name.setdefault(path.name, []).append(path)
    found: Annotated = {}
    known: dict[int, str] = {}
    for file in _coco_files(top):
        part = _part(file, top)
        with in_file(shown(file)):
            try:
                held = parse_json(file.read_bytes())
                known |= {each["id"]: str(each["name"]) for each in held["categories"]}
                files = {each["id"]: str(each["file_name"]) for each in held["images"]}
                rows: dict[Any, list[Any]] = {each: [] for each in files}
                for each in held["annotations"]:
                    if not each.get("iscrowd"):
                        rows[each["image_id"]].append((each["category_id"], each["bbox"]))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise InputError(
                    f"is no file of COCO's annotations: {type(error).__name__}: {error}"
                ) from None
            for key, name in files.items():
                path = _picture(name, by_name.get(Path(name).name, []), part, top)
                with in_file(name):
                    classes = [known.get(kind, kind) for kind, _ in rows[key]]
                    if unknown := [each for each in classes if not isinstance(each, str)]:
                        raise InputError(f"has a box of the unknown category {unknown[0]!r}")
                    corners = _numbers([box for _, box in rows[key]])
                    corners[:, 2:] += corners[:, :2]
                    found[path] = part, Objects(corners, classes)
    return found, tuple(known[key] for key in sorted(known))


def _picture(name: str, candidates: list[Path], part: Role, top: Path) -> Path:
    """Returns the picture of a name; of several, the one in a folder of the part."""
    here = [path for path in candidates if path.as_posix().endswith(f"/{name}")] or candidates
    if len(here) > 1:
        here = [path for path in here if _part(path, top) == part]
    if len(here) != 1:
        raise InputError(f"names {name}, of which there are {len(here)} pictures in {shown(top)}")
    return here[0]


def _voc(top: Path, paths: list[Path]) -> tuple[Annotated, Names]:
    lists: dict[str, Role] = {}
    for file in sorted(top.glob("**/ImageSets/Main/*.txt")):
        if (part := role(file.stem)) is not None:
            lists |= dict.fromkeys((line.split()[0] for line in _lines(file)), part)
    by_stem = {path.stem: path for path in paths}
    found: Annotated = {}
    for file in sorted(top.rglob("*.xml")):
        if lists and file.stem not in lists:
            continue
        with in_file(shown(file)):
            try:
                held = ElementTree.fromstring(read_text(file))
            except ElementTree.ParseError as error:
                raise InputError(f"is no XML: {error}") from None
            if (path := by_stem.get(file.stem)) is None:
                raise InputError(f"there is no picture {file.stem} in {shown(top)}")
            classes, rows = [], []
            for each in held.iter("object"):
                classes.append(each.findtext("name", "").strip())
                sides = ("xmin", "ymin", "xmax", "ymax")
                rows.append([each.findtext(f"bndbox/{side}", "") for side in sides])
            corners = _numbers(rows) - (1, 1, 0, 0)
            found[path] = lists.get(file.stem) or _part(file, top), Objects(corners, classes)
    if lost := sorted(lists.keys() - {path.stem for path in found}):
        raise InputError(f"{shown(top)}: {lost[0]} is in ImageSets, but has no .xml file")
    return found, None


def _yolo(top: Path, paths: list[Path]) -> tuple[Annotated, Names]:
    found: Annotated = {}
    for path in paths:
        inner = ["labels" if name == "images" else name for name in path.relative_to(top).parts]
        file = top.joinpath(*inner).with_suffix(".txt")
        rows = [line.split() for line in _lines(file)] if file.is_file() else []
        with in_file(shown(file)):
            if wrong := [row for row in rows if len(row) != 5]:
                raise InputError(
                    f"has a line of {len(wrong[0])} values; expected class, x and y of the centre, "
                    "width and height"
                )
            values = _numbers([row[1:] for row in rows])
            if rows and not (values.min() >= 0 and values.max() <= 1):
                raise InputError("holds values outside of 0 to 1, the fractions of the picture")
            classes = [_whole(row[0]) for row in rows]
        with opened(path) as picture:
            values *= picture.size * 2
        half = values[:, 2:] / 2
        corners = np.hstack([values[:, :2] - half, values[:, :2] + half])
        found[path] = _part(path, top), Objects(corners, classes)
    return found, _yolo_names(top)


def _yolo_names(top: Path) -> Names:
    for file in sorted([*top.glob("*.yaml"), *top.glob("*.yml")]):
        held = parse_yaml(read_text(file), shown(file))
        names = held.get("names") if isinstance(held, Mapping) else None
        if isinstance(names, Mapping):
            names = [names[key] for key in sorted(names)]
        if isinstance(names, list):
            return tuple(map(str, names))
    file = top / "classes.txt"
    return tuple(_lines(file)) if file.is_file() else None


def _lines(file: Path) -> list[str]:
    return [line.strip() for line in read_text(file).splitlines() if line.strip()]


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise InputError(f"holds the class {text!r}; expected a whole number from 0")
    return int(text)


def _numbers(rows: list[Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Returns four numbers per row, [n, 4]."""
    try:
        return np.array(rows, np.float64).reshape(len(rows), 4)
    except (TypeError, ValueError):
        wrong = next((row for row in rows if not _is_four(row)), rows)
        raise InputError(f"holds the box {wrong}; expected four numbers") from None


def _is_four(row: Any) -> bool:
    try:
        return np.array(row, np.float64).shape == (4,)
    except (TypeError, ValueError):
        return False


_FORMS = {"coco": _coco, "voc": _voc, "yolo": _yolo}
