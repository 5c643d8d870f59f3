"""What users bring: their folders, arrays and functions, as they are found in the wild."""

import gzip
import os
import shutil
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas.errors import InputError
from nas.training import data, splitting
from nas.training.datasets import Images, Stored, pictures
from nas.training.datasets.arrays import arrays
from nas.training.datasets.folder import folder
from nas.training.datasets.idx import mnist
from nas.training.datasets.images import resize
from nas.training.datasets.labels import class_numbers
from nas.training.datasets.pictures import as_bytes, pixels, read_pictures
from nas.training.datasets.python import as_images
from nas.training.splitting import SplitConfig, split

RNG = np.random.default_rng(0)


def noise(*shape: int) -> Any:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def fill(place: Path, count: int, size: tuple[int, int] = (6, 6)) -> None:
    """Writes different pictures, named 0.png and so on."""
    place.mkdir(parents=True, exist_ok=True)
    for n in range(count):
        Image.fromarray(noise(*size, 3)).save(place / f"{n}.png")


def read(found: Images) -> Any:
    return found.images.read() if isinstance(found.images, Stored) else found.images


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(InputError) as error:
        call()
    text = str(error.value)
    assert "\n" not in text
    return text


# --- files ---


def test_copies_in_hidden_folders_are_no_pictures(tmp_path: Path) -> None:
    """Jupyter, macOS and Synology put copies beside pictures, which would leak into the test."""
    for name in "ab":
        fill(tmp_path / name, 12)
        for hidden in (".ipynb_checkpoints", "__MACOSX", "@eaDir"):
            shutil.copytree(
                tmp_path / name,
                tmp_path / name / hidden,
                ignore=shutil.ignore_patterns(".ipynb_checkpoints", "__MACOSX", "@eaDir"),
            )
        (tmp_path / name / "._0.png").write_bytes(b"resource fork")
    fill(tmp_path / "__MACOSX" / "x", 2)
    found = folder(root=str(tmp_path))
    assert (found.names, len(found.labels), found.notes) == (("a", "b"), 24, ())
    loaded = data.load(data.resolve({"name": "folder", "root": str(tmp_path)}))
    assert loaded.notes == ()
    images = read(found)
    test = {images[n].tobytes() for n in loaded.split.test}
    assert not test & {images[n].tobytes() for n in loaded.split.train}


def test_the_rule_for_files_is_the_same_at_every_depth(tmp_path: Path) -> None:
    for name in "ab":
        fill(tmp_path / name / "deep" / "like_a.png", 2)  # a folder that is named like a picture
        (tmp_path / name / "deep" / "notes.TXT").write_text("x")
    fill(tmp_path / "elsewhere" / "c", 3)
    (tmp_path / "c").symlink_to(tmp_path / "elsewhere" / "c")
    (tmp_path / "a" / "one.png").symlink_to(tmp_path / "elsewhere" / "c" / "0.png")
    (tmp_path / "a" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "a" / "round").symlink_to(tmp_path / "a")
    shutil.move(tmp_path / "elsewhere", tmp_path.with_name(f"{tmp_path.name}_elsewhere"))
    for link in (tmp_path / "c", tmp_path / "a" / "one.png"):
        target = os.readlink(link).replace(str(tmp_path), f"{tmp_path}_elsewhere", 1)
        target = target.replace("_elsewhere/elsewhere", "_elsewhere")
        link.unlink()
        link.symlink_to(target)
    Image.fromarray(noise(6, 6, 3)).save(tmp_path / "loose.png")
    found = folder(root=str(tmp_path))
    assert found.names == ("a", "b", "c")
    assert np.bincount(found.labels).tolist() == [3, 2, 3]
    assert sorted(found.notes) == [
        "not read: a/deep/notes.TXT, b/deep/notes.TXT: the name ends in .txt, which is no kind of "
        "picture",
        "not read: a/gone.png: a link that leads nowhere",
        "not read: a/round: a link to a folder that holds it",
        "not read: loose.png: a picture beside the folders of the classes",
    ]


