"""Every reader on small files in the official formats, and the download path on a local server."""

import hashlib
import io
import os
import pickle
import struct
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from nas.errors import InputError
from nas.training import data
from nas.training.datasets import Images, Stored, cifar, download
from nas.training.datasets.arrays import arrays
from nas.training.datasets.cifar import cifar10, cifar100
from nas.training.datasets.folder import folder
from nas.training.datasets.idx import fashion_mnist, mnist
from nas.training.datasets.python import python
from nas.training.datasets.svhn import svhn

RNG = np.random.default_rng(0)


def pixels(n: int, channels: int = 3, side: int = 32) -> Any:
    return RNG.integers(0, 256, (n, channels, side, side), dtype=np.uint8)


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


# --- CIFAR ---

BATCHES = [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]


@pytest.fixture
def batches() -> dict[str, tuple[Any, list[int]]]:
    return {name: (pixels(4), RNG.integers(0, 10, 4).tolist()) for name in BATCHES}


class Python2(pickle._Pickler):
    """Writes text and bytes alike as Python 2 wrote its strings, as in the official files."""

    dispatch: ClassVar[dict[Any, Any]] = dict(pickle._Pickler.dispatch)

    def save_string(self, text: Any) -> None:
        content = text.encode("latin1") if isinstance(text, str) else text
        self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
        self.memoize(text)

    dispatch[str] = dispatch[bytes] = save_string


