"""Decides which trial comes next, and estimates how many there will be."""

from collections import deque
from collections.abc import Callable

from nas.campaigns.drive import final_stage
from nas.campaigns.drive.ledger import Ledger
from nas.campaigns.drive.progress import Status
from nas.campaigns.spec.campaign import Campaign
from nas.campaigns.spec.time_limit import Timetable
from nas.campaigns.store.types import Ask


class Scheduler:
    """Supplies the trials of a campaign in order.

    Trials that an earlier run or a dead worker has left come first. The searches run one after the
    other; while one waits for results, the next one suggests. In the final stage, classics come
    first: they depend on no result, so they use the workers that are idle during the last trials
    of the searches. With a time limit, they come before the searches.

    Args:
        campaign: the campaign.
        ledger: the recorded trials.
        record: writes an ask and returns it as written.
        status: the status in which the number of trials is kept.
        timetable: how the time is divided; None if it is not limited.
    """

    def __init__(
        self,
        campaign: Campaign,
        ledger: Ledger,
        record: Callable[[Ask], Ask],
        status: Status,
        timetable: Timetable | None = None,
    ) -> None:
        self._campaign = campaign
        self._ledger = ledger
        self._record = record
        self._status = status
        self._timetable = timetable
        self._running: set[str] = set()
        self._again = deque(ledger.history.unfinished())

    @property
    def waiting(self) -> list[Ask]:
        """Returns the trials that are running or will be repeated."""
        return [*(self._ledger.history.asks[trial] for trial in self._running), *self._again]

    def next(self, elapsed: Callable[[], float]) -> Ask | None:
        """Returns the next trial, which is recorded; None if results are needed first.

        Args:
            elapsed: returns the seconds that runs of the campaign have taken so far.
        """
        table, ask = self._timetable, None
        if table is not None and elapsed() >= table.end:
            return None
        if self._again:
            ask = self._again.popleft()
        elif table is not None:
            ask = self._final(searched=False)
        ask = ask or self._searched(elapsed) or self._final()
        if ask is not None:
            self._running.add(ask.trial)
            self._status.running = len(self._running)
        return ask

    @property
    def found(self) -> bool:
        """Whether a trial of the searches has been completed."""
        return any(search.found for search in self._ledger.searches.values())

    def searches(self, elapsed: float) -> bool:
        """Tells if there is time for further trials of the searches."""
        return self._timetable is None or self._timetable.searches(elapsed, self.found)

    def retrainings_left(self) -> int:
        """Returns how many retrainings of the final stage have not started yet."""
        wanted, _ = final_stage.wanted(self._campaign, self._ledger, searched=True)
        ended = {*self._running, *self._ledger.history.results}
        retrained = (ask.trial for ask in wanted if ask.is_of_space and ask.is_retrained)
        return sum(trial not in ended for trial in retrained)

    def ended(self, trial: str) -> None:
        """Registers the end of an attempt at a trial."""
        self._running.discard(trial)
        self._status.running = len(self._running)

    def repeat(self, ask: Ask) -> None:
        """Queues a trial once more."""
        self._again.append(ask)

    def estimate(self, elapsed: float) -> None:
        """Estimates the number of all trials and finds the nearest limit of the running search."""
        searches, status = list(self._ledger.searches.values()), self._status
        going_on = [search for search in searches if not search.is_over(elapsed)]
        status.budget = ""
        if (table := self._timetable) is not None:
            status.total = None
            if elapsed < table.searched_by:
                minutes = f"{elapsed / 60:.3g} of {table.searched_by / 60:.3g} minutes"
                status.budget = f"searches end after {minutes}"
            return
        if going_on:
            status.budget = f"{going_on[0].name}: {going_on[0].spending.tightest(elapsed)}"
            status.estimated = set(self._campaign.config.budget.limits) != {"trials"}
        if going_on or status.total is None:  # after that, the final stage counts
            status.total = self._expected_trials(elapsed)
        if status.total is not None:
            status.total = max(status.total, status.done + status.running)

    def _searched(self, elapsed: Callable[[], float]) -> Ask | None:
        if not self.searches(elapsed()):
            return None
        for search in self._ledger.searches.values():
            while suggested := search.suggest(elapsed()):
                ask = self._record(suggested)
                if not ask.is_duplicate:
                    return ask
        return None

    def _final(self, searched: bool = True) -> Ask | None:
        history = self._ledger.history
        running = (history.asks[trial].stage == "search" for trial in self._running)
        searched = searched and not any(running)
        wanted, unknown = final_stage.wanted(self._campaign, self._ledger, searched)
        if searched:
            given_out = {ask.trial for ask in history.evaluated}
            self._status.total = len(given_out | {ask.trial for ask in wanted}) + unknown
            self._status.estimated = False
        new = (ask for ask in wanted if ask.trial not in history.asks)
        ask = next(new, None)
        return None if ask is None else self._record(ask)

    def _expected_trials(self, elapsed: float) -> int | None:
        """Estimates how many trials the campaign will start; None if that is unknown yet.

        It assumes that a search that has not begun takes as many trials as the campaign's own
        search, and that the final stage retrains as many architectures as it may.
        """
        searches = self._ledger.searches.values()
        first, *others = (search.spending.expected_trials(elapsed) for search in searches)
        if first is None:
            return None
        final, baselines = self._campaign.config.final, len(others)
        to_retrain = len(self._campaign.classics) + final.top + baselines * final.random_finalists
        searched = first + sum(first if other is None else other for other in others)
        return searched + (to_retrain + len(final.ensembles)) * len(final.seeds) + final.shared
