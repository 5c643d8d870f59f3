"""AlexNet, as published and in one tower."""

import pytest

from nas.architecture.operations import ArchitectureError, LocalResponseNorm
from nas.classics import classic


def params(name: str, prefix: str) -> int:
    costs = classic(name).costs
    return sum(cost.params for node, cost in costs.items() if node.startswith(prefix))


def test_published_parameters() -> None:
    # Krizhevsky et al. 2012: "60 million parameters"; by layer, those of the authors' figure 2.
    assert classic("alexnet_2012").cost.params == 60_965_224
    layers = {
        "conv1": 11 * 11 * 3 * 96 + 96,
        "conv2": 5 * 5 * 48 * 256 + 256,
        "conv3": 3 * 3 * 256 * 384 + 384,
        "conv4": 3 * 3 * 192 * 384 + 384,
        "conv5": 3 * 3 * 192 * 256 + 256,
        "fc6": 6 * 6 * 256 * 4096 + 4096,
        "fc7": 4096 * 4096 + 4096,
        "fc8": 4096 * 1000 + 1000,
    }
    assert {layer: params("alexnet_2012", layer) for layer in layers} == layers


def test_published_map_sizes() -> None:
    shapes = classic("alexnet_2012").shapes
    sizes = [shapes[f"conv{index}"] for index in range(1, 6)]
    assert sizes == [(96, 55, 55), (256, 27, 27), (384, 13, 13), (384, 13, 13), (256, 13, 13)]


def test_normalisation_has_the_papers_constants() -> None:
    norms = [
        node.operation
        for node in classic("alexnet_2012").nodes
        if isinstance(node.operation, LocalResponseNorm)
    ]
    assert norms == [LocalResponseNorm(5, 5e-4, 0.75, 2.0)] * 2  # torch: alpha over size


@pytest.mark.parametrize("name", ["alexnet", "alexnet_2012"])
def test_sizes(name: str) -> None:
    for shape in ((3, 227, 227), (1, 64, 96)):
        assert classic(name, shape).output_shape == (1000,)
    for shape in ((3, 32, 32), (1, 16, 16)):
        assert classic(name, shape, 10, stem="cifar").output_shape == (10,)
    with pytest.raises(ArchitectureError, match="node 'max_pool3'"):
        classic(name, (3, 32, 32) if name == "alexnet_2012" else (3, 48, 48))


@pytest.mark.parametrize("name", ["alexnet", "alexnet_2012"])
def test_width_scales_the_weights_of_the_middle_quadratically(name: str) -> None:
    layer = "features.3" if name == "alexnet" else "conv3"
    full, half = classic(name), classic(name, width=0.5)
    assert full.costs[layer].macs == 4 * half.costs[layer].macs
