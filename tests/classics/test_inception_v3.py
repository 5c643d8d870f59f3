"""Inception v3 and its auxiliary head."""

import pytest
import torch

from nas.architecture.network import compile
from nas.architecture.operations import ArchitectureError
from nas.classics import classic


def test_parameters_with_the_head() -> None:
    network = compile(classic("inception_v3"))
    assert sum(parameter.numel() for parameter in network.parameters()) == 27_161_264


def test_maps_of_table_one() -> None:
    # Szegedy et al. 2016, table 1: 35x35x288, 17x17x768, 8x8x1280 and 8x8x2048 into the next.
    shapes = classic("inception_v3").shapes
    assert shapes["Mixed_5d.concat1"] == (288, 35, 35)
    assert shapes["Mixed_6e.concat1"] == (768, 17, 17)
    assert shapes["Mixed_7a.concat1"] == (1280, 8, 8)
    assert shapes["Mixed_7c.concat1"] == (2048, 8, 8)


def test_seven_by_seven_is_a_row_and_a_column() -> None:
    nodes = {node.name: node.operation for node in classic("inception_v3").nodes}
    row, column = (nodes[f"Mixed_6b.branch7x7_{n}.conv"] for n in (2, 3))
    assert (row.kernel, row.padding) == ((1, 7), (0, 3))
    assert (column.kernel, column.padding) == ((7, 1), (3, 0))


def test_the_head_works_in_training_only() -> None:
    architecture = classic("inception_v3", (3, 32, 32), 10, width=0.25, stem="cifar")
    assert architecture.outputs == ("fc", "AuxLogits.fc")
    network = compile(architecture)
    called = []
    network.AuxLogits.fc.register_forward_hook(lambda *_: called.append("head"))
    images = torch.randn(2, 3, 32, 32)
    outputs = network(images)
    assert [tuple(output.shape) for output in outputs] == [(2, 10)] * 2
    torch.stack(outputs).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert network.eval()(images).shape == (2, 10)
    assert called == ["head"]


def test_weights_do_not_depend_on_the_size() -> None:
    def weights(*shape: int) -> dict[str, torch.Size]:
        with torch.device("meta"):
            state = compile(classic("inception_v3", shape)).state_dict()
        return {name: value.shape for name, value in state.items()}

    assert weights(3, 299, 299) == weights(3, 256, 256) == weights(3, 107, 331)


def test_sizes() -> None:
    for shape in ((3, 32, 32), (1, 16, 16)):
        architecture = classic("inception_v3", shape, 10, stem="cifar", auxiliary=shape[0] == 3)
        assert architecture.output_shape == (10,)
    assert classic("inception_v3", (3, 75, 75), auxiliary=False).output_shape == (1000,)
    with pytest.raises(ArchitectureError, match=r"node 'Mixed_7a"):
        classic("inception_v3", (3, 74, 74), auxiliary=False)
    with pytest.raises(ArchitectureError, match=r"node 'AuxLogits\.avg_pool1'"):
        classic("inception_v3", (3, 75, 75))
