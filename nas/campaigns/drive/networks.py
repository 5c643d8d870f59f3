"""Builds the architectures of a campaign's trials from their asks."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from nas.architecture.graph import Architecture
from nas.campaigns.spec.campaign import Campaign
from nas.campaigns.store.types import Ask
from nas.classics import CLASSICS, classic
from nas.spaces.choices import Genotype
from nas.training.recipe import Recipe


class Networks:
    """Builds architectures and remembers the last one, because it is often needed twice in a row.

    Args:
        campaign: the campaign with its space and the images for which classics are built.
        asks: the recorded asks of the campaign, in order.
    """

    def __init__(self, campaign: Campaign, asks: Mapping[str, Ask] = MappingProxyType({})) -> None:
        self._campaign = campaign
        self._asks = asks
        self._last: tuple[str, Architecture] | None = None

    def of(self, ask: Ask) -> Architecture:
        """Returns the architecture of a trial; an ensemble has none."""
        if ask.is_of_space:
            return self.member(ask.genotype)
        shape, outputs = self._campaign.input_shape, self._campaign.outputs
        return classic(ask.classic, shape, outputs, **ask.options)

    def identity(self, architecture: Architecture) -> dict[str, Any]:
        """The fields ``fingerprint`` and ``cost`` of an ask.

        A campaign that an earlier version began goes on by the rules of that version, so that
        duplicates are found, and costs compare, among all its trials.
        """
        first = next(iter(self._asks.values()), None)
        fingerprint, cost = architecture.fingerprint, architecture.cost
        if first is not None:
            fingerprint, cost = architecture.recorded_as(first.fingerprint)
        return {"fingerprint": fingerprint, "cost": cost._asdict()}

    def member(self, genotype: Genotype) -> Architecture:
        """Returns the architecture of a genotype.

        Raises :class:`nas.errors.InputError` if the space has no such member.
        """
        key = json.dumps(genotype)  # 1 and true are equal, but not the same option
        if self._last is None or self._last[0] != key:
            self._last = key, self._campaign.space.decode(genotype)
        return self._last[1]


def scheme(recipe: Recipe | None, classic: str | None = None) -> str | None:
    """Returns the initialization scheme of a network if the recipe says "reference".

    It is recorded with the trial, so that later versions repeat the trial in the same way.

    Args:
        recipe: the recipe of the trial; None if nothing is trained.
        classic: the name of a classic; None for a member of the space.
    """
    if recipe is None or recipe.initialization != "reference":
        return None
    return CLASSICS[classic].initialization if classic is not None else "default"
