"""Runs a campaign: ``nas run``."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

from rich.console import Console

from nas.campaigns.drive.progress import Progress
from nas.campaigns.drive.runner import Runner, Summary
from nas.campaigns.drive.trust import check_trusted
from nas.campaigns.engines import ENGINES
from nas.campaigns.engines.base import Engine, Settings
from nas.campaigns.engines.signals import interrupted_after, is_over
from nas.campaigns.spec.campaign import Campaign, load_campaign
from nas.campaigns.spec.specification import specification
from nas.campaigns.store.log import RecordLog
from nas.campaigns.store.provenance import environment
from nas.campaigns.store.types import Header, Json, given
from nas.errors import CampaignError, InputError, at, in_file
from nas.evaluators.base import TRAINING, Evaluate, Function
from nas.files import read_json, write_whole
from nas.spaces.constrained_space import rejections
from nas.user_code import portable, relative


def run(
    folder: Path | str,
    *,
    evaluator: str | Callable[..., Any] | None = None,
    engine: Engine | None = None,
    console: Console | None = None,
    trust: bool = True,
) -> Summary:
    """Runs the campaign in ``folder`` to its end, or resumes it where an earlier run has stopped.

    Args:
        folder: the folder with ``campaign.yaml``; :mod:`nas.campaigns.store.log` describes what is
            written.
        evaluator: a function from the request of a trial to its metrics, both plain JSON, or its
            name (``package.module:NAME``, ``file.py:NAME``). The request has the fields of
            :class:`nas.evaluators.training.Request`. It replaces the evaluator that
            ``campaign.yaml`` names, except ``tabular``. By default, it is the evaluator with which
            the campaign was begun.
        engine: the engine; by default the one of ``campaign.yaml``.
        console: where progress is shown; by default on the standard output.
        trust: whether an evaluator may be called that only the records name, see
            :mod:`nas.campaigns.drive.trust`. The command line asks for this.

    Raises:
        InputError: the campaign is not valid, its records are corrupt, or they were made with
            another experiment specification.
        CampaignError: the campaign cannot continue; the message says why.
        KeyboardInterrupt: it was stopped; a line has shown how to resume it.

    At the end of a time limit, trials that are still running have no result.
    """
    began = time.monotonic()
    campaign = load_campaign(Path(folder))
    own = campaign.evaluator
    with RecordLog(campaign.folder) as log:
        begun_with = _begun_with(log) or own.label
        label = begun_with if evaluator is None or campaign.data is None else _label(evaluator)
        if evaluator is None and label not in (own.label, TRAINING) and not trust:
            check_trusted(campaign.folder, label)
        evaluate = own.evaluate
        if label != own.label:
            evaluate = evaluator if callable(evaluator) else _function(label)
        if engine is None:
            with in_file(campaign.file), at("engine"):
                engine = _engine(campaign, evaluate)
        runner = Runner(
            campaign,
            log,
            partial(getattr, engine, "now"),
            evaluator=label,
            slots=partial(getattr, engine, "slots", 1),
            before=0.0 if campaign.config.time_limit is None else time.monotonic() - began,
            earlier=_elapsed(campaign.folder),
        )
        write = partial(_write_resolved, runner, _resolved(campaign, label, runner.status.done))
        log.check_in_place()
        write()
        with Progress(campaign.folder, runner.status, console) as progress:
            runner.progress = progress
            if log.torn:
                progress.line(
                    f"warning: records.jsonl ended in a torn line, as after a crash: its {log.torn}"
                    " bytes were moved to records.torn"
                )
            if label != begun_with and runner.status.done:
                progress.line(
                    f"warning: the campaign was begun with the evaluator {begun_with}, and "
                    f"continues with {label}"
                )
            status = runner.status
            engine_name = relative(campaign.config.engine.name, campaign.folder)
            total = "" if status.total is None else f" of {status.total}"
            limits = ", ".join(f"{k} {v:g}" for k, v in campaign.config.budget.limits.items())
            if (limit := campaign.config.time_limit) is not None:
                limits += f", {limit.minutes:g} minutes in all"
            progress.line(
                f"going on after {status.done}{total} trials, engine {engine_name}"
                if status.done
                else f"each search up to {limits}; engine {engine_name}"
            )
            for note in campaign.notes:
                progress.line(note)
            left = runner.seconds_left
            try:
                with interrupted_after(left):
                    if left is None or left > 0:
                        engine.run(runner)
                    else:
                        progress.line("the time limit is over: raise time_limit.minutes to go on")
            except KeyboardInterrupt:
                write()
                if not is_over():
                    progress.line(f"stopped; go on with: nas run {folder}")
                    raise
            except CampaignError:
                with suppress(CampaignError, OSError):
                    log.check_in_place()
                    write()  # the time that has passed counts if it goes on
                raise
            progress.summary()
            log.check_in_place()
            write()
            if left is None:
                runner.check_complete()
            runner.checkpoints.clear()
            for note in runner.notes:
                progress.line(note)
            if rejected := rejections(campaign.space.rejected):
                progress.line(rejected)
        return runner.summary


def _elapsed(folder: Path) -> float:
    """Returns the seconds that earlier runs took until they were stopped, as far as is known."""
    try:
        return float(read_json(folder / "resolved.json")["elapsed"])
    except (OSError, ValueError, TypeError, LookupError):
        return 0.0


def _begun_with(log: RecordLog) -> str:
    """Returns the evaluator of earlier runs, as it is recorded; "" without earlier runs."""
    first = next(log.earlier(), None)
    return first.evaluator if isinstance(first, Header) else ""


def _label(evaluator: str | Callable[..., Any]) -> str:
    """Returns the name of an evaluator for records."""
    if isinstance(evaluator, str):
        return evaluator
    name = getattr(evaluator, "__qualname__", type(evaluator).__qualname__)
    return f"{getattr(evaluator, '__module__', None)}:{name}"


def _function(label: str) -> Function:
    """Returns the evaluator with a name; raises :class:`InputError` if it cannot be loaded."""
    found = Function(label)
    try:
        found.load()
    except InputError as error:
        raise InputError(
            f"{error}; a function that cannot be found by its name must be given again: "
            "nas.run(folder, evaluator=function)"
        ) from error
    return found


def _engine(campaign: Campaign, evaluate: Evaluate) -> Engine:
    config = campaign.config.engine
    with at("name"):
        kind = ENGINES.find(config.name)
    name = blake2b(str(campaign.folder.resolve()).encode(), digest_size=5).hexdigest()
    settings = Settings(
        name, config.cpus_per_trial, config.gpus_per_trial, config.time_limit, config.options
    )
    engine: Engine = kind.for_campaign(evaluate, settings)
    return engine


def _write_resolved(runner: Runner, resolved: Json) -> None:
    """Writes ``resolved.json``, with how a picture becomes an input once a trial has recorded it.

    The run writes it at its start and again at its end, when more is known. With a time limit, it
    holds the seconds of all runs, because those of trials that were stopped are in no record.
    """
    elapsed = None if runner.seconds_left is None else runner.elapsed
    whole = resolved | given(preprocessing=runner.preprocessing, elapsed=elapsed)
    path = runner.summary.folder / "resolved.json"
    write_whole(path, (json.dumps(whole, indent=2) + "\n").encode())


def _resolved(campaign: Campaign, evaluator: str, done: int) -> Json:
    """Returns the content of ``resolved.json``, with the environments of earlier runs in it.

    Args:
        campaign: the campaign.
        evaluator: the evaluator of its trials.
        done: the number of trials that have ended in earlier runs.
    """
    path = campaign.folder / "resolved.json"
    resolved: Json = {
        "specification": specification(campaign),
        "campaign": portable(campaign.config.model_dump(mode="json"), campaign.folder),
        "recipe_fingerprint": campaign.recipe.fingerprint if campaign.recipe else None,
        "data_checksum": campaign.data_checksum,
        "data_fingerprint": campaign.data_fingerprint,
        "input_shape": campaign.input_shape,
        "classes": campaign.outputs,
        "evaluator": evaluator,
        "environment": environment(),
    }
    try:
        before = read_json(path)
        how = {key: before[key] for key in ("evaluator", "environment")}
        earlier = [*before.get("earlier_runs", ())]
        if how != {key: resolved[key] for key in how}:
            earlier.append({"until_trial": done, **how})
    except (OSError, ValueError, TypeError, LookupError):  # there is none, or none of ours
        earlier = []
    if done and earlier:
        resolved["earlier_runs"] = earlier
    return resolved
