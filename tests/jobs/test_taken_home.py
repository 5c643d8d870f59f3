"""A trained network works outside: from picture files to the accuracy that the table shows."""

import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from nas.architecture.builder import Builder
from nas.architecture.network import compile
from nas.cli import main
from nas.configuration import Named, validate
from nas.errors import InputError
from nas.export.exporting import export
from nas.export.formats import FORMATS
from nas.export.parity import ExportError, draw_weights
from nas.export.pictures import OnPictures, Samples, check_pictures
from nas.export.script import RUNTIMES, script, script_path
from nas.integrations.model_card import model_card
from nas.jobs import names as named
from nas.jobs.inputs import preprocessing_of, samples, trained
from nas.jobs.predict import predict
from nas.preprocessing import Preprocessing
from nas.report.page import write_report
from nas.tasks import DEFAULT, make
from nas.training.data import held_out, read_images, resolve, search_data
from nas.training.datasets.digits import digits
from nas.training.datasets.pictures import read_picture
from nas.training.datasets.scaling import to_pixels, value_range
from nas.training.evaluation import predictions
from nas.training.splitting import split
from tests.training.test_unseen import write

OLD = Path(__file__).parents[1] / "campaigns" / "schema2" / "finished"

STRANGER = """
import contextlib, io, json, runpy, sys
scripts, pictures = json.loads(sys.stdin.read())
found = {}
for script in scripts:
    sys.argv = [script, *pictures]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        runpy.run_path(script)
    found[script] = said.getvalue().splitlines()
assert not {name for name in sys.modules if name.split(".")[0] == "nas"}
if all("onnx" in script for script in scripts):
    assert not {"torch", "onnx"} & set(sys.modules)
print(json.dumps(found))
"""
"""Runs scripts as they stand, and makes sure that they need nothing else of the project."""


class Trained(NamedTuple):
    """A network that was trained on the pictures of a user."""

    folder: Path
    data: dict[str, Any]
    pictures: list[Path]
    """The files of the test part."""
    labels: list[str]
    """The names of their classes."""

    @property
    def row(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "row.json").read_text())
        return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A training on pictures that are larger than the network's input, and not square."""
    place = tmp_path_factory.mktemp("home")
    paths, labels = [], []
    for label in range(10):
        name = f"digit {label}"
        (place / "pics" / name).mkdir(parents=True)
        members = digits().images[digits().labels == label, 0][:30]
        for number, image in enumerate(members):
            path = place / "pics" / name / f"{number:02}.png"
            Image.fromarray(image).resize((20, 24)).save(path)
            paths.append(path)
            labels.append(name)
    data = {"name": "folder", "root": str(place / "pics"), "resolution": 16, "colour": "grey",
            "split": {"train": 0.5, "validation": 0.2, "test": 0.3}}  # fmt: skip
    command = ["train", "lenet5", "--data", json.dumps(data), "--recipe", "quick", "--set",
               "epochs=3", "--threads", "1", "--out", str(place / "lenet")]  # fmt: skip
    threads = torch.get_num_threads()
    assert main(command) == 0
    torch.set_num_threads(threads)
    config = resolve(data)
    test = split(read_images(config.name, config.options), config.split).test
    return Trained(place / "lenet", data, [paths[i] for i in test], [labels[i] for i in test])


