"""Evaluates trials with shared weights: ``evaluator: {name: supernet, ...}``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field

from nas.architecture.network import Network
from nas.architecture.weights import weights_bytes
from nas.configuration import Config
from nas.evaluators import training
from nas.evaluators.ensemble import tested_metrics
from nas.evaluators.sharing import Setting, Sharing, trained
from nas.evaluators.work import Progress, Work
from nas.spaces.search_space import SearchSpace
from nas.supernet.bank import Kernels
from nas.supernet.network import Sampling, Supernet, trainer_of
from nas.training.batches import batch_bounds, batches
from nas.training.data import Part, held_out, resolve
from nas.training.evaluation import evaluations, preprocessing
from nas.training.loop import measure, normalizer

FILE_NAME = "supernet.pt"
"""The file in the folder of the campaign that holds the shared weights."""


class Options(Config):
    """The options of the evaluator."""

    epochs: Annotated[int, Field(ge=1)]
    """For how many epochs the shared weights are trained."""
    sampling: Sampling = "uniform"
    """How the members are drawn that are trained."""
    kernels: Kernels = "own"
    """How convolutions with kernels of other sizes share weights."""
    affine: bool = True
    """Whether batch norms have learned factors and offsets while weights are shared."""
    recalibration: Annotated[int, Field(ge=0)] = 8
    """On how many training batches the statistics of a member's batch norms are measured."""


class SharedWeights(Sharing):
    """Measures members of the space with weights that all members share.

    The first trial trains the shared weights by the campaign's recipe, for the epochs of the
    option, which are charged to it. They are kept in the folder of the campaign. All trials then
    only measure their network on the validation images. The final stage retrains from scratch.
    """

    name = "supernet"
    file_name = FILE_NAME
    schema = Options
    shares_weights = True


def evaluate(
    request: Mapping[str, Any],
    checkpoint: bytes | None = None,
    *,
    space: SearchSpace,
    folder: str,
    epochs: int,
    sampling: Sampling,
    kernels: Kernels,
    affine: bool,
    recalibration: int,
) -> Work:
    """Measures a member with the shared weights, which it trains first if there are none yet.

    Args:
        request: the fields of :class:`nas.evaluators.training.Request`. One that asks for ``test``
            is trained from scratch instead, unless it is ``shared``.
        checkpoint: the state of the training of the shared weights.
        space: the space.
        folder: where the shared weights are kept. Processes that share it train them once.
        epochs, sampling, kernels, affine, recalibration: see :class:`Options`.

    Yields after every epoch of the shared weights.

    A ``shared`` request for ``test`` saves the member's weights.

    Returns the metrics of :func:`nas.evaluators.training.evaluate`, as far as they are known.
    ``epochs``, ``train_seconds`` and ``shared_curve`` are those of the shared weights in the trial
    that trains them; the others have 0 epochs and no curve.
    """
    plain = dict(request)
    shared = plain.pop("shared", False)
    if plain.get("test") and not shared:
        return (yield from training.evaluate(request, checkpoint))
    tested: Part | None = plain.pop("test_data", None)
    given = Setting.of(plain, epochs)

    def build(steps: int = 1) -> Supernet:
        # Every trial has the seed of the campaign, so any of them may train the shared weights.
        scheme = given.recipe.initialization
        return Supernet(space, steps, sampling, kernels, affine, given.seed, scheme, given.start)

    supernet, metrics = yield from trained(
        Path(folder) / FILE_NAME,
        build,
        lambda: trainer_of(sampling)(
            lambda: build(given.steps),
            given.images,
            given.recipe,
            given.seed,
            given.device,
            task=given.task,
        ),
        given,
        checkpoint,
    )
    assert isinstance(supernet, Supernet)
    began = time.perf_counter()
    member = supernet.member(given.architecture)
    if recalibration:
        member.recalibrate(_training_images(given, recalibration))
    found = measure(member, given.images.validation, given.images, given.task)
    values = {f"validation_{name}": value for name, value in found.items()}
    if shared:
        network = member.network().eval()
        yield Progress({}, lambda: weights_bytes(network))
        none = {"epochs": 0, "epochs_before": 0}
        return {**values, **none, **given.metrics(), **_tested(network, given, plain, tested)}
    return {
        **values,
        **metrics,
        "evaluation_seconds": metrics["evaluation_seconds"] + time.perf_counter() - began,
        **given.metrics(),
    }


def _tested(
    network: Network, given: Setting, request: Mapping[str, Any], tested: Part | None
) -> dict[str, Any]:
    """Returns the metrics of the final stage for a network that was not retrained."""
    parts = {
        "validation": given.images.validation,
        "test": tested or held_out(resolve(request["data"])),
    }
    protocol = request.get("protocol", "single")
    found = evaluations([network], parts, given.images, given.task, protocol)
    return {
        **tested_metrics(found, given.task),
        "evaluations": found,
        "preprocessing": preprocessing(given.images, given.task).record(),
    }


def _training_images(given: Setting, count: int) -> Iterator[torch.Tensor]:
    """Yields the first batches of a random order of the training images, which is always the same.

    They are normalised and not augmented.
    """
    part, where = given.images.train, torch.device(given.device)
    total = len(part.labels)
    order = torch.randperm(total, generator=torch.Generator().manual_seed(0)).to(where)
    normalize = normalizer(given.images, where)
    bounds = batch_bounds(total, given.recipe.batch_size)[:count]
    for pixels, _ in batches(part, bounds, where, order):
        yield normalize(pixels)
