"""The family of NATS-Bench's size space: the cell is fixed, channels are chosen layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveInt

from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks import Block
from nas.errors import InputError
from nas.spaces.choices import Choose, Genotype
from nas.spaces.families.edge_network import LABELS, edge_network
from nas.spaces.families.family import Count, Family, distinct


class NATSBenchSize(Family):
    """Networks of NAS-Bench-201 with a number of channels for each layer.

    Dong et al. 2021 (arXiv:2009.00437, section 3). Each stage has ``cells`` equal cells, and every
    stage except the first begins with a residual block of stride 2. Cells and blocks are the
    layers, and ``layer{i}.channels`` are the choices; the stem has the channels of layer 0. The
    cell's edges have the names of NAS-Bench-201's choices; an edge that is not named does not
    exist. Every genotype is an architecture of its own.

    Node names are the paths in the state dict of the authors' ``DynamicShapeTinyNet``
    (D-X-Y/AutoDL-Projects).
    """

    family: Literal["natsbench_size"]
    """The name of the family."""
    cell: dict[Annotated[str, Field(pattern=r"^edge\d-\d$")], str]
    """The operation of each edge of the cell."""
    stages: Count
    """The number of stages."""
    cells: Count
    """The number of cells per stage."""
    channels: Annotated[tuple[PositiveInt, ...], Field(min_length=1), AfterValidator(distinct)]
    """The channels that each layer chooses from."""

    @property
    def labels(self) -> Mapping[str, Block]:
        """The benchmark's names of operations that may change the channels."""
        return {name: LABELS[name] for name in ("skip_connect", "nor_conv_1x1", "nor_conv_3x3")}

    def named_blocks(self) -> Mapping[str, str]:
        """Return the operations of the cell's edges."""
        return {f"cell.{edge}": name for edge, name in self.cell.items()}

    def check(self) -> None:
        """Raise :class:`InputError` unless each state of the cell is entered from one before it."""
        entered = {target for _, target, _ in self._edges()}
        for first, target, _ in self._edges():
            if first >= target or not entered.issuperset(range(1, target)):
                raise InputError(
                    f"cell.edge{first}-{target}: must lead from a state that the "
                    "input or an edge enters to a later one"
                )
        if not entered:
            raise InputError("must have an edge", "cell")
        self.check_blocks(self.channels[0], self.channels[-1])

    def architecture(
        self, choose: Choose, input_shape: Shape, classes: int
    ) -> Callable[[], Architecture]:
        """Ask for the channels of every layer."""
        widths = [choose(f"layer{i}.channels", self.channels) for i in range(self._layers)]
        edges = [(source, to, self.block(name)) for source, to, name in self._edges()]
        return partial(edge_network, input_shape, classes, widths, self.cells, edges)

    def size(self) -> int:
        """Return the number of genotypes: every layer may have every number of channels."""
        return int(len(self.channels) ** self._layers)

    def to_string(self, genotype: Genotype) -> str:
        """Return the benchmark's string, such as ``8:16:24:32:40``."""
        return ":".join(str(genotype[f"layer{i}.channels"]) for i in range(self._layers))

    def from_string(self, text: str) -> Genotype:
        """Read what :meth:`to_string` writes."""
        parts = text.split(":")
        if len(parts) != self._layers or not all(part.isdecimal() for part in parts):
            raise InputError(
                f"not a size: must be the channels of {self._layers} layers with colons between, "
                f"got {text!r}"
            )
        return {f"layer{i}.channels": int(part) for i, part in enumerate(parts)}

    @property
    def _layers(self) -> int:
        return self.stages * (self.cells + 1) - 1

    def _edges(self) -> list[tuple[int, int, str]]:
        """Return source, target and operation of each edge, by target, then by source."""
        ends = {name: name.removeprefix("edge").split("-") for name in self.cell}
        edges = [(int(ends[name][0]), int(ends[name][1]), op) for name, op in self.cell.items()]
        return sorted(edges, key=lambda edge: (edge[1], edge[0]))
