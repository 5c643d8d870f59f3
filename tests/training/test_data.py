import gzip
import math
import struct
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.errors import InputError
from nas.training import data
from nas.training.datasets import Images, digits, idx
from nas.training.datasets.images import resize
from nas.training.splitting import Split, SplitConfig, lacking, largest_remainder, split

SHARED = Path(__file__).parents[3] / "shared" / "data"
DIGITS = {"name": "digits", "split": {"train": 0.6, "validation": 0.2, "test": 0.2}}


def images_with(counts: list[int], official_test: int = 0, seed: int = 0) -> Images:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    labels = np.concatenate([labels, np.zeros(official_test, np.int64)])
    return Images(np.zeros((len(labels), 1, 1, 1), np.uint8), labels, len(counts), official_test)


# --- the split ---


@given(
    counts=st.lists(st.integers(10, 60), min_size=1, max_size=5),
    tenths=st.sampled_from([(6, 2, 2), (8, 1, 1), (5, 3, 2), (1, 1, 8), (7, 3, 0), (5, 5, 0)]),
    seed=st.integers(0, 2**32),
)
def test_the_split_is_stratified_disjoint_and_covers_all(
    counts: list[int], tenths: tuple[int, int, int], seed: int
) -> None:
    official = 0 if tenths[2] else 7
    images = images_with(counts, official)
    train, validation, test = (tenth / 10 or None for tenth in tenths)
    assert train
    assert validation
    config = SplitConfig(train=train, validation=validation, test=test, seed=seed)
    parts = split(images, config)
    everything = np.concatenate([parts.train, parts.validation, parts.test])
    assert np.array_equal(np.sort(everything), np.arange(len(images.labels)))
    if official:
        assert np.array_equal(parts.test, np.arange(sum(counts), sum(counts) + 7))
    for part, tenth in zip((parts.train, parts.validation, parts.test), tenths, strict=True):
        assert np.all(np.diff(part) > 0)
        if tenth:
            held = np.bincount(images.labels[part], minlength=len(counts))
            assert np.all(np.abs(held * 10 - np.array(counts) * tenth) < 10)


@pytest.mark.parametrize(
    ("total", "fractions", "sizes"),
    [
        (10, [0.6, 0.2, 0.2], [6, 2, 2]),
        (7, [0.5, 0.3, 0.2], [4, 2, 1]),  # 3.5, 2.1, 1.4
        (178, [0.6, 0.2, 0.2], [107, 36, 35]),  # 106.8, 35.6, 35.6: a tie
        (25, [0.02, 0.14, 0.84], [1, 3, 21]),  # 0.5, 3.5, 21: a tie, 3.5000000000000004 in floats
        (3, [0.5, 0.5], [2, 1]),
    ],
)
def test_largest_remainder(total: int, fractions: list[float], sizes: list[int]) -> None:
    assert largest_remainder(total, fractions) == sizes


def test_the_checksum_belongs_to_the_indices() -> None:
    images = images_with([30, 20])
    one, again, other = (
        split(images, SplitConfig(train=0.5, validation=0.25, test=0.25, seed=seed))
        for seed in (0, 0, 1)
    )
    assert one.checksum == again.checksum != other.checksum
    assert len(one.checksum) == 16
    # The same indices, divided at another place.
    a = Split(np.array([0, 1]), np.array([2]), np.array([3]))
    b = Split(np.array([0]), np.array([1, 2]), np.array([3]))
    assert a.checksum != b.checksum


def test_a_class_too_small_for_the_fractions_is_named() -> None:
    with pytest.raises(InputError, match="class 1 has 1 images"):
        split(images_with([20, 1]), SplitConfig(train=0.6, validation=0.2, test=0.2))


SHARES: list[dict[str, float]] = [
    {},
    {"train": 0.6, "validation": 0.2, "test": 0.2},
    {"train": 0.1, "validation": 0.8, "test": 0.1},
]


