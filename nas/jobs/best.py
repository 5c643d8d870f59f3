"""The best network of a campaign's final stage, also while it is not complete."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from nas.architecture.network import Network, compile
from nas.campaigns.store.checkpoints import Checkpoints
from nas.campaigns.store.history import History
from nas.campaigns.store.log import read_records
from nas.campaigns.store.types import Ask, Result
from nas.errors import InputError
from nas.files import is_damaged
from nas.jobs.inputs import trained
from nas.jobs.references import read as read_reference
from nas.metrics import Catalogue
from nas.training.loop import trained_weights

_LOSS = "validation_loss"


@dataclass(frozen=True)
class Found:
    """What a search has found.

    Attributes:
        folder: the folder of the campaign.
        label: the row of the table that predicts: a network, or an ensemble.
        trial: the trial that trained or averaged it.
        metrics: the recorded primary metric on validation images and, if they have labels, on test
            images.
        epoch: the epoch after which its training was stopped; 0 if it has ended.
    """

    folder: Path
    label: str
    trial: str
    metrics: dict[str, float]
    epoch: int = 0


def best(folder: Path) -> Found:
    """Finds the network or the ensemble of the final stage that is the best on validation images.

    An ensemble with a smaller loss than the best network is preferred to it if their accuracies
    differ by no more than a standard error: such a difference is chance, and the loss has less
    noise. If its members are calibrated, its loss must be smaller than that of each of them then.

    Raises :class:`InputError` if no training of the final stage has ended.
    """
    history = recorded(folder)
    known = Catalogue.read(history.header.specification.get("metrics"))
    rows: dict[str, list[Ask]] = {}
    for trial, result in history.results.items():
        ask, value = history.asks[trial], result.number(known.validation)
        if ask.stage == "final" and result.completed and value is not None:
            rows.setdefault(ask.label, []).append(ask)
    if not rows:
        raise _nothing(folder)

    def rank(ask: Ask) -> float:
        return float(known.primary.flipped(history.results[ask.trial].metrics[known.validation]))

    def loss(ask: Ask) -> float:
        value = history.results[ask.trial].number(_LOSS)
        return math.inf if value is None else value

    def mean(label: str, value: Callable[[Ask], float]) -> float:
        return fmean(map(value, rows[label]))

    ranks = {each: mean(each, rank) for each in rows}
    label = min(rows, key=ranks.__getitem__)
    if not rows[label][0].is_ensemble:
        most = ranks[label] + _noise(history.results[rows[label][0].trial])
        single = mean(label, loss)

        def alone(ask: Ask) -> float:
            found = history.results[ask.trial].metrics.get("calibrated_losses")
            return float(min(found or [single]))

        averages = [
            each
            for each, (ask, *_) in rows.items()
            if ask.is_ensemble and ranks[each] <= most and mean(each, loss) < mean(each, alone)
        ]
        label = min(averages, key=ranks.__getitem__, default=label)
    ask = min(rows[label], key=rank)
    metrics = history.results[ask.trial].metrics
    told = {name: metrics[name] for name in (known.validation, known.test) if name in metrics}
    return Found(folder, label, ask.trial, told)


def best_so_far(folder: Path) -> tuple[Found, Network]:
    """Returns the best network of the final stage, also one whose training was stopped.

    Raises :class:`InputError` if there is none.
    """
    history = recorded(folder)
    known = Catalogue.read(history.header.specification.get("metrics"))
    found: list[tuple[Found, Callable[[], Network]]] = []
    with suppress(InputError):  # no training has ended
        done = best(folder)
        name, reference = f"{folder}:{done.trial}", read_reference(folder, done.trial)
        found.append((done, partial(trained, name, reference)))
    files = Checkpoints(folder)
    for ask in history.unfinished():
        path = files.find(ask.trial)
        if ask.stage != "final" or path is None or is_damaged(path):
            continue
        state = torch.load(path, map_location="cpu", weights_only=True)
        metrics = {known.validation: _kept(state)[known.validation]}
        stopped = Found(folder, ask.label, ask.trial, metrics, len(state["curve"]))
        found.append((stopped, partial(_so_far, stopped, state)))
    if not found:
        raise _nothing(folder)
    chosen, network = min(
        found, key=lambda each: known.primary.flipped(each[0].metrics[known.validation])
    )
    return chosen, network()


def recorded(folder: Path) -> History:
    """Returns what a campaign has recorded; raises :class:`InputError` if that is nothing."""
    records = read_records(folder)
    if not records:
        raise _nothing(folder)
    return History(folder, records)


def _nothing(folder: Path) -> InputError:
    return InputError(f"{folder}: no network is trained yet: give it more time")


def _noise(result: Result) -> float:
    """Returns the standard error of the difference of two accuracies on the validation images."""
    measured = result.metrics.get("evaluations", {}).get("single", {}).get("validation", {})
    images = sum(each[0] for each in measured.get("reliability", []))
    return math.sqrt(0.5 / images) if images else 0.0


def _kept(state: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the point of the curve whose weights a state has; older states have the last."""
    curve = state["curve"]
    found: dict[str, Any] = curve[state.get("kept", len(curve)) - 1]
    return found


def _so_far(stopped: Found, state: Mapping[str, Any]) -> Network:
    """Returns the network of a training that was stopped, with its weights so far."""
    network = compile(read_reference(stopped.folder, stopped.trial).architecture)
    network.load_state_dict(trained_weights(state))
    return network.eval()
