"""Windows against torch: which combinations exist, what size they give, what padding means."""

from math import ceil, prod
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.signal import correlate
from torch import Tensor, nn
from torch.nn import functional

from nas.architecture.builder import Builder
from nas.architecture.cost import FREE
from nas.architecture.network import compile
from nas.architecture.operations import (
    ArchitectureError,
    AvgPool,
    Conv,
    ConvTranspose,
    MaxPool,
    Operation,
    Pad,
    Shape,
    infer,
)
from nas.export.exporting import export

CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
CONVS_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
MAX_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
AVG_POOLS = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)

Window = tuple[tuple[int, ...], ...]


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """Sizes, kernel, stride, padding and dilation over one to three axes, fitting or not."""
    rank = draw(st.integers(1, 3))
    ranges = (st.integers(1, 9), *[st.integers(1, 4)] * 2, st.integers(0, 3), st.integers(1, 3))
    return tuple(draw(st.tuples(*[numbers] * rank)) for numbers in ranges)


def ours(make: type[Operation], shape: Shape, **attributes: object) -> Shape | None:
    try:
        return make(**attributes).shape(shape)
    except ArchitectureError:
        return None


def torchs(module: type[nn.Module], shape: Shape, *arguments: object) -> Shape | None:
    try:
        return tuple(module(*arguments)(torch.zeros(1, *shape)).shape[1:])
    except (RuntimeError, ValueError):  # torch's word for a window that does not fit
        return None


@settings(max_examples=300)
@given(windows(), st.integers(1, 2), st.integers(1, 2), st.integers(1, 3))
def test_conv_exists_and_sizes_as_torch(
    window: Window, per_group_in: int, per_group: int, groups: int
) -> None:
    sizes, kernel, stride, padding, dilation = window
    channels_in, channels = per_group_in * groups, per_group * groups
    expected = torchs(
        CONVS[len(sizes) - 1],
        (channels_in, *sizes),
        *(channels_in, channels, kernel, stride, padding, dilation, groups),
    )
    found = ours(
        Conv,
        (channels_in, *sizes),
        kernel=kernel,
        stride=stride,
        padding=padding,
        channels=channels,
        dilation=dilation,
        groups=groups,
    )
    assert found == expected


@settings(max_examples=300)
@given(windows(), st.integers(1, 2), st.integers(1, 2), st.integers(1, 2), st.integers(0, 1))
def test_conv_transpose_exists_and_sizes_as_torch(
    window: Window, per_group_in: int, per_group: int, groups: int, output_padding: int
) -> None:
    sizes, kernel, stride, padding, dilation = window
    channels_in, channels = per_group_in * groups, per_group * groups
    expected = torchs(
        CONVS_TRANSPOSED[len(sizes) - 1],
        (channels_in, *sizes),
        *(channels_in, channels, kernel, stride, padding, output_padding, groups, True, dilation),
    )
    try:
        found = infer(
            ConvTranspose(
                kernel,
                stride,
                padding,
                channels=channels,
                dilation=dilation,
                output_padding=(output_padding,) * len(sizes),
                groups=groups,
            ),
            ((channels_in, *sizes),),
        )[0]
    except ArchitectureError:
        found = None
    empty = expected is not None and 0 in expected  # torch makes it, we do not
    assert found == (None if empty else expected)


def test_conv_transpose_is_the_gradient_of_conv() -> None:
    g = Builder((4, 9, 8))
    convolution = compile(g.build(g.conv(g.input, 6, 3, 2, 1, groups=2, bias=False, name="it")))
    h = Builder((6, 5, 4))
    x = h.conv_transpose(h.input, 4, 3, 2, 1, (0, 1), groups=2, bias=False, name="it")
    assert x.shape == (4, 9, 8)
    transposed = compile(h.build(x))
    transposed.load_state_dict(convolution.state_dict())
    image, gradient = torch.randn(2, 4, 9, 8, requires_grad=True), torch.randn(2, 6, 5, 4)
    convolution(image).backward(gradient)
    assert image.grad is not None
    torch.testing.assert_close(transposed(gradient), image.grad)


@settings(max_examples=200)
@given(windows(), st.booleans())
def test_max_pool_exists_and_sizes_as_torch(window: Window, ceil_mode: bool) -> None:
    sizes, kernel, stride, padding, dilation = window
    expected = torchs(
        MAX_POOLS[len(sizes) - 1],
        (2, *sizes),
        *(kernel, stride, padding, dilation, False, ceil_mode),
    )
    found = ours(
        MaxPool,
        (2, *sizes),
        kernel=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=ceil_mode,
    )
    assert found == expected


@settings(max_examples=200)
@given(windows(), st.booleans(), st.booleans())
def test_avg_pool_exists_and_sizes_as_torch(window: Window, ceil_mode: bool, count: bool) -> None:
    sizes, kernel, stride, padding, _ = window
    expected = torchs(
        AVG_POOLS[len(sizes) - 1], (2, *sizes), kernel, stride, padding, ceil_mode, count
    )
    found = ours(
        AvgPool,
        (2, *sizes),
        kernel=kernel,
        stride=stride,
        padding=padding,
        ceil_mode=ceil_mode,
        count_include_pad=count,
    )
    assert found == expected


