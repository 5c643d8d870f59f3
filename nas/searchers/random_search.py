"""Random search: the baseline that every campaign is compared with."""

from typing import ClassVar

from nas.searchers.base import Observation, Proposal, Searcher


class RandomSearch(Searcher):
    """Draws every choice by its prior or uniformly, with replacement: a genotype may come twice.

    Li & Talwalkar 2019, "Random Search and Reproducibility for Neural Architecture Search"
    (arXiv:1902.07638), without its weight sharing.
    """

    takes_initial: ClassVar[bool] = False
    takes_filter = True

    def ask(self, trial_id: int) -> Proposal:
        """Draws a sample of the space that depends on seed and trial id alone."""
        return self.screened(self.rng(trial_id), lambda rng: Proposal(self.space.sample(rng)))

    def tell(self, observation: Observation) -> None:
        """Does nothing: random search does not learn."""
