"""Recipes of single trials, where training hyperparameters are searched with the architecture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

from nas.configuration import validate
from nas.errors import InputError
from nas.spaces.choices import Genotype, Infeasible, Option, recipe_choices
from nas.training.recipe import Recipe

Options = Mapping[str, tuple[Option, ...]]
"""What each searched key of the recipe may be."""


def own_recipe(base: Recipe, genotype: Genotype) -> Recipe:
    """The recipe of a genotype: ``base``, but for the keys that it answers itself."""
    choices = recipe_choices(genotype)
    return _changed(base, choices, "genotype", "recipe") if choices else base


def check(base: Recipe, options: Options, source: Path) -> Callable[[Mapping[str, Option]], None]:
    """A function that refuses answers which make no recipe.

    Args:
        base: the campaign's recipe.
        options: the campaign's ``hyperparameters``; each is tried, alone, now.
        source: the campaign's file, for messages.

    The function raises :class:`InputError` for an answer that is wrong by itself, and
    :class:`Infeasible` for a combination that is (more epochs of warmup than epochs, say).
    """
    for key, given in options.items():
        for option in given:
            _changed(base, {key: option}, source, "hyperparameters")

    @lru_cache(maxsize=100_000)
    def checked(answers: tuple[tuple[str, Option], ...], types: tuple[type, ...]) -> None:
        try:
            _changed(base, dict(answers), source, "recipe")
        except InputError as error:
            for key, answer in answers:
                _changed(base, {key: answer}, source, "recipe")
            raise Infeasible(str(error), "recipe") from None

    # The types are part of what is remembered: 1 and 1.0 are equal, and may not both be allowed.
    return lambda answers: checked(tuple(answers.items()), tuple(map(type, answers.values())))


def _changed(base: Recipe, changes: Mapping[str, Option], source: Path | str, where: str) -> Recipe:
    return validate(Recipe, {**base.model_dump(mode="json"), **changes}, source, where)
