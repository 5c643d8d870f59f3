"""Inception v4 and Inception-ResNet v2."""

import pytest
import torch

from nas.architecture.network import compile
from nas.architecture.operations import ArchitectureError, Rescale
from nas.classics import classic

NAMES = ("inception_v4", "inception_resnet_v2")


def test_maps_of_the_figures() -> None:
    # Szegedy et al. 2017, figures 3 and 9: outputs of the stem and of each group of modules.
    shapes = classic("inception_v4").shapes
    assert shapes["features.concat3"] == (384, 35, 35)
    assert shapes["features.9.concat1"] == (384, 35, 35)
    assert shapes["features.10.concat1"] == shapes["features.17.concat1"] == (1024, 17, 17)
    assert shapes["features.18.concat1"] == shapes["features.21.concat1"] == (1536, 8, 8)


def test_residual_modules_are_scaled_down() -> None:
    # The authors' code: 10 modules of 0.17, 20 of 0.10, 9 of 0.20, the last one not at all.
    nodes = classic("inception_resnet_v2").nodes
    factors = [node.operation.factor for node in nodes if isinstance(node.operation, Rescale)]
    assert factors == [0.17] * 10 + [0.1] * 20 + [0.2] * 9


@pytest.mark.parametrize("name", NAMES)
def test_small_images(name: str) -> None:
    for shape in ((3, 32, 32), (1, 16, 16)):
        architecture = classic(name, shape, 7, stem="cifar", width=0.125, dropout=0.2)
        output = compile(architecture)(torch.randn(2, *shape))
        assert output.shape == (2, 7)
        output.sum().backward()
    assert architecture.nodes[-1].inputs == ("dropout1",)


def test_errors_name_the_node() -> None:
    assert classic("inception_v4", (3, 75, 75)).output_shape == (1000,)
    with pytest.raises(ArchitectureError, match=r"node 'features\.18\."):
        classic("inception_v4", (3, 74, 74))
    with pytest.raises(ArchitectureError, match=r"node 'mixed_7a\."):
        classic("inception_resnet_v2", (3, 74, 74))
