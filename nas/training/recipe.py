"""The recipe: every training hyperparameter, frozen and hashed."""

import json
import math
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from nas.configuration import Config, Named, defaults, validate, validate_options
from nas.errors import InputError, at
from nas.registry import unknown
from nas.tasks.base import Task
from nas.training.presets import PRESETS

Epochs = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
Inside = Annotated[float, Field(gt=0, lt=1)]
Scheme = Literal[
    "default", "kaiming_normal", "kaiming_uniform", "xavier_normal", "xavier_uniform",
    "alexnet_2012", "convnext", "densenet", "efficientnet", "googlenet", "inception_v3", "mnasnet",
    "mobilenet_v1", "regnet", "resnet", "resnet_zero_last", "squeezenet", "vgg",
]  # fmt: skip
Initialization = Literal[Scheme, "reference"]


class Recipe(Config):
    """How a network is trained; what is built into it (dropout, say) is the architecture's."""

    epochs: int = Field(ge=1, description="Passes over the training images.")
    batch_size: int = Field(ge=2, description="Images a step.")
    initialization: Initialization = Field(
        "default",
        description="How weights are drawn; see `initialize`. `default`: as torch does. "
        "`reference`: a classic's by the scheme of its own reference or paper, any other "
        "network's as torch does; rows of a table then differ in this, too.",
    )
    optimizer: Literal["sgd", "adamw", "rmsprop"] = Field(
        description="SGD is with Nesterov momentum."
    )
    learning_rate: Positive = Field(description="Peak learning rate.")
    momentum: BelowOne = Field(0.9, description="SGD's and RMSProp's momentum, AdamW's beta 1.")
    rmsprop_decay: BelowOne = Field(0.9, description="Of RMSProp's mean of squared gradients.")
    rmsprop_epsilon: Positive = Field(
        1.0,
        description="Added to the root of that mean; 1 as Inception (Szegedy et al. 2016), though "
        "TensorFlow's is inside the root, and its mean begins at 1: see `make_optimizer`.",
    )
    weight_decay: NotNegative = Field(
        0.0,
        description="Times the weight: added to the gradient (SGD, RMSProp), decoupled (AdamW).",
    )
    decay_norm_and_bias: bool = Field(
        False, description="Whether parameters of one dimension (norms, biases) decay as well."
    )
    schedule: Literal["constant", "cosine", "step", "exponential", "one_cycle"] = Field(
        "cosine", description="How the learning rate falls; see `learning_rate_at`."
    )
    warmup_epochs: Epochs = Field(
        0.0, description="Epochs in which the learning rate rises to its peak."
    )
    steps: tuple[Inside, ...] = Field(
        (0.5, 0.75),
        description="Fractions of the training at which `step` cuts the learning rate.",
    )
    step_factor: Inside = Field(
        0.1, description="What `step` and `exponential` multiply the learning rate by."
    )
    decay_epochs: Positive = Field(2.0, description="How often `exponential` does.")
    label_smoothing: BelowOne = Field(
        0.0, description="Probability spread evenly over the classes (Szegedy et al. 2016, sec. 7)."
    )
    gradient_clip: Positive | None = Field(
        None, description="Largest L2 norm of the whole gradient; null: not clipped."
    )
    weight_average: Inside | None = Field(
        None,
        description="Decay of an exponential moving average of the weights, which is what is then "
        "evaluated; null: none.",
    )
    auxiliary_weight: NotNegative = Field(
        0.4, description="Of each auxiliary head's loss, for architectures that have heads."
    )
    drop_path_schedule: Literal["constant", "linear"] = Field(
        "constant",
        description="Whether the architecture's drop path has its probability all the time, or "
        "grows to it linearly over the training: scheduled drop path (Zoph et al. 2018).",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="bf16 is autocast; auto: where it is faster, see `resolve_precision`."
    )
    augment: tuple[Named, ...] = Field(
        (),
        description="Transformations of training images, in order, by name and options: see "
        "`nas.training.augmentation`.",
    )

    @model_validator(mode="after")
    def _warmup_fits(self) -> "Recipe":
        if self.warmup_epochs > self.epochs:
            raise InputError(
                f"warmup_epochs must be at most epochs ({self.epochs}), got {self.warmup_epochs}"
            )
        if self.schedule == "one_cycle" and not 0 < self.warmup_epochs < self.epochs:
            raise InputError(
                "schedule one_cycle rises for warmup_epochs and then falls: warmup_epochs must be "
                f"above 0 and below epochs ({self.epochs}), got {self.warmup_epochs}"
            )
        return self

    @property
    def fingerprint(self) -> str:
        """16 hex digits over the fields that differ from their defaults.

        It is equal exactly when the recipes are, and stays the same when a later version adds a
        field. For this, the default of a field must never change.
        """
        given = self.model_dump(mode="json", exclude_defaults=True)
        if self.augment:
            given["augment"] = [_without_defaults(step) for step in self.augment]
        return _digest(given)

    def with_reference(self, scheme: str) -> "Recipe":
        """The recipe of a network whose own initialisation is ``scheme``: "reference" is that."""
        if self.initialization != "reference":
            return self
        return self.model_copy(update={"initialization": scheme})

    def learning_rate_at(self, step: int, steps_per_epoch: int) -> float:
        """The learning rate of a step, counted from 0.

        - ``constant``: the peak.
        - ``cosine``: half a cosine from the peak towards 0 (Loshchilov & Hutter,
          arXiv:1608.03983, eq. 5, without restarts).
        - ``step``: the peak times ``step_factor`` for each of ``steps`` passed.
        - ``exponential``: the peak times ``step_factor`` for every ``decay_epochs`` passed, as
          Inception (Szegedy et al. 2016, arXiv:1512.00567, section 8).
        - ``one_cycle``: a cosine from peak / 25 up to the peak over ``warmup_epochs``, then one
          down to peak / 250,000 (Smith & Topin, arXiv:1708.07120, with torch's ``OneCycleLR``
          defaults; momentum stays as it is).

        The others rise linearly over ``warmup_epochs`` before (Goyal et al., arXiv:1706.02677,
        section 2.2), in equal increments, the first step one increment above 0. ``cosine`` runs
        over what is left; ``steps`` count from the start.
        """
        warm, total = self.warmup_epochs * steps_per_epoch, self.epochs * steps_per_epoch
        after = (step - warm) / (total - warm) if step > warm else 0.0
        match self.schedule:
            case "one_cycle" if step < warm:
                share = _cosine(1 / 25, 1.0, step / warm)
            case "one_cycle":
                share = _cosine(1.0, 1 / 250_000, after)
            case _ if step < warm:
                share = min(1.0, (step + 1) / warm)
            case "cosine":
                share = _cosine(1.0, 0.0, after)
            case "step":
                share = self.step_factor ** sum(step >= part * total for part in self.steps)
            case "exponential":
                share = self.step_factor ** (step // (self.decay_epochs * steps_per_epoch))
            case "constant":
                share = 1.0
        return self.learning_rate * share


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def fingerprints(recorded: Mapping[str, Any]) -> tuple[str, str]:
    """The fingerprints of a recorded recipe: today's, and that of older versions, over all fields.

    Raises :class:`InputError` where it is no recipe.
    """
    return validate(Recipe, recorded).fingerprint, _digest(recorded)


def _digest(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True)
    return blake2b(text.encode(), digest_size=8).hexdigest()


def _without_defaults(step: Named) -> dict[str, Any]:
    from nas.training.augmentation import TRANSFORMATIONS  # brings torch

    known = _plain_defaults(TRANSFORMATIONS[step.name])
    options = step.model_dump(mode="json").items()
    return {key: value for key, value in options if key == "name" or value != known.get(key, ...)}


def with_all_options(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """A recorded recipe whose transformations have the options that later versions have added."""
    if not recorded.get("augment"):
        return dict(recorded)
    from nas.training.augmentation import TRANSFORMATIONS  # brings torch

    steps = [
        {**_plain_defaults(TRANSFORMATIONS[step["name"]]), **step}
        if step.get("name") in TRANSFORMATIONS
        else step
        for step in recorded["augment"]
    ]
    return {**recorded, "augment": steps}


def _plain_defaults(function: Callable[..., Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(defaults(function)))
    return found


def resolve(data: Any) -> Recipe:
    """A recipe as users write it: ``{preset: quick, epochs: 8}``, or all fields without a preset.

    Raises :class:`InputError` with the key path.
    """
    values = data
    if isinstance(data, dict) and "preset" in data:
        preset = data["preset"]
        if not isinstance(preset, str) or preset not in PRESETS:
            with at("preset"):
                raise InputError(unknown("preset", preset, PRESETS))
        given = {key: value for key, value in data.items() if key != "preset"}
        values = {**PRESETS[preset], **given}
    recipe = validate(Recipe, values)
    if not recipe.augment:
        return recipe
    with at("augment"):
        return recipe.model_copy(update={"augment": _complete(recipe.augment)})


def check_augment(recipe: Recipe, task: Task, input_shape: tuple[int, ...]) -> None:
    """Tries each transformation on images of a shape (C, H, W), and asks the task for its targets.

    Raises :class:`InputError` with the key path and what keeps the transformation from such images,
    or the task from such a recipe.
    """
    task.check_recipe(recipe.label_smoothing)
    for position, step in enumerate(recipe.augment):
        import torch

        from nas.training.augmentation import Pipeline

        images = torch.zeros(2, *input_shape, dtype=torch.uint8)
        labels = torch.zeros(2, dtype=torch.int64)
        with at("augment", position):
            Pipeline([step], task, classes=1)(images, labels, torch.Generator())


def _complete(steps: tuple[Named, ...]) -> tuple[Named, ...]:
    """The steps, checked, with every default written out: so a default is no other recipe."""
    from nas.training.augmentation import MIXTURES, TRANSFORMATIONS  # brings torch

    complete = []
    for position, step in enumerate(steps):
        with at(position, "name"):
            function = TRANSFORMATIONS[step.name]
        with at(position):
            given = validate_options(function, step.options)
            complete.append(Named(name=step.name, **{**defaults(function), **given}))
            if step.name not in MIXTURES and any(s.name in MIXTURES for s in steps[:position]):
                raise InputError(
                    f"{step.name} stands behind a mixture of images; "
                    f"{' and '.join(MIXTURES)} come last"
                )
    return tuple(complete)
