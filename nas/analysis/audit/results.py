"""Checks that the results of a campaign are possible and agree with their status."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import numpy as np

from nas.analysis.audit.records import Fault, Trials, differing, is_number, part_of, usual
from nas.analysis.tables.columns import flops_without
from nas.analysis.tables.columns import recorded as recorded_metrics
from nas.campaigns.engines.base import Cause
from nas.campaigns.spec.objectives import missing, recorded
from nas.campaigns.store.types import Ask, Result
from nas.metrics import Catalogue, is_test
from nas.spaces.choices import recipe_choices
from nas.tasks.mistakes import unpacked


def result_faults(trials: Trials, specification: Mapping[str, Any]) -> Iterator[Fault]:
    """Checks that results agree with their status, are possible, and come from one data set."""
    objectives, known = recorded(specification), recorded_metrics(specification)
    asks = trials.history.asks
    completed = [
        (_group(asks[result.trial]), result.metrics)
        for _, result in trials.results
        if result.completed
    ]
    checksum = data_checksum(trials)
    usually = {
        group: usual(sorted(metrics) for each, metrics in completed if each == group)
        for group in {group for group, _ in completed}
    }
    for line, result in trials.results:
        trial, metrics = result.trial, result.metrics
        ask = asks[trial]
        if ask.stage == "search":
            for name, value in _test_metrics(metrics):
                yield Fault(
                    line, f"{trial}: {name}: {json.dumps(value)}, expected none in a search"
                )
        if result.status == "failed":
            yield from _failed(line, result)
            continue
        for key in ("error", "cause"):
            yield from differing(line, f"{trial}: {key}", getattr(result, key), None)
        if name := missing(objectives, ask, metrics, known):
            value = json.dumps(metrics.get(name))
            yield Fault(line, f"{trial}: {name}: {value}, expected a number")
        yield from _plausible(line, trial, metrics, known)
        yield from _curve(line, trial, metrics, known)
        own = recipe_choices(ask.genotype).get("epochs")
        # If the fidelity is not epochs, every training has all epochs.
        rung = None if specification.get("fidelity", "epochs") != "epochs" else ask.fidelity
        epochs = rung or own or part_of(specification, "recipe").get("epochs")
        if ask.stage == "final":
            epochs = part_of(specification, "time_limit").get("epochs", epochs)
        if not ask.is_retrained and "evaluator" in specification:
            epochs = None  # it need not train, or not by the recipe
        if result.status == "stopped" and not metrics.get("out_of_time"):
            yield from _stopped(line, trial, metrics, epochs)
            epochs = None
        if metrics.get("out_of_time"):
            had = metrics.get("epochs")
            if is_number(had) and is_number(epochs) and had > epochs:
                yield Fault(line, f"{trial}: epochs: {had}, expected at most {epochs}")
            epochs = None
        if epochs is not None and "epochs" in metrics:
            yield from differing(line, f"{trial}: epochs", metrics["epochs"], epochs)
        before, after = metrics.get("epochs_before", 0), metrics.get("epochs", math.inf)
        if not (is_number(before) and (not is_number(after) or 0 <= before <= after)):
            text = f"{trial}: epochs_before: {json.dumps(before)}, expected at most its epochs"
            yield Fault(line, text)
        if is_number(after) and result.epochs > after:
            text = f"{trial}: epochs: {result.epochs}, expected at most {after}, what it has had"
            yield Fault(line, text)
        yield from _latency(line, ask, metrics, part_of(specification, "constraints"))
        yield from _evaluations(line, trial, metrics, known)
        if "fvcore" in metrics:
            yield from _fvcore(line, ask, metrics)
        if "data_checksum" in metrics:
            yield from differing(
                line, f"{trial}: data_checksum", metrics["data_checksum"], checksum
            )
        unusual = metrics.keys() ^ usually[_group(ask)] if result.completed else ()
        for name in sorted(unusual):
            has = "has" if name in metrics else "has no"
            text = f"{trial}: metrics: {has} {name}, unlike most of its stage"
            yield Fault(line, text, warning=True)


def _group(ask: Ask) -> str:
    """Returns the group of a trial; all trials of a group report the same metrics."""
    return str(ask.stage if ask.stage == "search" or ask.is_retrained else ask.kind)


def data_checksum(trials: Trials) -> str | None:
    """Returns the checksum of the data that most trials were trained on, if it is recorded."""
    checksum: str | None = usual(
        result.metrics.get("data_checksum") for _, result in trials.results
    )
    return checksum


def _test_metrics(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yields all values whose name is that of a test metric, at any depth."""
    if is_test(name):
        yield name, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _test_metrics(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _test_metrics(inner)


def _failed(line: int, result: Result) -> Iterator[Fault]:
    if not result.error:
        yield Fault(line, f"{result.trial}: error: {json.dumps(result.error)}, expected why "
                    "it failed")  # fmt: skip
    if "cause" in result.model_fields_set and result.cause not in get_args(Cause):
        allowed = ", ".join(get_args(Cause))
        cause = json.dumps(result.cause)
        yield Fault(line, f"{result.trial}: cause: {cause}, expected one of {allowed}")


def _evaluations(
    line: int, trial: str, metrics: Mapping[str, Any], known: Catalogue
) -> Iterator[Fault]:
    """Checks test metrics against the evaluations, and accuracies against confusion matrices."""
    primary = known.primary.name
    for protocol, parts in part_of(metrics, "evaluations").items():
        for part in ("validation", "test"):
            found = part_of(parts, part) if isinstance(parts, Mapping) else {}
            key = f"{trial}: evaluations.{protocol}.{part}.{primary}"
            if (protocol, part) == ("single", "test"):
                yield from differing(line, key, found.get(primary), metrics.get(known.test))
            if "mistakes" in found:
                yield from _mistakes(line, key, found["mistakes"], found.get(primary))
            confusion = found.get("confusion")
            if confusion is None:
                continue
            try:
                right = sum(row[label] for label, row in enumerate(confusion))
                expected = right / sum(map(sum, confusion))
                same = math.isclose(found["accuracy"], expected, abs_tol=1e-6)
            except (TypeError, LookupError, ZeroDivisionError):
                yield Fault(line, f"{key}: its confusion matrix is none")
                continue
            if not same:
                yield Fault(line, f"{key}: {json.dumps(found['accuracy'])}, expected {expected}, "
                            "that of its confusion matrix")  # fmt: skip


def _mistakes(line: int, key: str, mistakes: Any, primary: Any) -> Iterator[Fault]:
    """The primary metric is the fraction of images without a mistake."""
    try:
        expected = float(np.mean(unpacked(mistakes) == 0))
        same = math.isclose(primary, expected, abs_tol=1e-6)
    except (TypeError, ValueError, AttributeError):
        yield Fault(line, f"{key}: its mistakes cannot be read")
        return
    if not same:
        yield Fault(line, f"{key}: {json.dumps(primary)}, expected {expected}, that of its "
                    "mistakes")  # fmt: skip


def _latency(
    line: int, ask: Ask, metrics: Mapping[str, Any], constraints: Mapping[str, Any]
) -> Iterator[Fault]:
    """Checks that a search trial keeps the limit on measured latency."""
    limit, latency = part_of(constraints, "latency_ms"), metrics.get("latency_ms")
    if ask.stage != "search" or metrics.get("epochs_before") or "table" in limit:
        return
    if limit and is_number(latency) and latency > limit.get("limit", math.inf):
        text = f"{ask.trial}: latency_ms: {latency}, expected at most {limit['limit']}"
        yield Fault(line, text)


def _fvcore(line: int, ask: Ask, metrics: Mapping[str, Any]) -> Iterator[Fault]:
    """fvcore counts the analytic cost, except attention, so its MACs may be fewer."""
    counted, expected = metrics["fvcore"], dict(ask.cost)
    if flops_without(ask.cost, metrics) and isinstance(counted, dict):
        fewer = counted.get("macs")
        if isinstance(fewer, int) and fewer <= expected["macs"]:
            expected["macs"] = fewer
    yield from differing(line, f"{ask.trial}: fvcore", counted, expected)


def _stopped(line: int, trial: str, metrics: Mapping[str, Any], epochs: Any) -> Iterator[Fault]:
    had = metrics.get("epochs")
    if not is_number(had) or (is_number(epochs) and had >= epochs):
        most = "its epochs" if epochs is None else f"fewer than {epochs}, for it was stopped"
        yield Fault(line, f"{trial}: epochs: {json.dumps(had)}, expected {most}")


def _plausible(
    line: int, trial: str, metrics: Mapping[str, Any], known: Catalogue
) -> Iterator[Fault]:
    if wrong := known.fault(metrics):
        yield Fault(line, f"{trial}: {wrong}")


def _curve(line: int, trial: str, metrics: Mapping[str, Any], known: Catalogue) -> Iterator[Fault]:
    """Checks that the result is that of the kept epoch, and that the curve's seconds add up."""
    curve = metrics.get("curve")
    if curve is None:
        return
    if not (isinstance(curve, list) and curve and all(isinstance(p, dict) for p in curve)):
        yield Fault(line, f"{trial}: curve: {json.dumps(curve)}, expected one mapping per epoch")
        return
    found = [point.get("epoch") for point in curve]
    yield from differing(line, f"{trial}: curve: epoch", found, list(range(1, len(curve) + 1)))
    if "epochs" in metrics:
        yield from differing(line, f"{trial}: epochs", metrics["epochs"], len(curve))
    for point in curve[:-1]:
        yield from differing(line, f"{trial}: curve: keys", sorted(point), sorted(curve[-1]))
        yield from _plausible(line, f"{trial}: curve", point, known)
    kept = metrics.get("kept_epoch", len(curve))
    if type(kept) is not int or kept not in range(1, len(curve) + 1):
        yield Fault(line, f"{trial}: kept_epoch: {json.dumps(kept)}, expected 1 to {len(curve)}")
        return
    for name in [name for name in curve[-1] if name in metrics]:
        value = metrics[name]
        if not name.endswith("_seconds"):
            yield from differing(line, f"{trial}: {name}", value, curve[kept - 1].get(name))
            continue
        each = [point.get(name) for point in curve]
        if not all(map(is_number, [value, *each])) or not math.isclose(value, sum(each)):
            text = f"{trial}: {name}: {json.dumps(value)}, expected the sum of its curve's"
            yield Fault(line, text)
