"""Writes the notes below a campaign's table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from math import inf, isnan
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from nas.analysis.tables.columns import recorded
from nas.analysis.tables.rankings import Row, judged, judged_at_one_fidelity
from nas.analysis.tables.trials import trials
from nas.campaigns.spec.fidelity import FULL
from nas.campaigns.spec.objectives import minimised
from nas.campaigns.spec.objectives import recorded as objectives_of
from nas.campaigns.store.history import History
from nas.campaigns.store.types import Ask, Header, Json, Result
from nas.configuration import several
from nas.searchers.base import prediction
from nas.user_code import short_name
from nas.words import counted

_Groups = dict[str, list[tuple[Ask, Result]]]  # the ask and result of each, by label


def notes(history: History) -> Iterator[str]:
    """Yields the notes of one campaign that limit what can be concluded, one line each."""
    groups, failed = _ended(history)
    unfinished = history.unfinished()
    if failed or unfinished:
        yield _counts(history, failed, unfinished)
    if not groups:
        yield "the final stage has no result yet: values are those of the search"
    # If a retraining is not over, its row may still come.
    left = {ask.label for ask in unfinished if ask.stage == "final"}
    lost = {ask.label for ask in failed if ask.stage == "final"} - groups.keys() - left
    if lost:
        yield f"no row, because every trial of the final stage failed: {', '.join(sorted(lost))}"
    seeds = {len(runs) for runs in groups.values()}
    if seeds == {1}:
        yield "one seed per row: differences within the noise of seeds cannot be told apart"
    elif len(seeds) > 1:
        yield f"rows have different numbers of seeds: {', '.join(map(str, sorted(seeds)))}"
    yield from _chance_notes(history, groups)
    yield from _evaluation_notes(groups)
    ended = [result for runs in groups.values() for _, result in runs]
    cut = [result.number("epochs") or 0 for result in ended if result.metrics.get("out_of_time")]
    if cut:
        if "classics" in (history.header.specification.get("time_limit") or {}):
            yield (
                "classics had a time of their own (time_limit.classics): other rows were trained "
                "for longer, and are not better networks for that alone"
            )
        yield (
            f"{counted(len(cut), 'network')} of the final stage had no time for all epochs: from "
            f"{min(cut)} to {max(cut)}; their schedules followed the time"
        )
    yield from _ranking_notes(history)
    yield from _predictor_notes(history)
    if (history.header.specification.get("recipe") or {}).get("initialization") == "reference":
        own = {
            f"{label} {ask.initialization}"
            for label, runs in groups.items()
            for ask, _ in runs
            if ask.kind == "classic" and ask.initialization
        }
        yield initializations(own)


def details(history: History) -> Iterator[str]:
    """Yields the notes of one campaign that say how its numbers came about, one line each."""
    groups, failed = _ended(history)
    unfinished = history.unfinished()
    yield from _origin(history.header)
    if not failed and not unfinished:
        yield _counts(history, failed, unfinished)
    counts = Counter(ask.search for ask in history.duplicates)
    for search, count in counts.items():
        yield (
            f"{search}: {counted(count, 'proposal')} repeated an earlier trial of its own and "
            "spent no budget"
        )
    uncounted = sorted(
        {
            operator
            for runs in groups.values()
            for _, result in runs
            for operator in result.metrics.get("fvcore_uncounted", [])
        }
    )
    if uncounted:
        yield f"fvcore does not count: {', '.join(uncounted)}"


def _ended(history: History) -> tuple[_Groups, list[Ask]]:
    """Returns the final stage's trials by label, and all trials that failed."""
    groups: _Groups = {}
    failed = []
    for trial, result in history.results.items():
        ask = history.asks[trial]
        if result.status == "failed":
            failed.append(ask)
        elif ask.stage == "final":
            groups.setdefault(ask.label, []).append((ask, result))
    return groups, failed


def _counts(history: History, failed: Sequence[Ask], unfinished: Sequence[Ask]) -> str:
    stopped = sum(result.status == "stopped" for result in history.results.values())
    return (
        f"{counted(len(history.results), 'trial')}, {len(failed)} failed"
        + (f", {stopped} stopped early" if stopped else "")
        + (f", {len(unfinished)} unfinished: the campaign is not over" if unfinished else "")
    )


