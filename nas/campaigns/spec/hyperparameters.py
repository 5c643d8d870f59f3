"""Makes the recipes of trials whose training hyperparameters are searched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from nas.configuration import validate
from nas.errors import InputError, at
from nas.spaces.choices import Genotype, Infeasible, Option, recipe_choices
from nas.training.recipe import Recipe

Options = Mapping[str, tuple[Option, ...]]
"""The options of each searched key of the recipe."""


def own_recipe(base: Recipe, genotype: Genotype) -> Recipe:
    """Returns the recipe of a genotype: ``base`` with the keys that the genotype sets."""
    choices = recipe_choices(genotype)
    with at("recipe"):
        return _changed(base, choices) if choices else base


def check(base: Recipe, options: Options) -> Callable[[Mapping[str, Option]], None]:
    """Returns a function that refuses answers that do not make a valid recipe.

    Args:
        base: the campaign's recipe.
        options: the campaign's ``hyperparameters``; each option is checked now, by itself.

    The function raises :class:`InputError` for a wrong answer, and :class:`Infeasible` for
    answers that do not fit together, such as more epochs of warmup than epochs.
    """
    with at("hyperparameters"):
        for key, given in options.items():
            for option in given:
                _changed(base, {key: option})

    @lru_cache(maxsize=100_000)
    def checked(answers: tuple[tuple[str, Option], ...], types: tuple[type, ...]) -> None:
        try:
            _changed(base, dict(answers))
        except InputError as error:
            with at("recipe"):
                for key, answer in answers:
                    _changed(base, {key: answer})
            raise Infeasible(str(error), "recipe") from None

    # The types are part of what is remembered: 1 and 1.0 are equal, and may not both be allowed.
    return lambda answers: checked(tuple(answers.items()), tuple(map(type, answers.values())))


def _changed(base: Recipe, changes: Mapping[str, Option]) -> Recipe:
    return validate(Recipe, {**base.model_dump(mode="json"), **changes})