def test_any_name_is_a_name(tmp_path: Path) -> None:
    names = [b"caf\xe9", b"a b", b"[c]", b"d: e", b"*"]
    for name in names:
        fill(tmp_path / os.fsdecode(name), 2)
        (tmp_path / os.fsdecode(name) / "0.png").rename(tmp_path / os.fsdecode(name + b"/" + name
                                                        + b".png"))  # fmt: skip
    found = folder(root=str(tmp_path))
    assert found.names == ("*", "[c]", "a b", "caf\\xe9", "d: e")
    assert read(found).shape == (10, 3, 6, 6)
    assert len(found.fingerprint) == 16
    (tmp_path / os.fsdecode(b"caf\xe9") / "0.png").write_bytes(b"")
    assert "caf\\xe9/0.png: is not a picture" in refusal(lambda: folder(root=str(tmp_path)))


def test_equal_pictures_in_two_parts_are_said(tmp_path: Path) -> None:
    for part, count in (("train", 8), ("test", 4)):
        for name in "ab":
            fill(tmp_path / part / name, count)
    for n in range(3):
        shutil.copy(tmp_path / "train" / "a" / f"{n}.png", tmp_path / "test" / "b" / f"x{n}.png")
    loaded = data.load(data.resolve({"name": "folder", "root": str(tmp_path)}))
    (note,) = [note for note in loaded.notes if "validation" not in note] or [""]
    count = int(note.split()[1])
    held = {loaded.images.digests[n] for n in loaded.split.train}  # type: ignore[index]
    assert count == sum(loaded.images.digests[n] in held for n in loaded.split.test)  # type: ignore[index]
    assert "of 11 test images are equal to training images, byte for byte, as test/b/x" in note


# --- parts ---

PARTS = [
    (("train", "test"), (4, 0, 3)),
    (("Train", "Test"), (4, 0, 3)),
    (("Training", "Testing"), (4, 0, 3)),
    (("training_set", "test_set"), (4, 0, 3)),
    (("train", "val"), (4, 3, 0)),
    (("train", "val", "test"), (4, 3, 3)),
    (("train", "valid", "test"), (4, 3, 3)),
    (("TRAIN", "Validation", "test"), (4, 3, 3)),
    (("trainset", "testset"), (4, 0, 3)),
    (("01_train", "02-val", "03 test"), (4, 3, 3)),
    (("train2017", "val2017"), (4, 3, 0)),
    (("images_train", "TestImages"), (4, 0, 3)),
]


def test_parts_inside_of_classes_are_refused(tmp_path: Path) -> None:
    for place in ("cat/train", "cat/test", "dog/train", "dog/test"):
        fill(tmp_path / place, 4)
    fault = refusal(lambda: folder(root=str(tmp_path)))
    assert "cat: holds test and train: parts inside of a class are not understood" in fault
    assert fault.endswith("put the classes into the parts, as in test/cat")


@pytest.mark.parametrize(("names", "sizes"), PARTS, ids=["-".join(names) for names, _ in PARTS])
def test_the_names_of_parts(
    tmp_path: Path, names: tuple[str, ...], sizes: tuple[int, int, int]
) -> None:
    counts = dict(zip(names, (size for size in sizes if size), strict=True))
    for name, count in counts.items():
        for label in "ab":
            fill(tmp_path / name / label, count)
    found = folder(root=str(tmp_path))
    assert found.names == ("a", "b")
    official = (found.official_validation, found.official_test)
    assert official == (2 * sizes[1], 2 * sizes[2])
    if all(sizes):
        loaded = data.load(data.resolve({"name": "folder", "root": str(tmp_path)}))
        parts = (loaded.split.train, loaded.split.validation, loaded.split.test)
        assert [part.tolist() for part in parts] == [
            list(range(8)), list(range(8, 14)), list(range(14, 20))
        ]  # fmt: skip


def test_what_is_no_part_is_refused_by_name(tmp_path: Path) -> None:
    def made(name: str, *places: str) -> str:
        for place in places:
            fill(tmp_path / name / place, 2)
        return refusal(lambda: folder(root=str(tmp_path / name)))

    train, test = ("train/a", "train/b"), ("test/a", "test/b")
    assert "extra is no part of a data set" in made("extra", *train, *test, "extra/a", "extra/b")
    assert "Train and train are both the train part" in made("twice", *train, "Train/a", "Train/b")
    assert "but no train part" in made("untrained", *test, "val/a", "val/b")
    fill(tmp_path / "fewer" / "test" / "a", 2)
    assert "fewer/test: has 1 sub-folder(s)" in made("fewer", *train)
    assert "others/test: has the classes a, c; " in made("others", *train, "test/a", "test/c")
    flat = made("flat", *train, "test")
    assert "flat/test: has 0 sub-folder(s)" in flat
    assert "its 2 picture(s) are in no class" in flat
    assert "test stands beside classes (a, b, test)" in made("beside", "a", "b", "test")


