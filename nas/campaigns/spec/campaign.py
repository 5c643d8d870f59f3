"""Reads ``campaign.yaml``, the experiment specification, and checks it before anything runs."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nas.architecture.graph import Architecture
from nas.campaigns.spec import early_stopping, hyperparameters, inheritance
from nas.campaigns.spec.contestants import Contestant, contestants
from nas.campaigns.spec.fidelity import Fidelities
from nas.campaigns.spec.initial import Initial, initial_genotypes
from nas.campaigns.spec.objectives import complete
from nas.campaigns.spec.schema import SHAPES, CampaignFile, Evaluated
from nas.campaigns.spec.searcher_options import own_options
from nas.campaigns.spec.space import own_constraints, read_space
from nas.campaigns.spec.warm_start import WarmStart
from nas.campaigns.store.defaults import completed
from nas.campaigns.store.log import read_header
from nas.configuration import Named, validate, validate_options
from nas.errors import InputError, at, in_file
from nas.evaluators import EVALUATORS
from nas.evaluators.base import Evaluator, Training, UserFunction
from nas.metrics import COSTS, OWN, Catalogue, Metric
from nas.registry import resolve, unknown
from nas.searchers import SEARCHERS, Searcher, searcher
from nas.spaces.choices import RECIPE, Genotype
from nas.spaces.constrained_space import constrained
from nas.spaces.constraints import Constraints, further_costs, strictest
from nas.spaces.hyperparameters import joint
from nas.spaces.search_space import SearchSpace
from nas.tasks import Task, make
from nas.training import data, datasets, recipe
from nas.training.datasets.stored import check_memory_of
from nas.training.hardware import resolve_device
from nas.user_code import is_code, rooted, short_name
from nas.yaml_files import read_yaml

FILE_NAME = "campaign.yaml"

BASELINE = "random"
"""The searcher with which the others are compared."""


@dataclass(frozen=True, eq=False)
class Campaign:
    """A campaign whose parts fit each other; :func:`load_campaign` makes it."""

    folder: Path
    config: CampaignFile
    data: data.DataConfig | None
    """The data of the training; None, like checksum and recipe, if results are looked up."""
    data_checksum: str | None
    """The checksum of the split."""
    data_fingerprints: tuple[str, ...]
    """The fingerprints of all images and labels: that of this version, and of earlier ones."""
    recipe: recipe.Recipe | None
    evaluator: Evaluator
    task: Task
    metrics: Catalogue
    """The metrics of the campaign."""
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    """The shape of the output of each network."""
    outputs: int
    """The number of outputs of each network; for classification, the number of classes."""
    space: SearchSpace
    space_definition: dict[str, Any]
    fidelities: Fidelities
    initial: dict[str, Genotype]
    """What the campaign's own searcher starts from, by name."""
    warm_start: WarmStart | None
    """How it chooses further genotypes to start from."""
    classics: tuple[Contestant, ...]
    further_costs: Callable[[Architecture], dict[str, float]]
    """Computes what the constraints limit beside the counted cost."""
    notes: tuple[str, ...] = ()
    """Remarks for the run's log on what the campaign leaves out."""

    @property
    def data_fingerprint(self) -> str | None:
        """The fingerprint of all images and labels; None if results are looked up."""
        return self.data_fingerprints[0] if self.data_fingerprints else None

    @property
    def own_search(self) -> str:
        """The name of the search that the campaign's own searcher makes."""
        return short_name(self.config.searcher.name)

    @property
    def searches(self) -> dict[str, Named]:
        """The searchers to run, by the names of their searches, the campaign's own first."""
        baseline = {BASELINE: Named(name=BASELINE)} if self.config.random_baseline else {}
        return {self.own_search: self.config.searcher} | {
            name: entry for name, entry in baseline.items() if name != self.own_search
        }

    def searcher(self, name: str) -> Searcher:
        """Makes a searcher of :attr:`searches` in its initial state."""
        seed = (self.config.seed, list(self.searches).index(name))
        with in_file(self.file):
            with at("searcher"):
                entry = self.searches[name]
                given = rooted(own_options(entry), self.folder)
                options = validate_options(SEARCHERS[entry.name], given, self.folder)
            return searcher(
                entry.name,
                space=self.space,
                seed=seed,
                objectives=len(self.config.objectives),
                **(self._start(seed) if name == self.own_search else {}),
                **options,
            )

    def _start(self, seed: tuple[int, ...]) -> dict[str, Any]:
        """Returns where the campaign's own searcher starts, as arguments of a searcher."""
        if (warm := self.warm_start) is None:
            return {"initial": self.initial}
        scheme = getattr(self.recipe, "initialization", "default")
        where = "cpu" if self.config.engine.gpus_per_trial == 0 else "auto"
        scorer = partial(
            resolve("nas.evaluators.proxies:scorer"),
            *(warm.proxy, self.data, self.task, warm.batch, self.training_seed),
            *("default" if scheme == "reference" else scheme, resolve_device(where)),
        )
        named = in_file(self.file)(at("searcher", "warm_start")(warm.best))
        chosen = partial(named, self.space, seed, scorer)
        return {"initial": self.initial, "chosen": chosen, "count": warm.keep}

    @property
    def training_seed(self) -> int:
        """Returns the training seed of all search trials.

        It is not the campaign's seed, which is often among ``final.seeds``: a retraining with it
        would repeat the search trial bit for bit, and hide that this accuracy was selected.
        """
        return int(np.random.SeedSequence(self.config.seed, spawn_key=(1,)).generate_state(1)[0])

    @property
    def file(self) -> Path:
        """The YAML file."""
        return self.folder / FILE_NAME


