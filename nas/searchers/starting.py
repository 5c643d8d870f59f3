"""Searchers that start from known genotypes, before they propose their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas.errors import InputError
from nas.searchers.base import Proposal, Searcher
from nas.spaces.choices import Genotype


def starting_with(
    kind: type[Searcher], initial: Mapping[str, Genotype], name: str
) -> type[Searcher]:
    """Returns a class of searchers whose first proposals are given genotypes.

    Each of them is registered with :meth:`Searcher.replay`, as a recorded proposal is, and observed
    like any other. Its note holds ``initial``, its name.

    Args:
        kind: the class that makes all further proposals.
        initial: the genotypes by name, in the order in which they are proposed.
        name: what the searcher is called in messages.

    Raises :class:`InputError` if the searcher cannot start from known genotypes. The class raises
    it if its population is smaller than the number of genotypes.
    """
    if not kind.takes_initial:
        raise InputError(
            f"searcher {name}: initial: it cannot start from known genotypes; leave it out, or use "
            "for example evolution, nsga2, local_search, bananas or optuna"
        )
    first = [Proposal(dict(genotype), {"initial": label}) for label, genotype in initial.items()]

    class Starting(kind):  # type: ignore[valid-type, misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            size = getattr(self, "population_size", len(first))
            if len(first) > size:
                raise InputError(
                    f"searcher {name}: initial holds {len(first)} genotypes, more than "
                    f"population_size ({size})"
                )
            self._registered: set[int] = set()

        def ask(self, trial_id: int) -> Proposal | None:
            if trial_id >= len(first):
                proposal: Proposal | None = super().ask(trial_id)
                return proposal
            if trial_id not in self._registered:
                self.replay(trial_id, first[trial_id])
            return first[trial_id]

        def replay(self, trial_id: int, proposal: Proposal) -> None:
            self._registered.add(trial_id)
            super().replay(trial_id, proposal)

    return Starting
