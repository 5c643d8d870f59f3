"""One architecture trained by itself: what is kept, what is refused, what the row says."""

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock
from rich.console import Console
from safetensors.torch import load_file
from torch import nn

import nas
from nas.errors import CampaignError, InputError
from nas.evaluators.training import evaluate
from nas.evaluators.work import complete
from nas.files import write_whole
from nas.jobs import names as named
from nas.jobs import train as single
from nas.jobs.job import Job, prepare
from nas.jobs.row import summary
from nas.training import initialization
from nas.training.data import held_out, search_data
from nas.training.loop import measure

DATA = "{name: digits, resolution: 16, split: {train: 0.1, validation: 0.1, test: 0.8}}"
RECIPE = "{preset: quick, epochs: 3, weight_average: 0.9, precision: fp32}"


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def job(architecture: str = "lenet5", recipe: str = RECIPE, **how: Any) -> Job:
    return prepare(architecture, how.pop("data", DATA), recipe, **how)


def train(
    folder: Path,
    asked: Job | None = None,
    stop: str | None = None,
    threads: int | None = 1,
) -> str:
    """What is printed; Ctrl-C is pressed at the line that begins with ``stop``."""

    class Screen(io.StringIO):
        pressed = False

        def write(self, text: str) -> int:
            if stop is not None and text.startswith(stop) and not self.pressed:
                self.pressed = True
                raise KeyboardInterrupt
            return super().write(text)

    screen = Screen()
    try:
        single.train(
            asked or job(), folder, threads=threads, console=Console(file=screen, width=200)
        )
    except KeyboardInterrupt:
        assert stop is not None
    return screen.getvalue()


