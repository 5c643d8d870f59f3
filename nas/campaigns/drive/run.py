"""Runs a campaign: ``nas run``."""

import json
import time
from hashlib import blake2b
from pathlib import Path
from typing import Any

from rich.console import Console

from nas.campaigns.drive.progress import Progress
from nas.campaigns.drive.runner import Runner, Summary
from nas.campaigns.engines.base import Engine
from nas.campaigns.engines.serial import SerialEngine
from nas.campaigns.engines.simulated import SimulatedCluster, timed
from nas.campaigns.spec.campaign import Campaign, load_campaign
from nas.campaigns.spec.specification import question
from nas.campaigns.store.log import RecordLog
from nas.campaigns.store.provenance import environment
from nas.campaigns.store.types import Header
from nas.errors import InputError
from nas.files import write_whole
from nas.registry import resolve
from nas.spaces.constraints import rejections

EVALUATOR = "nas.evaluators.training:evaluate"


def run(
    folder: Path | str,
    *,
    evaluator: str | None = None,
    engine: Engine | None = None,
    console: Console | None = None,
) -> Summary:
    """Runs the campaign in ``folder`` to its end, or resumes it where an earlier run has stopped.

    Args:
        folder: the folder with ``campaign.yaml``; :mod:`nas.campaigns.store.log` describes what is
            written.
        evaluator: ``"module:attribute"`` of a function from a trial to its metrics, both plain
            JSON; the trial has the fields of :class:`nas.evaluators.training.Request`. By default
            the one that the campaign was begun with, or training.
        engine: the engine; by default the one of ``campaign.yaml``.
        console: where progress is shown; by default on the standard output.

    Raises:
        InputError: the campaign is not valid, its records are corrupt, or they answer another
            question than ``campaign.yaml`` now asks.
        CampaignError: the campaign cannot continue; the message says why.
        KeyboardInterrupt: it was stopped; a line has shown how to resume it.
    """
    campaign = load_campaign(Path(folder))
    with RecordLog(campaign.folder) as log:
        begun_with = _begun_with(log)
        evaluator = evaluator or begun_with
        if evaluator != EVALUATOR:
            _find(evaluator)
        engine = engine or _engine(campaign, evaluator)
        clock = (lambda: engine.clock) if isinstance(engine, SimulatedCluster) else time.monotonic
        runner = Runner(campaign, log, clock, evaluator=evaluator)
        _write_resolved(campaign, evaluator, runner.status.done)
        with Progress(campaign.folder, runner.status, console) as progress:
            runner.progress = progress
            if log.torn:
                progress.line(
                    f"warning: records.jsonl ended in a torn line, as after a crash: its {log.torn}"
                    " bytes were moved to records.torn"
                )
            if evaluator != begun_with and runner.status.done:
                progress.line(
                    f"warning: the campaign was begun with the evaluator {begun_with}, and goes on "
                    f"with {evaluator}"
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
            runner.check_complete()
            runner.checkpoints.clear()
            for note in runner.notes:
                progress.line(note)
            if rejected := rejections(campaign.space.rejected):
                progress.line(rejected)
        return runner.summary


def _begun_with(log: RecordLog) -> str:
    """Returns the evaluator of earlier runs."""
    first = next(log.earlier(), None)
    return (isinstance(first, Header) and first.evaluator) or EVALUATOR


def _find(evaluator: str) -> None:
    """Raises :class:`InputError` if there is no such function."""
    try:
        resolve(evaluator)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f'evaluator: must be "module:attribute" of a function, got {evaluator!r}: {error}'
        ) from error


def _engine(campaign: Campaign, evaluator: str) -> Engine:
    config = campaign.config.engine
    if campaign.tabular is not None:
        if config.name == "simulated":
            return SimulatedCluster(timed(campaign.tabular), config.concurrency or 1)
        return SerialEngine(campaign.tabular)
    if config.name == "serial":
        return SerialEngine(evaluator, config.time_limit)
    from nas.campaigns.engines.tune import TuneEngine

    return TuneEngine(
        evaluator,
        concurrency=config.concurrency,
        cpus=config.cpus_per_trial,
        gpus=config.gpus_per_trial,
        address=config.address,
        time_limit=config.time_limit,
        name=blake2b(str(campaign.folder.resolve()).encode(), digest_size=5).hexdigest(),
    )


def _write_resolved(campaign: Campaign, evaluator: str, done: int) -> None:
    """Writes ``resolved.json`` and keeps in it the environments of earlier runs.

    Args:
        campaign: the campaign.
        evaluator: the evaluator of its trials.
        done: the number of trials that have ended in earlier runs.
    """
    path = campaign.folder / "resolved.json"
    resolved: dict[str, Any] = {
        "question": question(campaign),
        "campaign": campaign.config.model_dump(mode="json"),
        "recipe_fingerprint": campaign.recipe.fingerprint if campaign.recipe else None,
        "data_checksum": campaign.data_checksum,
        "data_fingerprint": campaign.data_fingerprint,
        "input_shape": campaign.input_shape,
        "classes": campaign.outputs,
        "evaluator": evaluator if campaign.tabular is None else campaign.config.evaluator.name,
        "environment": environment(),
    }
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        how = {key: before[key] for key in ("evaluator", "environment")}
        earlier = [*before.get("earlier_runs", ())]
        if how != {key: resolved[key] for key in how}:
            earlier.append({"until_trial": done, **how})
    except (OSError, ValueError, TypeError, LookupError):  # there is none, or none of ours
        earlier = []
    if done and earlier:
        resolved["earlier_runs"] = earlier
    write_whole(path, (json.dumps(resolved, indent=2) + "\n").encode())
