"""Ten trained networks taken home: run ``python -m tests.export.trained FOLDER``.

FOLDER is a campaign on a data set of pictures, which has kept its weights. Networks of all rows are
exported, and the scripts beside the exports classify all test images from PNG files, in a process
that does not import this package. The table that is printed compares their answers, picture by
picture, with the predictions that the campaign has recorded.
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

from nas.campaigns.store.log import read_records
from nas.campaigns.store.types import Result
from nas.export.exporting import export
from nas.export.script import RUNTIMES, script_path
from nas.jobs import names as named
from nas.jobs.inputs import preprocessing_of, samples, trained
from nas.jobs.references import Reference
from nas.tasks.mistakes import unpacked
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
    lines = zip(pictures, said.getvalue().splitlines(), strict=True)
    found[script] = [line.removeprefix(f"{file} ").rpartition(" ")[0] for file, line in lines]
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
    order = sorted(every, key=lambda name: (name.rpartition("-seed")[2], name))
    found = {name: every[name] for name in order[: arguments.networks]}
    config = next(iter(found.values())).data
    assert config is not None
    test = held_out(config()[0])
    with tempfile.TemporaryDirectory() as place:
        pictures = list(_pictures(np.asarray(test.images), Path(place)))
        for form in arguments.forms:
            print(f"\n{form}, {len(pictures)} pictures")
            print(
                "| network | right, recorded | right, exported | other class than recorded | note |"
            )
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
        told = np.array([classes.index(answer) for answer in answers[scripts[name]]])
        recorded = _recorded(name, labels, len(classes))
        counts = (recorded == labels).sum(), (told == labels).sum(), (told != recorded).sum()
        shown = " | ".join(map(str, counts))
        print(f"| {name.rpartition(':')[2]} | {shown} | {notes[name]} |", flush=True)


def _recorded(name: str, labels: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.int64]:
    """The class of each test image that a campaign has recorded for a trial."""
    folder, _, trial = name.rpartition(":")
    results = [record for record in read_records(Path(folder)) if isinstance(record, Result)]
    (metrics,) = [result.metrics for result in results if result.trial == trial]
    behind = unpacked(metrics["evaluations"]["single"]["test"]["mistakes"])
    return (labels + behind) % classes


if __name__ == "__main__":
    main()
