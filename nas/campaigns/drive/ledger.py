"""Keeps a campaign's history and its searches in step with its records."""

from collections.abc import Iterable

from nas.campaigns.drive.asks import Asks
from nas.campaigns.drive.search import Search
from nas.campaigns.spec.campaign import Campaign
from nas.campaigns.spec.objectives import missing
from nas.campaigns.spec.specification import check_same
from nas.campaigns.store.history import History
from nas.campaigns.store.log import R, RecordLog
from nas.campaigns.store.types import Ask, Failure, Header, Record, Result
from nas.errors import InputError

_SPOT_CHECKS = 8


class Ledger:
    """The history and the searches of a campaign, to which every record is reported.

    A record takes effect through :meth:`enter`, whether an earlier run has written it or this run
    has just written it. So a resumed campaign is in the state in which it stopped.

    Args:
        campaign: the campaign.

    Attributes:
        history: the trials. Metrics with learning curves would take most of the memory, so only
            the one by which ensembles are made is kept. All others can be read from the records.
        make: makes the asks.
        searches: the searches by name, the campaign's own first. If the baseline was switched off,
            its records remain, but there is no search.
        failed: the number of failed trials.
    """

    def __init__(self, campaign: Campaign) -> None:
        self.history = History(campaign.folder)
        self.make = Asks(campaign, self.history)
        self.searches = {name: Search(campaign, name, self.make) for name in campaign.searches}
        self.failed = 0
        self._campaign = campaign

    @property
    def own(self) -> Search:
        """Returns the search of the campaign's own searcher."""
        return next(iter(self.searches.values()))

    def search_of(self, trial: str) -> Search | None:
        """Returns the search that suggested a trial; None for a trial of the final stage."""
        return self.searches.get(self.history.asks[trial].search)

    def replay(self, first: Record, rest: Iterable[Record]) -> None:
        """Takes the records of earlier runs.

        Raises :class:`InputError` if they belong to another specification, contradict each other
        or exceed the budget, and if the program now builds other architectures.
        """
        assert isinstance(first, Header)
        check_same(self._campaign, first)
        for record in rest:
            if isinstance(record, Result):
                self._check(record)
            self.enter(record)
            if isinstance(record, Ask) and len(self.history.asks) <= _SPOT_CHECKS:
                self._spot_check(record)
        spent = max(search.spending.trials for search in self.searches.values())
        most = self._campaign.config.budget.trials
        if most is not None and spent > most:
            raise InputError(
                f"{self._campaign.file}: budget.trials: {spent} trials are recorded already; "
                f"allowed: at least {spent}, got {most}"
            )

    def write(self, log: RecordLog, record: R) -> R:
        """Writes a record, and lets it take effect when it is on the disk."""
        written = log.append(record)
        self.enter(written)
        return written

    def enter(self, record: Record) -> None:
        """Lets a record take effect: adds it to the history, and reports it to its search."""
        if isinstance(record, Header):
            return
        self.history.add(self._without_curves(record))
        search = self.search_of(record.trial)
        if isinstance(record, Result):
            self.failed += record.status == "failed"
        if search is None:
            return
        if isinstance(record, Ask):
            search.enter(record)
        elif isinstance(record, Failure):
            search.spending.lost(record)
        else:
            search.tell(self.history.asks[record.trial], record)

    def _check(self, result: Result) -> None:
        """Raises :class:`InputError` if a recorded result cannot be used by a searcher."""
        ask = self.history.asks.get(result.trial)
        if ask is None or not result.completed:
            return
        objectives, known = self._campaign.config.objectives, self._campaign.metrics
        if name := missing(objectives, ask, result.metrics, known):
            raise InputError(
                f"{self._campaign.folder}: records.jsonl: trial {result.trial}: metrics.{name}: "
                f"must be a number, got {result.metrics.get(name)!r}"
            )

    def _spot_check(self, ask: Ask) -> None:
        """Raises :class:`InputError` if the program now builds another architecture."""
        again = self.make.again(ask, ask.number)
        if again.fingerprint != ask.fingerprint:
            raise InputError(
                f"{self._campaign.folder}: records.jsonl: this version builds another architecture "
                f"for trial {ask.trial} than the one that is recorded. Continue with the version "
                "that resolved.json names, or start a campaign in another folder."
            )

    def _without_curves(self, record: Ask | Failure | Result) -> Ask | Failure | Result:
        if not isinstance(record, Result):
            return record
        ask, selecting = self.history.asks.get(record.trial), self._campaign.metrics.validation
        retrained = ask is not None and ask.stage == "final"
        kept = {k: v for k, v in record.metrics.items() if retrained and k == selecting}
        return record.model_copy(update={"metrics": kept})