def test_an_official_part_has_no_fraction(tmp_path: Path) -> None:
    for part in ("train", "val"):
        for name in "ab":
            fill(tmp_path / part / name, 10)
    section = {"name": "folder", "root": str(tmp_path)}
    loaded = data.load(data.resolve(section))
    assert loaded.config.split.fractions == {"train": 0.8, "test": 0.2}
    assert [len(p) for p in (loaded.split.train, loaded.split.validation, loaded.split.test)] == [
        16, 20, 4
    ]  # fmt: skip
    split = {"train": 0.5, "validation": 0.25, "test": 0.25}
    fault = refusal(lambda: data.load(data.resolve({**section, "split": split})))
    assert "split.validation: the data set has an official validation part of 20 images" in fault


def numpy_parts(*names: str, counts: tuple[int, ...]) -> dict[str, Any]:
    return {
        name: value
        for prefix, count in zip(names, counts, strict=True)
        for name, value in (
            (f"{prefix}images", noise(count, 8, 8, 3)),
            (f"{prefix}labels", np.arange(count)[:, None] % 2),
        )
    }


def test_arrays_have_the_same_parts(tmp_path: Path) -> None:
    path = tmp_path / "med.npz"
    held = numpy_parts("train_", "val_", "test_", counts=(6, 4, 2))  # as medmnist writes them
    np.savez(path, **held)
    found = arrays(path=str(path))
    assert (found.official_validation, found.official_test, found.classes) == (4, 2, 2)
    expected = np.concatenate([held[f"{part}_images"] for part in ("train", "val", "test")])
    assert np.array_equal(found.images, expected.transpose(0, 3, 1, 2))
    np.savez(path, **{f"{kind}_{part}": held[f"{part}_{name}"] for part in ("train", "test")
                      for kind, name in (("x", "images"), ("y", "labels"))})  # fmt: skip
    assert arrays(path=str(path)).official_test == 2  # as Keras does
    np.savez(path, **held, extra_images=held["val_images"], extra_labels=held["val_labels"])
    assert "extra is no part of a data set" in refusal(lambda: arrays(path=str(path)))
    np.savez(path, **held, weights=held["val_images"])
    assert "weights is not understood" in refusal(lambda: arrays(path=str(path)))


def test_a_function_may_return_two_or_three_parts() -> None:
    def part(count: int) -> list[tuple[Any, int]]:
        return [(noise(5, 5), n % 2) for n in range(count)]

    def official(made: Any) -> tuple[int, int]:
        found = as_images(made, "f")
        return found.official_validation, found.official_test

    assert official(part(4)) == (0, 0)
    assert official((part(4), part(2))) == (0, 2)
    assert official((part(4), part(3), part(2))) == (3, 2)
    assert official({"test": part(2), "train": part(4), "validation": part(3)}) == (3, 2)
    keras = ((noise(4, 5, 5), np.arange(4) % 2), (noise(2, 5, 5), np.arange(2)))
    assert official(keras) == (0, 2)
    assert official((noise(4, 5, 5), np.arange(4) % 2)) == (0, 0)  # images and labels
    subsets = [HuggingFace([{"image": noise(5, 5), "label": n % 2} for n in range(4)])] * 2
    assert official(subsets) == (0, 4)  # a list, as torch's random_split makes it
    assert "a tuple of 4" in refusal(lambda: as_images((part(2),) * 4, "f"))
    assert "unsupervised is no part" in refusal(
        lambda: as_images({"train": part(4), "unsupervised": part(2)}, "f")
    )


# --- one reader for all doors ---


def through_all_doors(
    tmp_path: Path, pictures: list[Image.Image], **options: Any
) -> dict[str, Any]:
    """The pixels of two classes of pictures, read from a folder, arrays and functions."""
    for n, picture in enumerate(pictures):
        place = tmp_path / "pictures" / "ab"[n % 2]
        place.mkdir(parents=True, exist_ok=True)
        picture.save(place / f"{n}.png")
    order = [*range(0, len(pictures), 2), *range(1, len(pictures), 2)]
    stacked = np.stack([np.asarray(pictures[n].convert("RGB")) for n in order])
    labels = np.array([n % 2 for n in order])
    np.savez(tmp_path / "a.npz", images=stacked, labels=labels)
    pairs = [(pictures[n], n % 2) for n in order]
    rows = [(row, int(label)) for row, label in zip(stacked, labels, strict=True)]
    streamed = as_images(pairs, "f", memory_gb=0, colour="rgb", **options)
    assert streamed.streamed
    return {
        "folder": read(folder(root=str(tmp_path / "pictures"), **options)),
        "arrays": arrays(path=str(tmp_path / "a.npz"), **options).images,
        "pillow": as_images(pairs, "f", colour="rgb", **options).images,
        "numpy": as_images(rows, "f", **options).images,
        "streamed": read(streamed),
    }


