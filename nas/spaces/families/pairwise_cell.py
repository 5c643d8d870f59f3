"""The family of repeated pairwise cells: NASNet, AmoebaNet, PNASNet, ENAS and DARTS."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks import Block, zero
from nas.classics.cells import DIALECTS, PUBLISHED, Cell, Stem, operations, pairwise_network
from nas.classics.cells.network import LEAST_CHANNELS, too_narrow
from nas.errors import InputError
from nas.registry import unknown
from nas.spaces.cell_graph import IDENTITY, ZERO, CellGraph
from nas.spaces.choices import Choose, Genotype
from nas.spaces.families.darts_notation import read_cells, written_cells
from nas.spaces.families.family import Count, Listed, distinct, labelled
from nas.spaces.families.pairwise_wiring import Concat, Inputs, Wiring, edge_name
from nas.spaces.mixtures import Mixtures


def _one_of(kind: str, allowed: Mapping[str, object]) -> AfterValidator:
    def check(name: str) -> str:
        if name not in allowed:
            raise ValueError(unknown(kind, name, allowed))
        return name

    return AfterValidator(check)


Publication = Annotated[str, _one_of("published cells", PUBLISHED)]
Probability = Annotated[float, Field(ge=0.0, lt=1.0)]


class PairwiseCell(Listed):
    """Networks with a stem, stages of normal cells, reductions between them, and a classifier.

    The cells are searched. A cell has ``nodes``, each of which is the sum of two edges, left and
    right. An edge applies an operation to a state: "older" or "newer", the outputs of the two cells
    before, or an earlier node. The edges decide which states the cell concatenates as its output
    (Zoph et al. 2018, arXiv:1707.07012, section 3). Zoph et al. also choose between sum and
    concatenation in a node; no published cell uses that, and it is left out here, as in Liu et al.
    2018 and Real et al. 2019.

    Choices, for every node of ``normal`` and then of ``reduction``: ``normal.node0.left.input``,
    ``normal.node0.right.input``, ``normal.node0.left.operation``, ``normal.node0.right.operation``.
    If the two inputs must be distinct, there is one choice of both, ``normal.node0.inputs``. The
    choice ``normal.concat`` is asked only if the edges are, in this order, those of a cell in
    ``published`` whose code concatenates other states than the rule; it offers both.
    """

    family: Literal["pairwise_cell"]
    """The name of the family."""
    dialect: Annotated[str, _one_of("dialect", DIALECTS)]
    """The implementation to follow: see :mod:`nas.classics.cells.dialects`."""
    nodes: Count
    """The number of nodes of a cell, each the sum of two edges."""
    inputs: Inputs
    """Whether both edges of a node may read the same state (any) or not (distinct)."""
    concat: Concat
    """The output: the states that no edge reads, inputs of the cell included, or all nodes."""
    reduction: Literal["own", "same"]
    """Whether the reduction is a cell of its own, or the normal cell with strides of 2."""
    published: Annotated[tuple[Publication, ...], AfterValidator(distinct)] = ()
    """The cells of :data:`nas.classics.cells.PUBLISHED` that are members."""
    stages: Count = 3
    """The number of stages, with a reduction between each two."""
    cells: Count
    """The number of cells per stage; in the dialect of PNASNet, the reduction is one of them."""
    stem: Stem = "cifar"
    """The stem: ``cifar`` for small images, ``imagenet`` for large ones."""
    stem_channels: PositiveInt | None = None
    """The channels of the stem; by default three times ``channels``."""
    reach_back: bool = False
    """Whether the first cell behind a reduction reads what is before the reduction's input."""
    drop_path: Probability = 0.0
    """The probability with which an edge is dropped in training."""
    dropout: Probability = 0.0
    """The probability of dropout before the classifier."""
    auxiliary: bool = False
    """Whether the network has an auxiliary classifier, which is used in training only."""

    @model_validator(mode="after")
    def _add_published(self) -> Self:
        for name in self.published:
            normal, reduction, _ = PUBLISHED[name]
            self.members.setdefault(name, self._genotype(normal, reduction))
        return self

    @property
    def labels(self) -> Mapping[str, Block]:
        """The edge operations of the literature, as the dialect builds them."""
        return operations(DIALECTS[self.dialect])

    def check(self) -> None:
        """Raise :class:`InputError` unless blocks fit and the channels suffice for reductions."""
        self.check_blocks(self.channels, self.channels, strides=(1, 2))
        if self.channels < LEAST_CHANNELS[self.stem]:
            raise InputError(f"channels: {too_narrow(self.channels, self.stem)}")

    def architecture(
        self, choose: Choose, input_shape: Shape, classes: int
    ) -> Callable[[], Architecture]:
        """Ask for the cells, node by node."""
        return partial(
            self._network,
            *self._cells(choose),
            input_shape,
            classes,
            drop_path=self.drop_path,
            dropout=self.dropout,
            auxiliary=self.auxiliary,
            blocks=self.blocks,
        )

    def _network(
        self, normal: Cell, reduction: Cell, input_shape: Shape, classes: int, **options: Any
    ) -> Architecture:
        return pairwise_network(
            input_shape,
            classes,
            normal,
            reduction,
            DIALECTS[self.dialect],
            stages=(self.cells,) * self.stages,
            channels=self.channels,
            stem_channels=self.stem_channels or 3 * self.channels,
            stem=self.stem,
            reach_back=self.reach_back,
            **options,
        )

    def size(self) -> int:
        """Return the number of cells, :attr:`Wiring.size`, squared if two cells are searched."""
        return math.prod(self._wiring.size for _ in self._names)

    def to_string(self, genotype: Genotype) -> str:
        """Return ``Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=[...], ...)``.

        This is the notation of DARTS (quark0/darts, ``genotypes.py``), whose authors also write
        NASNet and AmoebaNet in it. State 0 is the older input, 1 the newer, 2 the first node.
        """
        return written_cells(*self._cells_of(genotype))

    def from_string(self, text: str) -> Genotype:
        """Read what :meth:`to_string` writes; a range may stand for a list of states."""
        normal, reduction = read_cells(text)
        if self.reduction == "same" and normal != reduction:
            raise InputError(f"normal and reduce must be the same cell in this space, got {text!r}")
        for name, cell in (("normal", normal), ("reduce", reduction)):
            try:
                self._wiring.check(cell)
            except InputError as error:
                raise InputError(f"{name}: {error}, in {text!r}") from None
        return self._genotype(normal, reduction)

    def cell_graphs(self, genotype: Genotype) -> Mapping[str, CellGraph]:
        """Inputs 0 (older) and 1 (newer), the nodes, and an output by edges "concat".

        A skip that projects, as in a stride of 2, is a "projected_skip". It is not proven that
        unlike cells never make equal networks, so the cells do not decide identity.
        """
        normal, reduction = self._cells_of(genotype)
        if self.reduction == "same":
            return {"cell": _graph(reduction, {0, 1})}
        unprojected: set[int] = set() if DIALECTS[self.dialect].projects_stem else {0}
        return {"normal": _graph(normal, unprojected), "reduction": _graph(reduction, {0, 1})}

    def mixtures(self) -> Mixtures | None:
        """Mix all operations and zeros on an edge from every state to every node after it.

        This is DARTS (Liu et al. 2019, arXiv:1806.09055, section 2). The discretisation keeps the
        two heaviest edges into each node, by the heaviest operation other than zeros (section 2.4).
        As in the authors' code, a pool is followed by a batch norm. It needs distinct inputs and
        the output of all nodes.
        """
        if self.inputs != "distinct" or self.concat != "all":
            return None
        blocks = {ZERO: zero, **{name: self.block(name) for name in self.operations}}
        return Mixtures(
            edges={edge: node for name in self._names for edge, node in self._wiring.all(name)},
            blocks={
                name: labelled(name, partial(_normed, block=block) if "pool" in name else block)
                for name, block in blocks.items()
            },
            build=self._mixed_network,
            discretise=lambda weights: self._genotype(
                *(self._wiring.heaviest(name, weights) for name in self._names)
            ),
            chosen=self._chosen,
        )

    def _mixed_network(
        self, blocks: Mapping[str, Block], input_shape: Shape, classes: int
    ) -> Architecture:
        cells = [self._wiring.whole(name) for name in self._names]
        return self._network(cells[0], cells[-1], input_shape, classes, blocks=blocks)

    def _chosen(self, genotype: Genotype) -> Mapping[str, str]:
        cells = zip(self._names, self._cells_of(genotype), strict=False)
        return {
            edge_name(name, node, state): operation
            for name, cell in cells
            for node, _, operation, state in cell.placed()
        }

    @property
    def _names(self) -> tuple[str, ...]:
        return ("cell",) if self.reduction == "same" else ("normal", "reduction")

    @cached_property
    def _wiring(self) -> Wiring:
        published = tuple(cell for name in self.published for cell in PUBLISHED[name][:2])
        return Wiring(self.nodes, self.operations, self.inputs, self.concat, published)

    def _cells(self, choose: Choose) -> tuple[Cell, Cell]:
        """Return the normal cell and the reduction."""
        cells = [self._wiring.ask(name, choose) for name in self._names]
        return cells[0], cells[-1]

    def _cells_of(self, genotype: Genotype) -> tuple[Cell, Cell]:
        return self._cells(lambda name, options: genotype[name])  # type: ignore[arg-type]

    def _genotype(self, *cells: Cell) -> Genotype:
        genotype: Genotype = {}
        for name, cell in zip(self._names, cells, strict=False):
            genotype.update(self._wiring.answers(name, cell))
        return genotype


def _normed(g: Builder, x: Handle, channels: int, stride: int, *, block: Block) -> Handle:
    return g.batch_norm(block(g, x, channels, stride))


def _graph(cell: Cell, projected: set[int]) -> CellGraph:
    """Return the graph of a cell; ``projected`` are the inputs whose skips are projections."""
    output = 2 + len(cell.edges) // 2
    edges = []
    for index, (operation, state) in enumerate(cell.edges):
        if operation == IDENTITY and state in projected:
            operation = "projected_skip"
        edges.append((state, 2 + index // 2, operation))
    edges += [(state, output, "concat") for state in cell.concat]
    return CellGraph(2, ("",) * (output + 1), tuple(edges))
