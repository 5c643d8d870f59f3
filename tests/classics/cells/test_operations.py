"""Every edge operation: the size that it promises, and its cost."""

import pytest
import torch

from nas.architecture.builder import Builder
from nas.architecture.network import compile
from nas.architecture.reference import reference_cost
from nas.classics.cells import DARTS, DIALECTS, NASNET, operations


@pytest.mark.parametrize("dialect", ["nasnet", "darts", "enas"])
@pytest.mark.parametrize("operation", operations(NASNET))
def test_strides_divide_the_size_and_round_up(operation: str, dialect: str) -> None:
    for size in (8, 9):
        for stride in (1, 2):
            g = Builder((6, size, size + 3))
            y = operations(DIALECTS[dialect])[operation](g, g.input, 6, stride)
            assert y.shape == (6, -(-size // stride), -(-(size + 3) // stride))
            if y == g.input:
                continue
            architecture = g.build(y)
            assert architecture.cost == reference_cost(architecture).cost
            output = compile(architecture)(torch.randn(2, 6, size, size + 3))
            assert output.shape == (2, *y.shape)


@pytest.mark.parametrize("operation", operations(NASNET))
def test_a_state_of_other_channels_is_brought_to_the_cells(operation: str) -> None:
    for channels in (3, 10, 14):
        g = Builder((channels, 8, 8))
        y = operations(NASNET)[operation](g, g.input, 4, 2)
        assert y.shape == (4, 4, 4)
        architecture = g.build(y)
        assert architecture.cost == reference_cost(architecture).cost


def test_zeros_are_zero_whatever_the_channels() -> None:
    for channels in (3, 4, 14):
        g = Builder((channels, 8, 8))
        network = compile(g.build(operations(NASNET)["none"](g, g.input, 4, 2)))
        assert torch.equal(network(torch.randn(2, channels, 8, 8)), torch.zeros(2, 4, 4, 4))


def test_the_identity_adds_nothing() -> None:
    g = Builder((6, 8, 8))
    assert operations(NASNET)["skip_connect"](g, g.input, 6, 1) == g.input


def params(operation: str, dialect: str, stride: int = 1) -> int:
    g = Builder((8, 8, 8))
    y = operations(DIALECTS[dialect])[operation](g, g.input, 8, stride)
    return g.build(y).cost.params


def test_parameters_by_hand() -> None:
    norm = 2 * 8
    assert params("sep_conv_5x5", "nasnet") == 2 * (8 * 25 + 64 + norm)
    assert params("dil_conv_5x5", "darts") == 8 * 25 + 64 + norm
    assert params("dil_sep_conv_5x5", "nasnet") == 2 * (8 * 25 + 64 + norm)
    assert params("conv_1x1", "nasnet") == 64 + norm
    assert params("conv_3x3", "nasnet") == 8 * 2 + 4 + 2 * 2 * 9 + 4 + 2 * 8 + norm
    assert params("conv_1x3_3x1", "nasnet") == 8 * 3 + 6 + 2 * (3 * 3 * 3 + 6) + 3 * 8 + norm
    assert params("conv_1x7_7x1", "nasnet") == 8 * 2 + 4 + 2 * (2 * 2 * 7 + 4) + 2 * 8 + norm
    assert params("skip_connect", "nasnet", stride=2) == 64 + norm
    assert params("skip_connect", "darts", stride=2) == 2 * 32 + norm
    assert params("skip_connect", "enas", stride=2) == 2 * 32 + norm


def test_factorized_reduction_reads_both_diagonals() -> None:
    for size in (6, 7):
        g = Builder((2, size, size))
        y = operations(DARTS)["skip_connect"](g, g.input, 2, 2)
        network = compile(g.build(y)).eval()
        image = (torch.rand(1, 2, size, size) + 1.0).requires_grad_()
        network(image).sum().backward()
        read = image.grad.abs().sum((0, 1)) > 0
        odd = torch.arange(size) % 2
        assert torch.equal(read, odd[:, None] == odd)
