"""Receptive fields: closed forms, published numbers, and what gradients say."""

from collections.abc import Callable
from fractions import Fraction
from math import prod
from random import Random

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.network import Network, compile
from nas.architecture.operations import Operation, Permute, Shape
from nas.architecture.receptive_field import Field, fields, receptive_field
from nas.blocks import conv_norm, residual, squeeze_excitation
from nas.classics import classic
from tests.architecture.examples import EXAMPLES, architectures, example_id, one_operation

layers = st.lists(
    st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(0, 2), st.integers(1, 3)),
    min_size=1,
    max_size=6,
)


@given(layers)
def test_stacked_convolutions_in_closed_form(layers: list[tuple[int, int, int, int]]) -> None:
    """size = 1 + sum of d(k-1) times the strides before; padding likewise; stride = product."""
    g = Builder((1, 2000))
    x = g.input
    for kernel, stride, padding, dilation in layers:
        x = g.conv(x, 1, kernel, stride, padding, dilation)
    before = [prod(stride for _, stride, _, _ in layers[:index]) for index in range(len(layers))]
    terms = list(zip(layers, before, strict=True))
    (found,) = fields(g.build(x))[x.name]
    assert found.size == 1 + sum(d * (k - 1) * jump for (k, _, _, d), jump in terms)
    assert found.padding == sum(p * jump for (_, _, p, _), jump in terms)
    assert found.stride == prod(stride for _, stride, _, _ in layers)


@pytest.mark.parametrize(
    ("name", "size"),
    # Araujo et al. 2019, section "Receptive field of convolutional neural networks", table, for
    # the first three; torchvision's ResNets have another stem and stride: by the closed form.
    [("alexnet", 195), ("vgg16", 212), ("mobilenetv1_100", 315), ("resnet18", 435)],
)
def test_published(name: str, size: int) -> None:
    architecture = classic(name)
    last_map = [n for n, shape in architecture.shapes.items() if prod(shape[1:]) > 1][-1]
    for field in fields(architecture)[last_map]:
        assert (field.size, field.stride) == (size, 32)


def test_each_axis_has_its_own() -> None:
    g = Builder((1, 32, 32))
    x = g.conv(g.conv(g.input, 1, (1, 7), padding=(0, 3)), 1, (3, 1), (2, 1))
    assert fields(g.build(x))[x.name] == ((3, 2, 0), (7, 1, 3))
    y = g.permute(x, (0, 2, 1))
    assert fields(g.build(y))[y.name] == ((3, 2, 0), (7, 1, 3))
    z = g.conv(y, 1, (5, 1))  # runs over what was the second axis
    assert fields(g.build(z))[z.name] == ((3, 2, 0), (11, 1, 3))


def test_branches_join_in_the_window_that_holds_both() -> None:
    g = Builder((1, 32))
    x = g.add(g.conv(g.input, 1, 3, 2, 1), g.conv(g.input, 1, 7, 2, 3), g.conv(g.input, 1, 1, 2))
    assert fields(g.build(x))[x.name] == ((7, 2, 3),)


def test_up_and_down_again() -> None:
    g = Builder((1, 32))
    x = g.upsample(g.conv(g.input, 1, 4, 4), 2)
    # Positions 2i and 2i + 1 both see 4i to 4i + 3: an even window of stride 2 that holds both.
    assert fields(g.build(x))[x.name] == ((6, 2, 2),)
    once = g.upsample(g.input, 1, "linear")  # every position is that of the input
    assert fields(g.build(once))[once.name] == ((1, 1, 0),)
    y = g.conv_transpose(g.conv(g.input, 1, 1), 1, 2, 2)
    assert fields(g.build(y))[y.name] == (Field(1, Fraction(1, 2), Fraction(1, 2)),)


