"""The forms of an export; each writes a file and reads it back as something that runs."""

from __future__ import annotations

import importlib.util
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nas.architecture.graph import Architecture
from nas.architecture.network import Network, compile
from nas.architecture.weights import load_weights, weights_bytes
from nas.errors import InputError
from nas.export.parity import ExportError, Run
from nas.export.python_source import class_name, python_source

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
    """

    network: Network
    name: str
    path: Path
    weights: bool
    opset: int | None
    dynamic_batch: bool

    @property
    def example(self) -> Tensor:
        """An input to trace with; a dynamic batch is not 1, because torch would fix that size."""
        return torch.zeros(2 if self.dynamic_batch else 1, *self.network.architecture.input_shape)

    @property
    def dynamic_shapes(self) -> Any:
        """Returns the dynamic axes of the input in ``torch.export``'s form."""
        return ({0: torch.export.Dim("batch")},) if self.dynamic_batch else None

    def weights_path(self, suffix: str) -> Path:
        """Returns the path of the weights beside the main file."""
        return self.path.with_name(f"{self.path.stem}_weights{suffix}")


@dataclass(frozen=True)
class Written:
    """A function that runs the written file, and a remark on it."""

    run: Run
    note: str


@dataclass(frozen=True)
class Format:
    """One form of export.

    Attributes:
        suffix: the suffix of the file.
        write: the function that writes the job's file and reads it back.
        weights_suffix: the suffix of the file of weights; "" if the main file contains them.
        fixes_batch: whether the batch size is fixed at 1 unless ``dynamic_batch`` is set.
    """

    suffix: str
    write: Callable[[Job], Written]
    weights_suffix: str = ""
    fixes_batch: bool = False


def _python(job: Job) -> Written:
    architecture, weights = job.network.architecture, job.weights_path(".pt")
    cls = class_name(job.name)
    job.path.write_text(python_source(architecture, cls, _docstring(job, cls)), encoding="utf-8")
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
    architecture = job.network.architecture
    file = job.weights_path(".pt").name if job.weights else "weights.pt"
    heads = len(architecture.outputs) - 1
    shapes = (
        f"Input [batch, {_sizes(architecture.input_shape)}], float32; "
        f"output [batch, {_sizes(architecture.output_shape)}]"
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
            _inference(job.network),
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
    with _told("onnxruntime"):
        onnx.checker.check_model(model)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        session = onnxruntime.InferenceSession(
            str(job.path), options, providers=["CPUExecutionProvider"]
        )

    def run(x: Tensor) -> Tensor:
        return torch.from_numpy(session.run(["output"], {"input": x.numpy()})[0])

    return Written(run, f"opset {opset}, read back by onnxruntime {onnxruntime.__version__}")


def _torchscript(job: Job) -> Written:
    with _quiet(), _told("torch.jit"):
        jit: Any = torch.jit  # it has no type hints
        content = io.BytesIO()  # if the disk is full, torch ends the process
        jit.save(jit.trace(_inference(job.network), job.example, check_trace=False), content)
        job.path.write_bytes(content.getvalue())
        loaded: Run = jit.load(job.path)
    return Written(loaded, "eval mode, any batch; torch has deprecated it for torch-export")


def _torch_export(job: Job) -> Written:
    with _quiet(), _told("torch.export"):
        program = torch.export.export(
            _inference(job.network), (job.example,), dynamic_shapes=job.dynamic_shapes
        )
        content = io.BytesIO()
        torch.export.save(program, content)
        job.path.write_bytes(content.getvalue())
        with job.path.open("rb") as file:
            loaded: Any = torch.export.load(file)
    return Written(loaded.module(), f"eval mode, by torch {torch.__version__}")


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
    "torchscript": Format(".torchscript", _torchscript),
    "torch-export": Format(".pt2", _torch_export, fixes_batch=True),
    "json": Format(".json", _json, ".safetensors"),
}
"""All forms by name."""


def require(form: str, *packages: str) -> None:
    """Raises :class:`InputError` that says how to install packages that are missing."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"--to {form} needs {', '.join(missing)}: install with "
            "pip install 'nas-harness[export]'"
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
