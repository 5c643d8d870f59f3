"""Reads what evaluates the trials of a campaign: its evaluator, its proxies and its metrics."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.campaigns.spec.contestants import Contestant
from nas.campaigns.spec.schema import CampaignFile
from nas.campaigns.spec.screening import Screening
from nas.configuration import Named, validate
from nas.errors import InputError, at
from nas.evaluators import EVALUATORS
from nas.evaluators.base import Evaluator, UserFunction
from nas.metrics import COSTS, OWN, Catalogue, Metric
from nas.registry import unknown
from nas.tasks import Task
from nas.user_code import is_code


def kind_of(entry: Named) -> Any:
    """Returns a subclass of :class:`Evaluator`, or a user's function."""
    with at("evaluator", "name"):
        return EVALUATORS.find(entry.name)


def read(config: CampaignFile, folder: Path) -> tuple[Evaluator, Screening]:
    """Returns the evaluator of a campaign, and the proxies of its searcher, which it measures."""
    table = None
    if getattr(kind_of(config.evaluator), "shape", "") == "lookup":
        table = _made(config.evaluator, folder)
    columns = None if table is None else table.columns
    with at("searcher"):
        screening, entry = Screening.read(config.searcher, config.evaluator, folder, columns)
    return table or _made(entry, folder), screening


def _made(entry: Named, folder: Path) -> Evaluator:
    kind = kind_of(entry)
    with at("evaluator"):
        if inspect.isclass(kind) and issubclass(kind, Evaluator):
            return kind(entry.options, folder)
        return UserFunction(entry.options, folder, name=entry.name)


def metrics_of(config: CampaignFile, task: Task, evaluator: Evaluator) -> Catalogue:
    """Returns the task's metrics with those that the campaign and its evaluator add."""
    own: list[Metric] = []
    reported = [*evaluator.reported]
    for position, entry in enumerate(config.metrics):
        with at(position):
            if not is_code(entry.name):
                reported.append(validate(Metric, {"name": entry.name, **entry.options}))
                continue
            if entry.options:
                raise InputError(
                    f"{entry.name}: its file declares it; leave out {', '.join(entry.options)}"
                )
            metric: Metric = OWN.find(entry.name)
            (reported if metric.function is None else own).append(metric)
    return Catalogue(task.metrics, own, reported)


def check(evaluator: Evaluator, config: CampaignFile, classics: Mapping[str, Contestant]) -> None:
    """Raises :class:`InputError` unless the evaluator can tell what the campaign asks of it."""
    if evaluator.metrics is not None:
        told = [*COSTS, *evaluator.metrics]
        for position, objective in enumerate(config.objectives):
            if objective.metric not in told:
                hint = unknown("metric", objective.metric, told)
                raise InputError(f"{hint}; {evaluator.more_metrics}", "objectives", position)
    if config.budget.epochs is not None and not evaluator.has_epochs:
        raise InputError(
            f"the evaluator {evaluator.label} does not tell of epochs; allowed: trials, or hours "
            f"and accelerator_hours of a simulated cluster, got {config.budget.epochs}",
            *("budget", "epochs"),
        )
    most, shared = config.budget.epochs, evaluator.shared_epochs
    if shared and most is not None and (most <= shared or len(config.budget.limits) == 1):
        raise InputError(
            f"the first trial trains {shared} epochs for all trials of the search, and the others "
            f"train none; allowed: more than {shared}, and a limit on trials or hours, got {most}",
            *("budget", "epochs"),
        )
    if config.final.shared and not evaluator.shares_weights:
        raise InputError(
            "tests networks with shared weights; allowed with the evaluator supernet alone, got "
            f"{config.final.shared} with {config.evaluator.name}",
            *("final", "shared"),
        )
    if evaluator.suggests and config.budget.trials == 1:
        raise InputError(
            "the first trial searches, and the second is the network that it has chosen; allowed: "
            "at least 2, got 1",
            *("budget", "trials"),
        )
    for position, contestant in enumerate(classics.values()):
        if reason := evaluator.refusal(contestant.architecture):
            raise InputError(f"{contestant.label}: {reason}", "final", "classics", position)