def load_campaign(folder: Path) -> Campaign:
    """Reads ``campaign.yaml`` in ``folder`` and checks every part against the others.

    Data files are read, the space and the classics are built for them, the searchers made.
    Raises :class:`InputError` naming the file, the key path, the value and what is allowed.
    """
    with in_file(folder / FILE_NAME):
        return _load(folder)


def read_file(folder: Path) -> CampaignFile:
    """The keys of ``campaign.yaml`` in ``folder``, checked one by one."""
    path = folder / FILE_NAME
    with in_file(path):
        given = read_yaml(path)
        kind = Training
        if isinstance(given, Mapping):
            kind = _evaluator_kind(validate(Evaluated, given, folder).evaluator)
        return validate(SHAPES[getattr(kind, "shape", UserFunction.shape)], given, folder)


def _evaluator_kind(entry: Named) -> Any:
    """A subclass of :class:`Evaluator`, or a user's function."""
    with at("evaluator", "name"):
        return EVALUATORS.find(entry.name)


def _evaluator(entry: Named, folder: Path) -> Evaluator:
    kind = _evaluator_kind(entry)
    with at("evaluator"):
        if inspect.isclass(kind) and issubclass(kind, Evaluator):
            return kind(entry.options, folder)
        return UserFunction(entry.options, folder, name=entry.name)


