"""What a network may see of an image when it is evaluated: the names alone, without torch."""

from __future__ import annotations

from typing import Literal

Protocol = Literal["single", "flip", "ten_crop", "multi_scale"]
"""See :func:`nas.training.evaluation.probabilities`."""
