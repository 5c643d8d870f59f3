"""Proposals that repeat an earlier one: the same architecture, trained the same way, as far."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, Literal, TypeVar

T = TypeVar("T", bound=Hashable)
"""What names a trial."""

Policy = Literal["reuse", "retry", "evaluate"]
"""What becomes of a duplicate.

- ``reuse``: the searcher is told the recorded result; one of a trial that is still under way waits
  for it, and gets it whatever it is. It costs nothing of the budget and takes no worker.
- ``retry``: the searcher is told that the trial failed, at no cost, and is asked for another.
- ``evaluate``: it is evaluated like any other.
"""

LIMIT = 1000
"""So many duplicates in a row, with nothing under way, end a search: it has converged, or there is
nothing new in the space."""

TRIES = 100
"""So many in a row, and a free worker waits for the next trial to end: what is told then may lead
elsewhere."""


class Duplicates(Generic[T]):
    """Tells which proposals repeat an earlier one, and keeps count.

    Whoever runs a search calls :meth:`repeats` for every proposal, :meth:`ended` for every trial
    that was evaluated, and asks for no more where :attr:`stuck`. Only results of trials that
    completed are shared with later ones.

    Args:
        policy: what becomes of a duplicate.

    Attributes:
        count: how many proposals repeated an earlier one, whatever became of them.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.count = 0
        self._originals: dict[Hashable, T] = {}
        self._running: dict[T, tuple[Hashable, list[T]]] = {}
        self._in_a_row = 0
        self._allowed = TRIES

    def original(self, key: Hashable) -> T | None:
        """The trial that would answer for a new one with this key, if any would."""
        return None if self.policy == "evaluate" else self._originals.get(key)

    def repeats(self, trial: T, key: Hashable) -> T | None:
        """The trial that this one repeats and that answers for it; None if it is to be evaluated.

        Args:
            trial: the new one.
            key: what makes two trials the same: architecture, choices of training, fidelity.
        """
        original = self._originals.get(key)
        if original is None:
            self._originals[key] = trial
        else:
            self.count += 1
            if self.policy != "evaluate":
                self._in_a_row += 1
                if self.policy == "reuse" and original in self._running:
                    self._running[original][1].append(trial)
                return original
        self._in_a_row = 0
        self._allowed = TRIES
        self._running[trial] = (key, [])
        return None

    def waits(self, original: T) -> bool:
        """Whether the trial is still under way, so that one that repeats it has to wait."""
        return original in self._running

    def ended(self, trial: T, completed: bool) -> list[T]:
        """Takes the end of a trial that was evaluated; returns those that waited for it."""
        key, waiting = self._running.pop(trial)
        self._allowed = self._in_a_row + TRIES
        if not completed and self._originals[key] == trial:
            del self._originals[key]
        return waiting

    @property
    def stuck(self) -> bool:
        """Whether to ask for no more: now, or for good if nothing is under way."""
        if self._in_a_row < self._allowed:
            return False
        return bool(self._running) or self._in_a_row >= LIMIT
