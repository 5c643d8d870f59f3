"""What the evaluator of a campaign is called with: the request of each trial."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from nas.architecture.graph import Architecture
from nas.campaigns.drive import ensembles
from nas.campaigns.engines.base import Json, Shared
from nas.campaigns.spec.campaign import Campaign
from nas.campaigns.spec.hyperparameters import own_recipe
from nas.campaigns.store.checkpoints import weights_path
from nas.campaigns.store.log import History, Record
from nas.classics import CLASSICS, classic
from nas.errors import InputError
from nas.training.data import DataConfig, held_out, search_data
from nas.training.recipe import Recipe


class Requests:
    """Makes requests of asks: a function of the campaign and the ask, and of its members' asks."""

    def __init__(self, campaign: Campaign, history: History) -> None:
        self._campaign = campaign
        self._history = history
        self._built: tuple[str, Architecture | None] = "", None  # the last one, asked for twice

    def payload(self, ask: Record, continued: int | None) -> Json:
        """What the evaluator is called with: plain JSON, and the weights of an ensemble's members.

        Args:
            ask: of the trial.
            continued: the epochs that it goes on from.

        Raises :class:`InputError` where there is no such network at the trial's fidelity, or the
        weights of an ensemble's member are gone.
        """
        if "members" in ask:
            return self._ensemble(ask)
        test, recipe = ask["stage"] == "final", self.recipe(ask)
        if recipe is None or self._campaign.data is None:
            what = {"genotype": ask["genotype"]} if "genotype" in ask else {}
            return {
                **what,
                "fingerprint": ask["fingerprint"],
                "epochs": ask.get("fidelity"),
                "since": continued,
                "test": test,
            }
        if "initialization" in ask:
            recipe = recipe.with_reference(ask["initialization"])
        return {
            "architecture": self.architecture(ask).to_json(),
            "recipe": recipe.model_dump(mode="json"),
            "seed": ask["seed"],
            "cuda_graphs": self._campaign.config.engine.cuda_graphs,
            "test": test,
            **self._surroundings(self._campaign.data),
            "epochs": None,
            "compile": self._campaign.config.final.compile if test else "never",
            **({"protocol": self._campaign.config.final.protocol} if test else {}),
            **self._campaign.fidelities.request(
                ask.get("fidelity"), ask.get("genotype", {}), self._campaign.data
            ),
            "latency": self._latency(ask),
        }

    def shared(self, payload: Json) -> dict[str, Shared]:
        """What the trial is given of the data set: in a search, no image of the test part."""
        if self._campaign.data is None:
            return {}
        config = DataConfig.model_validate(payload["data"])  # of the trial's own resolution
        loaders: dict[str, Callable[[DataConfig], Any]] = {"search_data": search_data}
        if payload["test"]:
            loaders["test_data"] = held_out
        described = config.model_dump_json()
        return {
            name: Shared(f"{name} {described}", partial(load, config))
            for name, load in loaders.items()
        }

    def keeps(self, ask: Record) -> bool:
        """Whether what it has in the end is wanted: its weights, or its state to go on from."""
        config, recipe = self._campaign.config, self.recipe(ask)
        if recipe is None:
            return False
        if ask["stage"] == "final":
            return config.final.weights
        if config.inherit_weights:
            return bool(ask["search"] == config.searcher.name)
        if not self._campaign.fidelities.continued:
            return False
        return bool(ask.get("fidelity", recipe.epochs) < recipe.epochs)

    def recipe(self, ask: Mapping[str, Any]) -> Recipe | None:
        """What the trial is trained by; None where nothing is trained."""
        recipe = self._campaign.recipe
        if recipe is None or "members" in ask:
            return None
        return own_recipe(recipe, ask.get("genotype", {}))

    def identity(self, ask: Mapping[str, Any]) -> tuple[str, dict[str, int]]:
        """Fingerprint and cost of the network, or the networks, that the trial is of."""
        if "members" in ask:
            return ensembles.identity([self._history.asks[name] for name in ask["members"]])
        built = self.architecture(ask)
        return built.fingerprint, built.cost._asdict()

    def architecture(self, ask: Mapping[str, Any]) -> Architecture:
        """What the trial trains, or has looked up."""
        trial, built = self._built
        if built is None or trial != ask["trial"]:
            if "genotype" in ask:
                built = self._campaign.space.decode(ask["genotype"])
            else:
                shape, outputs = self._campaign.input_shape, self._campaign.outputs
                built = classic(ask["classic"], shape, outputs, **ask["options"])
            self._built = ask["trial"], built
        return built

    def _ensemble(self, ask: Record) -> Json:
        assert self._campaign.data is not None
        members, weights = [], []
        for name in ask["members"]:
            if not (path := weights_path(self._campaign.folder, name)).exists():
                raise InputError(f"{path}: is not there, the weights of a member of the ensemble")
            architecture = self.architecture(self._history.asks[name])
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
        engine = self._campaign.config.engine
        return {
            "data": config.model_dump(mode="json"),
            "device": "cpu" if engine.gpus_per_trial == 0 else "auto",
            "threads": engine.cpus_per_trial,
        }

    def _latency(self, ask: Record) -> Json | None:
        """Whether latency is measured, and the limit: the final stage retrains whatever it is."""
        config = self._campaign.config
        if not config.measures_latency:
            return None
        return {"limit": None if ask["stage"] == "final" else config.constraints.measured_latency}


def own_initialization(ask: Mapping[str, Any]) -> str:
    """What the initialisation "reference" is for what an ask is of."""
    return CLASSICS[ask["classic"]].initialization if "classic" in ask else "default"
