"""`nas search`: what it plans, what it leaves behind, and what it says about bad input."""

import csv
import json
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nas.analysis.audit.check import check
from nas.architecture.reading import Reading, read_shape
from nas.campaigns.drive.run import run
from nas.campaigns.drive.runner import Runner
from nas.campaigns.engines.base import NoRoom, Update
from nas.campaigns.spec.campaign import Campaign, load_campaign
from nas.campaigns.spec.data_argument import read
from nas.cli import main
from nas.errors import CampaignError, InputError
from nas.jobs import tryouts
from nas.jobs.best import best, best_so_far
from nas.jobs.division import Division
from nas.jobs.plan import Planner
from nas.jobs.probe import Probe, alike, smoothness
from nas.jobs.search import search
from nas.training.data import Loaded, SearchData, load, resolve
from nas.training.hardware import cores
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


def test_channels_of_sums_and_products_are_alike_and_colours_are_not(shared_data: Path) -> None:
    for name in ("sums", "products"):
        assert alike(unseen.SETS[name][0](RNG, 100, 0)[0])
    assert not alike(unseen.tiles(RNG, 100, 0)[0])


def test_channels_are_alike_if_they_are_pictures_of_their_own() -> None:
    assert not alike(unseen.language(RNG, 100, 0)[0])  # one channel
    noise = RNG.normal(size=(100, 3, 8, 8)).astype(np.float32)
    assert alike(noise)
    for odd in np.array([[0, 0, 1], [0, 0, -1]], np.float32):
        assert not alike(noise + odd[:, None, None])
        assert not alike(noise * (2 + odd)[:, None, None])
    assert not alike(noise[:, [0, 1, 1]])
    assert not alike(0 * noise)
    assert alike(
        noise + RNG.normal(size=(8, 8)).astype(np.float32)
    )  # what all images have in common


@pytest.mark.parametrize("images", [90, 1_000, 45_000])
@pytest.mark.parametrize("workers", [1, 2, 16])
def test_the_time_is_divided_without_a_rest(images: int, workers: int) -> None:
    found = Division.of(600, images, workers)
    assert -(-found.top // workers) * found.training == pytest.approx(432)
    assert found.trials * found.trial / workers == pytest.approx(138, rel=0.1)
    assert found.epochs >= 1
    assert found.passes * images >= min(300_000, 200 * images)


def planned(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    data: Path,
    minutes: float,
    macs: int | None = None,
    speed: float = 2e9,
    score: float = 0.5,
) -> tuple[Campaign, str]:
    """Returns the campaign that is planned where networks train so, and its text."""

    def instant(architecture: Any, images: Any, recipe: Any, *rest: Any) -> Probe:
        flips = any(step.name == "flip" for step in recipe.augment)
        return Probe(score - 0.3 * flips, speed, architecture.cost.macs)

    monkeypatch.setattr(tryouts, "probe", instant)
    monkeypatch.setattr(Planner, "_slower", 1.0)  # however busy this machine is
    given = read(str(data))
    folder, ends = tmp_path / "c", time.monotonic() + 60 * minutes
    loaded = load(resolve(given.section))
    made = Planner(given, loaded, folder, minutes, ends, 0.0, macs, 0, lambda _: None).campaign()
    folder.mkdir(parents=True)
    (folder / "campaign.yaml").write_text(made)
    return load_campaign(folder), made


@pytest.mark.parametrize(
    ("reading", "minutes"), [("rows", 1.2), ("image", 2), ("rows", 2), ("columns", 10)]
)
def test_arrays_are_read_as_what_trains_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reading: Reading, minutes: float
) -> None:
    images = load(resolve({"name": "unseen", "root": str(write(tmp_path / "d", (1, 12, 18)))}))
    first = read_shape(reading, (1, 12, 18))

    def instant(architecture: Any, *rest: Any) -> Probe:
        conv = next(node for node in architecture.nodes if node.operation.kind == "conv")
        good = architecture.shapes[conv.inputs[0]] == first
        return Probe(0.9 if good else 0.2, 2e9, architecture.cost.macs)

    monkeypatch.setattr(tryouts, "probe", instant)
    monkeypatch.setattr(Planner, "_slower", 1.0)  # however busy this machine is
    lines = list[str]()
    folder, ends = tmp_path / "c", time.monotonic() + 60 * minutes
    made = Planner(
        read(str(tmp_path / "d")), images, folder, minutes, ends, 0.0, None, 0, lines.append
    ).campaign()
    folder.mkdir()
    (folder / "campaign.yaml").write_text(made)
    campaign = load_campaign(folder)
    tried = minutes >= 2
    assert campaign.frame.reading == (reading if tried else "image")
    assert any(line.startswith(f"reading: {reading}; validation after") for line in lines) == tried
    assert campaign.initial
    for genotype in campaign.initial.values():
        assert campaign.space.decode(genotype).input_shape == (1, 12, 18)