def _load(folder: Path) -> Campaign:
    config = read_file(folder)
    with at("task"):
        task = make(config.task)
    with at("searcher", "warm_start"):
        warm_start, entry = WarmStart.read(config.searcher.options, config.evaluator, folder)
    evaluator = _evaluator(entry, folder)
    with at("metrics"):
        metrics = _metrics(config, task, evaluator)
    with at("objectives"):
        objectives = complete(config.objectives, metrics)
    config = config.model_copy(update={"objectives": objectives})
    loaded = training = None
    if config.recipe is None and evaluator.needs_recipe:
        raise InputError("Field required", "recipe")
    if config.recipe is not None:
        with at("recipe"):
            training = recipe.resolve(config.recipe)
    with at("searcher", "name"):
        SEARCHERS.find(config.searcher.name)
    if config.data is not None:
        with at("data"):
            section = data.resolve(config.data, folder)
            loaded = _loaded(section)
            input_shape, classes = _geometry(section, loaded.images), loaded.images.classes
            task.check_labels(loaded.images.kind)
            task.check_parts(loaded.labels)
        with at("final", "protocol"):
            task.check_protocol(config.final.protocol)
    else:
        assert evaluator.input is not None
        input_shape, classes = evaluator.input
    with at("task"):
        outputs = task.outputs(input_shape, classes)
    if training is not None:
        with at("recipe"):
            recipe.check_augment(training, task, input_shape)

    def variant(
        shape: tuple[int, ...], changes: Mapping[str, int]
    ) -> tuple[SearchSpace, dict[str, Any]]:
        entry = config.space.model_copy(update=changes)
        made, described = read_space(entry, folder, shape, outputs, task)
        with at("constraints"):
            made = constrained(made, config.constraints.before_training, folder)
        if training is None or not (config.hyperparameters or is_code(config.space.name)):
            return made, described
        check = hyperparameters.check(training, config.hyperparameters)
        return joint(made, config.hyperparameters, check), described

    found, described = variant(input_shape, {})
    if (begun := read_header(folder)) is not None:
        # A later version may have other defaults, but a campaign goes on as it began.
        found.mutations = found.mutations_with(**completed(begun.specification)["mutations"])
    fidelities = Fidelities(
        config.fidelity, input_shape, described.get("channels"), lambda *how: variant(*how)[0]
    )
    constraints = [(config.constraints, folder), *own_constraints(config.space, folder)]
    classics, remarks = contestants(
        config.final.classics,
        input_shape,
        outputs,
        strictest(each for each, _ in constraints),
        partial(task.network, outputs=outputs),
    )
    with at("searcher", "initial"):
        initial = _initial(config, found, folder)
    with at("evaluator"):
        evaluator.bind(found)
    _check_evaluator(evaluator, config, classics)
    campaign = Campaign(
        folder=folder,
        config=config,
        data=loaded.config if loaded else None,
        data_checksum=loaded.split.checksum if loaded else None,
        data_fingerprints=loaded.images.fingerprints if loaded else (),
        recipe=training,
        evaluator=evaluator,
        task=task,
        metrics=metrics,
        input_shape=input_shape,
        output_shape=task.output_shape(input_shape, classes),
        outputs=outputs,
        space=found,
        space_definition=described,
        fidelities=fidelities,
        initial=initial.genotypes,
        warm_start=warm_start,
        classics=tuple(classics.values()),
        further_costs=further_costs(constraints),
        notes=tuple(filter(None, [initial.note, *remarks, *(loaded.notes if loaded else ())])),
    )
    _try_space(campaign)
    own, *_ = [campaign.searcher(name) for name in campaign.searches]
    if own.takes_suggestions and not evaluator.suggests:
        raise InputError(
            f"{config.searcher.name} needs an evaluator that suggests networks; allowed: gradient, "
            f"got {config.evaluator.name}",
            *("evaluator", "name"),
        )
    if config.early_stopping is not None:
        early_stopping.check(config.objectives, metrics, own, evaluator, config.evaluator.name)
    fidelities.check(own, training, task, config.measures_latency)
    if config.inherit_weights:
        inheritance.check(own, config.duplicates, evaluator, config.evaluator.name)
    return campaign


def _initial(config: CampaignFile, found: SearchSpace, folder: Path) -> Initial:
    """Returns the genotypes that ``initial`` names; searched recipe keys get their first option."""
    given = config.searcher.options.get("initial", [])
    first = {f"{RECIPE}{key}": options[0] for key, options in config.hyperparameters.items()}
    return initial_genotypes(given, found, folder, first)


