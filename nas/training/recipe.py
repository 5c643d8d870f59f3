"""Defines the recipe, which holds every hyperparameter of a training, and its fingerprint."""

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
    """All hyperparameters of a training. Dropout and drop path belong to the architecture."""

    epochs: int = Field(ge=1, le=10**6, description="Passes over the training images.")
    batch_size: int = Field(ge=2, le=10**6, description="Images per step.")
    initialization: Initialization = Field(
        "default",
        description="How initial weights are drawn; see `initialize`. `default`: as torch does. "
        "`reference`: a classic as its reference implementation or paper does, any other network "
        "as torch does; the rows of a table then differ in this, too.",
    )
    optimizer: Literal["sgd", "adamw", "rmsprop"] = Field(
        description="The optimizer; SGD has Nesterov momentum."
    )
    learning_rate: Positive = Field(description="The highest learning rate.")
    momentum: BelowOne = Field(0.9, description="Momentum of SGD and RMSProp; beta 1 of AdamW.")
    rmsprop_decay: BelowOne = Field(
        0.9, description="Decay of RMSProp's mean of squared gradients."
    )
    rmsprop_epsilon: Positive = Field(
        1.0,
        description="A constant that is added to the root of that mean; 1 as for Inception "
        "(Szegedy et al. 2016). TensorFlow adds it inside the root, and its mean begins at 1: see "
        "`make_optimizer`.",
    )
    weight_decay: NotNegative = Field(
        0.0,
        description="Weight decay: added to the gradient (SGD, RMSProp) or decoupled (AdamW).",
    )
    decay_norm_and_bias: bool = Field(
        False, description="Whether weight decay also applies to norms and biases."
    )
    schedule: Literal["constant", "cosine", "step", "exponential", "one_cycle"] = Field(
        "cosine", description="How the learning rate changes; see `learning_rate_at`."
    )
    warmup_epochs: Epochs = Field(
        0.0, description="Epochs in which the learning rate rises to its highest value."
    )
    steps: tuple[Inside, ...] = Field(
        (0.5, 0.75),
        description="Fractions of the training at which `step` reduces the learning rate.",
    )
    step_factor: Inside = Field(
        0.1, description="The factor by which `step` and `exponential` multiply the learning rate."
    )
    decay_epochs: Positive = Field(
        2.0, description="The number of epochs after which `exponential` multiplies it again."
    )
    label_smoothing: BelowOne = Field(
        0.0, description="Probability spread evenly over the classes (Szegedy et al. 2016, sec. 7)."
    )
    gradient_clip: Positive | None = Field(
        None, description="Largest L2 norm of the whole gradient; null: no limit."
    )
    weight_average: Inside | None = Field(
        None,
        description="Decay of an exponential moving average of the weights; if it is set, the "
        "averaged weights are evaluated.",
    )
    keep: Literal["last", "best"] = Field(
        "last",
        description="The weights that a training ends with: those after its `last` epoch, or those "
        "after the epoch with the `best` primary metric on validation images.",
    )
    auxiliary_weight: NotNegative = Field(
        0.4, description="Weight of the loss of each auxiliary head, if the architecture has any."
    )
    drop_path_schedule: Literal["constant", "linear"] = Field(
        "constant",
        description="With `linear`, the probability of drop path grows during training up to that "
        "of the architecture: scheduled drop path (Zoph et al. 2018).",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="bf16 is autocast; auto chooses the faster one: see `resolve_precision`.",
    )
    augment: tuple[Named, ...] = Field(
        (),
        description="The transformations of training images, in order, with their options: see "
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
                "with schedule one_cycle, the learning rate rises for warmup_epochs, then falls, "
                f"so warmup_epochs must be above 0 and below epochs ({self.epochs}), got "
                f"{self.warmup_epochs}"
            )
        return self

    @property
    def fingerprint(self) -> str:
        """Returns a hash, 16 hex digits, of the fields that differ from their defaults.

        Equal recipes have equal fingerprints. A fingerprint stays the same when a later version
        adds a field; for this, the default of a field must never change.
        """
        given = self.model_dump(mode="json", exclude_defaults=True)
        if self.augment:
            given["augment"] = [_without_defaults(step) for step in self.augment]
        return _digest(given)

    def with_reference(self, scheme: str) -> "Recipe":
        """Returns the recipe for a network: the initialization "reference" becomes ``scheme``."""
        if self.initialization != "reference":
            return self
        return self.model_copy(update={"initialization": scheme})

    def learning_rate_at(self, step: float, steps_per_epoch: int) -> float:
        """Returns the learning rate of a step; steps are counted from 0, and may be between two.

        - ``constant``: it stays at ``learning_rate``, the peak.
        - ``cosine``: it falls by half a cosine from the peak towards 0 (Loshchilov & Hutter,
          arXiv:1608.03983, eq. 5, without restarts).
        - ``step``: it is multiplied by ``step_factor`` at each of ``steps``.
        - ``exponential``: it is multiplied by ``step_factor`` after every ``decay_epochs`` epochs,
          as for Inception (Szegedy et al. 2016, arXiv:1512.00567, section 8).
        - ``one_cycle``: it rises by a cosine from peak / 25 to the peak over ``warmup_epochs``, and
          then falls by a cosine to peak / 250,000 (Smith & Topin, arXiv:1708.07120, with the
          defaults of torch's ``OneCycleLR``; the momentum is constant).

        All schedules except ``one_cycle`` first rise linearly over ``warmup_epochs`` (Goyal et al.,
        arXiv:1706.02677, section 2.2); the first step is one increment above 0. ``cosine`` then
        covers the remaining epochs, while ``steps`` are fractions of the whole training.
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
    """Returns two fingerprints of a recorded recipe: today's, and that of older versions.

    Older versions hashed all fields. Raises :class:`InputError` if it is not a valid recipe.
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
    """Adds to a recorded recipe the options of transformations that later versions have added."""
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
    """Makes a recipe from what users write, such as ``{preset: quick, epochs: 8}``.

    Without a preset, all fields that have no default must be given. Raises :class:`InputError` with
    the key path.
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
    """Checks that the task accepts the recipe, and each transformation images of a shape (C, H, W).

    Raises :class:`InputError` with the key path and the reason.
    """
    task.check_recipe(recipe.label_smoothing)
    for position, step in enumerate(recipe.augment):
        import torch

        from nas.training.pipeline import Pipeline

        if len(input_shape) != 3:
            raise InputError(
                f"{step.name} is for images, the data set has {len(input_shape) - 1} axes",
                *("augment", position),
            )
        images = torch.zeros(2, *input_shape, dtype=torch.uint8)
        labels = {
            "classes": torch.zeros(2, dtype=torch.int64),
            "masks": torch.zeros(2, *input_shape[1:], dtype=torch.uint8),
            "tags": torch.zeros(2, 1, dtype=torch.uint8),
            "values": torch.zeros(2, 1),
            "boxes": torch.zeros(2, 1, 5),
            "images": images,
        }[task.labels]
        with at("augment", position):
            Pipeline([step], task, classes=1)(images, labels, torch.Generator())


def _complete(steps: tuple[Named, ...]) -> tuple[Named, ...]:
    """Checks the steps and adds all defaults, so that writing out a default changes nothing."""
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
                    f"{step.name} comes after a transformation that mixes images; "
                    f"{' and '.join(MIXTURES)} must come last"
                )
    return tuple(complete)
