"""Counts the epochs of each attempt at a trial."""

from typing import Any

from nas.campaigns.engines.base import Outcome, Update


class EpochCounter:
    """Counts the epochs of running trials.

    The first epochs of an attempt may have been counted already, for the trial that it continues
    or for an earlier attempt that had saved its state.
    """

    def __init__(self) -> None:
        self._charged: dict[str, int] = {}
        self._reached: dict[str, int] = {}
        self._saved: dict[str, int] = {}

    def begin(self, trial: str, before: int, recorded: int, saved: bool) -> None:
        """Registers the start of an attempt.

        Args:
            trial: the id of the trial.
            before: the epochs of the trial that it continues.
            recorded: the epochs that are recorded for earlier attempts.
            saved: whether it continues from its own saved state.
        """
        if saved:
            # When an earlier run saved it is unknown, so the recorded epochs count.
            before = self._saved.get(trial, before + recorded)
        self._charged[trial] = before

    def update(self, trial: str, update: Update) -> None:
        """Registers one more epoch of an attempt."""
        epoch = update.metrics.get("epoch")
        self._reached[trial] = epoch if type(epoch) is int else 0
        if update.checkpoint is not None:
            self._saved[trial] = self._reached[trial]

    def end(self, trial: str, outcome: Outcome, planned: int) -> int:
        """Returns the epochs of an attempt that has ended.

        Args:
            trial: the id of the trial.
            outcome: the outcome of the attempt.
            planned: the total number of epochs, for an evaluator that does not report it.
        """
        charged, reached = self._charged.pop(trial, 0), self._reached.pop(trial, 0)
        if outcome.status == "failed":
            return max(0, reached - charged)
        return epochs_trained(charged, outcome.metrics, planned)

    def forget(self, trial: str) -> None:
        """Forgets a trial that will have no further attempt."""
        self._saved.pop(trial, None)


def epochs_trained(before: int, metrics: dict[str, Any], planned: int) -> int:
    """Returns the epochs of a completed training.

    Args:
        before: the epochs that have been counted for other trials or attempts.
        metrics: the evaluator's metrics.
        planned: the total number of epochs, for an evaluator that does not report it.
    """
    reached: int = metrics.get("epochs", planned)
    known: int = metrics.get("epochs_before", before)
    return max(0, reached - min(before, known))