def test_ceil_mode_drops_a_window_that_starts_in_the_padding() -> None:
    """PyTorch's rule: "the right-padded region would be ignored" (docs of ``MaxPool2d``)."""
    assert MaxPool(2, 2, 1, ceil_mode=True).shape((1, 3)) == (1, 2)
    assert MaxPool(2, 2, 0, ceil_mode=True).shape((1, 3)) == (1, 2)
    assert MaxPool(2, 3, 1, ceil_mode=True).shape((1, 5)) == (1, 2)  # not the formula's 3


def test_ceil_mode_lets_a_window_hang_over() -> None:
    """SqueezeNet's 3x3 pool of stride 2 on the 2x2 that a small image leaves."""
    assert MaxPool((3, 3), (2, 2), ceil_mode=True).shape((1, 2, 2)) == (1, 1, 1)
    with pytest.raises(ArchitectureError, match="a window of 3 does not fit into size 2"):
        MaxPool((3, 3), (2, 2)).shape((1, 2, 2))


def same_amounts(sizes: Shape, kernel: Shape, stride: Shape, dilation: Shape) -> list[int]:
    """TensorFlow's "SAME" as its documentation words it, in the order that torch pads."""
    flat: list[int] = []
    for size, k, s, d in zip(sizes, kernel, stride, dilation, strict=True):
        reach = d * (k - 1) + 1
        total = max(reach - (s if size % s == 0 else size % s), 0)
        flat = [total // 2, total - total // 2, *flat]
    return flat


def run(g: Builder, output: object, x: Tensor, weight: Tensor | None = None) -> Tensor:
    network = compile(g.build(output)).eval()
    if weight is not None:
        (parameter,) = network.parameters()
        parameter.data = weight
    with torch.no_grad():
        return network(x)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@settings(max_examples=100)
@given(windows())
def test_conv_same(window: Window) -> None:
    sizes, kernel, stride, _, dilation = window
    rank = len(sizes)
    x, weight = torch.randn(1, 2, *sizes), torch.randn(3, 2, *kernel)
    convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[rank - 1]
    g = Builder((2, *sizes))
    y = g.conv(g.input, 3, kernel, stride, "same", dilation, bias=False)
    assert y.spatial == tuple(ceil(n / s) for n, s in zip(sizes, stride, strict=True))
    found = run(g, y, x, weight)
    padded = functional.pad(x, same_amounts(sizes, kernel, stride, dilation))
    torch.testing.assert_close(found, convolve(padded, weight, None, stride, 0, dilation))
    if set(stride) == {1}:
        expected = convolve(x, weight, None, 1, "same", dilation)
        torch.testing.assert_close(found, expected)


@settings(max_examples=60)
@given(windows(), st.sampled_from(["full", "valid"]))
def test_conv_full_and_valid_are_scipys(window: Window, padding: str) -> None:
    sizes, kernel = window[:2]
    if padding == "valid":
        assume(all(k <= n for k, n in zip(kernel, sizes, strict=True)))
    x, weight = torch.randn(1, 1, *sizes), torch.randn(1, 1, *kernel)
    g = Builder((1, *sizes))
    found = run(g, g.conv(g.input, 1, kernel, 1, padding, bias=False), x, weight)
    expected = correlate(x[0, 0].numpy(), weight[0, 0].numpy(), mode=padding, method="direct")
    assert found.shape[2:] == expected.shape
    np.testing.assert_allclose(found[0, 0].numpy(), expected, rtol=1e-4, atol=1e-4)


def pooled(x: np.ndarray, kernel: Shape, stride: Shape, sides: list[int], kind: str) -> np.ndarray:
    """Pooling by its definition: at each position, the part of the window that is on the input."""
    before, total = sides[::2][::-1], [sum(sides[i : i + 2]) for i in range(0, len(sides), 2)][::-1]
    shape = [
        (n + t - k) // s + 1 for n, k, s, t in zip(x.shape, kernel, stride, total, strict=True)
    ]
    output = np.empty(shape)
    for position in np.ndindex(*shape):
        starts = [p * s - b for p, s, b in zip(position, stride, before, strict=True)]
        window = x[tuple(slice(max(i, 0), i + k) for i, k in zip(starts, kernel, strict=True))]
        output[position] = window.max() if kind == "max" else window.sum() / prod(kernel)
    return output


@settings(max_examples=100)
@given(windows(), st.sampled_from(["max", "average"]), st.sampled_from(["same", "full"]))
def test_pool_same_and_full(window: Window, kind: str, padding: str) -> None:
    """Max padding never wins, average padding counts as zeros."""
    sizes, kernel, stride, _, _ = window
    if kind == "average" and len(sizes) == 3:
        assume(all(k <= n for k, n in zip(kernel, sizes, strict=True)))  # torch's own limit
    ones = (1,) * len(sizes)
    x = torch.randn(1, 1, *sizes) - 5  # below zero: a zero pad would win the max
    g = Builder((1, *sizes))
    pool = g.max_pool if kind == "max" else g.avg_pool
    found = run(g, pool(g.input, kernel, stride, padding), x)[0, 0].numpy()
    sides = same_amounts(sizes, kernel, stride, ones)
    if padding == "full":
        sides = [k - 1 for k in reversed(kernel) for _ in range(2)]
    else:
        assert found.shape == tuple(ceil(n / s) for n, s in zip(sizes, stride, strict=True))
    expected = pooled(x[0, 0].numpy(), kernel, stride, sides, kind)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_uneven_padding_is_a_node_and_even_padding_is_not() -> None:
    g = Builder((3, 8, 8))
    g.conv(g.input, 4, 3, 1, "same", name="even")
    x = g.conv(g.input, 4, 3, 2, "same", name="uneven")
    y = g.max_pool(x, 2, padding="same")
    nodes = {node.name: node for node in g.build(y).nodes}
    assert list(nodes) == ["uneven_pad", "uneven", "max_pool1"]
    assert nodes["uneven_pad"].operation == Pad(((0, 1), (0, 1)))
    h = Builder((3, 8, 8))
    architecture = h.build(h.conv(h.input, 4, 3, 1, "same", name="even"))
    assert architecture.nodes[0].operation == Conv((3, 3), 1, 1, channels=4)


def test_average_that_leaves_padding_out_needs_even_padding() -> None:
    """A node of zeros before the pool would be counted, against what was asked for."""
    g = Builder((1, 8))
    assert g.avg_pool(g.input, 3, 1, "same", count_include_pad=False).spatial == (8,)
    with pytest.raises(ArchitectureError, match="count_include_pad=False"):
        g.avg_pool(g.input, 3, 2, "same", count_include_pad=False)


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "padding"),
    [
        ((3, 11), (2,), (3,), (1,)),
        ((3, 9, 8), (2, 3), (2, 3), (0, 1)),
        ((2, 6, 5, 7), (2, 1, 2), (2, 2, 3), (1, 0, 1)),
    ],
)
def test_max_unpooling_is_torchs_with_the_indices_of_the_pool(
    shape: Shape, kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...]
) -> None:
    rank = len(kernel)
    g = Builder(shape)
    pool = g.max_pool(g.input, kernel, stride, padding)
    back = g.max_unpool(g.rescale(pool, 3.0), pool)
    assert back.shape == shape
    assert g.build(back).cost == FREE
    ours, theirs = (torch.randn(2, *shape, requires_grad=True) for _ in range(2))
    theirs.data.copy_(ours.data)
    pooled, places = getattr(functional, f"max_pool{rank}d")(
        theirs, kernel, stride, padding, return_indices=True
    )
    unpool = getattr(functional, f"max_unpool{rank}d")
    expected = unpool(3.0 * pooled, places, kernel, stride, padding, theirs.shape)
    found = compile(g.build(back))(ours)
    assert torch.equal(found, expected)
    weights = torch.randn(found.shape)
    for out in (found, expected):
        (out * weights).sum().backward()
    assert ours.grad is not None
    assert theirs.grad is not None
    assert torch.equal(ours.grad, theirs.grad)


