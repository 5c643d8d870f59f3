"""Reads the official files of NATS-Bench, for its topology and its size space."""

from __future__ import annotations

import bz2
import hashlib
import io
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nas.errors import InputError
from nas.evaluators.tabular import Floats, Table
from nas.files import open_to_read, readable_file

_EXTENSION = "pickle.pbz2"

_PLAIN = {
    ("collections", "OrderedDict"),
    ("collections", "defaultdict"),
    ("builtins", "set"),
    ("builtins", "frozenset"),
    ("builtins", "list"),
    ("builtins", "dict"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    *((f"numpy.{c}.multiarray", n) for c in ("core", "_core") for n in ("scalar", "_reconstruct")),
}
"""The types that the published pickles contain."""

_OLD_NAMES = {"less": 12, "full": 200}
"""The names of the two trainings in NAS-Bench-201's own file."""


def nats_bench(
    folder: Path,
    *,
    file: str,
    dataset: Literal["cifar10", "cifar100", "ImageNet16-120"] = "cifar10",
    epochs: int = 12,
) -> Table:
    """Reads NATS-Bench (Dong et al. 2021, arXiv:2009.00437), topology ("tss") or size ("sss").

    Args:
        folder: the folder to which ``file`` is relative.
        file: ``NATS-tss-v1_0-3ffb9.pickle.pbz2`` or ``NATS-sss-v1_0-50262.pickle.pbz2``; or one of
            the folders ``…-simple``, which hold the same with one file per architecture and need
            far less memory; or ``NAS-Bench-201-v1_1-096897.pth``.
        dataset: one of the three data sets.
        epochs: the length of the training whose curves and seconds are read: 12 or 200 for
            topology; 1, 12 or 90 for size.

    The metrics are means over the seeds: ``validation`` and ``test``, the curves of that training
    in %; ``validation_e12``, ``test_e12`` and so on, the values after the last epoch of each
    training; and ``params_millions``, ``flops_millions``, ``latency_ms``. Validation and test are
    those of the benchmark: for CIFAR-10, validation belongs to networks that were trained on half
    of the training images, and test to networks that were trained on all; for the other two data
    sets they are ``x-valid`` and ``x-test``. Seconds are those of ``simulate_train_eval``: the
    training so far and one validation.

    No checksum is computed for a folder ``-simple``. Raises :class:`InputError` naming the file if
    it is damaged, of another kind, or a pickle of other than plain values.
    """
    path = folder / file
    checksums = {} if path.is_dir() else {file: _sha256(path)}
    names, infos = _contents(path)
    searched = "cifar10-valid" if dataset == "cifar10" else dataset
    tested = "ori-test" if dataset == "cifar10" else "x-test"
    keys: list[str] = []
    rows: list[dict[str, Any]] = []
    for index, trainings in infos:
        row: dict[str, Any] = {}
        try:
            by_epochs = {_length(name): state for name, state in trainings.items()}
            if epochs not in by_epochs:
                raise InputError(
                    f"{path}: epochs: must be one of {', '.join(map(str, sorted(by_epochs)))}, "
                    f"got {epochs}"
                )
            for length, state in by_epochs.items():
                validation = _curve(state, searched, "x-valid", length)
                test = _curve(state, dataset, tested, length)
                row[f"validation_e{length}"], row[f"test_e{length}"] = validation[-1], test[-1]
                if length == epochs:
                    row["validation"], row["test"] = validation, test
                    row["seconds"] = _seconds(state, searched, length)
                    row |= _costs(state, dataset)
            keys.append(str(names[index]))
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path}: architecture {index} is not in NATS-Bench's form: {error!r}"
            ) from None
        rows.append(row)
    if not rows:
        raise InputError(f"{path}: holds no architecture")
    arrays: dict[str, Floats] = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    seconds = arrays.pop("seconds")
    if np.isnan(seconds).any():
        seconds = None  # type: ignore[assignment]
    every = tuple(range(1, epochs + 1))
    return Table(str(path), keys, "notation", arrays, every, seconds, checksums)


def _contents(path: Path) -> tuple[Any, Iterator[tuple[int, Mapping[str, Any]]]]:
    """Returns the architectures' names by index, and the trainings of each that has some."""
    if path.is_dir():
        names = _load(path / f"meta.{_EXTENSION}")["meta_archs"]
        files = sorted(p for p in path.glob(f"*.{_EXTENSION}") if p.name.split(".")[0].isdecimal())
        return names, ((int(p.name.split(".")[0]), _load(p)) for p in files)
    content = _load(path)
    if missing := {"meta_archs", "arch2infos"} - set(content):
        raise InputError(f"{path}: is no file of NATS-Bench: it lacks {', '.join(sorted(missing))}")
    return content["meta_archs"], iter(sorted(content["arch2infos"].items()))


def _load(path: Path) -> dict[str, Any]:
    try:
        with open_to_read(path) as file:
            if path.suffix == ".pth":
                import torch

                content = torch.load(file, map_location="cpu", weights_only=True)
            else:
                with bz2.BZ2File(file) as stream:
                    content = _Unpickler(io.BufferedReader(stream)).load()
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except Exception as error:  # a damaged file may raise any exception
        raise InputError(f"{path}: is no whole pickle of plain values: {error}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: is no file of NATS-Bench: it holds a {type(content).__name__}")
    return content


class _Unpickler(pickle.Unpickler):
    """Reads only plain values, because a downloaded pickle could run any code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _PLAIN:
            raise pickle.UnpicklingError(f"it holds {module}.{name}")
        return super().find_class(module, name)


def _length(name: Any) -> int:
    return _OLD_NAMES[name] if name in _OLD_NAMES else int(name)


def _runs(state: Mapping[str, Any], dataset: str) -> list[Mapping[str, Any]]:
    """Returns the recorded results of each seed."""
    return [state["all_results"][dataset, seed] for seed in state["dataset_seed"][dataset]]


def _curve(state: Mapping[str, Any], dataset: str, part: str, epochs: int) -> Floats:
    """Returns the mean accuracy over seeds after each epoch; NaN if it was not measured."""
    if dataset not in state["dataset_seed"]:
        return np.full(epochs, np.nan)
    accuracies = [
        [run["eval_acc1es"].get(f"{part}@{epoch}", np.nan) for epoch in range(epochs)]
        for run in _runs(state, dataset)
    ]
    return np.asarray(np.mean(np.array(accuracies, float), axis=0))


def _seconds(state: Mapping[str, Any], dataset: str, epochs: int) -> Floats:
    """Returns mean seconds of training up to each epoch plus one validation; NaN if unknown."""
    found = []
    for run in _runs(state, dataset):
        times = run["train_times"] or {}
        training = np.cumsum([times.get(epoch, np.nan) for epoch in range(epochs)])
        found.append(training + run["eval_times"].get(f"x-valid@{epochs - 1}", np.nan))
    return np.asarray(np.mean(found, axis=0))


def _costs(state: Mapping[str, Any], dataset: str) -> dict[str, float]:
    runs = _runs(state, dataset)
    latencies = [np.mean(run["latency"]) for run in runs if run["latency"]]
    return {
        "params_millions": float(np.mean([run["params"] for run in runs])),
        "flops_millions": float(np.mean([run["flop"] for run in runs])),
        "latency_ms": 1000 * float(np.mean(latencies)) if latencies else np.nan,
    }


def _sha256(path: Path) -> str:
    with readable_file(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
