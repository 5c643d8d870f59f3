"""Runs the searches of a campaign, then its final stage, continuing from its records."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from nas.campaigns.drive import ensembles, stages
from nas.campaigns.drive.epochs import Epochs
from nas.campaigns.drive.failures import Patience
from nas.campaigns.drive.networks import Networks
from nas.campaigns.drive.progress import Progress, Status
from nas.campaigns.drive.requests import Requests
from nas.campaigns.engines.base import (
    Cause,
    Json,
    Outcome,
    Trial,
    Update,
    failure,
)
from nas.campaigns.spec.campaign import Campaign
from nas.campaigns.spec.early_stopping import reached
from nas.campaigns.spec.objectives import missing
from nas.campaigns.spec.specification import check_same, question
from nas.campaigns.store.checkpoints import Checkpoints, write_weights
from nas.campaigns.store.history import History
from nas.campaigns.store.log import RecordLog
from nas.campaigns.store.provenance import gpus
from nas.campaigns.store.types import SCHEMA, Ask, Failure, Header, Record, Result, given
from nas.errors import CampaignError, InputError

_SPOT_CHECKS = 8


@dataclass(frozen=True)
class Summary:
    """The result of a campaign: trials that have ended, and the best by its first objective."""

    folder: Path
    completed: int
    failed: int
    best: float | None
    best_trial: str | None


class Runner:
    """Supplies the trials of a campaign and records their outcomes.

    The searches run one after the other; while one waits for results, the next one is asked. In the
    final stage, classics come first: they depend on no result, so they use the workers that are
    idle during the last trials of the searches.

    Args:
        campaign: the campaign.
        log: its open records, which are replayed.
        clock: returns seconds since any fixed time.
        evaluator: the name of the evaluator, for the records.
    """

    def __init__(
        self,
        campaign: Campaign,
        log: RecordLog,
        clock: Callable[[], float] = time.monotonic,
        *,
        evaluator: str = "",
    ) -> None:
        self.progress: Progress | None = None
        self._campaign = campaign
        self._log = log
        self._history = History(campaign.folder)
        self._networks = Networks(campaign, self._history.asks)
        self._requests = Requests(campaign, self._history, self._networks)
        self.checkpoints = Checkpoints(campaign.folder)
        self._searches = {
            name: stages.Search(campaign, name, self._networks) for name in campaign.searches
        }
        self._running: set[str] = set()
        self._epochs = Epochs()
        self._curves: dict[str, list[Json]] = {}  # curves of trials that may be stopped
        self._on_gpu = bool(gpus())  # whether the last known trial ran on one
        self._patience = Patience(campaign.folder)
        self.status = Status(
            None, objectives=campaign.config.objectives, tested=campaign.metrics.test
        )
        earlier = log.earlier()
        first = next(earlier, None)
        if first is not None:
            self._replay(first, earlier)
        else:
            log.append(
                Header(
                    schema=SCHEMA,
                    specification=question(campaign),
                    **given(
                        recipe=campaign.recipe.fingerprint if campaign.recipe else None,
                        data=campaign.data_fingerprint,
                        evaluator=evaluator if campaign.data and evaluator else None,
                    ),
                )
            )
        self._again = deque(self._history.unfinished())
        self._elapsed_before = self._history.elapsed
        self._clock, self._started = clock, clock()
        self._estimate()

    def next(self) -> Trial | None:
        """Returns the next trial: those that an earlier run left, then searches, then finals."""
        while ask := self._again.popleft() if self._again else self._search() or self._final():
            self._running.add(ask.trial)
            self.status.running = len(self._running)
            try:
                payload = self._requests.payload(ask, self._continued(ask))
            except InputError as error:  # there is no such network at so low a fidelity
                self.done(ask.trial, failure(str(error)))
                continue
            own, checkpoint = self.checkpoints.find(ask.trial), self._checkpoint(ask)
            lost = self._history.failures.get(ask.trial, ())
            recorded = sum(failure.epochs for failure in lost)
            before = self._continued(ask) or 0
            self._epochs.begin(ask.trial, before, recorded, saved=own is not None)
            if ask.inherits is not None:
                payload["inherit"] = own is None and checkpoint is not None
                if checkpoint is None and self.progress is not None:
                    gone = f"the weights of {stages.parent(ask)} are gone"
                    self.progress.line(f"{ask.trial}: {gone}; it starts from new ones")
            shared = self._requests.shared(payload)
            return Trial(ask.trial, payload, checkpoint, self._requests.keeps(ask), shared)
        return None

    def update(self, trial: str, update: Update) -> bool:
        """Saves the state of a running trial, so that it can continue after a crash.

        Returns whether early stopping ends it. This never happens at its last epoch, in the final
        stage, or if a part of its curve is unknown here.
        """
        self._epochs.update(trial, update)
        if update.checkpoint is not None:
            self.checkpoints.write(trial, update.checkpoint)
        ask = self._history.asks[trial]
        recipe = self._requests.recipe(ask)
        if self._campaign.config.early_stopping is None or ask.stage == "final" or not recipe:
            return False
        curve = self._curves.setdefault(trial, [])
        if update.metrics.get("epoch") == 1:
            curve.clear()  # the curve of an attempt whose worker died
        curve.append(update.metrics)
        whole = [point.get("epoch") for point in curve] == list(range(1, len(curve) + 1))
        search = self._searches.get(ask.search)  # None if the baseline was switched off since
        return whole and len(curve) < recipe.epochs and search is not None and search.stops(curve)

    def done(self, trial: str, outcome: Outcome) -> None:
        """Records the outcome; when it is on the disk, the searcher observes it.

        Raises :class:`CampaignError` if too many trials of this run have failed.
        """
        curve = self._curves.pop(trial, [])
        if outcome.status == "stopped":
            outcome = replace(outcome, metrics=reached(curve))
        ask = self._history.asks[trial]
        outcome = self._judged(ask, outcome)
        self._running.discard(trial)
        if self._tried_again(ask, outcome):
            return
        self._epochs.forget(trial)
        final = ask.stage == "final"
        if outcome.checkpoint is not None:
            if final:
                write_weights(self._campaign.folder, trial, outcome.checkpoint)
            else:
                self.checkpoints.write(trial, outcome.checkpoint)
        result = self._log.append(
            Result(
                trial=trial,
                status=outcome.status,
                metrics=outcome.metrics,
                error=outcome.error,
                cause=outcome.cause,
                **self._spent(ask, outcome),
                **given(worker=outcome.worker),
            )
        )
        if final or outcome.checkpoint is None:
            self.checkpoints.discard(trial)
        self._tell(result)
        if self.checkpoints:
            self.checkpoints.discard_ended(self._history.results, self._starts())
        self._estimate()
        if self.progress is not None:
            self.progress.trial(ask, result)
        self._patience.hear(outcome)

    def check_complete(self) -> None:
        """Raises :class:`CampaignError` if a trial was started but has no outcome."""
        lost = [ask.trial for ask in self._history.unfinished()]
        if lost:
            raise CampaignError(
                f"{self._campaign.folder}: there is no outcome of {', '.join(lost)}; "
                "run the campaign again to repeat these trials"
            )

    @property
    def summary(self) -> Summary:
        """Returns the result of the campaign so far."""
        s = self.status
        return Summary(self._campaign.folder, s.done - s.failed, s.failed, s.best, s.best_trial)

    @property
    def notes(self) -> list[str]:
        """Returns remarks on the searches."""
        duplicates = len(self._history.duplicates)
        counted = f"{duplicates} duplicates, {self._campaign.config.duplicates}: no budget spent"
        ends = [search.note for search in self._searches.values()]
        return [*([counted] if duplicates else []), *filter(None, ends)]

    def _replay(self, first: Record, rest: Iterator[Record]) -> None:
        assert isinstance(first, Header)
        check_same(self._campaign, first)
        for record in rest:
            if isinstance(record, Result):
                self._check(record)
                self._tell(record)
                continue
            self._history.add(record)
            if isinstance(record, Failure):
                search = self._searches.get(self._history.asks[record.trial].search)
                if search is not None:
                    search.spending.lost(record)
            elif isinstance(record, Ask):
                self._spot_check(record)
                if record.stage == "search" and record.search in self._searches:
                    self._searches[record.search].replay(record)
        asked = max(search.spending.trials for search in self._searches.values())
        most = self._campaign.config.budget.trials
        if most is not None and asked > most:
            raise InputError(
                f"{self._campaign.file}: budget.trials: as many as {asked} are recorded already; "
                f"allowed: at least {asked}, got {most}"
            )

    def _check(self, result: Result) -> None:
        """Raises :class:`InputError` if a recorded result cannot be used by a searcher."""
        where = f"{self._campaign.folder}: records.jsonl: trial {result.trial}"
        ask = self._history.asks.get(result.trial)
        if ask is None:
            raise InputError(f"{where}: a result, but it was never asked")
        if not result.completed:
            return
        objectives, known = self._campaign.config.objectives, self._campaign.metrics
        if name := missing(objectives, ask, result.metrics, known):
            found = result.metrics.get(name)
            raise InputError(f"{where}: metrics.{name}: must be a number, got {found!r}")

    def _spot_check(self, ask: Ask) -> None:
        """Raises :class:`CampaignError` if the program now builds another architecture."""
        if len(self._history.asks) > _SPOT_CHECKS or ask.is_ensemble:
            return
        if self._networks.of(ask).recorded_as(ask.fingerprint)[0] != ask.fingerprint:
            raise InputError(
                f"{self._campaign.folder}: records.jsonl: what {ask.trial} was asked as now "
                "builds another architecture: the program has changed since. Go on with the "
                "version that resolved.json names, or start a campaign in another folder."
            )

    def _search(self) -> Ask | None:
        for search in self._searches.values():
            while ask := search.ask(self._elapsed()):
                ask = self._book(ask)
                if not ask.is_duplicate:
                    return ask
                search.answer(ask)
        return None

    def _final(self) -> Ask | None:
        asks = self._history.asks
        wanted = list(stages.classics(self._campaign, self._networks))
        if not any(asks[trial].stage == "search" for trial in self._running):
            wanted += stages.finalists(self._campaign, list(self._searches.values()))
            unknown = 0
            if all(each.trial in asks for each in wanted) and ensembles.over(self._history):
                wanted += ensembles.ensembles(self._campaign, self._history)
            else:
                final = self._campaign.config.final
                unknown = len(final.ensembles) * len(final.seeds)
            given_out = {ask.trial for ask in self._history.evaluated}
            self.status.total = len(given_out | {each.trial for each in wanted}) + unknown
            self.status.estimated = False
        return next((self._book(each) for each in wanted if each.trial not in asks), None)

    def _book(self, ask: Ask) -> Ask:
        """Records a trial before it is started."""
        recorded = self._log.append(ask)
        self._history.add(recorded)
        return recorded

    def _checkpoint(self, ask: Ask) -> Path | None:
        """Returns the state from which a trial continues: its own after a crash, or another one.

        Without a state it starts from the beginning, which takes longer but gives the same result.
        With inherited weights the state may also be that of the parent; without it, the trial
        starts from other weights.
        """
        found = self.checkpoints.find(ask.trial)
        continues, parent = self._continues(ask), stages.parent(ask)
        if found is None and continues and self._campaign.fidelities.continued:
            found = self.checkpoints.find(continues)
        if found is None and parent:
            found = self.checkpoints.find(parent)
        return found

    def _starts(self) -> set[str]:
        """Returns the trials whose state may still be needed."""
        waiting = [*(self._history.asks[trial] for trial in self._running), *self._again]
        wanted = {each for ask in waiting for each in (stages.parent(ask), self._continues(ask))}
        starts = (search.starts for search in self._searches.values())
        return {each for each in wanted if each}.union(*starts)

    def _continues(self, ask: Ask) -> str | None:
        """Returns the trial from whose state a trial continues."""
        if ask.continues is None:
            return None
        before = stages.trial_name(ask.search, ask.continues)
        return stages.trained(self._history.asks[before])

    def _tried_again(self, ask: Ask, outcome: Outcome) -> bool:
        """Tells if a trial that was lost with its worker is repeated, and queues it."""
        trial = ask.trial
        tries = len(self._history.failures.get(trial, ()))
        if outcome.cause != "worker_died" or tries >= self._campaign.config.engine.retries:
            return False
        lost = self._log.append(
            Failure(
                trial=trial,
                error=outcome.error or "",
                cause=outcome.cause,
                **self._spent(ask, outcome),
            )
        )
        self._history.add(lost)
        if (search := self._searches.get(ask.search)) is not None:
            search.spending.lost(lost)
        self._again.append(ask)
        if self.progress is not None:
            self.progress.line(f"{trial}: its worker died; the trial is repeated")
        return True

    def _continued(self, ask: Ask) -> int | None:
        """Returns the number of epochs from which the trial continues."""
        if ask.continues is None or not self._campaign.fidelities.continued:
            return None
        return self._history.asks[stages.trial_name(ask.search, ask.continues)].fidelity

    def _judged(self, ask: Ask, outcome: Outcome) -> Outcome:
        """Turns an outcome into a failure unless it has a number for every objective."""
        if outcome.status != "completed":
            return outcome
        metrics = outcome.metrics
        name = missing(self._campaign.config.objectives, ask, metrics, self._campaign.metrics)
        if not name:
            return outcome
        error = f"the evaluator returned {metrics.get(name)!r} as {name}, which is no number"
        # A loss that is not finite is null.
        cause: Cause = "diverged" if name in metrics else "error"
        return Outcome("failed", metrics, error, outcome.seconds, cause)

    def _tell(self, result: Result) -> None:
        ask, status = self._history.asks[result.trial], self.status
        # Metrics with learning curves would take most of the memory, so only the one by which
        # ensembles are made is kept. All others can be read from the records.
        selecting = self._campaign.metrics.validation
        kept = {k: v for k, v in result.metrics.items() if k == selecting}
        metrics = kept if ask.stage == "final" else {}
        self._history.add(result.model_copy(update={"metrics": metrics}))
        status.done += 1
        status.failed += result.status == "failed"
        status.running = len(self._running)
        # If the baseline was switched off, its records remain, but there is no searcher.
        search = self._searches.get(ask.search)
        if search is not None:
            search.tell(ask, result)
        own = next(iter(self._searches.values()))
        if own.best is not None:
            values, best = own.best
            status.best = self._campaign.config.objectives[0].flipped(values[0])
            status.best_trial = best.trial
            status.front = len(own.front)

    def _estimate(self) -> None:
        """Estimates the number of all trials and finds the nearest limit of the running search."""
        elapsed, status = self._elapsed(), self.status
        searches = list(self._searches.values())
        going_on = [search for search in searches if not search.is_over(elapsed)]
        status.budget = ""
        if going_on:
            status.budget = f"{going_on[0].name}: {going_on[0].spending.tightest(elapsed)}"
            status.estimated = set(self._campaign.config.budget.limits) != {"trials"}
        if going_on or status.total is None:  # after that, the final stage counts
            status.total = stages.expected_trials(self._campaign, searches, elapsed)
        if status.total is not None:
            status.total = max(status.total, status.done + status.running)

    def _elapsed(self) -> float:
        """Returns the seconds that all runs of the campaign have taken so far."""
        return round(self._elapsed_before + self._clock() - self._started, 3)

    def _spent(self, ask: Ask, outcome: Outcome) -> Json:
        """Returns the cost of an attempt at a trial, as it is recorded."""
        trial, recipe = ask.trial, self._requests.recipe(ask)
        rung = ask.fidelity if self._campaign.fidelities.continued else None
        epochs = self._epochs.end(trial, outcome, rung or (recipe.epochs if recipe else 0))
        engine = self._campaign.config.engine
        if "device" in outcome.metrics:
            self._on_gpu = outcome.metrics["device"] == "cuda"
        of_trial = 1.0 if engine.gpus_per_trial is None else engine.gpus_per_trial
        return {
            "seconds": round(outcome.seconds, 4),
            "elapsed": self._elapsed(),
            "epochs": epochs,
            "accelerators": (self._on_gpu and of_trial) or engine.cpus_per_trial,
        }
