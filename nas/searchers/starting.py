"""Searchers that start from known genotypes, before they propose their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nas.errors import InputError
from nas.searchers.base import Proposal, Searcher
from nas.spaces.choices import Genotype


def starting_with(
    kind: type[Searcher],
    initial: Mapping[str, Genotype],
    name: str,
    chosen: Callable[[], Mapping[str, Genotype]] = dict,
    count: int = 0,
) -> type[Searcher]:
    """Returns a class of searchers whose first proposals are given genotypes.

    Each of them is registered with :meth:`Searcher.replay`, as a recorded proposal is, and observed
    like any other. Its note holds ``initial``, its name.

    Args:
        kind: the class that makes all further proposals.
        initial: the genotypes by name, in the order in which they are proposed.
        name: what the searcher is called in messages.
        chosen: returns further genotypes, which are proposed after those; it is called when the
            first of them is needed, so not if they are recorded already.
        count: how many genotypes it returns.

    Raises :class:`InputError` if the searcher cannot start from known genotypes. The class raises
    it if its population is smaller than the number of genotypes.
    """
    given = {"initial": initial, "warm_start": count}
    key = " and ".join(key for key, some in given.items() if some)
    if not kind.takes_initial:
        raise InputError(
            f"searcher {name}: {key}: it cannot start from known genotypes; leave it out, or use "
            "for example evolution, nsga2, local_search, bananas or optuna"
        )
    first = _proposals(initial)
    number = len(first) + count

    class Starting(kind):  # type: ignore[valid-type, misc]
        takes_filter, takes_proxies = kind.takes_filter, kind.takes_proxies

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            size = getattr(self, "population_size", number)
            if number > size:
                raise InputError(
                    f"searcher {name}: {key} {'hold' if initial and count else 'holds'} {number} "
                    f"genotypes, more than population_size ({size})"
                )
            self._registered: set[int] = set()
            self._first = list(first)

        def ask(self, trial_id: int) -> Proposal | None:
            if trial_id >= number:
                proposal: Proposal | None = super().ask(trial_id)
                return proposal
            if trial_id >= len(self._first):
                self._first += _proposals(chosen())
            if trial_id not in self._registered:
                self.replay(trial_id, self._first[trial_id])
            return self._first[trial_id]

        def replay(self, trial_id: int, proposal: Proposal) -> None:
            self._registered.add(trial_id)
            super().replay(trial_id, proposal)

    return Starting


def _proposals(genotypes: Mapping[str, Genotype]) -> list[Proposal]:
    return [Proposal(dict(genotype), {"initial": label}) for label, genotype in genotypes.items()]
