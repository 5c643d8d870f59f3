"""The state of a campaign's trials, from its records."""

from collections.abc import Iterable
from pathlib import Path

from nas.campaigns.store.types import Ask, Failure, Header, Record, Result
from nas.errors import InputError


class History:
    """The asks and results by trial id, in the order of events.

    Args:
        folder: the folder of the campaign, for messages.
        records: the first records, in order.

    Raises :class:`InputError` if a trial is asked twice, if a result has no ask, or if there are
    two results.
    """

    def __init__(self, folder: Path, records: Iterable[Record] = ()) -> None:
        self.asks: dict[str, Ask] = {}
        self.results: dict[str, Result] = {}
        self.failures: dict[str, list[Failure]] = {}
        self.elapsed = 0.0
        self._header: Header | None = None
        self._path = folder / "records.jsonl"
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Adds the next record."""
        if isinstance(record, Header):
            self._header = record
            return
        self.elapsed = max(self.elapsed, record.elapsed)
        if isinstance(record, Ask):
            self._ask(record)
        elif record.trial not in self.asks:
            raise self._wrong(record.trial, f"a {record.type}, but it was never asked")
        elif isinstance(record, Failure):
            self.failures.setdefault(record.trial, []).append(record)
        elif record.trial in self.results:
            raise self._wrong(record.trial, "a second result")
        elif self.asks[record.trial].is_duplicate:
            raise self._wrong(record.trial, "a result, but it is a duplicate")
        else:
            self.results[record.trial] = record

    def _ask(self, ask: Ask) -> None:
        if ask.trial in self.asks:
            raise self._wrong(ask.trial, "a second ask")
        if ask.is_duplicate and ask.duplicate_of not in self.asks:
            raise self._wrong(ask.trial, f"repeats {ask.duplicate_of}, never asked before")
        for member in ask.members:
            if member not in self.asks:
                raise self._wrong(ask.trial, f"of {member}, never asked before")
        self.asks[ask.trial] = ask

    def _wrong(self, trial: str, what: str) -> InputError:
        return InputError(f"{self._path}: trial {trial}: {what}")

    @property
    def header(self) -> Header:
        """The first record."""
        assert self._header is not None, "the first record is not added yet"
        return self._header

    @property
    def evaluated(self) -> list[Ask]:
        """The asks that have a result or wait for one, that is all except duplicates."""
        return [ask for ask in self.asks.values() if not ask.is_duplicate]

    @property
    def duplicates(self) -> list[Ask]:
        """The asks that an earlier trial answers."""
        return [ask for ask in self.asks.values() if ask.is_duplicate]

    def unfinished(self) -> list[Ask]:
        """The asks whose result is missing."""
        return [ask for ask in self.evaluated if ask.trial not in self.results]
