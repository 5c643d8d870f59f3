"""Write ``classic_costs.csv``: what fvcore counts on the modules of torchvision and timm.

``python -m tests.data.count_classics`` builds each network by the library that it comes from,
never by this project, and counts one image in eval mode. It takes a few minutes.
"""

import csv
import importlib.metadata
from pathlib import Path

import torch
from fvcore.nn import ActivationCountAnalysis, FlopCountAnalysis
from torch import nn

from nas.classics import CLASSICS
from tests.classics.test_classics import REFERENCES

PATH = Path(__file__).with_name("classic_costs.csv")
COLUMNS = ("name", "source", "input", "classes", "params", "macs", "flops", "activations")
MULTIPLYING = ("conv", "linear", "addmm", "matmul", "mm", "bmm", "einsum")
AUXILIARY = ("aux1", "aux2", "AuxLogits")
"""Heads that count in training only, by the names that torchvision gives them."""


def counted(name: str, input_shape: tuple[int, ...]) -> dict[str, int]:
    """The four counts of the library's own network, without auxiliary heads."""
    with torch.device("meta"):
        network: nn.Module = REFERENCES[name]()
    for head in AUXILIARY:
        if hasattr(network, head):
            setattr(network, head, None)
    network = network.to_empty(device="cpu").eval()
    image = torch.zeros(1, *input_shape)
    flops = FlopCountAnalysis(network, image).unsupported_ops_warnings(False)
    activations = ActivationCountAnalysis(network, image).unsupported_ops_warnings(False)
    by_operator = flops.by_operator()
    return {
        "params": sum(parameter.numel() for parameter in network.parameters()),
        "macs": int(sum(by_operator[operator] for operator in MULTIPLYING)),
        "flops": int(flops.total()),
        "activations": int(activations.total()),
    }


def main() -> None:
    """Count every classic that a library has, and write the table."""
    with PATH.open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        for name, entry in CLASSICS.items():
            if entry.source == "paper":
                continue
            version = importlib.metadata.version(entry.source).split("+")[0]
            table.writerow(
                {
                    "name": name,
                    "source": f"{entry.source} {version}",
                    "input": "x".join(map(str, entry.input_shape)),
                    "classes": entry.classes,
                    **counted(name, entry.input_shape),
                }
            )


if __name__ == "__main__":
    main()
