"""``--data`` in every command, and the campaigns that ``nas new`` writes for one's own images."""

import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from nas.analysis.tables.comparability import setting, unlike
from nas.campaigns.spec.campaign import load_campaign
from nas.campaigns.spec.data_argument import read
from nas.campaigns.spec.scaffold import write_campaign
from nas.campaigns.spec.specification import check_same, specification
from nas.campaigns.store.types import Header
from nas.errors import InputError
from nas.jobs import names

USER = Path(__file__).parents[2] / "extending" / "user"
RNG = np.random.default_rng(0)


def fill(place: Path, count: int, sizes: list[tuple[int, int]], mode: str = "RGB") -> None:
    place.mkdir(parents=True)
    for n in range(count):
        pixels = RNG.integers(0, 256, (*sizes[n % len(sizes)], 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(place / f"{n}.png")


def classes(top: Path) -> None:
    """Photographs of several sizes, one folder per class, and what a Mac leaves behind."""
    for name in ("cat", "a dog: [old]"):
        fill(top / name, 10, [(70, 90), (80, 64)])
    (top / "cat" / "._0.png").write_bytes(b"x")
    (top / "cat" / "notes.txt").write_text("x")


def three_parts(top: Path) -> None:
    """Grey pictures of one size, in a folder within a folder, as an unpacked archive has them."""
    for part, count in (("train", 8), ("valid", 4), ("test", 4)):
        for name in ("normal", "ill"):
            fill(top / "chest" / part / name, count, [(32, 32)], "L")


def two_parts(top: Path) -> None:
    """Long pictures, with Kaggle's names."""
    for part, count in (("Training", 20), ("Testing", 4)):
        for name in ("a", "b"):
            fill(top / part / name, count, [(20, 60)])


def mnist(top: Path) -> None:
    """What torchvision downloads."""
    raw = top / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 100), ("t10k", 20)):
        images = RNG.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
            head = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
            (raw / f"{part}-{kind}-ubyte").write_bytes(head + values.tobytes())


def medmnist(top: Path) -> None:
    """The file of MedMNIST."""
    top.mkdir()
    held = {}
    for part, count in (("train", 12), ("val", 6), ("test", 6)):
        held[f"{part}_images"] = RNG.integers(0, 256, (count, 28, 28, 3), dtype=np.uint8)
        held[f"{part}_labels"] = (np.arange(count) % 3).astype(np.uint8)[:, None]
    np.savez(top / "med.npz", **held)


@pytest.mark.parametrize(
    ("layout", "path", "expected", "shape", "sizes"),
    [
        (
            classes,
            "",
            {"name": "folder", "resolution": 64, "fit": "crop", "colour": "rgb"},
            (3, 64, 64),
            (12, 4, 4),
        ),
        (
            three_parts,
            "",
            {"name": "folder", "resolution": None, "colour": "grey"},
            (1, 32, 32),
            (16, 8, 8),
        ),
        (
            two_parts,
            "",
            {"name": "folder", "resolution": 16, "fit": "squeeze", "colour": "rgb"},
            (3, 16, 16),
            (36, 4, 8),
        ),
        (mnist, "", {"name": "mnist"}, (1, 28, 28), (90, 10, 20)),
        (medmnist, "med.npz", {"name": "arrays", "resolution": None}, (3, 28, 28), (12, 6, 6)),
    ],
    ids=["classes", "three_parts", "two_parts", "mnist", "medmnist"],
)
def test_a_folder_is_enough_for_a_campaign(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    layout: Callable[[Path], None],
    path: str,
    expected: dict[str, object],
    shape: tuple[int, ...],
    sizes: tuple[int, int, int],
) -> None:
    monkeypatch.chdir(tmp_path)
    layout(tmp_path / "my pics")
    file = write_campaign(Path("results/mine"), data=str(Path("my pics", path)))
    text = file.read_text()
    given = yaml.safe_load(text)
    found = dict(given["data"])
    place = found.pop("root", None) or found.pop("path")
    assert not os.path.isabs(place)
    assert (file.parent / place).resolve().is_relative_to(tmp_path / "my pics")
    found.pop("split", None)
    assert found == expected
    assert given["recipe"]["epochs"] >= 8
    assert ("flip" in given["recipe"]["augment"]) == (shape[0] == 3)
    monkeypatch.chdir("/")
    campaign = load_campaign(tmp_path / "results" / "mine")
    assert (campaign.input_shape, campaign.config.constraints.macs) == (
        shape,
        given["constraints"]["macs"],
    )
    assert campaign.data is not None
    assert "{:,}, {:,} and {:,} images".format(*sizes) in text
    assert len(campaign.classics) == 3
    assert max(map(len, text.splitlines())) <= 105
    trained = names.data(str(tmp_path / "my pics" / path))  # the same in nas train
    assert trained.options == {**campaign.data.options}