@pytest.mark.parametrize("options", [{}, {"resolution": 7}, {"resolution": 7, "fit": "squeeze"}])
@pytest.mark.parametrize("mode", ["RGB", "P", "L", "1"])
def test_all_doors_read_alike(tmp_path: Path, mode: str, options: dict[str, Any]) -> None:
    pictures = [Image.fromarray(noise(10, 23, 3)).convert(mode) for _ in range(4)]
    found = through_all_doors(tmp_path, pictures, **options)
    side = options.get("resolution")
    assert found["folder"].shape == (4, 3, side or 10, side or 23)
    for door, images in found.items():
        assert np.array_equal(images, found["folder"]), door


def test_crop_and_squeeze() -> None:
    """The left third is red, the middle green, the right third blue."""
    stripes = np.zeros((20, 60, 3), np.uint8)
    for third in range(3):
        stripes[:, 20 * third : 20 * (third + 1), third] = 255
    cropped = pixels(stripes, 3, (10, 10), "crop")
    assert np.all(cropped[1, :, 2:-2] == 255)
    assert np.all(cropped[[0, 2], :, 2:-2] == 0)
    squeezed = pixels(stripes, 3, (10, 10), "squeeze")
    assert [int(squeezed[:, 5, x].argmax()) for x in (1, 5, 8)] == [0, 1, 2]
    official = resize(stripes.transpose(2, 0, 1)[None], 10)[0].astype(int)
    assert np.abs(official - cropped).max() <= 1  # torch does not round between the two axes
    wide = pixels(stripes, 1, (4, 6))
    assert wide.shape == (1, 4, 6)


def test_a_palette_is_its_colours() -> None:
    """Grey values from indices cut the accuracy of a user's network by half."""
    picture = Image.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putdata([0, 1])
    assert pixels(picture)[:, 0].T.tolist() == [[255, 0, 0], [0, 0, 255]]


