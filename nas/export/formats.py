"""The forms of an export; each writes a file and reads it back as something that runs."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from nas.architecture.graph import Architecture
from nas.architecture.network import compile
from nas.architecture.weights import load_weights, weights_bytes
from nas.export import onnx_files as onnx
from nas.export.job import Job, Written, quiet, require, told
from nas.export.parity import Run
from nas.export.pictures import on_pictures_source
from nas.export.python_source import class_name, python_source


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


def _torchscript(job: Job) -> Written:
    with quiet(), told("torch.jit"):
        jit: Any = torch.jit  # it has no type hints
        content = io.BytesIO()  # if the disk is full, torch ends the process
        jit.save(jit.trace(job.module, job.example, check_trace=False), content)
        job.path.write_bytes(content.getvalue())
        loaded: Run = jit.load(job.path)
    return Written(loaded, "eval mode, any batch; torch has deprecated it for torch-export")


def _torch_export(job: Job) -> Written:
    with quiet(), told("torch.export"):
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

    with quiet(), told("executorch"):
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
    "onnx": Format(".onnx", onnx.write, fixes_batch=True),
    "onnx-int8": Format("_int8.onnx", onnx.write_int8, fixes_batch=True, any_batch=False),
    "torchscript": Format(".torchscript", _torchscript),
    "torch-export": Format(".pt2", _torch_export, fixes_batch=True),
    "executorch": Format(".pte", _executorch, fixes_batch=True, any_batch=False),
    "json": Format(".json", _json, ".safetensors"),
}
"""All forms by name."""
