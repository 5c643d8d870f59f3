"""VGG's configurations."""

import pytest

from nas.architecture.operations import ArchitectureError, Conv, LocalResponseNorm
from nas.classics import classic
from nas.classics.vgg import KERNELS


@pytest.mark.parametrize(
    ("name", "millions"),
    [("vgg11", 133), ("vgg11_lrn", 133), ("vgg13", 133), ("vgg16_c", 134), ("vgg16", 138),
     ("vgg19", 144)],
)  # fmt: skip
def test_published_parameters(name: str, millions: int) -> None:
    # Simonyan & Zisserman 2015, table 2.
    assert round(classic(name).cost.params / 1e6) == millions


def test_weight_layers_of_table_one() -> None:
    layers = {column: sum(map(len, stages)) + 3 for column, stages in KERNELS.items()}
    assert layers == {"A": 11, "B": 13, "C": 16, "D": 16, "E": 19}


def test_c_is_d_with_three_convolutions_of_one_pixel() -> None:
    def kernels(name: str) -> list[int]:
        nodes = classic(name).nodes
        return [n.operation.kernel[0] for n in nodes if isinstance(n.operation, Conv)]

    assert kernels("vgg16") == [3] * 13
    assert [index for index, kernel in enumerate(kernels("vgg16_c")) if kernel == 1] == [6, 9, 12]
    shapes_c, shapes_d = classic("vgg16_c").shapes, classic("vgg16").shapes
    assert shapes_c == shapes_d


def test_lrn_stands_behind_the_first_convolution() -> None:
    nodes = classic("vgg11_lrn").nodes
    assert [node.operation.kind for node in nodes[:4]] == [
        "conv", "activation", "local_response_norm", "max_pool",
    ]  # fmt: skip
    assert nodes[2].operation == LocalResponseNorm(5, 5e-4, 0.75, 2.0)
    assert classic("vgg11_lrn").cost == classic("vgg11").cost  # fvcore does not count it


def test_small_images() -> None:
    vgg = classic("vgg16_bn", (3, 32, 32), 10, stem="cifar")
    # The usual CIFAR form of VGG-16 with batch norm, as published with many papers' code.
    assert vgg.cost.params == 14_728_266
    assert vgg.shapes["max_pool5"] == (512, 1, 1)
    with pytest.raises(ArchitectureError, match="node 'max_pool5'"):
        classic("vgg16_bn", (3, 16, 16), 10, stem="cifar")
    with pytest.raises(ArchitectureError, match="node 'max_pool5'"):
        classic("vgg11", (3, 31, 31))


def test_other_sizes_and_widths() -> None:
    assert classic("vgg11", (1, 32, 96), 3).output_shape == (3,)
    assert classic("vgg11", width=0.5).shapes["features.18"][0] == 256