def test_what_reads_all_positions_sees_the_whole_input() -> None:
    g = Builder((4, 16, 24))
    x = g.conv(g.input, 4, 3, 2, 1)
    whole = ((16, 16, 0), (24, 24, 0))
    pooled = g.global_pool(x, keep_axes=True)
    gated = g.multiply(x, g.activation(g.conv(pooled, 4, 1), "sigmoid"))
    nodes = [g.global_pool(x), pooled, g.linear(g.flatten(x), 3), g.adaptive_avg_pool(x, 1)]
    architecture = g.build(gated, *nodes)
    assert all(fields(architecture)[node.name] == whole for node in nodes)
    # A gate sees all, and keeps the places of what it gates.
    assert fields(architecture)[gated.name] == ((16, 2, 0), (24, 2, 0))
    assert receptive_field(architecture) == (16, 24)
    assert fields(architecture)["input"] == ((1, 1, 0), (1, 1, 0))


def test_features_have_no_field() -> None:
    g = Builder((4,))
    assert receptive_field(g.build(g.linear(g.input, 2))) == ()


# --- the gradient probe ---


def seen_by(network: nn.Module, shape: Shape, position: tuple[int, ...]) -> torch.Tensor:
    """Which input positions have a gradient of one output position, summed over channels."""
    image = torch.rand(1, *shape, dtype=torch.float64) + 0.5
    image.requires_grad_()
    output = network(image)
    output[(0, slice(None), *position)].sum().backward()
    assert image.grad is not None
    return image.grad[0].abs().sum(0) > 0


