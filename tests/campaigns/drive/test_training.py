"""Campaigns whose trials are trained: what they are trained with, and on what."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.analysis.audit.check import check
from nas.architecture.graph import Architecture
from nas.architecture.operations import Conv
from nas.campaigns.drive.run import run
from nas.campaigns.drive.runner import Runner
from nas.campaigns.engines.base import Trial
from nas.campaigns.engines.serial import SerialEngine
from nas.classics import classic
from nas.errors import InputError
from nas.spaces import space
from tests.campaigns import toy
from tests.campaigns.lines import read_records

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
  compile: auto
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
        # A long one of the final stage would be compiled; these have two steps.
        assert trial.payload["compile"] == ("auto" if trial.id.startswith("final") else "never")
    ended, asked = results(folder), asks(folder)
    assert [result["status"] for result in ended.values()] == ["completed"] * 3
    assert not any(result["metrics"]["compiled"] for result in ended.values())
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


# --- fidelity ---

CONVS = """
def space(choose, *, input_shape, classes, channels=1):
    from nas.architecture.builder import Builder

    g = Builder(input_shape)
    widened = channels * choose("widening", [2, 3, 4, 5])
    x = g.conv(g.input, widened, kernel=choose("kernel", [3, 7]))
    return g.build(g.linear(g.global_pool(g.relu(x)), classes))
