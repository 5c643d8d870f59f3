"""A submission for the contest on unseen data, called as the contest's kit calls it."""

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestCentroid

from nas.errors import InputError
from nas.integrations.submission import write_submission
from nas.training.datasets.unseen import unseen as read_unseen
from tests.benchmarks import unseen
from tests.training.test_unseen import RNG, write

KIT = """
import json, sys, time
import numpy as np
import torch
from data_processor import DataProcessor
from nas import NAS
from trainer import Trainer


class Clock:
    def __init__(self, seconds):
        self.ends = time.time() + seconds

    def check(self):
        return self.ends - time.time()


data, seconds = sys.argv[1], float(sys.argv[2])
metadata = json.load(open(f"{data}/metadata"))
clock = Clock(seconds)
names = ("train_x", "train_y", "valid_x", "valid_y", "test_x")
arrays = [np.load(f"{data}/{name}.npy") for name in names]
train, valid, test = DataProcessor(*arrays, metadata, clock).process()
model = NAS(train, valid, metadata, clock).search()
assert isinstance(model, torch.nn.Module)
trainer = Trainer(model, torch.device("cpu"), train, valid, metadata, clock)
trainer.train()
predictions = trainer.predict(test)
assert clock.check() > 0
np.save("predictions.npy", predictions)
"""


def prepare(folder: Path) -> Path:
    """A submission with the kit's main script in it."""
    write_submission(folder)
    (folder / "main.py").write_text(KIT)
    return folder


@pytest.mark.slow
def test_the_kit_gets_predictions_although_its_folder_hides_the_package(tmp_path: Path) -> None:
    data = unseen.write(tmp_path / "data", "stripes", seed=0)
    folder = prepare(tmp_path / "submission")
    here = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([here, str(folder)])}
    subprocess.run(
        [sys.executable, "main.py", str(data), "45"], cwd=folder, env=environment, check=True
    )
    predictions = np.load(folder / "predictions.npy")
    truth = np.load(data / "test_y.npy")
    assert predictions.shape == truth.shape
    assert (predictions == truth).mean() > 0.9
    assert json.loads((data / "metadata").read_text())["num_classes"] == 2


NAMES = ("train_x", "train_y", "valid_x", "valid_y", "test_x")


def processed(submission: Path, arrays: list[Any], metadata: Any = None) -> Any:
    """The loaders of the three parts of a data set."""
    made = runpy.run_path(str(submission / "data_processor.py"))
    return made["DataProcessor"](*arrays, metadata or {}, None).process()


def arrays_of(data: Path) -> list[Any]:
    return [np.load(data / f"{name}.npy") for name in NAMES]


def joined(loader: Any, which: int) -> Any:
    """The images or the labels of a loader; that of the test part has no labels."""
    batches = [batch if torch.is_tensor(batch) else batch[which] for batch in loader]
    return torch.cat(batches).numpy()


@pytest.mark.parametrize("shape", [(2, 5, 6), (5, 6), (2, 3, 4, 5)])
def test_loaders_hold_all_images_in_their_order_and_as_nas_search_reads_them(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    test = RNG.normal(size=(1100, *shape)).astype("float32")
    data = write(tmp_path / "data", shape, test_x=test, test_y=None)
    loaders = processed(prepare(tmp_path / "submission"), arrays_of(data))
    seen = [joined(loader, 0) for loader in loaders]
    found = read_unseen(root=str(data)).images
    assert isinstance(found, np.ndarray)
    assert (np.concatenate(seen) == found).all()
    train = np.load(data / "train_x.npy")
    axes = tuple(axis for axis in range(train.ndim) if axis != 1 or train.ndim == 3)
    low, high = train.min(axes, keepdims=True), train.max(axes, keepdims=True)
    expected = np.rint(np.clip((test - low) / (high - low) * 255, 0, 255))
    assert abs(seen[2].reshape(test.shape) - expected).max() <= 1
    assert (joined(loaders[1], 1) == np.load(data / "valid_y.npy")).all()


SEARCH = """
import os, shutil, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored here
told = dict(zip(sys.argv[3::2], sys.argv[4::2]))
assert float(told["--minutes"]) > 0
def export():
    if os.environ["EXPORT"]:
        shutil.copytree(os.environ["EXPORT"], told["--out"] + "/export")
if os.environ["SLEEP"] == "0":
    export()
try:
    time.sleep(float(os.environ["SLEEP"]))
except KeyboardInterrupt:  # it is late
    export()
sys.exit(1)
"""
"""What stands for `nas search`: it exports or not, and fails or runs until it is stopped."""

NETWORK = """
import torch

class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scores = torch.nn.Parameter(torch.zeros(3))

    def forward(self, images):
        return self.scores.expand(len(images), -1)
"""


@pytest.fixture
def instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, bool], None]:
    """Lets something else stand for `nas search`, which takes seconds and may export."""
    package, export = tmp_path / "path" / "nas", tmp_path / "export"
    for folder in (package, export):
        folder.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "cli.py").write_text(SEARCH)
    (export / "network.py").write_text(NETWORK)
    torch.save({"scores": torch.tensor([0.0, 2.0, 1.0])}, export / "network_weights.pt")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", package.parent.name)  # the search runs in another folder

    def set_up(seconds: int, exports: bool) -> None:
        monkeypatch.setenv("EXPORT", str(export) if exports else "")
        monkeypatch.setenv("SLEEP", str(seconds))

    return set_up


