"""Finds the networks that references name, in folders of campaigns and of `nas train`.

``results/NAME:best`` is the campaign's best searched network, ``results/NAME:TRIAL`` that of a
trial or of a row of its table, and ``results/FOLDER`` the network of a folder of `nas train`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.architecture.graph import Architecture
from nas.architecture.surgery import tempered
from nas.campaigns.spec.campaign import FILE_NAME, read_file
from nas.campaigns.spec.frame import Frame
from nas.campaigns.spec.recorded_code import check_code
from nas.campaigns.spec.space import read_space
from nas.campaigns.store.checkpoints import verify_weights, weights_path
from nas.campaigns.store.history import History
from nas.campaigns.store.log import read_records
from nas.campaigns.store.types import Ask, Measurement
from nas.classics import CLASSICS
from nas.configuration import Named, validate
from nas.errors import InputError, at, in_file
from nas.files import read_json, read_text
from nas.jobs.row import Row, read_row
from nas.metrics import Catalogue
from nas.preprocessing import Preprocessing
from nas.registry import unknown
from nas.spaces.hyperparameters import joint
from nas.tasks import DEFAULT, Task, make
from nas.words import counted

if TYPE_CHECKING:
    from nas.spaces.choices import Genotype
    from nas.spaces.search_space import SearchSpace
    from nas.training.data import DataConfig

BEST = "best"


@dataclass(frozen=True)
class Reference:
    """The network to which a name refers.

    Attributes:
        architecture: its architecture as it was trained, including auxiliary heads.
        trial: its trial in the campaign; if several seeds were retrained, the one with the best
            validation accuracy; "" for a folder of `nas train`.
        weights: the file of its weights, if they were kept.
        accuracies: its recorded accuracies on validation images and, if retrained, on test images.
        space: its search space; None for a classic and for a folder of `nas train`.
        genotype: its genotype; None for a classic and for a folder of `nas train`.
        kind: its kind in tables: searched, random, classic, or other.
        initialization: its scheme for the initialisation "reference".
        origin: what its search started from, if it descends from it, in words.
        checksum: the recorded checksum of the file of its weights; "" in older records.
        preprocessing: how a picture becomes its input; None in folders of earlier versions, and if
            its training has not ended.
        data: returns the data set and the task of its training; None if it was not trained.
        split_checksum: the checksum of the split of its training.
    """

    architecture: Architecture
    trial: str
    weights: Path | None
    accuracies: dict[str, float]
    space: SearchSpace | None = None
    genotype: Genotype | None = None
    kind: str = "other"
    initialization: str = "default"
    origin: str = ""
    checksum: str = ""
    preprocessing: Preprocessing | None = None
    data: Callable[[], tuple[DataConfig, Task]] | None = None
    split_checksum: str = ""

    def verified_weights(self) -> Path | None:
        """Returns the file of its weights, if they were kept.

        Raises :class:`InputError` if the file is damaged.
        """
        if self.weights is not None:
            verify_weights(self.weights, self.checksum)
        return self.weights

    @property
    def note(self) -> str:
        """Returns a remark on the network."""
        told = [f"{name} {value:.4f}" for name, value in self.accuracies.items()]
        kept = f"weights {self.weights}" if self.weights else "no weights are kept"
        return ", ".join([*filter(None, [self.trial, self.origin]), *told, kept])


def read(folder: Path, which: str) -> Reference:
    """Reads a folder's network; in a campaign ``which`` is ``best``, a trial or a table row.

    Raises :class:`InputError` if the folder holds no such network, or if ``campaign.yaml`` or the
    program has changed so that another network is built.
    """
    if not (folder / "records.jsonl").exists():
        if which:
            raise InputError(f"{folder}: holds no records of a campaign to find {which!r} in")
        return _of_training(folder)
    if not which:
        raise InputError(f"{folder}: is a campaign: write {folder}:best, or {folder}:TRIAL")
    return _of_campaign(folder, which)


def _of_training(folder: Path) -> Reference:
    row = read_row(folder)
    if row is None:
        raise InputError(
            f"{folder}: holds neither the records of a campaign nor the row.json of a training "
            "that has ended"
        )
    path, weights = folder / "architecture.json", folder / "weights.safetensors"
    with in_file(path):
        architecture = Architecture.from_json(read_text(path))
    return Reference(
        architecture,
        "",
        weights if weights.exists() else None,
        {},
        checksum=str(row.get("weights", "")),
        kind=row.get("kind", "other"),  # older rows have neither
        initialization=row.get("reference_initialization", "default"),
        preprocessing=_preprocessing(row.get("preprocessing")),
        data=partial(_data_of_training, row),
        split_checksum=row["data"].get("checksum", ""),
    )


def _data_of_training(row: Row) -> tuple[DataConfig, Task]:
    from nas.training.data import resolve

    given = {key: value for key, value in row["data"].items() if key != "checksum"}
    task = {
        key: value for key, value in row.get("task", {"name": DEFAULT}).items() if key != "code"
    }
    return resolve(given), make(validate(Named, task))


def _preprocessing(recorded: Any) -> Preprocessing | None:
    return None if recorded is None else validate(Preprocessing, recorded)


def _of_campaign(folder: Path, which: str) -> Reference:
    history = History(folder, read_records(folder))
    if not history.asks:
        raise InputError(f"{folder}: no records yet; run the campaign: nas run {folder}")
    known = Catalogue.read(history.header.specification.get("metrics"))
    scores = _scores(history, known)
    find = _best if which == BEST else partial(_named, which=which)
    ask = find(folder, history, scores=scores)
    architecture, space = built(folder, history, ask)
    weights = weights_path(folder, ask.trial)
    metrics: Measurement = (
        history.results[ask.trial].metrics if ask.trial in history.results else {}
    )
    return Reference(
        architecture,
        ask.trial,
        weights if weights.exists() else None,
        {name: metrics[name] for name in (known.validation, known.test)
         if isinstance(metrics.get(name), float)},
        space,
        ask.genotype if space is not None else None,
        ask.kind,
        ask.initialization or (CLASSICS[ask.classic].initialization if ask.classic else "default"),
        _origin(history, ask),
        history.results[ask.trial].weights if ask.trial in history.results else "",
        _preprocessing(metrics.get("preprocessing") or _of_members(history, ask)),
        partial(_data_of_campaign, folder) if "data_checksum" in metrics else None,
        metrics.get("data_checksum", ""),
    )  # fmt: skip


def _of_members(history: History, ask: Ask) -> Any:
    """Returns the preprocessing that all members of an ensemble have; None for another trial."""
    members = (history.results[each].metrics for each in ask.members if each in history.results)
    return next((each.get("preprocessing") for each in members), None)


def _data_of_campaign(folder: Path) -> tuple[DataConfig, Task]:
    from nas.training.data import resolve

    config = read_file(folder)
    with in_file(folder / FILE_NAME):
        with at("task"):
            task = make(config.task)
        with at("data"):
            return resolve(config.data, folder), task


def _origin(history: History, ask: Ask) -> str:
    """Returns the initial genotype that a network is or descends from; "" if there is none."""
    found = history.asks.get(ask.label) if ask.stage == "final" else ask
    if found is None:
        return ""
    founder, mutations = history.founder(found)
    initial = founder.note.get("initial")
    if initial is None:
        return ""
    return f"{counted(mutations, 'mutation')} from {initial}" if mutations else f"is {initial}"


def _scores(history: History, known: Catalogue) -> dict[str, float]:
    """Returns the primary metric of completed trials, with a sign so that less is better."""
    told = {
        trial: result.number(known.validation)
        for trial, result in history.results.items()
        if result.completed
    }
    return {trial: known.primary.flipped(v) for trial, v in told.items() if v is not None}


def _best(folder: Path, history: History, scores: Mapping[str, float]) -> Ask:
    """Returns the best searched network by validation, after retraining if there was any."""
    found = {t: ask for t, ask in history.asks.items() if ask.kind == "searched" and t in scores}
    retrained: dict[str, list[float]] = {}
    for trial, ask in found.items():
        if ask.stage == "final":
            retrained.setdefault(ask.label, []).append(scores[trial])
    if retrained:
        # Means are rounded as in tables, so that rounding errors do not decide between equal ones.
        label = min(
            retrained, key=lambda name: round(sum(retrained[name]) / len(retrained[name]), 12)
        )
        return _of_label(history, label, scores)
    if not found:
        raise InputError(f"{folder}: no trial of the search has completed, so there is no best yet")
    return found[min(found, key=scores.__getitem__)]


def _named(folder: Path, history: History, scores: Mapping[str, float], which: str) -> Ask:
    """Returns the trial with this id, or the best seed of its retrained network or of a row."""
    labels = list(dict.fromkeys(ask.label for ask in history.asks.values() if ask.label))
    if which in labels:
        return _of_label(history, which, scores)
    if which in history.asks:
        return history.asks[which]
    rows = [BEST, *labels]
    raise InputError(f"{folder}: {unknown('trial', which, rows)}, or the id of any trial")


def _of_label(history: History, label: str, scores: Mapping[str, float]) -> Ask:
    asks = [ask for ask in history.asks.values() if ask.label == label]
    return min(asks, key=lambda ask: scores.get(ask.trial, math.inf))


def built(folder: Path, history: History, ask: Ask) -> tuple[Architecture, SearchSpace | None]:
    """Builds the network of an ask; returns it with its space, which a classic does not have.

    The data set is not needed, because ``resolved.json`` holds the image shape and the number of
    classes. Raises :class:`InputError` if ``campaign.yaml``, the code that it names or the program
    has changed so that another network would be built.
    """
    if ask.is_ensemble:
        members = [built(folder, history, history.asks[member])[0] for member in ask.members]
        result = history.results.get(ask.trial)
        temperatures = result.metrics.get("temperatures") if result else None
        if temperatures:  # they are calibrated
            if len(temperatures) != len(members):
                raise InputError(
                    f"{folder}: {ask.trial}: temperatures: must be {len(members)}, one for each "
                    f"member, got {len(temperatures)}"
                )
            members = list(map(tempered, members, temperatures))
        return make(read_file(folder).task).ensemble(members), None
    check_code(folder / FILE_NAME, history.header.specification)
    config = read_file(folder)
    shape, classes = _resolved(folder / "resolved.json")
    frame = Frame(shape, classes, make(config.task), config.reading)
    if ask.is_of_space:
        space, _ = read_space(config.space, folder, frame)
        if config.hyperparameters:
            space = joint(space, config.hyperparameters, lambda asked: None)
        try:
            architecture = space.decode(ask.genotype)
        except InputError as error:
            raise InputError(f"{folder}: {ask.trial}: {error}") from None
    else:
        space = None
        architecture = frame.classic(ask.classic, **ask.options)
    if architecture.recorded_as(ask.fingerprint)[0] != ask.fingerprint:
        raise InputError(
            f"{folder}: {ask.trial}: campaign.yaml and the program now make another network of "
            "it than was recorded: they have changed since"
        )
    return architecture, space


def _resolved(path: Path) -> tuple[tuple[int, ...], int]:
    try:
        found: dict[str, Any] = read_json(path)
        return tuple(map(int, found["input_shape"])), int(found["classes"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: does not tell the input's shape and the classes ({error!r}); run the "
            "campaign again, which writes it"
        ) from None
