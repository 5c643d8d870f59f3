"""Ten trained networks taken home: run ``python -m tests.export.trained FOLDER``.

FOLDER is a campaign on a data set of pictures, which has kept its weights. The networks with the
best recorded accuracy are exported, and the scripts beside the exports classify all test images
from PNG files, in a process that does not import this package. The table that is printed compares
the number of right answers with the recorded accuracy.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from nas.export.exporting import export
from nas.export.script import RUNTIMES, script_path
from nas.jobs import names as named
from nas.jobs.inputs import preprocessing_of, samples, trained
from nas.jobs.references import Reference
from nas.training.data import held_out

FORMS = ("onnx", "torchscript", "onnx-int8")

STRANGER = """
import contextlib, io, json, os, runpy, sys
pictures, *scripts = json.loads(sys.stdin.read())
found = {}
for script in scripts:
    sys.argv = [script, *pictures]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        runpy.run_path(script)
    found[script] = [line.rsplit(" ", 2)[1] for line in said.getvalue().splitlines()]
assert not {name for name in sys.modules if name.split(".")[0] == "nas"}
print(json.dumps(found))
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--networks", type=int, default=10)
    parser.add_argument("--forms", nargs="+", choices=list(RUNTIMES), default=FORMS)
    arguments = parser.parse_args()
    trials = sorted(path.stem for path in (arguments.folder / "weights").iterdir())
    every = {name: named.reference(name) for name in (f"{arguments.folder}:{t}" for t in trials)}
    best = sorted(every, key=lambda name: -every[name].accuracies["test_accuracy"])
    found = {name: every[name] for name in best[: arguments.networks]}
    config = next(iter(found.values())).data
    assert config is not None
    test = held_out(config()[0])
    with tempfile.TemporaryDirectory() as place:
        pictures = list(_pictures(np.asarray(test.images), Path(place)))
        for form in arguments.forms:
            print(f"\n{form}\n| network | recorded | right from the file | of | int8 |")
            print("|---|---:|---:|---:|---|", flush=True)
            _compare(form, found, pictures, test.labels, Path(place))


def _pictures(images: npt.NDArray[np.uint8], place: Path) -> list[str]:
    paths = [str(place / f"{number}.png") for number in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(path)
    return paths


def _compare(
    form: str,
    found: dict[str, Reference],
    pictures: list[str],
    labels: npt.NDArray[np.int64],
    place: Path,
) -> None:
    scripts, notes = {}, {}
    for number, (name, reference) in enumerate(found.items()):
        network = trained(name, reference)
        preprocessing, _ = preprocessing_of(name, reference)
        path = place / f"network{number}_{form}.bin"
        given = samples(name, reference, network, preprocessing, True) if "int8" in form else None
        done = export(network, form, f"n{number}", path, preprocessing=preprocessing, samples=given)
        scripts[name], notes[name] = script_path(path).name, done.note if given else ""
    told = subprocess.run(
        [sys.executable, "-c", STRANGER],
        input=json.dumps([pictures, *scripts.values()]),
        cwd=place,
        env={"PATH": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    answers = json.loads(told.stdout)
    for name, reference in found.items():
        classes = preprocessing_of(name, reference)[0].classes or ()
        truth = [classes[label] for label in labels]
        right = sum(map(str.__eq__, answers[scripts[name]], truth))
        recorded = reference.accuracies["test_accuracy"]
        print(f"| {name.rpartition(':')[2]} | {recorded * len(labels):.4g} | {right} "
              f"| {len(labels)} | {notes[name]} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
