"""The forms of an export; each writes a file and reads it back as something that runs."""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from nas.architecture.graph import Architecture
from nas.architecture.network import Network, compile
from nas.architecture.weights import load_weights, weights_bytes
from nas.errors import InputError
from nas.export.parity import ExportError, Run
from nas.export.pictures import OnPictures, Pixels, Samples, on_pictures_source
from nas.export.python_source import class_name, python_source
from nas.preprocessing import Preprocessing

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_ONNX_LIMIT = 2**31
"""The largest size of a protocol buffer, in bytes."""


@dataclass(frozen=True)
class Job:
    """One export: what to write, and where.

    Attributes:
        network: the network, on the CPU and in eval mode.
        name: the name of the network as the user wrote it.
        path: the file to write.
        weights: whether to keep the weights; random weights are written only if a form needs some.
        opset: the opset of ONNX; None for torch's default.
        dynamic_batch: whether any batch size is allowed.
        preprocessing: what the network was trained with, which becomes part of the export; None to
            export the network alone.
        samples: images of the data set, if they are at hand.
    """

    network: Network
    name: str
    path: Path
    weights: bool
    opset: int | None = None
    dynamic_batch: bool = False
    preprocessing: Preprocessing | None = None
    samples: Samples | None = None

    @property
    def module(self) -> nn.Module:
        """The network as it is exported: without auxiliary heads, and from pixels if possible."""
        main = _inference(self.network)
        if self.preprocessing is None:
            return main
        return OnPictures(main, self.preprocessing).eval()

    @property
    def example(self) -> Tensor:
        """An input to trace with; a dynamic batch is not 1, because torch would fix that size."""
        batch = 2 if self.dynamic_batch else 1
        plain = self.preprocessing is None or self.preprocessing.dtype == "float32"
        kind = torch.float32 if plain else torch.uint8
        return torch.zeros(batch, *self.network.architecture.input_shape, dtype=kind)

    @property
    def dynamic_shapes(self) -> Any:
        """Returns the dynamic axes of the input in ``torch.export``'s form."""
        return ({0: torch.export.Dim("batch")},) if self.dynamic_batch else None

    def weights_path(self, suffix: str) -> Path:
        """Returns the path of the weights beside the main file."""
        return self.path.with_name(f"{self.path.stem}_weights{suffix}")


@dataclass(frozen=True)
class Written:
    """What became of a job.

    Attributes:
        run: a function that runs the written file.
        note: a remark on the file.
        measured: what was measured on test images, if the form is not exact.
    """

    run: Run
    note: str
    measured: dict[str, Any] | None = None


@dataclass(frozen=True)
class Format:
    """One form of export.

    Attributes:
        suffix: the suffix of the file.
        write: the function that writes the job's file and reads it back.
        weights_suffix: the suffix of the file of weights; "" if the main file contains them.
        fixes_batch: whether the batch size is fixed at 1 unless ``dynamic_batch`` is set.
        any_batch: whether ``dynamic_batch`` can be set.
    """

    suffix: str
    write: Callable[[Job], Written]
    weights_suffix: str = ""
    fixes_batch: bool = False
    any_batch: bool = True


def _python(job: Job) -> Written:
    architecture, weights = job.network.architecture, job.weights_path(".pt")
    cls = network_class = class_name(job.name)
    last = None
    if job.preprocessing is not None:
        network_class = f"{cls}Network"
        last = cls, on_pictures_source(cls, network_class, job.preprocessing)
    text = python_source(architecture, network_class, _docstring(job, cls), last)
    job.path.write_text(text, encoding="utf-8")
    if job.weights:
        content = io.BytesIO()
        torch.save(dict(job.network.state_dict()), content)
        weights.write_bytes(content.getvalue())
    names: dict[str, Any] = {"__name__": job.path.stem}
    exec(job.path.read_text(encoding="utf-8"), names)  # we have just written this text
    module = names[cls]()
    state = torch.load(weights, weights_only=True) if job.weights else job.network.state_dict()
    module.load_state_dict(state)
    return Written(module.eval(), f"class {cls}, needs only torch, any batch")


def _docstring(job: Job, cls: str) -> str:
    architecture, preprocessing = job.network.architecture, job.preprocessing
    file = job.weights_path(".pt").name if job.weights else "weights.pt"
    heads = len(architecture.outputs) - 1
    taken, returned = "float32", "output"
    if preprocessing is not None:
        taken, returned = "pixels from 0 to 255, uint8 or float", preprocessing.output
        taken = "float32" if preprocessing.dtype == "float32" else taken
    shapes = (
        f"Input [batch, {_sizes(architecture.input_shape)}], {taken};\n"
        f"{returned} [batch, {_sizes(architecture.output_shape)}]"
    )
    return (
        f"{job.name}: {architecture.cost.params:,} parameters, "
        f"{architecture.cost.macs:,} multiply-accumulates.\n\n"
        f"{shapes}{f', in training with {heads} auxiliary behind' if heads else ''}.\n"
        "Needs torch alone:\n\n"
        f"    network = {cls}()\n"
        f'    network.load_state_dict(torch.load("{file}", weights_only=True))\n'
        "    network.eval()\n"
    )


