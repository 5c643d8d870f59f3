"""Reading an image as a series, a volume, or a stack of channels."""

from math import prod
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import nas
from nas.architecture.builder import Builder
from nas.architecture.graph import Architecture
from nas.architecture.operations import ArchitectureError
from nas.architecture.reading import Reading, read_shape, reading_network

sizes = st.integers(1, 5)


def conv(shape: tuple[int, ...], channels: int, kernel: Any) -> Architecture:
    g = Builder(shape)
    return g.build(g.conv(g.input, channels, kernel, bias=False, name="conv"))


@given(st.tuples(sizes, sizes, sizes))
def test_every_row_or_column_is_one_step_of_the_series(shape: tuple[int, int, int]) -> None:
    images = torch.arange(2 * prod(shape)).reshape(2, *shape).float()
    for reading in ("rows", "columns"):
        length, *_ = shape[1:] if reading == "rows" else shape[2:]
        g = Builder(read_shape(reading, shape))
        read = nas.compile(reading_network(reading, shape, g.build(g.identity(g.input))))(images)
        assert read.shape == (2, *read_shape(reading, shape)) == (2, read.shape[1], length)
        for step in range(length):
            own = images[:, :, step] if reading == "rows" else images[:, :, :, step]
            assert torch.equal(read[:, :, step], own.flatten(1))


@given(st.tuples(sizes, sizes, sizes))
def test_the_depth_of_a_volume_are_the_channels(shape: tuple[int, int, int]) -> None:
    images = torch.arange(2 * prod(shape)).reshape(2, *shape).float()
    assert read_shape("volume", shape) == (1, *shape)
    g = Builder((1, *shape))
    read = nas.compile(reading_network("volume", shape, g.build(g.identity(g.input))))(images)
    assert torch.equal(read, images[:, None])


@given(st.tuples(sizes, sizes, sizes))
def test_the_channels_of_a_stack_lie_one_below_the_other(shape: tuple[int, int, int]) -> None:
    images = torch.arange(2 * prod(shape)).reshape(2, *shape).float()
    g = Builder(read_shape("stack", shape))
    read = nas.compile(reading_network("stack", shape, g.build(g.identity(g.input))))(images)
    assert torch.equal(read, torch.cat(list(images.split(1, dim=1)), dim=2))


def test_a_network_sees_all_channels_of_a_stack_by_the_same_weights() -> None:
    shape = (3, 8, 8)
    g = Builder(read_shape("stack", shape))
    one = g.build(g.global_pool(g.conv(g.input, 4, 2, stride=2, name="conv")))
    network = nas.compile(reading_network("stack", shape, one)).eval()
    images = torch.randn(5, *shape)
    torch.testing.assert_close(network(images), network(images[:, [2, 0, 1]]))


@pytest.mark.parametrize(("reading", "kernel"), [("rows", (2, 5)), ("columns", (4, 2))])
def test_a_convolution_of_a_series_is_one_over_whole_rows_or_columns(
    reading: Reading, kernel: tuple[int, int]
) -> None:
    shape = (3, 4, 5)
    series = reading_network(reading, shape, conv(read_shape(reading, shape), 6, 2))
    image = conv(shape, 6, kernel)
    assert series.cost.params == image.cost.params
    assert series.cost.macs == image.cost.macs
    one, other = nas.compile(series), nas.compile(image)
    weights = other.state_dict()["conv.weight"]  # [6, 3, height, width]
    if reading == "rows":
        weights = weights.transpose(2, 3)
    one.load_state_dict({"conv.weight": weights.flatten(1, 2)})
    images = torch.randn(2, *shape)
    torch.testing.assert_close(one(images), other(images).flatten(2))


def test_an_image_that_is_read_as_it_is_has_the_same_network() -> None:
    built = nas.classic("lenet5", (1, 28, 28), 10)
    assert reading_network("image", (1, 28, 28), built) is built


def test_all_outputs_are_kept() -> None:
    g = Builder((8, 6))
    x = g.conv(g.input, 4, 3, name="conv")
    g.build(x)
    both = g.build(g.global_pool(x), g.relu(x))
    read = reading_network("columns", (2, 4, 6), both)
    assert [read.shapes[name] for name in read.outputs] == [(4,), (4, 4)]
    assert Architecture.from_json(read.to_json()) == read


def test_what_cannot_be_read() -> None:
    with pytest.raises(ArchitectureError, match=r"rows needs images.*\[3, 100\]; allowed: image"):
        read_shape("rows", (3, 100))
    with pytest.raises(ArchitectureError, match=r"columns needs images.*\[1, 8, 8, 8\]; "):
        read_shape("columns", (1, 8, 8, 8))
    with pytest.raises(ArchitectureError, match=r"\(4, 8\) cannot read rows of \(8, 4\)"):
        reading_network("rows", (2, 4, 4), conv((4, 8), 1, 1))