def _metrics(config: CampaignFile, task: Task, evaluator: Evaluator) -> Catalogue:
    """The task's metrics, and those that the campaign and its evaluator add."""
    own: list[Metric] = []
    reported = [*evaluator.reported]
    for position, entry in enumerate(config.metrics):
        with at(position):
            if not is_code(entry.name):
                reported.append(validate(Metric, {"name": entry.name, **entry.options}))
                continue
            if entry.options:
                raise InputError(
                    f"{entry.name}: its file declares it; leave out {', '.join(entry.options)}"
                )
            metric: Metric = OWN.find(entry.name)
            (reported if metric.function is None else own).append(metric)
    return Catalogue(task.metrics, own, reported)


def _check_evaluator(
    evaluator: Evaluator, config: CampaignFile, classics: Mapping[str, Contestant]
) -> None:
    """The evaluator can tell what the campaign asks of it."""
    if evaluator.metrics is not None:
        told = [*COSTS, *evaluator.metrics]
        for position, objective in enumerate(config.objectives):
            if objective.metric not in told:
                hint = unknown("metric", objective.metric, told)
                raise InputError(f"{hint}; {evaluator.more_metrics}", "objectives", position)
    if config.budget.epochs is not None and not evaluator.has_epochs:
        raise InputError(
            f"the evaluator {evaluator.label} does not tell of epochs; allowed: trials, or hours "
            f"and accelerator_hours of a simulated cluster, got {config.budget.epochs}",
            *("budget", "epochs"),
        )
    most, shared = config.budget.epochs, evaluator.shared_epochs
    if shared and most is not None and (most <= shared or len(config.budget.limits) == 1):
        raise InputError(
            f"the first trial trains {shared} epochs for all trials of the search, and the others "
            f"train none; allowed: more than {shared}, and a limit on trials or hours, got {most}",
            *("budget", "epochs"),
        )
    if config.final.shared and not evaluator.shares_weights:
        raise InputError(
            "tests networks with shared weights; allowed with the evaluator supernet alone, got "
            f"{config.final.shared} with {config.evaluator.name}",
            *("final", "shared"),
        )
    if evaluator.suggests and config.budget.trials == 1:
        raise InputError(
            "the first trial searches, and the second is the network that it has chosen; allowed: "
            "at least 2, got 1",
            *("budget", "trials"),
        )
    for position, contestant in enumerate(classics.values()):
        if reason := evaluator.refusal(contestant.architecture):
            raise InputError(f"{contestant.label}: {reason}", "final", "classics", position)


def _try_space(campaign: Campaign) -> None:
    """A first draw, so that a space that is empty or for other data is found before any trial."""
    constraints = campaign.config.constraints
    with at("constraints" if constraints != Constraints() else "space"):
        drawn = campaign.space.sample(np.random.default_rng(campaign.config.seed))
    if campaign.data is None:
        return
    with at("space"):
        built = campaign.space.decode(drawn)
        expected = (campaign.input_shape, campaign.output_shape)
        if (built.input_shape, built.output_shape) != expected:
            raise InputError(
                f"{campaign.space.name}: makes {built.output_shape} of {built.input_shape}, the "
                f"data need {expected[1]} of {expected[0]}; a function takes both as keyword-only "
                "arguments, input_shape and classes"
            )


def _loaded(config: data.DataConfig) -> data.Loaded:
    """Loads the data set without resizing official images.

    That would take torch, which the driver has no other use for; Pillow resizes the user's.
    """
    raw = config
    if config.name in datasets.OFFICIAL:
        raw = config.model_copy(update={"resolution": None})
    loaded = data.load(raw)
    split = loaded.config.split
    return replace(loaded, config=config.model_copy(update={"split": split}))


def _geometry(config: data.DataConfig, images: datasets.Images) -> tuple[int, ...]:
    """Returns the shape of an image after resizing."""
    side = config.options.get("resolution") if config.name in datasets.OFFICIAL else None
    channels, *sides = images.input_shape
    shape = (channels, *([side] * len(sides) if side else sides))
    if side:
        check_memory_of(len(images.labels), shape, config.name)
    return shape
