"""Images with boxes: every form gives the same ones, and says what does not fit."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas.errors import InputError
from nas.training.data import Loaded, resolve
from nas.training.datasets import DATASETS
from nas.training.datasets.look import propose
from nas.training.datasets.python import as_images
from nas.training.splitting import completed, split

NAMES = ("cat", "dog")
PARTS = {"train": 4, "test": 2}
SIZE = (40, 20)

Held = dict[str, list[tuple[Image.Image, list[tuple[int, list[int]]]]]]


def drawn() -> Held:
    """Pictures of 40x20 and their objects; of each part, one picture has none."""
    rng = np.random.default_rng(0)
    held: Held = {}
    for part, number in PARTS.items():
        held[part] = []
        for place in range(number):
            picture = Image.fromarray(rng.integers(0, 256, (20, 40, 3), dtype=np.uint8))
            objects = [
                (int(kind), [int(x), int(y), int(x + w), int(y + h)])
                for kind, x, y, w, h in zip(
                    rng.permutation([0, 1, 1]), *rng.integers(0, (20, 10), (3, 2)).T,
                    *rng.integers(4, (20, 10), (3, 2)).T, strict=True,
                )
            ]  # fmt: skip
            held[part].append((picture, objects if place else []))
    return held


def coco(top: Path, held: Held) -> Path:
    (top / "annotations").mkdir(parents=True)
    for part, rows in held.items():
        (top / f"{part}2017").mkdir()
        told: dict[str, Any] = {
            "images": [{"id": n, "file_name": f"{n}.png"} for n in range(len(rows))],
            "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}],
            "annotations": [{"image_id": 1, "category_id": 3, "bbox": [0, 0, 9, 9], "iscrowd": 1}],
        }
        for number, (picture, objects) in enumerate(rows):
            picture.save(top / f"{part}2017" / f"{number}.png")
            told["annotations"] += [
                {"image_id": number, "category_id": (3, 7)[kind],
                 "bbox": [x, y, right - x, below - y], "iscrowd": 0}
                for kind, (x, y, right, below) in objects
            ]  # fmt: skip
        (top / "annotations" / f"instances_{part}2017.json").write_text(json.dumps(told))
    return top


def voc(top: Path, held: Held) -> Path:
    for inner in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (top / inner).mkdir(parents=True)
    for part, rows in held.items():
        stems = []
        for number, (picture, objects) in enumerate(rows):
            stems.append(f"{part}_{number}")
            picture.save(top / "JPEGImages" / f"{stems[-1]}.png")
            inner = "".join(
                f"<object><name>{NAMES[kind]}</name><bndbox><xmin>{x + 1}</xmin><ymin>{y + 1}"
                f"</ymin><xmax>{right}</xmax><ymax>{below}</ymax></bndbox></object>"
                for kind, (x, y, right, below) in objects
            )
            (top / "Annotations" / f"{stems[-1]}.xml").write_text(
                f"<annotation>{inner}</annotation>"
            )
        (top / "ImageSets" / "Main" / f"{part}.txt").write_text("\n".join(stems) + "\n")
    return top


def yolo(top: Path, held: Held) -> Path:
    for part, rows in held.items():
        for kind in ("images", "labels"):
            (top / kind / part).mkdir(parents=True)
        for number, (picture, objects) in enumerate(rows):
            picture.save(top / "images" / part / f"{number}.png")
            lines = [
                f"{kind} {(x + x1) / 80} {(y + y1) / 40} {(x1 - x) / 40} {(y1 - y) / 20}"
                for kind, (x, y, x1, y1) in objects
            ]
            if lines:
                (top / "labels" / part / f"{number}.txt").write_text("\n".join(lines))
    (top / "data.yaml").write_text("names: {0: cat, 1: dog}\n")
    return top


FORMS = {"coco": coco, "voc": voc, "yolo": yolo}


@pytest.mark.parametrize("resolution", [None, 10])
@pytest.mark.parametrize("fit", ["crop", "squeeze"])
def test_every_form_gives_the_same_boxes(tmp_path: Path, resolution: int | None, fit: str) -> None:
    held = drawn()
    found = [
        DATASETS["boxes"](root=str(write(tmp_path / name, held)), resolution=resolution, fit=fit)
        for name, write in FORMS.items()
    ]
    as_torchvision = {
        part: [
            (picture, {"boxes": [box for _, box in rows], "labels": [kind for kind, _ in rows]})
            for picture, rows in each
        ]
        for part, each in held.items()
    }
    as_hugging_face = {
        part: [
            {"image": picture,
             "objects": {"bbox": [[x, y, right - x, below - y] for _, (x, y, right, below) in rows],
                         "category": [NAMES[kind] for kind, _ in rows]}}
            for picture, rows in each
        ]
        for part, each in held.items()
    }  # fmt: skip
    for made in (as_torchvision, as_hugging_face):
        found.append(as_images(made, "f", resolution, fit=fit))  # type: ignore[arg-type]
    for each in found:
        assert each.kind == "boxes"
        assert (each.classes, each.official_test, len(each.labels)) == (2, 2, 6)
        assert each.names in (NAMES, None)
        assert np.allclose(each.labels, found[0].labels, atol=1e-5)
        assert "2 images without boxes, where nothing is to be found" in each.notes
    rows = held["train"][1][1]
    first = found[0].labels[1]
    if resolution is None:
        expected = [
            [x, y, min(right, 40), min(below, 20), kind] for kind, (x, y, right, below) in rows
        ]
        assert np.allclose(first[: len(rows)], expected)
    elif fit == "squeeze":
        assert np.allclose(first[0, :2], np.array(rows[0][1][:2]) / (4, 2), atol=1e-5)
    assert first[..., [0, 2]].max() <= found[0].input_shape[2]


def test_a_box_is_around_the_same_pixels_at_another_size() -> None:
    """A white rectangle, cropped and scaled by half, is where its box is."""
    image = np.zeros((40, 80), np.uint8)
    image[12:24, 30:50] = 255
    label = {"boxes": [[30, 12, 50, 24], [0, 0, 22, 10]], "labels": [1, 0]}
    other = {"boxes": [[30, 12, 50, 24]], "labels": [0]}
    found = as_images([(image, label), (image, label), (image, other)], "f", 20, fit="crop")
    assert found.labels[0, 0].tolist() == [5, 6, 15, 12, 1]
    white = np.argwhere(found.images[0][0] > 127)
    assert white.min(0).tolist() == [6, 5]
    assert (white.max(0) + 1).tolist() == [12, 15]
    assert "2 boxes left out: no area, or mostly cut off" in found.notes


@pytest.mark.parametrize("name", FORMS)
def test_a_folder_is_recognised(tmp_path: Path, name: str) -> None:
    found = propose(FORMS[name](tmp_path / "pets", drawn()))
    assert (found.section["name"], found.section["fit"]) == ("boxes", "squeeze")
    assert found.reasons["root"] == "6 pictures with 12 boxes of 2 classes"


def test_classes_that_a_part_lacks_are_told() -> None:
    image = np.zeros((8, 8), np.uint8)
    rows = {"train": [1, 0] * 10, "test": [0]}
    made = {
        part: [(image, {"boxes": [[1, 1, 5, 5]], "labels": [kind]}) for kind in kinds]
        for part, kinds in rows.items()
    }
    config = resolve({"name": "python", "function": "tests.training.test_boxes:drawn"})
    images = as_images(made, "f")
    parts = split(images, completed(config.split, images))
    told = Loaded(config, images, parts).notes
    assert any("warning: no test image has a box of 1" in each for each in told)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        (
            [3, 3, float("nan"), 9],
            r"train image 1: the box from \(3, 3\) to \(nan, 9\) holds a val",
        ),
        ([9, 3, 4, 9], "has its corners in the wrong order"),
        ([50, 3, 60, 9], "is outside of the image, which is of 40x20 pixels"),
        ([3, 3, 9], "expected four numbers|cannot reshape"),
    ],
)
def test_bad_boxes(box: list[float], message: str) -> None:
    held = [(picture, {"boxes": [], "labels": []}) for picture, _ in drawn()["train"]]
    held[1] = (held[1][0], {"boxes": [box], "labels": [0]})
    with pytest.raises(InputError, match=message):
        as_images(held, "f")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1.5], "holds the class 1.5; expected whole numbers from 0 or 1, or names"),
        ([-1], "holds the class -1"),
        ([0, 1], "has 1 boxes, but 2 classes"),
        (None, "labels is missing"),
    ],
)
def test_bad_classes(labels: Any, message: str) -> None:
    label = {"boxes": [[1, 1, 5, 5]], "labels": labels}
    if labels is None:
        del label["labels"]
    with pytest.raises(InputError, match=message):
        as_images([(picture, label) for picture, _ in drawn()["train"]], "f")


@pytest.mark.parametrize(
    ("form", "file", "old", "new", "message"),
    [
        ("coco", "annotations/instances_train2017.json", '"categories"', '"kinds"',
         "instances_train2017.json: is no file of COCO's annotations: KeyError: 'categories'"),
        ("coco", "annotations/instances_train2017.json", '"file_name": "1.png"',
         '"file_name": "x.png"', "names x.png, of which there are 0 pictures in"),
        ("coco", "annotations/instances_train2017.json", '"category_id": 7', '"category_id": 8',
         "1.png: has a box of the unknown category 8"),
        ("voc", "Annotations/train_1.xml", "<xmin>", "<xmin>left",
         r"train_1.xml: holds the box \['left"),
        ("voc", "Annotations/train_1.xml", "</annotation>", "", "train_1.xml: is no XML"),
        ("voc", "ImageSets/Main/train.txt", "train_1", "train_9",
         "train_9 is in ImageSets, but has"),
        ("yolo", "labels/train/1.txt", "0 0", "0 1",
         "train/1.txt: holds values outside of 0 to 1"),
        ("yolo", "labels/train/1.txt", "1 ", "1 0.5 ", "train/1.txt: has a line of 6 values"),
        ("yolo", "data.yaml", "{0: cat, 1: dog}", "[cat]", "holds the class 1; there are 1 names"),
    ],
)  # fmt: skip
def test_bad_files(tmp_path: Path, form: str, file: str, old: str, new: str, message: str) -> None:
    top = FORMS[form](tmp_path / "pets", drawn())
    path = top / file
    text = path.read_text()
    if form == "yolo" and file.startswith("labels"):
        text = {"0 0": "1 0.5 0.5 1.5 0.5", "1 ": "1 0.5 0.5 0.5 0.5 0.5"}[old]
    elif "xmin" in old:
        text = re.sub(r"<xmin>\d+", new, text, count=1)
    else:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        DATASETS["boxes"](root=str(top))


def test_a_folder_without_boxes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder; expected one with pictures and boxes"):
        DATASETS["boxes"](root=str(tmp_path / "none"))
    with pytest.raises(InputError, match="holds no pictures"):
        DATASETS["boxes"](root=str(tmp_path))
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="holds no boxes: expected"):
        DATASETS["boxes"](root=str(tmp_path))
    (tmp_path / "notes.xml").write_text("<notes/>")
    (tmp_path / "labels").mkdir()
    with pytest.raises(InputError, match=r"holds no boxes: expected"):
        DATASETS["boxes"](root=str(tmp_path))
    (tmp_path / "images").mkdir()
    with pytest.raises(InputError, match=r"holds no boxes$"):
        DATASETS["boxes"](root=str(tmp_path))
