"""From data to a trained, exported network within a time limit: ``nas search``."""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from pathlib import Path

import torch

from nas.architecture.network import Network
from nas.campaigns.drive.run import run
from nas.campaigns.engines.base import NoRoom
from nas.campaigns.engines.serial import SerialEngine
from nas.campaigns.engines.signals import signals, tell
from nas.campaigns.spec.campaign import FILE_NAME, load_campaign, read_file
from nas.campaigns.spec.data_argument import Given, read
from nas.campaigns.spec.draft import scalar
from nas.configuration import validate
from nas.errors import CampaignError, InputError, in_file
from nas.export.exporting import export
from nas.export.parity import ExportError
from nas.files import at_home, subfolder, write_whole
from nas.jobs.best import Found, best_so_far, recorded
from nas.jobs.plan import Planner
from nas.preprocessing import Preprocessing
from nas.tasks import Task, make
from nas.training.data import (
    DataConfig,
    Loaded,
    divided,
    load,
    named_part,
    read_images,
    resolve,
    search_data,
)
from nas.training.evaluation import predictions, preprocessing
from nas.training.hardware import free_cores, resolve_device
from nas.training.splitting import SplitConfig, completed
from nas.user_code import short_name
from nas.yaml_files import source

PREDICTIONS = "predictions.csv"
"""The file of predictions in the campaign's folder."""

_PLACES = ("root", "path", "function")
"""The options of data sets that say where the data are."""

_FEW = 100
"""With fewer validation images, networks can hardly be told apart."""

_MORE = {"train": 0.7, "validation": 0.3}
"""The split of few images with an official test part."""

EXPORT = "export"
"""The folder in it of the exported networks."""


def search(
    data: str,
    minutes: float,
    folder: Path | None = None,
    *,
    macs: int | None = None,
    seed: int = 0,
    plan: bool = False,
    began: float | None = None,
    say: Callable[[str], None] = print,
) -> Found | None:
    """Plans a campaign for a data set, runs it, predicts the test part, and exports the network.

    If the folder holds a campaign for these data already, it goes on with it, and with its time
    limit.

    Args:
        data: see :func:`nas.campaigns.spec.data_argument.read`.
        minutes: the time for everything.
        folder: the folder of the campaign; by default ``results/DATA``.
        macs: the largest number of multiply-accumulates of a network; by default as many as the
            time allows.
        seed: the seed of the search.
        plan: whether to write the plan only.
        began: when the time began, on the clock time.monotonic; by default now.
        say: takes lines for the user.

    Returns what predicts best on validation images; None if it only plans. Raises
    :class:`InputError` for data that cannot be read, for a folder with a campaign for other data
    and for a limit that is too short, and KeyboardInterrupt after Ctrl-C, when the best so far is
    written.
    """
    ends = (time.monotonic() if began is None else began) + 60 * minutes
    given = read(data, "DATA")
    folder = folder or Path("results") / _name(given)
    path = folder / FILE_NAME
    if path.exists():
        _check_goes_on(folder, given)
        say(f"going on with {path}, which says how long; --minutes, --macs and --seed do not count")
    else:
        _check_place(folder, given)
        text = _planned(data, given, folder, minutes, ends, macs, seed, say)
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())
        say(f"wrote {path}")
    if plan:
        return None
    try:
        _run(folder, say)
    except InputError:
        raise
    except BaseException:  # whatever it was, what is trained predicts
        try:
            _finish(folder, say)
        except InputError as error:  # nothing is trained yet
            say(str(error))
        raise
    with signals(_Patience()):
        return _finish(folder, say)


class _Patience:
    """Lets predictions and the export end at the first signal, and stops them at the second."""

    def __init__(self) -> None:
        self._asked = False

    def __call__(self) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        tell("the predictions are being written; to quit at once, press Ctrl-C again")


def _planned(
    data: str,
    given: Given,
    folder: Path,
    minutes: float,
    ends: float,
    macs: int | None,
    seed: int,
    say: Callable[[str], None],
) -> str:
    """Returns the plan; the images are freed, because the campaign reads them again."""
    began = time.monotonic()
    with in_file(source(data, "DATA")):
        loaded = _loaded(given)
        for note in loaded.notes:
            say(note)
        loading = time.monotonic() - began
        planner = Planner(given, loaded, folder, minutes, ends, loading, macs, seed, say)
    return planner.campaign()


def _run(folder: Path, say: Callable[[str], None]) -> None:
    """Runs the campaign; if its engine cannot go on, in this process."""
    try:
        run(folder, trust=False)
    except (CampaignError, NoRoom) as error:  # Ray may see fewer GPUs than torch
        campaign = load_campaign(folder)
        if campaign.config.engine.name == "serial":
            raise
        say(f"{error}\nIt goes on in this process, one trial after the other.")
        engine = SerialEngine(campaign.evaluator.evaluate, campaign.config.engine.time_limit)
        run(folder, engine=engine, trust=False)


