"""Campaigns whose trials are trained: what they are trained with, and on what."""

from pathlib import Path
from typing import Any

import numpy as np

from nas.analysis.check import check
from nas.architecture.graph import Architecture
from nas.campaigns.records import read_records
from nas.campaigns.runner import Runner, run
from nas.campaigns.serial import SerialEngine
from nas.campaigns.trial import Trial
from nas.classics import classic
from nas.spaces import space

ARRAYS = """
data: {name: arrays, path: PATH, split: {train: 0.5, validation: 0.25, test: 0.25}}
recipe: {preset: quick, epochs: 1, batch_size: 8, augment: [], precision: fp32,
  auxiliary_weight: 0.5, drop_path_schedule: linear}
engine: {name: serial}
"""

HEADS = """
space: {name: darts, cells: 1, channels: 4, auxiliary: true, drop_path: 0.4}
searcher: random
budget: {trials: 1}
final:
  top: 1
  top_random: 0
  classics:
    - {name: inception_v3, width: 0.1, stem: cifar}
"""


def write(folder: Path, text: str, side: int, n: int = 32, channels: int = 3) -> Path:
    """A campaign over two classes that differ in brightness."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 2
    pixels = rng.integers(0, 128, (n, channels, side, side)) + 100 * labels[:, None, None, None]
    folder.mkdir()
    np.savez(folder / "images.npz", images=pixels.astype(np.uint8), labels=labels)
    data = ARRAYS.replace("PATH", str(folder / "images.npz"))
    (folder / "campaign.yaml").write_text(text + data)
    return folder


def results(folder: Path) -> dict[str, dict[str, Any]]:
    return {r["trial"]: r for r in read_records(folder) if r["type"] == "result"}


def asks(folder: Path) -> dict[str, dict[str, Any]]:
    return {r["trial"]: r for r in read_records(folder) if r["type"] == "ask"}


class Watched(SerialEngine):
    """Keeps the trials that it carries out."""

    def __init__(self) -> None:
        super().__init__("nas.evaluators.training:evaluate")
        self.trials: dict[str, Trial] = {}

    def run(self, source: Runner) -> None:  # type: ignore[override]
        while (trial := source.next()) is not None:
            self.trials[trial.id] = trial
            source.done(trial.id, self._carried_out(trial, source))


def test_heads_and_drop_path_are_trained_in_a_campaign_and_not_counted(tmp_path: Path) -> None:
    folder = write(tmp_path / "c", HEADS, 20, n=16)
    engine = Watched()
    run(folder, engine=engine)
    for trial in engine.trials.values():
        assert len(Architecture.from_json(trial.payload["architecture"]).outputs) == 2
    ended, asked = results(folder), asks(folder)
    assert [result["status"] for result in ended.values()] == ["completed"] * 3
    # Counted as what is run: nothing of a head, and as fvcore counts the network in evaluation.
    final = asked["final-inception_v3-width0.1-stemcifar-seed0"]
    shape = (3, 20, 20)
    alone = classic("inception_v3", shape, 2, width=0.1, stem="cifar", auxiliary=False)
    assert ended[final["trial"]]["metrics"]["fvcore"] == final["cost"] == alone.cost._asdict()
    assert final["fingerprint"] != alone.fingerprint
    plain = space("darts", shape, 2, cells=1, channels=4)
    found = asked["random-0000"]
    assert plain.decode(found["genotype"]).cost._asdict() == found["cost"]
    assert not check(folder).problems