@pytest.mark.parametrize("most", [300, 4095, 65535])
def test_a_pgm_is_scaled_by_its_largest_value(tmp_path: Path, most: int) -> None:
    path = tmp_path / "a.pgm"
    values = np.array([0, most // 3, most], ">u2")
    path.write_bytes(b"P5 3 1 %d\n" % most + values.tobytes())
    found = read_pictures([path], channels=1)[0, 0, 0]
    assert np.abs(found - values / most * 255).max() <= 0.51


def test_pictures_of_all_kinds_together() -> None:
    kinds = [
        Image.fromarray(noise(9, 9)),
        Image.fromarray(noise(12, 8, 3)),
        Image.fromarray(noise(8, 8, 4)),
        noise(7, 7, 3) / 255,
        noise(1, 7, 7).astype(np.uint16) * 257,
        noise(3, 7, 7),
        noise(6, 6) > 99,
    ]
    found = as_images([(kind, n % 2) for n, kind in enumerate(kinds)], "f", resolution=8)
    assert found.images.shape == (7, 3, 8, 8)
    grey = as_images([(kind, n % 2) for n, kind in enumerate(kinds)], "f", 8, colour="grey")
    assert grey.images.shape == (7, 1, 8, 8)
    fault = refusal(lambda: as_images([(kind, n % 2) for n, kind in enumerate(kinds)], "f"))
    assert "f: images differ in shape: " in fault
    assert "set resolution" in fault


@pytest.mark.parametrize(
    ("image", "fault"),
    [
        (np.zeros((4, 4), np.int64), "is an array of int64, the range of which is unknown"),
        (np.zeros((4, 4)) + 16, "holds floats from 0 to 16; they must be from 0 to 1"),
        (np.zeros((2, 4, 5), np.uint8), r"is of shape \[2, 4, 5\]"),
        (Image.new("F", (4, 4)), "has pixels of 32 bits"),
        (None, "is an array of object"),
        ([[0], [1, 2]], "an object of type list is no image"),
        (Image.new("La", (4, 4)), "has pixels of Pillow's mode La"),
        (b"text", "is not a picture"),
        ("nowhere.png", "nowhere.png: No such file"),
    ],
)
def test_an_image_of_unknown_meaning_is_refused(image: Any, fault: str) -> None:
    with pytest.raises(InputError, match=rf"f: train image 1: .*{fault}"):
        as_images([(noise(4, 4), 0), (image, 1)], "f")


class HuggingFace:
    """The part of the interface of ``datasets.Dataset`` that matters."""

    class Names:
        names = ("cat", "dog")

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows
        self.features = {key: self.Names() if key == "label" else None for key in rows[0]}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.rows[index]


def test_dicts_as_hugging_face_has_them(tmp_path: Path) -> None:
    picture = Image.fromarray(noise(5, 5, 3))
    picture.save(tmp_path / "a.png")
    content = {"bytes": (tmp_path / "a.png").read_bytes(), "path": None}
    for key, image in (("image", picture), ("img", content), ("image", str(tmp_path / "a.png"))):
        rows = [{"id": 7, key: image, "label": n % 2} for n in range(4)]
        found = as_images({"train": HuggingFace(rows), "test": HuggingFace(rows[:2])}, "f")
        assert found.names == ("cat", "dog")
        assert (found.official_test, found.labels.tolist()) == (2, [0, 1, 0, 1, 0, 1])
        assert np.array_equal(found.images[0].transpose(1, 2, 0), np.asarray(picture))
    assert "item 0 is of type int, no pair and no dict" in refusal(lambda: as_images([3], "f"))
    fault = refusal(lambda: as_images([{"text": "x", "label": 0}], "f"))
    assert "item 0 is a dict of text, label; expected image and label" in fault


# --- labels ---


@pytest.mark.parametrize(
    ("labels", "numbers", "names"),
    [
        ([0, 1, 2, 1], [0, 1, 2, 1], None),
        ([1, 2, 3, 2], [0, 1, 2, 1], ("1", "2", "3")),
        ([0.0, 1.0, 1.0], [0, 1, 1], None),
        (["dog", "cat", "dog"], [1, 0, 1], ("cat", "dog")),
        ([b"b", b"a\xe9"], [1, 0], ("a\\xe9", "b")),
        (np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]]), [1, 0, 2], None),
        (np.array([[2], [1], [0]], np.uint8), [2, 1, 0], None),
        ([np.int64(1), 0], [1, 0], None),
        ([True, False], [1, 0], None),
        (np.array([0, 1], np.uint64), [0, 1], None),
    ],
)
def test_labels_as_people_write_them(
    labels: Any, numbers: list[int], names: tuple[str, ...] | None
) -> None:
    found, named = class_numbers(labels, "f")
    assert (found.tolist(), named, found.dtype) == (numbers, names, np.int64)


@pytest.mark.parametrize(
    ("labels", "fault"),
    [
        ([0.0, 0.5, 1.0, 1.9], "holds label 0.5, between two classes"),
        ([0, 1, float("nan")], "holds label nan"),
        ([0, 1, 2**64 - 1], "holds label 18446744073709551615, too large"),
        (np.array([0, 1, 2**63], np.uint64), "holds label 9223372036854775808, too large"),
        ([0, 1, -1], "holds label -1, which is no class"),
        ([0, 2, 2], "the labels have gaps (0: 1, 2: 2 images)"),
        ([10, 20], "the labels have gaps"),
        ([0, 0, 0], "holds one class (0: 3 images); expected two or more"),
        (["a", "a"], "holds one class (a: 2 images)"),
        (["a", 1], "labels are names and numbers"),
        ([[0, 1], [1, 1]], "are not one-hot"),
        ([[0.3, 0.7], [0.5, 0.5]], "are not one-hot"),
        ([0, None], "holds label None"),
        ([0, [1]], "labels differ in shape"),
    ],
)
def test_what_is_no_label_is_refused_with_the_reason(labels: Any, fault: str) -> None:
    assert fault in refusal(lambda: class_numbers(labels, "f"))


def test_too_few_images_are_one_message_with_the_counts() -> None:
    labels = [0] * 20 + [1] * 2 + [2]
    found = as_images([(noise(4, 4), label) for label in labels], "f")
    fault = refusal(lambda: split(found, SplitConfig()))
    assert fault == (
        "split: class 1 has 2 images, class 2 has 1 images: too few for fractions [0.6, 0.2, 0.2], "
        "which need 4 images of every class: add images, or leave these classes out; "
        "split.small_classes: train puts all their images into the training part"
    )


