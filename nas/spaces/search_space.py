"""Search spaces: functions that call ``choose`` wherever an architecture may vary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any, get_args

import numpy as np

from nas.configuration import validate
from nas.errors import InputError, at
from nas.registry import unknown
from nas.spaces.asked_space import MAX_REJECTED, AskedSpace, Built, NothingFeasible
from nas.spaces.choices import (
    RECIPE,
    Genotype,
    Infeasible,
    Option,
    difference,
    genotype_key,
    recipe_choices,
)
from nas.spaces.encodings import Encoding, cost, one_hot, path, wl
from nas.spaces.mutations import GENERAL, PUBLISHED, Child, Mutations, ways
from nas.spaces.walks import (
    Narrow,
    NothingLeft,
    draw,
    grafted,
    inheriting,
    keeping,
    unnarrowed,
    walk,
)

_MAX_REMEMBERED = 1_000_000


@dataclass(frozen=True)
class Size:
    """A number of genotypes. If it is not ``exact``, there are at least so many."""

    count: int
    exact: bool

    def __str__(self) -> str:
        if self.count < 10**18:
            return f"{'exactly' if self.exact else 'at least'} {self.count:,}"
        about = f"{Decimal(self.count):.2e}"
        return f"about {about} (known exactly)" if self.exact else f"at least {about}"


class SearchSpace(AskedSpace):
    """A set of architectures that can be drawn from, changed, counted and encoded.

    :class:`~nas.spaces.asked_space.AskedSpace` says how it is described, and its arguments.
    """

    def sample(self, rng: np.random.Generator) -> Genotype:
        """Draw every choice, by its prior or uniformly; draw all again if that is infeasible."""
        return self._until_feasible(lambda: draw(self.run, unnarrowed, rng)[0])

    def mutations_with(self, **changes: Any) -> Mutations:
        """Return :attr:`mutations` with other attributes; None leaves one as it is.

        Raises:
            InputError: for a mutation that the space does not have, or a wrong value.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        offered = list(dict.fromkeys((*GENERAL, *self.language.mutations.weights)))
        for name in given.get("weights", ()):
            if name not in offered:
                raise InputError(unknown("mutation", name, offered), "mutations")
        with at("mutations"):
            return validate(Mutations, {**self.mutations.model_dump(), **given})

    def decisions(self, genotype: Genotype) -> Genotype:
        """Return the answers that a search decides; here, these are all."""
        return genotype

    def fit(self, genotype: Genotype) -> Genotype:
        """Return the genotype with what its :meth:`decisions` decide; here, that is nothing."""
        return genotype

    def mutate(self, genotype: Genotype, rng: np.random.Generator) -> Genotype:
        """Return ``genotype`` with one choice changed.

        The choice is drawn uniformly among those with more than one option, and its new option
        among the others, by its prior or uniformly. The remaining answers are kept if they are
        still asked and still allowed; what is newly asked is drawn. On a NASNet-style cell this is
        the hidden-state and op mutation of Real et al. 2019 (arXiv:1802.01548, section 3.2).

        Raises:
            InputError: if the genotype is of another space.
            NothingFeasible: if no choice has two options, or none of many children is feasible.
        """
        return self.child(genotype, rng, PUBLISHED).genotype

    def child(self, genotype: Genotype, rng: np.random.Generator, mutations: Mutations) -> Child:
        """Return a child of ``genotype``, made by one of ``mutations``.

        A mutation is drawn by weight, then one of the ways to apply it uniformly. What the mutation
        does not change is kept if it is still asked and still allowed; what is newly asked is
        drawn.

        Raises:
            InputError: if the genotype is of another space.
            NothingFeasible: if no mutation can be applied, or none of ``mutations.draws`` children
                is feasible and, where neutral children are redrawn, has another architecture or
                recipe than its parent.
        """
        left: dict[str, dict[str, Narrow]] = {}
        decided = self.decisions(genotype)
        orders = self._orders(genotype) if "step" in mutations.weights else {}
        for name in mutations.weights:
            if found := ways(name, decided, self.language.edits, orders):
                left[name] = found

        def attempt() -> Child:
            while left:
                name = mutations.drawn(list(left), rng)
                places = list(left[name])
                place = places[int(rng.random() * len(places))]
                try:
                    child, built = draw(self.run, left[name][place], rng)
                except NothingLeft:
                    del left[name][place]
                    if not left[name]:
                        del left[name]
                    continue
                if place in genotype and place not in child:
                    raise InputError(
                        f"space {self.name}: choice {place!r} is not asked: "
                        "the genotype to mutate is of another space"
                    )
                if name == "subtree" and not difference(child, genotype):
                    raise Infeasible("a child is its parent", "neutral")
                if mutations.neutral == "redraw" and self.is_same_network(genotype, child, built):
                    raise Infeasible("a child is the same network as its parent", "neutral")
                return Child(child, name)
            reason = f"none of {', '.join(mutations.weights)} can be applied"
            if "choice" in mutations.weights:
                reason = "no choice has two options"
            raise NothingFeasible(f"space {self.name}: nothing can mutate: {reason}")

        return self._until_feasible(attempt, mutations.draws)

    def children(self, genotype: Genotype, mutations: Mutations) -> Iterator[Child]:
        """Yield every child by one of ``mutations``, once; among them are neutral ones.

        Of an ordered choice, it yields only the children with an option beside the parent's.
        """
        found = {genotype_key(self._replay(genotype)[0])}
        orders, decided = self._orders(genotype), self.decisions(genotype)
        for name in mutations.weights:
            for narrow in ways(name, decided, self.language.edits, orders, leap=0).values():
                for child in walk(self.run, narrow):
                    key = genotype_key(child)
                    if key not in found:
                        found.add(key)
                        yield Child(child, name)

    def is_same_network(self, a: Genotype, b: Genotype, built: Built | None = None) -> bool:
        """Return whether two genotypes have the same architecture and the same searched recipe.

        Args:
            a: a genotype of this space.
            b: another one.
            built: what :meth:`run` returned for ``b``, if that is known; it saves time.
        """
        return recipe_choices(a) == recipe_choices(b) and (
            self.identity(a) == self.identity(b, built)
        )

    def crossover(
        self, a: Genotype, b: Genotype, rng: np.random.Generator, draws: int = MAX_REJECTED
    ) -> Genotype:
        """Return a child that has every answer from either parent, with equal chance.

        This is uniform crossover (Syswerda 1989). If only one parent has an answer that is
        allowed, it is taken; if neither has one, it is drawn.

        Raises:
            NothingFeasible: if none of ``draws`` children is feasible.
        """
        return self._until_feasible(lambda: draw(self.run, inheriting(a, b), rng)[0], draws)

    def subtree_crossover(
        self, a: Genotype, b: Genotype, rng: np.random.Generator, draws: int = MAX_REJECTED
    ) -> Genotype:
        """Return ``a`` with a subtree of ``b`` in place of one of its own.

        This is the crossover of genetic programming (Koza 1992, "Genetic Programming"), between
        equal nonterminals as for the grammars of Schrodi et al. 2023 (arXiv:2211.01842). A subtree
        is a choice with all choices below it, whose names begin with its name and a dot. Choices
        that offer the same options are taken for the same nonterminal. If the subtree does not fit,
        because a choice in it has other options at its new place, others are drawn. Deviations:
        there is one child, and every choice is taken with the same chance, where Koza prefers
        inner ones.

        Raises:
            InputError: if a parent is of another space.
            NothingFeasible: if none of ``draws`` children is feasible.
        """
        own: dict[str, tuple[Option, ...]] = {}
        given: dict[str, tuple[Option, ...]] = {}
        self._replay(a, own)
        self._replay(b, given)
        places = list(own)

        def attempt() -> Genotype:
            place = places[int(rng.random() * len(places))]
            like = [name for name, options in given.items() if options == own[place]]
            if not like:
                raise Infeasible("the other parent has no such subtree", "subtree")
            graft = grafted(a, place, b, like[int(rng.random() * len(like))])
            try:
                return draw(self.run, keeping(self.decisions(graft)), rng)[0]
            except NothingLeft:
                raise Infeasible("a subtree does not fit", "subtree") from None

        return self._until_feasible(attempt, draws) if places else dict(a)

    def neighbors(self, genotype: Genotype) -> Iterator[Genotype]:
        """Yield every genotype that :meth:`mutate` can return, once.

        Of an ordered choice, only the options beside the genotype's are neighbours, as those of an
        ordinal hyperparameter of ConfigSpace, with which SMAC's local search works (Lindauer et al.
        2022, arXiv:2109.09831).

        They come choice by choice and option by option, in the order asked. If a change asks new
        choices, every way to answer them is a neighbour.
        """
        return (child.genotype for child in self.children(genotype, PUBLISHED))

    def enumerate(self) -> Iterator[Genotype]:
        """Yield every genotype, depth first through the tree of choices, options in their order."""
        return walk(self.run, unnarrowed)

    def size(self, limit: int = 1_000_000) -> Size:
        """Return the number of genotypes, by a closed form or else counted up to ``limit``.

        Several genotypes may decode to the same architecture.
        """
        known = self.language.size()
        return self._count(limit) if known is None else Size(known, exact=True)

    def encode(self, genotype: Genotype, encoding: Encoding) -> dict[str, float]:
        """Return the features that a genotype has, for a predictor; all others are zero.

        :func:`~nas.spaces.encodings.one_hot`, :func:`~nas.spaces.encodings.path`,
        :func:`~nas.spaces.encodings.wl` and :func:`~nas.spaces.encodings.cost` say what the
        features are. The recipe's hyperparameters are encoded as by ``one_hot``, also beside cells.
        The genotype is taken to be of this space.

        Raises:
            InputError: for another encoding, or for one of cells if the space has none.
        """
        orders = self._orders(genotype)
        if encoding == "one_hot":
            return one_hot(genotype, orders)
        if encoding == "cost":
            return cost(self.decode(genotype))
        if encoding not in get_args(Encoding):
            raise InputError(unknown("encoding", encoding, list(get_args(Encoding))))
        if not (cells := self.cell_graphs(genotype)):
            raise InputError(
                f"space {self.name}: has no cells, so no {encoding} encoding; allowed: one_hot, "
                "cost"
            )
        features = path(cells) if encoding == "path" else wl(cells)
        recipe = {name: each for name, each in genotype.items() if name.startswith(RECIPE)}
        return features | one_hot(recipe, orders)

    def identity(self, genotype: Genotype, built: Built | None = None) -> str:
        """Returns a text that is equal exactly for genotypes of the same architecture; cached.

        It is the fingerprint of the cells if they decide, which takes microseconds, else that of
        the architecture. The two kinds are never compared with each other.

        Args:
            genotype: a genotype of this space.
            built: what :meth:`run` returned for it, if that is known; it saves time.
        """
        key = genotype_key(genotype)
        found = self._identities.get(key)
        if found is None:
            if self.language.cells_decide:
                parts = [cell.fingerprint for _, cell in sorted(self.cell_graphs(genotype).items())]
                found = "".join(parts)
            else:
                built = self._replay(genotype)[1] if built is None else built
                found = (built() if callable(built) else built).fingerprint
            if len(self._identities) >= _MAX_REMEMBERED:
                self._identities.clear()
            self._identities[key] = found
        return found

    def _count(self, limit: int) -> Size:
        count = sum(1 for _ in islice(self.enumerate(), limit + 1))
        return Size(min(count, limit), exact=count <= limit)
