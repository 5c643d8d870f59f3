"""The base of all families of YAML spaces, and how a file becomes a family."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from math import ceil
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field, PositiveInt, PrivateAttr

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.operations import ArchitectureError, Shape
from nas.blocks import BLOCKS, Block, identity, zero
from nas.configuration import Config, validate
from nas.errors import InputError, at
from nas.registry import Registry, unknown
from nas.spaces.cell_graph import IDENTITY, ZERO
from nas.spaces.choices import Choose, Genotype
from nas.spaces.constraints import Constraints
from nas.spaces.families.priors import Priors
from nas.spaces.language import Language
from nas.user_code import FORMS, absolute, is_code, short_name, sources

T = TypeVar("T")

FAMILIES = Registry(
    "family",
    {
        "free_graph": "nas.spaces.families.free_graph:FreeGraph",
        "edge_cell": "nas.spaces.families.edge_cell:EdgeCell",
        "matrix_cell": "nas.spaces.families.matrix_cell:MatrixCell",
        "pairwise_cell": "nas.spaces.families.pairwise_cell:PairwiseCell",
        "staged": "nas.spaces.families.staged:Staged",
        "regnet": "nas.spaces.families.regnet:RegNet",
        "natsbench_size": "nas.spaces.families.natsbench_size:NATSBenchSize",
        "hierarchical": "nas.spaces.families.hierarchical:Hierarchical",
        "grammar": "nas.spaces.families.grammar:GrammarFamily",
    },
)
"""The families by the name that ``family:`` in a space file gives them."""

Count = Annotated[int, Field(ge=1, le=1000)]
"""How many nodes, cells or stages there are, of which lists are made."""

_MAP = (8, 8)
"""The spatial size that :func:`misfit` tries a block on."""


def distinct(options: tuple[T, ...]) -> tuple[T, ...]:
    """Return the options of a key that lists them; raise ValueError if one is given twice."""
    if len(set(options)) < len(options):
        raise ValueError("an option is given twice")
    return options


class Family(Config, Language):
    """A space file. Each family is a subclass with its own keys and :meth:`architecture`."""

    family: str
    """The name of the family."""
    paper: str
    """Where the space was published, with a link."""
    description: str = ""
    """A description of one line, which ``nas spaces`` shows."""
    members: dict[str, Genotype] = Field(default_factory=dict)
    """Known genotypes by name."""
    constraints: Constraints = Constraints()
    """The largest costs; a campaign may add its own."""
    priors: Priors = Field(default_factory=dict)
    """The weights with which options are drawn, by the name of the choice, in which ``*`` stands
    for any text: ``{"*.operation": {conv: 3}}``. Options without a weight have 1."""
    ordered: tuple[str, ...] = ()
    """The names of choices whose options are ordered, so that those side by side are alike; ``*``
    stands for any text."""

    _folder: Path = PrivateAttr(default=Path())

    @abstractmethod
    def architecture(
        self, choose: Choose, input_shape: Shape, classes: int
    ) -> Callable[[], Architecture]:
        """Ask ``choose`` wherever the space may vary; return a function that builds the rest."""

    @property
    def labels(self) -> Mapping[str, Callable[..., Handle]]:
        """Blocks by the names of the family's literature, if these differ from the names here."""
        return {}

    def named_blocks(self) -> Mapping[str, str]:
        """Return the names of blocks in the file, by key path."""
        return {}

    def check(self) -> None:
        """Raise :class:`InputError` for what types alone cannot tell."""

    def bound(self, input_shape: Shape) -> Language:
        """Return what is known about the space for images of a shape: by default the family."""
        return self

    def block(self, name: str) -> Callable[..., Handle]:
        """Return the block that a name stands for.

        Args:
            name: one of the family's :attr:`labels`, one of :data:`nas.blocks.BLOCKS`, or a
                user's own block: ``file.py:my_block``, where the path is relative to the space
                file, or ``package.module:my_block``.

        Raises:
            InputError: if the name stands for no block.
        """
        if name in self.labels:
            return self.labels[name]
        if name not in BLOCKS and not is_code(name):
            allowed = list(dict.fromkeys([*self.labels, *BLOCKS]))
            raise InputError(f"{unknown('block', name, allowed)}; or {FORMS}")
        block: Callable[..., Handle] = BLOCKS.find(name, self._folder)
        return block

    def check_blocks(self, before: int, after: int, strides: tuple[int, ...] = (1,)) -> None:
        """Raise :class:`InputError` unless each block from outside the literature fits.

        It must make ``after`` channels of ``before`` at every one of ``strides``.
        """
        for where, name in self.named_blocks().items():
            for stride in strides if name not in self.labels else ():
                if fault := misfit(self.block(name), before, after, stride):
                    raise InputError(f"block {name} does not fit: {fault}", *where.split("."))

    def code(self) -> dict[str, str]:
        """Return the checksum of each file that the users' own blocks consist of, by its name."""
        return {
            path.name: checksum
            for name in self.named_blocks().values()
            if name not in self.labels and is_code(name)
            for path, checksum in sources(absolute(name, self._folder)).items()
        }


