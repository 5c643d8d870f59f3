"""Decides if a training uses torch.compile, which takes tens of seconds before it pays off."""

from __future__ import annotations

from typing import Literal

from nas.training.recipe import Recipe

Compile = Literal["never", "auto", "always"]
"""The choices; ``auto`` compiles trainings of :data:`COMPILED_STEPS` steps or more."""

COMPILED_STEPS = 10_000
"""On a CPU, a compilation paid off after 230 to 5,950 steps, depending on the network."""


def compiles(asked: Compile, recipe: Recipe, steps_per_epoch: int, drop_paths: int) -> bool:
    """Tells if a training is compiled.

    With scheduled drop path it never is, because each new probability would need a compilation.

    Args:
        asked: the user's choice.
        recipe: the recipe of the training.
        steps_per_epoch: the number of steps per epoch.
        drop_paths: how many drop paths the network has.
    """
    if asked == "never" or (drop_paths and recipe.drop_path_schedule != "constant"):
        return False
    return asked == "always" or recipe.epochs * steps_per_epoch >= COMPILED_STEPS