@pytest.mark.parametrize("shares", SHARES)
def test_a_class_without_images_is_left_out(shares: dict[str, float]) -> None:
    config, two = SplitConfig.model_validate(shares), images_with([20, 30])
    there = split(two, config)
    more = replace(two, classes=4, names=("a", "b", "c", "d"))
    loaded = data.divided(data.DataConfig(name="x", split=config), more)
    assert loaded.split.checksum == there.checksum
    (note,) = [note for note in loaded.notes if "equal" not in note]
    assert note == (
        "warning: no training or validation or test image is of class 2 (c), class 3 (d)"
    )


def test_official_parts_may_lack_classes() -> None:
    labels = np.array([0, 1, 1, 0, 1, 2, 0, 0])
    images = Images(np.zeros((8, 1, 1, 1), np.uint8), labels, 4, 2, official_validation=3)
    parts = split(images, SplitConfig())
    assert [len(each) for each in (parts.train, parts.validation, parts.test)] == [3, 3, 2]
    assert [*lacking(images, parts)] == [
        "warning: no training image is of class 2, class 3",
        "warning: no validation image is of class 3",
        "warning: no test image is of class 1, class 2, class 3",
    ]
    unknown = replace(images, labels=np.array([0, 1, 1, 0, 1, 2, -1, -1]))
    assert len([*lacking(unknown, parts)]) == 2
    identities = replace(images, labels=np.array([0, 1, 1, 2, 2, 3, 2, 3]))
    assert not [*lacking(identities, parts)]
    with pytest.raises(InputError, match="0 images are too few"):
        split(replace(images, official_validation=6), SplitConfig())


@given(
    counts=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    tenths=st.sampled_from([(6, 2, 2), (8, 1, 1), (1, 1, 8), (5, 5, 0)]),
)
def test_small_classes_may_all_be_training_images(
    counts: list[int], tenths: tuple[int, int, int]
) -> None:
    images = images_with(counts, 0 if tenths[2] else 7)
    shares = [tenth / 10 for tenth in tenths if tenth]
    train, validation, test = (tenth / 10 or None for tenth in tenths)
    strict = SplitConfig(train=train, validation=validation, test=test)
    config = strict.model_copy(update={"small_classes": "train"})
    small = [label for label, n in enumerate(counts) if 0 in largest_remainder(n, shares)]
    if len(small) == len(counts):  # nothing would be left for the other parts
        with pytest.raises(InputError, match=f"class 0 has {counts[0]} images"):
            split(images, config)
        return
    parts = split(images, config)
    everything = np.concatenate([parts.train, parts.validation, parts.test])
    assert np.array_equal(np.sort(everything), np.arange(len(images.labels)))
    for label, n in enumerate(counts):
        held = int((images.labels[parts.train] == label).sum())
        assert held == (n if label in small else largest_remainder(n, shares)[0])
    if small:
        with pytest.raises(InputError, match=r"split\.small_classes: train"):
            split(images, strict)
    else:
        assert parts.checksum == split(images, strict).checksum


def test_test_fraction_and_official_test_part_exclude_each_other() -> None:
    with pytest.raises(InputError, match=r"split.test: .* official test part of 7 images"):
        split(images_with([20], 7), SplitConfig(train=0.6, validation=0.2, test=0.2))
    with pytest.raises(InputError, match=r"split.test: is required"):
        split(images_with([20]), SplitConfig(train=0.6, validation=0.4))


