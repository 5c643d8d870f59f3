"""Images with masks: every reader gives the same ones, and says what does not fit."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas.errors import InputError
from nas.training.data import DataConfig, load
from nas.training.datasets import DATASETS, Images
from nas.training.datasets.look import propose
from nas.training.datasets.python import as_images


def drawn(number: int = 6, height: int = 10, width: int = 8) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (number, height, width, 3), dtype=np.uint8)
    masks = rng.integers(0, 4, (number, height, width), dtype=np.uint8)
    masks[:, :2, :2] = 255
    return images, masks


def folder(top: Path, images: Any, masks: Any, palette: bool = False) -> Path:
    for kind, held in (("images", images), ("masks", masks)):
        (top / kind).mkdir(parents=True)
        for number, each in enumerate(held):
            picture = Image.fromarray(each)
            if palette and kind == "masks":
                picture.putpalette([255 - value for value in range(256) for _ in range(3)])
            picture.save(top / kind / f"{number}.png")
    return top


@pytest.mark.parametrize("resolution", [None, 5])
@pytest.mark.parametrize("fit", ["crop", "squeeze"])
def test_every_reader_gives_the_same_masks(
    tmp_path: Path, resolution: int | None, fit: str
) -> None:
    images, masks = drawn()
    np.savez(tmp_path / "held.npz", images=images, masks=masks)
    size = {"resolution": resolution, "fit": fit}
    pictures = [Image.fromarray(mask) for mask in masks]
    found = [
        DATASETS["arrays"](path=str(tmp_path / "held.npz"), **size),
        DATASETS["masks"](root=str(folder(tmp_path / "plain", images, masks)), **size),
        DATASETS["masks"](root=str(folder(tmp_path / "palette", images, masks, True)), **size),
        as_images((images, masks), "f", resolution, fit=fit),  # type: ignore[arg-type]
        as_images([*zip(images, pictures, strict=True)], "f", resolution, fit=fit),  # type: ignore[arg-type]
        as_images([{"image": i, "mask": m.astype(np.int64)[None]}
                   for i, m in zip(images, masks, strict=True)], "f", resolution, fit=fit),
    ]  # type: ignore[arg-type]  # fmt: skip
    for each in found:
        assert each.kind == "masks"
        assert each.classes == 4
        assert np.array_equal(each.labels, found[0].labels)
        assert each.labels.shape[1:] == each.input_shape[1:]
        assert set(np.unique(each.labels)) == {0, 1, 2, 3, 255}
    if resolution is None:
        assert np.array_equal(found[0].labels, masks)


def test_a_mask_is_scaled_as_its_image_and_no_classes_are_mixed() -> None:
    images, masks = drawn(4, 12, 20)
    large = np.kron(masks, np.ones((1, 3, 3), np.uint8))
    found = as_images((np.kron(images, np.ones((1, 3, 3, 1), np.uint8)), large), "f", 12)
    assert np.array_equal(found.labels, masks[:, :, 4:16])


def test_official_parts_are_folders(tmp_path: Path) -> None:
    images, masks = drawn()
    for part, chosen in (("train", slice(0, 3)), ("val", slice(3, 4)), ("test", slice(4, 6))):
        folder(tmp_path / part, images[chosen], masks[chosen])
    loaded = load(DataConfig(name="masks", root=str(tmp_path)))
    sizes = [len(getattr(loaded.split, part)) for part in ("train", "validation", "test")]
    assert sizes == [3, 1, 2]
    assert np.array_equal(loaded.search().validation.labels, masks[3:4])


def test_a_folder_is_recognised(tmp_path: Path) -> None:
    place = folder(tmp_path / "x", *drawn())
    assert propose(place).section == {"name": "masks", "root": str(place)}


def test_masks_of_0_and_255_have_two_classes_and_ignored_ones_none() -> None:
    images, masks = drawn()
    binary = np.where(masks > 1, 255, 0).astype(np.uint8)
    assert np.array_equal(as_images((images, binary), "f").labels, binary // 255)
    found = as_images((images, masks), "f", ignore=3)
    assert found.classes == 3
    assert np.array_equal(found.labels == 255, (masks == 3) | (masks == 255))


def test_the_fingerprint_depends_on_every_pixel_of_a_mask() -> None:
    images, masks = drawn()

    def of(masks: Any) -> Images:
        return as_images((images, masks), "f")

    other = masks.copy()
    other[3, 2, 1] = (other[3, 2, 1] + 1) % 4
    assert of(masks).fingerprints == of(masks.copy()).fingerprints
    assert not set(of(masks).fingerprints) & set(of(other).fingerprints)


def test_a_split_divides_images_whatever_their_masks_show(tmp_path: Path) -> None:
    images, masks = drawn(10)
    np.savez(tmp_path / "held.npz", images=images, labels=masks)
    config = {"name": "arrays", "path": str(tmp_path / "held.npz"),
              "split": {"train": 0.6, "validation": 0.2, "test": 0.2}}  # fmt: skip
    loaded = load(DataConfig.model_validate(config))
    parts = [getattr(loaded.split, part) for part in ("train", "validation", "test")]
    assert [*map(len, parts)] == [6, 2, 2]
    assert sorted(np.concatenate(parts)) == [*range(10)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i, m: m[:, :5], "train image 0: its mask is of 8x5 pixels, the image of 8x10"),
        (lambda i, m: m.astype(np.int64) + 300, "train image 0: holds [0-9]+; expected classes"),
        (lambda i, m: m * 0, "holds one class"),
        (lambda i, m: i, r"is an array of uint8 \[10, 8, 3\]; a mask has whole numbers"),
    ],
)
def test_bad_masks(change: Any, message: str) -> None:
    images, masks = drawn()
    with pytest.raises(InputError, match=message):
        as_images([*zip(images, change(images, masks), strict=True)], "f")


def test_bad_folders(tmp_path: Path) -> None:
    images, masks = drawn()
    place = folder(tmp_path / "x", images, masks)

    def refusal() -> str:
        with pytest.raises(InputError) as caught:
            DATASETS["masks"](root=str(place))
        return str(caught.value)

    Image.fromarray(masks[0][:4]).save(place / "masks" / "0.png")
    assert re.search(
        r"masks/0.png: is of 8x4 pixels, its picture .*images/0.png of 8x10", refusal()
    )
    (place / "masks" / "0.png").unlink()
    (place / "masks" / "1.png").unlink()
    assert re.search("images/0.png: has no picture of its name in .*masks, like 1 more", refusal())
    Image.fromarray(images[0]).save(place / "masks" / "0.png")
    Image.fromarray(images[1]).save(place / "masks" / "1.png")
    assert "0.png: has pixels of Pillow's mode RGB; a mask has one channel" in refusal()
    for mask in (place / "masks").iterdir():
        mask.unlink()
    assert "masks: holds no pictures" in refusal()
    (place / "masks").rmdir()
    assert "has no folder masks; expected images and masks" in refusal()
