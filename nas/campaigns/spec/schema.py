"""Defines the keys of ``campaign.yaml``, with the types and limits of their values."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    WrapValidator,
    model_validator,
)

from nas.architecture.reading import Reading
from nas.campaigns.spec.budget import Budget
from nas.campaigns.spec.early_stopping import EarlyStopping
from nas.campaigns.spec.engine import LookupEngine, RayConfig, SerialConfig, TrainingEngine
from nas.campaigns.spec.fidelity import Axis
from nas.campaigns.spec.objectives import Objectives
from nas.campaigns.spec.time_limit import TimeLimit
from nas.configuration import Config, Named, keyed, several, validate
from nas.errors import InputError
from nas.evaluators.base import Shape
from nas.metrics import Protocol
from nas.searchers.duplicates import Policy
from nas.spaces.choices import Option, offered
from nas.spaces.constraints import Constraints
from nas.training.compilation import Compile

Section = Annotated[dict[str, Any], BeforeValidator(keyed)]
"""A section whose keys are checked by another module."""

Preset = Annotated[dict[str, Any], BeforeValidator(partial(keyed, key="preset"))]
"""The section ``recipe``."""


def _distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise InputError(f"each seed must be given once, got {list(seeds)}")
    return seeds


Seeds = Annotated[
    tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1), AfterValidator(_distinct)
]


MEMBERS = 20
"""The largest number of members of an ensemble; it is limited because the label names them all."""


class _Finalists(Config):
    """The architectures that the final stage retrains or looks up."""

    top: Annotated[int, Field(ge=0, le=10**6)] = 5
    """How many of the best architectures of the search are retrained, by the objectives."""
    lineages: bool = False
    """Whether the best descendant of each other genotype of ``initial`` comes right after the best
    architecture: short trainings favour what learns fast, and relatives share weaknesses."""
    top_random: Annotated[int, Field(ge=0, le=10**6)] | None = None
    """How many of the random baseline's are retrained; by default as many as ``top``, because the
    best of more finalists is better by chance."""
    classics: Annotated[tuple[Named, ...], BeforeValidator(several)] = ()
    """Classics with their options (``nas classics``); ``fit`` sets their size, and ``fitted`` is a
    whole set."""

    @property
    def random_finalists(self) -> int:
        """Returns the number of architectures of the random baseline that are retrained."""
        return self.top if self.top_random is None else self.top_random


class LookupFinal(_Finalists):
    """The final stage of a campaign with a table: each finalist's test metric is read once."""

    absent: ClassVar = "the evaluator trains nothing"
    seeds: ClassVar[tuple[int, ...]] = (0,)
    weights: ClassVar = False
    compile: ClassVar[Compile] = "never"
    protocol: ClassVar[Protocol] = "single"
    ensembles: ClassVar[tuple[int, ...]] = ()
    calibrated: ClassVar = False
    shared: ClassVar = 0


class Final(_Finalists):
    """The final stage of a campaign that trains: finalists are retrained and then tested."""

    seeds: Seeds = (0,)
    """Every finalist is trained from scratch with each of these seeds."""
    weights: bool = True
    """Whether the weights of the networks are kept, in the folder ``weights``."""
    compile: Compile = "never"
    """Whether torch.compile is used; ``auto`` uses it for trainings of 10,000 steps or more."""
    protocol: Protocol = "single"
    """An additional way to evaluate the networks: by several views of each image."""
    ensembles: tuple[Annotated[int, Field(ge=2, le=MEMBERS)], ...] = ()
    """Sizes of ensembles: for each, so many of the best networks of ``top`` are averaged."""
    calibrated: bool = False
    """Whether the scores of each member are divided by a temperature before they are averaged. It
    is found on the validation images, so members that are too sure of themselves count for less."""
    shared: Annotated[int, Field(ge=0, le=10**6)] = 0
    """How many of the best networks of the search are tested with the weights that the evaluator
    ``supernet`` has trained, without retraining."""

    @model_validator(mode="after")
    def _has_members(self) -> "Final":
        given = list(self.ensembles)
        if len(set(given)) < len(given):
            raise InputError(f"ensembles: each size must be given once, got {given}")
        if given and max(given) > self.top:
            raise InputError(
                f"ensembles: the members are among the finalists, so the largest allowed size is "
                f"top ({self.top}), got {max(given)}"
            )
        if self.calibrated and not given:
            raise InputError("calibrated: members of ensembles are, so give ensembles, got true")
        if given and not self.weights:
            raise InputError(
                "ensembles: need the weights of their members, so they are allowed only with "
                f"weights: true, got {given}"
            )
        return self


class Described(Config):
    """The options of a searched hyperparameter with a prior or an order."""

    options: tuple[Any, ...]
    """The options."""
    prior: tuple[float, ...] | None = None
    """One weight per option."""
    ordered: bool = False
    """Whether options that stand side by side are alike."""


def _options(given: Any, _: Any) -> tuple[Option, ...]:
    # It replaces pydantic's own validation, which would make a plain tuple of options with a prior.
    if not isinstance(given, Mapping | list):
        raise InputError(f"must be a list of options, got {given}")
    about = validate(Described, given if isinstance(given, Mapping) else {"options": given})
    try:
        return offered(about.options, about.prior, about.ordered)
    except ValueError as wrong:
        raise InputError(f"{wrong}, got {given}") from None


