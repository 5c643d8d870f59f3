"""A submission for the contest on unseen data, called as the contest's kit calls it."""

import json
import os
import runpy
import subprocess
import sys
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


def processed(submission: Path, data: Path) -> Any:
    """The loaders of the three parts of a data set."""
    names = ("train_x", "train_y", "valid_x", "valid_y", "test_x")
    arrays = [np.load(data / f"{name}.npy") for name in names]
    made = runpy.run_path(str(submission / "data_processor.py"))
    return made["DataProcessor"](*arrays, {}, None).process()


def joined(loader: Any, which: int) -> Any:
    return np.concatenate([batch[which].numpy() for batch in loader])


@pytest.mark.parametrize("shape", [(2, 5, 6), (5, 6), (2, 3, 4, 5)])
def test_loaders_hold_all_images_in_their_order_and_as_nas_search_reads_them(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    test = RNG.normal(size=(1100, *shape)).astype("float32")
    data = write(tmp_path / "data", shape, test_x=test, test_y=None)
    loaders = processed(prepare(tmp_path / "submission"), data)
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


@pytest.mark.parametrize(
    ("left", "seconds", "exports"),
    [(8, 0, False), (-3, 0, False), (2.3, 60, False), (30, 0, True), (9, 60, True)],
)
def test_there_are_predictions_whatever_becomes_of_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: float, seconds: int, exports: bool
) -> None:
    package, export = tmp_path / "path" / "nas", tmp_path / "export"
    for folder in (package, export):
        folder.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "cli.py").write_text(SEARCH)
    (export / "network.py").write_text(NETWORK)
    torch.save({"scores": torch.tensor([0.0, 2.0, 1.0])}, export / "network_weights.pt")
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.setenv("EXPORT", str(export) if exports else "")
    monkeypatch.setenv("SLEEP", str(seconds))
    data = write(tmp_path / "data", (2, 3, 4, 5))
    submission = prepare(tmp_path / "submission")
    train, valid, test = processed(submission, data)
    metadata, clock = {"num_classes": 5}, SimpleNamespace(check=lambda: left)
    nas = runpy.run_path(str(submission / "nas.py"))["NAS"]
    model = nas(train, valid, metadata, clock).search()
    made = runpy.run_path(str(submission / "trainer.py"))["Trainer"]
    trainer = made(model, torch.device("cpu"), train, valid, metadata, clock)
    trainer.train()
    flat, labels = joined(train, 0).reshape(24, -1).astype(float), joined(train, 1)
    peer = NearestCentroid().fit(flat, labels)
    seen = joined(test, 0).reshape(6, -1).astype(float)
    expected = np.ones(6) if exports else peer.predict(seen)
    assert (trainer.predict(test) == expected).all()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    prepare(tmp_path / "s")
    with pytest.raises(InputError, match="is there already"):
        write_submission(tmp_path / "s")