@pytest.mark.parametrize(
    ("shape", "side", "why"),
    [
        ((27, 18), None, "all are of 18x27 pixels, which is kept"),
        ((1, 50), None, "all are of 50x1 pixels, which is kept"),
        ((6, 5, 3), None, "all are of 5x6 pixels, which is kept"),
        ((128, 32), None, "all are of 32x128 pixels, which is kept"),
        ((65, 65), 64, "the pictures are of 65x65 pixels; the time of a trial grows"),
        ((20, 400), 16, "the pictures are of 400x20 pixels; most networks need as"),
    ],
)
def test_arrays_keep_their_size_where_it_is_feasible(
    tmp_path: Path, shape: tuple[int, ...], side: int | None, why: str
) -> None:
    images = RNG.integers(0, 256, (20, *shape), dtype=np.uint8)
    np.savez(tmp_path / "d.npz", images=images, labels=np.arange(20) % 2)
    text = write_campaign(tmp_path / "mine", data=str(tmp_path / "d.npz")).read_text()
    assert why in text
    campaign = load_campaign(tmp_path / "mine")
    assert campaign.input_shape[1:] == ((side, side) if side else shape[:2])
    assert campaign.classics  # those that fit such images
    assert campaign.recipe is not None
    shifts = any(step.name == "shift" for step in campaign.recipe.augment)
    assert shifts == (min(campaign.input_shape[1:]) >= 8)


def test_a_draft_fits_volumes(tmp_path: Path) -> None:
    images = RNG.integers(0, 256, (20, 6, 7, 8), dtype=np.uint8)
    np.savez(tmp_path / "d.npz", images=images, labels=np.arange(20) % 2)
    write_campaign(tmp_path / "mine", data=str(tmp_path / "d.npz"))
    campaign = load_campaign(tmp_path / "mine")
    assert campaign.input_shape == (1, 6, 7, 8)
    assert campaign.classics
    assert campaign.recipe is not None
    assert not campaign.recipe.augment


def test_a_draft_keeps_the_split_that_is_given(tmp_path: Path) -> None:
    classes(tmp_path / "pics")
    for number in range(9):
        (tmp_path / "pics" / "cat" / f"{number}.png").unlink()
    shares = "train: 0.6, validation: 0.2, test: 0.2"
    start = f"{{name: folder, root: {tmp_path}/pics, resolution: 16, split: {{{shares}"
    with pytest.raises(InputError, match=r"class 1 \(cat\) has 1 images: .*small_classes: train"):
        write_campaign(tmp_path / "mine", data=f"{start}}}}}")
    text = write_campaign(tmp_path / "mine", data=f"{start}, small_classes: train}}}}").read_text()
    assert "# warning: no validation or test image is of class 1 (cat)" in text
    found = load_campaign(tmp_path / "mine").data
    assert found is not None
    assert found.split.small_classes == "train"
    for name in "abcdef":
        fill(tmp_path / "pics" / name, 2, [(70, 90)])
    data = f"{start}, of: classes, seed: 3}}}}".replace("0.6", "0.5").replace("0.2", "0.25")
    write_campaign(tmp_path / "faces", data=data, task="embedding")
    split = load_campaign(tmp_path / "faces").data
    assert split is not None
    assert (split.split.of, split.split.seed) == ("classes", 3)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ("nowhere/pics", "nowhere/pics: No such file or folder"),
        ("mine.py", "name the function that returns the data set: mine.py:FUNCTION"),
        ("text.txt", "text.txt: is a file; expected a folder of pictures"),
        ("digit", r"unknown data set 'digit' \(did you mean 'digits'\?\)"),
        ("{name: folder, root: nowhere}", "nowhere: is not a folder"),
        ("caf\udce9", r"caf\\xe9: this name is not UTF-8"),
    ],
)
def test_data_that_is_not_there_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str, fault: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mine.py", "text.txt"):
        Path(name).write_text("x")
    os.mkdir("caf\udce9")
    with pytest.raises(InputError, match=fault) as error:
        write_campaign(Path("new"), data=data)
    assert "\n" not in str(error.value)
    assert not Path("new").exists()


