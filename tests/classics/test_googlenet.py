"""GoogLeNet and its auxiliary heads."""

import pytest
import torch

from nas.architecture.network import compile
from nas.architecture.operations import ArchitectureError
from nas.classics import classic
from nas.classics.googlenet import MODULES


def test_parameters_with_heads() -> None:
    network = compile(classic("googlenet"))
    assert sum(parameter.numel() for parameter in network.parameters()) == 13_004_888
    without = compile(classic("googlenet", auxiliary=False))
    assert sum(parameter.numel() for parameter in without.parameters()) == 6_624_904


def test_maps_of_table_one() -> None:
    # Szegedy et al. 2015, table 1, column "output size".
    architecture = classic("googlenet")
    sides = {"3": 28, "4": 14, "5": 7}
    for name, widths in MODULES.items():
        joined = next(
            node.name
            for node in architecture.nodes
            if node.name.startswith(f"inception{name}.concat")
        )
        one, _, three, _, five, pool = widths
        side = sides[name[0]]
        assert architecture.shapes[joined] == (one + three + five + pool, side, side)
    assert architecture.shapes["inception5b.concat1"][0] == 1024


def test_heads_work_in_training_only() -> None:
    architecture = classic("googlenet", (3, 32, 32), 10, width=0.25, stem="cifar")
    assert architecture.outputs == ("fc", "aux2.fc2", "aux1.fc2")
    network = compile(architecture)
    called = []
    for head in ("aux1", "aux2"):
        fc = network.get_submodule(f"{head}.fc2")
        fc.register_forward_hook(lambda module, inputs, output, head=head: called.append(head))
    images = torch.randn(2, 3, 32, 32)
    outputs = network(images)
    assert [tuple(output.shape) for output in outputs] == [(2, 10)] * 3
    assert called == ["aux1", "aux2"]
    torch.stack(outputs).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    called.clear()
    assert network.eval()(images).shape == (2, 10)
    assert called == []


def test_heads_cost_nothing_in_inference() -> None:
    with_heads, without = classic("googlenet"), classic("googlenet", auxiliary=False)
    assert with_heads.cost == without.cost
    assert with_heads.inference().fingerprint == without.fingerprint != with_heads.fingerprint


def test_sizes() -> None:
    assert classic("googlenet", (1, 16, 16), 10, stem="cifar").output_shape == (10,)
    assert classic("googlenet", (3, 15, 15)).output_shape == (1000,)
    with pytest.raises(ArchitectureError, match="node 'max_pool1'"):
        classic("googlenet", (3, 2, 2))
