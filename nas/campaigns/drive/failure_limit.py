"""Stops a run in which trial after trial fails."""

import re
from collections import Counter
from pathlib import Path

from nas.campaigns.engines.base import Outcome
from nas.errors import CampaignError

FIRST = 5
"""The number of equal failures that ends a run before any trial has succeeded."""

LATER = 20
"""The number of failures in a row that ends a run after a trial has succeeded."""


class FailureLimit:
    """Counts the failures of a run, and ends it after too many of one kind.

    Args:
        folder: the folder of the campaign, for the message.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._worked = False
        self._failed: Counter[str] = Counter()  # by kind of failure, since the last success

    def hear(self, outcome: Outcome) -> None:
        """Takes an outcome; raises :class:`CampaignError` if too many trials failed alike."""
        if outcome.cause == "infeasible":
            return  # a trial that breaks a limit is not an error
        if outcome.status != "failed":
            self._worked = True
            self._failed.clear()
            return
        reason = (outcome.error or "").rstrip()
        way = _way(outcome, reason.rpartition("\n")[2])
        self._failed[way] += 1
        if self._failed[way] < (LATER if self._worked else FIRST):
            return
        raise CampaignError(
            f"{self._folder}: the {'last' if self._worked else 'first'} {self._failed.total()} "
            f"trials of this run all failed, {self._failed[way]} of them in one way:\n{reason}\n"
            "They are recorded as failed. Run the campaign again to continue with the trials after "
            "them, or start again in another folder."
        )


def _way(outcome: Outcome, last_line: str) -> str:
    if outcome.cause not in (None, "error"):
        return str(outcome.cause)
    # Numbers are removed, because sizes, shapes and addresses differ between trials.
    return re.sub(r"0x[0-9a-f]+|\d+(\.\d+)?", "#", last_line)