# --- configuration ---


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "digit"}, "name: unknown data set 'digit' (did you mean 'digits'?)"),
        ({"resolutoin": 16}, "unknown key 'resolutoin' (did you mean 'resolution'?)"),
        ({"resolution": 0}, "resolution: "),
        ({"resolution": "16"}, "resolution: "),
        ({"split": {"train": 0.6, "validation": 0.2, "test": 0.1}}, "must sum to 1"),
        ({"split": {"train": 1.0, "validation": 0.0}}, "split.validation: "),
        ({"split": {"train": 0.6, "valid": 0.4}}, "(did you mean 'validation'?)"),
        ({"split": None}, "split: "),
        ({"name": "folder", "split": {"train": 0.5, "validation": 0.5}}, "root: "),
    ],
)
def test_a_wrong_key_is_named_with_its_path(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as error:
        data.resolve({**DIGITS, **change})
    assert message in str(error.value)


def test_a_right_section_passes() -> None:
    config = data.resolve({**DIGITS, "resolution": 16})
    assert config.options == {"resolution": 16}
    assert config.split.seed == 0


# --- digits, and what a search sees ---


def test_digits_are_the_published_ones() -> None:
    found = digits.digits()
    # https://archive.ics.uci.edu/dataset/80: the class distribution of the test half.
    counts = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert np.bincount(found.labels).tolist() == counts
    assert found.images.shape == (1797, 1, 8, 8)
    assert found.images.dtype == np.uint8
    assert (found.images.min(), found.images.max()) == (0, 255)
    assert found.labels.dtype == np.int64


def test_search_data_holds_train_and_validation_alone() -> None:
    config = data.resolve(DIGITS)
    found, held_out = data.search_data(config), data.held_out(config)
    names = {field.name for field in fields(found)}
    told = {"mean", "std", "classes", "checksum", "fingerprint", "names", "fit", "value_range"}
    assert names == {"train", "validation", *told}
    assert found.input_shape == (1, 8, 8)
    parts = (found.train, found.validation, held_out)
    assert [len(part.labels) for part in parts] == [1078, 362, 357]
    pixels = [{image.tobytes() for image in part.images} for part in parts]
    assert not pixels[2] & (pixels[0] | pixels[1])
    assert found.mean == pytest.approx([found.train.images.mean(dtype=np.float64)], rel=1e-12)
    assert found.std == pytest.approx([found.train.images.std(dtype=np.float64)], rel=1e-9)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_part_of_the_training_images_is_stratified_and_in_every_larger_part(seed: int) -> None:
    whole = data.search_data(data.resolve(DIGITS))
    counts = np.bincount(whole.train.labels)
    before: set[bytes] = set()
    for percent in (1, 10, 33, 50, 99, 100):
        part = data.part_of_training(whole, percent, seed)
        assert np.array_equal(
            np.bincount(part.train.labels), [math.ceil(n * percent / 100) for n in counts]
        )
        pixels = {image.tobytes() for image in part.train.images}
        assert before < pixels
        before = pixels
        assert part.validation is whole.validation
        assert (part.mean, part.std, part.checksum) == (whole.mean, whole.std, whole.checksum)
    assert np.array_equal(part.train.images, whole.train.images)  # in their order
    pair = [data.part_of_training(whole, 10, s).train.images for s in (seed, seed)]
    assert np.array_equal(*pair)
    other = data.part_of_training(whole, 10, seed + 1).train.images
    assert not np.array_equal(pair[0], other)


def test_a_constant_channel_does_not_divide_by_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    images = images_with([20])
    monkeypatch.setattr(digits, "digits", lambda: images)
    assert data.search_data(data.resolve(DIGITS)).std == (1.0,)


@pytest.mark.parametrize("side", [3, 5, 8, 13, 16])
def test_resizing_agrees_with_pillow(side: int) -> None:
    pillow = pytest.importorskip("PIL.Image")
    originals = digits.digits().images[:20]
    resized = resize(originals, side)
    assert resized.shape == (20, 1, side, side)
    for original, ours in zip(originals, resized, strict=True):
        theirs = pillow.fromarray(original[0]).resize((side, side), pillow.Resampling.BILINEAR)
        assert np.abs(ours[0].astype(int) - np.asarray(theirs).astype(int)).max() <= 1


# --- idx files ---


def write_idx(path: Path, values: np.ndarray, kind: int = 8) -> None:
    header = struct.pack(f">HBB{values.ndim}I", 0, kind, values.ndim, *values.shape)
    path.write_bytes(gzip.compress(header + values.tobytes()))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for part, n in (("train", 40), ("t10k", 20)):
        pixels = rng.integers(0, 256, (n, 6, 5), dtype=np.uint8)
        write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", pixels)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", np.arange(n, dtype=np.uint8) % 10)
    return tmp_path


def test_a_small_official_directory_is_read(root: Path) -> None:
    images = idx.mnist(root=str(root))
    assert images.images.shape == (60, 1, 6, 5)
    assert images.official_test == 20
    pixels = np.random.default_rng(0).integers(0, 256, (40, 6, 5), dtype=np.uint8)
    assert np.array_equal(images.images[:40, 0], pixels)
    section = {"name": "mnist", "root": str(root), "split": {"train": 0.5, "validation": 0.5}}
    config = data.resolve(section)
    assert len(data.search_data(config).train.labels) == 20
    assert data.held_out(config).labels.tolist() == list(range(10)) * 2
    assert np.array_equal(data.held_out(config).images, images.images[40:])


