"""Writes a submission for the contest "NAS on Unseen Data" (Geada et al. 2024, arXiv:2404.02189).

The contest's kit imports three modules from the folder of a submission. The one that must be called
``nas`` hides this package, so it calls the command line in another process, whose path does not
have this folder.
"""

from __future__ import annotations

import inspect
from pathlib import Path

from nas.errors import InputError
from nas.files import output_folder
from nas.training.datasets import scaling

_DATA_PROCESSOR = '''\
"""Makes loaders of the contest's arrays. `nas export --to submission` has written this file."""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

# Up to DataProcessor, this is nas.training.datasets.scaling.
{scaling}

class DataProcessor:
    """Brings images to pixels from 0 to 255."""

    def __init__(self, train_x, train_y, valid_x, valid_y, test_x, metadata, clock):
        self.parts = [(train_x, train_y), (valid_x, valid_y), (test_x, None)]
        self.metadata = metadata
        self.clock = clock

    def process(self):
        """Returns loaders of all three parts; the test part is whole and in its order."""
        low, high = value_range(np.asarray(self.parts[0][0]))
        loaders = []
        for images, labels in self.parts:
            images = np.asarray(images)
            pixels = [to_pixels(chunk, low, high) for chunk in chunks(images)]
            tensors = [torch.from_numpy(np.concatenate(pixels))]
            if labels is not None:
                tensors.append(torch.from_numpy(np.asarray(labels).reshape(-1).astype(np.int64)))
            loaders.append(DataLoader(TensorDataset(*tensors), batch_size=256))
        return tuple(loaders)
'''

_NAS = '''\
"""Searches with the installed package. `nas export --to submission` has written this file."""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent


class NAS:
    """Runs `nas search` for the time that is left, without a part of it for predictions."""

    def __init__(self, train_loader, valid_loader, metadata, clock):
        self.loaders = {"train": train_loader, "valid": valid_loader}
        self.metadata = metadata
        self.clock = clock

    def search(self):
        """Returns a trained network, or, if the search leaves none, :class:`NearestMean`."""
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
            try:
                return self._search(Path(place)).eval()
            except Exception as error:  # whatever it was, there are predictions
                print(f"nas search: {error}; the nearest mean predicts", file=sys.stderr)
                return NearestMean(self.loaders["train"], int(self.metadata["num_classes"]))

    def _search(self, place):
        data, out = place / "data", place / "out"
        self._write(data)
        # This folder has a module nas, so the other process must not find it.
        paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        paths = [path for path in paths if path and Path(path).resolve() != HERE]
        left = self.clock.check()
        minutes = max(0.96 * left - 5, 1) / 60
        search = subprocess.Popen(
            [sys.executable, "-P", "-m", "nas.cli", "search", str(data),
             "--minutes", f"{minutes:.4f}", "--out", str(out)],
            cwd=place,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        # If it is late, it is stopped, and then exports the best network so far. If it stops with a
        # message, it may have exported one all the same.
        stops = ((0.02 * left + 5, signal.SIGINT), (0.01 * left + 2, signal.SIGKILL))
        with search:
            for kept, stop in stops:
                try:
                    search.wait(max(self.clock.check() - kept, 0))
                except subprocess.TimeoutExpired:
                    search.send_signal(stop)
        network = runpy.run_path(str(out / "export" / "network.py"))["Network"]()
        weights = torch.load(out / "export" / "network_weights.pt", weights_only=True)
        network.load_state_dict(weights)
        return network

    def _write(self, folder):
        """Writes the images as a data set; there are no test images here, and one is needed."""
        folder.mkdir()
        for name, loader in self.loaders.items():
            images, labels = loader.dataset.tensors
            np.save(folder / f"{name}_x.npy", images.numpy())
            np.save(folder / f"{name}_y.npy", labels.numpy())
        np.save(folder / "test_x.npy", np.zeros_like(images[:1].numpy()))
        told = {"codename": str(self.metadata.get("codename", "")),
                "input_shape": list(images.shape[1:]),
                "num_classes": int(self.metadata["num_classes"])}
        (folder / "metadata").write_text(json.dumps(told))


class NearestMean(torch.nn.Module):
    """Scores classes by how near the mean of their training images is."""

    def __init__(self, loader, classes):
        super().__init__()
        values = loader.dataset.tensors[0][0].numel()
        sums, counts = torch.zeros(classes, values, dtype=torch.double), torch.zeros(classes)
        for images, labels in loader:
            known = (labels >= 0) & (labels < classes)
            sums.index_add_(0, labels[known], images[known].flatten(1).double())
            counts += labels[known].bincount(minlength=classes)
        centre = sums.sum(0) / counts.sum().clamp(min=1)
        means = sums / counts.clamp(min=1)[:, None] - centre
        # Of the squared distance, what is the same for all classes is left out.
        offsets = means.square().sum(1).masked_fill(counts == 0, torch.inf)
        for name, values in (("centre", centre), ("means", means), ("offsets", offsets)):
            self.register_buffer(name, values.float())

    def forward(self, images):
        return 2 * (images.flatten(1) - self.centre) @ self.means.T - self.offsets
'''

_TRAINER = '''\
"""Predicts with the network of the search. `nas export --to submission` has written this file."""

import numpy as np
import torch


class Trainer:
    """Predicts; the search has trained the network already."""

    def __init__(self, model, device, train_dataloader, valid_dataloader, metadata, clock):
        self.model = model
        self.device = device

    def train(self):
        """Returns the network, which is trained."""
        return self.model

    @torch.inference_mode()
    def predict(self, test_loader):
        """Returns the class of each image."""
        network = self.model.to(self.device).eval()
        found = [network(images.to(self.device)).argmax(1).cpu() for images, *_ in test_loader]
        return np.concatenate([each.numpy() for each in found])
'''


def write_submission(folder: Path) -> tuple[str, ...]:
    """Writes the three files of a submission into a new folder and returns their names.

    They need this package in the environment in which the kit runs them.

    Raises :class:`InputError` if the folder exists and is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is there already; give a new folder")
    _, _, source = inspect.getsource(scaling).partition("from __future__ import annotations\n")
    files = {
        "data_processor.py": _DATA_PROCESSOR.replace("{scaling}", source),
        "nas.py": _NAS,
        "trainer.py": _TRAINER,
    }
    with output_folder(folder) as place:
        for name, text in files.items():
            (place / name).write_text(text, encoding="utf-8")
    return tuple(files)
