"""The family of spaces that a context-free grammar describes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from math import prod
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, PositiveInt

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks import Block, conv_norm
from nas.configuration import Config, validate_options
from nas.errors import InputError, at
from nas.registry import unknown
from nas.spaces.choices import Choose
from nas.spaces.families import edge_network
from nas.spaces.families.family import Family, distinct, misfit
from nas.spaces.grammar import Grammar, Term
from nas.spaces.mutations import Mutations


def _sequential(parts: list[Part], g: Builder, x: Handle) -> Handle:
    for place, part in enumerate(parts):
        x = part(g, x, str(place))
    return x


def _residual(parts: list[Part], g: Builder, x: Handle) -> Handle:
    return g.add(_sequential(parts[:-1], g, x), parts[-1](g, x, "shortcut"))


def _parallel(parts: list[Part], g: Builder, x: Handle) -> Handle:
    return g.add(*(part(g, x, str(place)) for place, part in enumerate(parts)))


def _cell(parts: list[Part], g: Builder, x: Handle) -> Handle:
    """Add a cell of NAS-Bench-201: an edge from each state to each later one, by target."""
    states, left = [x], iter(enumerate(parts))
    while len(states) * (len(states) + 1) // 2 <= len(parts):
        entering = [
            part(g, state, str(place)) for state, (place, part) in zip(states, left, strict=False)
        ]
        states.append(g.add(*entering) if len(entering) > 1 else entering[0])
    return states[-1]


Part = Callable[[Builder, Handle, str], Handle]
"""Adds an argument of a function to a network; it takes the builder, the input and a scope."""

_COUNTS = {
    "sequential": range(1, 1000),
    "residual": range(2, 1000),
    "parallel": range(2, 1000),
    "cell": (1, 3, 6, 10, 15),
}
"""How many arguments a function may have."""

FUNCTIONS: Mapping[str, Callable[[list[Part], Builder, Handle], Handle]] = {
    "sequential": _sequential,
    "residual": _residual,
    "parallel": _parallel,
    "cell": _cell,
}


class Terminal(Config):
    """A block that the rules name."""

    block: str
    """The block: a name of the list below, one of NAS-Bench-201, or ``file.py:my_block``."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the block that are fixed."""
    stride: Literal[1, 2] = 1
    """The stride; with 2, the block doubles the channels."""


def _reduction(g: Builder, x: Handle, channels: int, stride: int) -> Handle:
    return edge_network.reduction(g, x, channels)