def test_a_message_names_the_argument_of_the_command() -> None:
    with pytest.raises(InputError, match=r"^DATA: name: unknown data set 'digit'"):
        read("digit", "DATA")


def test_a_function_starts_at_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(
        "import numpy as np\n"
        "def f(): return [(np.full((16, 16), n, np.uint8), n % 2) for n in range(20)]\n"
    )
    write_campaign(Path("results/mine"), data="mine.py:f")
    assert load_campaign(tmp_path / "results" / "mine").input_shape == (1, 16, 16)
    assert names.data("mine.py:f").name == f"{tmp_path / 'mine.py'}:f"


def test_a_draft_fits_a_function_with_a_test_part_and_several_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(
        "import numpy as np\n"
        "def part(most): return [(np.full((most + n, 40, 3), n, np.uint8), 'ab'[n % 2])"
        " for n in range(20)]\n"
        "def f(): return part(30), part(36)\n"
    )
    text = write_campaign(Path("results/mine"), data="mine.py:f").read_text()
    assert "name: python\n" in text
    assert "the pictures are of 40x30 to 40x55 pixels" in text
    found = load_campaign(Path("results/mine"))
    assert found.input_shape == (3, 32, 32)
    assert found.data is not None
    assert found.data.split.fractions == {"train": 0.9, "validation": 0.1}
    assert names.data("mine.py:f").options["resolution"] == 32


def test_own_parts_start_at_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("my_space", "my_searcher"):
        shutil.copy(USER / f"{name}.py", tmp_path)
    shutil.copy(USER / "helper.py", tmp_path)
    named = {"space": "my_space.py:space", "searcher": "my_searcher.py:Climber"}
    write_campaign(Path("results/here"), **named)
    write_campaign(Path("results/there"), **{k: f"../../{name}" for k, name in named.items()})
    assert load_campaign(Path("results/here")).config == load_campaign(Path("results/there")).config


def test_equal_data_at_another_place_are_the_same(tmp_path: Path) -> None:
    classes(tmp_path / "one")
    first = write_campaign(tmp_path / "mine", data=str(tmp_path / "one"))
    before = load_campaign(tmp_path / "mine")
    header = Header(
        schema=3, specification=specification(before), data=before.data_fingerprint or ""
    )
    shutil.move(tmp_path / "one", tmp_path / "moved")
    text = first.read_text()
    first.write_text(text.replace(str(tmp_path / "one"), "../moved"))
    check_same(load_campaign(tmp_path / "mine"), header)
    picture = tmp_path / "moved" / "cat" / "0.png"
    Image.open(picture).rotate(180).save(picture)
    with pytest.raises(InputError, match="its images or labels are others than those"):
        check_same(load_campaign(tmp_path / "mine"), header)
    first.write_text(first.read_text().replace("resolution: 64", "resolution: 48"))
    with pytest.raises(InputError, match=r"data.resolution: recorded 64, now 48"):
        check_same(load_campaign(tmp_path / "mine"), header)


def test_equal_data_at_another_place_are_compared(tmp_path: Path) -> None:
    for name in ("one", "two"):
        classes(tmp_path / name)
    shutil.copytree(tmp_path / "one", tmp_path / "far" / "copy")
    settings = []
    for place in ("one", "far/copy", "two"):
        folder = tmp_path / "results" / place
        write_campaign(folder, data=str(tmp_path / place))
        campaign = load_campaign(folder)
        settings.append(
            setting(
                specification(campaign),
                "final",
                checksum=campaign.data_checksum,
                images=campaign.data_fingerprint,
            )
        )
    assert settings[0] == settings[1]
    assert unlike(settings[0], settings[2]).startswith("data.images ")


def test_names_of_classes_reach_the_draft_without_control_characters(tmp_path: Path) -> None:
    for name in ("\x1b[31mred", "<script>", "=cmd()", "two\nlines"):
        fill(tmp_path / "pics" / name, 10, [(32, 32)])
    text = write_campaign(tmp_path / "mine", data=str(tmp_path / "pics")).read_text()
    assert all(each.isprintable() for each in text.split("\n"))
    campaign = load_campaign(tmp_path / "mine")
    assert campaign.data is not None
    assert (campaign.outputs, campaign.data.name) == (4, "folder")
