"""Whether a training is compiled by torch.compile, which takes tens of seconds before it gains."""

from __future__ import annotations

from typing import Literal

from nas.training.recipe import Recipe

Compile = Literal["never", "auto", "always"]
"""Whether to. ``auto``: where there are :data:`COMPILED_STEPS` steps or more."""

COMPILED_STEPS = 10_000
"""On a CPU a compilation had paid after 230 to 5,950 steps, by network."""


def compiles(asked: Compile, recipe: Recipe, steps_per_epoch: int, drop_paths: int) -> bool:
    """Whether a training is compiled.

    Never with scheduled drop path: each of its probabilities would be compiled anew.

    Args:
        asked: the user's choice.
        recipe: of the training.
        steps_per_epoch: how many there are.
        drop_paths: how many the network has.
    """
    if asked == "never" or (drop_paths and recipe.drop_path_schedule != "constant"):
        return False
    return asked == "always" or recipe.epochs * steps_per_epoch >= COMPILED_STEPS
