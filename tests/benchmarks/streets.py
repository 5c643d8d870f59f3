"""Data for ``results/camvid``: street scenes with masks.

They are read with numpy alone, so that the recorded checksum of this file changes only if the
images do.
"""

from typing import Any

import numpy as np

from tests.benchmarks.task_samples import TASKS


def camvid() -> dict[str, Any]:
    """Return CamVid's street scenes at 96x72 with 11 classes, in three parts; 11 is void."""
    parts = {"train": "train", "validation": "val", "test": "test"}
    with np.load(TASKS / "camvid_segmentation_96x72.npz") as held:
        return {
            part: (held[f"{name}_images"], held[f"{name}_labels"]) for part, name in parts.items()
        }
