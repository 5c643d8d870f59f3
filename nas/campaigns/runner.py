"""Runs a campaign: its searches, then the final stage, from wherever its records leave off."""

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from rich.console import Console

from nas.architecture.graph import Architecture
from nas.campaigns import stages
from nas.campaigns.config import Campaign, load_campaign
from nas.campaigns.progress import Progress, Status
from nas.campaigns.provenance import environment
from nas.campaigns.question import check_same, question
from nas.campaigns.records import SCHEMA, History, Record, RecordLog
from nas.campaigns.serial import SerialEngine
from nas.campaigns.trial import CampaignError, Engine, Outcome, Trial
from nas.classics import CLASSICS, classic
from nas.errors import InputError

EVALUATOR = "nas.evaluators.training:evaluate"

PATIENCE = 5
"""A run whose first so many trials all fail is stopped."""

_SPOT_CHECKS = 8


@dataclass(frozen=True)
class Summary:
    """What a campaign has come to: trials that ended, and the incumbent by validation."""

    folder: Path
    completed: int
    failed: int
    best: float | None
    best_trial: str | None


def run(
    folder: Path | str,
    *,
    evaluator: str = EVALUATOR,
    engine: Engine | None = None,
    console: Console | None = None,
) -> Summary:
    """Runs the campaign in ``folder`` to its end; goes on where an earlier run has stopped.

    Args:
        folder: holds ``campaign.yaml``; :mod:`nas.campaigns.records` says what is written.
        evaluator: ``"module:attribute"`` of a function from a trial to its metrics, both plain
            JSON; the trial has the fields of :class:`nas.evaluators.training.Request`.
        engine: carries the trials out; by default as ``campaign.yaml`` says.
        console: where progress is shown; by default the standard output.

    Raises:
        InputError: the campaign is not valid, its records are corrupt, or they answer another
            question than ``campaign.yaml`` now asks.
        CampaignError: it cannot go on; the message says why.
        KeyboardInterrupt: it was stopped; how to go on has been printed.
    """
    campaign = load_campaign(Path(folder))
    with RecordLog(campaign.folder) as log:
        runner = Runner(campaign, log)
        _write_resolved(campaign, evaluator)
        with Progress(campaign.folder, runner.status, console) as progress:
            runner.progress = progress
            if log.torn:
                progress.line(
                    f"warning: records.jsonl ended in a torn line, as after a crash: its {log.torn}"
                    " bytes were moved to records.torn"
                )
            status, engine_name = runner.status, campaign.config.engine.name
            progress.line(
                f"going on after {status.done} of {status.total} trials, engine {engine_name}"
                if status.done
                else f"up to {status.total} trials, engine {engine_name}"
            )
            try:
                (engine or _engine(campaign, evaluator)).run(runner)
            except KeyboardInterrupt:
                progress.line(f"stopped; go on with: nas run {folder}")
                raise
        runner.check_complete()
        return runner.summary


def _engine(campaign: Campaign, evaluator: str) -> Engine:
    config = campaign.config.engine
    if config.name == "serial":
        return SerialEngine(evaluator)
    from nas.campaigns.tune import TuneEngine

    return TuneEngine(
        evaluator,
        concurrency=config.concurrency,
        cpus=config.cpus_per_trial,
        gpus=config.gpus_per_trial,
        address=config.address,
        name=blake2b(str(campaign.folder.resolve()).encode(), digest_size=5).hexdigest(),
    )


def _write_resolved(campaign: Campaign, evaluator: str) -> None:
    resolved = {
        "question": question(campaign),
        "campaign": campaign.config.model_dump(mode="json"),
        "recipe_fingerprint": campaign.recipe.fingerprint,
        "input_shape": campaign.input_shape,
        "classes": campaign.classes,
        "evaluator": evaluator,
        "environment": environment(),
    }
    path = campaign.folder / "resolved.json"
    path.write_text(json.dumps(resolved, indent=2) + "\n", encoding="utf-8")