def test_arrays_are_scaled_without_several_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    for values in (RNG.random((64, 50, 50)), RNG.integers(0, 2**16, (64, 50, 50), np.uint16)):
        whole = as_bytes(values)
        monkeypatch.setattr(pictures, "_CHUNK", 5_000)
        tracemalloc.start()
        parts = as_bytes(values)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        monkeypatch.undo()
        assert (whole == parts).all()
        assert peak < 2 * values.size


def test_notes_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    images = noise(20, 1, 4, 4)
    images[1:] = images[0]
    found = Images(images, np.arange(20) % 2, 2)
    loaded = data.divided(data.DataConfig(name="f"), found)
    made: list[bytes] = []

    def counted(image: Any) -> bytes:
        made.append(image.tobytes())
        return made[-1]

    monkeypatch.setattr(splitting, "checksum", counted)
    assert loaded.notes
    assert loaded.notes is loaded.notes
    assert len(made) == 20


# --- identity ---


def test_content_decides_and_not_the_place(tmp_path: Path) -> None:
    for name in "ab":
        fill(tmp_path / "one" / name, 4)
    shutil.copytree(tmp_path / "one", tmp_path / "two words")
    prints = [folder(root=str(tmp_path / name)).fingerprint for name in ("one", "two words")]
    (tmp_path / "one" / "a").rename(tmp_path / "one" / "A")
    prints.append(folder(root=str(tmp_path / "one"), resolution=3).fingerprint)
    assert len(set(prints)) == 1
    path = tmp_path / "one" / "A" / "0.png"
    content = bytearray(path.read_bytes())
    content[-20] ^= 1  # of the same size
    path.write_bytes(content)
    assert folder(root=str(tmp_path / "one")).fingerprint != prints[0]


def test_paths_start_at_the_folder_of_their_file(tmp_path: Path) -> None:
    for section, key in (
        ({"name": "folder", "root": "pics"}, "root"),
        ({"name": "arrays", "path": "pics"}, "path"),
        ({"name": "mnist", "root": "pics"}, "root"),
        ({"name": "python", "function": "pics.py:f"}, "function"),
    ):
        found = data.resolve(section, tmp_path).options[key]
        assert found.removesuffix(".py:f") == str(tmp_path / "pics")
    assert data.resolve({"name": "mnist", "root": "/x/y"}, tmp_path).options["root"] == "/x/y"


# --- official files ---


@pytest.mark.parametrize("place", ["", "raw", "MNIST/raw"])
@pytest.mark.parametrize("form", ["{}-{}-idx{}-ubyte.gz", "{}-{}-idx{}-ubyte", "{}-{}.idx{}-ubyte"])
def test_idx_files_wherever_they_are(tmp_path: Path, place: str, form: str) -> None:
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    images = noise(30, 4, 4)
    for part, chosen in (("train", slice(20)), ("t10k", slice(20, 30))):
        labels = (np.arange(30) % 10).astype(np.uint8)[chosen]
        for kind, values in (("images", images[chosen]), ("labels", labels)):
            head = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
            content = head + values.tobytes()
            name = form.format(part, kind, values.ndim)
            (tmp_path / place / name).write_bytes(
                gzip.compress(content) if name.endswith("gz") else content
            )
    found = mnist(root=str(tmp_path))
    assert np.array_equal(found.images[:, 0], images)
    assert (found.official_test, found.labels[:3].tolist()) == (10, [0, 1, 2])


# --- memory ---


def test_memory_is_compared_with_what_there_is(tmp_path: Path) -> None:
    for name in "ab":
        fill(tmp_path / "pics" / name, 4)
    np.savez(tmp_path / "a.npz", images=noise(4, 8, 8), labels=np.arange(4) % 2)
    pairs = [(noise(4, 4), n % 2) for n in range(4)]
    doors: list[Callable[[], object]] = [
        lambda: folder(root=str(tmp_path / "pics"), resolution=100_000),
        lambda: arrays(path=str(tmp_path / "a.npz"), resolution=100_000),
        lambda: as_images(pairs, "f", resolution=100_000),
        lambda: data.load(data.resolve({"name": "digits", "resolution": 100_000})),
    ]
    for door in doors:
        fault = refusal(door)
        assert "images of 100000x100000 pixels need about " in fault
        assert " GB are available: set a resolution of at most " in fault
