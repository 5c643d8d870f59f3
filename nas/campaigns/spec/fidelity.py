"""The units of fidelity in a multi-fidelity search: epochs, images, their resolution, channels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from nas.errors import InputError, at
from nas.searchers import Searcher
from nas.searchers.multi_fidelity import MultiFidelity
from nas.spaces.constrained_space import ConstrainedSpace
from nas.spaces.search_space import SearchSpace
from nas.tasks import Task
from nas.training.data import DataConfig
from nas.training.recipe import Recipe, check_augment

Axis = Literal["epochs", "train_fraction", "resolution", "width"]
"""The unit of the fidelity of a trial.

- ``epochs``: the total number of epochs; a promoted trial continues from its checkpoint.
- ``train_fraction``: percent of the training images of every class (as in Klein et al. 2017,
  arXiv:1605.07079). The images of a lower fidelity are among those of a higher one.
- ``resolution``: percent of the side of an image, for which the genotype is built.
- ``width``: percent of the space's option ``channels``.

With the last three, every trial is trained from scratch for all epochs of the recipe. Records and
constraints refer to the full architecture.
"""

FULL = 100
"""Percent."""

Shape = tuple[int, ...]


class Fidelities:
    """The unit of a campaign's fidelity, and how trials at lower fidelities differ from full ones.

    Args:
        axis: the unit of fidelity.
        input_shape: the shape of the full images.
        channels: the space's option ``channels``, if it has it.
        variant: makes the campaign's space for images of another shape, with changed options.
    """

    def __init__(
        self,
        axis: Axis,
        input_shape: Shape,
        channels: object,
        variant: Callable[[Shape, Mapping[str, int]], SearchSpace],
    ) -> None:
        self.axis = axis
        self._shape = input_shape
        self._channels = channels if isinstance(channels, int) else 0
        self._variant = variant
        self._spaces: dict[int, SearchSpace] = {}
        if axis == "resolution" and (len(input_shape) != 3 or len(set(input_shape[1:])) != 1):
            raise InputError(
                f"fidelity: resolution needs square images, the data set's are {input_shape} "
                "(channels, height, width); set data.resolution"
            )
        if axis == "width" and not self._channels:
            raise InputError(
                "fidelity: width is of a space's option channels, which pairwise, edge and "
                "hierarchical cells have; a space in Python has it where space.channels is set"
            )

    @property
    def continued(self) -> bool:
        """Whether a promoted trial continues from a checkpoint."""
        return self.axis == "epochs"

    def most(self, recipe: Recipe) -> int:
        """The fidelity of a full training."""
        return recipe.epochs if self.axis == "epochs" else FULL

    def check(
        self, searcher: Searcher, recipe: Recipe | None, task: Task, measures_latency: bool
    ) -> None:
        """Raises :class:`InputError` unless trials are possible at the searcher's fidelities.

        Args:
            searcher: the searcher of the campaign.
            recipe: the recipe of a full training; None if nothing is trained.
            task: the task.
            measures_latency: whether trials measure the latency of their network.
        """
        if recipe is None:
            if self.axis != "epochs":
                raise InputError(f"fidelity: a table knows of epochs alone, not of {self.axis}")
            return
        if not isinstance(searcher, MultiFidelity):
            if self.axis != "epochs":
                raise InputError(
                    f"fidelity: {self.axis} needs a multi-fidelity searcher: successive_halving, "
                    "asha, hyperband or bohb"
                )
            return
        if searcher.takes_curves and not self.continued:
            raise InputError(
                "searcher.promotion: learning_curve extrapolates over epochs; allowed with "
                f"fidelity {self.axis}: value"
            )
        least, most = searcher.fidelities[0], searcher.fidelities[-1]
        if most > self.most(recipe):
            full = "the epochs of the recipe" if self.continued else "all, in percent"
            raise InputError(
                f"searcher.max_fidelity: must be at most {full}, {self.most(recipe)}, got {most}"
            )
        if self.axis in ("resolution", "width"):
            if measures_latency:
                raise InputError(
                    f"fidelity: {self.axis} changes the network whose latency_ms is measured; "
                    "allowed with it: epochs, train_fraction"
                )
            drawn = searcher.space.sample(np.random.default_rng(0))
            try:
                self.space(least).decode(drawn)
            except InputError as error:
                raise InputError(
                    f"searcher.min_fidelity: {least} percent of the {self.axis} is too little for "
                    f"the space: {error}"
                ) from None
            if self.axis == "resolution":
                try:
                    with at("recipe"):
                        check_augment(recipe, task, self._smaller(least))
                except InputError as error:
                    raise InputError(
                        f"searcher.min_fidelity: {least} percent of the resolution is too little: "
                        f"{error}"
                    ) from None

    def request(
        self, fidelity: int | None, genotype: Mapping[str, Any], data: DataConfig
    ) -> dict[str, Any]:
        """Returns the fields of a request that a fidelity changes; None is full fidelity.

        Raises :class:`InputError` if the architecture cannot be built.
        """
        if fidelity is None:
            return {}
        if self.axis == "epochs":
            return {"epochs": fidelity}
        if self.axis == "train_fraction":
            return {"train_percent": fidelity}
        space = self.space(fidelity)
        built = {"architecture": space.decode(dict(genotype)).to_json()}
        if self.axis == "width":
            return built
        smaller = data.model_copy(update={"resolution": self._smaller(fidelity)[1]})
        return {**built, "data": smaller.model_dump(mode="json")}

    def space(self, percent: int) -> SearchSpace:
        """Returns the space at a percentage, without limits, which apply to the full space."""
        if percent not in self._spaces:
            if self.axis == "width":
                found = self._variant(self._shape, {"channels": _part(self._channels, percent)})
            else:
                found = self._variant(self._smaller(percent), {})
            if isinstance(found, ConstrainedSpace):
                found = found.unconstrained
            self._spaces[percent] = found
        return self._spaces[percent]

    def _smaller(self, percent: int) -> Shape:
        channels, side, _ = self._shape
        return channels, _part(side, percent), _part(side, percent)


def _part(whole: int, percent: int) -> int:
    """Returns a percentage, rounded up."""
    return -(-whole * percent // FULL)
