from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import nas

SPECIFICATION: dict[str, Any] = {
    "space": {"name": "nasbench201", "nodes": 3},
    "table": {
        "name": "columns",
        "file": "t.csv",
        "curves": {"val": "val_{epoch}"},
        "seconds": "seconds",
    },
    "validation": "val",
    "test": "test",
    "searchers": {
        "random": "random",
        "evolution": {"name": "evolution", "population_size": 4, "tournament_size": 2},
    },
    "seeds": 3,
    "budget": {"evaluations": 12},
}
"""125 cells, of which 95 differ; accuracies after 1, 3 and 9 epochs, and 90 to 170 seconds."""


def write(folder: Path, **changes: Any) -> Path:
    """Makes ``folder`` a benchmark; a key that is None is left out."""
    folder.mkdir(exist_ok=True)
    specification = {
        key: value for key, value in (SPECIFICATION | changes).items() if value is not None
    }
    (folder / "benchmark.yaml").write_text(yaml.safe_dump(specification, sort_keys=False))
    space = nas.space("nasbench201", nodes=3)
    rng = np.random.default_rng(0)
    lines = ["architecture,val_1,val_3,val_9,test,latency,seconds"]
    for genotype in space.enumerate():
        final = rng.uniform(60, 95)
        curve = [round(final - rng.uniform(0, noise), 3) for noise in (20, 10, 0.001)]
        rest = [round(final - rng.uniform(0, 2), 3), round(rng.uniform(1, 9), 3)]
        cells = [space.to_string(genotype), *curve, *rest, rng.integers(10, 20) * 9]
        lines.append(",".join(map(str, cells)))
    (folder / "t.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A benchmark that has not run."""
    return write(tmp_path / "bench")
