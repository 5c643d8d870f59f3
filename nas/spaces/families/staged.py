"""The family of macro spaces: a network is a row of stages whose layers are chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.architecture.operations.layers import Function
from nas.blocks import Block, Excitation, conv_norm, grouped_bottleneck, identity, mnasnet
from nas.blocks.attention import PLAIN
from nas.blocks.scaling import divisible
from nas.configuration import Config, defaults, validate_options
from nas.errors import InputError, at
from nas.registry import unknown
from nas.spaces.choices import Choose
from nas.spaces.families.family import Family, labelled, misfit
from nas.spaces.families.stages import Layer, Operation, Plan, Stage, ask

LABELS: Mapping[str, Callable[..., Handle]] = {
    "conv": mnasnet.conv,
    "separable": mnasnet.separable,
    "inverted_residual": mnasnet.inverted_residual,
    "bottleneck": grouped_bottleneck,
}
"""What ``layer:`` calls the blocks that papers of this family search over."""


class Stem(Config):
    """The first convolution, 3x3, with norm and activation."""

    channels: PositiveInt
    """The channels, before ``width_multiplier``."""
    activation: Function = "relu"
    """The activation."""


class Head(Config):
    """The layers behind the stages; those that are null are left out.

    They are a 1x1 convolution to ``channels``, global pooling, a linear layer of ``hidden``
    features, dropout, and the classifier. With ``adaptive``, the pooling is an operation that
    fvcore counts, as in torchvision.
    """

    channels: PositiveInt | None = None
    """Channels of a 1x1 convolution; null for none."""
    hidden: PositiveInt | None = None
    """Features of a hidden linear layer; null for none."""
    hidden_bias: bool = True
    """Whether the hidden layer has a bias."""
    activation: Function = "relu"
    """The activation of the convolution and of the hidden layer."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """The probability of dropout before the classifier."""
    adaptive: bool = False
    """Whether the pooling is an operation that fvcore counts, as in torchvision."""
    bias: bool = True
    """Whether the classifier has a bias."""


class Norm(Config):
    """The settings of every batch norm."""

    epsilon: PositiveFloat = 1e-5
    """The number that is added to the variance."""
    momentum: PositiveFloat = 0.1
    """The weight of a new batch in the running statistics."""


class Staged(Family):
    """Networks with a stem, stages of layers of one width, and a head.

    The first layer of a stage has the stage's stride; the others have stride 1. Choices, stage by
    stage, ``s`` from 0: ``stage{s}.width``, ``stage{s}.depth``, then ``.operation`` and the
    settings of the chosen operation. They are called ``stage{s}.kernel`` if the layers of a stage
    are alike (``each: stage``), and ``stage{s}.layer{i}.kernel`` if each layer has its own
    (``each: layer``).
    A choice with one option is not asked. The layer ``identity``, which leaves the layer out, is
    offered only where the layer would keep the shape.

    Some of these papers also choose the resolution. Here it is an argument of :func:`nas.space`,
    because an architecture is bound to the shape of its input.
    """

    family: Literal["staged"]
    """The name of the family."""
    stem: Stem
    """The first convolution."""
    strides: tuple[PositiveInt, ...]
    """The strides of the stem and of each stage."""
    norm: Norm = Norm()
    """The settings of every batch norm."""
    excitation: Excitation = PLAIN
    """How squeeze-and-excitation is computed in blocks that have it."""
    operations: Annotated[dict[str, Operation], Field(min_length=1)]
    """The layers that stages choose from, by label."""
    each: Literal["stage", "layer"]
    """Whether layers are chosen once per stage or one by one."""
    default: Stage = Stage()
    """The keys of stages that do not set them themselves."""
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    """The stages, in order."""
    head: Head = Head()
    """The layers behind the stages."""
    width_multiplier: PositiveFloat = 1.0
    """The factor of all widths, rounded to multiples of eight; the head's only grow by it."""
    own_weights: bool = False
    """Whether nodes are named after their operation too, so that unlike operations of a layer share
    no weights (:mod:`nas.supernet`), as in the supernets of papers."""

    @property
    def labels(self) -> Mapping[str, Callable[..., Handle]]:
        """The names that this family gives to the blocks of MnasNet and RegNet."""
        return LABELS

    def named_blocks(self) -> Mapping[str, str]:
        """Return the block of each operation."""
        return {f"operations.{label}.layer": op.layer for label, op in self.operations.items()}

    def check(self) -> None:
        """Raise :class:`InputError` unless strides, operations and settings fit each other."""
        if len(self.strides) != len(self.stages) + 1:
            raise InputError(
                "strides: must have one number for the stem and one for each of the "
                f"{len(self.stages)} stages, got {list(self.strides)}"
            )
        for label, operation in self.operations.items():
            block = self.block(operation.layer)
            with at("operations", label, "settings"):
                validate_options(block, operation.settings)
            if operation.layer not in self.labels and not self._layers[label].left_out:
                for stride in (1, 2):
                    if fault := misfit(self._layers[label].block, 8, 16, stride):
                        raise InputError(f"{operation.layer}: {fault}", "operations", label)
        used: set[str] = set()
        for number, stage in enumerate(self.stages):
            with at("stages", number):
                chosen = self._check_stage(stage.filled(self.default))
                self._check_settings(stage.settings, chosen)
            used |= chosen
        with at("default"):
            self._check_settings(self.default.settings, used)

    def _check_stage(self, stage: Stage) -> set[str]:
        """Return the operations of a stage whose defaults are filled in."""
        for key in ("operation", "width", "depth"):
            if not getattr(stage, key):
                raise InputError("is missing here and in default", key)
        for label in stage.operation:
            if label not in self.operations:
                message = unknown("operation", label, self.operations)
                raise InputError(message, "operation")
        layers = [label for label in stage.operation if not self._layers[label].left_out]
        if not layers or (len(layers) < len(stage.operation) and self.each == "stage"):
            raise InputError(
                "the layer identity must be one of several that are "
                f"chosen for each layer (each: layer), got {list(stage.operation)}",
                "operation",
            )
        return set(stage.operation)

    def _check_settings(
        self,
        settings: Mapping[str, tuple[Any, ...]],
        labels: Iterable[str],
    ) -> None:
        """Raise unless each setting is open in an operation, and each option right in all."""
        layers = {label: self._layers[label] for label in labels}
        allowed = sorted(set().union(*(layer.open for layer in layers.values())))
        for name, options in settings.items():
            if name not in allowed:
                raise InputError(unknown("setting", name, allowed), "settings")
            for label, layer in layers.items():
                if name in layer.open:
                    block = self.block(self.operations[label].layer)
                    for option in options:
                        with at("settings"):
                            validate_options(block, {name: option})

    def size(self) -> int:
        """Return the product over stages of the ways to choose widths, depths and layers.

        Whether a layer may be left out depends on the width that enters the stage, so the ways are
        summed over these widths.
        """
        ways = {self._scaled(self.stem.channels): 1}
        for plan in self._plans:
            entered, ways = ways, {}
            later = plan.ways(kept=True) if self.each == "layer" else 1
            for width in map(self._scaled, plan.widths):
                ways.setdefault(width, 0)
                for before, count in entered.items():
                    first = plan.ways(kept=plan.stride == 1 and before == width)
                    ways[width] += count * first * sum(later ** (d - 1) for d in plan.depths)
        return sum(ways.values())

    def architecture(
        self, choose: Choose, input_shape: Shape, classes: int
    ) -> Callable[[], Architecture]:
        """Ask stage by stage."""
        channels = self._scaled(self.stem.channels)
        layers: list[tuple[str, Block, int, int]] = []
        for number, plan in enumerate(self._plans):
            where = f"stage{number}"
            width = self._scaled(ask(choose, f"{where}.width", plan.widths))
            depth = ask(choose, f"{where}.depth", plan.depths)
            shared = plan.ask(choose, where, kept=False) if self.each == "stage" else None
            for index in range(depth):
                stride = 1 if index else plan.stride
                kept = stride == 1 and channels == width
                layer = shared or plan.ask(choose, f"{where}.layer{index}", kept)
                layers.append((f"{where}.{index}", layer, width, stride))
                channels = width
        return partial(self._build, input_shape, classes, layers)

    def _build(
        self, input_shape: Shape, classes: int, layers: list[tuple[str, Block, int, int]]
    ) -> Architecture:
        stem, head, norm = self.stem, self.head, self.norm
        g = Builder(input_shape, norm_epsilon=norm.epsilon, norm_momentum=norm.momentum)
        with g.scope("stem"):
            channels = self._scaled(stem.channels)
            x = conv_norm(g, g.input, channels, self.strides[0], activation=stem.activation)
        for name, layer, channels, stride in layers:
            with g.scope(name):
                x = layer(g, x, channels, stride)
        widened = self._scaled if self.width_multiplier > 1 else int
        with g.scope("head"):
            if head.channels:
                channels = widened(head.channels)
                x = conv_norm(g, x, channels, kernel=1, activation=head.activation)
            x = g.flatten(g.adaptive_avg_pool(x, 1)) if head.adaptive else g.global_pool(x)
            if head.hidden:
                x = g.linear(x, widened(head.hidden), head.hidden_bias, name="hidden")
                x = g.activation(x, head.activation)
            if head.dropout:
                x = g.dropout(x, head.dropout)
        return g.build(g.linear(x, classes, head.bias, name="classifier"))

    def _scaled(self, width: int) -> int:
        return width if self.width_multiplier == 1 else divisible(width * self.width_multiplier)

    @cached_property
    def _layers(self) -> Mapping[str, Layer]:
        """The layer that each operation builds, by the operation's name."""
        layers = {}
        for label, operation in self.operations.items():
            block, fixed = self.block(operation.layer), dict(operation.settings)
            settings = frozenset(defaults(block))
            bound = {"excitation": self.excitation} if "excitation" in settings else {}
            named = labelled(label, block) if self.own_weights else block
            layers[label] = Layer(
                partial(named, **bound, **fixed),
                settings - {"excitation", *fixed},
                left_out=block is identity,
            )
        return layers

    @cached_property
    def _plans(self) -> tuple[Plan, ...]:
        return tuple(
            Plan.of(stage.filled(self.default), stride, self._layers)
            for stage, stride in zip(self.stages, self.strides[1:], strict=True)
        )
