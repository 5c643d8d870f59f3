"""Compiles an architecture to a ``torch.fx.GraphModule`` whose module paths are node names."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from nas.architecture.graph import Architecture
from nas.architecture.node import INPUT
from nas.memory import check_memory

_SMALL = 2**27
"""The bytes up to which asking for the free memory takes longer than it is worth."""


class Network(fx.GraphModule):
    """The torch network of an architecture.

    In eval mode it returns the main output, ``[batch, *output_shape]``. In training mode an
    architecture with auxiliary heads returns the tuple of all outputs, the main one first.
    Pickling and copying keep the architecture and the weights and build the rest again, because
    a subclass of ``GraphModule`` cannot be pickled.
    """

    def __init__(self, architecture: Architecture) -> None:
        graph = _emit(architecture)
        super().__init__(_modules(architecture), graph, "Network")
        self.architecture = architecture
        self._graphs = {True: graph, False: graph}
        if len(architecture.outputs) > 1:
            self._graphs[False] = _emit(architecture.inference())

    def train(self, mode: bool = True) -> Network:
        """Switches to training or eval mode; eval mode drops the auxiliary heads from the graph."""
        super().train(mode)
        if self._graphs[mode] is not self._graph:
            self.graph = self._graphs[mode]
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.architecture, self.state_dict(), self.training)

    def __deepcopy__(self, memo: dict[int, Any]) -> Network:
        weights = {name: value.clone() for name, value in self.state_dict().items()}
        return _rebuild(self.architecture, weights, self.training)


def compile(architecture: Architecture) -> Network:
    """Builds the torch network of an architecture, in training mode.

    Weights have torch's default initialisation. They are drawn from the global generator in the
    order of the nodes; to repeat them, seed it, or use ``torch.random.fork_rng``. They are put on
    the device of a surrounding ``with torch.device(...)``.

    Raises:
        nas.memory.TooLarge: if the weights need more memory than there is.
    """
    needed = 4 * architecture.cost.params
    if needed > _SMALL and torch.get_default_device().type == "cpu":
        check_memory(needed, "the weights of the network")
    return Network(architecture)


def in_training(network: Network) -> fx.GraphModule:
    """Return the training graph over a network's modules, whatever the network's mode is."""
    return fx.GraphModule(network, _emit(network.architecture), "Network")


def _rebuild(architecture: Architecture, weights: dict[str, Tensor], training: bool) -> Network:
    with torch.device("meta"):  # draws nothing from the global generator
        network = Network(architecture)
    network.load_state_dict(weights, assign=True)
    return network.train(training)


def _modules(architecture: Architecture) -> dict[str, nn.Module | nn.Parameter]:
    modules: dict[str, nn.Module | nn.Parameter] = {}
    for node in architecture.nodes:
        inputs = tuple(architecture.shapes[name] for name in node.inputs)
        module = None if node.owner in modules else node.operation.module(inputs)
        if module is not None:
            modules[node.owner] = module
    return modules


def _emit(architecture: Architecture) -> fx.Graph:
    graph = fx.Graph()
    emitted = {INPUT: graph.placeholder(INPUT)}
    emitted[INPUT].meta["shape"] = architecture.input_shape
    for node in architecture.nodes:
        inputs = tuple(emitted[name] for name in node.inputs)
        emitted[node.name] = node.operation.emit(graph, node.owner, inputs)
        emitted[node.name].meta["shape"] = architecture.shapes[node.name]
    outputs = [emitted[name] for name in architecture.outputs]
    graph.output(outputs[0] if len(outputs) == 1 else tuple(outputs))
    graph.lint()
    return graph
