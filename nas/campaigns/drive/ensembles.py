"""The ensembles of the final stage: what they are of, and what they are asked as."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b

from nas.campaigns.spec.campaign import Campaign
from nas.campaigns.store.history import History
from nas.campaigns.store.types import Ask
from nas.metrics import Catalogue


def ensembles(campaign: Campaign, history: History) -> Iterator[Ask]:
    """The asks for the ensembles, known when all retrainings are :func:`over`.

    A label tells the members, so that a campaign that goes on and comes to others adds an ensemble
    and never renames one.
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
    """Whether every retraining that was asked for has ended."""
    return all(ask.trial in history.results for ask in _retrained(history))


def best_retrained(history: History, search: str, metrics: Catalogue) -> list[dict[int, str]]:
    """What was retrained of a search: of each architecture the trials by seed, the best first.

    By the mean of the primary metric on validation images; of equals, the first suggested. Only
    what has completed with every seed that any was retrained with: the means of the others are of
    other seeds, and they lack a member for some ensemble.
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
    """The label of the ensemble of these asks: how many, and the numbers that found them."""
    numbers = (ask.label.rpartition("-")[2] for ask in members)
    return f"ensemble-of-{len(members)}-{'-'.join(numbers)}"


def identity(members: Sequence[Ask]) -> tuple[str, dict[str, int]]:
    """Fingerprint and cost of an ensemble: a hash over its members', in order, and their sums."""
    together = ",".join(ask.fingerprint for ask in members)
    cost = {name: sum(ask.cost[name] for ask in members) for name in members[0].cost}
    return blake2b(together.encode(), digest_size=16).hexdigest(), cost


def _retrained(history: History) -> Iterator[Ask]:
    for ask in history.asks.values():
        if ask.stage == "final" and not ask.is_ensemble:
            yield ask
