"""Xception."""

import pytest
import torch

from nas.architecture.network import compile
from nas.architecture.operations import ArchitectureError
from nas.classics import classic


def test_maps_of_figure_five() -> None:
    # Chollet 2017: 19x19x728 between the middle flow's modules, 10x10x2048 at the end.
    shapes = classic("legacy_xception").shapes
    assert shapes["block3.add1"] == shapes["block11.add1"] == (728, 19, 19)
    assert shapes["block12.add1"] == (1024, 10, 10)
    assert shapes["bn4"] == (2048, 10, 10)


def test_published_parameters() -> None:
    # Table 3: 22,855,952.
    assert classic("legacy_xception").cost.params == 22_855_952


def test_small_images() -> None:
    for shape in ((3, 32, 32), (1, 16, 16)):
        architecture = classic("legacy_xception", shape, 7, stem="cifar", width=0.125)
        assert architecture.shapes["bn2"][1:] == shape[1:]
        output = compile(architecture)(torch.randn(2, *shape))
        assert output.shape == (2, 7)
        output.sum().backward()


def test_errors_name_the_node() -> None:
    with pytest.raises(ArchitectureError, match="node 'conv2'"):
        classic("legacy_xception", (3, 6, 6))
