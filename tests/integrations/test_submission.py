"""A submission for the contest on unseen data, called as the contest's kit calls it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nas.errors import InputError
from nas.integrations.submission import write_submission
from tests.benchmarks import unseen

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


def test_loaders_hold_all_images_in_their_order(tmp_path: Path) -> None:
    folder = prepare(tmp_path / "submission")
    script = """
import numpy as np
from data_processor import DataProcessor
rng = np.random.default_rng(0)
x = [rng.normal(size=(n, 2, 5, 6)).astype("float32") for n in (40, 30, 600)]
y = [np.arange(n) % 3 for n in (40, 30)]
loaders = DataProcessor(x[0], y[0], x[1], y[1], x[2], {}, None).process()
for loader, images in zip(loaders, x):
    seen = np.concatenate([batch[0].numpy() for batch in loader])
    low, high = x[0].min((0, 2, 3))[:, None, None], x[0].max((0, 2, 3))[:, None, None]
    expected = np.rint(np.clip((images - low) / (high - low) * 255, 0, 255))
    assert abs(seen.astype(int) - expected).max() <= 1
assert [int(label) for batch in loaders[1] for label in batch[1]] == [*y[1]]
"""
    subprocess.run([sys.executable, "-c", script], cwd=folder, check=True)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    prepare(tmp_path / "s")
    with pytest.raises(InputError, match="is there already"):
        write_submission(tmp_path / "s")