def _ranking_notes(history: History) -> Iterator[str]:
    """Yields how zero-cost proxies or shared weights ranked networks, beside parameters.

    Proxies are those of the evaluator and of the searcher. The networks are those of the search
    that were evaluated fully, or those of the final stage if the search trained none. A network
    that was trained with several seeds counts once, with its mean. Correlations are Spearman's.
    """
    specification = history.header.specification
    evaluator, proxies = _evaluator(specification), _proxies(specification)
    shared = evaluator == "supernet"
    if not (shared or proxies):
        return
    metrics = recorded(specification)
    primary = metrics[metrics.validation]
    completed = [
        (history.asks[trial], result.metrics)
        for trial, result in history.results.items()
        if result.status == "completed"
        and isinstance(result.metrics.get(metrics.validation), float)
    ]
    most = max((_fidelity(ask, specification) for ask, _ in completed), default=0)
    full = [each for each in completed if _fidelity(each[0], specification) == most]
    evaluated: dict[str, list[tuple[Ask, Json]]] = {}
    for stage in ("final",) if shared else ("search", "final"):
        for ask, found in full:
            if ask.stage == stage and (stage == "search" or ask.is_retrained):
                evaluated.setdefault(ask.label or ask.trial, []).append((ask, found))
        if evaluated:
            break

    def ranked(label: str, proxy: str) -> Any:
        if proxy:
            ask, found = evaluated[label][0]
            return found.get(proxy, ask.cost.get(proxy))
        measured = history.results.get(label)
        value = measured and measured.metrics.get(metrics.validation)
        return None if value is None else -primary.flipped(value)

    networks = "trained network" if evaluator in ("training", "proxy", "supernet") else "network"
    for proxy in [*([""] if shared else []), *proxies]:
        what = f"proxy {proxy}" if proxy else "shared weights"
        rows = [
            (
                ranked(label, proxy),
                runs[0][0].cost["params"],
                -primary.flipped(fmean(found[metrics.validation] for _, found in runs)),
            )
            for label, runs in evaluated.items()
            if isinstance(ranked(label, proxy), int | float)
        ]
        yield judged(what, [rows], primary.in_words, networks)


def _evaluator(specification: Json) -> str:
    name: str = specification.get("evaluator", {}).get("name", "training")
    return name


def _proxies(specification: Json) -> list[str]:
    """Returns the short names of the proxies that a campaign uses, each once."""
    own = _evaluator(specification) in ("training", "proxy")
    used = specification.get("evaluator", {}).get("proxies", []) if own else []
    searcher = specification.get("searcher") or {}
    for key in ("warm_start", "filter"):
        if isinstance(part := searcher.get(key), dict) and "proxy" in part:
            used = [*used, part["proxy"]]
    features = several(searcher.get("proxies", []))
    used = [*used, *(name for name in features if isinstance(name, str))]
    return list(dict.fromkeys(map(short_name, used)))


def _fidelity(ask: Ask, specification: Json) -> float:
    """Returns the fidelity of a trial; that of a full training if the ask has none."""
    by_epochs = specification.get("fidelity", "epochs") == "epochs"
    full = (specification.get("recipe") or {}).get("epochs", inf) if by_epochs else FULL
    return ask.fidelity or float(full)


def _predictor_notes(history: History) -> Iterator[str]:
    """Yields how the predictor of a search ranked what was evaluated next, beside parameters.

    Every prediction was made before its network was evaluated.
    """
    specification = history.header.specification
    objectives = objectives_of(specification)
    if len(objectives) != 1:
        return
    predicted: dict[str, dict[float, list[list[Row]]]] = {}
    for trial, result in history.results.items():
        ask = history.asks[trial]
        expected = prediction(ask.note, ask.fidelity)
        if result.completed and not isnan(expected):
            (value,) = minimised(objectives, ask, result.metrics)
            of_search = predicted.setdefault(ask.search, {})
            (rows,) = of_search.setdefault(_fidelity(ask, specification), [[]])
            rows.append((-expected, ask.cost["params"], -value))
    networks = "trained network" if _evaluator(specification) == "training" else "network"
    in_words = recorded(specification).in_words(objectives[0].metric)
    for search, found in predicted.items():
        yield judged_at_one_fidelity(f"predictions of {search}", found, in_words, networks)