class GrammarFamily(Family):
    """Networks whose body is a term of a context-free grammar.

    Schrodi et al. 2023, arXiv:2211.01842. The functions of terms are ``sequential(a, b, ...)``;
    ``residual(a, b, ..., s)``, the sum of ``sequential(a, b, ...)`` and of ``s``;
    ``parallel(a, b, ...)``, the sum of all; and ``cell(...)`` of 1, 3, 6, 10 or 15 edges, a cell of
    NAS-Bench-201. Everything that is derived from a nonterminal has the same stride, so that sums
    fit. The stem is a 3x3 convolution with norm; behind the body are norm, ReLU, global pooling
    and the classifier.

    Choices: the start by its name, then ``START.SYMBOL_{n}`` for the n-th nonterminal of its
    production, and so on inside. The options are the productions with which the depth suffices.
    The mutation is ``subtree``, as in the paper.
    """

    mutations: ClassVar[Mutations] = Mutations(weights={"subtree": 1.0})

    family: Literal["grammar"]
    """The name of the family."""
    rules: Annotated[
        dict[
            Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")],
            Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(distinct)],
        ],
        Field(min_length=1, max_length=100),
    ]
    """The productions of each nonterminal. Their names are nonterminals, functions and blocks."""
    start: str
    """The nonterminal from which networks are derived."""
    depth: Annotated[int, Field(ge=1, le=30)] | None = None
    """The largest number of nonterminals inside each other; needed if rules recur."""
    blocks: Annotated[dict[str, Terminal], Field(min_length=1)]
    """The blocks by the names that rules give them."""
    channels: PositiveInt
    """The number of channels of the stem."""

    @property
    def labels(self) -> Mapping[str, Callable[..., Handle]]:
        """The operations of NAS-Bench-201, and its residual block of stride 2, ``reduction``."""
        return {**edge_network.LABELS, "reduction": _reduction}

    def named_blocks(self) -> Mapping[str, str]:
        """Return the block of each terminal."""
        return {f"blocks.{label}.block": each.block for label, each in self.blocks.items()}

    def check(self) -> None:
        """Raise :class:`InputError` unless names are known, rules end and strides agree."""
        for label, terminal in self.blocks.items():
            with at("blocks", label):
                with at("options"):
                    validate_options(self.block(terminal.block), terminal.options)
                block, widened = self._bound[label], self.channels * terminal.stride
                if wrong := misfit(block, self.channels, widened, terminal.stride):
                    raise InputError(f"block {terminal.block} does not fit: {wrong}")
        for symbol in self.rules:
            if symbol in self.blocks or symbol in FUNCTIONS:
                raise InputError("is the name of a block or a function too", "rules", symbol)
        if self.start not in self.rules:
            raise InputError(unknown("nonterminal", self.start, self.rules), "start")
        strides: dict[str, int] = {}
        with at("rules"):
            for _ in self.rules:  # what is known of one nonterminal decides about others
                for symbol, terms in self.grammar.rules.items():
                    for place, term in enumerate(terms.values()):
                        with at(symbol, place):
                            stride = self._stride(term, strides)
                            if stride and stride != strides.setdefault(symbol, stride):
                                raise InputError(
                                    f"has stride {stride}, but another production of {symbol} "
                                    f"has stride {strides[symbol]}"
                                )
        with at("depth"):
            self.grammar.check_depth()

    def _stride(self, term: Term, known: Mapping[str, int]) -> int | None:
        """Return the stride of a term, or None if those of its nonterminals are not known yet."""
        name, count = term.head, len(term.arguments)
        if not count and name in self.rules:
            return known.get(name)
        if not count and name in self.blocks:
            return self.blocks[name].stride
        if name not in FUNCTIONS:
            names = [*FUNCTIONS] if count else [*self.rules, *self.blocks]
            raise InputError(unknown("function" if count else "name", name, names))
        if count not in _COUNTS[name]:
            raise InputError(f"{name} cannot have {count} arguments")
        inner = [self._stride(each, known) for each in term.arguments]
        if name in ("sequential", "residual"):
            chain = inner if name == "sequential" else inner[:-1]
            inner = [_product(chain), *inner[len(chain) :]]
        found = {each for each in inner if each} | ({1} if name == "cell" else set())
        if len(found) > 1:
            raise InputError(f"{name} adds maps of strides {sorted(found)}")
        return next(iter(found), None)

    def size(self) -> int | None:
        """Return the number of derivations, by recursion over the rules."""
        return self.grammar.size()

    def architecture(
        self, choose: Choose, input_shape: Shape, classes: int
    ) -> Callable[[], Architecture]:
        """Ask for the production of every nonterminal."""
        return partial(self._build, self.grammar.derive(choose), input_shape, classes)

    def _build(self, body: Term, input_shape: Shape, classes: int) -> Architecture:
        g = Builder(input_shape)
        with g.scope("stem"):
            x = conv_norm(g, g.input, self.channels, activation=None)
        x = self._part(body)(g, x, "body")
        x = g.relu(g.batch_norm(x))
        return g.build(g.linear(g.global_pool(x), classes, name="classifier"))

    def _part(self, term: Term) -> Part:
        def add(g: Builder, x: Handle, scope: str) -> Handle:
            if term.head in self.blocks:
                stride = self.blocks[term.head].stride
                return g.repeated(scope, self._bound[term.head], x, x.channels * stride, stride)
            with g.scope(scope):
                return FUNCTIONS[term.head]([self._part(each) for each in term.arguments], g, x)

        return add

    @cached_property
    def _bound(self) -> Mapping[str, Block]:
        """The block of each terminal, with its options."""
        return {
            label: partial(self.block(each.block), **each.options)
            for label, each in self.blocks.items()
        }

    @cached_property
    def grammar(self) -> Grammar:
        """The grammar of the rules."""
        return Grammar(self.rules, self.start, self.depth)


def _product(strides: list[int | None]) -> int | None:
    return prod(each for each in strides if each) if all(strides) else None
