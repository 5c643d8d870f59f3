"""Makes the requests with which the evaluator of a campaign is called."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

from nas.campaigns.drive.checkpoint_policy import Start
from nas.campaigns.drive.networks import Networks
from nas.campaigns.engines.base import Json, Shared
from nas.campaigns.spec.campaign import Campaign
from nas.campaigns.spec.hyperparameters import own_recipe
from nas.campaigns.store.checkpoints import verify_weights, weights_path
from nas.campaigns.store.history import History
from nas.campaigns.store.types import SHARED, Ask, given
from nas.errors import InputError
from nas.files import read_bytes
from nas.training.data import DataConfig, held_out, search_data
from nas.training.recipe import Recipe
from nas.user_code import is_code


class Requests(ABC):
    """Makes requests from asks; there is one subclass per kind of evaluation.

    Args:
        campaign: the campaign with its data and recipe.
        networks: builds the architectures.
        history: the recorded trials, among them the members of ensembles.
    """

    def __init__(self, campaign: Campaign, networks: Networks, history: History) -> None:
        self._campaign = campaign
        self._networks = networks
        self._history = history

    @abstractmethod
    def request(self, ask: Ask, start: Start) -> Json:
        """Makes the evaluator's argument: plain JSON, and the weights of an ensemble's members.

        Args:
            ask: the ask of the trial.
            start: the state from which it starts.

        Raises :class:`InputError` if the network cannot be built at the trial's fidelity, or if the
        weights of an ensemble's member are missing.
        """

    def recipe(self, ask: Ask) -> Recipe | None:
        """Returns the recipe of the trial; None if nothing is trained."""
        return None

    def shared(self, request: Json) -> dict[str, Shared]:
        """Returns the trial's part of the data set; in a search there are no test images."""
        config = DataConfig.model_validate(request["data"])  # with the trial's own resolution
        loaders: dict[str, Callable[[DataConfig], Any]] = {"search_data": search_data}
        if request["test"]:
            loaders["test_data"] = held_out
        described = config.model_dump_json()
        return {
            name: Shared(f"{name} {described}", partial(load, config))
            for name, load in loaders.items()
        }

    def _surroundings(self) -> Json:
        assert self._campaign.data is not None
        config, engine = self._campaign.config, self._campaign.config.engine
        return {
            "task": config.task.model_dump(mode="json"),
            "metrics": [each.name for each in config.metrics if is_code(each.name)],
            "data": self._campaign.data.model_dump(mode="json"),
            "device": "cpu" if engine.gpus_per_trial == 0 else "auto",
            "threads": engine.cpus_per_trial,
        }


class Lookups(Requests):
    """Makes the requests for results that are looked up in a table."""

    def request(self, ask: Ask, start: Start) -> Json:
        """Makes the argument of :class:`nas.evaluators.tabular.Tabular`."""
        return {
            **({"genotype": ask.genotype} if ask.is_of_space else {}),
            "fingerprint": ask.fingerprint,
            "epochs": ask.fidelity,
            "since": start.epochs,
            "test": ask.stage == "final",
        }

    def shared(self, request: Json) -> dict[str, Shared]:
        """Returns nothing, because there are no images."""
        return {}


class Trainings(Requests):
    """Makes the requests for trainings."""

    def request(self, ask: Ask, start: Start) -> Json:
        """Makes the fields of :class:`nas.evaluators.training.Request`."""
        config, data, recipe = self._campaign.config, self._campaign.data, self.recipe(ask)
        assert data is not None
        if ask.initialization and recipe is not None:
            recipe = recipe.with_reference(ask.initialization)
        final, suggests = ask.stage == "final", self._campaign.evaluator.suggests
        limit = None if final else config.constraints.measured_latency
        file = config.constraints.latency_profile
        profile = None if file is None else str((self._campaign.folder / file).resolve())
        return {
            "architecture": self._networks.of(ask).to_json(),
            **given(recipe=None if recipe is None else recipe.model_dump(mode="json")),
            **({"genotype": ask.genotype} if suggests and ask.is_of_space else {}),
            "seed": ask.seed,
            "cuda_graphs": config.engine.cuda_graphs,
            "test": final,
            **({"shared": True} if ask.kind == SHARED else {}),
            **self._surroundings(),
            "epochs": None,
            "compile": config.final.compile if final else "never",
            **({"protocol": config.final.protocol} if final else {}),
            **self._campaign.fidelities.request(ask.fidelity, ask.genotype, data),
            "latency": {"limit": limit, **given(profile=profile)}
            if config.measures_latency
            else None,
            **given(seconds=None if final else getattr(config.time_limit, "trial_seconds", None)),
            **({} if ask.parent is None else {"inherit": self._inherit(start)}),
        }

    def _inherit(self, start: Start) -> Json:
        """Makes the fields of :class:`nas.evaluators.training.Inheritance`."""
        if start.parent is None:
            return {}
        return {"parent": self._networks.of(self._history.asks[start.parent]).to_json()}

    def recipe(self, ask: Ask) -> Recipe | None:
        """Returns the campaign's recipe, if it has one, with the choices of the genotype.

        With a time limit, trainings of the final stage may have more epochs.
        """
        if self._campaign.recipe is None:
            return None
        recipe = own_recipe(self._campaign.recipe, ask.genotype)
        limit = self._campaign.config.time_limit
        if ask.stage == "final" and limit is not None and limit.epochs is not None:
            return recipe.model_copy(update={"epochs": limit.epochs})
        return recipe


class Averages(Requests):
    """Makes the requests for ensembles, whose members' probabilities are averaged."""

    def request(self, ask: Ask, start: Start) -> Json:
        """Makes the fields of :class:`nas.evaluators.ensemble.Request`, and adds the weights."""
        members, weights = [], []
        for name in ask.members:
            if not (path := weights_path(self._campaign.folder, name)).exists():
                raise InputError(f"{path}: is not there, the weights of a member of the ensemble")
            verify_weights(path, self._history.results[name].weights)
            architecture = self._networks.of(self._history.asks[name])
            members.append({"trial": name, "architecture": architecture.to_json()})
            weights.append(read_bytes(path))
        config = self._campaign.config
        return {
            "members": members,
            "weights": weights,
            "test": True,
            "protocol": config.final.protocol,
            **given(calibrated=config.final.calibrated or None),
            **self._surroundings(),
            "latency": config.measures_latency and config.constraints.latency_profile is None,
        }


def requests(campaign: Campaign, networks: Networks, history: History) -> dict[str, Requests]:
    """Returns the makers of a campaign's requests by the kind of ask."""
    single = Lookups if campaign.data is None else Trainings
    network = single(campaign, networks, history)
    return {
        **dict.fromkeys(("searched", "random", "classic", SHARED), network),
        "ensemble": Averages(campaign, networks, history),
    }