def row(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "row.json").read_text())
    return read


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that nothing has disturbed."""
    folder = tmp_path_factory.mktemp("single") / "whole"
    torch.set_num_threads(1)
    train(folder)
    return folder


def test_the_row_is_of_the_weights_that_are_written(trained: Path) -> None:
    told = row(trained)
    architecture = nas.Architecture.from_json((trained / "architecture.json").read_text())
    assert architecture == nas.classic("lenet5", (1, 16, 16), 10)
    network = nas.compile(architecture)
    nas.load_weights(network, trained / "weights.safetensors")
    config = named.data(DATA)
    images = search_data(config)
    for part, held in (("validation", images.validation), ("test", held_out(config))):
        worth = measure(network, held, images)
        assert told[part]["accuracy"] == pytest.approx(worth["accuracy"])
        assert told[part]["loss"] == pytest.approx(worth["loss"], rel=1e-5)
        assert sum(map(sum, told[part]["confusion"])) == len(held.labels)
    assert (told["params"], told["macs"]) == architecture.cost[:2]
    assert told["recipe_fingerprint"] == named.recipe(RECIPE).fingerprint
    assert told["data"]["checksum"] == images.checksum
    assert (told["seed"], told["precision"], told["threads"], told["start"]) == (0, "fp32", 1, None)
    assert told["environment"]["versions"]["torch"] == torch.__version__
    assert told["environment"]["versions"]["nas"] == nas.__version__
    assert [epoch["epoch"] for epoch in told["curve"]] == [1, 2, 3]
    assert told["train_seconds"] == sum(epoch["train_seconds"] for epoch in told["curve"])
    table = summary(told).splitlines()
    assert "top5" in table[1]
    three = told | {"test": {**told["test"], "per_class": [1.0] * 3}}
    assert "top5" not in summary(three)  # of three classes, it is 1
    assert table[0].startswith("lenet5 on digits, seed 0: 21,386 parameters, 95,400 MACs, 3 epochs")
    assert table[3].split()[:3] == (
        ["test", f"{told['test']['loss']:.4f}", f"{told['test']['accuracy']:.4f}"]
    )


def test_a_campaign_evaluates_as_this_does(trained: Path) -> None:
    told = row(trained)
    request = {
        "architecture": (trained / "architecture.json").read_text(),
        "data": named.data(DATA).model_dump(mode="json"),
        "recipe": told["recipe"],
        "seed": 0,
        "device": "cpu",
        "test": True,
        "protocol": "ten_crop",
    }
    found = complete(evaluate(request))["evaluations"]
    assert found["single"] == {part: told[part] for part in ("validation", "test")}
    assert found["ten_crop"].keys() == found["single"].keys()
    assert found["ten_crop"] != found["single"]


def test_an_interrupted_training_goes_on_bit_for_bit(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = train(tmp_path, stop="epoch 2/3")
    assert out.splitlines()[-1] == (
        "stopped; 1 of 3 epochs are kept: run the same command again to go on"
    )
    assert not (tmp_path / "row.json").exists()
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # but it began with one thread
    out = train(tmp_path, threads=None)
    assert row(tmp_path)["threads"] == 1
    assert "going on after epoch 1" in out
    assert "epoch 1/3" not in out
    whole, resumed = load_file(trained / "weights.safetensors"), load_file(
        tmp_path / "weights.safetensors"
    )  # fmt: skip
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert row(tmp_path)["test"] == row(trained)["test"]
    log = (tmp_path / "run.log").read_text().splitlines()
    assert [line.split("  ", 1)[1].split()[:2] for line in log if "train loss" in line] == (
        [["epoch", "1/3"], ["epoch", "2/3"], ["epoch", "2/3"], ["epoch", "3/3"]]
    )
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "train.lock") == (
        ["architecture.json", "checkpoint.pt", "resolved.json", "row.json", "run.log",
         "weights.safetensors"]
    )  # fmt: skip


def test_what_has_ended_is_not_trained_again(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(trained, tmp_path / "copy")
    monkeypatch.setattr(single, "held_out", None)  # the test images are not read again
    assert train(folder) == f"{folder}: this training has ended before\n"
    assert row(folder) == row(trained)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"architecture": "vgg8:width=0.1"}, "architecture.params: recorded 21386, now "),
        ({"data": DATA.replace("16", "18")}, "data.resolution: recorded 16, now 18"),
        ({"data": DATA.replace("0.1, v", "0.2, v").replace("0.8", "0.7")},
         "data.split.train: recorded 0.1, now 0.2"),
        ({"changes": ["epochs=4"]}, "recipe.epochs: recorded 3, now 4"),
        ({"seed": 1}, "seed: recorded 0, now 1"),
        ({"protocol": "flip"}, 'protocol: recorded "single", now "flip"'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ended", [True, False])
def test_another_training_is_refused(
    trained: Path, tmp_path: Path, changed: dict[str, Any], said: str, ended: bool
) -> None:
    folder = shutil.copytree(trained, tmp_path / "copy")
    (folder / ("checkpoint.pt" if ended else "row.json")).unlink()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InputError) as error:
        train(folder, job(**changed))
    assert str(error.value).startswith(f"{folder}: holds another training:\n")
    assert f"  {said}" in str(error.value)
    assert "--out" in str(error.value)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_other_images_are_another_training(tmp_path: Path) -> None:
    path, rng = tmp_path / "images.npz", np.random.default_rng(0)
    images = rng.integers(256, size=(60, 16, 16), dtype=np.uint8)
    np.savez(path, images=images, labels=np.arange(60) % 3)
    data = f"{{name: arrays, path: {path}, split: {{train: 0.6, validation: 0.2, test: 0.2}}}}"
    train(tmp_path / "t", job(data=data), stop="epoch 2/3")
    images[59, 0, 0] += 1
    np.savez(path, images=images, labels=np.arange(60) % 3)
    with pytest.raises(InputError, match=r'images: recorded "\w{16}", now "'):
        train(tmp_path / "t", job(data=data))


def test_until_something_is_kept_the_specification_may_change(tmp_path: Path) -> None:
    train(tmp_path, job(seed=1), stop="epoch 1/3")
    train(tmp_path, stop="epoch 2/3")
    assert json.loads((tmp_path / "resolved.json").read_text())["specification"]["seed"] == 0


def test_a_row_may_be_that_of_the_best_epoch(tmp_path: Path) -> None:
    train(tmp_path, job(changes=["keep=best", "learning_rate=0.1"]))
    found = row(tmp_path)
    accuracies = [point["validation_accuracy"] for point in found["curve"]]
    assert found["validation"]["accuracy"] == max(accuracies)
    assert accuracies[found["kept_epoch"] - 1] == max(accuracies)


def test_starting_from_weights_that_are_frozen(trained: Path, tmp_path: Path) -> None:
    weights = trained / "weights.safetensors"
    other = job(weights=weights, freeze="body", seed=7, changes=["weight_average=null"])
    train(tmp_path, other)
    before, after = load_file(weights), load_file(tmp_path / "weights.safetensors")
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"fc3.weight", "fc3.bias"}
    assert row(tmp_path)["start"]["freeze"] == "body"
    assert row(tmp_path)["start"]["file"] == str(weights)
    with pytest.raises(InputError, match=r'start.freeze: recorded "body", now "none"'):
        train(tmp_path, job(weights=weights, seed=7, changes=["weight_average=null"]))


def test_what_the_weights_do_not_hold_is_told_and_recorded(trained: Path, tmp_path: Path) -> None:
    state = load_file(trained / "weights.safetensors")
    torch.save({name: t for name, t in state.items() if "fc1" not in name}, tmp_path / "w.pt")
    said = train(tmp_path / "out", job(weights=tmp_path / "w.pt", changes=["epochs=1"]))
    drawn = sum(t.numel() for name, t in state.items() if "fc1" in name)
    assert said.splitlines()[1].endswith(
        f"w.pt: {21386 - drawn:,} of 21,386 parameters taken; left as drawn: fc1.weight, fc1.bias"
    )
    started = row(tmp_path / "out")["start"]
    assert (started["inherited_params"], started["drawn"]) == (
        21386 - drawn,
        ["fc1.weight", "fc1.bias"],
    )


@pytest.mark.parametrize(
    ("freeze", "said"),
    [("until=fc9", "unknown node 'fc9'"), ("until=fc3", "leaves no parameter to train")],
)
def test_what_cannot_be_frozen_is_said_before_a_folder_is_begun(
    trained: Path, freeze: str, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        job(weights=trained / "weights.safetensors", freeze=freeze)


def test_weights_that_do_not_fit_are_refused_likewise(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"w.pt: no tensor has the name and the shape"):
        job(weights=tmp_path / "w.pt")


def test_short_epochs_share_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def written(seconds: float, folder: Path) -> int:
        monkeypatch.setattr(single, "CHECKPOINT_SECONDS", seconds)
        names: list[str] = []
        write = single.write_whole
        with monkeypatch.context() as patch:
            patch.setattr(
                single,
                "write_whole",
                lambda path, content: (names.append(path.name), write(path, content)),
            )
            train(folder, job(changes=["epochs=5"]))
        return names.count("checkpoint.pt")

    assert written(3600, tmp_path / "seldom") == 2
    assert written(0, tmp_path / "always") == 5


def test_a_write_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nas.files.os.fsync", full)
    with pytest.raises(CampaignError, match=r"file: cannot be written: No space left .* again"):
        write_whole(path, b"new")
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"old"]


def test_a_torn_checkpoint_is_named(trained: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(trained, tmp_path / "copy")
    (folder / "row.json").unlink()
    path = folder / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"checkpoint.pt: is no readable checkpoint: .*delete it"):
        train(folder)
    (folder / "resolved.json").unlink()
    with pytest.raises(InputError, match=r"resolved.json: does not say what was trained here"):
        train(folder)


@pytest.mark.parametrize("held", [{"a": 1}, [1, 2], {"curve": [{"epoch": 1}]}])
def test_a_checkpoint_of_something_else_is_named(trained: Path, tmp_path: Path, held: Any) -> None:
    folder = shutil.copytree(trained, tmp_path / "copy")
    (folder / "row.json").unlink()
    torch.save(held, folder / "checkpoint.pt")
    with pytest.raises(InputError, match=r"checkpoint.pt: is no checkpoint of this .*; delete it"):
        train(folder)


def test_a_folder_that_is_taken(tmp_path: Path) -> None:
    with FileLock(tmp_path / "train.lock"), pytest.raises(InputError, match="run is active"):
        train(tmp_path)
    (tmp_path / "campaign.yaml").touch()
    with pytest.raises(InputError, match="holds a campaign; choose another folder with --out"):
        train(tmp_path)


def test_an_architecture_must_fit_the_data(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(nas.classic("lenet5", (1, 28, 28), 10).to_json())
    with pytest.raises(InputError, match=r"mine.json: the architecture takes \(1, 28, 28\) images"):
        job(str(path))


def test_reference_is_the_classics_own_scheme(trained: Path, tmp_path: Path) -> None:
    how = "{preset: quick, initialization: reference}"
    asked = job("resnet20", how).specification()
    assert (asked["recipe"]["initialization"], asked["initialization"]) == (
        ("reference", "kaiming_normal")
    )
    assert "initialization" not in job("resnet20").specification()  # the recipe says which
    assert row(trained)["reference_initialization"] == "default"
    folder = shutil.copytree(trained, tmp_path / "copy")
    told = row(folder) | {"reference_initialization": "vgg"}
    (folder / "row.json").write_text(json.dumps(told))
    assert job(str(folder), how).initialization == "vgg"


def test_reference_is_what_the_network_starts_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(initialization, "initialize", lambda network, scheme: seen.append(scheme))
    asked = job("resnet20", "{preset: quick, initialization: reference}")
    train(tmp_path, asked, stop="epoch 1")
    assert seen == ["kaiming_normal"]


def test_compiling_is_part_of_the_specification() -> None:
    assert job(compile="auto").specification()["compile"] == "auto"
    assert "compile" not in job().specification()  # as before there was the choice


def test_cuda_graphs_are_part_of_the_specification_where_they_are_switched_off() -> None:
    assert job(cuda_graphs=False).specification()["cuda_graphs"] is False
    assert "cuda_graphs" not in job().specification()
