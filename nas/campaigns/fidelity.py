"""What a multi-fidelity search saves on: epochs, images, or their resolution."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from nas.errors import InputError
from nas.searchers import Searcher
from nas.searchers.multi_fidelity import MultiFidelity
from nas.spaces.constraints import ConstrainedSpace
from nas.spaces.search_space import SearchSpace
from nas.training.data import DataConfig
from nas.training.recipe import Recipe

Axis = Literal["epochs", "train_fraction", "resolution"]
"""What the fidelity of a trial counts.

- ``epochs``: those trained in all; a trial that is promoted goes on from its checkpoint.
- ``train_fraction``: percent of the training images of every class (as Klein et al. 2017,
  arXiv:1605.07079). The images of a lower fidelity are among those of a higher.
- ``resolution``: percent of the side of an image. The genotype is built for the smaller image;
  what is recorded of it, and constrained, is the architecture for the full one.

Of the last two every trial is a whole training of its own, of all the recipe's epochs.
"""

FULL = 100
"""Percent."""

Shape = tuple[int, ...]


class Fidelities:
    """The axis of a campaign, and how trials at its fidelities differ from full ones.

    Args:
        axis: what fidelity is.
        input_shape: of the full images.
        shaped: the campaign's space for images of another shape.
    """

    def __init__(
        self, axis: Axis, input_shape: Shape, shaped: Callable[[Shape], SearchSpace]
    ) -> None:
        self.axis = axis
        self._shape = input_shape
        self._shaped = shaped
        self._spaces: dict[int, SearchSpace] = {}
        if axis == "resolution" and (len(input_shape) != 3 or len(set(input_shape[1:])) != 1):
            raise InputError(
                f"fidelity: resolution needs square images, the data set's are {input_shape} "
                "(channels, height, width); set data.resolution"
            )

    @property
    def continued(self) -> bool:
        """Whether a trial goes on from the checkpoint of one of lower fidelity."""
        return self.axis == "epochs"

    def most(self, recipe: Recipe) -> int:
        """The fidelity of a full training."""
        return recipe.epochs if self.axis == "epochs" else FULL

    def check(self, searcher: Searcher, recipe: Recipe | None) -> None:
        """:class:`InputError` unless trainings can be as short, or small, as the searcher asks.

        Args:
            searcher: of the campaign.
            recipe: of a full training; None where nothing is trained.
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
        if self.axis == "resolution":
            drawn = searcher.space.sample(np.random.default_rng(0))
            try:
                self.space(least).decode(drawn)
            except InputError as error:
                raise InputError(
                    f"searcher.min_fidelity: at {least} percent an image has a side of "
                    f"{self.side(least)}, too small for the space: {error}"
                ) from None

    def request(
        self, fidelity: int | None, genotype: Mapping[str, Any], data: DataConfig
    ) -> dict[str, Any]:
        """The fields of a request that a fidelity changes (None: the full one).

        Raises :class:`InputError` where there is no such architecture for so small an image.
        """
        if fidelity is None:
            return {}
        if self.axis == "epochs":
            return {"epochs": fidelity}
        if self.axis == "train_fraction":
            return {"train_percent": fidelity}
        side = self.side(fidelity)
        smaller = data.model_copy(update={"resolution": side})
        architecture = self.space(fidelity).decode(dict(genotype))
        return {"architecture": architecture.to_json(), "data": smaller.model_dump(mode="json")}

    def side(self, percent: int) -> int:
        """Of an image at so many percent of the full resolution, in pixels, rounded up."""
        return -(-self._shape[1] * percent // FULL)

    def space(self, percent: int) -> SearchSpace:
        """The space for images of so many percent; without limits, which are the full one's."""
        side = self.side(percent)
        if side not in self._spaces:
            found = self._shaped((self._shape[0], side, side))
            self._spaces[side] = (
                found.unconstrained if isinstance(found, ConstrainedSpace) else found
            )
        return self._spaces[side]
