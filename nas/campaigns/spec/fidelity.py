"""What a multi-fidelity search saves on: epochs, images, their resolution, or channels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from nas.errors import InputError, at
from nas.searchers import Searcher
from nas.searchers.multi_fidelity import MultiFidelity
from nas.spaces.constraints import ConstrainedSpace
from nas.spaces.search_space import SearchSpace
from nas.tasks import Task
from nas.training.data import DataConfig
from nas.training.recipe import Recipe, check_augment

Axis = Literal["epochs", "train_fraction", "resolution", "width"]
"""What the fidelity of a trial counts.

- ``epochs``: those trained in all; a trial that is promoted goes on from its checkpoint.
- ``train_fraction``: percent of the training images of every class (as Klein et al. 2017,
  arXiv:1605.07079). The images of a lower fidelity are among those of a higher.
- ``resolution``: percent of the side of an image, for which the genotype is built.
- ``width``: percent of the space's option ``channels``.

Of the last three every trial is a whole training of its own, of all the recipe's epochs. What is
recorded of it, and constrained, is the full architecture.
"""

FULL = 100
"""Percent."""

Shape = tuple[int, ...]


class Fidelities:
    """The axis of a campaign, and how trials at its fidelities differ from full ones.

    Args:
        axis: what fidelity is.
        input_shape: of the full images.
        channels: the option of the space that says how wide its networks are, if it has it.
        variant: the campaign's space for images of another shape, with changed options.
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
        """Whether a trial goes on from the checkpoint of one of lower fidelity."""
        return self.axis == "epochs"

    def most(self, recipe: Recipe) -> int:
        """The fidelity of a full training."""
        return recipe.epochs if self.axis == "epochs" else FULL

    def check(
        self, searcher: Searcher, recipe: Recipe | None, task: Task, measures_latency: bool
    ) -> None:
        """:class:`InputError` unless trainings can be as short, or small, as the searcher asks.

        Args:
            searcher: of the campaign.
            recipe: of a full training; None where nothing is trained.
            task: what is trained for.
            measures_latency: whether trials do, of what they train.
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
        """The fields of a request that a fidelity changes (None: the full one).

        Raises :class:`InputError` where there is no such architecture.
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
        """The space at so many percent; without limits, which are the full one's."""
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
    """So many percent, rounded up."""
    return -(-whole * percent // FULL)
