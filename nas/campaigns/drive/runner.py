"""Runs the searches of a campaign, then its final stage, continuing from its records."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from nas.campaigns.drive.checkpoint_policy import CheckpointPolicy
from nas.campaigns.drive.epoch_counter import EpochCounter
from nas.campaigns.drive.failure_limit import FailureLimit
from nas.campaigns.drive.ledger import Ledger
from nas.campaigns.drive.progress import Progress, Status
from nas.campaigns.drive.requests import requests
from nas.campaigns.drive.scheduler import Scheduler
from nas.campaigns.engines.base import Cause, Json, Outcome, Trial, Update, failure
from nas.campaigns.engines.signals import is_stopping
from nas.campaigns.spec.campaign import Campaign
from nas.campaigns.spec.early_stopping import reached
from nas.campaigns.spec.objectives import missing
from nas.campaigns.spec.specification import specification
from nas.campaigns.spec.time_limit import Timetable
from nas.campaigns.store.log import RecordLog
from nas.campaigns.store.provenance import gpus
from nas.campaigns.store.types import (
    SCHEMA,
    Ask,
    Failure,
    Header,
    Result,
    given,
    unreadable,
)
from nas.errors import CampaignError, InputError


@dataclass(frozen=True)
class Summary:
    """The result of a campaign: trials that have ended, and the best by its first objective."""

    folder: Path
    completed: int
    failed: int
    best: float | None
    best_trial: str | None


class Runner:
    """Supplies the trials of a campaign to an engine and records their outcomes.

    Args:
        campaign: the campaign.
        log: its open records, which are replayed.
        clock: returns seconds since any fixed time.
        evaluator: the name of the evaluator, for the records.
        slots: returns how many trials run at the same time.
        before: the seconds that this run took before.
        earlier: the seconds that earlier runs took, if there were any; they may be more than the
            records say.
    """

    def __init__(
        self,
        campaign: Campaign,
        log: RecordLog,
        clock: Callable[[], float] = time.monotonic,
        *,
        evaluator: str = "",
        slots: Callable[[], int] = lambda: 1,
        before: float = 0.0,
        earlier: float = 0.0,
    ) -> None:
        self.progress: Progress | None = None
        self.status = Status(
            None, objectives=campaign.config.objectives, tested=campaign.metrics.test
        )
        self._campaign = campaign
        self._log = log
        self._ledger = Ledger(campaign)
        records = log.earlier()
        first = next(records, None)
        if first is not None:
            self._ledger.replay(first, records)
        else:
            log.append(_header(campaign, evaluator))
        history = self._ledger.history
        self._requests = requests(campaign, self._ledger.make.networks, history)
        self.checkpoints = CheckpointPolicy(campaign, self._ledger)
        self._timetable = _timetable(campaign, slots)
        self._scheduler = Scheduler(
            campaign,
            self._ledger,
            lambda ask: self._ledger.write(log, ask),
            self.status,
            self._timetable,
        )
        self._epochs = EpochCounter()
        self._short: set[str] = set()  # trials that the end of the searches may end
        self._curves: dict[str, list[Json]] = {}  # curves of trials that may be stopped
        self._on_gpu = bool(gpus())  # whether the last known trial ran on one
        self._limit = FailureLimit(campaign.folder)
        known = history.elapsed if first is None else max(history.elapsed, earlier)
        self._elapsed_before = known + before
        self._clock, self._started = clock, clock()
        if (left := self.seconds_left) is not None:
            self.status.ends = time.monotonic() + left
        for search in self._ledger.searches.values():
            search.watch(self._say, self._search_has_to_end)
        self._show()

    def next(self) -> Trial | None:
        """Returns the next trial: those that an earlier run left, then searches, then finals."""
        while ask := self._scheduler.next(lambda: self.elapsed):
            make, start = self._requests[ask.kind], self.checkpoints.start(ask)
            try:
                request = make.request(ask, start)
            except InputError as error:  # there is no such network at so low a fidelity
                self.done(ask.trial, failure(str(error)))
                continue
            lost = self._ledger.history.failures.get(ask.trial, ())
            recorded = sum(each.epochs for each in lost)
            self._epochs.begin(ask.trial, start.epochs or 0, recorded, saved=start.own)
            if ask.parent is not None and start.file is None:
                gone = f"the weights of {ask.parent} are gone"
                self._say(f"{ask.trial}: {gone}; it starts from new ones")
            if self._timetable is not None and (ask.stage == "search" or ask.is_retrained):
                now = self.elapsed
                left = self._scheduler.retrainings_left() + 1 if ask.stage == "final" else 0
                until = self._timetable.ends(ask, now, left, self._scheduler.found)
                request["deadline"] = time.time() + until - now
                if (seconds := self._timetable.seconds(ask)) is not None:
                    request["seconds"] = seconds
                if until - now < request.get("seconds", math.inf):
                    self._short.add(ask.trial)
            keep = self.checkpoints.keeps(ask, make.recipe(ask))
            return Trial(ask.trial, request, start.file, keep, make.shared(request))
        return None

    def update(self, trial: str, update: Update) -> bool:
        """Saves the state of a running trial, so that it can continue after a crash.

        Returns whether early stopping ends it. This never happens at its last epoch, in the final
        stage, or if a part of its curve is unknown here.
        """
        self._epochs.update(trial, update)
        if update.checkpoint is not None:
            self.checkpoints.saved(trial, update.checkpoint)
        ask = self._ledger.history.asks[trial]
        recipe = self._requests[ask.kind].recipe(ask)
        if self.progress is not None:
            shared = 0 if ask.stage == "final" else self._campaign.evaluator.shared_epochs
            total = shared or (recipe.epochs if recipe else None)
            self.progress.epoch(trial, update.metrics, total)
        if self._campaign.config.early_stopping is None or ask.stage == "final" or not recipe:
            return False
        curve = self._curves.setdefault(trial, [])
        if update.metrics.get("epoch") == 1:
            curve.clear()  # the curve of an attempt whose worker died
        curve.append(update.metrics)
        whole = [point.get("epoch") for point in curve] == list(range(1, len(curve) + 1))
        search = self._ledger.search_of(trial)  # None if the baseline was switched off since
        return whole and len(curve) < recipe.epochs and search is not None and search.stops(curve)

    def done(self, trial: str, outcome: Outcome) -> None:
        """Records the outcome; when it is on the disk, the searcher observes it.

        Raises :class:`CampaignError` if too many trials of this run have failed.
        """
        ask, curve = self._ledger.history.asks[trial], self._curves.pop(trial, [])
        if outcome.status == "stopped":
            outcome = replace(outcome, metrics=reached(curve))
        outcome = self._judged(ask, outcome)
        cut = outcome.status == "completed" and outcome.metrics.get("out_of_time")
        short = ask.trial in self._short
        self._short.discard(ask.trial)
        if cut and short and ask.stage == "search" and self._scheduler.found:
            # It had less time than the others.
            outcome = replace(outcome, status="stopped")
        self._scheduler.ended(trial)
        if self._is_repeated(ask, outcome):
            return
        self._epochs.forget(trial)
        weights = self.checkpoints.keep(ask, outcome)
        written = self._ledger.write(self._log, self._result(ask, outcome, weights))
        self.checkpoints.ended(ask, outcome, self._scheduler.waiting)
        self._show()
        if self.progress is not None:
            self.progress.trial(ask, written)
        self._limit.hear(outcome)

    @property
    def elapsed(self) -> float:
        """Returns the seconds that all runs of the campaign have taken so far."""
        return round(self._elapsed_before + self._clock() - self._started, 3)

    @property
    def seconds_left(self) -> float | None:
        """Returns the seconds until the time limit; None if there is none."""
        return None if self._timetable is None else self._timetable.over - self.elapsed

    def check_complete(self) -> None:
        """Raises :class:`CampaignError` if a trial was started but has no outcome."""
        lost = [ask.trial for ask in self._ledger.history.unfinished()]
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
    def preprocessing(self) -> Json | None:
        """Returns how a picture becomes the networks' input, once a trial has recorded it."""
        recorded = (r.metrics.get("preprocessing") for r in self._ledger.history.results.values())
        return next(filter(None, recorded), None)

    @property
    def notes(self) -> list[str]:
        """Returns remarks on the searches."""
        duplicates = len(self._ledger.history.duplicates)
        counted = f"{duplicates} duplicates, {self._campaign.config.duplicates}: no budget spent"
        ends = [search.note for search in self._ledger.searches.values()]
        return [*([counted] if duplicates else []), *filter(None, ends)]

    def _judged(self, ask: Ask, outcome: Outcome) -> Outcome:
        """Turns an outcome into a failure if its metrics are wrong or cannot be recorded.

        Every objective must be a number, and every known metric a possible value.
        """
        if outcome.status == "failed":
            return outcome
        metrics, known = outcome.metrics, self._campaign.metrics
        if wrong := unreadable(metrics):
            return failure(f"the evaluator returned wrong metrics: {wrong}", outcome.seconds)
        name = ""
        if outcome.status == "completed":
            name = missing(self._campaign.config.objectives, ask, metrics, known)
        error = f"the evaluator returned {metrics.get(name)!r} as {name}, which is not a number"
        if not name and (fault := known.fault(metrics)):
            name, _, wrong = fault.partition(": ")
            error = f"the evaluator returned {name}: {wrong}"
        if not name:
            return outcome
        # The evaluator reports a value that is not finite as null.
        cause: Cause = "diverged" if name in metrics and metrics[name] is None else "error"
        return Outcome("failed", metrics, error, outcome.seconds, cause)

    def _result(self, ask: Ask, outcome: Outcome, weights: str | None = None) -> Result:
        """Makes the record of an outcome, with the checksum of the weights that were kept."""
        return Result(
            trial=ask.trial,
            status=outcome.status,
            metrics=outcome.metrics,
            error=outcome.error,
            cause=outcome.cause,
            **self._spent(ask, outcome),
            **given(worker=outcome.worker, weights=weights),
        )

    def _is_repeated(self, ask: Ask, outcome: Outcome) -> bool:
        """Tells if a trial that was lost with its worker is repeated, and queues it."""
        tries = len(self._ledger.history.failures.get(ask.trial, ()))
        if outcome.cause != "worker_died" or tries >= self._campaign.config.engine.retries:
            return False
        lost = Failure(
            trial=ask.trial,
            error=outcome.error or "",
            cause=outcome.cause,
            **self._spent(ask, outcome),
        )
        self._ledger.write(self._log, lost)
        self._scheduler.repeat(ask)
        self._say(f"{ask.trial}: its worker died; the trial is repeated")
        return True

    def _search_has_to_end(self) -> bool:
        """Tells if a search makes no more proposals, even if it is about to make one."""
        return is_stopping() or not self._scheduler.searches(self.elapsed)

    def _say(self, line: str) -> None:
        if self.progress is not None:
            self.progress.line(line)

    def _show(self) -> None:
        """Updates the status."""
        status, ledger = self.status, self._ledger
        status.done, status.failed = len(ledger.history.results), ledger.failed
        if ledger.own.best is not None:
            values, best = ledger.own.best
            status.best = self._campaign.config.objectives[0].flipped(values[0])
            status.best_trial = best.trial
            status.front = len(ledger.own.front)
        self._scheduler.estimate(self.elapsed)

    def _spent(self, ask: Ask, outcome: Outcome) -> Json:
        """Returns the cost of an attempt at a trial, as it is recorded."""
        recipe = self._requests[ask.kind].recipe(ask)
        rung = ask.fidelity if self._campaign.fidelities.continued else None
        planned = rung or (recipe.epochs if recipe else 0)
        engine = self._campaign.config.engine
        if "device" in outcome.metrics:
            self._on_gpu = outcome.metrics["device"] == "cuda"
        of_trial = 1.0 if engine.gpus_per_trial is None else engine.gpus_per_trial
        return {
            "seconds": round(outcome.seconds, 4),
            "elapsed": self.elapsed,
            "epochs": self._epochs.end(ask.trial, outcome, planned),
            "accelerators": (self._on_gpu and of_trial) or engine.cpus_per_trial,
        }


def _timetable(campaign: Campaign, slots: Callable[[], int]) -> Timetable | None:
    """Divides the time of a campaign that has a limit."""
    config, final = campaign.config, campaign.config.final
    if config.time_limit is None:
        return None
    best = final.top + (len(campaign.searches) - 1) * final.random_finalists
    trainings = (len(campaign.classics) * len(final.seeds), best * len(final.seeds))
    return Timetable(config.time_limit, *trainings, bool(final.ensembles), slots)


def _header(campaign: Campaign, evaluator: str) -> Header:
    """Makes the first record of a campaign."""
    return Header(
        schema=SCHEMA,
        specification=specification(campaign),
        **given(
            recipe=campaign.recipe.fingerprint if campaign.recipe else None,
            data=campaign.data_fingerprint,
            evaluator=evaluator if campaign.data and evaluator else None,
        ),
    )