def pickled(held: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    Python2(file, protocol=2).dump(held)
    return file.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def python_batch(images: Any, labels: list[int]) -> bytes:
    return pickled({"batch_label": "", "labels": labels, "data": images.reshape(len(images), -1)})


def check_cifar10(found: Images, batches: dict[str, tuple[Any, list[int]]]) -> None:
    assert np.array_equal(found.images, np.concatenate([batches[n][0] for n in BATCHES]))
    assert found.labels.tolist() == [label for n in BATCHES for label in batches[n][1]]
    assert (found.classes, found.official_test, found.input_shape) == (10, 4, (3, 32, 32))


@pytest.mark.parametrize("unpacked", [True, False])
@pytest.mark.parametrize("kind", ["python", "binary"])
def test_cifar10(
    tmp_path: Path, batches: dict[str, tuple[Any, list[int]]], kind: str, unpacked: bool
) -> None:
    ending, inner = {
        "python": ("", "cifar-10-batches-py"),
        "binary": (".bin", "cifar-10-batches-bin"),
    }[kind]
    files = {}
    for name, (images, labels) in batches.items():
        rows = [
            bytes([label]) + image.tobytes() for image, label in zip(images, labels, strict=True)
        ]
        files[f"{name}{ending}"] = b"".join(rows) if ending else python_batch(images, labels)
    if unpacked:
        (tmp_path / inner).mkdir()
        for name, content in files.items():
            (tmp_path / inner / name).write_bytes(content)
    else:
        with tarfile.open(tmp_path / f"cifar-10-{kind}.tar.gz", "w:gz") as tar:
            for name, content in files.items():
                add(tar, f"{inner}/{name}", content)
    check_cifar10(cifar10(root=str(tmp_path)), batches)
    if unpacked:
        check_cifar10(cifar10(root=str(tmp_path / inner)), batches)
    assert cifar10(root=str(tmp_path), resolution=16).input_shape == (3, 16, 16)


@pytest.mark.parametrize("kind", ["python", "binary"])
def test_cifar100_has_the_fine_labels(tmp_path: Path, kind: str) -> None:
    for part, n in (("train", 5), ("test", 3)):
        images, fine, coarse = pixels(n), list(range(90, 90 + n)), list(range(n))
        if kind == "binary":
            rows = [
                bytes([c, f]) + i.tobytes() for i, f, c in zip(images, fine, coarse, strict=True)
            ]
            (tmp_path / f"{part}.bin").write_bytes(b"".join(rows))
        else:
            held = {"data": images.reshape(n, -1), "fine_labels": fine, "coarse_labels": coarse}
            (tmp_path / part).write_bytes(pickled(held))
    found = cifar100(root=str(tmp_path))
    assert found.labels.tolist() == [90, 91, 92, 93, 94, 90, 91, 92]
    assert (found.classes, found.official_test) == (100, 3)


def test_the_real_cifar10_in_the_binary_form(tmp_path: Path, shared_data: Path) -> None:
    """Real images through the official form and back: means near the published ones."""
    loader: dict[str, Any] = {}
    exec((shared_data / "load_images.py").read_text(), loader)
    parts = {
        "train": loader["load_packed"](shared_data / "cifar10" / "cifar10_train5k.packed.npz"),
        "test": loader["load_packed"](shared_data / "cifar10" / "cifar10_test2k.packed.npz"),
    }
    for part, names in (("train", BATCHES[:5]), ("test", BATCHES[5:])):
        images, labels = parts[part]
        rows = np.concatenate(
            [labels[:, None], images.transpose(0, 3, 1, 2).reshape(len(labels), -1)], 1
        )
        for name, chunk in zip(names, np.array_split(rows, len(names)), strict=True):
            (tmp_path / f"{name}.bin").write_bytes(chunk.astype(np.uint8).tobytes())
    split = {"train": 0.9, "validation": 0.1}
    config = data.resolve({"name": "cifar10", "root": str(tmp_path), "split": split})
    search, held_out = data.search_data(config), data.held_out(config)
    assert np.bincount(search.train.labels).tolist() == [450] * 10
    assert len(held_out.labels) == 2000
    published = np.array([[0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]]) * 255
    assert np.allclose([search.mean, search.std], published, rtol=0.02)


def test_every_flipped_bit_of_a_cifar_archive_is_noticed(
    tmp_path: Path, batches: dict[str, tuple[Any, list[int]]]
) -> None:
    archive = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, pair in batches.items():
            add(tar, f"cifar-10-batches-py/{name}", python_batch(*pair))
    whole = archive.read_bytes()
    for place in np.linspace(40, len(whole) - 1, 20).astype(int):  # behind the name in its head
        torn = bytearray(whole)
        torn[place] ^= 1 << int(place) % 8
        archive.write_bytes(torn)
        with pytest.raises(InputError, match=r"python.tar.gz: is damaged: "):
            cifar10(root=str(tmp_path))


def test_a_bad_cifar_is_named(tmp_path: Path, batches: dict[str, tuple[Any, list[int]]]) -> None:
    def fault(name: str, content: bytes | None) -> str:
        for batch, pair in batches.items():
            (tmp_path / batch).write_bytes(python_batch(*pair))
        if content is None:
            (tmp_path / name).unlink()
        else:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError) as error:
            cifar10(root=str(tmp_path))
        assert "\n" not in str(error.value)
        return str(error.value)

    images, labels = batches["test_batch"]
    assert "test_batch is missing" in fault("test_batch", None)
    assert "data_batch_2: is not a batch of cifar-10" in fault("data_batch_2", b"torn")
    assert "4 labels for 3 images" in fault("test_batch", python_batch(images[:3], labels))
    assert "holds label 10; expected 0 to 9" in fault("test_batch", python_batch(images, [10] * 4))
    wrong = pickle.dumps({"data": images, "fine_labels": labels})
    assert "(a pickle with data and labels): KeyError" in fault("test_batch", wrong)
    evil = pickle.dumps(os.getcwd)
    assert "posix.getcwd has no place in a data set" in fault("test_batch", evil)
    for batch in BATCHES:
        (tmp_path / batch).unlink()
    with pytest.raises(
        InputError, match=r"holds neither cifar-10-python.tar.gz nor cifar-10-binary"
    ):
        cifar10(root=str(tmp_path))
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(b"\x1f\x8bnot a tar")
    with pytest.raises(InputError, match=r"cifar-10-binary.tar.gz: is damaged"):
        cifar10(root=str(tmp_path))
    (tmp_path / "data_batch_1.bin").write_bytes(b"12345")
    with pytest.raises(InputError, match=r"data_batch_1.bin: has 5 bytes, not a multiple of 3073"):
        cifar10(root=str(tmp_path))


# --- SVHN ---


