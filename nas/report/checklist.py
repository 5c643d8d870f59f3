"""Fills in the checklist of NAS best practices from a campaign's records.

The items are those of Lindauer and Hutter, "Best Practices for Scientific Research on Neural
Architecture Search", JMLR 21 (2020), arXiv:1909.02453, in short form. An answer is "yes" or "no" if
the records or ``resolved.json`` contain it. Otherwise it is "not recorded", because what was done
outside of the campaign is unknown here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd

from nas.campaigns.store.types import Header
from nas.words import counted


class Item(NamedTuple):
    """One practice, whether it was followed, and the reason for this answer."""

    practice: str
    answer: str
    reason: str


YES, NO, UNKNOWN = "yes", "no", "not recorded"


def checklist(
    campaign: Header, told: dict[str, Any], trials: pd.DataFrame, budgets: list[str]
) -> dict[str, list[Item]]:
    """Returns the items by group, in the paper's order.

    Args:
        campaign: the first record.
        told: the content of ``resolved.json``.
        trials: the table of :func:`nas.analysis.tables.trials.trials`.
        budgets: the notes of :func:`nas.analysis.tables.notes.budgets`.
    """
    specification = campaign.specification
    return {
        "Releasing code": list(_code(specification, told)),
        "Comparing methods": list(_comparing(specification, told, trials, budgets)),
        "Reporting details": list(_reporting(specification, told, trials)),
    }


def _code(specification: dict[str, Any], told: dict[str, Any]) -> Iterator[Item]:
    git = (told.get("environment") or {}).get("git") or {}
    commit, modified = str(git.get("commit") or ""), git.get("modified")
    if not commit:
        code = (UNKNOWN, "no commit of the code is recorded")
    elif modified:
        code = (NO, f"commit {commit[:12]} had uncommitted changes")
    else:
        code = (YES, f"commit {commit[:12]}, unmodified; whether it is public is not recorded")
    for what in ("training pipeline of the final architectures", "search space", "NAS method"):
        yield Item(f"The code of the {what}, by its commit", *code)
    has_recipe = isinstance(specification.get("recipe"), dict)
    yield Item(
        "Hyperparameters and seeds of the final evaluation",
        YES if has_recipe else UNKNOWN,
        "the recipe with every default and the seed of each training are recorded" if has_recipe
        else "no recipe is recorded",
    )  # fmt: skip
    searcher = specification.get("searcher") or {}
    yield Item(
        "Hyperparameters and seeds of the NAS method",
        YES if searcher and "seed" in specification else UNKNOWN,
        f"{searcher.get('name', 'the searcher')} with every option, "
        f"seed {specification.get('seed')}",
    )  # fmt: skip


def _comparing(
    specification: dict[str, Any], told: dict[str, Any], trials: pd.DataFrame, budgets: list[str]
) -> Iterator[Item]:
    searches = trials.loc[trials["stage"] == "search", "search"].nunique()
    own = trials["recipe"].notna().any()
    yield Item(
        "The same data, split, space and training code for all methods",
        NO if own else YES,
        "parts of the recipe were searched, so they differ between rows" if own
        else "all searches of this campaign share them",
    )  # fmt: skip
    workers = trials["worker"].dropna().str.split("/").str[0].nunique()
    yield Item(
        "Confounders controlled: hardware, library versions, run time",
        NO if workers > 1 else YES if told.get("environment") else UNKNOWN,
        f"trials ran on {workers} hosts; if these are alike is not recorded" if workers > 1
        else "there was one host and one set of versions, see the last run"
        if told.get("environment")
        else "no environment is recorded",
    )  # fmt: skip
    yield Item("Ablation studies", UNKNOWN, "a campaign has one setting; compare several campaigns")
    final = trials[(trials["stage"] == "final") & (trials["status"] == "completed")]
    tabular = "table" in (specification.get("evaluator") or {})
    how = "looked up in one table" if tabular else "retrained from scratch by one recipe"
    yield Item(
        "The same evaluation protocol for all methods",
        YES if len(final) else NO,
        f"all finalists and classics were {how}; test was read once"
        if len(final) else "the final stage has no result yet",
    )  # fmt: skip
    timed = bool(trials["ended_s"].notna().any())
    yield Item(
        "Performance over time", YES if timed else UNKNOWN,
        "the plots show the best so far over time" if timed else "no times are recorded",
    )  # fmt: skip
    random = bool((trials["kind"] == "random").any()) or (
        (specification.get("searcher") or {}).get("name") == "random"
    )
    yield Item(
        "Comparison with random search", YES if random else NO,
        (budgets[0] if budgets else "random search is the only searcher") if random
        else "random_baseline is off",
    )  # fmt: skip
    yield Item(
        "Several runs of each search, seeds reported", NO,
        f"{counted(searches, 'search', 'searches')}, each run once, with seed "
        f"{specification.get('seed')}; "
        f"final trainings have {counted(final['seed'].nunique(), 'seed')}",
    )  # fmt: skip
    yield Item(
        "Tabular or surrogate benchmarks for in-depth evaluation",
        YES if tabular else NO,
        "results were looked up in a table" if tabular
        else "every trial was trained; use nas bench to compare searchers on tables",
    )  # fmt: skip


def _reporting(
    specification: dict[str, Any], told: dict[str, Any], trials: pd.DataFrame
) -> Iterator[Item]:
    yield Item(
        "How hyperparameters were tuned, and what that took", UNKNOWN,
        "the recipe is recorded, but not how it was chosen",
    )  # fmt: skip
    seconds = trials["seconds"].notna().any()
    yield Item(
        "Time of the whole method, not of the search alone",
        YES if seconds else UNKNOWN,
        "see Costs for each search and the final stage" if seconds else "no times are recorded",
    )  # fmt: skip
    missing = [
        words
        for words, known in (
            ("hardware and versions", told.get("environment")),
            ("data checksum", told.get("data_checksum") or "evaluator" in specification),
        )
        if not known
    ]
    yield Item(
        "All details of the experimental setup",
        NO if missing else YES,
        f"not recorded: {', '.join(missing)}" if missing
        else "see Provenance for versions, hardware, checksum, seeds and every setting",
    )  # fmt: skip