@pytest.mark.parametrize(
    "shape", [(12, 8, 8), (1, 27, 18), (3, 64, 64), (20, 20, 20), (1, 20, 20, 20), (9, 1, 128)]
)
def test_a_plan_is_a_campaign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]
) -> None:
    campaign, made = planned(tmp_path, monkeypatch, write(tmp_path / "d", shape), 10)
    assert campaign.config.time_limit is not None
    assert campaign.config.time_limit.minutes < 10
    assert campaign.classics
    assert campaign.recipe is not None
    augment = [step.name for step in campaign.recipe.augment]
    assert "flip" not in augment
    assert not augment or len(shape) == 3
    assert max(map(len, made.splitlines())) <= 100 + len(str(tmp_path))


def test_images_that_are_learned_slowly_get_longer_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write(tmp_path / "d", (3, 16, 16))
    fast, _ = planned(tmp_path / "fast", monkeypatch, data, 10, score=1.0)
    slow, text = planned(tmp_path / "slow", monkeypatch, data, 10, score=0.5)
    assert fast.recipe is not None
    assert slow.recipe is not None
    assert (fast.recipe.epochs, slow.recipe.epochs) == (5, 17)  # of 200
    assert "networks learn these images slowly" in " ".join(text.split())
    assert slow.config.final.lineages


def test_of_few_series_three_in_ten_are_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tryouts, "probe", lambda *_: Probe(0.5, 2e9, 1))
    root, out = write_series(tmp_path / "waves"), tmp_path / "out"
    search(str(root.with_name("waves_TRAIN.ts")), 5, out, plan=True, say=lambda _: None)
    campaign = load_campaign(out)
    assert campaign.data.split.fractions == {"train": 0.7, "validation": 0.3}
    assert campaign.recipe is not None
    assert not campaign.recipe.augment


@pytest.mark.parametrize(
    ("counts", "tests", "shares", "parts", "told"),
    [
        ([20, 20, 3, 1], 0, (0.6, 0.2, 0.2), [28, 8, 8], "validation or test image is of class 2"),
        ([20, 20, 3, 1], 9, (0.7, 0.3), [31, 13, 9], "no validation image is of class 3"),
        ([2] * 30, 9, (0.7, 0.3), [30, 30, 9], ""),
        ([5] * 300, 9, (0.7, 0.3), [1200, 300, 9], ""),  # of 5, a tenth is none
        ([800, 800, 5], 9, (0.9, 0.1), [1445, 160, 9], "no validation or test image is of class 2"),
    ],
)
def test_classes_that_are_too_small_are_training_images(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    counts: list[int],
    tests: int,
    shares: tuple[float, ...],
    parts: list[int],
    told: str,
) -> None:
    monkeypatch.setattr(tryouts, "probe", lambda *_: Probe(0.5, 2e9, 1))
    labels = np.repeat(np.arange(len(counts)), counts)
    held = {"images": noise(len(labels)), "labels": labels}
    if tests:
        held |= {"test_images": noise(tests), "test_labels": np.arange(tests) % 2}
    np.savez(tmp_path / "d.npz", **held)
    lines = list[str]()
    search(str(tmp_path / "d.npz"), 5, tmp_path / "out", plan=True, say=lines.append)
    found = load_campaign(tmp_path / "out").data
    assert found is not None
    assert tuple(found.split.fractions.values()) == shares
    made = load(found).split
    assert [len(part) for part in (made.train, made.validation, made.test)] == parts
    assert told in "\n".join(lines)