class Runner:
    """The source of a campaign's trials, and the one that books their outcomes.

    The searches come one after the other; one that waits for results lends its place to the
    next. In the final stage the classics come first: they depend on no result, so they fill the
    workers that the last trials of the searches leave idle.

    Args:
        campaign: what to run.
        log: its records, open; what they hold is replayed.
    """

    def __init__(self, campaign: Campaign, log: RecordLog) -> None:
        self.progress: Progress | None = None
        self._campaign = campaign
        self._log = log
        self._history = History(campaign.folder)
        self._searches = {name: stages.Search(campaign, name) for name in campaign.searches}
        self._running: set[str] = set()
        self._failed_first: int | None = 0
        config, baselines = campaign.config, len(self._searches) - 1
        to_retrain = len(campaign.classics) + config.final.top + baselines * config.final.top_random
        self.status = Status(
            config.budget.trials * len(self._searches) + to_retrain * len(config.final.seeds)
        )
        if log.records:
            self._replay()
        else:
            log.append(
                "campaign",
                schema=SCHEMA,
                question=question(campaign),
                recipe=campaign.recipe.fingerprint,
            )
        self._again = deque(self._history.unfinished())

    def next(self) -> Trial | None:
        """The next trial: one that an earlier run left unfinished, of a search, or a final one."""
        ask = self._again.popleft() if self._again else self._search() or self._final()
        if ask is None:
            return None
        self._running.add(ask["trial"])
        self.status.running = len(self._running)
        engine = self._campaign.config.engine
        recipe = self._campaign.recipe
        if "initialization" in ask:
            recipe = recipe.with_reference(ask["initialization"])
        payload = {
            "architecture": self._architecture(ask).to_json(),
            "data": self._campaign.data.model_dump(mode="json"),
            "recipe": recipe.model_dump(mode="json"),
            "seed": ask["seed"],
            "device": "cpu" if engine.gpus_per_trial == 0 else "auto",
            "threads": engine.cpus_per_trial,
            "test": ask["stage"] == "final",
        }
        return Trial(ask["trial"], payload)

    def done(self, trial: str, outcome: Outcome) -> None:
        """Records the outcome, and when it is on the disk, tells the searcher.

        Raises :class:`CampaignError` when nothing that this run tried has worked.
        """
        outcome = self._judged(outcome)
        result = self._log.append(
            "result",
            trial=trial,
            status=outcome.status,
            metrics=outcome.metrics,
            error=outcome.error,
            seconds=round(outcome.seconds, 4),
        )
        self._running.discard(trial)
        self._tell(result)
        if self.progress is not None:
            self.progress.trial(self._history.asks[trial], result)
        self._give_up_if_nothing_works(outcome)

    def check_complete(self) -> None:
        """:class:`CampaignError` if a trial was given out and never came back."""
        lost = [ask["trial"] for ask in self._history.unfinished()]
        if lost:
            raise CampaignError(
                f"{self._campaign.folder}: no outcome came back of {', '.join(lost)}; "
                "run the campaign again to repeat what is missing"
            )

    @property
    def summary(self) -> Summary:
        """Where the campaign stands."""
        s = self.status
        return Summary(self._campaign.folder, s.done - s.failed, s.failed, s.best, s.best_trial)

    def _replay(self) -> None:
        first, *rest = self._log.records
        check_same(self._campaign, first["question"])
        for record in rest:
            if record["type"] == "result":
                self._tell(record)
                continue
            self._history.add(record)
            self._spot_check(record)
            if record["stage"] == "search" and record["search"] in self._searches:
                self._searches[record["search"]].replay(record)
        asked = max(search.asked for search in self._searches.values())
        if asked > self._campaign.config.budget.trials:
            raise InputError(
                f"{self._campaign.file}: budget.trials: as many as {asked} are recorded already; "
                f"allowed: at least {asked}, got {self._campaign.config.budget.trials}"
            )

    def _spot_check(self, ask: Record) -> None:
        """The code that builds architectures is part of the question, too."""
        if len(self._history.asks) > _SPOT_CHECKS:
            return
        if self._architecture(ask).fingerprint != ask["fingerprint"]:
            raise InputError(
                f"{self._campaign.folder}: records.jsonl: what {ask['trial']} was asked as now "
                "builds another architecture: the program has changed since. Go on with the "
                "version that resolved.json names, or start a campaign in another folder."
            )

    def _search(self) -> Record | None:
        for search in self._searches.values():
            if fields := search.ask():
                return self._ask(fields)
        return None

    def _final(self) -> Record | None:
        asks = self._history.asks
        fields = list(stages.classics(self._campaign))
        if not any(asks[trial]["stage"] == "search" for trial in self._running):
            fields += stages.finalists(self._campaign, list(self._searches.values()))
            self.status.total = len({*asks, *(each["trial"] for each in fields)})
        return next((self._ask(each) for each in fields if each["trial"] not in asks), None)

    def _ask(self, fields: Mapping[str, Any]) -> Record:
        architecture = self._architecture(fields)
        recorded = {
            **fields,
            "fingerprint": architecture.fingerprint,
            "cost": architecture.cost._asdict(),
        }
        if self._campaign.recipe.initialization == "reference":
            # Recorded, so that a later catalogue does not change what this trial was.
            own = CLASSICS[fields["classic"]].initialization if "classic" in fields else "default"
            recorded["initialization"] = own
        ask = self._log.append("ask", **recorded)
        self._history.add(ask)
        return ask

    def _architecture(self, ask: Mapping[str, Any]) -> Architecture:
        if "genotype" in ask:
            return self._campaign.space.decode(ask["genotype"])
        shape, classes = self._campaign.input_shape, self._campaign.classes
        return classic(ask["classic"], shape, classes, **ask["options"]).inference()

    def _judged(self, outcome: Outcome) -> Outcome:
        """A trial has only completed if it has a number for the objective."""
        objective = self._campaign.config.objective
        value = outcome.metrics.get(objective)
        if outcome.status == "failed" or isinstance(value, int | float):
            return outcome
        error = f"the evaluator returned {value!r} as {objective}, which is no number"
        return Outcome("failed", outcome.metrics, error, outcome.seconds)

    def _tell(self, result: Record) -> None:
        self._history.add(result)
        ask, status = self._history.asks[result["trial"]], self.status
        status.done += 1
        status.failed += result["status"] == "failed"
        status.running = len(self._running)
        status.total = max(status.total, status.done + status.running)
        # A baseline that is switched off keeps its records, and nobody to tell.
        search = self._searches.get(ask.get("search", ""))
        if search is not None:
            search.tell(ask, result)
        own = next(iter(self._searches.values()))
        if own.best is not None:
            status.best, status.best_trial = own.best[0], own.best[1]["trial"]

    def _give_up_if_nothing_works(self, outcome: Outcome) -> None:
        if self._failed_first is None or outcome.status == "completed":
            self._failed_first = None
            return
        self._failed_first += 1
        if self._failed_first == PATIENCE:
            raise CampaignError(
                f"{self._campaign.folder}: the first {PATIENCE} trials of this run all failed, "
                f"the last with:\n{(outcome.error or '').rstrip()}\nThey are recorded as failed. "
                "Run the campaign again to go on with the trials after them, or start anew in "
                "another folder."
            )
