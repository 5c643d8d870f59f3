"""What trials share is loaded once, by the driver, and reaches only those that it is meant for."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nas.campaigns.drive.run import run
from nas.campaigns.engines.base import Engine, Outcome, Shared, Trial, Update
from nas.campaigns.engines.serial import SerialEngine
from nas.training.batches import resident
from nas.training.data import Part
from tests.campaigns import toy
from tests.campaigns.lines import read_records

HERE = "tests.campaigns.drive.test_shared"


def inspect(payload: Mapping[str, Any]) -> dict[str, Any]:
    """An evaluator that tells what it was given."""
    shared = {name: value for name, value in payload.items() if name != "n"}
    return {
        "sums": {name: int(part.images.sum()) for name, part in shared.items()},
        "writeable": [part.images.flags.writeable for part in shared.values()],
    }


class Sharing:
    """Trials that share one or two arrays; the loads are counted."""

    def __init__(self) -> None:
        self.loads: list[int] = []
        self.left = [
            Trial(
                str(n),
                {"n": n},
                shared={f"part{k}": Shared(str(k), self.loader(k)) for k in range(n % 3)},
            )
            for n in range(6)
        ]
        self.outcomes: dict[str, Outcome] = {}

    def loader(self, value: int) -> Any:
        def load() -> Part:
            self.loads.append(value)
            return Part(np.full((100, 1, 8, 8), value + 1, np.uint8), np.zeros(100, np.int64))

        return load

    def next(self) -> Trial | None:
        return self.left.pop(0) if self.left else None

    def update(self, trial: str, update: Update) -> bool:
        return False

    def done(self, trial: str, outcome: Outcome) -> None:
        self.outcomes[trial] = outcome


def check(engine: Engine, writeable: bool) -> None:
    source = Sharing()
    engine.run(source)
    assert source.loads == [0, 1]
    for n in range(6):
        metrics = source.outcomes[str(n)].metrics
        assert metrics["sums"] == {f"part{k}": 6400 * (k + 1) for k in range(n % 3)}
        assert metrics["writeable"] == [writeable] * (n % 3)


def test_the_serial_engine_loads_once() -> None:
    check(SerialEngine(inspect), writeable=True)


@pytest.mark.xdist_group("ray")
@pytest.mark.usefixtures("cluster")
def test_workers_read_the_driver_s_arrays_where_they_lie() -> None:
    """In shared memory, as that they cannot be written to shows: a copy could."""
    from nas.campaigns.engines.tune import TuneEngine

    check(TuneEngine(f"{HERE}:inspect"), writeable=False)


def told(trial: Mapping[str, Any]) -> dict[str, Any]:
    """The names of what is given beside the payload, and the toy's accuracy."""
    data = {name: len(trial[f"{name}_data"].labels) if name == "test"
            else len(trial["search_data"].train.labels)
            for name in ("search", "test") if f"{name}_data" in trial}  # fmt: skip
    return {**toy.evaluate(trial), "given": data}


def test_the_search_has_no_test_image(folder: Path) -> None:
    run(folder, evaluator=f"{HERE}:told")
    stages = {r["trial"]: r["stage"] for r in read_records(folder) if r["type"] == "ask"}
    given = {"search": {"search": 1078}, "final": {"search": 1078, "test": 357}}
    seen = set()
    for result in read_records(folder):
        if result["type"] == "result":
            stage = stages[result["trial"]]
            assert result["metrics"]["given"].keys() == given[stage].keys()
            seen.add(stage)
            assert result["metrics"]["given"].get("test", 357) == 357
    assert seen == {"search", "final"}


def test_read_only_images_are_taken_without_a_copy_and_without_a_warning() -> None:
    images = np.zeros((2, 1, 4, 4), np.uint8)
    images.flags.writeable = False
    labels = np.zeros(2, np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, _ = resident(Part(images, labels), torch.device("cpu"))
    assert found.data_ptr() == images.ctypes.data
