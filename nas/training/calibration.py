"""Temperature scaling: how sure of itself a trained network should be."""

import math

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from nas.tasks.base import Task

_LARGEST = 20.0
"""Temperatures are from 1/20 to 20: beyond, networks are always right or at chance."""


def temperature(task: Task, probabilities: Tensor, targets: Tensor) -> float:
    """Finds the number that scores are divided by so that the task's loss is smallest.

    This is temperature scaling (Guo et al. 2017, arXiv:1706.04599, section 4.2, eq. 9). The most
    probable class stays. The loss has one minimum, because cross entropy is convex in 1 / T.

    Args:
        task: a task whose predictions are a softmax.
        probabilities: its predictions for images that were not trained on, [N, classes, ...].
        targets: what is true of these images.
    """
    # Logarithms of probabilities differ from the scores by a constant, which softmax ignores.
    scores = probabilities.double().clamp_min(torch.finfo(torch.float32).tiny).log()
    found = minimize_scalar(
        lambda power: float(task.loss(scores / math.exp(power), targets)),
        bounds=(-math.log(_LARGEST), math.log(_LARGEST)),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return round(math.exp(found.x), 4)
