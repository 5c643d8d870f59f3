"""Blocks in which all operations of an edge are added, each with a weight."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.operations import Add, ArchitectureError, BatchNorm
from nas.blocks import Block, max_pool

if TYPE_CHECKING:
    from torch import fx


@dataclass(frozen=True)
class Mixture(Add):
    """Adds its inputs, each multiplied by a weight that the network's caller gives.

    It is not among the operations that JSON can describe, because a mixture is never a result.
    """

    kind: ClassVar[str] = "mixture"
    commutative: ClassVar[bool] = False
    edge: str

    def emit(self, graph: fx.Graph, target: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        """Append the weighted sum; inputs that are None have the weight 0."""
        return graph.call_function(_weighted, (graph.get_attr(target), *inputs))


def _weighted(weights: Tensor, *inputs: Tensor | None) -> Tensor:
    terms = zip(weights.unbind(), inputs, strict=True)
    first, *others = (weight * x for weight, x in terms if x is not None)
    return sum(others, start=first)


def mixed(edge: str, blocks: Mapping[str, Block]) -> Block:
    """Return a block that mixes others (Liu et al. 2019, arXiv:1806.09055, eq. 2)."""
    return partial(_mixed, edge=edge, blocks=tuple(blocks.values()))


def _mixed(
    g: Builder, x: Handle, channels: int, stride: int, *, edge: str, blocks: tuple[Block, ...]
) -> Handle:
    made = [block(g, x, channels, stride) for block in blocks]
    return g.add_operation(Mixture(edge), *made, name="mixture")


PARTS = 4
"""One of so many channels goes through the operations of a partly mixed block."""


def partly_mixed(edge: str, blocks: Mapping[str, Block]) -> Block:
    """Return a block that mixes others on a quarter of the channels.

    The other channels are passed on, through 2x2 max pooling if the block has a stride, and all are
    shuffled. The output is multiplied by a weight of the edge (Xu et al. 2020, "PC-DARTS",
    arXiv:1907.05737, eq. 2 and 4, with the authors' K = 4).
    """
    return partial(_partly_mixed, edge=edge, blocks=tuple(blocks.values()))


def _partly_mixed(
    g: Builder, x: Handle, channels: int, stride: int, *, edge: str, blocks: tuple[Block, ...]
) -> Handle:
    if x.channels != channels or channels % PARTS:
        raise ArchitectureError(
            f"edge {edge}: partial channels need equal widths that {PARTS} divides, got "
            f"{x.channels} and {channels}"
        )
    part = channels // PARTS
    y = _mixed(g, g.slice(x, 0, part), part, stride, edge=edge, blocks=blocks)
    rest = g.slice(x, part, channels)
    if stride > 1:
        rest = max_pool(g, rest, stride=stride, kernel=2, padding="same")
    whole = g.channel_shuffle(g.concat(y, rest), PARTS)
    return g.add_operation(Mixture(f"{edge}{OF_EDGE}"), whole, name="weighted")


OF_EDGE = " itself"
"""What is behind the name of an edge in a mixture that weights the edge itself."""


def plain_norms(
    architecture: Architecture, kept: Callable[[str], bool] = lambda name: False
) -> Architecture:
    """Return an architecture whose batch norms have no learned factors and offsets.

    With them, candidates could rescale their outputs, so supernets often do without (Liu et al.
    2019, appendix A.1.1; Guo et al. 2020).

    Args:
        architecture: the architecture.
        kept: tells by its name whether a batch norm stays as it is.
    """
    nodes = [
        node._replace(operation=replace(node.operation, affine=False))
        if isinstance(node.operation, BatchNorm) and not kept(node.name)
        else node
        for node in architecture.nodes
    ]
    return Architecture(architecture.input_shape, nodes, architecture.outputs)