def test_svhn(tmp_path: Path) -> None:
    for part, n in (("train", 6), ("test", 3), ("extra", 2)):
        images = pixels(n)
        labels = np.array([[10, 1, 2, 9, 10, 5][i] for i in range(n)], np.uint8)[:, None]
        held = {"X": images.transpose(2, 3, 1, 0), "y": labels}
        savemat(tmp_path / f"{part}_32x32.mat", held)
        if part == "train":
            first = images
    found = svhn(root=str(tmp_path))
    assert np.array_equal(found.images[:6], first)
    assert found.labels.tolist() == [0, 1, 2, 9, 0, 5, 0, 1, 2]  # 10 is the digit 0
    assert found.official_test == 3
    assert len(svhn(root=str(tmp_path), extra=True).labels) == 11
    path = tmp_path / "train_32x32.mat"
    content = path.read_bytes()
    for torn in (content[:500], b"text", b""):
        path.write_bytes(torn)
        with pytest.raises(InputError, match=r"train_32x32.mat: is damaged: .*expected a M"):
            svhn(root=str(tmp_path))
    savemat(path, {"X": np.zeros((2, 2)), "z": 1})
    with pytest.raises(InputError, match=r"train_32x32.mat: holds X; expected"):
        svhn(root=str(tmp_path))
    path.unlink()
    with pytest.raises(InputError, match=r"train_32x32.mat: No such file"):
        svhn(root=str(tmp_path))


# --- a folder of pictures ---


def pictures(root: Path, **options: Any) -> Any:
    """What is in them: [N, C, H, W]."""
    images = folder(root=str(root), **options).images
    assert isinstance(images, Stored)
    return images.read()


def write_pictures(place: Path, sizes: dict[str, tuple[int, int]], ending: str) -> None:
    for name, (width, height) in sizes.items():
        (place / name).mkdir(parents=True)
        for n in range(3):
            values = RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)
            Image.fromarray(values).save(place / name / f"{n}.{ending}")


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_a_folder_with_a_class_in_each_sub_folder(tmp_path: Path, ending: str) -> None:
    write_pictures(tmp_path, {"dog": (7, 5), "cat": (7, 5)}, ending)
    (tmp_path / "cat" / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden").mkdir()
    found = folder(root=str(tmp_path))
    assert found.images.shape == (6, 3, 5, 7)
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1]
    with Image.open(tmp_path / "cat" / f"0.{ending}") as picture:
        assert np.array_equal(pictures(tmp_path)[0].transpose(1, 2, 0), np.asarray(picture))
    assert folder(root=str(tmp_path), colour="grey").images.shape == (6, 1, 5, 7)


def test_a_folder_is_known_by_the_names_and_sizes_of_its_files(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"dog": (7, 5), "cat": (7, 5)}, "png")
    prints = [folder(root=str(tmp_path)).fingerprint]
    assert folder(root=str(tmp_path), memory_gb=0).fingerprint == prints[0]
    (tmp_path / "cat" / "0.png").rename(tmp_path / "cat" / "9.png")
    prints.append(folder(root=str(tmp_path)).fingerprint)
    with (tmp_path / "cat" / "9.png").open("ab") as file:
        file.write(b"more")
    prints.append(folder(root=str(tmp_path)).fingerprint)
    (tmp_path / "cat" / "9.png").rename(tmp_path / "dog" / "9.png")
    prints.append(folder(root=str(tmp_path)).fingerprint)
    assert len(set(prints)) == 4


def test_a_folder_with_an_official_test_part(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write_pictures(tmp_path / part, {"a": (6, 6), "b": (6, 6)}, "png")
    found = folder(root=str(tmp_path))
    assert (len(found.labels), found.official_test) == (12, 6)
    (tmp_path / "test" / "c").mkdir()
    with pytest.raises(InputError, match=r"test: has the classes a, b, c; .*train has a, b"):
        folder(root=str(tmp_path))


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"car": (6, 6), "train": (6, 6), "plane": (6, 6)}, "png")
    found = folder(root=str(tmp_path))
    assert found.names == ("car", "plane", "train")
    assert (len(found.labels), found.official_test) == (9, 0)
    write_pictures(tmp_path / "parts", {"train": (6, 6), "test": (6, 6)}, "png")
    with pytest.raises(InputError, match=r"parts/train: has 0 sub-folder\(s\); expected one for e"):
        folder(root=str(tmp_path / "parts"))


