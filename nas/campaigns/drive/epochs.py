"""How many epochs each attempt at a trial has trained."""

from typing import Any

from nas.campaigns.engines.base import Outcome, Update


class Epochs:
    """Follows the trials under way.

    Somebody may have been charged for the first epochs of an attempt: the trial that it
    continues, or an earlier attempt that had saved its state.
    """

    def __init__(self) -> None:
        self._charged: dict[str, int] = {}
        self._reached: dict[str, int] = {}
        self._saved: dict[str, int] = {}

    def begin(self, trial: str, before: int, recorded: int, saved: bool) -> None:
        """An attempt begins.

        Args:
            trial: its id.
            before: epochs of the trial that it continues.
            recorded: epochs that earlier attempts are on record with.
            saved: whether it goes on from a state of its own.
        """
        if saved:
            # Nobody knows when an earlier run saved it: what is on record is charged.
            before = self._saved.get(trial, before + recorded)
        self._charged[trial] = before

    def update(self, trial: str, update: Update) -> None:
        """An attempt has trained an epoch more."""
        self._reached[trial] = update.metrics.get("epoch", 0)
        if update.checkpoint is not None:
            self._saved[trial] = self._reached[trial]

    def end(self, trial: str, outcome: Outcome, planned: int) -> int:
        """What an attempt has trained.

        Args:
            trial: its id.
            outcome: how it ended.
            planned: epochs in all, for an evaluator that does not tell.
        """
        charged, reached = self._charged.pop(trial, 0), self._reached.pop(trial, 0)
        if outcome.status == "failed":
            return max(0, reached - charged)
        return epochs_trained(charged, outcome.metrics, planned)

    def forget(self, trial: str) -> None:
        """There will be no further attempt."""
        self._saved.pop(trial, None)


def epochs_trained(before: int, metrics: dict[str, Any], planned: int) -> int:
    """The epochs of a completed training.

    Args:
        before: those that other trials or attempts were charged for.
        metrics: the evaluator's.
        planned: epochs in all, for an evaluator that does not tell.
    """
    reached: int = metrics.get("epochs", planned)
    known: int = metrics.get("epochs_before", before)
    return max(0, reached - min(before, known))
