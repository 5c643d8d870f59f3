"""Draws the weights of a new network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial

from torch import Tensor, nn
from torch.nn import init
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from nas.architecture.network import Network
from nas.errors import InputError
from nas.registry import unknown
from nas.tasks.base import Task
from nas.training.datasets.labels import LabelArray

Draw = Callable[[Tensor], object]


@dataclass(frozen=True)
class Rules:
    """How each kind of parameter is drawn; None leaves it unchanged.

    Attributes:
        convolution: the rule for weights of convolutions.
        convolution_bias: the rule for their biases.
        linear: the rule for weights of linear layers.
        linear_bias: the rule for their biases.
        named: rules for single parameters, applied last, by ``fnmatch`` patterns of their names.
        by_group: whether each group of a convolution is drawn like a separate convolution, so that
            its fan-out is that of the group; torch's fan-out is always ``channels out * kernel``.
    """

    convolution: Draw | None = None
    convolution_bias: Draw | None = None
    linear: Draw | None = None
    linear_bias: Draw | None = None
    named: Mapping[str, Draw] = field(default_factory=dict)
    by_group: bool = False


def initialize(network: nn.Module, scheme: str) -> None:
    """Draws the weights of a network again, from torch's global generator.

    - ``kaiming_normal``, ``kaiming_uniform``: variance 2 / fan-in, which keeps the scale of
      activations through ReLU (He et al. 2015, arXiv:1502.01852, eq. 10); biases are 0.
    - ``xavier_normal``, ``xavier_uniform``: variance 2 / (fan-in + fan-out), a compromise between
      keeping the scale of activations and that of gradients through linear layers (Glorot & Bengio
      2010, eqs. 12 and 16); biases are 0.
    - ``default``: nothing changes. The network keeps torch's initial values, which are uniform
      within 1 / sqrt(fan-in), also for biases.
    - The schemes of reference implementations are named after the network, see :data:`RULES`.
      ``Classic.initialization`` names the scheme of each classic.

    Fan-in is the number of inputs of one output, ``channels / groups * kernel``. Parameters for
    which a scheme has no rule do not change: norms, which are 1 and 0 in a new network, and layer
    scales. Raises :class:`InputError` for an unknown scheme. A recipe's "reference" is not a scheme
    until :meth:`nas.training.recipe.Recipe.with_reference` has replaced it.
    """
    if scheme not in RULES:
        raise InputError(unknown("initialization", scheme, RULES))
    rules = RULES[scheme]
    for module in network.modules():
        if isinstance(module, _ConvNd):
            groups = module.weight.detach().chunk(module.groups if rules.by_group else 1)
            transposed = isinstance(module, _ConvTransposeNd)  # its input channels come first
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


def begin(network: nn.Module, scheme: str, task: Task, labels: LabelArray) -> None:
    """Draws the weights of a network by a scheme, and prepares them as a task begins its training.

    A network that is not compiled of an architecture prepares its layers as it draws them.
    """
    initialize(network, scheme)
    if isinstance(network, Network):
        for layer, prepare in task.start(network.architecture, labels).items():
            prepare(network.get_submodule(layer))


def _draw(rule: Draw | None, parameter: Tensor | None) -> None:
    if rule is not None and parameter is not None:
        rule(parameter)


def _everywhere(draw: Draw) -> Rules:
    return Rules(draw, init.zeros_, draw, init.zeros_)


def _normal(deviation: float) -> Draw:
    return partial(init.normal_, std=deviation)


def _truncated(deviation: float) -> Draw:
    """Draws from a normal distribution that is cut at -2 and 2, so hardly anything is cut off."""
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
        # It also sets 0.01 in AuxLogits.conv1, but on a module that its loop does not visit.
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
"""All schemes by name."""