def _name(given: Given) -> str:
    """Returns the name of a data set, for its folder."""
    place = _place(given)
    name = "" if place is None else Path(os.path.abspath(place)).stem
    return name or short_name(str(given.section["name"]))


def _place(given: Given) -> Path | None:
    """Returns the file or the folder of a data set, if it has one."""
    named = next((given.section[key] for key in ("root", "path") if key in given.section), None)
    return None if named is None else given.folder / at_home(str(named))


def _check_place(folder: Path, given: Given) -> None:
    """Raises :class:`InputError` before minutes are spent.

    It does if the folder cannot be made, or if the plan could not name the data.
    """
    for each in given.section.values():
        if isinstance(each, str):
            scalar(each)
    data = _place(given)
    if data is not None and data.is_dir() and folder.resolve().is_relative_to(data.resolve()):
        raise InputError(
            f"--out: {folder} lies in the folder of the data, {data}, whose content would change; "
            "name a folder elsewhere"
        )
    parent = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        why = "cannot be written to" if parent.is_dir() else "is not a folder"
        raise InputError(f"--out: {folder}: {parent} {why}")


def _check_goes_on(folder: Path, given: Given) -> None:
    """Raises :class:`InputError` unless a folder holds a search for these data."""
    path, config = folder / FILE_NAME, read_file(folder)
    if config.time_limit is None or config.data is None:
        raise InputError(f"{path}: is a campaign without time_limit; choose a folder with --out")
    with in_file(path):
        there = resolve(config.data, folder)
    here = resolve(given.section, given.folder)
    for key in ("name", *_PLACES):
        old, new = (each.name if key == "name" else each.options.get(key) for each in (there, here))
        if old != new:
            raise InputError(
                f"{path}: data.{key}: is {old}, but DATA has {new}; choose another folder with "
                "--out"
            )


def _loaded(given: Given) -> Loaded:
    """Loads a data set; of few images with an official test part, three in ten are validation.

    Classes that are too small to be divided are training images, unless the user gives a split.
    """
    config = resolve(given.section, given.folder)
    if "split" in given.section:
        return load(config)
    images = read_images(config.name, config.options)

    def by(split: SplitConfig) -> Loaded:
        return divided(config.model_copy(update={"split": split}), images)

    usual = completed(SplitConfig(small_classes="train"), images)
    if set(usual.fractions) == {"train", "validation"}:
        with suppress(InputError):  # every class may be too small for a small part
            loaded = by(usual)
            if len(loaded.split.validation) >= _FEW:
                return loaded
        usual = usual.model_copy(update=_MORE)
    return by(usual)


def _finish(folder: Path, say: Callable[[str], None]) -> Found:
    """Writes predictions and the exported network."""
    torch.set_num_threads(free_cores())
    found, network = best_so_far(folder)
    name = f"{folder}:{found.trial}"
    config = read_file(folder)
    data, task = resolve(config.data, folder), make(config.task)
    results = recorded(folder).results.values()
    known = next(filter(None, (each.metrics.get("preprocessing") for each in results)), None)
    # As long as no training has ended, nothing has recorded it.
    expected = validate(Preprocessing, known) if known else preprocessing(search_data(data), task)
    told = ", ".join(f"{name} {value:.4f}" for name, value in found.metrics.items())
    stopped = f", stopped after epoch {found.epoch}" if found.epoch else ""
    say(f"best: {found.label}, {told}{stopped}")
    write_whole(folder / PREDICTIONS, _predictions(network, expected, data, task).encode())
    say(f"wrote {folder / PREDICTIONS}: the classes of the test images")
    place = subfolder(folder, EXPORT)
    place.mkdir(exist_ok=True)
    path = place / "network.py"
    try:
        export(network, "python", path.stem, path, preprocessing=expected)
    except ExportError as error:
        say(f"{name} as python: {error}")
    else:
        say(f"wrote {path}")
    return found


def _predictions(network: Network, expected: Preprocessing, data: DataConfig, task: Task) -> str:
    """Predicts the test part, and writes a line for each image."""
    part, places, _ = named_part(data, "test")
    try:
        found = predictions(deepcopy(network).to(resolve_device("auto")), part, expected, task)
    except RuntimeError:  # the GPU is full, or a training has left it unusable
        found = predictions(network, part, expected, task)
    values, places_of = found.max(1)
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["image", "class", "probability"])
    names = expected.classes
    for place, value, number in zip(places, values.tolist(), places_of.tolist(), strict=True):
        lines.writerow([place, number if names is None else names[number], f"{value:.4f}"])
    return text.getvalue()
