"""Data sets in the contest's format: any type and range, what is refused, and no test labels."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.campaigns.spec.data_argument import read
from nas.cli import main
from nas.errors import InputError
from nas.training import data
from nas.training.datasets import scaling
from nas.training.datasets import unseen as unseen_format
from nas.training.datasets.parts import ROLES
from nas.training.datasets.scaling import to_pixels, value_range
from nas.training.datasets.unseen import unseen

RNG = np.random.default_rng(0)
COUNTS = {"train": 24, "valid": 12, "test": 6}


def write(folder: Path, shape: tuple[int, ...] = (1, 4, 5), **changes: Any) -> Path:
    """Writes a data set of three classes; ``changes`` replace arrays, or keys of the metadata."""
    folder.mkdir()
    arrays: dict[str, Any] = {}
    for part, count in COUNTS.items():
        arrays[f"{part}_x"] = RNG.normal(size=(count, *shape)).astype(np.float32)
        arrays[f"{part}_y"] = np.arange(count) % 3
    told: dict[str, Any] = {"codename": "x", "input_shape": [24, *shape], "num_classes": 3}
    for name, value in changes.items():
        (arrays if name in arrays else told)[name] = value
    for name, values in arrays.items():
        if values is not None:
            np.save(folder / f"{name}.npy", values)
    (folder / "metadata").write_text(json.dumps(told))
    return folder


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((12, 8, 8), (12, 8, 8)),
        ((1, 27, 18), (1, 27, 18)),
        ((3, 64, 64), (3, 64, 64)),
        ((20, 20, 20), (20, 20, 20)),  # the depth is on the axis of channels already
        ((2, 5, 6, 7), (2, 5, 6, 7)),  # volumes
        ((30, 40), (1, 30, 40)),
    ],
)
def test_shapes(tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    folder = write(tmp_path / "d", shape)
    section = read(str(folder)).section
    assert section["name"] == "unseen"
    loaded = data.load(data.resolve(section))
    assert loaded.images.input_shape == expected
    parts = loaded.split
    assert [len(parts.train), len(parts.validation), len(parts.test)] == [24, 12, 6]
    assert not loaded.notes


@pytest.mark.parametrize(
    "told",
    [
        {"time_limit": 0},
        {"time_limit": "1"},
        {"benchmark": "84"},
        {"codename": None},
        {"codename": 3},
        {"num_classes": 3.0},
    ],
)
def test_what_nobody_reads_of_the_metadata_may_be_anything(
    tmp_path: Path, told: dict[str, Any]
) -> None:
    section = read(str(write(tmp_path / "d", **told))).section
    assert data.load(data.resolve(section)).images.classes == 3


@pytest.mark.parametrize(
    "values",
    [
        np.array([0, 1], bool),
        np.array([-1, 0, 1], np.int8),
        np.arange(-20, 200, dtype=np.int64),
        np.arange(10**8, 10**8 + 256),
        np.linspace(-2.1, 2.6, 256, dtype=np.float32),
        (np.arange(256) / 255 - 0.4) / 0.2,
    ],
)
def test_up_to_256_values_are_kept_apart_in_their_order(values: Any) -> None:
    images = RNG.choice(values, (50, 2, 6, 6))
    images[0, :, 0, :2] = values[[0, -1]]
    pixels = to_pixels(images, *value_range(images))
    distinct, places = np.unique(images, return_inverse=True)
    kept, again = np.unique(pixels, return_inverse=True)
    assert len(kept) == len(distinct)
    assert (again == places).all()
    assert (kept[0], kept[-1]) == (0, 255)


def test_channels_have_their_own_range_and_outliers_do_not_squeeze_it() -> None:
    images = RNG.normal(size=(200, 2, 8, 8)) * np.array([1, 1000])[:, None, None]
    images[0, 0, 0, 0] = 1e6
    pixels = to_pixels(images, *value_range(images))
    assert pixels.std((0, 2, 3)).min() > 20
    rare = np.zeros((500, 1, 8, 8))  # a plane that is hardly ever used is no outlier
    rare[7, 0, 3, 3] = 1
    assert to_pixels(rare, *value_range(rare)).max() == 255


def whole_range(images: Any) -> tuple[list[float], list[float]]:
    """The range of each channel by copies of all its values, as it is defined."""
    low, high = [], []
    for channel in range(images.shape[1]):
        values = images[:, channel][np.isfinite(images[:, channel])]
        low.append(float(values.min()) if values.size else 0.0)
        high.append(float(values.max()) if values.size else 1.0)
        some = images[:: max(1, len(images) // 2000), channel]
        some = some[np.isfinite(some)]
        if len(np.unique(some)) > 256:
            inner = np.quantile(some.astype(np.float64), (0.0005, 0.9995))
            if 0 < inner[1] - inner[0] < (high[-1] - low[-1]) / 8:
                low[-1], high[-1] = map(float, inner)
    return low, high


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64, np.uint16, bool])
@pytest.mark.parametrize("shape", [(1, 2, 3), (4500, 2, 5), (700, 2, 3, 2), (50, 1, 30, 30)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_range_is_the_same_by_parts(
    monkeypatch: pytest.MonkeyPatch, dtype: Any, shape: tuple[int, ...], order: Any
) -> None:
    rng = np.random.default_rng(len(shape))
    values = rng.normal(size=shape) ** 7  # with outliers
    if np.dtype(dtype).kind == "f":
        values[rng.random(shape) < 0.1], values[rng.random(shape) < 0.05] = np.nan, np.inf
        values[:, 1:] *= np.nan
    else:
        values = np.abs(values).clip(0, 60_000)
    images = np.array(values[:, None] if values.ndim == 3 else values, dtype, order=order)
    for values_at_a_time in (1, 100, 2**22):
        monkeypatch.setattr(scaling, "_CHUNK", values_at_a_time)
        low, high = value_range(images)
        assert (low.tolist(), high.tolist()) == whole_range(images)


@pytest.mark.parametrize("order", ["C", "F"])
def test_values_are_not_copied_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: Any
) -> None:
    images = np.array(RNG.normal(size=(256, 2, 64, 64)), np.float32, order=order)
    shape = (2, 64, 64)
    changes = {"train_x": images, "train_y": np.arange(256) % 3, "input_shape": shape}
    folder = write(tmp_path / "d", shape, **changes)
    told = unseen_format.read_metadata(folder)
    monkeypatch.setattr(unseen_format, "read_metadata", lambda _: told)
    monkeypatch.setattr(scaling, "_CHUNK", 2**14)
    tracemalloc.start()
    value_range(images)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    unseen(root=str(folder))
    whole = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < images.nbytes / 4
    assert whole < 1.5 * images.size + 2**20


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ((3, 4, 5), (42, 3, 4, 5)),  # the contest counts all parts
        ((3, 4, 5), (3, 4, 5)),
        ((4, 5), (24, 1, 4, 5)),
        ((4, 5), (1, 4, 5)),
        ((4, 5), (4, 5)),
    ],
)
def test_the_metadata_may_count_the_images(
    tmp_path: Path, shape: tuple[int, ...], told: tuple[int, ...]
) -> None:
    folder = write(tmp_path / "d", shape, input_shape=told)
    assert len(unseen(root=str(folder)).labels) == 42


def test_one_copy_is_kept_whatever_the_path_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "d")
    monkeypatch.chdir(tmp_path)
    assert unseen(root="d").images is unseen(root=str(folder)).images
    assert unseen(root="./x/../d").images is unseen(root=str(folder)).images


def test_a_link_that_leads_nowhere_is_no_part_of_the_data(tmp_path: Path) -> None:
    folder = write(tmp_path / "d")
    (folder / "old").symlink_to(tmp_path / "nowhere")
    assert len(unseen(root=str(folder)).labels) == 42


def test_a_class_without_training_images_is_trained_and_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = np.where(np.arange(12) < 2, 3, np.arange(12) % 3)
    folder = write(tmp_path / "d", (1, 16, 16), num_classes=6, valid_y=labels)
    recipe = ("--recipe", "quick", "--set", "epochs=1", "warmup_epochs=0")
    out = tmp_path / "out"
    code = main(["train", "lenet5", "--data", str(folder), *recipe, "--out", str(out)])
    told = capsys.readouterr()
    assert (code, told.err) == (0, "")
    assert "no training or test image is of class 3, class 4, class 5" in told.out
    found = json.loads((out / "row.json").read_text())["validation"]
    assert found["per_class"][3] is not None
    assert found["per_class"][4:] == [None, None]


def test_bytes_stay_as_they_are(tmp_path: Path) -> None:
    pixels = RNG.integers(3, 200, (24, 1, 4, 5), dtype=np.uint8)
    found = unseen(root=str(write(tmp_path / "d", train_x=pixels)))
    assert isinstance(found.images, np.ndarray)
    assert (found.images[:24] == pixels).all()


@pytest.mark.parametrize("train", [np.uint8, np.int64, np.float32])
@pytest.mark.parametrize("other", [np.uint8, np.int64, np.float32])
def test_equal_values_are_read_equally_whatever_types_the_parts_have(
    tmp_path: Path, train: type, other: type
) -> None:
    pixels = RNG.integers(3, 200, (24, 1, 4, 5))
    folder = write(tmp_path / "d", train_x=pixels.astype(train), test_x=pixels[:6].astype(other))
    found = unseen(root=str(folder)).images
    assert isinstance(found, np.ndarray)
    assert (found[:6] == found[36:]).all()


def test_values_that_are_not_finite_are_named_and_read_as_the_lowest(tmp_path: Path) -> None:
    images = RNG.normal(size=(24, 1, 4, 5))
    images[3, 0, 1, 2], images[5, 0, 0, 0], images[7, 0, 0, 0] = np.nan, -np.inf, np.inf
    found = unseen(root=str(write(tmp_path / "d", train_x=images)))
    assert "train_x.npy: 3 of 480 values are not finite" in "".join(found.notes)
    assert isinstance(found.images, np.ndarray)
    assert not found.images[[3, 5, 7], 0, [1, 0, 0], [2, 0, 0]].any()


def test_images_are_named_by_their_part_and_the_number_in_it(tmp_path: Path) -> None:
    config = data.resolve({"name": "unseen", "root": str(write(tmp_path / "d"))})
    for part, count in zip(ROLES, (24, 12, 6), strict=True):
        _, places, _ = data.named_part(config, part)
        assert places == [f"{part} image {number}" for number in range(count)]


@pytest.mark.parametrize("missing", ["metadata", "train_x.npy", "valid_y.npy"])
def test_a_file_that_is_missing_is_named(tmp_path: Path, missing: str) -> None:
    folder = write(tmp_path / "d")
    (folder / missing).unlink()
    with pytest.raises(InputError, match=rf"d/{missing}: cannot be read: No such file"):
        read(str(folder))


def test_the_labels_of_the_test_part_may_be_unknown(tmp_path: Path) -> None:
    folder = write(tmp_path / "d", test_y=None)
    held = data.held_out(data.resolve({"name": "unseen", "root": str(folder)}))
    assert not held.labelled
    assert len(held.labels) == 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_shape": [1, 5, 5]}, r"metadata: input_shape: is \[1, 5, 5\], but the images are"),
        ({"input_shape": [3, 1, 4, 5]}, r"input_shape: is \[3, 1, 4, 5\], but the images are"),
        ({"input_shape": []}, r"input_shape: is \[\], but the images are"),
        (
            {"num_classes": 2},
            r"train_y.npy \(num_classes in metadata: 2\): holds label 2",
        ),
        ({"num_classes": "three"}, r"metadata: num_classes: .* got 'three'"),
        ({"train_y": np.full(24, -1)}, "holds label -1; expected 0 to 2"),
        ({"train_y": np.full(24, 0.5)}, "train_y.npy: holds a label that is no whole number"),
        ({"train_y": np.zeros(23)}, r"train_y.npy: is of \[23\]; expected 24 labels"),
        ({"valid_x": np.zeros((12, 1, 4, 4))}, r"valid_x.npy: holds images of \[1, 4, 4\], train"),
        ({"train_x": np.zeros((24, 4))}, r"train_x.npy: is of \[24, 4\]; expected \[N, C, H, W\]"),
        ({"train_x": np.array(["a"] * 24)}, "train_x.npy: is an array of <U1; expected numbers"),
        ({"valid_x": None}, "valid_x.npy: cannot be read: No such file"),
    ],
)
def test_arrays_that_disagree_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    folder = write(tmp_path / "d", **changes)
    with pytest.raises(InputError, match=message) as error:
        unseen(root=str(folder))
    assert "\n" not in str(error.value)


def test_values_below_zero_are_known_labels() -> None:
    images = np.zeros((2, 1, 4, 4), np.uint8)
    assert data.Part(images, np.array([[-0.5], [-1.0]], np.float32)).labelled
    assert not data.Part(images, np.array([-1, -1])).labelled
