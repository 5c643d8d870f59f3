"""Exports a network: the file is written to a temporary folder, checked, and then moved."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from nas.architecture.network import Network
from nas.errors import InputError
from nas.export.formats import FORMATS
from nas.export.job import Job
from nas.export.parity import difference, random_inputs, random_pixels
from nas.export.pictures import Samples, check_pictures
from nas.export.python_source import class_name
from nas.export.script import RUNTIMES, default_path, metadata_path, script, script_path
from nas.files import is_special, writing
from nas.preprocessing import Preprocessing
from nas.registry import unknown


class Exported(NamedTuple):
    """The result of an export.

    Attributes:
        paths: the file, and the files beside it: weights, metadata and a script.
        note: remarks such as the opset.
        input: the type and the shape of the input, in words.
        output: what the outputs are, and their shape.
        difference: the largest difference from the network, relative to its largest output; None
            for a form that is not exact, which says in its note what that costs.
        batches: the batch sizes at which the two were compared.
        pictures: how many pictures the script answered rightly, from file to class.
    """

    paths: tuple[Path, ...]
    note: str
    input: str
    output: str
    difference: float | None
    batches: tuple[int, ...]
    pictures: int


def export(
    network: Network,
    to: str,
    name: str,
    path: Path | None = None,
    *,
    weights: bool = True,
    preprocessing: Preprocessing | None = None,
    samples: Samples | None = None,
    opset: int | None = None,
    dynamic_batch: bool = False,
    keep: Iterable[Path] = (),
) -> Exported:
    """Writes a network in another form, reads it back and compares the outputs.

    With ``preprocessing``, the export takes pixels and returns predictions. Beside it there are
    a file of metadata and a script that prints the classes of pictures and does not need this
    package. If outputs differ, nothing is written.

    Args:
        network: the network, which is not changed. Its weights are exported as float32.
        to: a key of :data:`nas.export.formats.FORMATS`.
        name: the name in the file's text and, without a ``path``, of the file.
        path: the file; by default in the current folder. An existing file is replaced.
        weights: whether python and json come with a file of weights; other forms contain them.
        preprocessing: what the network was trained with. The form json, which this package reads,
            remains the network alone.
        samples: images of the data set, on which the script is checked and int8 is measured.
        opset: the opset of ONNX; by default that of torch.
        dynamic_batch: whether any batch size is allowed if the form would otherwise fix it at 1.
        keep: files that must not be replaced.

    Raises:
        InputError: for an unknown form, an option that the form does not have, a path that cannot
            be written, or a missing package.
        ExportError: if the form cannot express the network, or the outputs differ.
    """
    if to not in FORMATS:
        raise InputError(unknown("form", to, FORMATS))
    form = FORMATS[to]
    if opset is not None and not form.suffix.endswith(".onnx"):
        raise InputError(f"--opset: only onnx has an opset, {to} has none")
    if dynamic_batch and not (form.fixes_batch and form.any_batch):
        size = "a batch of 1" if form.fixes_batch else "any batch size"
        raise InputError(f"--dynamic-batch: only for onnx and torch-export; {to} takes {size}")
    path = path or default_path(name, form.suffix)
    taken = copy.deepcopy(network).cpu().float().eval()
    runtime = RUNTIMES.get(to)
    inside = None if runtime is None else preprocessing
    job = Job(taken, name, path, weights, opset, dynamic_batch, inside, samples)
    beside = job.weights_path(form.weights_suffix)
    paths = (
        path,
        *([beside] if form.weights_suffix and weights else []),
        *([metadata_path(path)] if preprocessing is not None else []),
        *([script_path(path)] if inside is not None else []),
    )
    _check(paths, keep)
    batches = (1,) if form.fixes_batch and not dynamic_batch else (1, 3)
    shapes = taken.architecture.input_shape, taken.architecture.output_shape
    batch = "batch" if len(batches) > 1 else "1"
    shown_in, shown_out = (f"[{', '.join([batch, *map(str, shape)])}]" for shape in shapes)
    if inside is None:
        takes, gives = f"float32 {shown_in}, normalised", f"scores {shown_out}"
    else:
        kind = "pixels from 0 to 255" if inside.dtype == "uint8" else "values as in training"
        takes, gives = f"{inside.dtype} {shown_in}, {kind}", f"{inside.output} {shown_out}"
    with writing(path), TemporaryDirectory(prefix=".nas_export_", dir=path.parent) as temporary:
        folder = Path(temporary)
        written = form.write(replace(job, path=folder / path.name))
        apart = None
        if written.measured is None:
            plain = inside is None or inside.dtype == "float32"
            draw = random_inputs if plain else random_pixels
            apart = difference(job.module, written.run, draw(shapes[0], batches))
        if preprocessing is not None:
            metadata = {"name": name, "form": to, "input": takes, "output": gives,
                        "preprocessing": preprocessing.record()}  # fmt: skip
            if written.measured is not None:
                metadata["measured"] = written.measured
            text = json.dumps(metadata, indent=2) + "\n"
            (folder / metadata_path(path).name).write_text(text, encoding="utf-8")
        pictures = 0
        if inside is not None and runtime is not None:
            place = folder / script_path(path).name
            text = script(runtime, path, beside, class_name(name), inside)
            place.write_text(text, encoding="utf-8")
            if samples is not None and apart is not None:
                pictures = check_pictures(place, inside, samples)
        for place in reversed(paths):  # the main file comes last, so that it implies the others
            (folder / place.name).replace(place)
    return Exported(paths, written.note, takes, gives, apart, batches, pictures)


def _check(paths: Iterable[Path], keep: Iterable[Path]) -> None:
    kept = {path.resolve() for path in keep}
    for path in paths:
        if not path.parent.is_dir():
            raise InputError(f"--out: there is no folder {path.parent}")
        if path.is_dir():
            raise InputError(f"--out: {path} is a folder")
        if is_special(path):
            raise InputError(f"--out: {path} is a device or a pipe, and an export is a file")
        if path.resolve() in kept:
            raise InputError(f"--out: {path} would replace the exported network; give another name")
