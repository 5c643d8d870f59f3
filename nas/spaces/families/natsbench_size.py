"""The size space of NATS-Bench: one cell, and channels chosen layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveInt

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks import conv_norm
from nas.errors import InputError
from nas.spaces.choices import Choose, Genotype
from nas.spaces.families.edge_cell import OPERATIONS, reduction, relu_conv_norm
from nas.spaces.families.family import Family, distinct

Operation = Literal["skip_connect", "nor_conv_1x1", "nor_conv_3x3"]

WIDENING: Mapping[str, Callable[[Builder, Handle, int], Handle]] = MappingProxyType(
    {
        "skip_connect": lambda g, x, channels: conv_norm(g, x, channels, kernel=1, activation=None),
        "nor_conv_1x1": partial(relu_conv_norm, kernel=1),
        "nor_conv_3x3": partial(relu_conv_norm, kernel=3),
    }
)
"""What an edge from the cell's input is where it changes the channels."""


class NATSBenchSize(Family):
    """The skeleton of NAS-Bench-201 with a number of channels for each layer.

    Dong et al. 2021 (arXiv:2009.00437, section 3). Each stage is ``cells`` equal cells; before
    every stage but the first stands a residual block of stride 2. Cells and blocks are the
    layers, ``layer{i}.channels`` the choices; the stem has the channels of layer 0. The cell's
    edges are named as NAS-Bench-201's choices are; one that is not named does not exist. Every
    genotype is an architecture of its own.

    Node names are the paths in the state dict of the authors' ``DynamicShapeTinyNet``
    (D-X-Y/AutoDL-Projects).
    """

    family: Literal["natsbench_size"]
    cell: dict[Annotated[str, Field(pattern=r"^edge\d-\d$")], Operation]
    stages: PositiveInt
    cells: PositiveInt
    """Cells a stage."""
    channels: Annotated[tuple[PositiveInt, ...], Field(min_length=1), AfterValidator(distinct)]

    def check(self, source: Path) -> None:
        """Every state of the cell is entered, from states before it."""
        entered = {target for _, target, _ in self._edges()}
        for first, target, _ in self._edges():
            if first >= target or not entered.issuperset(range(1, target)):
                raise InputError(
                    f"{source}: cell.edge{first}-{target}: an edge is of a state that the input "
                    "or an edge enters, to a later one"
                )
        if not entered:
            raise InputError(f"{source}: cell: must have an edge")

    def architecture(
        self, choose: Choose, input_shape: Shape, classes: int
    ) -> Callable[[], Architecture]:
        """Asks for the channels of every layer."""
        widths = [choose(f"layer{i}.channels", self.channels) for i in range(self._layers)]
        return partial(self._build, input_shape, classes, widths)

    def size(self) -> int:
        """Every layer may have every number of channels."""
        return int(len(self.channels) ** self._layers)

    def to_string(self, genotype: Genotype) -> str:
        """The benchmark's string: ``8:16:24:32:40``."""
        return ":".join(str(genotype[f"layer{i}.channels"]) for i in range(self._layers))

    def from_string(self, text: str) -> Genotype:
        """Reads :meth:`to_string`'s form."""
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
        """By target, then by source, as the benchmark numbers them."""
        ends = {name: name.removeprefix("edge").split("-") for name in self.cell}
        edges = [(int(ends[name][0]), int(ends[name][1]), op) for name, op in self.cell.items()]
        return sorted(edges, key=lambda edge: (edge[1], edge[0]))

    def _build(self, input_shape: Shape, classes: int, widths: list[int]) -> Architecture:
        g = Builder(input_shape)
        edges = self._edges()
        x = conv_norm(g, g.input, widths[0], names=("stem.0", "stem.1"), activation=None)
        for index, channels in enumerate(widths):
            with g.scope(f"cells.{index}"):
                if (index + 1) % (self.cells + 1) == 0:
                    x = reduction(g, x, channels)
                else:
                    x = _cell(g, x, channels, edges)
        x = g.relu(g.batch_norm(x, name="lastact.0"), name="lastact.1")
        x = g.flatten(g.adaptive_avg_pool(x, 1, name="global_pooling"))
        return g.build(g.linear(x, classes, name="classifier"))


def _cell(g: Builder, x: Handle, channels: int, edges: list[tuple[int, int, str]]) -> Handle:
    states = {0: x}
    for target in sorted({target for _, target, _ in edges}):
        entering = []
        for layer, (source, to, operation) in enumerate(edges):
            if to == target:
                state = states[source]
                with g.scope(f"layers.{layer}"):
                    if state.channels == channels:
                        entering.append(OPERATIONS[operation](g, state))
                    else:
                        entering.append(WIDENING[operation](g, state, channels))
        states[target] = g.add(*entering) if len(entering) > 1 else entering[0]
    return states[max(states)]
