"""`nas search`: what it plans, what it leaves behind, and what it says about bad input."""

import csv
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas.analysis.audit.check import check
from nas.campaigns.drive.run import run
from nas.campaigns.spec.campaign import load_campaign
from nas.campaigns.spec.data_argument import read
from nas.cli import main
from nas.errors import InputError
from nas.jobs import plan
from nas.jobs.division import Division
from nas.jobs.plan import Planner
from nas.jobs.probe import Probe, smoothness
from nas.jobs.search import search
from nas.training.data import load, resolve
from tests.benchmarks import unseen
from tests.training.test_axes import write as write_series
from tests.training.test_unseen import write

RNG = np.random.default_rng(0)


def test_pictures_are_smooth_and_boards_are_not() -> None:
    down, right = np.mgrid[:28, :28]
    waves = np.sin(down / 5 + RNG.uniform(0, 6, (50, 1, 1, 1))) * np.cos(right / 6)
    assert smoothness((127 * waves + 128).astype(np.uint8)) > 0.9
    assert abs(smoothness(RNG.integers(0, 256, (50, 3, 28, 28), dtype=np.uint8))) < 0.05
    assert smoothness(np.zeros((5, 1, 4, 4), np.uint8)) == 0
    assert smoothness(waves[:, :, 0]) > 0.9  # series
    assert smoothness(np.repeat(waves[:, :, None], 5, axis=2)) > 0.9  # volumes


@pytest.mark.parametrize("images", [90, 1_000, 45_000])
@pytest.mark.parametrize("workers", [1, 2, 16])
def test_the_time_is_divided_without_a_rest(images: int, workers: int) -> None:
    found = Division.of(600, images, workers)
    assert -(-found.top // workers) * found.training == pytest.approx(432)
    assert found.trials * found.trial / workers == pytest.approx(138, rel=0.1)
    assert found.epochs >= 1
    assert found.passes * images >= min(300_000, 200 * images)


@pytest.mark.parametrize(
    "shape", [(12, 8, 8), (1, 27, 18), (3, 64, 64), (20, 20, 20), (1, 20, 20, 20)]
)
def test_a_plan_is_a_campaign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]
) -> None:
    def instant(architecture: Any, images: Any, recipe: Any, *rest: Any) -> Probe:
        flips = any(step.name == "flip" for step in recipe.augment)
        return Probe(0.5 - 0.3 * flips, 2e9, architecture.cost.macs)

    monkeypatch.setattr(plan, "probe", instant)
    given = read(str(write(tmp_path / "d", shape)))
    folder, lines = tmp_path / "c", list[str]()
    made = Planner(given, load(resolve(given.section)), folder, time.monotonic() + 600, None, 0,
                   lines.append).campaign()  # fmt: skip
    folder.mkdir()
    (folder / "campaign.yaml").write_text(made)
    campaign = load_campaign(folder)
    assert campaign.config.time_limit is not None
    assert campaign.config.time_limit.minutes < 10
    assert campaign.classics
    assert campaign.recipe is not None
    augment = [step.name for step in campaign.recipe.augment]
    assert "flip" not in augment
    assert not augment or len(shape) == 3
    assert max(map(len, made.splitlines())) <= 100 + len(str(tmp_path))


def test_of_few_series_three_in_ten_are_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "probe", lambda *_: Probe(0.5, 2e9, 1))
    root, out = write_series(tmp_path / "waves"), tmp_path / "out"
    search(str(root.with_name("waves_TRAIN.ts")), 5, out, plan=True, say=lambda _: None)
    campaign = load_campaign(out)
    assert campaign.data.split.fractions == {"train": 0.7, "validation": 0.3}
    assert campaign.recipe is not None
    assert not campaign.recipe.augment


@pytest.mark.slow
def test_from_arrays_to_predictions_and_an_exported_network(tmp_path: Path) -> None:
    data = unseen.write(tmp_path / "data", "stripes", seed=0)
    out = tmp_path / "out"
    assert main(["search", str(data), "--minutes", "0.6", "--out", str(out)]) == 0
    with (out / "predictions.csv").open() as file:
        predicted = [int(row["class"]) for row in csv.DictReader(file)]
    truth = np.load(data / "test_y.npy")
    assert (np.array(predicted) == truth).mean() > 0.9
    assert not check(out).problems
    script = next(out.glob("export/*_predict.py"))
    Image.fromarray(np.zeros((12, 12), np.uint8)).save(out / "export" / "one.png")
    done = subprocess.run(
        [sys.executable, script.name, "one.png"], cwd=script.parent, capture_output=True, text=True
    )
    assert done.stdout.startswith("one.png ")


def test_what_is_trained_when_it_is_stopped_predicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write(tmp_path / "d", (1, 12, 12))
    out = tmp_path / "out"
    out.mkdir()
    (out / "campaign.yaml").write_text(
        f"""
space: primitives
searcher: random
random_baseline: false
budget: {{trials: 1}}
time_limit: {{minutes: 5}}
data: {{name: unseen, root: {data}}}
recipe: {{preset: quick, epochs: 1}}
final: {{top: 0, classics: [lenet5]}}
engine: serial
"""
    )

    def stopped(folder: Path) -> None:
        run(folder)
        raise KeyboardInterrupt

    lines = list[str]()
    monkeypatch.setattr("nas.jobs.search.run", stopped)
    with pytest.raises(KeyboardInterrupt):
        search(str(data), 5, out, say=lines.append)
    assert any(line.startswith("best: lenet5") for line in lines)
    assert len((out / "predictions.csv").read_text().splitlines()) == 7
    assert (out / "export" / "network.py").exists()
    path = out / "campaign.yaml"
    path.write_text(path.read_text().replace("time_limit: {minutes: 5}", ""))
    with pytest.raises(InputError, match="is a campaign without time_limit"):
        search(str(data), 5, out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing_here/x"], "nothing_here/x: No such file or folder"),
        (["DATA", "--minutes", "0"], "must be a number above 0"),
        (["DATA", "--minutes", "0.001"], "--minutes: are too few: 0 s are left"),
        (["DATA", "--macs", "few"], "must be a number above 0"),
    ],
)
def test_bad_input_is_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    data = str(write(tmp_path / "d"))
    given = [data if each == "DATA" else each for each in arguments]
    out = tmp_path / "out"
    try:
        code = main(["search", *given, "--out", str(out)])
    except SystemExit as error:
        code = error.code  # type: ignore[assignment]
    assert code == 2
    assert message in capsys.readouterr().err
    assert not out.exists()
