"""Drives a searcher: takes its proposals, finds duplicates, and reports the values of trials."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from nas.searchers.base import Observation, Proposal, Searcher
from nas.searchers.duplicates import Duplicates, Policy
from nas.spaces.choices import Genotype

Values = tuple[float, ...] | None


class SearchLoop:
    """A searcher with the state of its trials, which are numbered from 0 as it proposes them.

    The caller calls :meth:`propose`, then :meth:`enter` for each proposal, and :meth:`end` for each
    trial that was evaluated.

    Args:
        searcher: the searcher.
        policy: how duplicates are treated.

    Attributes:
        searcher: the searcher.
        proposals: all proposals, by number.
        values: the observed values by number, all to be minimised; None for a failed trial.
    """

    def __init__(self, searcher: Searcher, policy: Policy) -> None:
        self.searcher = searcher
        self.policy = policy
        self.proposals: list[Proposal] = []
        self.values: dict[int, Values] = {}
        self._curves: dict[int, Sequence[float]] = {}
        self._duplicates: Duplicates[int] = Duplicates(policy)

    @property
    def stuck(self) -> bool:
        """Tells if no further proposal is made: see :attr:`Duplicates.stuck`."""
        return self._duplicates.stuck

    def propose(self) -> Proposal | None:
        """Returns the next proposal; None if the searcher needs results first."""
        return self.searcher.ask(len(self.proposals))

    def original(self, key: Hashable) -> int | None:
        """Returns the number of the trial whose result a new trial with this key would get."""
        return self._duplicates.original(key)

    def enter(self, proposal: Proposal, key: Hashable) -> int | None:
        """Registers the next trial; returns the number of the trial that it repeats, if any.

        The searcher observes a duplicate at once, unless its original is still running.

        Args:
            proposal: the proposal of the trial.
            key: the key that equal trials share: architecture, recipe choices and fidelity.
        """
        number = len(self.proposals)
        self.proposals.append(proposal)
        self.searcher.screen.proposed(proposal.genotype)
        original = self._duplicates.repeats(number, key)
        if original is None:
            return None
        if self.policy == "retry":
            self._observe(number, None)
        elif not self._duplicates.waits(original):
            self._observe(number, self.values[original], curve=self._curves.get(original, ()))
        return original

    def end(
        self,
        number: int,
        values: Values,
        suggested: Sequence[Genotype] = (),
        curve: Sequence[float] = (),
    ) -> list[int]:
        """Reports the values of an evaluated trial to the searcher; None if the trial failed.

        It is also told which genotypes the evaluator has suggested, and the learning curve if it
        takes curves. Returns the trials that the searcher has observed: this one, and the
        duplicates that waited for it.
        """
        if curve:  # for later duplicates
            self._curves[number] = curve
        observed = [number, *self._duplicates.ended(number, values is not None)]
        for each in observed:
            self._observe(each, values, suggested, curve)
        return observed

    @property
    def owed(self) -> bool:
        """Tells if the next proposal is evaluated even if the budget is spent."""
        return self.searcher.is_owed(len(self.proposals))

    def _observe(
        self,
        number: int,
        values: Values,
        suggested: Sequence[Genotype] = (),
        curve: Sequence[float] = (),
    ) -> None:
        proposal = self.proposals[number]
        self.values[number] = values
        self.searcher.tell(
            Observation(
                number,
                proposal.genotype,
                values,
                proposal.note,
                proposal.fidelity,
                suggested,
                curve,
            )
        )
