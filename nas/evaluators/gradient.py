"""Searches by gradients in the first trial: ``evaluator: {name: gradient, ...}``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from nas.configuration import Config
from nas.errors import InputError
from nas.evaluators import training
from nas.evaluators.sharing import Setting, Sharing, trained
from nas.evaluators.work import Work
from nas.metrics import Metric
from nas.spaces.choices import Genotype
from nas.spaces.search_space import SearchSpace
from nas.supernet.gradient import GradientTrainer
from nas.supernet.relaxation import Method, Relaxation, relaxed

FILE_NAME = "relaxation.pt"
"""The file in the folder of the campaign that holds weights and alphas."""

_DRAWS = 1000
"""How many members are drawn if constraints forbid every member that the search has chosen."""


class Options(Config):
    """The options of the evaluator."""

    epochs: Annotated[int, Field(ge=1)]
    """For how many epochs weights and alphas are trained."""
    method: Method = "darts"
    """How operations are mixed."""
    order: Literal[1, 2] = 1
    """With 2, a step of the alphas looks ahead by one step of the weights."""
    learning_rate: Annotated[float, Field(gt=0)] = 3e-4
    """The learning rate of the alphas."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-3
    """The weight decay of the alphas."""

    @model_validator(mode="after")
    def _can_look_ahead(self) -> Options:
        if self.method == "gdas" and self.order == 2:
            raise InputError("order: gdas has no second order; allowed: 1, got 2")
        return self


class Gradient(Sharing):
    """Searches by gradients, and says how strong the operations of a network have become.

    The first trial trains the relaxed space by the campaign's recipe, for the epochs of the option,
    which are charged to it, and suggests the networks that were chosen after each epoch, the last
    one first. The searcher ``gradient`` proposes them. The final stage retrains from scratch.
    """

    name = "gradient"
    file_name = FILE_NAME
    schema = Options
    suggests = True
    more_metrics = "the evaluator gradient measures strength alone"
    reported = (
        Metric(
            name="strength",
            direction="maximize",
            unit="fraction",
            meaning="mean weight of the network's operations in the relaxed space",
        ),
    )
    metrics = ("strength",)

    def bind(self, space: SearchSpace) -> None:
        """Receives the space.

        Raises :class:`InputError` if its operations cannot be mixed.
        """
        relaxed(space, dict(self._options)["method"])
        super().bind(space)


def evaluate(
    request: Mapping[str, Any],
    checkpoint: bytes | None = None,
    *,
    space: SearchSpace,
    folder: str,
    epochs: int,
    method: Method,
    order: int,
    learning_rate: float,
    weight_decay: float,
) -> Work:
    """Returns the strength of a network, and trains the relaxed space first if that is not done.

    Args:
        request: the fields of :class:`nas.evaluators.training.Request`, and the ``genotype`` of a
            member of the space. One that asks for ``test`` is trained from scratch.
        checkpoint: the state of the training.
        space: the space.
        folder: where weights and alphas are kept. Processes that share it train them once.
        epochs, method, order, learning_rate, weight_decay: see :class:`Options`.

    Yields after every epoch of the relaxed space.

    Returns ``strength`` (0 for a network outside the space), ``epochs``, ``train_seconds``,
    ``shared_curve``, whose points hold :meth:`Relaxation.record`, and ``suggested``, the genotypes
    that were chosen; the last two are empty except in the trial that trains. A trial of the final
    stage has the metrics of :func:`nas.evaluators.training.evaluate` beside its strength.
    """
    plain = dict(request)
    genotype: Genotype | None = plain.pop("genotype", None)
    final, file = plain.get("test"), Path(folder) / FILE_NAME
    if final and not file.exists():
        raise InputError(f"{file}: is missing, so the strength of the network is unknown")
    setting = Setting.of({k: v for k, v in plain.items() if k != "test_data"}, epochs)

    def build() -> Relaxation:
        return Relaxation(space, method, setting.seed, setting.recipe.initialization, setting.start)

    relaxation, metrics = yield from trained(
        file,
        build,
        lambda: GradientTrainer(
            build,
            setting.images,
            setting.recipe,
            setting.seed,
            setting.device,
            setting.task,
            second_order=order == 2,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
        ),
        setting,
        None if final else checkpoint,
    )
    assert isinstance(relaxation, Relaxation)
    weights = relaxation.weights()
    strength = 0.0 if genotype is None else relaxation.mixtures.strength(genotype, weights)
    if final:
        return {**(yield from training.evaluate(plain, checkpoint)), "strength": strength}
    chosen = [point["genotype"] for point in reversed(metrics["shared_curve"])]
    suggested = _suggested(space, relaxation, chosen) if chosen else []
    return {"strength": strength, **metrics, "suggested": suggested, **setting.metrics()}


def _suggested(
    space: SearchSpace, relaxation: Relaxation, chosen: list[Genotype]
) -> list[Genotype]:
    """Returns the chosen genotypes that the constraints allow, each once.

    If they allow none, it returns the strongest of many random ones.
    """
    found: list[Genotype] = []
    for genotype in chosen:
        try:
            space.validate(genotype)
        except InputError:
            continue
        if genotype not in found:
            found.append(genotype)
    if found:
        return found
    rng, weights = np.random.default_rng(0), relaxation.weights()
    drawn = [space.sample(rng) for _ in range(_DRAWS)]
    return [max(drawn, key=lambda each: relaxation.mixtures.strength(each, weights))]
