"""Selects the members of the final stage's ensembles and makes their asks."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b

from nas.campaigns.spec.campaign import Campaign
from nas.campaigns.store.history import History
from nas.campaigns.store.types import Ask
from nas.metrics import Catalogue


def ensembles(campaign: Campaign, history: History) -> Iterator[Ask]:
    """Yields the asks for the ensembles, which are known when all retrainings are :func:`over`.

    A label names the members. So if a resumed campaign has other best architectures, it adds an
    ensemble and never renames one.
    """
    ranked = best_retrained(history, campaign.config.searcher.name, campaign.metrics)
    for size in campaign.config.final.ensembles:
        if len(ranked) < size:
            continue
        for seed in campaign.config.final.seeds:
            trials = [networks[seed] for networks in ranked[:size]]
            members = [history.asks[trial] for trial in trials]
            label = label_of(members)
            fingerprint, cost = identity(members)
            yield Ask(
                trial=f"final-{label}-seed{seed}",
                stage="final",
                kind="ensemble",
                label=label,
                seed=seed,
                members=tuple(trials),
                fingerprint=fingerprint,
                cost=cost,
            )


def over(history: History) -> bool:
    """Tells if all retrainings have ended."""
    return all(ask.trial in history.results for ask in _retrained(history))


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
        told = [result.number(metrics.validation) for result in results if result.completed]
        values = [value for value in told if value is not None]
        if len(values) == len(seeds):
            means.append((metrics.primary.flipped(sum(values) / len(seeds)), each))
    return [each for _, each in sorted(means, key=lambda pair: pair[0])]


def label_of(members: Sequence[Ask]) -> str:
    """Makes the label of an ensemble from its size and the numbers of its members' trials."""
    numbers = (ask.label.rpartition("-")[2] for ask in members)
    return f"ensemble-of-{len(members)}-{'-'.join(numbers)}"


def identity(members: Sequence[Ask]) -> tuple[str, dict[str, int]]:
    """Returns an ensemble's fingerprint, a hash of its members', and its cost, their sums."""
    together = ",".join(ask.fingerprint for ask in members)
    cost = {name: sum(ask.cost[name] for ask in members) for name in members[0].cost}
    return blake2b(together.encode(), digest_size=16).hexdigest(), cost


def _retrained(history: History) -> Iterator[Ask]:
    for ask in history.asks.values():
        if ask.stage == "final" and not ask.is_ensemble:
            yield ask
