"""LeNet-5 and its original form."""

import pytest
import torch

from nas.architecture.network import compile
from nas.architecture.operations import ArchitectureError
from nas.classics import classic
from nas.classics.lenet import C3


def layer_params(prefix: str) -> int:
    costs = classic("lenet5", original=True).costs
    return sum(cost.params for name, cost in costs.items() if name.startswith(prefix))


def test_parameters_of_the_modern_form() -> None:
    assert classic("lenet5").cost.params == 61_706


def test_parameters_of_the_paper_layer_by_layer() -> None:
    # LeCun et al. 1998, section II.B; layers up to F6 have "60,000 trainable free parameters".
    published = {
        "conv1": 156,
        "pool1": 12,
        "conv2": 1_516,
        "pool2": 32,
        "fc1": 48_120,
        "fc2": 10_164,
    }
    assert {name: layer_params(name) for name in published} == published
    assert sum(published.values()) == 60_000
    # The radial basis functions are a linear layer here.
    assert classic("lenet5", original=True).cost.params == 60_000 + 84 * 10 + 10


def test_maps_of_the_paper() -> None:
    shapes = classic("lenet5", original=True).shapes
    assert shapes["conv1"] == (6, 28, 28)
    assert shapes["pool1"] == (6, 14, 14)
    assert shapes["conv2.0"] == (1, 10, 10)
    assert shapes["pool2"] == (16, 5, 5)


def test_table_one_is_symmetric() -> None:
    # "each S2 map is in 10 of the 16 C3 maps": table I has ten marks in each row.
    assert [sum(index in read for read in C3) for index in range(6)] == [10] * 6
    assert [len(read) for read in C3] == [3] * 6 + [4] * 9 + [6]
    assert len(set(C3)) == 16


def test_each_map_of_c3_reads_its_maps_of_s2_alone() -> None:
    network = compile(classic("lenet5", original=True))
    seen = {}
    network.pool1.register_forward_hook(lambda module, inputs, output: output.retain_grad())
    network.pool1.register_forward_hook(lambda module, inputs, output: seen.update(s2=output))
    for index, read in enumerate(C3):
        module = network.get_submodule(f"conv2.{index}")
        handle = module.register_forward_hook(lambda m, i, output: seen.update(c3=output))
        network(torch.randn(1, 1, 32, 32))
        (gradient,) = torch.autograd.grad(seen["c3"].sum(), seen["s2"])
        reached = gradient.abs().sum((0, 2, 3)).nonzero().flatten().tolist()
        assert tuple(reached) == read
        handle.remove()


@pytest.mark.parametrize("original", [False, True])
def test_sizes(original: bool) -> None:
    for shape in ((1, 28, 28), (3, 32, 32), (1, 48, 40)):
        architecture = classic("lenet5", shape, 7, original=original)
        network = compile(architecture)
        network(torch.randn(2, *shape)).sum().backward()
        assert all(parameter.grad is not None for parameter in network.parameters())
    # 28 is padded to the 32 of the paper, as it pads MNIST.
    small = classic("lenet5", (1, 28, 28), original=original)
    assert small.cost == classic("lenet5", original=original).cost
    with pytest.raises(ArchitectureError, match=r"node 'conv2"):
        classic("lenet5", (1, 8, 8), original=original)


def test_the_original_has_one_width() -> None:
    assert classic("lenet5", width=2.0).shapes["conv2"] == (32, 10, 10)
    with pytest.raises(ArchitectureError, match=r"original=True has one width, 1; got width=2\.0"):
        classic("lenet5", original=True, width=2.0)