def answers(folder: Path, scripts: list[str], pictures: list[Path]) -> dict[str, list[str]]:
    """The classes that scripts print, in a process that has only what they import."""
    done = subprocess.run(
        [sys.executable, "-c", STRANGER],
        input=json.dumps([scripts, list(map(str, pictures))]),
        cwd=folder,
        env={"PATH": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = {}
    for name, lines in json.loads(done.stdout).items():
        told = [line.removeprefix(f"{path} ") for path, line in zip(pictures, lines, strict=True)]
        found[name] = [each.rpartition(" ")[0] for each in told]
    return found


@pytest.mark.parametrize("forms", [["onnx"], ["python", "torchscript", "torch-export"]], ids=str)
def test_accuracy_from_files_is_that_of_the_row(
    home: Trained, tmp_path: Path, forms: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    scripts = []
    for form in forms:
        out = tmp_path / f"net{FORMATS[form].suffix}"
        assert main(["export", str(home.folder), "--to", form, "--out", str(out)]) == 0
        told = capsys.readouterr().out
        assert "1, 16, 16], pixels from 0 to 255; output probabilities [" in told
        assert "its script answers 8 test pictures as the evaluation here does" in told
        scripts.append(script_path(out).name)
    for found in answers(tmp_path, scripts, home.pictures).values():
        right = [name == label for name, label in zip(found, home.labels, strict=True)]
        assert np.mean(right) == home.row["test"]["accuracy"]


def test_a_part_is_predicted_as_its_files(
    home: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    top = home.pictures[0].parents[1]
    found, _ = predict(str(home.folder), part="test")
    by_file, _ = predict(str(home.folder), home.pictures)
    assert [each.file for each in found] == [str(path.relative_to(top)) for path in home.pictures]
    assert [each.label for each in found] == home.labels
    assert [each.classes for each in found] == [each.classes for each in by_file]
    assert main(["predict", str(home.folder), "--part", "test"]) == 0
    *_, last = capsys.readouterr().out.splitlines()
    right = round(home.row["test"]["accuracy"] * len(home.labels))
    assert last == f"accuracy {right / len(home.labels):.4f}: {right} of {len(home.labels)} images"
    for wrong in ([], [str(home.pictures[0]), "--part", "test"]):
        assert main(["predict", str(home.folder), *wrong]) == 2


def test_statistics_are_those_of_the_training_images(home: Trained) -> None:
    recorded = validate(Preprocessing, home.row["preprocessing"])
    images = search_data(resolve(home.data)).train.images
    assert recorded.mean == pytest.approx([np.mean(images)])
    assert recorded.std == pytest.approx([np.std(images)])
    assert recorded.classes == tuple(f"digit {label}" for label in range(10))
    assert (recorded.colour, recorded.output) == ("grey", "probabilities")


def test_one_object_everywhere(home: Trained, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    out = tmp_path / "net.onnx"
    assert main(["export", str(home.folder), "--to", "onnx", "--out", str(out)]) == 0
    expected = home.row["preprocessing"]
    held = {each.key: json.loads(each.value) for each in onnx.load(str(out)).metadata_props}
    assert held == {"preprocessing": expected, "classes": expected["classes"]}
    metadata = json.loads((tmp_path / "net_onnx_metadata.json").read_text())
    assert metadata["preprocessing"] == expected
    assert metadata["input"] == "uint8 [1, 1, 16, 16], pixels from 0 to 255"
    assert json.loads((home.folder / "resolved.json").read_text())["preprocessing"] == expected


def accuracy(home: Trained, out: Path) -> float:
    """The accuracy of an exported file on the test part, from the pictures' files."""
    name = script_path(out).name
    found = answers(out.parent, [name], home.pictures)[name]
    return float(np.mean([a == b for a, b in zip(found, home.labels, strict=True)]))


def test_int8_is_measured_beside_float(
    home: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx = pytest.importorskip("onnx")
    out = tmp_path / "net_int8.onnx"
    assert main(["export", str(home.folder), "--to", "onnx-int8", "--out", str(out)]) == 0
    value, exact = accuracy(home, out), home.row["test"]["accuracy"]
    model = onnx.load(str(out))
    held = {each.key: json.loads(each.value) for each in model.metadata_props}["measured"]
    assert held["accuracy"] == value
    assert held["float_accuracy"] == exact
    assert held["images"] == len(home.labels)
    assert held["bytes"] < held["float_bytes"]
    assert value > exact - 0.05
    assert "DequantizeLinear" in {node.op_type for node in model.graph.node}
    metadata = json.loads((tmp_path / "net_int8_onnx_metadata.json").read_text())
    assert metadata["measured"] == held
    said = f"int8 {value:.4f} accuracy on {len(home.labels)} test images"
    assert said in capsys.readouterr().out


def test_executorch(home: Trained, tmp_path: Path) -> None:
    pytest.importorskip("executorch")
    out = tmp_path / "net.pte"
    assert main(["export", str(home.folder), "--to", "executorch", "--out", str(out)]) == 0
    assert accuracy(home, out) == home.row["test"]["accuracy"]


def test_the_network_alone(
    home: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "net.py"
    assert main(["export", str(home.folder), "--to", "python", "--raw", "--out", str(out)]) == 0
    assert "float32 [batch, 1, 16, 16], normalised; output scores" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.py", "net_weights.pt"]
    # Weights from a file without a folder of ours do not say how images were normalised.
    given = ["--weights", str(home.folder / "weights.safetensors")]
    name = str(home.folder / "architecture.json")
    assert main(["export", name, "--to", "torchscript", *given, "--out", str(out)]) == 0
    assert "normalised; output scores" in capsys.readouterr().out


def test_weights_load_strictly_into_the_class_that_takes_pictures(
    home: Trained, tmp_path: Path
) -> None:
    out = tmp_path / "net.py"
    assert main(["export", str(home.folder), "--to", "python", "--out", str(out)]) == 0
    names: dict[str, Any] = {"__name__": "net"}
    exec(out.read_text(), names)
    network = names["Lenet"]()
    reference = trained(str(home.folder), named.reference(str(home.folder)))
    network.load_state_dict(reference.state_dict())
    assert network.state_dict().keys() == reference.state_dict().keys()
    pixels = torch.randint(256, (2, 1, 16, 16), dtype=torch.uint8)
    scores = network.train()(pixels)
    torch.testing.assert_close(scores.softmax(1), network.eval()(pixels))


# --- folders of earlier versions ---


def earlier(home: Trained, copy: Path, **changes: Any) -> str:
    """A copy of a folder that does not record how images are normalised."""
    shutil.copytree(home.folder, copy)
    kept = {key: value for key, value in home.row.items() if key != "preprocessing"}
    (copy / "row.json").write_text(json.dumps(kept | changes))
    return str(copy)


def test_an_old_folder_is_computed_again(
    home: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = earlier(home, tmp_path / "old")
    reference = named.reference(name)
    found, note = preprocessing_of(name, reference)
    assert found.record() == home.row["preprocessing"]
    assert "computed again from the training images" in note
    assert main(["export", name, "--to", "torchscript", "--out", str(tmp_path / "a.ts")]) == 0
    assert "note: the normalisation is not recorded" in capsys.readouterr().out


def test_an_old_folder_without_its_data_is_refused(
    home: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = home.row["data"]
    other = earlier(home, tmp_path / "other", data={**old, "checksum": "0123456789abcdef"})
    out = str(tmp_path / "net.torchscript")
    assert main(["export", other, "--to", "torchscript", "--out", out]) == 2
    message = capsys.readouterr().err
    assert "does not record how its training normalised images" in message
    assert "the data set has changed since the training" in message
    assert "--raw exports the network alone" in message
    assert main(["export", other, "--to", "torchscript", "--raw", "--out", out]) == 0
    capsys.readouterr()
    assert main(["predict", other, "x.png"]) == 2
    assert "does not record how its training" in capsys.readouterr().err


def test_an_old_campaign_has_its_recorded_accuracy() -> None:
    """The folder was written by the version before, which did not record the normalisation."""
    name = f"{OLD}:best"
    reference = named.reference(name)
    assert reference.preprocessing is None
    found, _ = preprocessing_of(name, reference)
    assert reference.data is not None
    config, task = reference.data()
    test = held_out(config)
    got = predictions(trained(name, reference), test, found, task).argmax(1).numpy()
    assert np.mean(got == test.labels) == reference.accuracies["test_accuracy"]


def test_without_its_data_a_folder_is_exported_and_the_missing_check_is_told(
    home: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(home.folder, tmp_path / "moved")
    gone = {"name": "folder", "root": str(tmp_path / "gone"), "split": home.data["split"]}
    (tmp_path / "moved" / "row.json").write_text(json.dumps(home.row | {"data": gone}))
    out = str(tmp_path / "net.torchscript")
    assert main(["export", str(tmp_path / "moved"), "--to", "torchscript", "--out", out]) == 0
    assert "note: not checked on test pictures: " in capsys.readouterr().out
    assert main(["export", str(tmp_path / "moved"), "--to", "onnx-int8"]) == 2
    assert "gone" in capsys.readouterr().err


# --- pictures ---


def reads(preprocessing: Preprocessing, picture: Path) -> np.ndarray[Any, Any]:
    """What the lines of the script make of a picture."""
    text = script(RUNTIMES["onnx"], Path("net.onnx"), Path(), "Net", preprocessing)
    lines = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    assert lines[-2].startswith("outputs = ")
    names: dict[str, Any] = {"file": str(picture), "numpy": np, "Image": Image, "sys": sys}
    exec("\n".join(lines[:-2]), names)
    found: np.ndarray[Any, Any] = names["pixels"]
    return found


@given(
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    mode=st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"]),
    shape=st.tuples(st.sampled_from([1, 3]), st.integers(1, 40), st.integers(1, 40)),
    fit=st.sampled_from(["crop", "squeeze"]),
    seed=st.integers(0, 9),
)
@example(width=3, height=16, mode="L", shape=(1, 8, 8), fit="crop", seed=0)
def test_the_script_reads_pictures_as_training_does(
    tmp_path_factory: pytest.TempPathFactory, width: int, height: int, mode: str,
    shape: tuple[int, int, int], fit: str, seed: int,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    noise = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    path = tmp_path_factory.getbasetemp() / "picture.tiff"
    noise.convert(mode).save(path)
    channels = shape[0]
    preprocessing = Preprocessing(
        input_shape=shape, colour="grey" if channels == 1 else "rgb", fit=fit,
        mean=(0.0,) * channels, std=(1.0,) * channels, output="probabilities", classes=("a", "b"),
    )  # fmt: skip
    expected = read_picture(path, channels, shape[1:], fit)  # type: ignore[arg-type]
    np.testing.assert_array_equal(reads(preprocessing, path), expected)


@given(
    shape=st.lists(st.integers(1, 4), min_size=3, max_size=4).map(tuple),
    kind=st.sampled_from(["f4", "f8", "i2", "u2", "?"]),
    scale=st.sampled_from([0.01, 1.0, 1e4]),
    seed=st.integers(0, 9),
)
def test_the_script_scales_values_as_training_does(
    tmp_path_factory: pytest.TempPathFactory,
    shape: tuple[int, ...],
    kind: str,
    scale: float,
    seed: int,
) -> None:
    values = scale * np.random.default_rng(seed).normal(size=(5, *shape))
    values = np.abs(values).astype(kind) if kind in ("u2", "?") else values.astype(kind)
    low, high = value_range(values)
    preprocessing = Preprocessing(
        input_shape=shape, mean=(0.0,) * shape[0], std=(1.0,) * shape[0], output="probabilities",
        classes=("a", "b"), low=tuple(low.tolist()), high=tuple(high.tolist()),
    )  # fmt: skip
    if kind[0] == "f":
        values[0].flat[0], values[-1].flat[-1] = np.nan, np.inf
    path = tmp_path_factory.getbasetemp() / "values.npy"
    for image, pixels in zip(values, to_pixels(values, low, high), strict=True):
        np.save(path, image)
        np.testing.assert_array_equal(reads(preprocessing, path), pixels)


def test_arrays_of_another_type_are_refused_by_the_script(tmp_path: Path) -> None:
    for shape, wrong, expected in (((2, 4, 4), "f4", "uint8"), ((2, 4), "u1", "floats")):
        np.save(tmp_path / "a.npy", np.ones(shape, wrong))
        given = Preprocessing(input_shape=shape, mean=(0.0,), std=(1.0,), output="scores")
        with pytest.raises(SystemExit, match=rf"a\.npy: holds \w+; expected {expected}"):
            reads(given, tmp_path / "a.npy")


@pytest.mark.parametrize("shape", [(3, 16, 16), (16, 16)], ids=str)
def test_values_of_any_range_are_taken_home(
    tmp_path: Path, shape: tuple[int, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    data, folder = write(tmp_path / "values", shape), str(tmp_path / "lenet")
    command = ["train", "lenet5", "--data", str(data), "--recipe", "quick", "--out", folder]
    assert main([*command, "--set", "epochs=1", "--threads", "1"]) == 0
    out = tmp_path / "net.py"
    assert main(["export", folder, "--to", "python", "--out", str(out)]) == 0
    assert "its script answers 6 test pictures as the evaluation" in capsys.readouterr().out
    by_part, _ = predict(folder, part="test")
    by_file, _ = predict(folder, [data / "test_x.npy"])
    assert [each.values for each in by_file] == [each.values for each in by_part]
    files = [tmp_path / f"{number}.npy" for number in range(6)]
    for file, image in zip(files, np.load(data / "test_x.npy"), strict=True):
        np.save(file, image)
    (found,) = answers(tmp_path, [script_path(out).name], files).values()
    assert found == [each.classes[0] for each in by_part if each.classes]


def small(shape: tuple[int, ...], outputs: int) -> Any:
    g = Builder(shape)
    network = compile(g.build(g.linear(g.flatten(g.relu(g.conv(g.input, 4, 3))), outputs)))
    draw_weights(network)
    return network.eval()


@pytest.mark.parametrize("shape", [(2, 6, 6), (3, 6, 9)])
def test_other_channels_and_other_outputs(tmp_path: Path, shape: tuple[int, ...]) -> None:
    pytest.importorskip("onnxruntime")
    network, channels = small(shape, 2), shape[0]
    preprocessing = Preprocessing(
        input_shape=shape, colour="rgb" if channels == 3 else None,
        mean=tuple(range(10, 10 + channels)), std=(50.0,) * channels, output="scores",
    )  # fmt: skip
    images = np.random.default_rng(0).integers(0, 256, (4, *shape), dtype=np.uint8)
    mean = np.arange(10, 10 + channels).reshape(1, -1, 1, 1)
    with torch.no_grad():
        expected = network(torch.tensor((images - mean) / 50.0, dtype=torch.float32))
    done = export(network, "onnx", "net", tmp_path / "net.onnx", preprocessing=preprocessing,
                  samples=Samples(images, expected))  # fmt: skip
    assert done.pictures == 4
    assert done.output == "scores [1, 2]"


def test_a_wrong_answer_is_not_exported(tmp_path: Path) -> None:
    network = small((1, 6, 6), 3)
    preprocessing = Preprocessing(input_shape=(1, 6, 6), colour="grey", mean=(100.0,), std=(50.0,),
                                  output="probabilities", classes=("a", "b c", "d"))  # fmt: skip
    images = np.random.default_rng(0).integers(0, 256, (2, 1, 6, 6), dtype=np.uint8)
    with torch.no_grad():
        right = OnPictures(network, preprocessing)(torch.from_numpy(images))
    path = tmp_path / "net.torchscript"
    done = export(network, "torchscript", "net", path, preprocessing=preprocessing,
                  samples=Samples(images, right))  # fmt: skip
    assert done.pictures == 2
    before = sorted(tmp_path.iterdir())
    for wrong, message in ((right.roll(1, 1), "its class of a test picture is"),
                           (right * 0.99, "its answer for a test picture differs by")):  # fmt: skip
        with pytest.raises(ExportError, match=message):
            export(network, "torchscript", "net", path, preprocessing=preprocessing,
                   samples=Samples(images, wrong))  # fmt: skip
    assert sorted(tmp_path.iterdir()) == before
    (tmp_path / "broken.py").write_text("import nowhere")
    with pytest.raises(ExportError, match=r"broken\.py fails: ModuleNotFoundError.*nowhere"):
        check_pictures(tmp_path / "broken.py", preprocessing, Samples(images, right))


def test_samples_are_of_the_test_part(home: Trained) -> None:
    name = str(home.folder)
    reference = named.reference(name)
    preprocessing, _ = preprocessing_of(name, reference)
    found = samples(name, reference, trained(name, reference), preprocessing, measured=True)
    images, data = held_out(resolve(home.data)).images, search_data(resolve(home.data))
    held = {image.tobytes() for image in np.asarray(images)}
    assert len(found.pictures) == 8
    assert {image.tobytes() for image in found.pictures} <= held
    assert found.calibration is not None
    assert found.test is not None
    training = {image.tobytes() for image in np.asarray(data.train.images)}
    assert {image.tobytes() for image in found.calibration} <= training
    for _ in range(2):
        assert sum(len(labels) for _, labels in found.test()) == len(images)


# --- the card and the report ---


def test_the_card_and_the_report_show_the_script_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    shutil.copy(OLD.parent / "space.yaml", tmp_path)
    folder = tmp_path / "mine"
    shutil.copytree(OLD, folder)
    name = "mine:best"
    monkeypatch.chdir(tmp_path)
    assert "```python" not in model_card(name)  # nothing tells what the input is
    found, _ = preprocessing_of(name, named.reference(name))
    lines = []
    for line in (folder / "records.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record["type"] == "result" and record["trial"].startswith("final-"):
            record["metrics"]["preprocessing"] = found.record()  # as is recorded today
        lines.append(json.dumps(record))
    (folder / "records.jsonl").write_text("\n".join(lines) + "\n")
    card = model_card(name)
    (shown,) = re.findall("```python\n(.*?)```", card, re.DOTALL)
    assert json.dumps(found.record()) in card
    page = write_report(Path("mine")).read_text()
    assert shown in map(html.unescape, re.findall("<pre>(.*?)</pre>", page, re.DOTALL))
    assert main(["export", name, "--to", "onnx"]) == 0
    assert Path("mine_best_onnx_predict.py").read_text() == shown
    Image.fromarray(digits().images[0, 0]).resize((12, 12)).save("a.png")
    (answer,) = answers(tmp_path, ["mine_best_onnx_predict.py"], [Path("a.png")]).values()
    (expected,), _ = predict(name, ["a.png"])
    assert expected.classes is not None
    assert answer == [expected.classes[0]]


# --- nas predict ---


def test_predict(home: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = str(home.folder)
    found, notes = predict(name, home.pictures)
    assert notes == []
    test, data = held_out(resolve(home.data)), search_data(resolve(home.data))
    network = trained(name, named.reference(name))
    expected = predictions(network, test, data, make(Named(name=DEFAULT)))
    firsts = [each.classes[0] for each in found if each.classes]
    assert firsts == [f"digit {place}" for place in expected.argmax(1).tolist()]
    np.testing.assert_allclose([each.values[0] for each in found], expected.max(1).values, 1e-5)
    assert all(len(each.values) == 3 for each in found)
    # A folder, and the same image in an array.
    place = tmp_path / "some"
    (place / "deep").mkdir(parents=True)
    (place / ".cache").mkdir()
    shutil.copy(home.pictures[0], place / "deep" / "a.png")
    shutil.copy(home.pictures[1], place / ".cache" / "b.png")
    (place / "notes.txt").write_text("no picture")
    array = tmp_path / "z.npy"
    np.save(array, np.stack([read_picture(path, 1, (16, 16)) for path in home.pictures[:2]]))
    assert main(["predict", name, str(place), str(array), "--top", "1", "--json"]) == 0
    said = capsys.readouterr()
    assert "nas: note: not read: notes.txt" in said.err
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert [line["file"] for line in lines] == [
        str(place / "deep" / "a.png"), f"{array}[0]", f"{array}[1]",
    ]  # fmt: skip
    assert lines[0]["predictions"] == lines[1]["predictions"]
    assert lines[0]["predictions"][0]["class"] == firsts[0]
    assert main(["predict", name, str(home.pictures[0]), "--top", "99"]) == 0
    assert capsys.readouterr().out.count("digit") == 1 + 10  # the path has the word too


def test_predict_says_what_it_cannot_do(
    home: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "other.npy", digits().images[:, 0] / 16)
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty").mkdir()
    for name, file, message in (
        ("lenet5", "x.png", "lenet5: must name a trained network: results/NAME:best"),
        (str(home.folder), "none.png", "none.png: No such file"),
        (str(home.folder), str(tmp_path / "text.png"), "text.png: is not a picture"),
        (str(home.folder), str(tmp_path / "empty"), "empty: holds no pictures"),
        (str(home.folder), str(tmp_path / "other.npy"),
         "is an array of float64 [1797, 8, 8]; expected uint8 [1, 16, 16], or a stack"),
    ):  # fmt: skip
        assert main(["predict", name, file]) == 2
        assert message in capsys.readouterr().err
    shutil.copytree(home.folder, tmp_path / "bare", ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(InputError, match=r"no weights are kept of it.*nas train"):
        predict(str(tmp_path / "bare"), ["x.png"])