def test_a_resolution_keeps_the_middle(tmp_path: Path) -> None:
    """The left third is red, the right third blue, the middle green: that is what is kept."""
    stripes = np.zeros((20, 60, 3), np.uint8)
    for third in range(3):
        stripes[:, 20 * third : 20 * (third + 1), third] = 255
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.fromarray(stripes).save(tmp_path / name / "0.png")
        Image.fromarray(stripes.transpose(1, 0, 2)).save(tmp_path / name / "1.png")
    with pytest.raises(InputError, match=r"1.png: is of 20x60 pixels, .*0.png of 60x20; set resol"):
        folder(root=str(tmp_path))
    found = pictures(tmp_path, resolution=10)
    assert found.shape == (4, 3, 10, 10)
    assert np.all(found[:, 1, 2:-2, 2:-2] == 255)
    assert np.all(found[:, [0, 2], 2:-2, 2:-2] == 0)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_sixteen_bits_are_scaled_to_eight(tmp_path: Path, ending: str) -> None:
    ramp = np.linspace(0, 65535, 36).astype(np.uint16).reshape(6, 6)
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.fromarray(ramp).save(tmp_path / name / f"0.{ending}")
    for colour, channels in (("grey", 1), ("rgb", 3)):
        found = pictures(tmp_path, colour=colour)
        assert found.shape == (2, channels, 6, 6)
        assert np.abs(found[0] - ramp / 65535 * 255).max() <= 0.5


@pytest.mark.parametrize(("kind", "mode"), [(np.int32, "I"), (np.float32, "F")])
def test_pixels_whose_range_is_unknown_are_refused(tmp_path: Path, kind: Any, mode: str) -> None:
    write_pictures(tmp_path, {"a": (6, 6), "b": (6, 6)}, "tif")
    Image.fromarray(np.full((6, 6), 300, kind)).save(tmp_path / "b" / "1.tif")
    with pytest.raises(InputError, match=rf"b/1.tif: has pixels of 32 bits \(Pillow's mode {mode}"):
        pictures(tmp_path)


def test_a_bad_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: is not a folder"):
        folder(root=str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"has 0 sub-folder\(s\); expected one for each class"):
        folder(root=str(tmp_path))
    write_pictures(tmp_path, {"a": (6, 6), "b": (6, 6)}, "png")
    for content, fault in ((b"text", "is not a picture"), (b"", "is not a picture")):
        (tmp_path / "a" / "9.png").write_bytes(content)
        with pytest.raises(InputError, match=rf"9.png: {fault}"):
            pictures(tmp_path)
    whole = (tmp_path / "a" / "0.png").read_bytes()
    (tmp_path / "a" / "9.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"9.png: is damaged"):
        pictures(tmp_path)
    (tmp_path / "a" / "9.png").unlink()
    bomb = tmp_path / "a" / "9.bmp"
    Image.new("1", (30, 20)).save(bomb)
    head = bytearray(bomb.read_bytes())
    head[18:26] = struct.pack("<ii", 30_000, 20_000)
    bomb.write_bytes(head)
    with pytest.raises(InputError, match=r"9.bmp: Image size \(600000000 pixels\) exceeds limit"):
        pictures(tmp_path)
    bomb.unlink()
    (tmp_path / "c").mkdir()
    with pytest.raises(InputError, match=r"c: holds no pictures"):
        folder(root=str(tmp_path))


# --- arrays ---


def test_arrays_in_a_file_or_a_folder(tmp_path: Path) -> None:
    images, labels = pixels(6, 1, 5), np.array([0, 1, 2, 0, 1, 2])
    for written in (images, images[:, 0], images.transpose(0, 2, 3, 1)):
        np.savez(tmp_path / "a.npz", images=written, labels=labels)
        found = arrays(path=str(tmp_path / "a.npz"))
        assert np.array_equal(found.images, images)
        assert (found.classes, found.official_test) == (3, 0)
    (tmp_path / "b").mkdir()
    for name, value in {"images": images, "labels": labels, "test_images": images[:2],
                        "test_labels": labels[1:3]}.items():  # fmt: skip
        np.save(tmp_path / "b" / f"{name}.npy", value)
    found = arrays(path=str(tmp_path / "b"))
    assert (len(found.labels), found.official_test) == (8, 2)
    assert found.labels.tolist()[-2:] == [1, 2]


@pytest.mark.parametrize(
    "scaled",
    [lambda x: x / 255, lambda x: np.float16(x / 255), lambda x: np.uint16(x) * 257],
    ids=["float64", "float16", "uint16"],
)
def test_arrays_of_other_types_are_the_same_pixels(tmp_path: Path, scaled: Any) -> None:
    images = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
    np.savez(tmp_path / "a.npz", images=scaled(images), labels=[0, 1, 0, 1])
    assert np.array_equal(arrays(path=str(tmp_path / "a.npz")).images[:, 0], images)


@pytest.mark.parametrize(
    ("held", "fault"),
    [
        ({"images": pixels(3, 1, 4)}, "holds images; expected images and labels"),
        (
            {"images": np.full((3, 4, 4), 255.0), "labels": np.zeros(3, int)},
            "images: holds floats from 0 to 255; they must be from 0 to 1",
        ),
        ({"images": np.zeros((3, 4, 4), int), "labels": np.zeros(3, int)}, "an array of int64"),
        (
            {"images": np.full((3, 4, 4), 4095, np.uint16), "labels": np.zeros(3, int)},
            "images: holds uint16 from 0 to 4095, so that 65,535 can hardly be white",
        ),
        ({"images": pixels(3, 2, 5), "labels": np.zeros(3, int)}, r"images: are of \[3, 2, 5, 5\]"),
        ({"images": pixels(3, 1, 4), "labels": np.zeros(2, int)}, "expected 3 whole numbers"),
        ({"images": pixels(3, 1, 4), "labels": np.array([0, 1, -1])}, "expected 3 whole numbers"),
    ],
    ids=["no_labels", "floats", "int64", "12_bits", "two_channels", "too_few", "negative"],
)
def test_bad_arrays_are_named(tmp_path: Path, held: dict[str, Any], fault: str) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **held)
    with pytest.raises(InputError, match=fault) as error:
        arrays(path=str(path))
    assert str(path) in str(error.value)


