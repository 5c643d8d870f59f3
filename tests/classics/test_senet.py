"""SE-ResNets as in timm's legacy form."""

import pytest

from nas.architecture.operations import ArchitectureError
from nas.classics import classic


def test_stride_is_in_the_first_convolution() -> None:
    shapes = classic("legacy_seresnet50").shapes
    assert shapes["layer2.0.conv1"] == (128, 28, 28)
    assert classic("seresnet50").shapes["layer2.0.conv1"] == (128, 56, 56)
    # Moving it saves computation and no parameters.
    legacy, late = classic("legacy_seresnet50").cost, classic("seresnet50").cost
    assert legacy.params == late.params
    assert legacy.macs < late.macs


def test_pooling_rounds_up() -> None:
    shapes = classic("legacy_seresnet18", (3, 96, 96)).shapes
    assert shapes["max_pool1"] == (64, 24, 24)


def test_sizes() -> None:
    for name in ("legacy_seresnet18", "legacy_seresnet50"):
        for shape in ((3, 32, 32), (1, 16, 16)):
            assert classic(name, shape, 10, stem="cifar").output_shape == (10,)
        with pytest.raises(ArchitectureError, match="node 'max_pool1'"):
            classic(name, (3, 2, 2))
    assert classic("legacy_seresnet18", width=0.5).shapes["layer4.1.conv2"][0] == 256
