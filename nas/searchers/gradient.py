"""The searcher whose proposals are chosen by gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from nas.searchers.base import Observation, Proposal, Searcher
from nas.spaces.choices import Genotype
from nas.spaces.search_space import SearchSpace


class GradientSearch(Searcher):
    """Proposes the networks that the evaluator ``gradient`` suggests, and then no more.

    The first proposal is random. The evaluator searches by gradients in its trial, and suggests the
    networks that were chosen after each epoch, the last one first.
    """

    takes_initial: ClassVar[bool] = False
    takes_suggestions: ClassVar[bool] = True

    def __init__(self, space: SearchSpace, seed: int | Sequence[int], objectives: int = 1) -> None:
        super().__init__(space, seed, objectives)
        self._suggested: list[Genotype] = []

    def ask(self, trial_id: int) -> Proposal | None:
        """Returns a random genotype, then the suggested ones; None if there are no more."""
        if trial_id == 0:
            return Proposal(self.space.sample(self.rng(0)))
        if trial_id > len(self._suggested):
            return None
        return Proposal(dict(self._suggested[trial_id - 1]))

    def is_owed(self, trial_id: int) -> bool:
        """Returns whether this is the first suggestion, the result of the search."""
        return trial_id == 1 and bool(self._suggested)

    def tell(self, observation: Observation) -> None:
        """Takes the suggestions of the trial that has searched."""
        self._suggested += observation.suggested