def predicted(submission: Path, loaders: Any, left: float, metadata: dict[str, Any]) -> Any:
    """What the kit gets from the submission."""
    train, valid, test = loaders
    clock = SimpleNamespace(check=lambda: left)
    nas = runpy.run_path(str(submission / "nas.py"))["NAS"]
    model = nas(train, valid, metadata, clock).search()
    made = runpy.run_path(str(submission / "trainer.py"))["Trainer"]
    trainer = made(model, torch.device("cpu"), train, valid, metadata, clock)
    trainer.train()
    return trainer.predict(test)


@pytest.mark.parametrize(
    ("left", "seconds", "exports", "metadata"),
    [
        (8, 0, False, {}),
        (-3, 0, False, {}),
        (2.3, 60, False, {}),
        (30, 0, True, {}),
        (9, 60, True, {}),
        (600, 60, True, {"time_limit": 9 / 3600}),  # one clock for many data sets
        (np.inf, 0, True, {"time_limit": "an hour"}),
    ],
)
def test_there_are_predictions_whatever_becomes_of_the_search(
    tmp_path: Path,
    instead: Callable[[int, bool], None],
    capfd: pytest.CaptureFixture[str],
    left: float,
    seconds: int,
    exports: bool,
    metadata: dict[str, Any],
) -> None:
    instead(seconds, exports)
    submission = prepare(tmp_path / "submission")
    loaders = processed(submission, arrays_of(write(tmp_path / "data", (2, 3, 4, 5))))
    found = predicted(submission, loaders, left, {"num_classes": 5, **metadata})
    train, _, test = loaders
    flat, labels = joined(train, 0).reshape(24, -1).astype(float), joined(train, 1)
    peer = NearestCentroid().fit(flat, labels)
    seen = joined(test, 0).reshape(6, -1).astype(float)
    expected = np.ones(6) if exports else peer.predict(seen)
    assert (found == expected).all()
    told = capfd.readouterr().err
    assert ("nas search: no network (exit code " in told) != exports
    assert "No module" not in told


def one_hot(labels: Any) -> Any:
    return np.eye(3)[labels]


@pytest.mark.parametrize(
    ("changes", "counts", "expected"),
    [
        ({}, (24, 12), [0, 1, 2]),
        ({"num_classes": None}, (24, 12), [0, 1, 2]),
        ({"num_classes": 5}, (24, 12), [0, 1, 2]),
        ({"num_classes": np.inf}, (24, 12), [0, 1, 2]),
        ({"train_y": lambda y: y + 1, "valid_y": lambda y: y + 1}, (24, 12), [1, 2, 3]),
        ({"train_y": lambda y: y + 0.0}, (24, 12), [0, 1, 2]),
        ({"train_y": one_hot, "valid_y": one_hot}, (24, 12), [0, 1, 2]),
        ({"train_y": lambda y: [*y[:23], np.nan]}, (23, 12), [0, 1, 2]),
        ({"train_y": lambda y: y[:20]}, (20, 12), [0, 1, 2]),
        ({"valid_y": lambda y: y + 1}, (24, 8), [0, 1, 2]),  # class 3 is unknown
        ({"valid_x": lambda x: x[:0], "valid_y": lambda y: y[:0]}, (19, 5), [0, 1, 2]),
        ({"valid_x": lambda x: x[:, :1]}, (19, 5), [0, 1, 2]),
    ],
)
def test_labels_and_parts_that_are_not_as_described(
    tmp_path: Path,
    instead: Callable[[int, bool], None],
    changes: dict[str, Any],
    counts: tuple[int, int],
    expected: list[int],
) -> None:
    """The submission takes what there is, because a data set without predictions is lost."""
    instead(0, False)
    submission = prepare(tmp_path / "submission")
    values = dict(zip(NAMES, arrays_of(write(tmp_path / "d", (2, 3, 4))), strict=True))
    metadata = {"num_classes": 3, **{k: v for k, v in changes.items() if k not in NAMES}}
    values |= {name: changes[name](each) for name, each in values.items() if name in changes}
    marks = np.arange(24) % 3  # each class has a pixel of its own
    values["train_x"] = np.zeros((24, 2, 3, 4))
    values["train_x"][np.arange(24), 0, 0, marks] = 1
    values["test_x"] = values["train_x"][:6]
    loaders = processed(submission, [values[name] for name in NAMES], metadata)
    assert tuple(len(loader.dataset) for loader in loaders[:2]) == counts
    found = predicted(submission, loaders, 5, metadata)
    assert found.tolist() == [*expected, *expected]


def test_without_a_temporary_folder_the_nearest_mean_predicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(**options: Any) -> None:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr("tempfile.TemporaryDirectory", fails)
    submission = prepare(tmp_path / "submission")
    loaders = processed(submission, arrays_of(write(tmp_path / "data", (2, 3, 4))))
    assert len(predicted(submission, loaders, 60, {})) == 6


@pytest.mark.parametrize("error", [RuntimeError, AssertionError])
def test_the_network_predicts_on_the_cpu_if_the_device_fails(
    tmp_path: Path, error: type[Exception]
) -> None:
    made = runpy.run_path(str(prepare(tmp_path / "s") / "trainer.py"))["Trainer"]
    train = SimpleNamespace(dataset=SimpleNamespace(classes=np.array([3, 7])))

    class Full(torch.nn.Identity):
        def to(self, device: Any) -> Any:
            if device != "cpu":
                raise error("out of memory")
            return super().to(device)

    images = torch.eye(2)
    trainer = made(Full(), torch.device("cuda"), train, None, {}, None)
    assert trainer.predict([images, [images]]).tolist() == [3, 7, 3, 7]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    prepare(tmp_path / "s")
    with pytest.raises(InputError, match="is there already"):
        write_submission(tmp_path / "s")
