"""Builds the architectures of a campaign's trials from their asks."""

import json

from nas.architecture.graph import Architecture
from nas.campaigns.spec.campaign import Campaign
from nas.campaigns.store.types import Ask
from nas.spaces.choices import Genotype


class Networks:
    """Builds architectures and remembers the last one, because it is often needed twice in a row.

    Args:
        campaign: the campaign with its space and the images for which classics are built.
    """

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign
        self._last: tuple[str, Architecture] | None = None

    def of(self, ask: Ask) -> Architecture:
        """Returns the architecture of a trial; an ensemble has none."""
        if ask.is_of_space:
            return self.member(ask.genotype)
        return self._campaign.frame.classic(ask.classic, **ask.options)

    def member(self, genotype: Genotype) -> Architecture:
        """Returns the architecture of a genotype.

        Raises :class:`nas.errors.InputError` if the space has no such member.
        """
        key = json.dumps(genotype)  # 1 and true are equal, but not the same option
        if self._last is None or self._last[0] != key:
            self._last = key, self._campaign.space.decode(genotype)
        return self._last[1]
