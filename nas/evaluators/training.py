"""Evaluates a trial by training its network; request and metrics are plain JSON."""

import io
import math
import platform
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from nas.architecture.graph import Architecture
from nas.architecture.network import compile
from nas.architecture.profile import Profile
from nas.architecture.reference import reference_cost
from nas.architecture.weights import weights_bytes
from nas.configuration import Config, Named, validate
from nas.errors import InputError, at, in_file
from nas.evaluators import ensemble
from nas.evaluators.ensemble import tested_metrics
from nas.evaluators.proxies import draw, new_network, scores
from nas.evaluators.work import Progress, Work
from nas.metrics import OWN, Protocol
from nas.spaces.choices import Infeasible
from nas.supernet.inheritance import inherit
from nas.tasks import make
from nas.training import data, recipe
from nas.training.compilation import Compile
from nas.training.curve import TrainResult
from nas.training.data import Part, SearchData
from nas.training.deadline import Deadline
from nas.training.evaluation import VIEWS, evaluations, preprocessing
from nas.training.hardware import device_name, resolve_device
from nas.training.latency import measure_latency
from nas.training.loop import Trainer, trained_weights

SOURCE = "training request"


class LatencyRequest(Config):
    """The request to measure latency; above the limit in milliseconds nothing is trained.

    With the file of a profile, it is predicted instead.
    """

    limit: Annotated[float, Field(gt=0)] | None = None
    profile: str | None = None


class Inheritance(Config):
    """The JSON of the parent's architecture, if the checkpoint is the state of the parent.

    It is None for a child whose checkpoint is its own, or that has none because the state of its
    parent is gone.
    """

    parent: str | None = None


class Request(Config):
    """One trial.

    ``architecture`` is its JSON; ``data`` and ``recipe`` are sections of a campaign, the latter
    with this network's own scheme where it says "reference"; ``threads`` are the CPU cores that
    the trial has; ``test`` asks for what goes into the final table too, metrics on the test images
    and fvcore's counts, which only the final stage does, and ``protocol`` is another that those
    metrics are taken by too. ``epochs`` is where to stop, if before the recipe's end; its
    schedules stay those of all its epochs. ``train_percent`` are how many of the training images
    there are to train on, of every class. ``latency`` asks for it to be measured first.
    ``inherit`` is given for a child that starts from its parent's weights
    (:func:`nas.supernet.inheritance.inherit`). ``compile`` and ``cuda_graphs`` are the trainer's.
    ``task`` is what is trained for, ``metrics`` are the names of the user's own metrics.
    ``deadline`` is the time, in Unix seconds, at which the trial has ended: training ends early
    enough for its evaluations. ``seconds`` are how long it may take from the first step on.
    """

    architecture: str
    data: dict[str, Any]
    recipe: dict[str, Any]
    seed: Annotated[int, Field(ge=0)]
    device: Literal["cpu", "cuda", "auto"] = "auto"
    threads: Annotated[int, Field(ge=1)] = 1
    test: bool = False
    protocol: Protocol = "single"
    epochs: Annotated[int, Field(ge=1)] | None = None
    latency: LatencyRequest | None = None
    train_percent: Annotated[int, Field(ge=1, le=100)] = 100
    inherit: Inheritance | None = None
    compile: Compile = "never"
    cuda_graphs: bool = True
    task: Named = Named(name="classification")
    metrics: tuple[str, ...] = ()
    deadline: float | None = None
    seconds: float | None = None