def _chance_notes(history: History, groups: _Groups) -> Iterator[str]:
    """Yields the metrics at the level of chance, if the task measures them."""
    for _, result in (run for runs in groups.values() for run in runs):
        evaluations: Any = result.metrics.get("evaluations", {})
        try:
            chance = evaluations["single"]["test"]["chance"]
        except (LookupError, TypeError):  # other tasks have none, and older records no evaluations
            continue
        known = recorded(history.header.specification)
        named = {metric.name: metric.in_words for metric in known.task}
        told = [f"{named.get(name, name)} {value:.4g}" for name, value in chance.items()]
        yield (
            "a prediction that does not look at the images has, on test images: " + ", ".join(told)
        )
        return


def _evaluation_notes(groups: _Groups) -> Iterator[str]:
    """Yields notes on networks that were not evaluated in the same way as others."""
    found = [result.metrics.get("evaluations") for runs in groups.values() for _, result in runs]
    told: list[Json] = [each if isinstance(each, dict) else {} for each in found]
    lacking = {
        protocol: sum(protocol not in each for each in told)
        for protocol in dict.fromkeys(protocol for each in told for protocol in each)
    }
    if gaps := [f"{protocol} {count}" for protocol, count in lacking.items() if count]:
        yield (
            f"of {counted(len(told), 'network')} of the final stage some ended before "
            f"these evaluations were requested ({', '.join(gaps)}): their means are over the other "
            "networks"
        )
    averages = [result for runs in groups.values() for ask, result in runs if ask.is_ensemble]
    calibrated = sum("temperatures" in each.metrics for each in averages)
    if 0 < calibrated < len(averages):
        yield (
            f"final.calibrated: true for {calibrated} of {len(averages)} ensembles: the "
            "others are plain averages"
        )


def _origin(campaign: Header) -> Iterator[str]:
    specification = campaign.specification
    evaluator = specification.get("evaluator", {})
    if "table" in evaluator:
        looked_up = evaluator
        yield (
            f"all rows were looked up, nothing was trained: {', '.join(looked_up['table'])}, "
            f"validation {looked_up['validation']}, test {looked_up['test']}"
        )
        return
    if not {"recipe", "data"} <= specification.keys():
        return
    recipe, data = specification["recipe"], specification["data"]
    name = f"recipe {campaign.recipe}" if campaign.recipe else "one recipe"
    epochs = counted(recipe["epochs"], "epoch")
    if limit := specification.get("time_limit"):
        seconds = limit.get("trial_seconds")
        most = "" if seconds is None else f"at most {seconds:.3g} s or "
        epochs = f"{most}{epochs} in the search, at most {limit['epochs']} in the final stage"
    yield (
        f"every row: data {data['name']}, split seed {data['split']['seed']}, {name}, "
        f"{epochs}; selected by validation, test read once by the final stage"
    )


def initializations(own: Collection[str]) -> str:
    """Describes what the initialisation "reference" means for these classics."""
    named = f" ({', '.join(sorted(own))})" if own else ""
    return (
        "rows differ in initialisation: each classic has that of its reference, every other "
        f"network torch's default{named}"
    )


def budgets(campaigns: Mapping[str, Path]) -> Iterator[str]:
    """Compares how much the searches of all campaigns have spent.

    Args:
        campaigns: the folders of the campaigns by name; a single one has the name "".
    """
    parts = []
    for name, folder in campaigns.items():
        every = trials(folder)
        searched = every[every["stage"] == "search"]
        ended = searched[~searched["status"].isin(["unfinished", "duplicate"])]
        trained = ended["epochs"] - ended["epochs_before"].fillna(0)
        of = f"{name}: " if name else ""
        parts.append(pd.DataFrame({"search": of + ended["search"], "trials": 1, "epochs": trained}))
    every_trial = pd.concat(parts) if parts else pd.DataFrame({"search": [], "epochs": []})
    spent = every_trial.groupby("search", sort=False).sum()
    if len(spent) < 2:
        return
    # Trials of different lengths are not comparable, but epochs are.
    of_one_length = every_trial["epochs"].nunique() < 2
    unit = "trials" if of_one_length or (spent["epochs"] == 0).any() else "epochs"
    equal = spent[unit].nunique() == 1
    shares = ", ".join(f"{search} {count:,}" for search, count in spent[unit].items())
    yield f"the searches have spent {'equally' if equal else 'unequally'}: {shares} {unit}"
