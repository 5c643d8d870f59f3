"""The network of a space whose edges mix all operations, which is searched by gradients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from nas.architecture.graph import Architecture
from nas.blocks import Block
from nas.errors import InputError
from nas.spaces.cell_graph import IDENTITY
from nas.spaces.choices import Genotype
from nas.spaces.mixtures import Mixtures
from nas.spaces.search_space import SearchSpace
from nas.supernet.bank import Bank, Start
from nas.supernet.member import Member
from nas.supernet.mixing import OF_EDGE, Mixture, mixed, partly_mixed, plain_norms

Method = Literal["darts", "pc_darts", "gdas"]


class _Kind(NamedTuple):
    """A method: its block, whether edges have weights, and whether one operation is sampled."""

    block: Callable[[str, Mapping[str, Block]], Block]
    weights_edges: bool
    samples: bool


_KINDS: Mapping[Method, _Kind] = {
    "darts": _Kind(mixed, weights_edges=False, samples=False),
    "pc_darts": _Kind(partly_mixed, weights_edges=True, samples=False),
    "gdas": _Kind(mixed, weights_edges=False, samples=True),
}

HOT, COLD = 10.0, 0.1
"""The temperatures of GDAS in the first and in the last epoch (its section 4.1)."""


def relaxed(space: SearchSpace, method: Method) -> tuple[Mixtures, Architecture]:
    """Return the mixtures of a space and the architecture that has them.

    Raises:
        InputError: if the operations of the space cannot be mixed.
    """
    mixtures = space.language.mixtures()
    if mixtures is None:
        raise InputError(
            f"space {space.name}: has no edges whose operations can be mixed; allowed: spaces of "
            "the family edge_cell, and those of pairwise_cell with inputs: distinct and concat: all"
        )
    example = space.decode(space.sample(np.random.default_rng(0)))
    if len(example.output_shape) > 1:
        raise InputError(
            f"space {space.name}: with the head of the task, its networks return "
            f"{example.output_shape}; a search by gradients needs networks that return a vector"
        )
    blocks = {edge: _KINDS[method].block(edge, mixtures.blocks) for edge in mixtures.edges}
    built = mixtures.build(blocks, example.input_shape, example.output_shape[0])
    return mixtures, plain_norms(built, lambda name: name.startswith("stem"))


class Relaxation(nn.Module):
    """All members of a space at once: on every edge, the weighted sum of all operations.

    The weights of an edge are the softmax of its row of ``alphas`` (Liu et al. 2019, "DARTS",
    arXiv:1806.09055, eq. 2). In PC-DARTS the operations see a quarter of the channels, and each
    edge is multiplied by the softmax of ``betas`` over the edges into its node (Xu et al. 2020,
    arXiv:1907.05737, eq. 2 to 4). In GDAS, each forward pass in training samples one operation per
    edge by the Gumbel-max trick, runs no other, and passes the gradient of its weight through the
    softmax (Dong & Yang 2019, arXiv:1910.04465, eq. 3 to 6).

    The network is an architecture, bound to a bank as any member is. As in the authors' code of
    DARTS, batch norms except the stem's have no learned factors, and alphas are drawn from N(0,
    0.001). They are buffers, so that optimizers of the weights leave them out.

    Args:
        space: the space.
        method: how operations are mixed.
        seed: decides initial weights and alphas.
        initialization: the scheme of initial weights.
        start: what prepares them, see :class:`nas.supernet.bank.Bank`.

    Attributes:
        bank: the weights.
        alphas: one row per edge, one column per operation.
        betas: one number per edge; empty for methods that do not weight edges.
        temperature: that of GDAS's softmax.

    Raises:
        InputError: if the operations of the space cannot be mixed.
    """

    alphas: Tensor
    betas: Tensor
    temperature: Tensor

    def __init__(
        self,
        space: SearchSpace,
        method: Method = "darts",
        seed: int = 0,
        initialization: str = "default",
        start: Start = lambda architecture: {},
    ) -> None:
        super().__init__()
        mixtures, architecture = relaxed(space, method)
        self.mixtures = mixtures
        self._kind = _KINDS[method]
        self.bank = Bank(seed=seed, initialization=initialization, start=start)
        self.network = Member(self.bank, architecture)
        self._edges = list(mixtures.edges)
        nodes = list(mixtures.edges.values())
        self._entering = [[i for i, n in enumerate(nodes) if n == node] for node in nodes]
        generator = torch.Generator().manual_seed(seed)
        shape = len(self._edges), len(mixtures.blocks)
        self.register_buffer("alphas", 1e-3 * torch.randn(shape, generator=generator))
        count = len(self._edges) if self._kind.weights_edges else 0
        self.register_buffer("betas", 1e-3 * torch.randn(count, generator=generator))
        self.register_buffer("temperature", torch.tensor(HOT if self._kind.samples else 1.0))

    @property
    def samples(self) -> bool:
        """Whether each pass in training samples one operation per edge."""
        return self._kind.samples

    @property
    def choices(self) -> list[Tensor]:
        """The tensors that decide the architecture."""
        return [each for each in (self.alphas, self.betas) if each.numel()]

    def anneal(self, progress: float) -> None:
        """Set the temperature for a part of the training, from 0 to 1; it falls linearly."""
        if self._kind.samples:
            self.temperature.fill_(HOT + (COLD - HOT) * progress)

    def forward(self, x: Tensor) -> Any:
        """Return the outputs; of GDAS, in evaluation mode those of the heaviest operations."""
        weights, chosen = self.alphas.softmax(1), None
        if self._kind.samples:
            logits = self.alphas.log_softmax(1)
            if self.training:
                logits = logits - torch.empty_like(logits).exponential_().log()
            weights = (logits / self.temperature).softmax(1)
            chosen = weights.argmax(1)
            hard = nn.functional.one_hot(chosen, weights.shape[1]).to(weights.dtype)
            weights = hard - weights.detach() + weights
        given = dict(zip(self._edges, weights, strict=True))
        if len(self.betas):
            of_edges = self._normalised(self.betas)
            given |= {f"{edge}{OF_EDGE}": of_edges[i, None] for i, edge in enumerate(self._edges)}
        nodes = self.network.architecture.nodes
        mixtures = {n.name: n.operation.edge for n in nodes if isinstance(n.operation, Mixture)}
        needed = None if chosen is None else self._needed(chosen.tolist())
        return self.network(x, {node: given[edge] for node, edge in mixtures.items()}, needed)

    @torch.no_grad()
    def weights(self) -> dict[str, dict[str, float]]:
        """Return the weight of each operation on each edge, multiplied by that of the edge."""
        found = self.alphas.softmax(1)
        if len(self.betas):
            found = found * self._normalised(self.betas)[:, None]
        return {
            edge: dict(zip(self.mixtures.blocks, row, strict=True))
            for edge, row in zip(self._edges, found.tolist(), strict=True)
        }

    def genotype(self) -> Genotype:
        """Return the member whose operations have the largest weights."""
        return self.mixtures.discretise(self.weights())

    def record(self) -> dict[str, Any]:
        """Return the state of the search as plain JSON, from which its collapse can be seen.

        ``mixture`` holds the weights of each edge in the order of ``mixed``, ``skips`` is the share
        of the chosen operations that pass on their input, and ``genotype`` the chosen member.
        """
        weights, genotype = self.weights(), self.genotype()
        chosen = Counter(self.mixtures.chosen(genotype).values())
        return {
            "temperature": float(self.temperature),
            "skips": chosen[IDENTITY] / chosen.total(),
            "genotype": genotype,
            "mixed": list(self.mixtures.blocks),
            "mixture": {e: [round(w, 4) for w in of.values()] for e, of in weights.items()},
        }

    def _normalised(self, betas: Tensor) -> Tensor:
        """Return the softmax over the edges that enter the same node."""
        return torch.stack([betas[i] - betas[g].logsumexp(0) for i, g in enumerate(self._entering)]
                           ).exp()  # fmt: skip

    def _needed(self, chosen: list[int]) -> set[str]:
        """Return the nodes that a pass needs which runs one operation per edge."""
        architecture = self.network.architecture
        of = dict(zip(self._edges, chosen, strict=True))
        needed = set(architecture.outputs)
        for node in reversed(architecture.nodes):
            if node.name in needed:
                mixes = node.operation
                one = isinstance(mixes, Mixture) and node.inputs[of[mixes.edge]]
                needed.update([one] if one else node.inputs)
        return needed
