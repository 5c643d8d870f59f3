"""Images that stay on the disk: another pipeline, the same numbers."""

import gc
import resource
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nas.architecture.builder import Builder
from nas.campaigns.spec.campaign import load_campaign
from nas.errors import InputError
from nas.evaluators.training import evaluate
from nas.evaluators.work import complete
from nas.training import data
from nas.training.batches import batches, resident
from nas.training.data import Part, SearchData
from nas.training.datasets import Stored
from nas.training.datasets import folder as folders
from nas.training.splitting import split

CPU = torch.device("cpu")
SPLIT = {"train": 0.6, "validation": 0.2, "test": 0.2}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of two classes, of pictures of many sizes."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(("dark", "light")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for n in range(30):
            height, width = rng.integers(9, 20, 2)
            pixels = rng.integers(0, 150, (height, width, 3)) + 100 * label
            file = tmp_path / "pictures" / name / f"{n:02}.png"
            Image.fromarray(pixels.astype(np.uint8)).save(file)
    return tmp_path / "pictures"


def both(section: dict[str, Any]) -> tuple[SearchData, SearchData]:
    """In memory, and streamed."""
    configs = [section, {**section, "memory_gb": 0}]
    held, stored = (data.search_data(data.resolve(each)) for each in configs)
    assert (held.train.pipeline, stored.train.pipeline) == ("resident", "streamed")
    return held, stored


def of_folder(pictures: Path) -> dict[str, Any]:
    return {"name": "folder", "root": str(pictures), "resolution": 8, "split": SPLIT}


def own() -> Any:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 6, 6), dtype=np.uint8)
    return [(image, n % 2) for n, image in enumerate(images)], [(images[0], 1), (images[1], 0)]


def of_function() -> dict[str, Any]:
    split = {"train": 0.8, "validation": 0.2}
    function = "tests.training.test_streaming:own"
    return {"name": "python", "function": function, "resolution": 4, "split": split}


@pytest.mark.parametrize("kind", ["folder", "python"])
def test_what_is_streamed_is_what_is_in_memory(kind: str, pictures: Path) -> None:
    section = of_folder(pictures) if kind == "folder" else of_function()
    held, stored = both(section)
    for name in ("mean", "std", "classes", "checksum", "input_shape"):
        assert getattr(held, name) == getattr(stored, name)
    ends = [data.held_out(data.resolve({**section, "memory_gb": gb})) for gb in (1, 0)]
    pairs = [(held.train, stored.train), (held.validation, stored.validation), tuple(ends)]
    for one, other in pairs:
        count = len(one.labels)
        assert isinstance(other.images, Stored)
        assert one.images.shape == other.images.shape == (count, *held.input_shape)
        assert np.array_equal(one.labels, other.labels)
        bounds = [(0, 1), (1, count)]
        for order in (None, torch.randperm(count)):
            fed = [list(batches(part, bounds, CPU, order)) for part in (one, other)]
            for (images, labels), (others, their_labels) in zip(*fed, strict=True):
                assert torch.equal(images, others)
                assert torch.equal(labels, their_labels)
            assert torch.equal(
                torch.cat([images for images, _ in fed[0]]),
                torch.from_numpy(one.images)[slice(None) if order is None else order],
            )
    parts = [data.part_of_training(each, 30, 0).train for each in (held, stored)]
    [(images, _)], [(others, _)] = (list(batches(p, [(0, len(p.labels))], CPU)) for p in parts)
    assert torch.equal(images, others)


def test_streaming_needs_no_shared_memory(pictures: Path) -> None:
    """No file grows under this limit, as in a container whose /dev/shm is full."""
    _, streamed = both(of_folder(pictures))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, before[1]))
    try:
        images = torch.cat(list(streamed.train.images.batches([[3, 1], [2]])))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    np.testing.assert_array_equal(images.numpy(), streamed.train.images[np.array([3, 1, 2])].read())