def noise(count: int) -> Any:
    return RNG.integers(0, 256, (count, 8, 8), dtype=np.uint8)


def test_where_every_class_is_too_small_the_least_number_is_named(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "d.npz",
        images=noise(5),
        labels=np.arange(5),
        test_images=noise(2),
        test_labels=np.arange(2),
    )
    with pytest.raises(InputError, match=r"fractions \[0.7, 0.3\], which need 2 images of every"):
        search(str(tmp_path / "d.npz"), 5, tmp_path / "out", plan=True, say=lambda _: None)


@pytest.mark.parametrize(
    ("shape", "minutes", "macs", "speed"),
    [
        ((1, 16, 16), 10, 50_000, 2e9),  # a vgg8 fits, but it is narrower than any of the space
        ((3, 64, 64), 1, None, 1e7),
        ((1, 12, 12), 600, None, 1e12),
    ],
)
def test_a_search_starts_from_networks_within_the_limit(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shape: tuple[int, ...],
    minutes: float,
    macs: int | None,
    speed: float,
) -> None:
    data = write(tmp_path / "d", shape)
    campaign, _ = planned(tmp_path, monkeypatch, data, minutes, macs, speed)
    most = campaign.config.constraints.macs
    assert most is not None
    assert most == macs if macs else 1e4 < most < 1e9
    for genotype in campaign.initial.values():
        assert campaign.space.decode(genotype).cost.macs <= most


@pytest.mark.parametrize("macs", [10**8, 10**12])
def test_a_limit_of_the_user_is_not_more_than_there_is_time_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, macs: int
) -> None:
    largest = 0

    def instant(architecture: Any, *rest: Any) -> Probe:
        nonlocal largest
        largest = max(largest, architecture.cost.macs)
        return Probe(0.5, 2e9, architecture.cost.macs)

    data = write(tmp_path / "d", (1, 12, 12))
    campaign, made = planned(tmp_path, monkeypatch, data, 5, macs)
    monkeypatch.setattr(tryouts, "probe", instant)
    limit, given, folder = campaign.config.time_limit, read(str(data)), tmp_path / "c"
    assert limit is not None
    ends, most = time.monotonic() + 300, campaign.config.constraints.macs
    loaded = load(resolve(given.section))
    Planner(given, loaded, folder, 5, ends, 0.0, macs, 0, lambda _: None).campaign()
    # A short training of four seconds makes ten steps on 24 images.
    assert largest <= 2e9 * 4.5 * cores() / (10 * 24)
    assert most is not None
    # A training has some minutes, for one pass over 24 images.
    assert most == macs if macs < 1e9 else most < 2e9 * 300 * cores() / 24
    assert ("--macs allows" in made) == (macs > 1e9)


def test_nobody_waits_for_more_than_a_minute_for_a_short_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = 0.0

    def instant(architecture: Any, *rest: Any) -> Probe:
        nonlocal longest
        longest = max(longest, rest[3])
        return Probe(0.5, 2e9, architecture.cost.macs)

    data = write(tmp_path / "d", (1, 12, 12))
    given = read(str(data))
    monkeypatch.setattr(tryouts, "probe", instant)
    ends, loaded = time.monotonic() + 86_400, load(resolve(given.section))
    Planner(given, loaded, tmp_path, 1440, ends, 0.0, None, 0, lambda _: None).campaign()
    assert longest == 60


def test_a_busy_machine_is_seen_only_where_there_was_time_to_see_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("nas.jobs.plan._cpu_seconds", lambda: 1.0)
    monkeypatch.setattr("nas.jobs.plan.time", SimpleNamespace(monotonic=lambda: now))
    made = object.__new__(Planner)
    made._began, made._cpu_before = now, 1.0
    for passed, slower in ((0.01, 1.0), (0.19, 1.0), (2.0, 2000.0)):
        now = 100.0 + passed
        assert made._slower == pytest.approx(slower)