def _sizes(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))


def _onnx(job: Job) -> Written:
    require("onnx", "onnx", "onnxscript", "onnxruntime")
    import onnx
    import onnxruntime

    held = sum(tensor.nbytes for tensor in job.network.state_dict().values())
    if held >= _ONNX_LIMIT:
        raise ExportError(f"onnx: {held:,} bytes of weights exceed the limit of 2 GiB per file")
    with _quiet(), _told("torch.onnx"):
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
    with _told("onnxruntime"):
        onnx.checker.check_model(model)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        return onnxruntime.InferenceSession(
            str(job.path), options, providers=["CPUExecutionProvider"]
        )


def _runs(session: InferenceSession) -> Run:
    return lambda x: torch.from_numpy(session.run(["output"], {"input": x.numpy()})[0])


def _onnx_int8(job: Job) -> Written:
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
        plain = _onnx(exact)
        prepared = Path(folder) / "prepared.onnx"
        with _quiet(), _told("onnxruntime.quantization"):
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


_QUANTISED = ["Conv", "ConvTranspose", "Gemm", "MatMul", "Relu", "Clip", "Add", "Mul", "Concat",
              "MaxPool", "AveragePool", "GlobalAveragePool", "ReduceMean"]  # fmt: skip
"""The operators that int8 quantises. Normalisation and softmax, at the ends, stay as they are."""

_REPETITIONS = 50
"""How often the latency of a file is measured."""


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


def _torchscript(job: Job) -> Written:
    with _quiet(), _told("torch.jit"):
        jit: Any = torch.jit  # it has no type hints
        content = io.BytesIO()  # if the disk is full, torch ends the process
        jit.save(jit.trace(job.module, job.example, check_trace=False), content)
        job.path.write_bytes(content.getvalue())
        loaded: Run = jit.load(job.path)
    return Written(loaded, "eval mode, any batch; torch has deprecated it for torch-export")


def _torch_export(job: Job) -> Written:
    with _quiet(), _told("torch.export"):
        program = torch.export.export(job.module, (job.example,), dynamic_shapes=job.dynamic_shapes)
        content = io.BytesIO()
        torch.export.save(program, content)
        job.path.write_bytes(content.getvalue())
        with job.path.open("rb") as file:
            loaded: Any = torch.export.load(file)
    return Written(loaded.module(), f"eval mode, by torch {torch.__version__}")


def _executorch(job: Job) -> Written:
    require("executorch", "executorch", extra="executorch")
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower
    from executorch.runtime import Runtime as Device

    with _quiet(), _told("executorch"):
        program = torch.export.export(job.module, (job.example,))
        lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
        job.path.write_bytes(lowered.to_executorch().buffer)
        method = Device.get().load_program(job.path).load_method("forward")
    return Written(lambda x: method.execute([x])[0], "lowered to XNNPACK, for phones and boards")


def _json(job: Job) -> Written:
    job.path.write_text(job.network.architecture.to_json() + "\n", encoding="utf-8")
    again = compile(Architecture.from_json(job.path.read_text(encoding="utf-8")))
    again.load_state_dict(job.network.state_dict())
    if job.weights:
        weights = job.weights_path(".safetensors")
        weights.write_bytes(weights_bytes(job.network))
        load_weights(again, weights)
    return Written(again.eval(), "read by nas; any batch")


FORMATS: dict[str, Format] = {
    "python": Format(".py", _python, ".pt"),
    "onnx": Format(".onnx", _onnx, fixes_batch=True),
    "onnx-int8": Format("_int8.onnx", _onnx_int8, fixes_batch=True, any_batch=False),
    "torchscript": Format(".torchscript", _torchscript),
    "torch-export": Format(".pt2", _torch_export, fixes_batch=True),
    "executorch": Format(".pte", _executorch, fixes_batch=True, any_batch=False),
    "json": Format(".json", _json, ".safetensors"),
}
"""All forms by name."""


def require(form: str, *packages: str, extra: str = "export") -> None:
    """Raises :class:`InputError` that says how to install packages that are missing."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"--to {form} needs {', '.join(missing)}: install with "
            f"pip install 'nas-harness[{extra}]'"
        )


def _inference(network: Network) -> Network:
    """Returns the network without auxiliary heads, which some exporters would trace or keep."""
    if len(network.architecture.outputs) == 1:
        return network
    main = compile(network.architecture.inference())
    state = network.state_dict()
    main.load_state_dict({key: state[key] for key in main.state_dict()})
    return main.eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppresses the exporters' warnings, which are about torch's internals."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


@contextmanager
def _told(tool: str) -> Iterator[None]:
    """Turns failures of a tool into :class:`ExportError` with its innermost reason."""
    try:
        yield
    except Exception as error:  # an exporter may raise any exception
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        reason = str(cause).strip().partition("\n")[0] or type(cause).__name__
        raise ExportError(f"{tool}: {reason}") from error