@pytest.mark.parametrize(
    "form", [pytest.param("onnx", marks=pytest.mark.slow), "torchscript", "torch-export", "python"]
)
def test_a_segnet_is_exported(form: str, tmp_path: Path) -> None:
    """Two levels down and, by the indices of the pools, up again: Badrinarayanan et al. 2017."""
    g = Builder((3, 9, 8))
    pools = []
    x = g.input
    for channels in (4, 6):
        x = g.max_pool(g.relu(g.batch_norm(g.conv(x, channels, 3, padding=1))), 2)
        pools.append(x)
    for pool, channels in zip(reversed(pools), (4, 5), strict=True):
        x = g.conv(g.max_unpool(x, pool), channels, 3, padding=1)
    assert x.shape == (5, 9, 8)
    export(compile(g.build(x)).eval(), form, "segnet", tmp_path / "segnet")


def test_what_cannot_be_unpooled_is_refused() -> None:
    g = Builder((2, 9, 9))
    with pytest.raises(ArchitectureError, match="stride must be at least the kernel, got stride"):
        g.max_unpool(g.input, g.max_pool(g.input, 3, 2))
    with pytest.raises(ArchitectureError, match="needs max_pool without dilation and ceil_mode"):
        g.max_unpool(g.input, g.max_pool(g.input, 2, ceil_mode=True))
    pool = g.max_pool(g.input, 3)
    with pytest.raises(ArchitectureError, match=r"makes \(2, 3, 3\), the values to be put are"):
        g.max_unpool(g.conv(pool, 1, 1), pool)
