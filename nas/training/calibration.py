"""Temperature scaling: how sure of itself a trained network should be."""

import math

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from nas.tasks.base import Task

_LARGEST = 20.0
"""Temperatures are from 1 to this: a network that is right on all of a few images would become
certain of everything, and one at chance would have no bound."""


def temperature(task: Task, probabilities: Tensor, targets: Tensor) -> tuple[float, float]:
    """Finds the number, from 1 to 20, that scores are divided by so that the loss is smallest.

    This is temperature scaling (Guo et al. 2017, arXiv:1706.04599, section 4.2, eq. 9); deviating
    from it, networks are never made more sure. The most probable class stays. The loss is the cross
    entropy that :meth:`nas.tasks.base.Task.evaluate` reports, not the one of the training. It has
    one minimum, because it is convex in 1 / T.

    Args:
        task: a task whose predictions are a softmax.
        probabilities: its predictions for images that were not trained on, [N, classes, ...].
        targets: what is true of these images.

    Returns this temperature and the loss with it.
    """
    # Logarithms of probabilities differ from the scores by a constant, which softmax ignores.
    scores = probabilities.clamp_min(torch.finfo(torch.float32).tiny).log()
    found = minimize_scalar(
        lambda power: task.evaluate((scores / math.exp(power)).softmax(1), targets)["loss"],
        bounds=(0.0, math.log(_LARGEST)),
        method="bounded",
        options={"xatol": 1e-3},
    )
    return round(math.exp(found.x), 4), float(found.fun)