@torch.no_grad()
def positive(network: Network) -> nn.Module:
    """Weights above zero: nothing cancels and no rectifier cuts the gradient.

    Max pools become averages, or the gradient would touch one position a window.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.MaxPool2d):
            stride, padding = module.stride, module.padding
            pool = nn.AvgPool2d(module.kernel_size, stride, padding, module.ceil_mode)
            network.set_submodule(name, pool)
    for parameter in network.parameters():
        parameter.copy_(torch.rand_like(parameter) / parameter[0].numel() + 1e-3)
    return network.double().eval()


def chain(g: Builder) -> Handle:
    x = g.relu(g.conv(g.input, 3, 5, 2, 2))
    x = g.avg_pool(x, 3, 2, 1)
    return g.conv(g.relu(g.conv(x, 4, 3, padding=2, dilation=2)), 2, (1, 3))


def branching(g: Builder) -> Handle:
    x = conv_norm(g, g.input, 4, 2)
    y = residual(g, x, 8, 2)
    a, b = g.conv(y, 2, 1), g.conv(g.conv(y, 2, (1, 5), padding=(0, 2)), 3, (5, 1), padding=(2, 0))
    return g.concat(a, b, g.avg_pool(y, 3, 1, 1))


def uneven(g: Builder) -> Handle:
    x = g.conv(g.input, 3, 3, 2, "same")
    x = g.conv(g.pad(x, ((-1, 0), (2, 1))), 3, 4, 3)
    return g.conv(x, 2, 2)


def channels_last(g: Builder) -> Handle:
    x = g.depthwise(g.conv(g.input, 4, 4, 4), 5, padding=2)
    x = g.linear(g.activation(g.linear(g.permute(x, (1, 2, 0)), 8), "sigmoid"), 4)
    return g.conv(g.permute(x, (2, 0, 1)), 3, 2)


def enlarging(g: Builder) -> Handle:
    x = g.conv(g.input, 4, 3, 2, 1)
    y = g.conv_transpose(g.conv(x, 6, 3, 2, 1), 4, 2, 2)
    return g.conv(g.add(x, y), 2, 3)


@pytest.mark.parametrize("make", [chain, branching, uneven, channels_last])
def test_equals_the_gradient_probe(make: Callable[[Builder], Handle]) -> None:
    g = Builder((2, 48, 44))
    architecture = g.build(make(g))
    network, field = positive(compile(architecture)), fields(architecture)[architecture.outputs[0]]
    height, width = architecture.output_shape[1:]
    positions = [(height // 2, width // 2), (0, 0), (height - 1, width - 1)]
    for position in positions:
        expected = torch.zeros(48, 44, dtype=torch.bool)
        window = []
        for place, axis in zip(position, field, strict=True):
            first = int(place * axis.stride - axis.padding)
            window.append(slice(max(first, 0), first + axis.size))
        expected[tuple(window)] = True
        assert torch.equal(seen_by(network, (2, 48, 44), position), expected)


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("vgg11", "max_pool4"),
        ("alexnet", "max_pool3"),
        ("resnet20", "layer2.0.relu2"),
        ("googlenet", "inception3a.concat1"),
        ("mobilenet_v2", "features.7.conv.3"),
    ],
)
def test_equals_the_gradient_probe_of_classics(name: str, end: str) -> None:
    """At the centre of a map, in an image that holds the window."""
    whole = classic(name)
    (field, _) = fields(whole)[end]
    side = field.size + 5 * int(field.stride)
    larger = Architecture((3, side, side), whole.nodes, [end])
    place = larger.output_shape[1] // 2
    first = int(place * field.stride - field.padding)
    assert 0 < first < first + field.size < side
    expected = torch.zeros(side, side, dtype=torch.bool)
    expected[first : first + field.size, first : first + field.size] = True
    seen = seen_by(positive(compile(larger)), larger.input_shape, (place, place))
    assert torch.equal(seen, expected)


def test_equals_the_gradient_probe_behind_enlargement() -> None:
    """There the window is the largest of the phases: none sees outside, one sees all."""
    g = Builder((2, 48, 44))
    architecture = g.build(enlarging(g))
    network, field = positive(compile(architecture)), fields(architecture)[architecture.outputs[0]]
    sizes = []
    for place in range(8, 12):
        rows = seen_by(network, (2, 48, 44), (place, 10)).any(1).nonzero().flatten().tolist()
        first = place * field[0].stride - field[0].padding
        assert min(rows) >= first
        assert max(rows) < first + field[0].size
        sizes.append(max(rows) - min(rows) + 1)
    assert max(sizes) <= field[0].size <= max(sizes) + 2


def test_attention_and_gates_see_all_by_the_probe_too() -> None:
    g = Builder((4, 8, 8))
    x = g.permute(g.conv(g.input, 4, 1), (1, 2, 0))
    attended = g.permute(g.attention(x, x, x, 2), (2, 0, 1))
    gated = squeeze_excitation(g, g.conv(g.input, 4, 1), reduction=2)
    for handle in (attended, gated):
        architecture = g.build(handle)
        assert [field.size for field in fields(architecture)[handle.name]] == [8, 8]
        assert seen_by(positive(compile(architecture)), (4, 8, 8), (3, 5)).all()


@settings(max_examples=150)
@given(architectures(heads=False), st.integers(0, 2**32))
def test_no_gradient_from_outside_the_field_on_random_graphs(
    architecture: Architecture, seed: int
) -> None:
    rank, random = len(architecture.input_shape) - 1, Random(seed)
    maps = [name for name, shape in architecture.shapes.items() if len(shape) == rank + 1 > 1]
    assume(maps)
    end = random.choice(maps[-4:])
    architecture = Architecture(architecture.input_shape, architecture.nodes, [end])
    moved = any(isinstance(node.operation, Permute) for node in architecture.nodes)
    image = torch.randn(1, *architecture.input_shape, dtype=torch.float64, requires_grad=True)
    output = compile(architecture).double().eval()(image)
    position = [random.randrange(size) for size in architecture.output_shape[1:]]
    chosen = output[(0, slice(None), *position)].sum()
    if moved or not chosen.requires_grad:
        return
    (gradient,) = torch.autograd.grad(chosen, image, allow_unused=True)
    if gradient is None:
        return
    seen = gradient[0].nan_to_num(0.0).abs().sum(0).nonzero()
    field = fields(architecture)[end]
    for index, (place, axis) in enumerate(zip(position, field, strict=True)):
        first = place * axis.stride - axis.padding
        if axis.size < architecture.input_shape[index + 1]:  # not one that sees all
            assert all(first <= found < first + axis.size for found in seen[:, index].tolist())


@pytest.mark.parametrize(("operation", "inputs"), EXAMPLES, ids=map(example_id, EXAMPLES))
def test_every_operation_tells_its_reach(operation: Operation, inputs: tuple[Shape, ...]) -> None:
    architecture = one_operation(operation, inputs)
    node = architecture.nodes[-1]
    output = architecture.shapes[node.name]
    for name in node.inputs:
        assert len(node.operation.reach(architecture.shapes[name], output)) == len(output)
    assert len(fields(architecture)["it"]) == len(inputs[0]) - 1
