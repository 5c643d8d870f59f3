"""Runs a campaign: ``nas run``."""

import json
import time
from hashlib import blake2b
from pathlib import Path

from rich.console import Console

from nas.campaigns.config import Campaign, load_campaign
from nas.campaigns.progress import Progress
from nas.campaigns.provenance import environment
from nas.campaigns.question import question
from nas.campaigns.records import RecordLog
from nas.campaigns.runner import Runner, Summary
from nas.campaigns.serial import SerialEngine
from nas.campaigns.simulated import SimulatedCluster, timed
from nas.campaigns.trial import Engine
from nas.spaces.constraints import rejections

EVALUATOR = "nas.evaluators.training:evaluate"


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
    engine = engine or _engine(campaign, evaluator)
    clock = (lambda: engine.clock) if isinstance(engine, SimulatedCluster) else time.monotonic
    with RecordLog(campaign.folder) as log:
        runner = Runner(campaign, log, clock)
        _write_resolved(campaign, evaluator)
        with Progress(campaign.folder, runner.status, console) as progress:
            runner.progress = progress
            if log.torn:
                progress.line(
                    f"warning: records.jsonl ended in a torn line, as after a crash: its {log.torn}"
                    " bytes were moved to records.torn"
                )
            status, engine_name = runner.status, campaign.config.engine.name
            if campaign.tabular is not None and engine_name == "ray":
                engine_name = "serial"
            total = "" if status.total is None else f" of {status.total}"
            limits = ", ".join(f"{k} {v:g}" for k, v in campaign.config.budget.limits.items())
            progress.line(
                f"going on after {status.done}{total} trials, engine {engine_name}"
                if status.done
                else f"each search up to {limits}; engine {engine_name}"
            )
            try:
                engine.run(runner)
            except KeyboardInterrupt:
                progress.line(f"stopped; go on with: nas run {folder}")
                raise
            progress.summary()
            runner.checkpoints.clear()
            for note in runner.notes:
                progress.line(note)
            if rejected := rejections(campaign.space.rejected):
                progress.line(rejected)
        runner.check_complete()
        return runner.summary


def _engine(campaign: Campaign, evaluator: str) -> Engine:
    config = campaign.config.engine
    if campaign.tabular is not None:
        if config.name == "simulated":
            return SimulatedCluster(timed(campaign.tabular), config.concurrency or 1)
        return SerialEngine(campaign.tabular)
    if config.name == "serial":
        return SerialEngine(evaluator, config.time_limit)
    from nas.campaigns.tune import TuneEngine

    return TuneEngine(
        evaluator,
        concurrency=config.concurrency,
        cpus=config.cpus_per_trial,
        gpus=config.gpus_per_trial,
        address=config.address,
        time_limit=config.time_limit,
        name=blake2b(str(campaign.folder.resolve()).encode(), digest_size=5).hexdigest(),
    )


def _write_resolved(campaign: Campaign, evaluator: str) -> None:
    resolved = {
        "question": question(campaign),
        "campaign": campaign.config.model_dump(mode="json"),
        "recipe_fingerprint": campaign.recipe.fingerprint if campaign.recipe else None,
        "data_checksum": campaign.data_checksum,
        "input_shape": campaign.input_shape,
        "classes": campaign.classes,
        "evaluator": evaluator if campaign.tabular is None else campaign.config.evaluator.name,
        "environment": environment(),
    }
    path = campaign.folder / "resolved.json"
    path.write_text(json.dumps(resolved, indent=2) + "\n", encoding="utf-8")
