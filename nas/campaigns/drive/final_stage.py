"""Selects what the final stage retrains and measures."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from nas.campaigns.drive.ledger import Ledger
from nas.campaigns.spec.campaign import Campaign
from nas.campaigns.store.history import History
from nas.campaigns.store.types import Ask
from nas.metrics import Catalogue


class Wanted(NamedTuple):
    """The asks of the final stage that are known, and how many more there may be."""

    asks: list[Ask]
    unknown: int


def wanted(campaign: Campaign, ledger: Ledger, searched: bool) -> Wanted:
    """Returns the asks of the final stage, as far as they are known.

    The classics depend on no result. The best architectures of the searches are known when the
    searches have ended, and the ensembles when all retrainings have ended.

    Args:
        campaign: the campaign with its numbers of finalists and its seeds.
        ledger: the recorded trials.
        searched: whether the searches have ended.
    """
    make, history, final = ledger.make, ledger.history, campaign.config.final
    asks = [make.classic(entry, seed) for entry in campaign.classics for seed in final.seeds]
    unknown = len(final.ensembles) * len(final.seeds)
    if not searched:
        return Wanted(asks, unknown)
    for position, search in enumerate(ledger.searches.values()):
        found = search.ranked()
        if final.lineages and not position:
            found = by_lineage(found, history)
        for best in islice(found, final.random_finalists if position else final.top):
            asks += [make.retrained(best, seed) for seed in final.seeds]
    asks += map(make.shared, islice(ledger.own.ranked(), final.shared))
    started = all(ask.trial in history.asks for ask in asks)
    if not started or any(ask.trial not in history.results for ask in _retrained(history)):
        return Wanted(asks, unknown)
    ranked = best_retrained(history, campaign.own_search, campaign.metrics)
    for size in final.ensembles:
        for seed in final.seeds if len(ranked) >= size else ():
            members = [history.asks[networks[seed]] for networks in ranked[:size]]
            asks.append(make.ensemble(members, seed))
    return Wanted(asks, 0)


def by_lineage(ranked: Iterable[Ask], history: History) -> Iterator[Ask]:
    """Yields the best ask, the best descendant of each other initial genotype, and the rest."""
    seen, others = set[str | None](), list[Ask]()
    for position, ask in enumerate(ranked):
        initial = history.founder(ask)[0].note.get("initial")
        if position == 0 or not (initial is None or initial in seen):
            yield ask
        else:
            others.append(ask)
        seen.add(initial)
    yield from others


def best_retrained(history: History, search: str, metrics: Catalogue) -> list[dict[int, str]]:
    """Returns the retrained architectures of a search, the best first, as trials by seed.

    They are ordered by the mean of the primary metric on validation images; among equals, the one
    that was suggested first comes first. Only architectures that have completed with every seed are
    included: the means of others are over other seeds, and some ensemble would lack a member.
    """
    networks: dict[str, dict[int, str]] = {}
    for ask in _retrained(history):
        if ask.is_of_space and history.asks[ask.label].search == search:
            networks.setdefault(ask.label, {})[ask.seed] = ask.trial
    seeds = {seed for each in networks.values() for seed in each}
    means: list[tuple[float, dict[int, str]]] = []
    for each in networks.values():
        results = [history.results[trial] for trial in each.values() if trial in history.results]
        known = [result.number(metrics.validation) for result in results if result.completed]
        values = [value for value in known if value is not None]
        if len(values) == len(seeds):
            means.append((metrics.primary.flipped(sum(values) / len(seeds)), each))
    return [each for _, each in sorted(means, key=lambda pair: pair[0])]


def _retrained(history: History) -> Iterator[Ask]:
    for ask in history.asks.values():
        if ask.is_retrained:
            yield ask
