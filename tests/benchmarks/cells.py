"""Pictures of blood cells and the boxes around these, for a campaign under ``results/``."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

TASKS = Path(__file__).parents[3] / "shared" / "data" / "tasks"


def bccd() -> dict[str, list[Any]]:
    """Return BCCD's 364 pictures at 160x120 with their boxes, in the official parts."""
    boxes: dict[str, list[list[float]]] = {}
    labels: dict[str, list[str]] = {}
    with (TASKS / "bccd_detection_boxes.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            corners = [float(row[key]) for key in ("xmin", "ymin", "xmax", "ymax")]
            boxes.setdefault(row["image"], []).append(corners)
            labels.setdefault(row["image"], []).append(row["label"])
    parts: dict[str, list[Any]] = {"train": [], "val": [], "test": []}
    with np.load(TASKS / "bccd_detection_160x120.npz") as held:
        content = held["jpeg"]
        ends = pairwise(held["offsets"].tolist())
        for (start, end), name, part in zip(ends, held["names"], held["split"], strict=True):
            found = {"boxes": boxes.get(name, []), "labels": labels.get(name, [])}
            parts[str(part)].append((content[start:end].tobytes(), found))
    return parts
