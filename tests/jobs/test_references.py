"""What a folder holds, by name: its networks, their weights, and what is said where it has none."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

import nas
from nas.analysis.audit.check import check
from nas.architecture.reading import Reading, read_shape
from nas.campaigns.drive.run import run
from nas.campaigns.spec.campaign import load_campaign
from nas.cli import main
from nas.errors import InputError
from nas.jobs import names as named
from nas.training.data import held_out, search_data
from nas.training.loop import measure
from tests.campaigns import toy
from tests.campaigns.lines import read_records
from tests.training.test_unseen import write

pytestmark = pytest.mark.xdist_group("references")  # one fixture for all

CAMPAIGN = (
    toy.CAMPAIGN.replace("top: 1, top_random: 1,", "top: 2, top_random: 0, seeds: [0, 1],")
    .replace("[resnet20]", "[]")
    .replace("trials: 4", "trials: 3")
) + "random_baseline: false\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign that has trained."""
    found = toy.write(tmp_path_factory.mktemp("references") / "mine", CAMPAIGN)
    threads = torch.get_num_threads()
    run(found)
    torch.set_num_threads(threads)
    return found


def accuracies(folder: Path) -> dict[str, dict[str, float]]:
    """The metrics of what was retrained."""
    results = {r["trial"]: r["metrics"] for r in read_records(folder) if r["type"] == "result"}
    return {trial: metrics for trial, metrics in results.items() if trial.startswith("final-")}


def test_kept_weights_are_those_that_were_measured(folder: Path) -> None:
    found = accuracies(folder)
    assert {path.stem for path in (folder / "weights").iterdir()} == set(found)
    data = load_campaign(folder).data
    assert data is not None
    images, test = search_data(data), held_out(data)
    for trial, metrics in found.items():
        reference = named.reference(f"{folder}:{trial}")
        network = nas.compile(reference.architecture)
        assert reference.weights is not None
        nas.load_weights(network, reference.weights)
        assert measure(network, test, images)["accuracy"] == metrics["test_accuracy"]
        assert reference.accuracies["test_accuracy"] == metrics["test_accuracy"]
    assert not (folder / "checkpoints").exists()


@pytest.mark.parametrize("reading", ["rows", "columns", "volume", "stack"])
def test_networks_that_read_otherwise_are_those_that_were_measured(
    tmp_path: Path, reading: Reading
) -> None:
    planes = write(tmp_path / "d", (9, 9, 9))
    text = CAMPAIGN.replace("trials: 3", "trials: 1").replace("seeds: [0, 1]", "seeds: [0]")
    text = text.replace("top: 2", "top: 1").replace("[]", "[{name: vgg8, fit: {macs: 300_000}}]")
    text = re.sub("data: .*", f"data: {{name: unseen, root: {planes}}}", text)
    text = text.replace("preset: quick, ", "preset: quick, keep: best, ")
    assert "keep: best" in text
    folder = toy.write(tmp_path / "mine", f"{text}reading: {reading}\n")
    run(folder)
    assert not check(folder, replay=True).problems
    data, found = load_campaign(folder).data, accuracies(folder)
    assert data is not None
    assert len(found) == 2  # one of the space, and a classic
    for trial, metrics in found.items():
        reference = named.reference(f"{folder}:{trial}")
        architecture = reference.architecture
        assert architecture.input_shape == (9, 9, 9)
        assert read_shape(reading, (9, 9, 9)) in architecture.shapes.values()
        network = nas.compile(architecture)
        assert reference.weights is not None
        nas.load_weights(network, reference.weights)
        images, test = search_data(data), held_out(data)
        assert measure(network, test, images)["accuracy"] == metrics["test_accuracy"]
        out = tmp_path / "out" / f"{trial}.onnx"
        out.parent.mkdir(exist_ok=True)
        assert main(["export", f"{folder}:{trial}", "--to", "onnx", "--out", str(out)]) == 0
    toy.write(folder, text)
    with pytest.raises(InputError, match=f'reading: recorded "{reading}", now "image"'):
        run(folder)


def test_best_is_by_mean_validation_and_then_by_seed(folder: Path) -> None:
    found = {t: m["validation_accuracy"] for t, m in accuracies(folder).items() if "evol" in t}
    labels = {trial.rpartition("-seed")[0] for trial in found}
    means = {label: sum(found[f"{label}-seed{s}"] for s in (0, 1)) / 2 for label in labels}
    best = max(means, key=means.__getitem__)
    seed = max((0, 1), key=lambda s: found[f"{best}-seed{s}"])
    assert named.reference(f"{folder}:best").trial == f"{best}-seed{seed}"
    # The name of a row is that of its best network, too.
    row = best.removeprefix("final-")
    assert named.reference(f"{folder}:{row}").trial == f"{best}-seed{seed}"


