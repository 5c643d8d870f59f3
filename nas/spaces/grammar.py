"""Context-free grammars: spaces of terms, with choices of their own for every nonterminal."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count
from math import inf, prod

from nas.errors import InputError
from nas.spaces.choices import Choose

_MOST_BITS = 100_000
"""Sizes with more binary digits are not computed."""

_MOST_NONTERMINALS = 10_000
"""The largest number of nonterminals of one derivation."""


@dataclass(frozen=True)
class Term:
    """A name, or a function of other terms: ``sequential(conv, residual(A, skip))``."""

    head: str
    arguments: tuple[Term, ...] = ()

    def names(self) -> Iterator[str]:
        """Yield the names in it that are no functions, from left to right."""
        if not self.arguments:
            yield self.head
        for argument in self.arguments:
            yield from argument.names()


class Grammar:
    """A context-free grammar.

    Schrodi et al. 2023, "Construction of Hierarchical Neural Architecture Search Spaces based on
    Context-free Grammars" (NeurIPS; arXiv:2211.01842), describes architectures like this.

    Args:
        rules: the productions of each nonterminal, as text. All other names are terminals.
        start: the nonterminal from which everything is derived.
        depth: the largest number of nonterminals inside each other; None if rules do not recur.

    Raises:
        InputError: with the key path below the rules of a space file, if a rule is no term or
            never ends, or if the depth is missing or too small.
    """

    def __init__(self, rules: Mapping[str, Sequence[str]], start: str, depth: int | None) -> None:
        self.start = start
        self.depth = inf if depth is None else depth
        self.rules = {
            symbol: {text: _parsed(text, symbol, place) for place, text in enumerate(texts)}
            for symbol, texts in rules.items()
        }
        self._heights: dict[str, float] = dict.fromkeys(rules, inf)
        for _ in rules:
            for symbol, terms in self.rules.items():
                self._heights[symbol] = min(1 + self._height(term) for term in terms.values())
        for symbol, height in self._heights.items():
            if height == inf:
                raise InputError("every production holds a nonterminal that never ends", symbol)
        self.productions = cache(self._productions)
        self._sizes = cache(self._size)

    def derive(self, choose: Choose) -> Term:
        """Ask for the production of every nonterminal; return the term without nonterminals.

        The choice of the start is called by its name, and that of the n-th nonterminal inside the
        production of a choice ``WHERE`` is called ``WHERE.SYMBOL_{n}``. So all that is derived from
        a choice has names below its own. A single production is not asked.
        """
        return self._derive(choose, self.start, self.start, self.depth, count())

    def size(self) -> int | None:
        """Return the number of derivations; None if it has more than 30,000 digits."""
        try:
            return self._sizes(self.start, self.depth)
        except OverflowError:
            return None

    def _derive(
        self, choose: Choose, symbol: str, where: str, depth: float, derived: Iterator[int]
    ) -> Term:
        if next(derived) >= _MOST_NONTERMINALS:
            raise InputError(f"rules: derive more than {_MOST_NONTERMINALS:,} nonterminals")
        offered = self.productions(symbol, depth)
        text = choose(where, offered) if len(offered) > 1 else offered[0]
        places = count()

        def replaced(term: Term) -> Term:
            if term.head in self.rules:
                inner = f"{where}.{term.head}_{next(places)}"
                return self._derive(choose, term.head, inner, depth - 1, derived)
            return Term(term.head, tuple(map(replaced, term.arguments)))

        return replaced(self.rules[symbol][text])

    def _productions(self, symbol: str, depth: float) -> tuple[str, ...]:
        """Return the productions from which something of at most this depth can be derived."""
        terms = self.rules[symbol]
        return tuple(text for text, term in terms.items() if 1 + self._height(term) <= depth)

    def _size(self, symbol: str, depth: float) -> int:
        found = sum(
            prod(self._sizes(inner, depth - 1) for inner in self._nonterminals([term]))
            for text, term in self.rules[symbol].items()
            if text in self.productions(symbol, depth)
        )
        if found.bit_length() > _MOST_BITS:
            raise OverflowError
        return found

    def _height(self, term: Term) -> float:
        return max((self._heights[each] for each in self._nonterminals([term])), default=0)

    def _nonterminals(self, terms: Iterable[Term]) -> Iterator[str]:
        return (name for term in terms for name in term.names() if name in self.rules)

    def check_depth(self) -> None:
        """Raise :class:`InputError` if the depth is too small, or missing though rules recur."""
        if self.depth < self._heights[self.start]:
            raise InputError(f"must be at least {self._heights[self.start]}, got {self.depth}")
        reached: dict[str, set[str]] = {
            symbol: set(self._nonterminals(terms.values())) for symbol, terms in self.rules.items()
        }
        for _ in reached:
            for inner in reached.values():
                inner |= set().union(*(reached[each] for each in inner))
        recurring = [symbol for symbol, inner in reached.items() if symbol in inner]
        if self.depth == inf and recurring:
            raise InputError(f"is missing, and rules recur: {', '.join(recurring)}")


def _parsed(text: str, symbol: str, place: int) -> Term:
    def term(node: ast.expr) -> Term:
        if isinstance(node, ast.Name):
            return Term(node.id)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            return Term(node.func.id, tuple(map(term, node.args)))
        raise SyntaxError

    try:
        return term(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InputError(
            f"must be a name or a function of names, such as sequential(A, conv), got {text!r}",
            *(symbol, place),
        ) from None
