"""Writes ONNX files, in floats or quantised to int8."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from nas.errors import InputError
from nas.export.job import Job, Written, quiet, require, told
from nas.export.parity import ExportError, Run
from nas.export.pictures import Pixels, Samples

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_LIMIT = 2**31
"""The largest size of a protocol buffer, in bytes."""

_QUANTISED = ["Conv", "ConvTranspose", "Gemm", "MatMul", "Relu", "Clip", "Add", "Mul", "Concat",
              "MaxPool", "AveragePool", "GlobalAveragePool", "ReduceMean"]  # fmt: skip
"""The operators that int8 quantises. Normalisation and softmax, at the ends, stay as they are."""

_REPETITIONS = 50
"""How often the latency of a file is measured."""


def write(job: Job) -> Written:
    """Writes an ONNX file, and reads it back by onnxruntime."""
    require("onnx", "onnx", "onnxscript", "onnxruntime")
    import onnx
    import onnxruntime

    held = sum(tensor.nbytes for tensor in job.network.state_dict().values())
    if held >= _LIMIT:
        raise ExportError(f"onnx: {held:,} bytes of weights exceed the limit of 2 GiB per file")
    with quiet(), told("torch.onnx"):
        torch.onnx.export(
            job.module,
            (job.example,),
            str(job.path),
            input_names=["input"],
            output_names=["output"],
            opset_version=job.opset,
            dynamic_shapes=job.dynamic_shapes,
            external_data=False,
            dynamo=True,
            verbose=False,
        )
    model = onnx.load(str(job.path))
    (opset,) = [entry.version for entry in model.opset_import if entry.domain == ""]
    if job.opset not in (None, opset):  # torch mentions it only in its log
        raise ExportError(f"onnx: torch cannot write opset {job.opset}, it wrote {opset}")
    session = _session(job)
    note = f"opset {opset}, read back by onnxruntime {onnxruntime.__version__}"
    return Written(_runs(session), note)


def _session(job: Job, measured: dict[str, Any] | None = None) -> InferenceSession:
    """Adds the metadata to an ONNX file, checks it, and opens it."""
    import onnx
    import onnxruntime

    model = onnx.load(str(job.path))
    if job.preprocessing is not None:
        entries = {"preprocessing": job.preprocessing.record(),
                   "classes": job.preprocessing.classes, "measured": measured}  # fmt: skip
        kept = {key: json.dumps(value) for key, value in entries.items() if value is not None}
        onnx.helper.set_model_props(model, kept)
        onnx.save(model, str(job.path))
    with told("onnxruntime"):
        onnx.checker.check_model(model)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        return onnxruntime.InferenceSession(
            str(job.path), options, providers=["CPUExecutionProvider"]
        )


def _runs(session: InferenceSession) -> Run:
    return lambda x: torch.from_numpy(session.run(["output"], {"input": x.numpy()})[0])


def write_int8(job: Job) -> Written:
    """Quantises weights and activations of the ONNX file, by scales from training images.

    The form is that of Jacob et al. 2018 (arXiv:1712.05877): one scale and zero point per tensor of
    activations, one scale per output channel of weights.
    """
    require("onnx-int8", "onnx", "onnxscript", "onnxruntime")
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    samples = job.samples
    if job.preprocessing is not None and job.preprocessing.output in ("masks", "boxes"):
        raise InputError(
            "--to onnx-int8: measures classifiers only, and this network predicts "
            f"{job.preprocessing.output}"
        )
    if job.preprocessing is None or samples is None or samples.calibration is None:
        raise InputError(
            "--to onnx-int8: needs training images to choose its scales, and test images to "
            "measure what it costs: name a network that was trained here (results/NAME:best), "
            "whose data set can be read"
        )
    assert samples.test is not None
    with TemporaryDirectory(dir=job.path.parent) as folder:
        exact = replace(job, path=Path(folder) / "float.onnx")
        plain = write(exact)
        prepared = Path(folder) / "prepared.onnx"
        with quiet(), told("onnxruntime.quantization"):
            quant_pre_process(str(exact.path), str(prepared), skip_symbolic_shape=True)
            quantization.quantize_static(
                str(prepared),
                str(job.path),
                _Calibration(samples.calibration),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=_QUANTISED,
                per_channel=True,
            )
        size = exact.path.stat().st_size
    session = _session(job)
    measured = _compared(plain.run, _runs(session), samples, job.example.numpy())
    measured |= {"bytes": job.path.stat().st_size, "float_bytes": size}
    session = _session(job, measured)
    note = (
        "int8 {accuracy:.4f} accuracy on {images:,} test images, {latency_ms:.3g} ms, {bytes:,} "
        "bytes; float {float_accuracy:.4f}, {float_latency_ms:.3g} ms, {float_bytes:,} bytes"
    ).format(**measured)
    return Written(_runs(session), note, measured)


class _Calibration:
    """Gives onnxruntime the training images one by one."""

    def __init__(self, images: Pixels) -> None:
        self._images = iter(images)

    def get_next(self) -> dict[str, Pixels] | None:
        image = next(self._images, None)
        return None if image is None else {"input": image[None]}


def _compared(exact: Run, run: Run, samples: Samples, example: Pixels) -> dict[str, Any]:
    """Measures accuracy on the test images and latency of an exact and of an inexact form."""
    assert samples.test is not None
    right, count = np.zeros(2, int), 0
    for images, labels in samples.test():
        for image, label in zip(images, labels, strict=True):
            x = torch.from_numpy(image[None])
            right += [run(x).argmax().item() == label, exact(x).argmax().item() == label]
            count += 1
    x = torch.from_numpy(example)
    seconds = np.zeros((_REPETITIONS, 2))
    for repetition in seconds:
        for place, form in enumerate((run, exact)):  # in turn, so that both meet the same machine
            started = time.perf_counter()
            form(x)
            repetition[place] = time.perf_counter() - started
    accuracy, latency = right / count, 1000 * np.median(seconds, axis=0)
    return {
        "images": count,
        "accuracy": float(accuracy[0]),
        "float_accuracy": float(accuracy[1]),
        "latency_ms": float(latency[0]),
        "float_latency_ms": float(latency[1]),
    }