class Listed(Family):
    """A family whose file lists the operations that its cells choose from."""

    operations: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(distinct)]
    """Names of blocks: see :meth:`Family.block`."""
    channels: PositiveInt
    """The number of channels of the first stage."""
    own_weights: bool = False
    """Whether nodes are named after their operation too, so that unlike operations of an edge share
    no weights (:mod:`nas.supernet`), as in the supernets of papers."""

    def named_blocks(self) -> Mapping[str, str]:
        """Return the operations."""
        return {f"operations.{index}": name for index, name in enumerate(self.operations)}

    def check(self) -> None:
        """Raise :class:`InputError` unless each block from outside the literature fits."""
        self.check_blocks(self.channels, self.channels)

    @cached_property
    def blocks(self) -> Mapping[str, Block]:
        """The blocks of the operations."""
        blocks = {name: self.block(name) for name in self.operations}
        return {n: labelled(n, b) for n, b in blocks.items()} if self.own_weights else blocks

    @cached_property
    def drawn(self) -> Mapping[str, str]:
        """The operations' names in cell graphs: every identity and every zero has one name."""
        words: dict[Any, str] = {identity: IDENTITY, zero: ZERO}
        return {name: words.get(self.block(name), name) for name in self.operations}


def misfit(block: Callable[..., Any], before: int, after: int, stride: int = 1) -> str | None:
    """Return why a block cannot be used, or None.

    Args:
        block: the block, with its options set.
        before: channels that enter it.
        after: channels that it should make.
        stride: the stride that it should have.
    """
    g = Builder((before, *_MAP))
    try:
        inspect.signature(block).bind(g, g.input, after, stride)
    except TypeError:
        return f"a block takes (g, x, channels, stride), this takes {inspect.signature(block)}"
    try:
        made = block(g, g.input, after, stride)
    except ArchitectureError as error:
        return str(error)
    if not isinstance(made, Handle):
        return f"a block returns a Handle, this returns a {type(made).__name__}"
    if made.shape != (after, *(ceil(size / stride) for size in _MAP)):
        return f"it makes {made.shape} of {g.input.shape}"
    return None


def labelled(label: str, block: Callable[..., Handle]) -> Callable[..., Handle]:
    """Return a block that adds what ``block`` adds, in a scope with the name of the operation."""
    return partial(_in_scope, scope=short_name(label), block=block)


def _in_scope(
    g: Builder, x: Handle, *shape: int, scope: str, block: Callable[..., Handle], **options: Any
) -> Handle:
    with g.scope(scope):
        return block(g, x, *shape, **options)


def read_family(data: Any, folder: Path, overrides: Mapping[str, Any] | None = None) -> Family:
    """Return the family that a space file describes.

    Args:
        data: the content of the file.
        folder: of the file, where relative paths in it start.
        overrides: keys of the file with other values. A key that the family does not have is
            refused as it would be in the file.

    Raises:
        InputError: naming the key that is wrong.
    """
    name = data.get("family") if isinstance(data, dict) else None
    with at("family"):
        model = FAMILIES[str(name)]
    assert isinstance(model, type)
    assert issubclass(model, Family)
    family = validate(model, {**data, **(overrides or {})}, folder)
    family._folder = folder
    for where, block in family.named_blocks().items():
        with at(*where.split(".")):
            family.block(block)
    family.check()
    return family
