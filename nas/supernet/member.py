"""A member of a space as a network whose weights are those of a bank."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nas.architecture.graph import Architecture
from nas.architecture.network import Network, compile
from nas.architecture.node import INPUT
from nas.architecture.operations import BatchNorm
from nas.supernet.bank import Bank, Used
from nas.supernet.immediate import Immediate, Value


class Member(nn.Module):
    """The network of a member of a space; its weights are, and stay, those of a bank.

    It gives what :func:`nas.architecture.network.compile` would give with the same weights, and
    nothing is compiled. Gradients reach the bank, and batch norms update its statistics.

    Args:
        bank: the bank, which grows if the member is larger than it is.
        architecture: the member.
    """

    def __init__(self, bank: Bank, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self._bank = (bank,)  # a tuple, so that its parameters are not this module's
        self._targets: dict[str, Any] = {}
        self._used: dict[str, Used] = {}
        self._own: dict[tuple[str, str], Tensor] = {}
        for node in architecture.nodes:
            if node.owner in self._targets:
                continue
            used = bank.use(node, architecture)
            if used is not None:
                self._targets[node.owner] = used.module
                if used.sizes:
                    self._used[node.owner] = used

    @property
    def bank(self) -> Bank:
        """The bank whose weights the network has."""
        return self._bank[0]

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Yield the parameters of the bank."""
        return self.bank.parameters(recurse)

    def weights(self) -> dict[str, Tensor]:
        """Return the weights and statistics by the names in a compiled network's state dict."""
        return {
            used.slot.path(name): tensor
            for node, used in self._used.items()
            for name, tensor in self._bound(node).items()
        }

    def network(self) -> Network:
        """Return a compiled network with a copy of the weights and statistics."""
        made = compile(self.architecture)
        made.load_state_dict(self.weights())
        return made.train(self.training)

    @torch.no_grad()
    def recalibrate(self, batches: Iterable[Tensor]) -> None:
        """Measure the statistics of batch norms anew, on batches of normalised training images.

        Those of the bank are a mixture of all members that were trained. From now on, the member
        has statistics of its own: the means over the batches (Yu & Huang 2019, "Universally
        Slimmable Networks", arXiv:1903.05134, section 3.3). The bank is not changed.
        """
        nodes = self.architecture.nodes
        norms = list({n.owner: n for n in nodes if isinstance(n.operation, BatchNorm)})
        before = self.training
        self.train()
        for node in norms:
            for name in self._used[node].sizes:
                if name.startswith("running_"):
                    self._own[node, name] = self._bound(node)[name].clone()
        sums: dict[tuple[str, str], Tensor] = {}
        count = 0
        momenta = [self._targets[node].momentum for node in norms]
        for node in norms:
            self._targets[node].momentum = 1.0  # the statistics are those of the last batch
        for count, images in enumerate(batches, start=1):
            self(images)
            for key, value in self._own.items():
                sums[key] = sums[key] + value if count > 1 else value.clone()
        for node, momentum in zip(norms, momenta, strict=True):
            self._targets[node].momentum = momentum
        self._own |= {key: total / count for key, total in sums.items()}
        self.train(before)

    def forward(
        self,
        x: Tensor,
        given: Mapping[str, Tensor] | None = None,
        needed: Container[str] | None = None,
    ) -> Tensor | tuple[Tensor, ...]:
        """Return the outputs, as :class:`nas.architecture.network.Network` does.

        Args:
            x: the images.
            given: the weights of mixtures, by the names of their nodes.
            needed: the names of the nodes that are run; by default all.
        """
        architecture = self.architecture if self.training else self.architecture.inference()
        targets = {**self._targets, **(given or {})}
        for path, used in self._used.items():
            bound = self._bound(path)
            if isinstance(used.module, nn.Parameter):
                targets[path] = bound[""]
                continue
            for name, tensor in bound.items():
                # Not by setattr, which takes parameters alone, and a slice of one is none.
                kept: Any = used.module._parameters
                (kept if name in kept else used.module._buffers)[name] = tensor
        run: Any = Immediate(targets)
        values: dict[str, Any] = {INPUT: Value(x, architecture.input_shape)}
        for node in architecture.nodes:
            if needed is not None and node.name not in needed:
                continue
            made = targets.get(node.owner)
            if isinstance(made, nn.Module):
                made.training = self.training
            inputs: Any = tuple(values.get(name) for name in node.inputs)
            emitted: Any = node.operation.emit(run, node.owner, inputs)
            values[node.name] = Value(emitted.tensor, architecture.shapes[node.name])
        outputs = tuple(values[name].tensor for name in architecture.outputs)
        return outputs[0] if len(outputs) == 1 else outputs

    def _bound(self, node: str) -> dict[str, Tensor]:
        used = self._used[node]
        return {
            name: self._own[node, name]
            if (node, name) in self._own
            else self.bank.take(used.slot, name, shape)
            for name, shape in used.sizes.items()
        }
