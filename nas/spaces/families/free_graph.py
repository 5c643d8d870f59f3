"""Implements the family of staged networks whose cells are free graphs over blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache, cached_property, lru_cache, partial
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from pydantic import Field, PositiveFloat, PositiveInt

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.operations import ArchitectureError, Shape
from nas.architecture.operations.layers import Function
from nas.blocks import Block, conv_beside_pool
from nas.blocks.scaling import divisible, scaled
from nas.configuration import defaults, validate_options
from nas.errors import InputError, at
from nas.spaces.choices import Choose, Genotype, Infeasible, Option
from nas.spaces.families import free_edits
from nas.spaces.families.family import Family, misfit
from nas.spaces.families.free_network import (
    Cell,
    Head,
    Network,
    Node,
    Reduction,
    Stage,
    Stem,
    count_cells,
)
from nas.spaces.families.free_options import (
    LISTED,
    CellOperation,
    Counts,
    CountsFromZero,
    HeadOptions,
    Joins,
    ReductionOptions,
    Sizes,
    StemOptions,
)
from nas.spaces.language import Language
from nas.spaces.mutations import Mutations

T = TypeVar("T", bound=Option)


class _Parts(NamedTuple):
    blocks: Mapping[str, Block]
    reductions: Mapping[str, Reduction]


class FreeGraph(Family):
    """A family of networks that have a stem, stages of cells, and a head.

    Each stage after the first begins with a reduction, which equal cells follow. A cell is a graph
    of ``nodes``. Each node reads one earlier node, or joins two, and applies an operation. The
    nodes that no other node reads are joined to the output of the cell. Either all cells of a
    network share one graph, or each stage has its own.

    A choice with a single option is left out of genotypes, except ``stages``, ``width``,
    ``stage{s}.cells``, ``cell.nodes`` and the choices of nodes. The choices are, in this order:

    - ``activation``, ``norm``, ``multiplier``, ``rounding``, ``stem.kernel``, ``stem.stride``,
      ``stem.padding``, ``stages``, ``width`` (of the stem and the first stage), ``graphs``;
    - for each stage ``stage{s}.cells``, and after the first stage ``.reduction`` and ``.width``;
    - for the shared graph, or for each stage, ``cell.nodes``, for each node
      ``cell.node{n}.operation``, ``.width`` (null for the stage's), ``.input``, ``.second_input``
      (null for none) and, with two inputs, ``.merge``; last ``cell.output``, if several nodes have
      to be joined. A stage's own graph has the prefix ``stage{s}.cell`` instead. The inputs of a
      node are ``"input"`` (of the cell) and the nodes before it;
    - ``head``, ``head.channels``, ``head.dense``, ``head.dense{i}.width``, ``head.dropout``.

    Reductions that do not fit the size of the maps are not offered.
    """

    family: Literal["free_graph"]
    """The name of the family."""
    activation: Annotated[tuple[Function, ...], *LISTED] | None = None
    """Activations of the stem, of the head, and of operations that have this option and do not set
    it. By default, stem and head have ReLU, and each block has its own default."""
    norm: Annotated[tuple[Literal["batch", "none"], ...], *LISTED] = ("batch",)
    """Whether the stem, and operations with the option ``norm``, have batch norm or biases."""
    multiplier: Annotated[tuple[PositiveFloat, ...], *LISTED] = (1.0,)
    """A factor for all widths; ``head.channels`` is multiplied only if the factor is over 1."""
    rounding: Sizes = (1,)
    """Multiplied widths are rounded to a multiple of this number."""
    stem: StemOptions = StemOptions()
    """The options of the first convolution."""
    stages: Counts
    """The number of stages."""
    width: Sizes
    """Channels of the stem and the first stage."""
    widths: Annotated[tuple[PositiveInt | Literal["double"], ...], *LISTED] = ("double",)
    """Channels of each later stage; ``double`` is twice as many as in the stage before."""
    graphs: Annotated[tuple[Literal["shared", "own"], ...], *LISTED] = ("shared",)
    """Whether all cells share one graph, or each stage has its own."""
    cells: CountsFromZero
    """Cells per stage."""
    reductions: dict[str, ReductionOptions] = Field(
        default_factory=lambda: {"conv": ReductionOptions(block="conv")}, min_length=1
    )
    """How each stage after the first can begin, by label."""
    nodes: Counts
    """Nodes per cell."""
    node_widths: Annotated[tuple[PositiveInt | None, ...], *LISTED] = (None,)
    """Channels of each node; null is the width of the stage."""
    merge: Joins
    """How the two inputs of a node are joined, and, without ``output``, the outputs of a cell."""
    output: Joins | None = None
    """How the outputs of a cell are joined; by default as ``merge``."""
    operations: Annotated[dict[str, CellOperation], Field(min_length=1)]
    """The operations of nodes, by label."""
    head: HeadOptions = HeadOptions()
    """The options of the layers behind the stages."""

    @property
    def labels(self) -> Mapping[str, Callable[..., Handle]]:
        """Returns the block that only this family has: it adds channels to those of its input."""
        return {"conv_beside_pool": conv_beside_pool}

    def named_blocks(self) -> Mapping[str, str]:
        """Return the block of each operation and of each reduction that has one."""
        reductions = {
            f"reductions.{label}.block": reduction.block
            for label, reduction in self.reductions.items()
            if reduction.block is not None
        }
        operations = {
            f"operations.{label}.block": operation.block
            for label, operation in self.operations.items()
        }
        return operations | reductions

    def bound(self, input_shape: Shape) -> Language:
        """Return the family for images of a shape, which decides which reductions fit."""
        return _Bound(self, input_shape)

    def check(self) -> None:
        """Raise :class:`InputError` unless each block takes its options and keeps shapes."""
        stages = range(max(self.stages))
        first = {width * 2**stage for width in self.width for stage in stages}
        later = {width for width in self.widths if isinstance(width, int)}
        channels = sorted(first | later if "double" in self.widths else later | set(self.width))
        for label, operation in self.operations.items():
            with at("operations", label, "options"):
                validate_options(self.block(operation.block), operation.options)
            block = partial(self.block(operation.block), **operation.options)
            for count in channels:
                if fault := misfit(block, count, count):
                    raise InputError(
                        f"block {operation.block} with {operation.options} does not fit a stage "
                        f"of {count} channels: {fault}",
                        *("operations", label, "options"),
                    )
        for label, reduction in self.reductions.items():
            if reduction.block is not None:
                with at("reductions", label, "options"):
                    validate_options(self.block(reduction.block), reduction.options)

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()  # caches cannot be pickled
        own = {
            key: value for key, value in state["__dict__"].items() if key in type(self).model_fields
        }
        return {**state, "__dict__": own}

    @cached_property
    def parts(self) -> Callable[[Function | None, bool], _Parts]:
        """Return a function from activation and norm (true or false) to blocks and reductions."""
        return cache(self._parts)

    @cached_property
    def reduced(self) -> Callable[[Shape, bool], Mapping[str, Shape]]:
        """Return a function from the size of a map to the size after each reduction that fits.

        Its second argument tells if the stage has no cells; then the reduction must have a block.
        """
        return cache(self._reduced)

    @cached_property
    def fitting(self) -> Callable[[Shape], tuple[str, ...]]:
        """Return a function from the size of a map to the operations that fit it."""
        return cache(self._fitting)

    def _fitting(self, spatial: Shape) -> tuple[str, ...]:
        found = []
        for label, block in self.parts(None, True).blocks.items():
            g = Builder((8, *spatial))
            with suppress(ArchitectureError):
                block(g, g.input, 8, 1)
                found.append(label)
        return tuple(found)

    def _parts(self, activation: Function | None, normed: bool) -> _Parts:
        common: dict[str, Any] = {} if normed else {"norm": False}
        if activation is not None:
            common["activation"] = activation

        def with_options(name: str, options: Mapping[str, Any]) -> Block:
            block = self.block(name)
            has = defaults(block)
            taken = {key: value for key, value in common.items() if key in has}
            return partial(block, **{**taken, **options})

        blocks = {
            label: with_options(operation.block, operation.options)
            for label, operation in self.operations.items()
        }
        reductions = {
            label: Reduction(
                None if entry.block is None else with_options(entry.block, entry.options),
                entry.stride,
                entry.widens,
                entry.dropout,
            )
            for label, entry in self.reductions.items()
        }
        return _Parts(blocks, reductions)

    def _reduced(self, spatial: Shape, empty: bool) -> Mapping[str, Shape]:
        found: dict[str, Shape] = {}
        for label, reduction in self.parts(None, True).reductions.items():
            if reduction.block is None:
                if not empty:
                    found[label] = tuple(-(-size // reduction.stride) for size in spatial)
                continue
            g = Builder((8, *spatial))
            with suppress(ArchitectureError):
                found[label] = reduction.build(g, g.input, 8).spatial
        return found

    def architecture(
        self, choose: Choose, input_shape: Shape, classes: int
    ) -> Callable[[], Architecture]:
        """Choose the stages, then the cells, then the head."""
        network = _Asking(self, choose, input_shape).network()
        return partial(network.build, input_shape, classes)


class _Asking:
    """Makes the choices of one network."""

    def __init__(self, family: FreeGraph, choose: Choose, input_shape: Shape) -> None:
        self._family = family
        self._choose = choose
        self._spatial = input_shape[1:]
        activation = self._one("activation", family.activation) if family.activation else None
        self._activation: Function = activation or "relu"
        self._normed = self._one("norm", family.norm) == "batch"
        self._multiplier = self._one("multiplier", family.multiplier)
        self._divisor = self._one("rounding", family.rounding)
        self._parts = family.parts(activation, self._normed)

    def network(self) -> Network:
        """Make all choices."""
        family, choose, stem = self._family, self._choose, self._family.stem
        kernel = self._one("stem.kernel", stem.kernel)
        stride = self._one("stem.stride", stem.stride)
        padding = self._one("stem.padding", stem.padding)
        stages = choose("stages", family.stages)
        width = self._channels(choose("width", family.width))
        shared = self._one("graphs", family.graphs) == "shared"
        first = Stem(kernel, stride, padding, width, self._normed, self._activation)
        if (spatial := _behind_stem(first, self._spatial)) is None:
            raise Infeasible("the stem's kernel is larger than the image", "stem")
        chosen = list(self._stages(stages, width, spatial))
        # Maps only become smaller, so operations that fit the last cell fit all cells.
        celled = [spatial for stage, spatial in chosen if stage.cells]
        cell = self._cell("cell", celled[-1]) if shared and celled else None
        made = []
        for number, (stage, spatial) in enumerate(chosen):
            own = cell if shared else stage.cells and self._cell(f"stage{number}.cell", spatial)
            made.append(replace(stage, cell=own or None))
        return Network(first, tuple(made), self._head())

    def _stages(self, stages: int, width: int, spatial: Shape) -> Iterator[tuple[Stage, Shape]]:
        """Choose the stages; yield each, without its cell, and the size of its maps."""
        family = self._family
        for number in range(stages):
            cells = self._choose(f"stage{number}.cells", family.cells)
            reduction = None
            if number > 0:
                fitting = family.reduced(spatial, not cells)
                if not fitting:
                    raise Infeasible("the map is too small for every reduction", "reduction")
                label = self._one(f"stage{number}.reduction", tuple(fitting))
                reduction, spatial = self._parts.reductions[label], fitting[label]
                if cells or reduction.widens:
                    given = self._one(f"stage{number}.width", family.widths)
                    width = 2 * width if given == "double" else self._channels(int(given))
            yield Stage(reduction, width, cells, None), spatial

    def _cell(self, scope: str, spatial: Shape) -> Cell:
        family, choose = self._family, self._choose
        nodes: list[Node] = []
        labels = family.fitting(spatial)
        if not labels:
            raise Infeasible("the map is too small for every operation", "operation")
        unread = ["input"]
        earlier = ["input"]
        for index in range(choose(f"{scope}.nodes", family.nodes)):
            name, where = f"node{index}", f"{scope}.node{index}"
            operation = choose(f"{where}.operation", labels)
            width = self._one(f"{where}.width", family.node_widths)
            first = choose(f"{where}.input", earlier)
            others = [other for other in earlier if other != first]
            second = choose(f"{where}.second_input", [None, *others])
            inputs = (first,) if second is None else (first, second)
            join = choose(f"{where}.merge", family.merge) if second is not None else None
            block = self._parts.blocks[operation]
            nodes.append(Node(block, inputs, join, width and self._channels(width)))
            earlier.append(name)
            unread = [other for other in unread if other not in inputs] + [name]
        join = None
        if len(unread) > 1:
            join = choose(f"{scope}.output", family.output or family.merge)
        return Cell(tuple(nodes), tuple(unread), join)

    def _head(self) -> Head:
        head = self._family.head
        pooling = self._one("head", head.pooling)
        channels = self._one("head.channels", head.channels)
        if channels is not None:
            channels = self._channels(channels, max(self._multiplier, 1.0))
        dense: tuple[int, ...] = ()
        dropout = 0.0
        if pooling not in ("conv", "conv_relu"):
            dense = tuple(
                self._channels(self._one(f"head.dense{index}.width", head.dense_width))
                for index in range(self._one("head.dense", head.dense))
            )
            dropout = self._one("head.dropout", head.dropout)
        return Head(pooling, channels, dense, dropout, self._activation)

    def _one(self, name: str, options: tuple[T, ...]) -> T:
        return options[0] if len(options) == 1 else self._choose(name, options)

    def _channels(self, width: int, multiplier: float | None = None) -> int:
        multiplier = self._multiplier if multiplier is None else multiplier
        if self._divisor == 1:
            return scaled(width, multiplier)
        return divisible(width * multiplier, self._divisor)


class _Bound(Language):
    """Counts exactly the genotypes of a family for images of a shape, and edits their cells."""

    mutations = Mutations(
        weights=dict.fromkeys(["choice", "step", *free_edits.MUTATIONS], 1.0), neutral="redraw"
    )

    def __init__(self, family: FreeGraph, input_shape: Shape) -> None:
        self._family = family
        self._spatial = input_shape[1:]
        self._stages = cache(self._ways)
        self._cells = cache(self._count_cells)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._family, (1, *self._spatial))  # caches cannot be pickled

    def edits(self, mutation: str, genotype: Genotype) -> Iterator[Genotype]:
        """Return all ways to insert a node, to remove one, or to change an edge."""
        return free_edits.edits(mutation, genotype)

    def code(self) -> dict[str, str]:
        """Return the checksums of files with users' own blocks, by file name."""
        return self._family.code()

    def size(self) -> int:
        """Return the number of genotypes, counted stage by stage and node by node."""
        family, head, stem = self._family, self._family.head, self._family.stem
        behind = [
            _behind_stem(Stem(kernel, stride, padding, 1, True, "relu"), self._spatial)
            for kernel in stem.kernel
            for stride in stem.stride
            for padding in stem.padding
        ]
        bodies = sum(
            self._stages(0, stages, spatial, graphs == "shared", None)
            for spatial in behind
            if spatial is not None
            for stages in family.stages
            for graphs in family.graphs
        )
        hidden = sum(len(head.dense_width) ** dense for dense in head.dense) * len(head.dropout)
        heads = sum(1 if each in ("conv", "conv_relu") else hidden for each in head.pooling)
        common = len(family.activation or (None,)) * len(family.norm) * len(family.width)
        common *= len(family.multiplier) * len(family.rounding) * len(head.channels)
        return common * bodies * heads

    def _ways(
        self, number: int, stages: int, spatial: Shape, shared: bool, celled: Shape | None
    ) -> int:
        """Return the number of ways to fill the stages from ``number`` on.

        ``celled`` is the size of the maps of the last stage that has cells.
        """
        family = self._family
        if number == stages:
            return self._cells(celled) if shared and celled is not None else 1
        total = 0
        for cells in family.cells:
            behind = {"": spatial} if number == 0 else family.reduced(spatial, not cells)
            for label, reduced in behind.items():
                widened = number > 0 and (cells or family.reductions[label].widens)
                widths = len(family.widths) if widened else 1
                graphs = self._cells(reduced) if cells and not shared else 1
                last = reduced if cells and shared else celled
                total += widths * graphs * self._stages(number + 1, stages, reduced, shared, last)
        return total

    def _count_cells(self, spatial: Shape) -> int:
        """Return the number of graphs that a cell on maps of a size may have."""
        family = self._family
        operations = len(family.fitting(spatial)) * len(family.node_widths)
        outputs = len(family.output or family.merge)
        return count_cells(family.nodes, operations, len(family.merge), outputs)


@lru_cache(maxsize=4096)
def _behind_stem(stem: Stem, spatial: Shape) -> Shape | None:
    """Return the size of the maps after a stem; None if its kernel is larger than the image."""
    try:
        return stem.build(Builder((1, *spatial))).spatial
    except ArchitectureError:
        return None
