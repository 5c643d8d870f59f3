"""Data for the campaigns of tasks under ``results/``: faces, points, volumes and digits.

They are read with numpy alone, so that the recorded checksum of this file changes only if the
images do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nas.training.datasets.images import Images, assembled

TASKS = Path(__file__).parents[3] / "shared" / "data" / "tasks"


def landmarks() -> dict[str, Any]:
    """Return 600 grey faces of 64x64 pixels with 68 points as fractions of the side.

    Nobody is in two parts: of five persons, one is for validation, one for the test.
    """
    with np.load(TASKS / "face_landmarks_64.npz") as held:
        images, points, persons = held["images"], held["keypoints"] / 64, held["person"]
    groups = {"train": (0, 1, 2), "validation": (3,), "test": (4,)}
    parts = {role: np.isin(persons % 5, group) for role, group in groups.items()}
    return {role: (images[part], points[part]) for role, part in parts.items()}


def faces() -> tuple[Any, Any]:
    """Return 400 grey faces of 70x70 pixels and their 40 persons."""
    with np.load(TASKS / "orl_faces_70x70.npz") as held:
        return held["images"], held["person"]


def volumes() -> Images:
    """Return AdrenalMNIST3D with its official parts, 64^3 voxels brought to 8^3 by means."""
    roles = {"train": "train", "validation": "val", "test": "test"}
    with np.load(TASKS / "adrenalmnist3d_64.npz") as held:
        counts = {role: len(held[f"{name}_labels"]) for role, name in roles.items()}
        labels = np.concatenate([held[f"{name}_labels"] for name in roles.values()])
        cubes = [held[f"{name}_images"].reshape(-1, 1, *(8, 8) * 3) for name in roles.values()]
    means = [each.mean((3, 5, 7)).round().astype(np.uint8) for each in cubes]
    return assembled(np.concatenate(means), labels[:, 0], counts, "volumes")  # type: ignore[arg-type]
