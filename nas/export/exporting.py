"""One export: written beside its place, checked, and only then moved there."""

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
from nas.registry import unknown


class Exported(NamedTuple):
    """What was written.

    Attributes:
        paths: the file, and that of the weights where there is one.
        note: the opset and the like.
        input_shape: with the batch, "batch" where it is open.
        output_shape: likewise.
        difference: the largest to the network, as a part of its largest output.
        batches: the sizes at which it was compared.
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
    """Write a network in another form; what is written computes the same, or nothing is written.

    Args:
        network: stays as it is. Its weights are exported as float32.
        to: a key of :data:`nas.export.formats.FORMATS`.
        name: for the file's text and, without a ``path``, its name.
        path: the file; by default in the current folder. One that exists is replaced.
        weights: whether python and json come with a file of weights; other forms always hold them.
        opset: of ONNX; by default torch's.
        dynamic_batch: leave the batch open where a form would fix it at 1.
        keep: files that must not be replaced.

    Raises:
        InputError: for an unknown form, an option that it has not, a path that cannot be written,
            or a package that is missing.
        ExportError: where the form cannot express the network, or what was read back differs.
    """
    if to not in FORMATS:
        raise InputError(unknown("form", to, FORMATS))
    form = FORMATS[to]
    if opset is not None and to != "onnx":
        raise InputError(f"--opset: is for onnx, {to} has none")
    if dynamic_batch and not form.fixes_batch:
        raise InputError(f"--dynamic-batch: is for onnx and torch-export, {to} takes any batch")
    path = path or Path(re.sub(r"\W+", "_", name).strip("_") + form.suffix)
    taken = copy.deepcopy(network).cpu().float().eval()
    job = Job(taken, name, path, weights, opset, dynamic_batch)
    paths = (path, *([job.weights_path(form.weights_suffix)] * bool(form.weights_suffix) * weights))
    _check(paths, keep)
    batches = (1,) if form.fixes_batch and not dynamic_batch else (1, 3)
    with TemporaryDirectory(prefix=".nas_export_", dir=path.parent) as folder:
        written = form.write(replace(job, path=Path(folder) / path.name))
        apart = difference(taken, written.run, batches)
        for place in reversed(paths):  # the weights first: the file means that they are there
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
            raise InputError(f"--out: {path} would replace what is exported; give another name")