def test_a_reference_names_an_architecture_anywhere(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"{folder}:best"
    assert main(["cost", name, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    ask = next(r for r in read_records(folder) if r.get("trial") == named.reference(name).trial)
    assert told["params"] == ask["cost"]["params"]
    assert main(["show", name]) == 0
    shown = capsys.readouterr().out
    assert ask["fingerprint"] in shown
    assert f"{ask['trial']}, validation_accuracy " in shown
    assert f'"{ask["genotype"]["stage0.cells"]}"' in shown or "stage0.cells: 1" in shown
    out = tmp_path / "taken.py"
    assert main(["export", name, "--to", "python", "--out", str(out)]) == 0
    assert f"weights of {folder / 'weights'}" in capsys.readouterr().out
    weights = torch.load(tmp_path / "taken_weights.pt", weights_only=True)
    reference = named.reference(name)
    network = nas.compile(reference.architecture)
    assert reference.weights is not None
    nas.load_weights(network, reference.weights)
    for key, tensor in network.state_dict().items():
        torch.testing.assert_close(weights[key], tensor, rtol=0, atol=0)


def test_what_was_trained_alone_is_a_reference_too(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = "{name: digits, resolution: 8, split: {train: 0.1, validation: 0.1, test: 0.8}}"
    out = tmp_path / "alone"
    command = ["train", f"{folder}:best", "--data", data, "--recipe", "{preset: quick, epochs: 1}"]
    start = ["--from", f"{folder}:best", "--threads", "1", "--out"]
    assert main([*command, *start, str(out)]) == 0
    found = named.reference(str(out))
    assert found.weights == out / "weights.safetensors"
    assert found.architecture == named.architecture(f"{folder}:best")
    assert main(["cost", str(out)]) == 0
    with pytest.raises(InputError, match="alone: holds no records of a campaign to find 'best'"):
        named.reference(f"{out}:best")
    capsys.readouterr()


@pytest.mark.parametrize("scheme", ["default", "reference"])
def test_a_classic_keeps_its_own_initialization(tmp_path: Path, scheme: str) -> None:
    text = toy.CAMPAIGN.replace("epochs: 1", f"epochs: 1, initialization: {scheme}")
    folder = toy.write(tmp_path / "mine", text)
    run(folder, evaluator=f"{toy.HERE}:evaluate")
    assert named.initialization(f"{folder}:resnet20") == "kaiming_normal"
    assert named.initialization(f"{folder}:best") == "default"


def test_a_classic_keeps_its_auxiliary_heads(tmp_path: Path) -> None:
    entry = "{name: googlenet, auxiliary: true, width: 0.0625, stem: cifar}"
    text = toy.CAMPAIGN.replace("digits", "digits, resolution: 32").replace("resnet20", entry)
    folder = toy.write(tmp_path / "mine", text)
    run(folder, evaluator=f"{toy.HERE}:evaluate")
    (trained,) = load_campaign(folder).classics
    found = named.reference(f"{folder}:{trained.label}")
    assert len(found.architecture.outputs) == 3
    assert found.architecture == trained.architecture  # and so of the weights that are kept


def test_the_data_need_not_be_there(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    path = copy / "campaign.yaml"
    path.write_text(path.read_text().replace("name: digits", "name: folder, root: nowhere"))
    assert named.reference(f"{copy}:best").weights is not None


def test_before_anything_is_retrained_best_is_the_searchs(tmp_path: Path) -> None:
    text = toy.CAMPAIGN.replace("top: 1, top_random: 1, classics: [resnet20]", "top: 0")
    folder = toy.write(tmp_path / "mine", text.replace("{top: 0}", "{top: 0, top_random: 0}"))
    summary = run(folder, evaluator=f"{toy.HERE}:evaluate")
    found = named.reference(f"{folder}:best")
    assert found.trial == summary.best_trial
    with pytest.raises(InputError, match="best: no weights are kept of evolution-000"):
        named.weights(f"{folder}:best")


def test_weights_are_not_kept_where_nobody_wants_them(tmp_path: Path) -> None:
    text = CAMPAIGN.replace("seeds: [0, 1]", "seeds: [0], weights: false")
    folder = toy.write(tmp_path / "mine", text.replace("trials: 3", "trials: 1"))
    run(folder)
    assert not (folder / "weights").exists()
    assert named.reference(f"{folder}:best").weights is None


def test_bad_input(folder: Path, tmp_path: Path) -> None:
    message = (
        r"unknown trial 'bestt' \(did you mean 'best'\?\); allowed: best, .*, or the id of any"
    )
    with pytest.raises(InputError, match=message):
        named.reference(f"{folder}:bestt")
    with pytest.raises(InputError, match=r"is a campaign: write .*:best, or .*:TRIAL"):
        named.architecture(str(folder))
    with pytest.raises(InputError, match=r"nowhere:best: there is no folder .*nowhere"):
        named.architecture(f"{tmp_path}/nowhere:best")
    with pytest.raises(InputError, match="holds neither the records of a campaign nor"):
        named.architecture(str(tmp_path))
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "tiny.yaml").write_text(toy.SPACE.replace("kernel: 1", "kernel: 3"))
    (copy / "resolved.json").write_text('{"input_shape": [1, 8, 8], "classes": 11}')
    with pytest.raises(InputError, match="now make another network of it than was recorded"):
        named.reference(f"{copy}:best")
    (copy / "resolved.json").unlink()
    with pytest.raises(InputError, match=r"resolved.json: does not tell the input's shape"):
        named.reference(f"{copy}:best")
