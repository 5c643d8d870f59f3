"""The NAS best practices checklist, filled in by a campaign.

Lindauer and Hutter, "Best Practices for Scientific Research on Neural Architecture Search",
JMLR 21 (2020), arXiv:1909.02453: the items are theirs, shortened. An answer is "yes" or "no" where
the records or ``resolved.json`` tell, else "not recorded": what was done outside of the campaign
is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd

from nas.campaigns.store.log import Record


class Item(NamedTuple):
    """One practice, whether it was followed, and why one may say so."""

    practice: str
    answer: str
    reason: str


YES, NO, UNKNOWN = "yes", "no", "not recorded"


def checklist(
    campaign: Record, told: dict[str, Any], trials: pd.DataFrame, budgets: list[str]
) -> dict[str, list[Item]]:
    """The items by group, in the paper's order.

    Args:
        campaign: the first record.
        told: ``resolved.json``.
        trials: of :func:`nas.analysis.tables.trials.trials`.
        budgets: the notes of :func:`nas.analysis.tables.verdict.budgets`.
    """
    question = campaign["question"]
    return {
        "Releasing code": list(_code(question, told)),
        "Comparing methods": list(_comparing(question, told, trials, budgets)),
        "Reporting details": list(_reporting(question, told, trials)),
    }


def _code(question: dict[str, Any], told: dict[str, Any]) -> Iterator[Item]:
    git = (told.get("environment") or {}).get("git") or {}
    commit, modified = str(git.get("commit") or ""), git.get("modified")
    if not commit:
        code = (UNKNOWN, "no commit of the code is recorded")
    elif modified:
        code = (NO, f"commit {commit[:12]} had uncommitted changes")
    else:
        code = (YES, f"commit {commit[:12]}, unmodified; whether it is public is not known here")
    for what in ("training pipeline of the final architectures", "search space", "NAS method"):
        yield Item(f"The code of the {what}, by its commit", *code)
    has_recipe = isinstance(question.get("recipe"), dict)
    yield Item(
        "Hyperparameters and seeds of the final evaluation",
        YES if has_recipe else UNKNOWN,
        "recipe with every default, and the seed of each training, are recorded" if has_recipe
        else "no recipe is recorded: results were looked up",
    )  # fmt: skip
    searcher = question.get("searcher") or {}
    yield Item(
        "Hyperparameters and seeds of the NAS method",
        YES if searcher and "seed" in question else UNKNOWN,
        f"{searcher.get('name', 'the searcher')} with every option, seed {question.get('seed')}",
    )  # fmt: skip


def _comparing(
    question: dict[str, Any], told: dict[str, Any], trials: pd.DataFrame, budgets: list[str]
) -> Iterator[Item]:
    searches = trials.loc[trials["stage"] == "search", "search"].nunique()
    own = trials["recipe"].notna().any()
    yield Item(
        "The same data, split, space and training code for all methods",
        NO if own else YES,
        "parts of the recipe were searched, so rows differ in it" if own
        else "one campaign: all its searches share them",
    )  # fmt: skip
    workers = trials["worker"].dropna().str.split("/").str[0].nunique()
    yield Item(
        "Confounders controlled: hardware, library versions, run time",
        NO if workers > 1 else YES if told.get("environment") else UNKNOWN,
        f"trials ran on {workers} hosts; whether these are alike is not recorded" if workers > 1
        else "one host and one set of versions, those of the last run" if told.get("environment")
        else "no environment is recorded",
    )  # fmt: skip
    yield Item("Ablation studies", UNKNOWN, "one campaign holds one setting: compare several")
    final = trials[(trials["stage"] == "final") & (trials["status"] == "completed")]
    yield Item(
        "The same evaluation protocol for all methods",
        YES if len(final) else NO,
        "all finalists and classics were retrained from scratch by one recipe, test read once"
        if len(final) else "nothing is retrained yet",
    )  # fmt: skip
    timed = bool(trials["ended_s"].notna().any())
    yield Item(
        "Performance over time", YES if timed else UNKNOWN,
        "the curve of the best so far is above" if timed else "no times are recorded",
    )  # fmt: skip
    random = bool((trials["kind"] == "random").any()) or (
        (question.get("searcher") or {}).get("name") == "random"
    )
    yield Item(
        "Comparison with random search", YES if random else NO,
        (budgets[0] if budgets else "random search alone") if random
        else "random_baseline is off",
    )  # fmt: skip
    yield Item(
        "Several runs of each search, seeds reported", NO,
        f"{searches} searches, each run once with seed {question.get('seed')}: finals have "
        f"{final['seed'].nunique()} seeds, the searches one",
    )  # fmt: skip
    tabular = "evaluator" in question
    yield Item(
        "Tabular or surrogate benchmarks for in-depth evaluation",
        YES if tabular else NO,
        "results were looked up in a table" if tabular
        else "every trial was trained; nas bench compares searchers on tables",
    )  # fmt: skip


def _reporting(
    question: dict[str, Any], told: dict[str, Any], trials: pd.DataFrame
) -> Iterator[Item]:
    yield Item(
        "How hyperparameters were tuned, and what that took", UNKNOWN,
        "the recipe is recorded, how it came about is not",
    )  # fmt: skip
    seconds = trials["seconds"].notna().any()
    yield Item(
        "Time of the whole method, not of the search alone",
        YES if seconds else UNKNOWN,
        "under costs: each search and the final stage" if seconds else "no times are recorded",
    )  # fmt: skip
    missing = [
        words
        for words, known in (
            ("hardware and versions", told.get("environment")),
            ("data checksum", told.get("data_checksum") or "evaluator" in question),
        )
        if not known
    ]
    yield Item(
        "All details of the experimental setup",
        NO if missing else YES,
        f"not recorded: {', '.join(missing)}" if missing
        else "under provenance: versions, hardware, checksum, seeds and every setting",
    )  # fmt: skip
