"""Finds proposals that repeat an earlier one: architecture, recipe and fidelity are equal."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, Literal, TypeVar

T = TypeVar("T", bound=Hashable)
"""The type of a trial's name."""

Policy = Literal["reuse", "retry", "evaluate"]
"""How a duplicate is treated.

- ``reuse``: the searcher observes the result of the earlier trial. If that trial is still running,
  the duplicate waits for its result. A duplicate needs no budget and no worker.
- ``retry``: the searcher observes a failure, at no cost, and makes another proposal.
- ``evaluate``: the duplicate is evaluated like any other trial.
"""

LIMIT = 1000
"""The number of duplicates in a row that ends a search if no trial is running: the search has
converged, or the space has nothing new."""

TRIES = 100
"""The number of duplicates in a row after which no proposal is made until a running trial ends: its
result may lead the searcher to new architectures."""


class Duplicates(Generic[T]):
    """Finds and counts the proposals that repeat an earlier one.

    The caller calls :meth:`repeats` for every proposal and :meth:`ended` for every evaluated trial,
    and makes no further proposal while :attr:`stuck` is true. A duplicate only gets the result of a
    trial that has completed.

    Args:
        policy: how duplicates are treated.

    Attributes:
        count: the number of proposals that repeat an earlier one, with any policy.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.count = 0
        self._originals: dict[Hashable, T] = {}
        self._running: dict[T, tuple[Hashable, list[T]]] = {}
        self._in_a_row = 0
        self._allowed = TRIES

    def original(self, key: Hashable) -> T | None:
        """Returns the trial whose result a new trial with this key would get; None without one."""
        return None if self.policy == "evaluate" else self._originals.get(key)

    def repeats(self, trial: T, key: Hashable) -> T | None:
        """Registers a trial; returns the trial that it repeats, None if it must be evaluated.

        Args:
            trial: the new trial.
            key: the key that equal trials share: architecture, recipe choices and fidelity.
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
        """Tells if the trial is still running, so that its duplicates have to wait."""
        return original in self._running

    def ended(self, trial: T, completed: bool) -> list[T]:
        """Registers the end of an evaluated trial; returns the duplicates that waited for it."""
        key, waiting = self._running.pop(trial)
        self._allowed = self._in_a_row + TRIES
        if not completed and self._originals[key] == trial:
            del self._originals[key]
        return waiting

    @property
    def stuck(self) -> bool:
        """Tells if no proposal is made until a running trial ends; if none is running, for ever."""
        if self._in_a_row < self._allowed:
            return False
        return bool(self._running) or self._in_a_row >= LIMIT