@pytest.mark.parametrize(
    "name", ["pics \U0001f600", "a\u2028evaluator: 'm:f' #", "b\x92c", "d\x1ee"]
)
def test_names_of_files_cannot_change_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(tryouts, "probe", lambda *_: Probe(0.5, 2e9, 1))
    data = tmp_path / name
    for which in ("cat", f"{name} dog", f"{name} few"):
        (data / which).mkdir(parents=True)
        for number in range(1 if "few" in which else 20):
            Image.fromarray(noise(1)[0]).save(data / which / f"{number}.png")
    search(str(data), 5, tmp_path / "out", plan=True, say=lambda _: None)
    found = load_campaign(tmp_path / "out")
    assert found.config.evaluator.name == "training"
    assert found.data is not None
    assert found.data.options["root"] == str(data)
    assert len(load(found.data).images.names) == 3


def test_one_training_image_is_too_few(tmp_path: Path) -> None:
    one = {f"train_{kind}": values for kind, values in (("x", noise(1)), ("y", np.zeros(1, int)))}
    data = write(tmp_path / "d", (8, 8), input_shape=[8, 8], **one)
    with pytest.raises(InputError, match="the training part holds a single image; a search needs"):
        search(str(data), 5, tmp_path / "out", plan=True, say=lambda _: None)
    np.save(data / "train_y.npy", np.array(0))
    with pytest.raises(InputError, match=r"train_y.npy: is of \[\]; expected 1 labels"):
        search(str(data), 5, tmp_path / "out", plan=True, say=lambda _: None)


def test_time_is_kept_for_many_test_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write(tmp_path / "d", (1, 12, 12))
    few, _ = planned(tmp_path, monkeypatch, data, 600, speed=1e7)
    for name in ("test_x", "test_y"):
        values = np.load(data / f"{name}.npy")
        np.save(data / f"{name}.npy", np.concatenate([values] * 500))
    many, _ = planned(tmp_path / "many", monkeypatch, data, 600, speed=1e7)
    before, after = few.config.time_limit, many.config.time_limit
    assert before is not None
    assert after is not None
    assert after.minutes < before.minutes - 30


def test_time_is_kept_for_decoding_the_images_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write(tmp_path / "d", (1, 12, 12))
    usual, _ = planned(tmp_path / "usual", monkeypatch, data, 0.6)
    search = Loaded.search

    def slow(self: Loaded) -> SearchData:
        time.sleep(1.8)
        return search(self)

    monkeypatch.setattr(Loaded, "search", slow)
    campaign, _ = planned(tmp_path / "slow", monkeypatch, data, 0.6)
    before, after = usual.config.time_limit, campaign.config.time_limit
    assert before is not None
    assert after is not None
    assert (before.final, before.classics) == (0.72, 0.05)
    whole = 60 * after.minutes
    assert whole - whole * after.final / 0.72 == pytest.approx(1.8, abs=0.3)


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
    np.save(out / "export" / "one.npy", np.load(data / "test_x.npy")[0])
    done = subprocess.run(
        [sys.executable, script.name, "one.npy"], cwd=script.parent, capture_output=True, text=True
    )
    assert done.stdout.startswith(f"one.npy {predicted[0]} ")


def of_classics(out: Path, data: Path, epochs: int, classics: str) -> Path:
    """Writes a campaign of five minutes whose final stage trains classics."""
    out.mkdir()
    (out / "campaign.yaml").write_text(
        f"""
space: primitives
searcher: random
random_baseline: false
budget: {{trials: 1}}
time_limit: {{minutes: 5}}
data: {{name: unseen, root: {data}}}
recipe: {{preset: quick, epochs: {epochs}}}
final: {{top: 0, classics: [{classics}]}}
engine: serial
"""
    )
    return out


def test_what_is_trained_when_it_is_stopped_predicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write(tmp_path / "d", (1, 12, 12))
    out = of_classics(tmp_path / "out", data, 1, "lenet5")

    def stopped(folder: Path, **options: Any) -> None:
        run(folder, **options)
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


