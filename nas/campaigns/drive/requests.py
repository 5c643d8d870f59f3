"""Makes the requests with which the evaluator of a campaign is called."""

from collections.abc import Callable
from functools import partial
from typing import Any

from nas.campaigns.drive.networks import Networks
from nas.campaigns.engines.base import Json, Shared
from nas.campaigns.spec.campaign import Campaign
from nas.campaigns.spec.hyperparameters import own_recipe
from nas.campaigns.store.checkpoints import weights_path
from nas.campaigns.store.history import History
from nas.campaigns.store.types import Ask
from nas.errors import InputError
from nas.training.data import DataConfig, held_out, search_data
from nas.training.recipe import Recipe
from nas.user_code import is_code


class Requests:
    """Makes requests from asks; they depend only on the campaign and the asks."""

    def __init__(self, campaign: Campaign, history: History, networks: Networks) -> None:
        self._campaign = campaign
        self._history = history
        self._networks = networks

    def payload(self, ask: Ask, continued: int | None) -> Json:
        """Makes the evaluator's argument: plain JSON, and the weights of an ensemble's members.

        Args:
            ask: the ask of the trial.
            continued: the number of epochs from which it continues.

        Raises :class:`InputError` if the network cannot be built at the trial's fidelity, or if the
        weights of an ensemble's member are missing.
        """
        if ask.is_ensemble:
            return self._ensemble(ask)
        test, recipe = ask.stage == "final", self.recipe(ask)
        if recipe is None or self._campaign.data is None:
            what = {"genotype": ask.genotype} if ask.is_of_space else {}
            return {
                **what,
                "fingerprint": ask.fingerprint,
                "epochs": ask.fidelity,
                "since": continued,
                "test": test,
            }
        if ask.initialization:
            recipe = recipe.with_reference(ask.initialization)
        return {
            "architecture": self._networks.of(ask).to_json(),
            "recipe": recipe.model_dump(mode="json"),
            "seed": ask.seed,
            "cuda_graphs": self._campaign.config.engine.cuda_graphs,
            "test": test,
            **self._surroundings(self._campaign.data),
            "epochs": None,
            "compile": self._campaign.config.final.compile if test else "never",
            **({"protocol": self._campaign.config.final.protocol} if test else {}),
            **self._campaign.fidelities.request(ask.fidelity, ask.genotype, self._campaign.data),
            "latency": self._latency(ask),
        }

    def shared(self, payload: Json) -> dict[str, Shared]:
        """Returns the trial's part of the data set; in a search there are no test images."""
        if self._campaign.data is None:
            return {}
        config = DataConfig.model_validate(payload["data"])  # with the trial's own resolution
        loaders: dict[str, Callable[[DataConfig], Any]] = {"search_data": search_data}
        if payload["test"]:
            loaders["test_data"] = held_out
        described = config.model_dump_json()
        return {
            name: Shared(f"{name} {described}", partial(load, config))
            for name, load in loaders.items()
        }

    def keeps(self, ask: Ask) -> bool:
        """Tells if the trial's final weights, or its state to continue from, are kept."""
        config, recipe = self._campaign.config, self.recipe(ask)
        if recipe is None:
            return False
        if ask.stage == "final":
            return config.final.weights
        if config.inherit_weights:
            return ask.search == config.searcher.name
        if not self._campaign.fidelities.continued:
            return False
        return ask.fidelity is not None and ask.fidelity < recipe.epochs

    def recipe(self, ask: Ask) -> Recipe | None:
        """Returns the recipe of the trial; None if nothing is trained."""
        recipe = self._campaign.recipe
        if recipe is None or ask.is_ensemble:
            return None
        return own_recipe(recipe, ask.genotype)

    def _ensemble(self, ask: Ask) -> Json:
        assert self._campaign.data is not None
        members, weights = [], []
        for name in ask.members:
            if not (path := weights_path(self._campaign.folder, name)).exists():
                raise InputError(f"{path}: is not there, the weights of a member of the ensemble")
            architecture = self._networks.of(self._history.asks[name])
            members.append({"trial": name, "architecture": architecture.to_json()})
            weights.append(path.read_bytes())
        return {
            "members": members,
            "weights": weights,
            "test": True,
            "protocol": self._campaign.config.final.protocol,
            **self._surroundings(self._campaign.data),
            "latency": self._campaign.config.measures_latency,
        }

    def _surroundings(self, config: DataConfig) -> Json:
        engine, file = self._campaign.config.engine, self._campaign.config
        return {
            "task": file.task.model_dump(mode="json"),
            "metrics": [each.name for each in file.metrics if is_code(each.name)],
            "data": config.model_dump(mode="json"),
            "device": "cpu" if engine.gpus_per_trial == 0 else "auto",
            "threads": engine.cpus_per_trial,
        }

    def _latency(self, ask: Ask) -> Json | None:
        """Returns the settings of a latency measurement; the final stage has no limit."""
        config = self._campaign.config
        if not config.measures_latency:
            return None
        return {"limit": None if ask.stage == "final" else config.constraints.measured_latency}
