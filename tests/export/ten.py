"""Ten architectures taken home at full size: run ``python -m tests.export.ten --python PYTHON``.

PYTHON is the interpreter of an environment that has torch and nothing of ours. There the written
Python file loads the weights, strictly, and runs; its parameters are counted, and its
multiply-accumulates by torch's own ``FlopCounterMode``. The ONNX file runs in onnxruntime.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch

import nas
from nas.architecture.graph import Architecture
from nas.export.exporting import export
from nas.export.parity import draw_weights
from nas.export.python_source import class_name

CLASSICS = ("resnet50", "inception_v3", "densenet121", "mobilenet_v3_large", "amoebanet_a_large")
MEMBERS = (
    ("primitives", 0),
    ("nasbench201", 1),
    ("nasbench101", 2),
    ("darts", 3),
    ("amoebanet", 4),
)

STRANGER = """
import importlib.util, json, sys
import torch
from torch.utils.flop_counter import FlopCounterMode

file, cls, weights, data = sys.argv[1:]
spec = importlib.util.spec_from_file_location("taken_home", file)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
network = getattr(module, cls)()
network.load_state_dict(torch.load(weights, weights_only=True))
network.eval()
x, expected = torch.load(data, weights_only=True)
with torch.no_grad(), FlopCounterMode(display=False) as counter:
    network(x[:1])
with torch.no_grad():
    found = network(x)
print(json.dumps({
    "difference": ((found - expected).abs().max() / expected.abs().max()).item(),
    "params": sum(p.numel() for p in network.parameters() if p.requires_grad),
    "heads": sum(p.numel() for n, p in network.named_parameters() if n.startswith("AuxLogits.")),
    "macs": counter.get_total_flops() // 2,
    "foreign": sorted({"nas", "numpy", "onnx", "torchvision"} & set(sys.modules)),
}))
"""


def in_another_environment(
    python: str, file: Path, cls: str, weights: Path, data: Path
) -> dict[str, float]:
    """What the interpreter tells of a written file; it runs where it cannot see this checkout."""
    command = [python, "-I", "-c", STRANGER, *map(str, (file, cls, weights, data))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=file.parent, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def architectures() -> dict[str, Architecture]:
    """The ten by name."""
    found = {name: nas.classic(name) for name in CLASSICS}
    for name, seed in MEMBERS:
        space = nas.space(name)
        genotype = space.sample(np.random.default_rng(seed))
        found[f"{name}_{seed}"] = space.decode(genotype)
    return found


def main() -> None:
    """Print a row for each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--python", required=True)
    parser.add_argument("--only", nargs="*", help="names of some of the ten")
    arguments = parser.parse_args()
    python = arguments.python
    print("| network | lines | params | MACs | Python differs | ONNX differs | seconds |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, architecture in architectures().items():
        if arguments.only and name not in arguments.only:
            continue
        begun = time.perf_counter()
        network = nas.compile(architecture)
        draw_weights(network, seed=1)
        network.eval()
        x = torch.randn(2, *architecture.input_shape, generator=torch.Generator().manual_seed(2))
        with torch.no_grad():
            expected = network(x)
        with tempfile.TemporaryDirectory() as folder:
            file, data = Path(folder, f"{name}.py"), Path(folder, "data.pt")
            torch.save((x, expected), data)
            weights = export(network, "python", name, file).paths[1]
            told = in_another_environment(python, file, class_name(name), weights, data)
            lines = file.read_text().count("\n")
            (model,) = export(network, "onnx", name, file.with_suffix(".onnx")).paths
            session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
            outputs = [session.run(None, {"input": row[None].numpy()})[0] for row in x]
        found = torch.from_numpy(np.concatenate(outputs))
        onnx = ((found - expected).abs().max() / expected.abs().max()).item()
        assert not told["foreign"], told["foreign"]
        assert told["params"] - told["heads"] == architecture.cost.params, name
        assert told["macs"] == architecture.cost.macs, name
        assert max(told["difference"], onnx) <= 1e-4, name
        print(
            f"| {name} | {lines} | {architecture.cost.params:,} | {architecture.cost.macs:,} | "
            f"{told['difference']:.1e} | {onnx:.1e} | {time.perf_counter() - begun:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
