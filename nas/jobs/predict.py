"""Classifies or segments pictures with a trained network: ``nas predict``."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from nas.boxes import likely
from nas.errors import InputError, in_file
from nas.export.pictures import OnPictures
from nas.files import open_to_read, write_output, write_whole
from nas.jobs import names as named
from nas.jobs.inputs import images_of, preprocessing_of, trained
from nas.preprocessing import Preprocessing
from nas.training.datasets import Pixels
from nas.training.datasets.files import LeftOut, pictures, shown
from nas.training.datasets.parts import Role
from nas.training.datasets.pictures import opened, put_back, read_picture
from nas.training.datasets.scaling import to_pixels

_BATCH = 64
"""How many images are classified at a time."""


class Prediction(NamedTuple):
    """What a network predicts for one picture.

    Attributes:
        file: the file; with a position, ``digits.npy[3]``, if the file holds several images.
        classes: the names of the most probable classes, the first one first; None if the outputs of
            the network are not classes.
        values: the probabilities of these classes, or all outputs of the network.
        label: the class of an image of the data set; None for other pictures.
        picture: what the network returns, uint8 [H, W] or [H, W, 3], if it is a picture. If it is
            the most probable class of each pixel, classes are the commonest ones, and values their
            shares of the pixels.
        boxes: x and y of two corners, in pixels of the picture, of each object whose class and
            probability are in ``classes`` and ``values``, if the network detects.
    """

    file: str
    classes: tuple[str, ...] | None
    values: tuple[float, ...]
    label: str | None = None
    picture: Pixels | None = None
    boxes: tuple[tuple[float, ...], ...] | None = None

    @property
    def is_right(self) -> bool:
        """Tells if the most probable class is the label."""
        return self.classes is not None and self.classes[0] == self.label

    def record(self) -> dict[str, Any]:
        """Returns it as plain JSON."""
        if self.classes is None:
            return {"file": self.file, "outputs": list(self.values)}
        found = [
            {"class": name, "probability" if self.picture is None else "share": value}
            for name, value in zip(self.classes, self.values, strict=True)
        ]
        for each, box in zip(found, self.boxes or (), strict=bool(self.boxes)):
            each["box"] = list(box)
        label = {} if self.label is None else {"label": self.label}
        return {"file": self.file, **label, "predictions": found}


def predict(
    name: str, files: Sequence[str | Path] = (), top: int = 3, part: Role | None = None
) -> tuple[list[Prediction], list[str]]:
    """Predicts the classes of pictures; also returns remarks on the network and on the files.

    Args:
        name: a reference to a trained network, see :mod:`nas.jobs.references`.
        files: pictures, folders of pictures, or ``.npy`` files with one image or several.
        top: how many classes to return for each picture.
        part: instead of files, a part of the data set on which the network was trained.

    Raises :class:`InputError` if the name is not that of a trained network with weights, or if a
    file cannot be read.
    """
    if not named.is_reference(name):
        raise InputError(
            f"{name}: must name a trained network: results/NAME:best, results/NAME:TRIAL, or a "
            "folder of nas train"
        )
    reference = named.reference(name)
    network = trained(name, reference)
    preprocessing, note = preprocessing_of(name, reference)
    notes = [note] if note else []
    model = OnPictures(network, preprocessing).eval()
    found: list[Prediction] = []
    images: Iterator[tuple[str, Pixels, int | None]] = (
        ((file, image, None) for file, image in _images(files, preprocessing, notes))
        if part is None
        else images_of(name, reference, part)
    )
    while batch := list(islice(images, _BATCH)):
        with torch.inference_mode():
            outputs = model(torch.from_numpy(np.stack([image for _, image, _ in batch])))
        for (file, _, label), output in zip(batch, outputs, strict=True):
            found.append(_prediction(file, output, preprocessing, top, label))
    return found, notes


def write(found: Sequence[Prediction], out: Path) -> None:
    """Writes predictions: numbers and boxes to a file, pictures into a folder.

    A ``.npy`` file holds a row of outputs per picture, and a ``.csv`` file also its name. Boxes are
    written to a ``.csv`` file with a row of file, class, probability and two corners each. A mask,
    whose values are the classes, or another picture that the network returns, is written as
    ``FILE.png``.

    Raises :class:`InputError` if the network predicts none of these.
    """
    if found[0].picture is not None:
        _write_pictures(found, out)
    elif found[0].classes is not None and found[0].boxes is None:
        raise InputError("--out: the network predicts neither pictures nor boxes nor numbers")
    elif out.suffix == ".csv":
        rows: list[list[Any]] = [[each.file, *each.values] for each in found]
        if found[0].boxes is not None:
            rows = [["file", "class", "probability", "xmin", "ymin", "xmax", "ymax"]]
            for each in found:
                parts = zip(each.classes or (), each.values, each.boxes or (), strict=True)
                rows += [[each.file, name, value, *box] for name, value, box in parts]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        write_output(out, text.getvalue())
    elif out.suffix == ".npy" and found[0].boxes is None:
        content = io.BytesIO()
        np.save(content, np.array([each.values for each in found], np.float32))
        write_output(out, content.getvalue())
    else:
        raise InputError(
            f"--out: must end in {'.csv' if found[0].boxes is not None else '.npy or .csv'}, got "
            f"{out}"
        )


def _write_pictures(found: Sequence[Prediction], folder: Path) -> None:
    for each in found:
        assert each.picture is not None
        folder.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        Image.fromarray(each.picture).save(content, "PNG")
        name = re.sub(r"[^\w.-]+", "_", each.file).strip("_.")
        write_whole(folder / f"{name}.png", content.getvalue())


def _prediction(
    file: str, output: torch.Tensor, preprocessing: Preprocessing, top: int, label: int | None
) -> Prediction:
    classes, mask = preprocessing.classes, None
    if preprocessing.output == "images" and preprocessing.colour is not None:
        pixels = (output * 255).round().byte().movedim(0, -1).squeeze(-1).numpy()
        return Prediction(file, None, (), picture=pixels)
    if classes is None:
        return Prediction(file, None, tuple(output.flatten().tolist()))
    if preprocessing.output == "boxes":
        return _detection(file, output, preprocessing)
    if preprocessing.output == "masks":
        mask = output.argmax(0).to(torch.uint8).numpy()
        output = torch.from_numpy(np.bincount(mask.ravel(), minlength=len(classes)) / mask.size)
    values, places = output.topk(min(top, len(classes)))
    names = tuple(classes[place] for place in places)
    truth = None if label is None else classes[label]
    return Prediction(file, names, tuple(values.tolist()), truth, mask)


def _detection(file: str, output: torch.Tensor, preprocessing: Preprocessing) -> Prediction:
    """Returns the objects that are found in a picture, in its own pixels."""
    sides = preprocessing.input_shape[1], preprocessing.input_shape[2]
    rows = likely(output, sides, preprocessing.nms or 1.0)
    corners = rows[:, :4]
    if Path(file).is_file() and preprocessing.colour is not None:
        with opened(file) as picture:
            corners = put_back(corners, picture.size, sides, preprocessing.fit)
    names = preprocessing.classes or ()
    return Prediction(
        file,
        tuple(names[int(each)] for each in rows[:, 5]),
        tuple(rows[:, 4].tolist()),
        boxes=tuple(map(tuple, corners.tolist())),
    )


def _images(
    files: Iterable[str | Path], preprocessing: Preprocessing, notes: list[str]
) -> Iterator[tuple[str, Pixels]]:
    """Yields each image with its name, by the rules of training; adds what is left out to notes."""
    for path in map(Path, files):
        for file in _in_folder(path, notes) if path.is_dir() else [path]:
            if file.suffix == ".npy":
                yield from _of_array(file, preprocessing)
            elif preprocessing.colour is None:
                raise InputError(
                    f"{shown(file)}: must be a .npy file, because the network takes arrays of "
                    f"{list(preprocessing.input_shape)} and no pictures"
                )
            else:
                channels, height, width = preprocessing.input_shape
                size = height, width
                yield shown(file), read_picture(file, channels, size, preprocessing.fit)


def _in_folder(folder: Path, notes: list[str]) -> list[Path]:
    left_out = LeftOut(folder)
    found = pictures(folder, left_out)
    notes += left_out.notes()
    if not found:
        raise InputError(f"{shown(folder)}: holds no pictures")
    return found


def _of_array(file: Path, preprocessing: Preprocessing) -> Iterator[tuple[str, Pixels]]:
    """Yields the images of a file that numpy has saved, which holds one image or several."""
    shape = preprocessing.input_shape
    with in_file(shown(file)):
        try:
            with open_to_read(file) as opened:
                held = np.load(opened, allow_pickle=False)
        except InputError:
            raise
        except Exception as error:  # a damaged file may raise any exception
            raise InputError(f"is not an array that numpy has saved: {error}") from None
        one = shape[1:] if shape[0] == 1 and held.shape[-len(shape) :] != shape else shape
        low, high = preprocessing.low, preprocessing.high
        expected, fits = str(preprocessing.dtype), held.dtype == np.uint8
        if preprocessing.dtype == "float32":
            fits = held.dtype.kind == "f"
        elif low is not None:
            expected, fits = "numbers", held.dtype.kind in "buif"
        if not fits or held.shape[-len(one) :] != one or held.ndim > len(one) + 1:
            raise InputError(
                f"is an array of {held.dtype} {list(held.shape)}; expected {expected} "
                f"{list(shape)}, or a stack of such images: {['N', *shape]}".replace("'", "")
            )
    images = held.reshape(-1, *shape)
    if low is not None and high is not None:
        images = to_pixels(images, np.array(low), np.array(high))
    images = images.astype(preprocessing.dtype, copy=False)
    for position, image in enumerate(images):
        yield shown(file) + (f"[{position}]" if held.ndim > len(one) else ""), image