def test_files_that_are_no_arrays_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    for content in (b"text", b"PK\x03\x04torn"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"a.npz: is not a file of arrays"):
            arrays(path=str(path))
    with pytest.raises(InputError, match="No such file"):
        arrays(path=str(tmp_path / "b.npz"))
    np.save(tmp_path / "c.npy", pixels(3))
    with pytest.raises(InputError, match=r"c.npy: is a single array; expected .npz, or a folder"):
        arrays(path=str(tmp_path / "c.npy"))


# --- one's own ---


def pairs() -> list[tuple[Any, int]]:
    return [(Image.fromarray(np.full((4, 6, 3), n, np.uint8)), n % 2) for n in range(10)]


def parts() -> Any:
    import torch
    from torch.utils.data import TensorDataset

    images = torch.arange(5).view(5, 1, 1, 1).expand(5, 1, 4, 4) / 4
    return TensorDataset(images, torch.arange(5) % 3), TensorDataset(images[:2], torch.arange(2))


def unlike() -> Any:
    return [(np.zeros((4, 4), np.uint8), 0), (np.zeros((5, 4), np.uint8), 1)]


def as_float() -> Any:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return list(zip(digits.images, digits.target, strict=True))  # from 0 to 16


def normalized() -> Any:
    return [((image.astype(np.float32) / 255 - 0.5) / 0.25, n) for n, image in enumerate(pixels(3))]


def undefined() -> Any:
    return [(np.full((4, 4), np.nan), 0)]


HERE = "tests.training.test_datasets"


def test_any_map_style_dataset() -> None:
    found = python(function=f"{HERE}:pairs")
    assert found.images.shape == (10, 3, 4, 6)
    assert found.images[:, 0, 0, 0].tolist() == list(range(10))
    assert (found.labels.tolist(), found.classes) == ([0, 1] * 5, 2)
    found = python(function=f"{HERE}:parts")
    assert (len(found.labels), found.official_test, found.classes) == (7, 2, 3)
    assert found.images[:5, 0, 0, 0].tolist() == [0, 64, 128, 191, 255]
    for name, fault in {
        f"{HERE}:unlike": "images differ in shape",
        f"{HERE}:as_float": "as_float: .*: holds floats from 0 to 1[56]; they must be",
        f"{HERE}:normalized": r"floats from -\S+ to (2|1\.\d+); .* do not normalise",
        f"{HERE}:undefined": "floats from nan to nan; they must be from 0 to 1",
        f"{HERE}:nothing": "unknown name 'nothing'; allowed: Python2, add, ",
        "nowhere:x": "no module 'nowhere'; allowed: file.py:NAME or package.module:NAME",
        "nowhere": "nowhere: must be file.py:NAME or package.module:NAME, got 'nowhere'",
    }.items():
        with pytest.raises(InputError, match=fault):
            python(function=name)


