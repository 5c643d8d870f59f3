"""How the weights of a new network are drawn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial

from torch import Tensor, nn
from torch.nn import init
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from nas.errors import InputError
from nas.registry import unknown

Draw = Callable[[Tensor], object]


@dataclass(frozen=True)
class Rules:
    """What each kind of parameter is drawn from; None: it stays as it is.

    Attributes:
        convolution: for weights of convolutions.
        convolution_bias: for their biases.
        linear: for weights of linear layers.
        linear_bias: for their biases.
        named: for single parameters, drawn last: patterns of their names, as of ``fnmatch``.
        by_group: whether each group of a convolution is drawn as a convolution of its own, so
            that fan-out is a group's; torch's fan-out is ``channels out * kernel`` in any case.
    """

    convolution: Draw | None = None
    convolution_bias: Draw | None = None
    linear: Draw | None = None
    linear_bias: Draw | None = None
    named: Mapping[str, Draw] = field(default_factory=dict)
    by_group: bool = False


def initialize(network: nn.Module, scheme: str) -> None:
    """Draw the weights of a network anew, from torch's global generator.

    - ``kaiming_normal``, ``kaiming_uniform``: variance 2 / fan-in, which keeps the scale of
      activations through ReLU (He et al. 2015, arXiv:1502.01852, eq. 10); biases are 0.
    - ``xavier_normal``, ``xavier_uniform``: variance 2 / (fan-in + fan-out), which is between
      what keeps activations and what keeps gradients through linear layers (Glorot & Bengio
      2010, eqs. 12 and 16); biases are 0.
    - ``default``: nothing is touched. The network keeps torch's draw: uniform within
      1 / sqrt(fan-in), biases too.
    - Those of reference implementations, named after the network: :data:`RULES` says what they
      draw. ``Classic.initialization`` names each classic's.

    Fan-in is the number of inputs of one output, ``channels / groups * kernel``. What a scheme
    has no rule for is left alone: norms, which are 1 and 0 in a new network, and layer scales.
    Raises :class:`InputError` for an unknown scheme, also for a recipe's "reference", which is
    none before :meth:`nas.training.recipe.Recipe.with_reference` has said whose.
    """
    if scheme not in RULES:
        raise InputError(unknown("initialization", scheme, RULES))
    rules = RULES[scheme]
    for module in network.modules():
        if isinstance(module, _ConvNd):
            groups = module.weight.detach().chunk(module.groups if rules.by_group else 1)
            transposed = isinstance(module, _ConvTransposeNd)  # its inputs come first
            for weight in groups:
                _draw(rules.convolution, weight.transpose(0, 1) if transposed else weight)
            _draw(rules.convolution_bias, module.bias)
        elif isinstance(module, nn.Linear):
            _draw(rules.linear, module.weight)
            _draw(rules.linear_bias, module.bias)
    for pattern, draw in rules.named.items():
        for name, parameter in network.named_parameters():
            if fnmatchcase(name, pattern):
                draw(parameter)


def _draw(rule: Draw | None, parameter: Tensor | None) -> None:
    if rule is not None and parameter is not None:
        rule(parameter)


def _everywhere(draw: Draw) -> Rules:
    return Rules(draw, init.zeros_, draw, init.zeros_)


def _normal(deviation: float) -> Draw:
    return partial(init.normal_, std=deviation)


def _truncated(deviation: float) -> Draw:
    """Normal within [-2, 2]: in absolute terms, so next to nothing is cut off."""
    return partial(init.trunc_normal_, std=deviation)


def _uniform_by_outputs(weight: Tensor) -> None:
    bound = len(weight) ** -0.5
    init.uniform_(weight, -bound, bound)


_kaiming_normal = partial(init.kaiming_normal_, nonlinearity="relu")
_kaiming_uniform = partial(init.kaiming_uniform_, nonlinearity="relu")
_fan_out = partial(_kaiming_normal, mode="fan_out")

RULES: dict[str, Rules] = {
    "default": Rules(),
    "kaiming_normal": _everywhere(_kaiming_normal),
    "kaiming_uniform": _everywhere(_kaiming_uniform),
    "xavier_normal": _everywhere(init.xavier_normal_),
    "xavier_uniform": _everywhere(init.xavier_uniform_),
    # Krizhevsky et al. 2012, section 5.
    "alexnet_2012": Rules(
        _normal(0.01),
        init.zeros_,
        _normal(0.01),
        init.zeros_,
        named={f"{name}.bias": init.ones_ for name in ("conv2", "conv4", "conv5", "fc6", "fc7")},
    ),
    # torchvision, models/<network>.py.
    "convnext": _everywhere(_truncated(0.02)),
    "densenet": Rules(_kaiming_normal, linear_bias=init.zeros_),
    "efficientnet": Rules(_fan_out, init.zeros_, _uniform_by_outputs, init.zeros_),
    "googlenet": Rules(_truncated(0.01), linear=_truncated(0.01)),
    "inception_v3": Rules(
        _truncated(0.1),
        linear=_truncated(0.1),
        # It asks for 0.01 in AuxLogits.conv1, too, on a module that its loop does not look at.
        named={"AuxLogits.fc.weight": _truncated(0.001)},
    ),
    "mnasnet": Rules(
        _fan_out,
        init.zeros_,
        partial(init.kaiming_uniform_, mode="fan_out", nonlinearity="sigmoid"),
        init.zeros_,
    ),
    "regnet": Rules(_fan_out, None, _normal(0.01), init.zeros_),
    "resnet": Rules(_fan_out),
    "squeezenet": Rules(
        _kaiming_uniform, init.zeros_, named={"classifier.1.weight": _normal(0.01)}
    ),
    "vgg": Rules(_fan_out, init.zeros_, _normal(0.01), init.zeros_),  # and MobileNet v2, v3
    # timm, models/_efficientnet_builder.py and models/resnet.py.
    "mobilenet_v1": Rules(_fan_out, init.zeros_, _uniform_by_outputs, init.zeros_, by_group=True),
    "resnet_zero_last": Rules(_fan_out, named={"layer*.bn3.weight": init.zeros_}),
}
"""Every scheme by name."""