class Evaluated(Config):
    """The key that decides which other keys there are."""

    model_config = ConfigDict(extra="ignore")

    evaluator: Named = Named(name="training")


class _Keys(Config):
    """The keys that every ``campaign.yaml`` has."""

    space: Named
    """The search space: a name of ``nas spaces`` with its options, a YAML file, or a function."""
    searcher: Named
    """The searcher with its options, which are listed below."""
    random_baseline: bool = True
    """Whether random search runs too, with the same budget."""
    objectives: Objectives = ()
    """What the search optimises; by default, the primary metric of the task on the validation
    images."""
    constraints: Constraints = Constraints()
    """The largest costs."""
    budget: Budget
    """The budget of each search."""
    evaluator: Named = Named(name="training")
    """What makes the metrics of a trial: ``training``, ``proxy``, ``supernet``, ``gradient``,
    ``tabular``, or a function of yours."""
    task: Named = Named(name="classification")
    """What networks are trained for: a name of ``docs/tasks.md``, or a class of yours."""
    metrics: tuple[Named, ...] = ()
    """Further metrics: the place of a user's :class:`nas.metrics.Metric` of predictions, or the
    fields of a metric that the evaluator reports."""
    duplicates: Policy = "reuse"
    """What happens to a proposal that repeats an architecture: it gets the recorded result, at no
    cost (``reuse``), or counts as failed (``retry``), or is evaluated again (``evaluate``)."""
    seed: Annotated[int, Field(ge=0)] = 0
    """The seed of the searches."""

    @property
    def measures_latency(self) -> bool:
        """Tells if an objective or a limit needs the measured latency."""
        objective = any(each.metric == "latency_ms" for each in self.objectives)
        return objective or self.constraints.measured_latency is not None


class TrainingFile(_Keys):
    """The keys of a campaign whose trials are trained, or evaluated by a user's function."""

    data: Section
    """The data set, with its options and its split."""
    reading: Reading = "image"
    """How networks read an image: as an ``image``; as a series of its ``rows`` or ``columns``,
    whose channels are all values of a row or a column; as a ``volume``, whose depth is the
    channels; or as a ``stack`` of its channels, an image of one channel."""
    recipe: Preset | None = None
    """How networks are trained; only if a function of yours evaluates them, it can be left out."""
    time_limit: TimeLimit | None = None
    """The time in which the whole campaign has to be over."""
    early_stopping: Annotated[EarlyStopping, BeforeValidator(keyed)] | None = None
    """The rule that stops hopeless trainings."""
    inherit_weights: bool = False
    """Whether a child starts from those weights of its parent that both would share."""
    fidelity: Axis = "epochs"
    """The unit of ``min_fidelity`` and ``max_fidelity`` of a multi-fidelity searcher."""
    hyperparameters: dict[str, Annotated[tuple[Any, ...], WrapValidator(_options)]] = Field(
        default_factory=dict
    )
    """The keys of the recipe that are searched, with their options: a list, or
    ``{options: [...], prior: [...], ordered: true}``."""
    final: Final = Final()
    """What is retrained and tested when the search has ended."""
    engine: TrainingEngine = RayConfig()
    """Where and how trials run."""

    @model_validator(mode="after")
    def _has_a_recipe_where_one_is_needed(self) -> "TrainingFile":
        for key in ("early_stopping", "inherit_weights", "hyperparameters"):
            if self.recipe is None and getattr(self, key):
                raise InputError(f"{key}: needs a recipe")
        return self


class LookupFile(_Keys):
    """The keys of a campaign whose results are looked up: nothing is trained or measured."""

    final: LookupFinal = LookupFinal()
    """What is tested when the search has ended."""
    engine: LookupEngine = SerialConfig()
    """Where and how trials run."""

    absent: ClassVar = "the evaluator trains nothing"
    data: ClassVar = None
    reading: ClassVar[Reading] = "image"
    recipe: ClassVar = None
    time_limit: ClassVar = None
    early_stopping: ClassVar = None
    inherit_weights: ClassVar = False
    fidelity: ClassVar[Axis] = "epochs"
    hyperparameters: ClassVar[dict[str, tuple[Option, ...]]] = {}

    @model_validator(mode="after")
    def _takes_no_time(self) -> "LookupFile":
        if self.constraints.measured_latency is not None:
            raise InputError(
                "constraints.latency_ms: nothing is measured in a campaign with a table; give a "
                "table of latencies and its column"
            )
        timed = {"hours", "accelerator_hours"} & self.budget.limits.keys()
        if timed and self.engine.name != "simulated":
            raise InputError(
                "budget: looking up takes no time, except on the engine simulated; allowed: "
                f"trials, epochs, got {', '.join(sorted(timed))}"
            )
        return self


CampaignFile = TrainingFile | LookupFile
"""The keys of ``campaign.yaml``, which depend on the evaluator."""

SHAPES: dict[Shape, type[CampaignFile]] = {"training": TrainingFile, "lookup": LookupFile}
