"""What proxies share: a private copy of the network, and the passes that several of them need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, update_wrapper
from time import perf_counter
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy

from nas.architecture.graph import Architecture
from nas.architecture.network import Network
from nas.architecture.node import INPUT
from nas.architecture.operations import Activation, Dropout, DropPath, Identity, Operation, Shape
from nas.architecture.passes import WEIGHTED


class Batch(NamedTuple):
    """Images and labels, at least two.

    Attributes:
        images: what networks take, float32 [N, *input_shape], on the device of the network.
        labels: whole numbers [N].
        loss: a function from outputs and labels to the mean loss.
    """

    images: Tensor
    labels: Tensor
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy


class Probe:
    """A copy of a network that proxies may change, and the passes that several of them share.

    It is made of the architecture and the weights, so the network's weights, buffers, gradients,
    mode and hooks remain as they are. Nothing is drawn from torch's global generators. Auxiliary
    heads, dropout and drop path are left out; norms use the statistics of the batch. What proxies
    look at inside the network are further outputs of its graph.

    Args:
        network: a compiled network.
        batch: images and labels.
        generator: where a proxy that needs random numbers begins; it is not advanced.
    """

    def __init__(self, network: Network, batch: Batch, generator: torch.Generator) -> None:
        self.architecture = without(network.architecture.inference(), Dropout, DropPath)
        self.batch = batch
        self._original = network
        self._seed = generator.get_state()
        self.layers = [
            node.name
            for node in self.architecture.nodes
            if isinstance(node.operation, WEIGHTED) and not node.weights
        ]
        """The names of convolutions and linear layers."""
        self.before_activations = [
            node.inputs[0]
            for node in self.architecture.nodes
            if isinstance(node.operation, Activation)
        ]
        """The names of the inputs of all activations, whatever their function."""

    @property
    def generator(self) -> torch.Generator:
        """Returns a generator that begins where the given one stands."""
        return torch.Generator().set_state(self._seed)

    def normal(self, like: Tensor) -> Tensor:
        """Draws standard normal numbers, the first ones of the generator, in a tensor's shape."""
        return torch.randn(like.shape, generator=self.generator).to(like)

    def copy(self) -> Network:
        """Copies the network as it was given."""
        return _copy(self._original.architecture, self._original)

    def build(self, architecture: Architecture, taps: Sequence[str] = ()) -> Run:
        """Makes a network of the same weights that also returns the outputs of some nodes."""
        main = architecture.outputs[0]
        names = [main, *(name for name in dict.fromkeys(taps) if name not in (main, INPUT))]
        tapped = Architecture(architecture.input_shape, architecture.nodes, names)
        return Run(_copy(tapped, self._original), names)

    @cached_property
    def run(self) -> Run:
        """The network, which also returns what its layers return and what its activations read."""
        return self.build(self.architecture, [*self.layers, *self.before_activations])

    @cached_property
    def weights(self) -> list[Tensor]:
        """The weights of the layers, without biases."""
        return self.run.weights(self.layers)

    @cached_property
    def forward(self) -> dict[str, Tensor]:
        """The outputs of nodes for the batch; ``input`` are the images."""
        return self.run(self.batch.images.detach().clone().requires_grad_())

    @property
    def output(self) -> Tensor:
        """The network's output for the batch."""
        return self.forward[self.architecture.outputs[0]]

    @cached_property
    def gradients(self) -> tuple[list[Tensor], list[Tensor]]:
        """The gradients of the loss by the weights of the layers, and by what they return."""
        loss = self.batch.loss(self.output, self.batch.labels)
        returned = [self.forward[name] for name in self.layers]
        found = gradients(loss, [*self.weights, *returned])
        return found[: len(returned)], found[len(returned) :]

    @cached_property
    def jacobian(self) -> Tensor:
        """The gradient of the sum of all outputs by each image, float64 [N, pixels]."""
        (found,) = gradients(self.output.sum(), [self.forward[INPUT]])
        return found.flatten(1).double()


