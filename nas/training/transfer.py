"""Transfer learning: weights to start from, and the part of a network that is frozen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nas.architecture.graph import Architecture
from nas.architecture.network import Network
from nas.architecture.node import INPUT, Node
from nas.architecture.operations import Conv, Linear
from nas.architecture.weights import check_dtypes, matched, read_weights
from nas.errors import InputError
from nas.registry import unknown


class Started(NamedTuple):
    """The result of applying a :class:`Start`.

    It holds the frozen modules, the number of loaded parameters, and the names of the parameters
    that keep their initial values.
    """

    frozen: Sequence[nn.Module] = ()
    params: int = 0
    drawn: tuple[str, ...] = ()


@dataclass(frozen=True)
class Start:
    """The weights from which a training starts, and the part of the network that is frozen.

    The protocols are those of transfer learning (Yosinski et al. 2014, arXiv:1411.1792; Kornblith
    et al. 2019, arXiv:1805.08974, section 3.2): ``freeze="body"`` trains a new linear head on a
    fixed feature extractor, ``freeze="none"`` is fine-tuning.

    Attributes:
        weights: tensors by the names of the network's state dict, or by the names in a published
            file (:func:`nas.architecture.weights.matched`). Those whose name and shape agree are
            loaded; all other parameters keep their initial values. A first convolution for another
            number of channels is adapted (:func:`for_channels`).
        freeze: "none"; "body", which freezes everything except the head, that is the linear layers
            that no other weighted layer follows; or "until=NODE", which freezes that node and
            everything that it depends on. Frozen modules run as in evaluation: batch norms keep
            their statistics, and nothing is dropped.
        source: the source of the weights, for messages.
        partial: whether they may fill less than half of the network.
    """

    weights: Mapping[str, Tensor] = field(default_factory=dict)
    freeze: str = "none"
    source: str = "weights"
    partial: bool = False

    @classmethod
    def from_file(cls, path: Path | str, freeze: str = "none", partial: bool = False) -> Start:
        """Reads a state dict from a file: ``.safetensors``, or written by ``torch.save``."""
        tensors, part = read_weights(Path(path))
        source = f"{path} ({part})" if part else str(path)
        return cls(tensors, freeze, source, partial=partial)

    @torch.no_grad()
    def apply(self, network: nn.Module) -> Started:
        """Copies the weights into the network and freezes its parts.

        Raises :class:`InputError` if the weights fit no parameter, or too few, if they are no
        floats, if a frozen layer got no weights, or if nothing is left to train.
        """
        own, parameters = network.state_dict(), dict(network.named_parameters())
        weights = matched(self.weights, own)
        for name in _first_convolutions(network):
            if name in weights:
                weights[name] = for_channels(weights[name], own[name].shape[1])
        fitting = {n: t for n, t in weights.items() if n in own and own[n].shape == t.shape}
        check_dtypes(fitting, own, self.source)
        # Counters of batch norms are ignored: as scalars they fit every network with such a name.
        taken = sum(p.numel() for name, p in parameters.items() if name in fitting)
        if self.weights:
            self._check_enough(taken, parameters)
        network.load_state_dict(fitting, strict=False)
        drawn = tuple(name for name in parameters if name not in fitting)
        if self.freeze == "none":
            return Started((), taken, drawn)
        assert isinstance(network, Network)
        modules, frozen = dict(network.named_modules()), []
        for name in frozen_nodes(network.architecture, self.freeze):
            # A node is a module, a parameter (a layer scale), or a function without tensors.
            module = modules.get(name)
            tensors = [name] if module is None else [f"{name}.{t}" for t in module.state_dict()]
            for tensor in tensors:
                counter = tensor.endswith("num_batches_tracked")
                if tensor in own and tensor not in fitting and not counter:
                    raise InputError(
                        f"{self.source}: has no fitting {tensor}, which should be frozen "
                        f"(freeze: {self.freeze})"
                    )
            if module is not None:
                frozen.append(module.requires_grad_(False))
            elif name in parameters:
                parameters[name].requires_grad_(False)
        if not any(parameter.requires_grad for parameter in parameters.values()):
            raise InputError(f"freeze: {self.freeze}: leaves no parameter to train")
        return Started(frozen, taken, drawn)

    def _check_enough(self, taken: int, parameters: Mapping[str, Tensor]) -> None:
        """Raises :class:`InputError` if the weights fill less than half of the network."""
        both = f"it has {_first(self.weights)}, the network {_first(parameters)}"
        if not taken:
            raise InputError(
                f"{self.source}: no tensor has the name and the shape of one of the network's "
                f"parameters; {both}"
            )
        total = sum(parameter.numel() for parameter in parameters.values())
        if 2 * taken < total and not self.partial:
            raise InputError(
                f"{self.source}: only {taken:,} of the network's {total:,} parameters have the "
                f"name and the shape of one in the file; {both}. To start from them all the same, "
                "add --partial"
            )


def for_channels(weight: Tensor, channels: int) -> Tensor:
    """Returns the weights of a first convolution for another number of image channels.

    Weights for colours become weights for grey images by their sum over the channels, which gives
    the same output for the grey image in every channel. For several channels, the mean over the
    channels is repeated, so that the outputs keep their size.
    """
    if weight.ndim < 3 or weight.shape[1] == channels:
        return weight
    whole = weight.sum(1, keepdim=True)
    return whole.expand(-1, channels, *weight.shape[2:]) / channels


def _first_convolutions(network: nn.Module) -> list[str]:
    """Returns the names of the weights of convolutions that read the images."""
    if not isinstance(network, Network):
        return []
    return [
        f"{node.owner}.weight"
        for node in network.architecture.nodes
        if isinstance(node.operation, Conv) and node.inputs == (INPUT,)
    ]


def _first(tensors: Mapping[str, Tensor]) -> str:
    shown = [f"{name} {'x'.join(map(str, t.shape))}" for name, t in list(tensors.items())[:3]]
    return ", ".join([*shown, "..."])


def frozen_nodes(architecture: Architecture, freeze: str) -> list[str]:
    """Lists the nodes that ``freeze`` freezes, in order; see :class:`Start`."""
    if freeze == "none":
        return []
    if freeze == "body":
        head = _head(architecture)
        return _owners([node for node in architecture.nodes if node.name not in head])
    node = freeze.removeprefix("until=")
    names = [each.name for each in architecture.nodes]
    if node == freeze:
        raise InputError(f"freeze: must be none, body or until=NODE, got {freeze!r}")
    if node not in names:
        raise InputError(f"freeze: {unknown('node', node, names)}")
    inner = Architecture(architecture.input_shape, architecture.nodes, [node])
    return _owners(inner.nodes)


def _owners(nodes: Iterable[Node]) -> list[str]:
    """Returns the names of the nodes whose weights these nodes use, each once."""
    return list(dict.fromkeys(node.owner for node in nodes))


def _head(architecture: Architecture) -> set[str]:
    """Returns the last linear layer before each output, and the nodes after it."""
    by_name = {node.name: node for node in architecture.nodes}
    found: set[str] = set()
    for output in architecture.outputs:
        name, linear = output, False
        while not linear:
            node = by_name.get(name)  # None for the input
            linear = node is not None and isinstance(node.operation, Linear)
            if node is None or not (linear or len(node.inputs) == 1):
                raise InputError(
                    f"freeze: body: output {output!r} has no linear head; name the last node "
                    "to freeze: until=NODE"
                )
            found.add(name)
            name = node.inputs[0]
    return found
