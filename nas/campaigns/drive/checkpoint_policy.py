"""Decides from which state a trial continues, and which states are kept."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from nas.campaigns.drive.ledger import Ledger
from nas.campaigns.engines.base import Outcome
from nas.campaigns.spec.campaign import Campaign
from nas.campaigns.store.checkpoints import Checkpoints, weights_path, write_weights
from nas.campaigns.store.types import Ask
from nas.errors import InputError
from nas.files import is_damaged
from nas.training.recipe import Recipe


class Start(NamedTuple):
    """The state from which a trial starts.

    Attributes:
        file: the file of the state; None if the trial starts from the beginning.
        own: whether an earlier attempt at the same trial has saved it.
        epochs: the epochs of the trial that it continues; None if it continues none.
        parent: the parent whose weights it inherits, if the state is that of the parent.
    """

    file: Path | None
    own: bool
    epochs: int | None
    parent: str | None = None


class CheckpointPolicy:
    """Keeps the states from which a trial may continue, and deletes all others.

    A checkpoint is deleted once no trial can continue from it: when its own trial can no longer be
    promoted, or has left the population whose weights are inherited.

    Args:
        campaign: the campaign.
        ledger: the recorded trials.
    """

    def __init__(self, campaign: Campaign, ledger: Ledger) -> None:
        self._campaign = campaign
        self._ledger = ledger
        self._files = Checkpoints(campaign.folder)

    def start(self, ask: Ask) -> Start:
        """Returns the state from which a trial starts: its own after a crash, or another trial's.

        Without a state it starts from the beginning, which takes longer but gives the same result.
        With inherited weights the state may also be that of the parent; without it, the trial
        starts from other weights.
        """
        asks, continued = self._ledger.history.asks, self._campaign.fidelities.continued
        found = own = self._find(ask.trial)
        epochs = None
        if ask.predecessor is not None and continued:
            before = asks[ask.predecessor]
            epochs = before.fidelity
            found = found or self._find(before.answered_by)
        if found is None and ask.parent is not None and (inherited := self._find(ask.parent)):
            return Start(inherited, own=False, epochs=epochs, parent=ask.parent)
        return Start(found, own is not None, epochs)

    def keeps(self, ask: Ask, recipe: Recipe | None) -> bool:
        """Tells if the trial's final weights, or its state to continue from, are kept."""
        config = self._campaign.config
        if recipe is None:
            return False
        if ask.stage == "final":
            return config.final.weights
        if config.inherit_weights:
            return ask.search == self._campaign.own_search
        if not self._campaign.fidelities.continued:
            return False
        return ask.fidelity is not None and ask.fidelity < recipe.epochs

    def saved(self, trial: str, state: bytes) -> None:
        """Saves the state of a running trial, so that it can continue after a crash."""
        self._files.write(trial, state)

    def keep(self, ask: Ask, outcome: Outcome) -> str | None:
        """Saves the final weights or state of a trial, before its result is recorded.

        Returns the checksum of the weights.
        """
        if ask.is_ensemble and outcome.status == "completed":
            weights = self._of_ensemble(ask)
            folder = self._campaign.folder
            return None if weights is None else write_weights(folder, ask.trial, weights)
        if outcome.checkpoint is None:
            return None
        if ask.stage == "final":
            return write_weights(self._campaign.folder, ask.trial, outcome.checkpoint)
        self._files.write(ask.trial, outcome.checkpoint)
        return None

    def _of_ensemble(self, ask: Ask) -> bytes | None:
        """Returns the weights of the network that an ensemble is; None if it is not one network."""
        from safetensors.torch import save

        from nas.architecture.surgery import ensemble_weights
        from nas.architecture.weights import read_weights

        asks, networks = self._ledger.history.asks, self._ledger.make.networks
        try:
            network = self._campaign.task.ensemble([networks.of(asks[m]) for m in ask.members])
        except InputError:
            return None
        paths = [weights_path(self._campaign.folder, member) for member in ask.members]
        return save(ensemble_weights(network, [read_weights(path).tensors for path in paths]))

    def ended(self, ask: Ask, outcome: Outcome, waiting: Iterable[Ask]) -> None:
        """Deletes the states that no trial can continue from, after a result is recorded.

        Args:
            ask: the ask of the trial that has ended.
            outcome: the outcome of that trial.
            waiting: the trials that are running or will be repeated.
        """
        if ask.stage == "final" or outcome.checkpoint is None:
            self._files.discard(ask.trial)
        if not self._files:
            return
        self._files.discard_ended(self._ledger.history.results, self._wanted(waiting))

    def _find(self, trial: str) -> Path | None:
        """Returns the file of a trial's state, unless it is damaged."""
        found = self._files.find(trial)
        return None if found is None or is_damaged(found) else found

    def clear(self) -> None:
        """Deletes the states of the campaign's trials at its end.

        Those of trials without a result stay: a time limit has stopped them, and a campaign with a
        later one continues them.
        """
        history = self._ledger.history
        kept = set[str]()
        if unfinished := history.unfinished():
            kept = {ask.trial for ask in unfinished} | self._wanted(unfinished)
        self._files.clear(history.asks.keys() - kept)

    def _wanted(self, waiting: Iterable[Ask]) -> set[str]:
        """Returns the trials from whose states others start or may start."""
        asks = self._ledger.history.asks
        wanted = {each for other in waiting for each in (other.parent, other.predecessor) if each}
        starts = (search.starts for search in self._ledger.searches.values())
        return {asks[trial].answered_by for trial in wanted}.union(*starts)
