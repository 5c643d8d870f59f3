"""Series and volumes go through the training loop: readers, statistics, batches, evaluation."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nas
from nas.cli import main
from nas.errors import InputError
from nas.tasks.classification import Classification
from nas.training.data import DataConfig, Part, SearchData, load, search_data
from nas.training.datasets import DATASETS
from nas.training.datasets.look import propose
from nas.training.loop import Trainer, measure, normalizer
from nas.training.recipe import check_augment, resolve

HEADER = "# text: with, marks\n@problemName x\n@classLabel true a b\n@data\n"


def waves(number: int, length: int = 24, channels: int = 2) -> tuple[Any, list[str]]:
    """Slow waves and fast ones."""
    rng = np.random.default_rng(number)
    labels = ["slow", "fast"] * (number // 2)
    time = np.linspace(0, 2 * np.pi, length)
    phases = rng.uniform(0, 6, (number, channels, 1))
    speeds = np.array([[[1 if label == "slow" else 4]] for label in labels])
    return np.sin(speeds * time + phases) * 3 + 7, labels


def write(root: Path, packed: bool = False) -> Path:
    for part, number in (("TRAIN", 24), ("TEST", 8)):
        values, labels = waves(number)
        lines = [
            ":".join([*(",".join(map(str, channel)) for channel in one), label])
            for one, label in zip(values.tolist(), labels, strict=True)
        ]
        content = (HEADER + "\n".join(lines) + "\n").encode()
        path = root.with_name(f"{root.name}_{part}.ts{'.gz' if packed else ''}")
        path.write_bytes(gzip.compress(content) if packed else content)
    return root


@pytest.mark.parametrize("packed", [False, True])
def test_series_are_read(tmp_path: Path, packed: bool) -> None:
    found = DATASETS["series"](root=str(write(tmp_path / "waves", packed)))
    assert found.images.shape == (32, 2, 24)
    assert (found.names, found.official_test, found.classes) == (("fast", "slow"), 8, 2)
    expected = np.concatenate([waves(24)[0], waves(8)[0]])
    assert np.allclose(found.images, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2:a\n1,2,3:b", "series 2: has 1 channels of length 3"),
        ("1,2:3:a", "series 1: has 2 channels of length 1, 2"),
        ("1,?:a", "series 1: could not convert string to float: '[?]'; every value must be a num"),
        ("1,nan:a\n1,2:b", "holds values that are no finite numbers"),
        ("", "has no series behind a line @data"),
    ],
)
def test_bad_series(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x_TRAIN.ts").write_text(HEADER + text)
    with pytest.raises(InputError, match=f"x_TRAIN.ts: {message}"):
        DATASETS["series"](root=str(tmp_path / "x"))
    with pytest.raises(InputError, match=r"y_TRAIN.ts: No such file, and none that ends in .gz"):
        DATASETS["series"](root=str(tmp_path / "y"))


@pytest.mark.parametrize(
    ("name", "train", "test", "shape", "classes"),
    [("GunPoint", 50, 150, (1, 150), 2), ("BasicMotions", 40, 40, (6, 100), 4),
     ("ItalyPowerDemand", 67, 1029, (1, 24), 2), ("ArrowHead", 36, 175, (1, 251), 3)],
)  # fmt: skip
def test_published_sizes(
    shared_data: Path, name: str, train: int, test: int, shape: tuple[int, ...], classes: int
) -> None:
    """Those of the archive's table (Bagnall et al. 2018)."""
    found = DATASETS["series"](root=str(shared_data / "tasks" / "series" / name))
    assert (len(found.labels) - found.official_test, found.official_test) == (train, test)
    assert (found.input_shape, found.classes) == (shape, classes)


def of_series(root: Path) -> SearchData:
    config = {
        "name": "series",
        "root": str(write(root)),
        "split": {"train": 0.75, "validation": 0.25},
    }
    return search_data(DataConfig.model_validate(config))


def volumes(tmp_path: Path) -> SearchData:
    """Bright balls and dark ones in noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    images = rng.integers(80, 170, (40, 8, 8, 8)).astype(np.uint8)
    images[:, 2:6, 2:6, 2:6] = np.where(labels, 240, 10)[:, None, None, None]
    np.savez(tmp_path / "volumes.npz", images=images, labels=labels)
    config = {"name": "arrays", "path": str(tmp_path / "volumes.npz"), "volumes": True}
    return load(DataConfig.model_validate(config)).search()


def test_they_are_known_by_their_files(tmp_path: Path) -> None:
    root = write(tmp_path / "waves")
    for path in (tmp_path / "waves_TRAIN.ts", tmp_path):
        assert propose(path).section == {"name": "series", "root": str(root)}
    write(tmp_path / "others")
    with pytest.raises(InputError, match="has several data sets, others, waves: name a file of"):
        propose(tmp_path)
    volumes(tmp_path)
    assert propose(tmp_path / "volumes.npz").section["volumes"] is True


@pytest.mark.parametrize("make", [of_series, volumes], ids=["series", "volumes"])
def test_a_network_learns_from_them(tmp_path: Path, make: Any) -> None:
    data = make(tmp_path / "waves" if make is of_series else tmp_path)
    held = np.array(data.train.images)
    axes = (0, *range(2, held.ndim))
    assert data.mean == pytest.approx(held.mean(axes, np.float64), rel=1e-6)
    assert data.std == pytest.approx(held.std(axes, np.float64), rel=1e-6)
    images = normalizer(data, torch.device("cpu"))(torch.from_numpy(held))
    assert images.mean(axes).abs().max() < 1e-5
    network = nas.classic("resnet20", data.input_shape, data.classes, width=0.5)
    recipe = resolve({"preset": "quick", "epochs": 6, "batch_size": 8, "augment": []})
    trainer = Trainer(lambda: nas.compile(network), data, recipe, 0)
    result = trainer.run(6)
    assert np.array_equal(data.train.images, held)
    assert result.curve[-1].train_loss < result.curve[0].train_loss / 2
    one = Part(data.validation.images[:1], data.validation.labels[:1])
    assert measure(result.network, one, data, Classification())["loss"] >= 0


def test_transformations_and_views_are_for_images(tmp_path: Path) -> None:
    recipe = resolve({"preset": "quick", "augment": ["flip"]})
    with pytest.raises(
        InputError, match=r"augment\.0: flip is for images, the data set has 1 axes"
    ):
        check_augment(recipe, Classification(), (2, 24))


def test_a_campaign_on_series_is_reported_and_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "waves")
    (tmp_path / "campaign.yaml").write_text("""\
space: {name: primitives, multiplier: [0.25], stages: [2], nodes: [1]}
searcher: {name: evolution, population_size: 2, tournament_size: 2}
random_baseline: false
budget: {trials: 2}
data: {name: series, root: waves}
recipe: {preset: quick, epochs: 2, batch_size: 6, augment: []}
final: {top: 1, seeds: [0], classics: [{name: resnet20, width: 0.25}]}
engine: {name: serial}
""")
    assert main(["run", str(tmp_path)]) == 0
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "page.html")]) == 0
    name = f"{tmp_path}:best"
    assert main(["export", name, "--to", "onnx", "--out", str(tmp_path / "net.onnx")]) == 0
    assert "its script answers 8 test pictures" in capsys.readouterr().out
    np.save(tmp_path / "new.npy", waves(8)[0].astype(np.float32))
    assert main(["predict", name, str(tmp_path / "new.npy")]) == 0
    assert main(["predict", name, "--part", "test"]) == 0
    assert "of 8 images" in capsys.readouterr().out
