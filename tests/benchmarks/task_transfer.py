"""The best cell of each task of TransNAS-Bench-101, on the other tasks.

Run: ``python -m tests.benchmarks.task_transfer DATA > results/task_transfer.md``, where DATA holds
the table of 4,096 cells, which is not part of this package.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from nas.evaluators.tables.nasbench201 import transnasbench101
from tests.benchmarks.columns import TRANSNAS

TASKS = {
    "class_object": "object, %",
    "class_scene": "scene, %",
    "segmentsemantic": "segmentation, %",
    "normal": "normals, SSIM",
    "autoencoder": "autoencoder, SSIM",
}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    table = transnasbench101(parser.parse_args().data, file=TRANSNAS["file"])
    values = {
        name: np.nan_to_num(np.asarray(table.metrics[f"val_metric_{task}"]).ravel(), nan=-np.inf)
        for task, name in TASKS.items()
    }
    ranks = {name: rankdata(-column, method="min").astype(int) for name, column in values.items()}
    rows = {}
    for searched, column in values.items():
        best = int(np.argmax(column))
        rows[searched] = {
            "cell": "`" + table.keys[best].replace("|", "\\|") + "`",
            **{name: f"{values[name][best]:.4g} ({ranks[name][best]:,})" for name in values},
        }
    correlation = pd.DataFrame(values).corr("spearman").round(2)
    top = {
        name: {other: len({*_best(values[name])} & {*_best(values[other])}) for other in values}
        for name in values
    }
    print(
        "# One task's best cell on the others\n\n"
        "TransNAS-Bench-101 micro (Duan et al. 2021, arXiv:2105.11871): 4,096 cells, each trained "
        "on five tasks over\nthe same pictures. A row is the best cell of one task. Each column "
        "says what it reaches on a task, and its rank\nthere among all cells. Values are those of "
        "the validation part after full training.\n"
    )
    print(pd.DataFrame(rows).T.rename_axis("best for").to_markdown() + "\n")
    print("Rank correlation (Spearman) of the tasks over all cells:\n")
    print(correlation.to_markdown() + "\n")
    print("How many of the 41 best cells (1 %) of two tasks are the same; 0.4 by chance:\n")
    print(pd.DataFrame(top).to_markdown())


def _best(column: np.ndarray) -> list[int]:
    """Return the cells in the best hundredth."""
    found: list[int] = np.argsort(-column, kind="stable")[:41].tolist()
    return found


if __name__ == "__main__":
    main()