def test_a_dataset_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import numpy as np\n"
        "def dataset(): return [(np.full((4, 4), i, np.uint8), i % 3) for i in range(6)]\n"
    )
    found = python(function=f"{file}:dataset")
    assert found.images[:, 0, 0, 0].tolist() == list(range(6))
    assert (found.labels.tolist(), found.classes) == ([0, 1, 2] * 2, 3)


# --- downloads ---


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder, and the address under which a local server gives its files."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    place = tmp_path / "www"
    place.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            pass

        def end_headers(self) -> None:
            if self.path == "/torn":  # promises more than it gives
                self.send_header("X-Torn", "1")
            super().end_headers()

        def send_header(self, keyword: str, value: str) -> None:
            if self.path == "/torn" and keyword == "Content-Length":
                value = str(int(value) + 100)
            super().send_header(keyword, value)

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(place))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield place, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def test_a_download_is_checked_and_kept(served: tuple[Path, str]) -> None:
    place, base = served
    (place / "file").write_bytes(b"content")
    files = {"file": md5(b"content")}
    dead = "http://127.0.0.1:9/"  # nobody listens: the next address is tried
    (path,) = download.official(None, "set", [dead, base], files)
    assert path.read_bytes() == b"content"
    (place / "file").unlink()
    assert download.official(None, "set", [base], files) == [path]  # from the cache
    path.write_bytes(b"changed")
    with pytest.raises(InputError, match=r"file: is not the official file: its MD5 is not"):
        download.official(None, "set", [base], files)


def test_offline_reads_what_is_there_and_downloads_nothing(served: tuple[Path, str]) -> None:
    place, base = served
    (place / "file").write_bytes(b"content")
    files = {"file": md5(b"content")}
    with download.offline(), pytest.raises(InputError, match="this command downloads nothing"):
        download.official(None, "set", [base], files)
    kept = download.official(None, "set", [base], files)
    with download.offline():
        assert download.official(None, "set", ["http://127.0.0.1:9/"], files) == kept


def test_a_failed_download_leaves_nothing_and_says_what_to_do(served: tuple[Path, str]) -> None:
    place, base = served
    (place / "file").write_bytes(b"other content")
    (place / "torn").write_bytes(b"half")
    for address, name, fault in (
        (base, "file", "does not match the known hash"),
        (base, "absent", "404"),
        (base, "torn", "IncompleteRead|Connection broken"),
        ("http://127.0.0.1:9/", "file", "Connection refused|Failed to establish"),
    ):
        with pytest.raises(InputError, match=fault) as error:
            download.official(None, "set", [address], {name: md5(b"content")})
        assert f"{address}{name}" in str(error.value)
        assert f"give it as root: {name}" in str(error.value)
        folder = Path(os.environ["XDG_CACHE_HOME"]) / "nas" / "set"
        assert [p.name for p in folder.glob("*")] == []


def test_cifar10_is_downloaded_where_there_is_no_root(
    served: tuple[Path, str],
    monkeypatch: pytest.MonkeyPatch,
    batches: dict[str, tuple[Any, list[int]]],
) -> None:
    place, base = served
    archive = place / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, pair in batches.items():
            add(tar, f"cifar-10-batches-py/{name}", python_batch(*pair))
    monkeypatch.setattr(cifar, "_BASE", base)
    with pytest.raises(InputError, match="does not match the known hash"):
        cifar10()  # not the official archive
    own = cifar._Form("cifar-10", 10, tuple(BATCHES), "labels", 1, md5(archive.read_bytes()))
    monkeypatch.setattr(cifar, "_CIFAR10", own)
    check_cifar10(cifar10(), batches)


def test_the_checksums_of_idx_files_are_the_official_ones(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real files in the cache are taken for official, so nothing is downloaded."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "nas").mkdir()
    (tmp_path / "nas" / "fashion_mnist").symlink_to(shared_data / "fashion-mnist")
    assert len(fashion_mnist().labels) == 70_000
    (tmp_path / "nas" / "mnist").mkdir()
    for path in (shared_data / "mnist-test").glob("t10k-*"):
        (tmp_path / "nas" / "mnist" / path.name).symlink_to(path)
    for name in ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"):
        (tmp_path / "nas" / "mnist" / name).write_bytes(b"")
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte.gz: is not the official file"):
        mnist()
