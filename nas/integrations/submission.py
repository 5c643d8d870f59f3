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

from numbers import Real

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

# Up to DataProcessor, this is nas.training.datasets.scaling.
{scaling}

class Labelled(TensorDataset):
    """Images with the places of their labels in ``classes``.

    ``tests`` is the number of test images, for whose predictions time is kept.
    """

    def __init__(self, images, labels, classes, tests):
        super().__init__(images, torch.from_numpy(np.searchsorted(classes, labels)))
        self.classes = classes
        self.tests = tests


class DataProcessor:
    """Brings images to pixels from 0 to 255, and labels to places among the classes."""

    def __init__(self, train_x, train_y, valid_x, valid_y, test_x, metadata, clock):
        self.train = labelled("train", train_x, train_y)
        self.valid = labelled("valid", valid_x, valid_y)
        self.test = np.asarray(test_x)
        self.metadata = metadata
        self.clock = clock

    def process(self):
        """Returns loaders of all three parts; the test part is whole and in its order."""
        classes = classes_of(self.train[1], self.metadata.get("num_classes"))
        train, (images, labels) = self.train, self.valid
        known = np.isin(labels, classes)
        valid = images[known], labels[known]
        if not known.any() or images.shape[1:] != train[0].shape[1:]:
            print("valid: cannot be used; a fifth of the training images takes its place")
            chosen = np.arange(len(train[1])) % 5 == 0
            train, valid = [[each[which] for each in train] for which in (~chosen, chosen)]
        low, high = value_range(train[0])

        def pixels(images):
            return torch.from_numpy(
                np.concatenate([to_pixels(chunk, low, high) for chunk in chunks(images)])
            )

        parts = [
            Labelled(pixels(images), labels, classes, len(self.test))
            for images, labels in (train, valid)
        ]
        return tuple(DataLoader(part, batch_size=256) for part in (*parts, pixels(self.test)))


def labelled(part, images, labels):
    """Returns the images whose label is a whole number, and these labels."""
    images, labels = (np.asarray([] if each is None else each) for each in (images, labels))
    one_hot = labels.ndim == 2 and labels.shape[1] > 1
    count = min(len(images), len(labels))
    numbers = (labels.argmax(1) if one_hot else labels.reshape(-1)).astype(float)[:count]
    whole = np.isfinite(numbers) & (numbers == np.rint(numbers))
    if not whole.all() or len(images) != len(labels):
        print(f"{part}: {whole.sum():,} of {len(images):,} images have a label and are used")
    images = images[:count] if whole.all() else images[:count][whole]  # a copy may be large
    return images, numbers[whole].astype(np.int64)


def classes_of(labels, count):
    """Returns the labels that there may be: 0 to the count, unless others are found."""
    found = np.unique(labels)
    least, most = found.min(), found.max()
    fits = isinstance(count, Real) and np.isfinite(count) and 0 <= least <= most < count
    return np.arange(int(count)) if fits else found
'''

_NAS = '''\
"""Searches with the installed package. `nas export --to submission` has written this file."""

from __future__ import annotations

import json
import math
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from numbers import Real
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
        try:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
                return self._search(Path(place)).eval()
        except Exception as error:  # whatever it was, there are predictions
            print(f"nas search: {error}; the nearest mean predicts", file=sys.stderr)
            return NearestMean(self.loaders["train"])

    def _search(self, place):
        data, out = place / "data", place / "out"
        self._write(data)
        # This folder has a module nas, so the other process must not find it.
        given = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
        paths = [str(path) for path in (Path(each).resolve() for each in given) if path != HERE]
        # One clock may be for several data sets; the metadata may say how long one has.
        limit = self.metadata.get("time_limit")
        hours = limit if isinstance(limit, Real) and limit > 0 else math.inf
        left = min(self.clock.check(), 3600 * hours)
        left = left if math.isfinite(left) else 1800  # the contest's default
        ends = time.monotonic() + left
        # The trainer predicts later. As many images take a hundredth of the time of a training.
        images = self.loaders["train"].dataset
        kept = min(0.04 * (1 + images.tests / len(images)), 0.5)
        minutes = max((1 - kept) * left - 5, 1) / 60
        search = subprocess.Popen(
            [sys.executable, "-P", "-m", "nas.cli", "search", str(data),
             "--minutes", f"{minutes:.4f}", "--out", str(out)],
            cwd=place,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        # If it is late, it is stopped, and then exports the best network so far. If it stops with a
        # message, it may have exported one all the same.
        stops = ((0.5 * kept * left + 5, signal.SIGINT), (0.25 * kept * left + 2, signal.SIGKILL))
        with search:
            for before, stop in stops:
                try:
                    search.wait(max(ends - before - time.monotonic(), 0))
                except subprocess.TimeoutExpired:
                    search.send_signal(stop)
        exported = out / "export" / "network.py"
        if not exported.exists():
            raise RuntimeError(f"no network (exit code {search.returncode})")
        network = runpy.run_path(str(exported))["Network"]()
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
                "num_classes": len(loader.dataset.classes)}
        (folder / "metadata").write_text(json.dumps(told))


class NearestMean(torch.nn.Module):
    """Scores classes by how near the mean of their training images is."""

    def __init__(self, loader):
        super().__init__()
        values, classes = loader.dataset.tensors[0][0].numel(), len(loader.dataset.classes)
        sums, counts = torch.zeros(classes, values, dtype=torch.double), torch.zeros(classes)
        for images, labels in loader:
            sums.index_add_(0, labels, images.flatten(1).double())
            counts += labels.bincount(minlength=classes)
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
        self.classes = train_dataloader.dataset.classes

    def train(self):
        """Returns the network, which is trained."""
        return self.model

    @torch.inference_mode()
    def predict(self, test_loader):
        """Returns the label of each image."""
        try:
            return self._predict(test_loader, self.device)
        except Exception as error:  # a GPU may be full, or torch may be without CUDA
            print(f"{error}; predicting on the CPU")
            return self._predict(test_loader, "cpu")

    def _predict(self, loader, device):
        network = self.model.to(device).eval()
        found = []
        for batch in loader:
            images = batch if torch.is_tensor(batch) else batch[0]
            found.append(network(images.to(device)).argmax(1).cpu().numpy())
        return self.classes[np.concatenate(found)]
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