IMAGES, LABELS = "train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"


@pytest.mark.parametrize("name", [IMAGES, LABELS])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"", "damaged|starts with"),
        (b"<html>404</html>", "Not a gzipped file"),
        (gzip.compress(b"\0\0\x08\x03" + bytes(2000))[:-20], "damaged"),
        (gzip.compress(b""), "starts with bytes"),
        (gzip.compress(b"\0\0\x0d\x03" + bytes(20)), "starts with bytes 00 00 0d 03"),
        (gzip.compress(b"\x89PNG" + bytes(20)), "starts with bytes 89 50 4e 47"),
    ],
    # Named here: gzip writes the time into its bytes, and pytest-xdist's workers must
    # collect the same names.
    ids=["missing", "empty", "html", "torn", "nothing", "not_uint8", "png"],
)
def test_a_bad_file_is_named(root: Path, name: str, content: bytes | None, message: str) -> None:
    path = root / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        idx.mnist(root=str(root))
    assert str(path) in str(error.value)
    if content is not None:
        assert "expected a gzipped idx file of uint8" in str(error.value)


def test_a_flipped_byte_is_noticed(root: Path) -> None:
    content = bytearray((root / IMAGES).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (root / IMAGES).write_bytes(content)
    with pytest.raises(InputError, match=IMAGES):
        idx.mnist(root=str(root))


def test_sizes_that_disagree_are_named(root: Path) -> None:
    header = struct.pack(">HBB3I", 0, 8, 3, 40, 6, 5)
    (root / IMAGES).write_bytes(gzip.compress(header + bytes(7)))
    with pytest.raises(InputError, match="holds 7 values for a size of 40x6x5"):
        idx.mnist(root=str(root))
    write_idx(root / IMAGES, np.zeros((40, 5, 5), np.uint8))
    with pytest.raises(InputError, match="differ in size: 5x5 and 6x5"):
        idx.mnist(root=str(root))
    write_idx(root / LABELS, np.zeros(3, np.uint8))
    with pytest.raises(InputError, match="3 labels for 20 images"):
        idx.mnist(root=str(root))
    write_idx(root / LABELS, np.full(20, 10, np.uint8))
    with pytest.raises(InputError, match="holds label 10; expected 0 to 9"):
        idx.mnist(root=str(root))


def test_the_real_fashion_mnist() -> None:
    root = SHARED / "fashion-mnist"
    if not (root / IMAGES).exists():
        pytest.skip("the official Fashion-MNIST files are not here")
    split = {"train": 0.9, "validation": 0.1}
    section = {"name": "fashion_mnist", "root": str(root), "split": split}
    config = data.resolve(section)
    found, held_out = data.search_data(config), data.held_out(config)
    assert np.bincount(found.train.labels).tolist() == [5400] * 10
    assert np.bincount(found.validation.labels).tolist() == [600] * 10
    assert np.bincount(held_out.labels).tolist() == [1000] * 10
    assert found.input_shape == (1, 28, 28)
    # The usual constants 0.2860 and 0.3530 are of all 60,000 images.
    assert found.mean[0] / 255 == pytest.approx(0.2860, abs=5e-4)
    assert found.std[0] / 255 == pytest.approx(0.3530, abs=5e-4)


def test_the_real_mnist_test_files() -> None:
    root = SHARED / "mnist-test"
    if not (root / LABELS).exists():
        pytest.skip("the official MNIST test files are not here")
    labels = idx.read_idx(root / LABELS, dimensions=1)
    images = idx.read_idx(root / "t10k-images-idx3-ubyte.gz", dimensions=3)
    assert images.shape == (10000, 28, 28)
    assert labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    # The published class counts of the test part.
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(labels).tolist() == counts
    with pytest.raises(
        InputError, match=r"train-images-idx3-ubyte\.gz: cannot be read: No such file"
    ):
        idx.mnist(root=str(root))