def test_training_is_the_same_bit_for_bit(pictures: Path) -> None:
    """With dropout, whose draws a loader must not change."""
    g = Builder((3, 8, 8))
    x = g.dropout(g.relu(g.conv(g.input, 8, kernel=3, stride=2)), 0.5)
    architecture = g.build(g.linear(g.flatten(x), 2))
    found = [
        complete(
            evaluate(
                {
                    "architecture": architecture.to_json(),
                    "data": {**of_folder(pictures), "memory_gb": memory},
                    "recipe": {"preset": "quick", "epochs": 2, "batch_size": 5},
                    "seed": 0,
                    "device": "cpu",
                }
            )
        )
        for memory in (4, 0)
    ]
    assert [each.pop("pipeline") for each in found] == ["resident", "streamed"]
    for name in ("train_loss", "validation_loss", "validation_accuracy"):
        assert found[0][name] == found[1][name]


def test_a_torn_picture_is_named_when_it_is_read(pictures: Path) -> None:
    path = pictures / "dark" / "00.png"
    path.write_bytes(path.read_bytes()[:60])
    whole = folders.folder(root=str(pictures), resolution=8, memory_gb=0)
    assert isinstance(whole.images, Stored)
    with pytest.raises(InputError) as error:
        list(whole.images.batches([[1, 2], [0]]))
    assert str(error.value).startswith(f"{path}: is damaged: ")
    assert "\n" not in str(error.value)


def test_a_torn_test_picture_is_found_before_anything_is_trained(pictures: Path) -> None:
    config = data.resolve({**of_folder(pictures), "memory_gb": 0})
    whole = folders.folder(root=str(pictures), resolution=8, memory_gb=0)
    first = split(whole, config.split).test[0]
    path = pictures / "dark" / f"{first:02}.jpg"
    with Image.open(path.with_suffix(".png")) as picture:
        picture.save(path)
    path.with_suffix(".png").unlink()
    path.write_bytes(path.read_bytes()[:-200])  # of a JPEG, the head says nothing of this
    with pytest.raises(InputError, match=rf"{path}: is damaged: "):
        data.search_data(config)


@pytest.mark.parametrize("memory_gb", [4, 0])
def test_the_test_part_is_loaded_without_reading_another_picture(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, memory_gb: float
) -> None:
    config = data.resolve({**of_folder(pictures), "memory_gb": memory_gb})
    read: list[int] = []
    picture = folders._picture

    def counted(paths: Any, channels: Any, size: Any, position: int) -> Any:
        read.append(position)
        return picture(paths, channels, size, position)

    monkeypatch.setattr(folders, "_picture", counted)
    part = data.held_out(config)
    whole = folders.folder(root=str(pictures), resolution=8)
    expected = split(whole, config.split).test.tolist()
    assert len(expected) == len(part.labels) == 12
    assert read == (expected if memory_gb else [])


def test_a_campaign_is_prepared_without_reading_a_picture(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "campaign.yaml").write_text(
        f"""
space: {{name: primitives}}
searcher: random
budget: {{trials: 1}}
data: {{name: folder, root: {pictures}, resolution: 16,
  split: {{train: 0.6, validation: 0.2, test: 0.2}}}}
recipe: {{preset: quick}}
"""
    )

    def refuse(*arguments: object) -> None:
        raise AssertionError("read")

    monkeypatch.setattr(folders, "_picture", refuse)
    campaign = load_campaign(tmp_path)
    assert (campaign.input_shape, campaign.outputs) == ((3, 16, 16), 2)


def test_trials_share_what_is_on_the_device() -> None:
    part = Part(np.zeros((3, 1, 2, 2), np.uint8), np.arange(3))
    once = resident(part, CPU)
    assert resident(part, CPU)[0] is once[0]
    images = weakref.ref(once[0])
    del part, once
    gc.collect()
    assert images() is None  # with the part