def evaluate(
    request: Mapping[str, Any],
    checkpoint: bytes | None = None,
    *,
    proxies: Sequence[str] = (),
    batch: int = 64,
    trains: bool = True,
) -> Work:
    """Trains the network of a :class:`Request`, from scratch or from a checkpoint.

    Args:
        request: the fields of a :class:`Request`; also ``search_data`` and ``test_data``, if its
            data have been loaded already. A request with ``members`` is an ensemble, see
            :func:`nas.evaluators.ensemble.evaluate`.
        checkpoint: the state of a training with the same request except ``epochs``, or of another
            network if the request says to ``inherit`` from it.
        proxies: the zero-cost proxies to measure of the new network.
        batch: the number of training images on which they are measured.
        trains: whether a trial of the search is trained; if not, only its proxies are measured.

    Yields after every epoch the fields of :class:`nas.training.curve.Epoch`.

    Returns ``validation_loss`` and the task's primary metric on validation images, such as
    ``validation_accuracy``, and ``train_loss``, all after the epoch whose weights are kept, which
    is the last one unless the recipe keeps the best, and then it is ``kept_epoch``; ``epochs``,
    ``epochs_before`` (those of the checkpoint), ``train_seconds``, ``evaluation_seconds``,
    ``curve`` (an entry per epoch, from the first), ``device`` and ``precision`` (what "auto"
    became), ``device_name`` (its model), ``host`` (the machine), ``data_checksum`` (the split's),
    ``train_images`` (how many), ``pipeline`` ("resident" on the device, or "streamed"),
    ``compiled`` and ``captured`` (whether it was), the user's own metrics on the validation images
    (``validation_NAME``), what :func:`nas.evaluators.proxies.scores` returns for ``proxies``, and
    if asked for, what :func:`nas.training.latency.measure_latency` tells.
    If it has a deadline: ``out_of_time``, whether the training ended before its last step.
    If the request has ``inherit``: ``inherited_params``, how many parameters came over.
    Only if the request says ``test``: the primary metric on test images, such as
    ``test_accuracy``, ``evaluations`` (metrics on validation and test images: see
    :func:`nas.training.evaluation.evaluations`; metrics beside them are of single views),
    ``preprocessing`` (how a picture becomes the network's input: the fields of
    :class:`nas.preprocessing.Preprocessing`),
    ``fvcore`` (its counts) and ``fvcore_uncounted`` (the operators that it does not count).

    It sets torch's threads for this process. Raises :class:`InputError` if the request is wrong or
    if architecture and data do not fit, :class:`nas.training.curve.Diverged` if the loss is not
    finite, and before training :class:`Infeasible` if the latency is above its limit. A training
    that continues from a checkpoint was checked when it began.
    """
    if "members" in request:
        return ensemble.evaluate(request)
    plain = dict(request)
    loaded: SearchData | None = plain.pop("search_data", None)
    tested: Part | None = plain.pop("test_data", None)
    with in_file(SOURCE):
        trial = validate(Request, plain)
        with at("data"):
            data_config = data.resolve(trial.data)
        with at("recipe"):
            how = recipe.resolve(trial.recipe)
        until = how.epochs if trial.epochs is None else trial.epochs
        if until > how.epochs:
            raise InputError(f"the recipe has {how.epochs}, got {until}", "epochs")
        with at("device"):
            device = resolve_device(trial.device)
        with at("task"):
            task = make(trial.task)
        with at("metrics"):
            own = [OWN.find(name) for name in trial.metrics]
    architecture = Architecture.from_json(trial.architecture)
    parent = trial.inherit and trial.inherit.parent
    images = loaded or data.search_data(data_config)
    if trial.train_percent < 100:
        images = _part_of_training(images, trial.train_percent, data_config.split.seed)
    task.check_fit(architecture, images.input_shape, images.classes)
    torch.set_num_threads(trial.threads)
    latency = {}
    if trial.latency is not None:
        if trial.latency.profile is not None:
            latency = Profile.read(Path(trial.latency.profile)).prediction(architecture)
        else:
            with torch.random.fork_rng(devices=[]):
                latency = measure_latency(compile(architecture), images.input_shape, device)
        if checkpoint is None or parent:
            _check_latency(latency, trial.latency.limit)
    where = {
        "device": device,
        "device_name": device_name(device),
        "host": platform.node(),
        "data_checksum": images.checksum,
        **latency,
    }
    if proxies:
        network = new_network(architecture, trial.seed, how.initialization, task, images).to(device)
        where |= scores(proxies, network, draw(images, task, batch, device), trial.seed)
    if not (trains or trial.test):
        return {**where, "epochs": 0, "epochs_before": 0}
    state = start = None
    if checkpoint is not None:
        state = torch.load(io.BytesIO(checkpoint), map_location=device, weights_only=True)
    if state is not None and parent:
        weights = trained_weights(state)
        start = partial(inherit, parent=Architecture.from_json(parent), weights=weights)
        state = None
    parts = {"validation": images.validation}
    counted = None
    if trial.test:
        parts["test"] = tested or data.held_out(data_config)
        counted = reference_cost(architecture)
    trainer = Trainer(
        lambda: compile(architecture),
        images,
        how,
        trial.seed,
        device,
        start,
        trial.compile,
        trial.cuda_graphs,
        task,
        _deadline(trial, parts),
    )
    if state is not None:
        trainer.load_state_dict(state)
    before = len(trainer.curve)

    result: TrainResult | None = None

    def save() -> bytes:
        if result is not None and trial.test:
            return weights_bytes(result.network)
        file = io.BytesIO()
        torch.save(trainer.state_dict(), file)
        return file.getvalue()

    for point in trainer.curve:
        yield Progress(point.record(), save)
    for epoch in range(before + 1, until + 1):
        trainer.run(epoch)
        yield Progress(trainer.curve[-1].record(), save)
        if trainer.out_of_time:
            break
    result = trainer.run(until)
    observation = {
        **{f"validation_{name}": value for name, value in result.kept.validation.items()},
        "train_loss": result.kept.train_loss,
        "epochs": len(result.curve),
        "epochs_before": before,
        "train_seconds": result.train_seconds,
        "evaluation_seconds": result.evaluation_seconds,
        "curve": [epoch.record() for epoch in result.curve],
        **where,
        "precision": result.precision,
        "train_images": len(images.train.labels),
        "pipeline": images.train.pipeline,
        "compiled": trainer.compiled,
        "captured": trainer.captured,
    }
    if how.keep == "best":
        observation["kept_epoch"] = result.kept.epoch
    if trial.inherit is not None:
        observation["inherited_params"] = trainer.inherited_params
    if trial.deadline is not None or trial.seconds is not None:
        observation["out_of_time"] = trainer.out_of_time
    if counted is not None:
        observation["fvcore"] = counted.cost._asdict()
        observation["fvcore_uncounted"] = sorted(counted.uncounted)
    if trial.test or own:
        found = evaluations([result.network], parts, images, task, trial.protocol, own)
        validation = found["single"]["validation"]
        observation |= {f"validation_{each.name}": validation[each.name] for each in own}
        if trial.test:
            observation |= tested_metrics(found, task)
            observation["evaluations"] = found
            observation["preprocessing"] = preprocessing(images, task).record()
    return observation


def _deadline(trial: Request, parts: Mapping[str, Part]) -> Deadline | None:
    """Returns when the training has to end; None if it does not."""
    if trial.deadline is None is trial.seconds:
        return None
    at, seconds = trial.deadline or math.inf, trial.seconds or math.inf
    return Deadline(at, _evaluated(trial, parts), seconds)


def _evaluated(trial: Request, parts: Mapping[str, Part]) -> int:
    """Returns how many images are evaluated after the last training step."""
    count = len(parts["validation"].labels)
    if not trial.test:
        return count
    views = sum(len(VIEWS[each]) for each in {"single", trial.protocol})
    return count + views * sum(len(part.labels) for part in parts.values())


# Cached, so that a device holds the images of a fidelity only once.
_part_of_training = lru_cache(maxsize=4)(data.part_of_training)


def _check_latency(measured: Mapping[str, Any], limit: float | None) -> None:
    value, where = measured["latency_ms"], measured["latency_device"]
    if limit is not None and value > limit:
        reason = f"latency_ms is {value:.4g}, over the limit of {limit:g}, on {where}"
        raise Infeasible(reason, "latency_ms")
