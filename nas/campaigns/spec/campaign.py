"""Reads ``campaign.yaml``, the experiment specification, and checks it before anything runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from nas.architecture.graph import Architecture
from nas.campaigns.spec import early_stopping, evaluation, hyperparameters, inheritance
from nas.campaigns.spec.contestants import Contestant, contestants
from nas.campaigns.spec.fidelity import Fidelities
from nas.campaigns.spec.frame import Frame
from nas.campaigns.spec.initial import Initial, initial_genotypes
from nas.campaigns.spec.objectives import complete
from nas.campaigns.spec.schema import SHAPES, CampaignFile, Evaluated
from nas.campaigns.spec.screening import Screening
from nas.campaigns.spec.searcher_options import own_options
from nas.campaigns.spec.space import own_constraints, read_space
from nas.campaigns.store.defaults import completed
from nas.campaigns.store.log import read_header
from nas.configuration import Named, validate, validate_options
from nas.errors import InputError, at, in_file
from nas.evaluators.base import Evaluator, Training, UserFunction
from nas.metrics import Catalogue
from nas.registry import resolve
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
    frame: Frame
    """What all networks have in common."""
    output_shape: tuple[int, ...]
    """The shape of the output of each network."""
    space: SearchSpace
    space_definition: dict[str, Any]
    fidelities: Fidelities
    initial: dict[str, Genotype]
    """What the campaign's own searcher starts from, by name."""
    screening: Screening
    """The zero-cost proxies that it uses."""
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
    def input_shape(self) -> tuple[int, ...]:
        """The shape of an image."""
        return self.frame.input_shape

    @property
    def outputs(self) -> int:
        """The number of outputs of each backbone; for classification, the number of classes."""
        return self.frame.outputs

    @property
    def own_search(self) -> str:
        """The name of the search that the campaign's own searcher makes."""
        name = short_name(self.config.searcher.name)
        # With a filter, random search is no baseline.
        return f"filtered_{name}" if name == BASELINE and self.screening.filter else name

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
        """Returns where the campaign's own searcher starts and what it may measure."""
        screen = self.screening.screen(self.space, self._proxy, self.evaluator.column)
        found: dict[str, Any] = {"initial": self.initial, "screen": screen}
        if (warm := self.screening.warm_start) is not None:
            best = in_file(self.file)(at("searcher", "warm_start")(warm.best))
            chosen = partial(best, self.space, seed, screen.scores[warm.proxy])
            found |= {"chosen": chosen, "count": warm.keep}
        return found

    def _proxy(self, name: str, batch: int) -> Callable[[Architecture], float]:
        """Loads what measures a proxy on so many training images."""
        scheme = getattr(self.recipe, "initialization", "default")
        where = "cpu" if self.config.engine.gpus_per_trial == 0 else "auto"
        made: Callable[[Architecture], float] = resolve("nas.evaluators.proxies:scorer")(
            *(name, self._images, self.task, batch, self.training_seed),
            *("default" if scheme == "reference" else scheme, resolve_device(where)),
        )
        return made

    @cached_property
    def _images(self) -> Any:
        """What proxies are measured on; loading it imports torch."""
        return resolve("nas.training.data:search_data")(self.data)

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
            kind = evaluation.kind_of(validate(Evaluated, given, folder).evaluator)
        return validate(SHAPES[getattr(kind, "shape", UserFunction.shape)], given, folder)


def _load(folder: Path) -> Campaign:
    config = read_file(folder)
    with at("task"):
        task = make(config.task)
    evaluator, screening = evaluation.read(config, folder)
    with at("metrics"):
        metrics = evaluation.metrics_of(config, task, evaluator)
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
        if config.final.calibrated:
            with at("final", "calibrated"):
                task.check_calibrated()
    else:
        assert evaluator.input is not None
        input_shape, classes = evaluator.input
    with at("task"):
        frame = Frame(input_shape, task.outputs(input_shape, classes), task, config.reading)
    with at("reading"):
        frame.check(classes)
    if training is not None:
        with at("recipe"):
            recipe.check_augment(training, task, input_shape)

    def variant(
        shape: tuple[int, ...], changes: Mapping[str, int]
    ) -> tuple[SearchSpace, dict[str, Any]]:
        entry = config.space.model_copy(update=changes)
        made, described = read_space(entry, folder, replace(frame, input_shape=shape))
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
        config.final.classics, frame, strictest(each for each, _ in constraints)
    )
    with at("searcher", "initial"):
        initial = _initial(config, found, folder)
    with at("evaluator"):
        evaluator.bind(found)
    evaluation.check(evaluator, config, classics)
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
        frame=frame,
        output_shape=task.output_shape(input_shape, classes),
        space=found,
        space_definition=described,
        fidelities=fidelities,
        initial=initial.genotypes,
        screening=screening,
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
    if evaluator.suggests and frame.reading != "image":
        raise InputError(
            f"the evaluator {config.evaluator.name} mixes operations on images; allowed: image, "
            f"got {frame.reading}",
            "reading",
        )
    stopping, name = config.early_stopping, config.evaluator.name
    early_stopping.check(stopping, config.objectives, metrics, own, evaluator, name, training)
    fidelities.check(own, training, task, config.measures_latency)
    if config.inherit_weights:
        inheritance.check(own, config.duplicates, evaluator, config.evaluator.name)
    return campaign


def _initial(config: CampaignFile, found: SearchSpace, folder: Path) -> Initial:
    """Returns the genotypes that ``initial`` names; searched recipe keys get their first option."""
    given = config.searcher.options.get("initial", [])
    first = {f"{RECIPE}{key}": options[0] for key, options in config.hyperparameters.items()}
    return initial_genotypes(given, found, folder, first)


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
