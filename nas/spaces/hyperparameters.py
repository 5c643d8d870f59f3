"""Training hyperparameters as choices: joint architecture and hyperparameter search.

A choice ``recipe.KEY`` sets a key of the recipe that the architecture is trained by. A space may
ask such choices itself; :func:`joint` adds them to any space.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from nas.architecture.graph import Architecture
from nas.errors import InputError
from nas.spaces.cell_graph import CellGraph
from nas.spaces.choices import (
    RECIPE,
    Choose,
    Genotype,
    Option,
    architecture_choices,
    offered,
    recipe_choices,
)
from nas.spaces.constrained_space import ConstrainedSpace
from nas.spaces.language import Language
from nas.spaces.search_space import SearchSpace


def joint(
    space: SearchSpace,
    options: Mapping[str, Sequence[Option]],
    check: Callable[[Mapping[str, Option]], None],
) -> SearchSpace:
    """Return a space that also asks ``recipe.KEY`` for every key of ``options``, last.

    Architectures keep their identity whatever they are trained by. A genotype is written as JSON,
    because the notations of the literature have no place for hyperparameters.

    Args:
        space: the space of architectures.
        options: the options of each key of the recipe. Members of the space take the first.
        check: called with all keys of the recipe that a genotype sets, if it sets any. It raises
            :class:`nas.spaces.choices.Infeasible` if they do not combine.
    """
    if isinstance(space, ConstrainedSpace):
        # Constraints stay outermost, where they notice that nothing keeps them.
        return space.around(joint(space.unconstrained, options, check))
    tuples = {f"{RECIPE}{key}": offered(given) for key, given in options.items()}

    def function(choose: Choose) -> Architecture | Callable[[], Architecture]:
        genotype: Genotype = {}

        def noted(name: str, options: Any, **about: Any) -> Any:
            genotype[name] = answer = choose(name, options, **about)
            return answer

        built = space.function(noted)
        for name, given in tuples.items():
            if name in genotype:
                raise InputError(f"space {space.name}: already asks {name} itself")
            noted(name, given)
        if asked := recipe_choices(genotype):
            check(asked)
        return built

    first = {name: given[0] for name, given in tuples.items()}
    members = {name: {**member, **first} for name, member in space.members.items()}
    return SearchSpace(function, space.name, members, _Joint(space.language))


class _Joint(Language):
    def __init__(self, language: Language) -> None:
        self.language = language
        self.cells_decide = language.cells_decide  # type: ignore[misc]
        self.mutations = language.mutations  # type: ignore[misc]

    def edits(self, mutation: str, genotype: Genotype) -> Iterable[Genotype]:
        return self.language.edits(mutation, genotype)

    def to_string(self, genotype: Genotype) -> str:
        if recipe_choices(genotype):
            return super().to_string(genotype)
        return self.language.to_string(genotype)

    def cell_graphs(self, genotype: Genotype) -> Mapping[str, CellGraph]:
        return self.language.cell_graphs(architecture_choices(genotype))
