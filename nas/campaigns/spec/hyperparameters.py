"""Recipes of single trials, where training hyperparameters are searched with the architecture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from nas.configuration import validate
from nas.errors import InputError, at
from nas.spaces.choices import Genotype, Infeasible, Option, recipe_choices
from nas.training.recipe import Recipe

Options = Mapping[str, tuple[Option, ...]]
"""What each searched key of the recipe may be."""


def own_recipe(base: Recipe, genotype: Genotype) -> Recipe:
    """The recipe of a genotype: ``base``, but for the keys that it answers itself."""
    choices = recipe_choices(genotype)
    with at("recipe"):
        return _changed(base, choices) if choices else base


def check(base: Recipe, options: Options) -> Callable[[Mapping[str, Option]], None]:
    """A function that refuses answers which make no recipe.

    Args:
        base: the campaign's recipe.
        options: the campaign's ``hyperparameters``; each is tried, alone, now.

    The function raises :class:`InputError` for an answer that is wrong by itself, and
    :class:`Infeasible` for a combination that is (more epochs of warmup than epochs, say).
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
