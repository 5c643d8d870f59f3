"""Transfer learning: weights to start from, and the part of a network that stays as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nas.architecture.graph import Architecture
from nas.architecture.network import Network
from nas.architecture.operations import Linear
from nas.architecture.weights import read_weights
from nas.errors import InputError
from nas.registry import unknown


class Started(NamedTuple):
    """What became of a :class:`Start`.

    That is the frozen modules, how many parameters were taken, and which tensors of the network's
    parameters stay as they were drawn.
    """

    frozen: Sequence[nn.Module] = ()
    params: int = 0
    drawn: tuple[str, ...] = ()


@dataclass(frozen=True)
class Start:
    """What a training starts from.

    The protocols of transfer learning (Yosinski et al. 2014, arXiv:1411.1792; Kornblith et al.
    2019, arXiv:1805.08974, section 3.2): a fixed feature extractor under a new linear head is
    ``freeze="body"``, fine-tuning is ``freeze="none"``.

    Attributes:
        weights: tensors by the names of the network's state dict. Those whose name and shape
            agree are taken; the rest of the network keeps its initial weights.
        freeze: "none"; "body", all but the head, the linear layers that no other weighted
            layer follows; or "until=NODE", that node and all that it depends on. What is frozen
            runs as in evaluation: batch norms keep their statistics, nothing is dropped.
        source: where the weights are from, for messages.
        required: whether it is an error that the weights fit no parameter.
    """

    weights: Mapping[str, Tensor] = field(default_factory=dict)
    freeze: str = "none"
    source: str = "weights"
    required: bool = True

    @classmethod
    def from_file(cls, path: Path | str, freeze: str = "none") -> Start:
        """Starts from a state dict in a file: ``.safetensors``, or of ``torch.save``."""
        return cls(read_weights(Path(path)), freeze, str(path))

    @torch.no_grad()
    def apply(self, network: nn.Module) -> Started:
        """Copies the weights into the network and freezes.

        :class:`InputError` where the weights fit no parameter, a frozen layer got none, or
        nothing is left to train.
        """
        own, parameters = network.state_dict(), dict(network.named_parameters())
        fitting = {n: t for n, t in self.weights.items() if n in own and own[n].shape == t.shape}
        # The counter of a batch norm, a scalar, fits any network that has one of that name.
        taken = sum(p.numel() for name, p in parameters.items() if name in fitting)
        if self.weights and not taken and self.required:
            raise InputError(
                f"{self.source}: no tensor has the name and the shape of one of the network's "
                f"parameters; it has {_first(self.weights)}, the network {_first(parameters)}"
            )
        network.load_state_dict(fitting, strict=False)
        drawn = tuple(name for name in parameters if name not in fitting)
        if self.freeze == "none":
            return Started((), taken, drawn)
        assert isinstance(network, Network)
        modules, frozen = dict(network.named_modules()), []
        for name in frozen_nodes(network.architecture, self.freeze):
            # A node is a module or, as a layer scale, a parameter; or a function and no tensor.
            module = modules.get(name)
            tensors = [name] if module is None else [f"{name}.{t}" for t in module.state_dict()]
            for tensor in tensors:
                counter = tensor.endswith("num_batches_tracked")
                if tensor in own and tensor not in fitting and not counter:
                    raise InputError(
                        f"{self.source}: has no fitting {tensor}, which is to be frozen "
                        f"(freeze: {self.freeze})"
                    )
            if module is not None:
                frozen.append(module.requires_grad_(False))
            elif name in parameters:
                parameters[name].requires_grad_(False)
        if not any(parameter.requires_grad for parameter in parameters.values()):
            raise InputError(f"freeze: {self.freeze}: leaves no parameter to train")
        return Started(frozen, taken, drawn)


def _first(tensors: Mapping[str, Tensor]) -> str:
    shown = [f"{name} {'x'.join(map(str, t.shape))}" for name, t in list(tensors.items())[:3]]
    return ", ".join([*shown, "..."])


def frozen_nodes(architecture: Architecture, freeze: str) -> list[str]:
    """The names of the nodes that ``freeze`` names, in order; see :class:`Start`."""
    if freeze == "none":
        return []
    if freeze == "body":
        head = _head(architecture)
        return [node.name for node in architecture.nodes if node.name not in head]
    node = freeze.removeprefix("until=")
    names = [each.name for each in architecture.nodes]
    if node == freeze:
        raise InputError(f"freeze: must be none, body or until=NODE, got {freeze!r}")
    if node not in names:
        raise InputError(f"freeze: {unknown('node', node, names)}")
    inner = Architecture(architecture.input_shape, architecture.nodes, [node])
    return [each.name for each in inner.nodes]


def _head(architecture: Architecture) -> set[str]:
    """The last linear layer before each output, and what follows it."""
    by_name = {node.name: node for node in architecture.nodes}
    found: set[str] = set()
    for output in architecture.outputs:
        name, linear = output, False
        while not linear:
            node = by_name.get(name)  # None: the input
            linear = node is not None and isinstance(node.operation, Linear)
            if node is None or not (linear or len(node.inputs) == 1):
                raise InputError(
                    f"freeze: body: output {output!r} has no linear head; name the last node "
                    "to freeze: until=NODE"
                )
            found.add(name)
            name = node.inputs[0]
    return found
