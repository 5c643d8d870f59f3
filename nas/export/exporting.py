"""Exports a network: the file is written to a temporary folder, checked, and then moved."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from nas.architecture.network import Network
from nas.errors import InputError
from nas.export.formats import FORMATS, Job
from nas.export.parity import difference
from nas.files import writing
from nas.registry import unknown


class Exported(NamedTuple):
    """The result of an export.

    Attributes:
        paths: the file, and the file of weights if there is one.
        note: remarks such as the opset.
        input_shape: the input shape with the batch size, which is "batch" if any size is allowed.
        output_shape: the output shape in the same form.
        difference: the largest difference from the network, relative to its largest output.
        batches: the batch sizes at which the two were compared.
    """

    paths: tuple[Path, ...]
    note: str
    input_shape: tuple[int | str, ...]
    output_shape: tuple[int | str, ...]
    difference: float
    batches: tuple[int, ...]


def export(
    network: Network,
    to: str,
    name: str,
    path: Path | None = None,
    *,
    weights: bool = True,
    opset: int | None = None,
    dynamic_batch: bool = False,
    keep: Iterable[Path] = (),
) -> Exported:
    """Writes a network in another form, reads it back and compares the outputs.

    If the outputs differ, nothing is written.

    Args:
        network: the network, which is not changed. Its weights are exported as float32.
        to: a key of :data:`nas.export.formats.FORMATS`.
        name: the name in the file's text and, without a ``path``, of the file.
        path: the file; by default in the current folder. An existing file is replaced.
        weights: whether python and json come with a file of weights; other forms contain them.
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
    if opset is not None and to != "onnx":
        raise InputError(f"--opset: only onnx has an opset, {to} has none")
    if dynamic_batch and not form.fixes_batch:
        raise InputError(
            f"--dynamic-batch: only for onnx and torch-export; {to} takes any batch size"
        )
    path = path or Path(re.sub(r"\W+", "_", name).strip("_") + form.suffix)
    taken = copy.deepcopy(network).cpu().float().eval()
    job = Job(taken, name, path, weights, opset, dynamic_batch)
    paths = (path, *([job.weights_path(form.weights_suffix)] * bool(form.weights_suffix) * weights))
    _check(paths, keep)
    batches = (1,) if form.fixes_batch and not dynamic_batch else (1, 3)
    with writing(path), TemporaryDirectory(prefix=".nas_export_", dir=path.parent) as folder:
        written = form.write(replace(job, path=Path(folder) / path.name))
        apart = difference(taken, written.run, batches)
        for place in reversed(paths):  # the weights come first, so that the file implies them
            (Path(folder) / place.name).replace(place)
    batch = "batch" if len(batches) > 1 else 1
    shapes = taken.architecture.input_shape, taken.architecture.output_shape
    return Exported(paths, written.note, (batch, *shapes[0]), (batch, *shapes[1]), apart, batches)


def _check(paths: Iterable[Path], keep: Iterable[Path]) -> None:
    kept = {path.resolve() for path in keep}
    for path in paths:
        if not path.parent.is_dir():
            raise InputError(f"--out: there is no folder {path.parent}")
        if path.is_dir():
            raise InputError(f"--out: {path} is a folder")
        if path.resolve() in kept:
            raise InputError(f"--out: {path} would replace the exported network; give another name")
