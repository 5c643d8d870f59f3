"""A network takes over the weights of its parent, by the rules of a bank."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from nas.architecture.graph import Architecture
from nas.architecture.network import Network
from nas.supernet.bank import Slot, Used, carry
from nas.training.transfer import Started


def inherit(network: nn.Module, parent: Architecture, weights: Mapping[str, Tensor]) -> Started:
    """Copy into a network what it would share with its parent in a :class:`nas.supernet.bank.Bank`.

    This is weight inheritance (Real et al. 2017, arXiv:1703.01041, section 3.4). Deviation: there,
    tensors of unlike shapes are not inherited. Here, as in the bank, tensors of the same operation
    under the same name that differ in size have their first channels in common, and the child keeps
    its initial values elsewhere.

    Args:
        network: the compiled network of the child.
        parent: the architecture of the parent.
        weights: those of the parent, by the names in its state dict.
    """
    assert isinstance(network, Network)
    given, own = _slots(parent), network.state_dict()
    params = dict(network.named_parameters())
    taken = {
        name: carry(weights[name], own[name])
        for name, slot in _slots(network.architecture).items()
        if given.get(name) == slot
    }
    count = sum(values for name, values in taken.items() if name in params)
    return Started((), count, tuple(name for name in params if name not in taken))


def _slots(architecture: Architecture) -> dict[str, Slot]:
    """Return the places of all tensors, by their names in the state dict of the network."""
    found: dict[str, Slot] = {}
    for node in architecture.nodes:
        inputs = tuple([architecture.shapes[name] for name in node.inputs])
        used = Used.of(node.owner, node.operation, inputs)
        if used is not None:
            found |= {used.slot.path(name): used.slot for name in used.sizes}
    return found
