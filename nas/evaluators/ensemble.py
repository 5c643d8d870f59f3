"""Evaluates ensembles: the average prediction of trained networks."""

import platform
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from safetensors.torch import load
from torch import Tensor, nn

from nas.architecture.graph import Architecture
from nas.architecture.network import Network, compile
from nas.architecture.surgery import tempered
from nas.configuration import Config, Named, validate
from nas.errors import at, in_file
from nas.metrics import OWN, Protocol
from nas.tasks import Task, make
from nas.training import data
from nas.training.calibration import temperature
from nas.training.data import Part, SearchData
from nas.training.evaluation import evaluations, predictions, truth
from nas.training.hardware import device_name, resolve_device
from nas.training.latency import measure_latency

SOURCE = "ensemble request"


class Member(Config):
    """A trained network, with the ``trial`` that trained it and its ``architecture`` as JSON."""

    trial: str
    architecture: str


class Request(Config):
    """One ensemble; the other fields are those of :class:`nas.evaluators.training.Request`."""

    members: Annotated[tuple[Member, ...], Field(min_length=2)]
    data: dict[str, Any]
    device: Literal["cpu", "cuda", "auto"] = "auto"
    threads: Annotated[int, Field(ge=1)] = 1
    test: bool = False
    protocol: Protocol = "single"
    calibrated: bool = False
    latency: bool = False
    task: Named = Named(name="classification")
    metrics: tuple[str, ...] = ()


def evaluate(request: Mapping[str, Any]) -> dict[str, Any]:
    """Evaluates the average of the members' predictions; nothing is trained.

    Args:
        request: the fields of a :class:`Request`; also ``weights``, the safetensors of each member,
            and ``search_data`` and ``test_data`` if they have been loaded already.

    Returns the task's metrics on validation images (``validation_loss`` and so on), ``device``,
    ``device_name``, ``host``, ``data_checksum``, and if requested the results of
    :func:`nas.training.latency.measure_latency` for all networks in turn. If the request says
    ``test``, it also returns the primary metric on test images and ``evaluations``, like
    :func:`nas.evaluators.training.evaluate`.

    If it says ``calibrated``, the members' scores are divided by ``temperatures`` before they are
    averaged. These are in the result, with the validation loss of each member then
    (``calibrated_losses``). They are found on the validation images, with single views.

    Networks are evaluated in float32, whatever the precision of their training. It sets torch's
    threads for this process.
    """
    plain = dict(request)
    weights: list[bytes] = plain.pop("weights")
    loaded: SearchData | None = plain.pop("search_data", None)
    tested: Part | None = plain.pop("test_data", None)
    with in_file(SOURCE):
        asked = validate(Request, plain)
        with at("data"):
            config = data.resolve(asked.data)
        with at("device"):
            device = resolve_device(asked.device)
        with at("task"):
            task = make(asked.task)
        with at("metrics"):
            own = [OWN.find(name) for name in asked.metrics]
    images = loaded or data.search_data(config)
    torch.set_num_threads(asked.threads)
    members = [Architecture.from_json(member.architecture) for member in asked.members]
    networks = _compiled(members, weights, device)
    calibration: dict[str, list[float]] = {}
    if asked.calibrated:
        targets = truth(images.validation, images.classes, task)
        found = [
            temperature(task, predictions(network, images.validation, images, task), targets)
            for network in networks
        ]
        calibration = {
            "temperatures": [each for each, _ in found],
            "calibrated_losses": [loss for _, loss in found],
        }
        tempered_ones = map(tempered, members, calibration["temperatures"])
        networks = _compiled(tempered_ones, weights, device)

    parts = {"validation": images.validation}
    if asked.test:
        parts["test"] = tested or data.held_out(config)
    evaluated = evaluations(networks, parts, images, task, asked.protocol, own)
    validation = evaluated["single"]["validation"]
    observation = {
        **{
            f"validation_{metric.name}": validation[metric.name]
            for metric in (*task.metrics, *own)
            if metric.name in validation
        },
        "device": device,
        "device_name": device_name(device),
        "host": platform.node(),
        "data_checksum": images.checksum,
        **calibration,
    }
    if asked.test:
        observation |= tested_metrics(evaluated, task)
        observation["evaluations"] = evaluated
    if asked.latency:
        observation |= measure_latency(_Together(networks, task), images.input_shape, device)
    return observation


def _compiled(
    members: Iterable[Architecture], weights: Sequence[bytes], device: str
) -> list[Network]:
    networks = []
    for member, state in zip(members, weights, strict=True):
        network = compile(member)
        own = network.state_dict()  # without auxiliary heads, if it is tempered
        network.load_state_dict({key: each for key, each in load(state).items() if key in own})
        networks.append(network.to(device))
    return networks


def tested_metrics(evaluations: Mapping[str, Any], task: Task) -> dict[str, float]:
    """Returns the primary metric on test images from evaluations, if their labels are known."""
    found = evaluations["single"].get("test")
    return {} if found is None else {f"test_{task.primary.name}": found[task.primary.name]}


class _Together(nn.Module):
    """A module that runs the networks one after the other."""

    def __init__(self, networks: Sequence[nn.Module], task: Task) -> None:
        super().__init__()
        self.task = task
        self.networks = nn.ModuleList(networks)

    def forward(self, images: Tensor) -> Tensor:
        """Returns the average of the task's predictions, one row per image."""
        return self.task.average(
            [self.task.predictions(network(images)) for network in self.networks]
        )