def test_a_training_that_was_stopped_predicts_if_it_is_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write(tmp_path / "d", (1, 12, 12))
    out = of_classics(tmp_path / "out", data, 3, "lenet5, {name: lenet5, width: 0.5}")
    update = Runner.update

    def interrupted(self: Runner, trial: str, point: Update) -> bool:
        update(self, trial, point)
        if "width" in trial and point.metrics["epoch"] == 2:
            time.sleep(0.2)
            raise KeyboardInterrupt
        return False

    monkeypatch.setattr(Runner, "update", interrupted)
    monkeypatch.setattr("nas.campaigns.engines.base.CHECKPOINT_SECONDS", 0)
    with pytest.raises(KeyboardInterrupt):
        search(str(data), 5, out, say=lambda _: None)
    done = best(out)
    for value, label, epoch in ((-1.0, "lenet5-width0.5", 2), (1.1, "lenet5", 0)):
        known = replace(done, metrics={"validation_accuracy": value})
        monkeypatch.setattr("nas.jobs.best.best", lambda folder, known=known: known)
        found, network = best_so_far(out)
        assert (found.label, found.epoch) == (label, epoch)
        assert network(torch.zeros(1, 1, 12, 12)).shape == (1, 3)
    # The time that was lost with it has passed.
    resolved = json.loads((out / "resolved.json").read_text())
    seconds = sum(json.loads(line).get("seconds", 0) for line in (out / "records.jsonl").open())
    assert resolved["elapsed"] > seconds + 0.2


@pytest.mark.parametrize("by_limit", [False, True])
def test_the_first_training_predicts_although_it_has_not_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_limit: bool
) -> None:
    data = write(tmp_path / "d", (1, 12, 12))
    out = of_classics(tmp_path / "out", data, 3, "lenet5")
    update = Runner.update

    def interrupted(self: Runner, trial: str, point: Update) -> bool:
        update(self, trial, point)
        if "lenet5" not in trial or point.metrics["epoch"] < 2:
            return False
        if by_limit:
            signal.raise_signal(signal.SIGINT)
            return True
        raise KeyboardInterrupt

    monkeypatch.setattr(Runner, "update", interrupted)
    monkeypatch.setattr("nas.campaigns.engines.base.CHECKPOINT_SECONDS", 0)
    monkeypatch.setattr("nas.campaigns.drive.run.is_over", lambda: by_limit)
    lines = list[str]()
    with nullcontext() if by_limit else pytest.raises(KeyboardInterrupt):
        search(str(data), 5, out, say=lines.append)
    assert any(line.endswith("stopped after epoch 2") for line in lines), lines
    assert len((out / "predictions.csv").read_text().splitlines()) == 7
    monkeypatch.setattr(Runner, "update", update)
    search(str(data), 5, out, say=lines.append)  # it goes on
    assert best(out).label == "lenet5"
    assert not (out / "checkpoints").exists()


@pytest.mark.parametrize(
    ("one", "other", "average", "label", "calibrated"),
    [
        ((0.9444, 0.61), (0.93, 0.7), (0.9431, 0.25), "average", [0.26, 0.3]),
        ((0.9444, 0.61), (0.93, 0.7), (0.9431, 0.25), "one", [0.3, 0.24]),
        ((0.9444, 0.61), (0.93, 0.7), (0.9431, 0.52), "average", None),
        ((0.9444, 0.61), (0.93, 0.7), (0.95, 0.7), "average", None),
        ((0.4187, 1.30), (0.4173, 1.23), (0.4167, 1.22), "average", None),
        ((0.9444, 0.61), (0.5, 1.5), (0.9, 0.8), "one", None),
        ((0.9444, 0.61), (0.93, 0.7), (0.92, 0.52), "one", None),  # by more than 0.018
        ((0.9444, 0.61), (0.93, 0.5), (0.9431, 0.61), "one", None),
    ],
)
def test_an_average_predicts_if_its_accuracy_or_its_loss_is_better(
    monkeypatch: pytest.MonkeyPatch,
    one: tuple[float, float],
    other: tuple[float, float],
    average: tuple[float, float],
    label: str,
    calibrated: list[float] | None,
) -> None:
    asks, results = {}, {}
    for name, (accuracy, loss) in {"one": one, "other": other, "average": average}.items():
        made = name == "average"
        asks[name] = SimpleNamespace(stage="final", trial=name, label=name, is_ensemble=made)
        known = {"single": {"validation": {"reliability": [[1000, 900, 950.0], [500, 50, 80.0]]}}}
        metrics = {
            "validation_accuracy": accuracy,
            "validation_loss": loss,
            "evaluations": known,
            **({"calibrated_losses": calibrated} if made and calibrated else {}),
        }
        results[name] = SimpleNamespace(completed=True, metrics=metrics, number=metrics.get)
    header = SimpleNamespace(specification={})
    history = SimpleNamespace(header=header, asks=asks, results=results)
    monkeypatch.setattr("nas.jobs.best.recorded", lambda folder: history)
    found = best(Path("c"))
    assert (found.label, found.trial) == (label, label)