"""

RUNGS = """
space: {name: "convs.py:space", channels: 8}
searcher: {name: asha, min_fidelity: 25, max_fidelity: 100, reduction_factor: 2}
random_baseline: false
budget: {trials: 10}
fidelity: AXIS
final: {top: 1}
"""


def with_rungs(folder: Path, axis: str, side: int = 32) -> Path:
    write(folder, RUNGS.replace("AXIS", axis), side, channels=1)
    (folder / "convs.py").write_text(CONVS)
    path = folder / "campaign.yaml"
    path.write_text(path.read_text().replace("epochs: 1", "epochs: 2"))
    return folder


@pytest.mark.parametrize("axis", ["train_fraction", "resolution", "width"])
def test_rungs_are_whole_trainings_on_less(tmp_path: Path, axis: str) -> None:
    folder = with_rungs(tmp_path / "c", axis)
    engine = Watched()
    run(folder, engine=engine)
    ended, asked = results(folder), asks(folder)
    seen = set()
    for name, trial in engine.trials.items():
        percent = asked[name].get("fidelity", 100)
        part = {axis: percent}
        side = 32 * part.get("resolution", 100) // 100
        metrics = ended[name]["metrics"]
        # 16 images to train on; every trial has all epochs, from the start.
        assert metrics["train_images"] == 16 * part.get("train_fraction", 100) // 100
        assert (metrics["epochs"], metrics["epochs_before"]) == (2, 0)
        assert trial.checkpoint is None
        assert trial.keep == name.startswith("final-")  # its weights
        built = Architecture.from_json(trial.payload["architecture"])
        assert built.input_shape == (1, side, side)
        conv = next(node.operation for node in built.nodes if isinstance(node.operation, Conv))
        widening = asked[name]["genotype"]["widening"]
        assert conv.channels == 8 * part.get("width", 100) // 100 * widening
        full = axis == "train_fraction" or percent == 100
        assert (built.fingerprint == asked[name]["fingerprint"]) == full
        seen.add(percent)
        if "continues" in asked[name]:
            before = asked[f"asha-{asked[name]['continues']:04d}"]
            assert before["genotype"] == asked[name]["genotype"]
            assert before["fidelity"] < percent
    assert seen == {25, 50, 100}
    assert not check(folder, replay=True).problems


def test_only_epochs_are_continued(tmp_path: Path) -> None:
    """More of them than a hundred, so that percent could be taken for a part of them."""
    folder = with_rungs(tmp_path / "c", "train_fraction")
    path = folder / "campaign.yaml"
    path.write_text(path.read_text().replace("epochs: 2", "epochs: 120"))
    run(folder, evaluator=f"{toy.HERE}:epochs")
    assert sum("continues" in ask for ask in asks(folder).values()) >= 2
    for result in results(folder).values():
        metrics = result["metrics"]
        assert (metrics["epochs"], metrics["epochs_before"]) == (120, 0)


def test_a_network_that_does_not_fit_small_images_is_a_failed_row(tmp_path: Path) -> None:
    folder = with_rungs(tmp_path / "c", "resolution", side=16)  # a quarter: 4 pixels
    run(folder)
    ended, asked = results(folder), asks(folder)
    statuses = {
        (ask["genotype"]["kernel"], ask.get("fidelity")): ended[name]["status"]
        for name, ask in asked.items()
        if name in ended
    }
    assert statuses[7, 25] == "failed"
    assert statuses[3, 25] == statuses[3, 50] == "completed"
    assert (7, 50) not in statuses
    assert not check(folder, replay=True).problems


@pytest.mark.parametrize(
    ("axis", "old", "new", "message"),
    [
        ("resolution", "max_fidelity: 100", "max_fidelity: 128", "at most all, in percent, 100, g"),
        ("epochs", "", "", "at most the epochs of the recipe, 2, got 100"),
        ("depth", "", "", "fidelity: .*epochs.*train_fraction.*resolution.*width"),
        ("width", "final:", "constraints: {latency_ms: 5}\nfinal:",
         "fidelity: width changes the network whose latency_ms is measured"),
        ("width", ", channels: 8", "", "width is of a space's option channels, which pairwise"),
        ("train_fraction", "{name: asha, min_fidelity: 25, max_fidelity: 100, reduction_factor: 2}",
         "random", "fidelity: train_fraction needs a multi-fidelity searcher"),
        ("resolution", "min_fidelity: 25", "min_fidelity: 1",
         "min_fidelity: 2 percent of the resolution is too little for the space"),
        ("resolution", "augment: []", "augment: [{name: shift, pixels: 12, fill: reflect}]",
         r"min_fidelity: 25 percent of the resolution is too little: recipe\.augment\.0: shift: by "
         "reflection, pixels must be below the sides of an image, 8x8, got 12"),
    ],
)  # fmt: skip
def test_a_fidelity_that_there_is_not_is_refused(
    tmp_path: Path, axis: str, old: str, new: str, message: str
) -> None:
    folder = with_rungs(tmp_path / "c", axis)
    path = folder / "campaign.yaml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError, match=message):
        run(folder)


# --- inherited weights ---

EVOLUTION = """
space: convs.py:space
searcher: {name: evolution, population_size: 3, tournament_size: 2}
random_baseline: false
budget: {trials: 9}
duplicates: evaluate
inherit_weights: true
final: {top: 1}
"""


def with_parents(folder: Path, engine: str = "serial") -> Path:
    write(folder, EVOLUTION, side=8, channels=1)
    (folder / "convs.py").write_text(CONVS)
    path = folder / "campaign.yaml"
    path.write_text(path.read_text().replace("name: serial", f"name: {engine}"))
    return folder


def agreeing(one: dict[str, Any], other: dict[str, Any]) -> int:
    """The parameters that two members of the space share: the first channels of like layers."""
    width, kernel = min(one["widening"], other["widening"]), one["kernel"]
    convolution = width * (kernel**2 + 1) if kernel == other["kernel"] else 0
    return convolution + 2 * width + 2  # and the linear layer of two classes


class Stopped(Watched):
    """Stops after so many trials; keeps which weights were on the disk at each."""

    def __init__(self, folder: Path, after: int = 1000) -> None:
        super().__init__()
        self.folder, self.left = folder, after
        self.kept: list[set[str]] = []

    def run(self, source: Runner) -> None:  # type: ignore[override]
        while (trial := source.next()) is not None:
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1
            source.done(trial.id, self._carried_out(trial, source))
            self.kept.append({path.stem for path in (self.folder / "checkpoints").glob("*")})


@pytest.mark.parametrize(
    "name",
    ["serial", pytest.param("ray", marks=[pytest.mark.slow, pytest.mark.xdist_group("ray")])],
)
def test_a_child_starts_from_its_parents_weights(
    tmp_path: Path, name: str, request: pytest.FixtureRequest
) -> None:
    if name == "ray":
        request.getfixturevalue("cluster")
    folder = with_parents(tmp_path / "c", name)
    engine = Stopped(folder)
    run(folder, engine=engine if name == "serial" else None)
    ended, asked = results(folder), asks(folder)
    children = 0
    for trial, ask in asked.items():
        assert ask.get("inherits") == ask.get("note", {}).get("parent")
        metrics = ended[trial]["metrics"]
        if "inherits" not in ask:
            assert "inherited_params" not in metrics
            continue
        children += 1
        parent = asked[f"evolution-{ask['inherits']:04d}"]
        expected = agreeing(ask["genotype"], parent["genotype"])
        assert metrics["inherited_params"] == expected
    assert children == 6
    assert not check(folder, replay=True).problems
    assert not (folder / "checkpoints").exists()
    if name == "serial":  # the last three that succeeded live, and nobody else is kept
        numbers = [{int(trial[-4:]) for trial in kept} for kept in engine.kept[:9]]
        assert numbers == [set(range(max(0, n - 2), n + 1)) for n in range(9)]


def test_children_of_a_stopped_campaign_inherit_all_the_same(tmp_path: Path) -> None:
    whole, stopped = with_parents(tmp_path / "w"), with_parents(tmp_path / "s")
    run(whole)
    with pytest.raises(KeyboardInterrupt):
        run(stopped, engine=Stopped(stopped, after=5))
    run(stopped)
    for trial, result in results(whole).items():
        again = results(stopped)[trial]["metrics"]
        for key in ("train_loss", "inherited_params"):
            assert again.get(key) == result["metrics"].get(key)


def test_a_child_whose_parents_weights_are_gone_starts_anew_and_says_so(tmp_path: Path) -> None:
    folder = with_parents(tmp_path / "c")
    with pytest.raises(KeyboardInterrupt):
        run(folder, engine=Stopped(folder, after=5))
    shutil.rmtree(folder / "checkpoints")
    run(folder)
    parent = asks(folder)["evolution-0005"]["inherits"]
    assert results(folder)["evolution-0005"]["metrics"]["inherited_params"] == 0
    message = f"evolution-0005: the weights of evolution-{parent:04d} are gone; it starts from new"
    assert message in (folder / "run.log").read_text()
    assert not check(folder).problems


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{name: evolution, population_size: 3, tournament_size: 2}", "local_search",
         "inherit_weights: needs a searcher whose proposals have one parent: evolution"),
        ("duplicates: evaluate", "", "inherit_weights: .* needs duplicates: evaluate, got reuse"),
        ("duplicates", "evaluator: {name: supernet, epochs: 1}\nduplicates",
         "inherit_weights needs an evaluator that trains every network; .* got supernet"),
    ],
)  # fmt: skip
def test_weights_that_cannot_be_inherited(tmp_path: Path, old: str, new: str, message: str) -> None:
    folder = with_parents(tmp_path / "c")
    path = folder / "campaign.yaml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError, match=message):
        run(folder)