class Run:
    """A network in training mode, called for the outputs of nodes by their names."""

    def __init__(self, network: Network, names: Sequence[str]) -> None:
        self.network = network.train()
        self._names = names

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Returns the outputs, the main one first, and the images as ``input``."""
        with sdpa_kernel(SDPBackend.MATH):  # the other kernels have no second derivative
            outputs = self.network(images)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return {**dict(zip(self._names, outputs, strict=True)), INPUT: images}

    def weights(self, layers: Sequence[str]) -> list[Tensor]:
        """Returns the weights of layers."""
        return [self.network.get_parameter(f"{name}.weight") for name in layers]


class Proxy:
    """A proxy as a function of a network, a batch and a generator; it changes none of them.

    It decorates a function of a probe. Proxies that are computed of one probe share passes.
    """

    def __init__(self, of: Callable[[Probe], float]) -> None:
        self._of = of
        update_wrapper(self, of)

    def of(self, probe: Probe) -> float:
        """Returns the value of the proxy for a probe."""
        return float(self._of(probe))

    def __call__(self, network: Network, batch: Batch, generator: torch.Generator) -> float:
        """Returns the value of the proxy; NaN or infinite if it is not defined for the network."""
        return self.of(Probe(network, batch, generator))


class Count(Proxy):
    """A proxy that is counted in the graph, so that it needs neither weights nor images.

    It decorates a function of an architecture.

    Attributes:
        count: this function.
    """

    def __init__(self, count: Callable[[Architecture], float]) -> None:
        super().__init__(lambda probe: count(probe.architecture))
        self.count = count
        update_wrapper(self, count)


class Value(NamedTuple):
    """The value of a proxy, and the seconds that it took.

    A pass that several proxies share counts for the first of them.
    """

    value: float
    seconds: float


def measure(
    proxies: Mapping[str, Callable[..., float]],
    network: Network,
    batch: Batch,
    generator: torch.Generator,
) -> dict[str, Value]:
    """Computes several proxies, each with the value that it has alone.

    Args:
        proxies: functions by name, as :data:`nas.proxies.PROXIES` finds them.
        network: a compiled network, which is left as it is.
        batch: at least two images with labels.
        generator: the source of random numbers, which is not advanced.
    """
    found = {}
    started = perf_counter()
    probe = Probe(network, batch, generator)
    for name, function in proxies.items():
        if isinstance(function, Proxy):
            value = function.of(probe)
        else:
            value = float(function(probe.copy(), batch, probe.generator))
        ended = perf_counter()
        found[name] = Value(value, ended - started)
        started = ended
    return found


def gradients(value: Tensor, inputs: Sequence[Tensor], again: bool = False) -> list[Tensor]:
    """Returns the gradients of a number; zeros where it does not depend on an input.

    So are those of an input that is constant, such as a map behind a zero operation. The graph is
    kept for further calls; ``again`` makes the gradients differentiable.
    """
    found = [torch.zeros_like(each) for each in inputs]
    changing = [i for i, each in enumerate(inputs) if each.requires_grad]
    if value.requires_grad and changing:
        of = [inputs[i] for i in changing]
        made = torch.autograd.grad(
            value, of, retain_graph=True, create_graph=again, materialize_grads=True
        )
        for i, gradient in zip(changing, made, strict=True):
            found[i] = gradient
    return found


def is_map(shape: Shape) -> bool:
    """Tells if a shape has several positions."""
    return max((0, *shape[1:])) > 1


def without(architecture: Architecture, *kinds: type[Operation]) -> Architecture:
    """Replaces all operations of some kinds by identities."""
    nodes = [
        node._replace(operation=Identity()) if isinstance(node.operation, kinds) else node
        for node in architecture.nodes
    ]
    return Architecture(architecture.input_shape, nodes, architecture.outputs)


def _copy(architecture: Architecture, original: Network) -> Network:
    """Makes a network of another architecture with copies of the weights of the original."""
    with torch.device("meta"):  # draws nothing from the global generator
        network = Network(architecture)
    names = network.state_dict().keys()
    state = {k: v.detach().clone() for k, v in original.state_dict().items() if k in names}
    network.load_state_dict(state, assign=True)
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.Hardsigmoid):
            network.set_submodule(name, _HardSigmoid())
    return network


class _HardSigmoid(nn.Module):
    """Computes what torch's does, with operations that have a second derivative."""

    def forward(self, x: Tensor) -> Any:
        """Returns numbers from 0 to 1, of the shape of ``x``."""
        return nn.functional.relu6(x + 3) / 6