def test_before_the_first_record_nothing_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(folder: Path, **options: Any) -> None:
        raise KeyboardInterrupt

    data = write(tmp_path / "d", (1, 12, 12))
    out = of_classics(tmp_path / "out", data, 1, "lenet5")
    monkeypatch.setattr("nas.jobs.search.run", stopped)
    lines = list[str]()
    with pytest.raises(KeyboardInterrupt):
        search(str(data), 5, out, say=lines.append)
    assert lines[-1] == f"{out}: no network is trained yet: give it more time"


@pytest.mark.parametrize("signals", [1, 2])
def test_predictions_are_written_before_a_signal_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signals: int
) -> None:
    data = write(tmp_path / "d", (1, 12, 12))
    out = of_classics(tmp_path / "out", data, 1, "lenet5")

    def said(line: str) -> None:
        if line.startswith("best:"):
            for _ in range(signals):
                signal.raise_signal(signal.SIGTERM)

    with nullcontext() if signals == 1 else pytest.raises(KeyboardInterrupt):
        search(str(data), 5, out, say=said)
    assert (out / "export" / "network.py").exists() == (signals == 1)


@pytest.mark.parametrize("error", [CampaignError, NoRoom])
def test_without_ray_it_goes_on_in_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fails(self: Any, source: Any) -> None:
        raise error("Ray could not be started")

    data = write(tmp_path / "d", (1, 12, 12))
    out = of_classics(tmp_path / "out", data, 1, "lenet5")
    path = out / "campaign.yaml"
    path.write_text(path.read_text().replace("engine: serial", "engine: ray"))
    monkeypatch.setattr("nas.campaigns.engines.tune.TuneEngine.run", fails)
    lines = list[str]()
    search(str(data), 5, out, say=lines.append)
    assert any("Ray could not be started" in line for line in lines)
    assert any(line.startswith("best: lenet5") for line in lines)
    assert not check(out).problems


def test_what_is_written_does_not_change_the_data(tmp_path: Path) -> None:
    data = write(tmp_path / "d", (1, 12, 12))
    with pytest.raises(InputError, match=r"--out: .*out lies in the folder of the data, .*d, "):
        search(str(data), 5, data / "more" / "out", say=lambda _: None)
    assert not (data / "more").exists()


def test_a_folder_of_other_data_is_not_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tryouts, "probe", lambda *_: Probe(0.5, 2e9, 1))
    out = tmp_path / "out"
    one, other = write(tmp_path / "one"), write(tmp_path / "other")
    search(str(one), 5, out, plan=True, say=lambda _: None)
    search(str(one), 5, out, plan=True, say=lambda _: None)
    with pytest.raises(InputError, match=r"data\.root: is .*one, but DATA has .*other; choose"):
        search(str(other), 5, out, plan=True, say=lambda _: None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing_here/x"], "nothing_here/x: No such file or folder"),
        (["DATA", "--minutes", "0"], "must be a number above 0"),
        (["DATA", "--minutes", "0.001"], "--minutes: 0.001 is too few: 0 s are left"),
        (["DATA", "--macs", "few"], "must be a number above 0"),
        (["DATA", "--macs", "10"], "--macs: 10 is too few: the smallest of 40 networks"),
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
