"""When a run in which trial after trial fails is stopped."""

import re
from collections import Counter
from pathlib import Path

from nas.campaigns.engines.base import Outcome
from nas.errors import CampaignError

FIRST = 5
"""So many trials that failed in one way end a run in which nothing has worked."""

LATER = 20
"""So many in a row end one in which something has."""


class Patience:
    """Hears how the trials of a run end.

    Args:
        folder: of the campaign, for the message.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._worked = False
        self._failed: Counter[str] = Counter()  # by way, since something has last worked

    def hear(self, outcome: Outcome) -> None:
        """Raises :class:`CampaignError` once too many have failed in one way."""
        if outcome.cause == "infeasible":
            return  # as it should be
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
            "They are recorded as failed. Run the campaign again to go on with the trials after "
            "them, or start anew in another folder."
        )


def _way(outcome: Outcome, last_line: str) -> str:
    if outcome.cause not in (None, "error"):
        return str(outcome.cause)
    # Sizes and shapes differ from network to network.
    return re.sub(r"\d+(\.\d+)?", "#", last_line)
