"""What a layer of a staged space may be, and what may vary in it.

A layer is a function of a builder, a handle, its output's channels, its stride and the space's
:class:`Excitation`. Arguments behind the star are its settings: a space file fixes each, or gives
the options to choose from.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt

from nas import blocks
from nas.architecture.builder import Builder, Handle
from nas.architecture.operations.layers import Function
from nas.blocks import conv_norm, grouped_bottleneck, squeeze_excitation
from nas.classics.scaling import divisible
from nas.configuration import Config
from nas.registry import Registry


def _odd(kernel: int) -> int:
    if kernel % 2 == 0:
        raise ValueError("a kernel must be odd, or it does not keep the size")
    return kernel


Kernel = Annotated[PositiveInt, AfterValidator(_odd)]
Ratio = Annotated[float, Field(ge=0, le=1)]
Skip = Literal["identity", "pool", "none"]
"""What is added to a layer's output where its input has as many channels: the input, where the
stride is 1; its 3x3 average at the layer's stride; nothing."""


class Excitation(Config):
    """Squeeze-and-excitation in what its implementations differ.

    The setting ``squeeze`` of a layer is the ratio of the squeezed channels to those of the
    layer's input, or of the map that is weighed (``of: hidden``); the product becomes a multiple
    of ``divisor``, not more than a tenth below. ``adaptive`` takes the means by a pooling that
    fvcore counts.
    """

    of: Literal["input", "hidden"] = "input"
    divisor: PositiveInt = 1
    gate: Function = "sigmoid"
    adaptive: bool = False

    def apply(self, g: Builder, y: Handle, ratio: float, source: Handle, name: str) -> Handle:
        """``y`` weighed; ``source`` is the input of the layer."""
        full = source.channels if self.of == "input" else y.channels
        channels = divisible(ratio * full, self.divisor)
        return squeeze_excitation(g, y, name, channels, self.adaptive, gate=self.gate)


def conv(
    g: Builder,
    x: Handle,
    channels: int,
    stride: int,
    excitation: Excitation,
    *,
    kernel: Kernel = 3,
    squeeze: Ratio = 0.0,
    skip: Skip = "none",
    activation: Function = "relu",
) -> Handle:
    """A convolution, normed and activated; squeeze-and-excitation behind it."""
    y = conv_norm(g, x, channels, stride, kernel=kernel, activation=activation)
    if squeeze:
        y = excitation.apply(g, y, squeeze, x, "se")
    return _skipped(g, x, y, stride, skip)


def separable(
    g: Builder,
    x: Handle,
    channels: int,
    stride: int,
    excitation: Excitation,
    *,
    kernel: Kernel = 3,
    squeeze: Ratio = 0.0,
    skip: Skip = "none",
    activation: Function = "relu",
) -> Handle:
    """Depthwise, then pointwise convolution without activation (Tan et al. 2019, fig. 7c)."""
    names = ("depthwise", "bn1")
    y = conv_norm(
        g, x, None, stride, names, kernel=kernel, groups=x.channels, activation=activation
    )
    if squeeze:
        y = excitation.apply(g, y, squeeze, x, "se")
    y = conv_norm(g, y, channels, 1, ("pointwise", "bn2"), kernel=1, activation=None)
    return _skipped(g, x, y, stride, skip)


def inverted_residual(
    g: Builder,
    x: Handle,
    channels: int,
    stride: int,
    excitation: Excitation,
    *,
    kernel: Kernel = 3,
    expansion: PositiveFloat = 6.0,
    squeeze: Ratio = 0.0,
    skip: Skip = "identity",
    activation: Function = "relu",
) -> Handle:
    """The inverted residual (:func:`nas.blocks.inverted_residual`).

    The expanded width is ``expansion`` times the input's, rounded.
    """

    def excite(g: Builder, y: Handle, name: str) -> Handle:
        return excitation.apply(g, y, squeeze, x, name)

    y = blocks.inverted_residual(
        g,
        x,
        channels,
        stride,
        "block",
        max(round(x.channels * expansion), 1),
        excite if squeeze else None,
        shortcut=False,
        kernel=kernel,
        activation=activation,
    )
    return _skipped(g, x, y, stride, skip)


def bottleneck(
    g: Builder,
    x: Handle,
    channels: int,
    stride: int,
    excitation: Excitation,
    *,
    group_width: PositiveInt = 8,
    reduction: PositiveInt = 1,
    squeeze: Ratio = 0.0,
) -> Handle:
    """The block of RegNet and AnyNet (:func:`nas.blocks.grouped_bottleneck`).

    Its squeeze-and-excitation is RegNet's own, of the layer's input.
    """
    return grouped_bottleneck(
        g, x, channels, stride, group_width=group_width, reduction=reduction, squeeze=squeeze
    )


def identity(g: Builder, x: Handle, channels: int, stride: int, excitation: Excitation) -> Handle:
    """No layer at all; offered only where the layer would keep the shape."""
    return g.identity(x)


def _skipped(g: Builder, x: Handle, y: Handle, stride: int, skip: Skip) -> Handle:
    """``y`` with what ``skip`` says added."""
    if skip == "none" or x.channels != y.channels:
        return y
    if skip == "identity":
        return g.add(x, y) if stride == 1 else y
    return g.add(g.avg_pool(x, 3, stride, 1, count_include_pad=False), y)


LAYERS = Registry(
    "layer",
    {
        "conv": "nas.spaces.families.staged_layers:conv",
        "separable": "nas.spaces.families.staged_layers:separable",
        "inverted_residual": "nas.spaces.families.staged_layers:inverted_residual",
        "bottleneck": "nas.spaces.families.staged_layers:bottleneck",
        "identity": "nas.spaces.families.staged_layers:identity",
    },
)
"""What ``layer:`` in an operation may say."""
