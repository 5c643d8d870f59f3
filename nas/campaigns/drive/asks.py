"""Makes asks, complete as they are recorded: one method per kind of trial."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from nas.architecture.graph import Architecture
from nas.campaigns.drive.networks import Networks
from nas.campaigns.spec.campaign import BASELINE, Campaign
from nas.campaigns.spec.contestants import Contestant
from nas.campaigns.spec.hyperparameters import own_recipe
from nas.campaigns.store.history import History
from nas.campaigns.store.types import SHARED, SHARED_SUFFIX, Ask, given, trial_name
from nas.classics import CLASSICS
from nas.searchers import Proposal
from nas.training.recipe import Recipe


class Asks:
    """Makes the asks of a campaign.

    A recorded ask can be made :meth:`again`. If the two differ, the records or the program have
    changed.

    A campaign that an earlier version began continues with the fingerprints of that version, so
    that duplicates are found among all its trials. The version is known from a recorded
    fingerprint: ``like``, by default that of the first recorded ask.

    Args:
        campaign: the campaign with its data, recipe and seeds.
        history: the recorded trials.

    Attributes:
        networks: builds the architectures.
    """

    def __init__(self, campaign: Campaign, history: History) -> None:
        self.networks = Networks(campaign)
        self._campaign = campaign
        self._history = history
        self._seed = campaign.training_seed

    def searched(
        self,
        search: str,
        number: int,
        proposal: Proposal,
        elapsed: float = 0.0,
        seconds: float = 0.0,
        like: str = "",
    ) -> Ask:
        """Makes the ask for a searcher's proposal.

        Args:
            search: the name of the searcher.
            number: the searcher's own id of the trial.
            proposal: the proposal.
            elapsed: the seconds that runs of the campaign have taken so far.
            seconds: how long the searcher has measured zero-cost proxies for it.
            like: a fingerprint of the version whose rules are kept.

        Raises :class:`nas.errors.InputError` if the space has no such member.
        """
        network = self.networks.member(proposal.genotype)
        recipe = self._campaign.recipe
        inherits = self._campaign.config.inherit_weights
        return Ask(
            trial=trial_name(search, number),
            stage="search",
            kind="random" if search == BASELINE else "searched",
            search=search,
            number=number,
            genotype=proposal.genotype,
            note=dict(proposal.note),
            elapsed=elapsed,
            # All trials have the same seed, so that they differ only in the architecture.
            seed=self._seed,
            **self._identity(network, like),
            **given(
                initialization=_scheme(recipe and own_recipe(recipe, proposal.genotype), "default"),
                proposal_seconds=seconds or None,
                fidelity=proposal.fidelity,
                continues=proposal.continues,
                inherits=proposal.note.get("parent") if inherits else None,
            ),
        )

    def classic(self, entry: Contestant, seed: int, like: str = "") -> Ask:
        """Makes the ask for a classic in the final stage."""
        own = CLASSICS[entry.name].initialization
        return Ask(
            trial=f"final-{entry.label}-seed{seed}",
            stage="final",
            kind="classic",
            label=entry.label,
            seed=seed,
            classic=entry.name,
            options=entry.options,
            **self._identity(entry.architecture, like),
            **given(
                initialization=_scheme(self._campaign.recipe, own),
                further_costs=self._campaign.further_costs(entry.architecture) or None,
            ),
        )

    def retrained(self, searched: Ask, seed: int) -> Ask:
        """Makes the ask for a search trial's network in the final stage.

        The label is the trial in which the architecture was suggested. So a search that continues
        with a larger budget adds finalists and never renames one.
        """
        return Ask(
            trial=f"final-{searched.trial}-seed{seed}",
            stage="final",
            kind=searched.kind,
            label=searched.trial,
            seed=seed,
            genotype=searched.genotype,
            fingerprint=searched.fingerprint,
            cost=searched.cost,
            **given(initialization=searched.initialization or None),
        )

    def shared(self, searched: Ask) -> Ask:
        """Makes the ask for a search trial's network with the weights that all members share."""
        label = f"{searched.trial}{SHARED_SUFFIX}"
        return Ask(
            trial=f"final-{label}",
            stage="final",
            kind=SHARED,
            label=label,
            seed=self._seed,  # by which the shared weights were trained
            genotype=searched.genotype,
            fingerprint=searched.fingerprint,
            cost=searched.cost,
            **given(initialization=searched.initialization or None),
        )

    def ensemble(self, members: Sequence[Ask], seed: int) -> Ask:
        """Makes the ask for an ensemble of networks, the best first, retrained with one seed.

        The label names the members. So if a resumed campaign has other best architectures, it adds
        an ensemble and never renames one. The fingerprint is a hash of the members' fingerprints,
        and the cost is the sum of their costs.
        """
        numbers = "-".join(member.label.rpartition("-")[2] for member in members)
        label = f"ensemble-of-{len(members)}-{numbers}"
        together = ",".join(member.fingerprint for member in members)
        return Ask(
            trial=f"final-{label}-seed{seed}",
            stage="final",
            kind="ensemble",
            label=label,
            seed=seed,
            members=tuple(member.trial for member in members),
            fingerprint=blake2b(together.encode(), digest_size=16).hexdigest(),
            cost={name: sum(member.cost[name] for member in members) for name in members[0].cost},
        )

    def again(self, ask: Ask, number: int) -> Ask:
        """Makes the ask that the campaign now makes for the trial of a recorded one.

        Args:
            ask: the recorded ask.
            number: in the search stage, the number of the search's earlier suggestions.

        Raises :class:`nas.errors.InputError` if there is no such network.
        """
        asks, like = self._history.asks, ask.fingerprint
        if ask.stage == "search":
            proposal = Proposal(ask.genotype, ask.note, ask.fidelity, ask.continues)
            spent = ask.elapsed, ask.proposal_seconds
            return self.searched(ask.search, number, proposal, *spent, like)
        if ask.is_ensemble:
            return self.ensemble([asks[member] for member in ask.members], ask.seed)
        if ask.is_of_space:
            suggested = asks[ask.suggested_as]
            return (
                self.retrained(suggested, ask.seed) if ask.is_retrained else self.shared(suggested)
            )
        entries = (entry for entry in self._campaign.classics if entry.label == ask.label)
        entry = next(entries, None)  # the list of classics may have changed since
        if entry is None:
            network = self.networks.of(ask)
            entry = Contestant(ask.label, ask.classic, ask.options, network)
        return self.classic(entry, ask.seed, like)

    def _identity(self, network: Architecture, like: str) -> dict[str, Any]:
        """Returns the attributes ``fingerprint`` and ``cost`` of an ask."""
        first = next(iter(self._history.asks.values()), None)
        like = like or (first.fingerprint if first is not None else network.fingerprint)
        fingerprint, cost = network.recorded_as(like)
        return {"fingerprint": fingerprint, "cost": cost._asdict()}


def _scheme(recipe: Recipe | None, own: str) -> str | None:
    """Returns a network's own initialization scheme if the recipe says "reference".

    It is recorded with the trial, so that later versions repeat the trial in the same way.
    """
    return own if recipe is not None and recipe.initialization == "reference" else None
