"""A classifier of windows finds things in larger images."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import nas
from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.network import Network, compile
from nas.architecture.operations import ArchitectureError
from nas.architecture.sliding import window_scores
from nas.classics import classic
from nas.errors import InputError
from tests.architecture.test_surgery import perturbed


@st.composite
def classifiers(draw: st.DrawFn) -> Architecture:
    """Convolutions, pools and branches with and without padding, whose window may be uneven."""
    g = Builder((2, draw(st.integers(9, 14)), draw(st.integers(9, 14))))
    x = g.input
    for _ in range(draw(st.integers(1, 4))):
        kernel, stride = draw(st.integers(1, 3)), draw(st.sampled_from([1, 1, 2]))
        padding = draw(st.sampled_from([0, 0, 0, kernel // 2]))
        kind = draw(st.sampled_from(["conv", "max", "avg", "branch", "gate", "enlarge"]))
        if kind == "gate" and draw(st.booleans()):
            x = g.multiply(
                x, g.activation(g.conv(g.global_pool(x, True), x.channels, 1), "sigmoid")
            )
        elif kind == "enlarge" and draw(st.booleans()):
            x = g.upsample(x, 2)
        elif min(x.spatial) < kernel:
            break
        elif kind == "max":
            x = g.max_pool(x, kernel, stride, padding=padding, ceil_mode=draw(st.booleans()))
        elif kind == "avg":
            x = g.avg_pool(x, kernel, stride, padding=padding)
        elif kind == "branch":
            x = g.add(g.conv(x, 3, 1), g.relu(g.conv(x, 3, 1)))
        else:
            x = g.relu(g.batch_norm(g.conv(x, 3, kernel, stride=stride, padding=padding)))
    pooled = draw(st.booleans())
    return g.build(g.linear(g.global_pool(x) if pooled else g.flatten(x), 3))


@settings(max_examples=40)
@given(classifiers(), st.integers(0, 9), st.integers(0, 9), st.integers(0, 2**31))
def test_scores_are_those_of_each_window(
    architecture: Architecture, down: int, right: int, seed: int
) -> None:
    """Otherwise, sliding at once is refused."""
    torch.manual_seed(seed)
    network = perturbed(architecture)
    _, height, width = architecture.input_shape
    image = torch.randn(2, height + down, width + right)
    try:
        found, steps = window_scores(network, image)
    except ArchitectureError:
        found, steps = window_scores(network, image, 2)
    tops, lefts = range(0, down + 1, steps[0]), range(0, right + 1, steps[1])
    crops = [image[:, y : y + height, x : x + width] for y in tops for x in lefts]
    with torch.no_grad():
        expected = network(torch.stack(crops)).T.view(3, len(tops), len(lefts))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def frames() -> Network:
    """Tells frames of 8 pixels, 2 of which are their border, from all else."""
    g = Builder((1, 8, 8))
    network = nas.compile(g.build(g.linear(g.flatten(g.input), 2, name="match"))).eval()
    inner = torch.zeros(8, 8)
    inner[2:6, 2:6] = 1
    match = 40 * ((1 - inner) / 48 - inner / 16)  # 40 for a frame, 0 for an even area
    weights = torch.stack([torch.zeros(64), match.flatten()])
    network.load_state_dict({"match.weight": weights, "match.bias": torch.tensor([0.0, -30.0])})
    return network


def test_objects_of_two_sizes_are_found_where_they_are() -> None:
    image = torch.zeros(1, 40, 60)
    for top, left, side in ((5, 11, 8), (20, 30, 16)):
        border = side // 4
        image[:, top : top + side, left : left + side] = 1
        image[:, top + border : top + side - border, left + border : left + side - border] = 0
    network = frames()
    found = nas.sliding_windows(network, image, scales=[1, 0.5], background=0)
    assert sorted(found[:, :4].tolist()) == [[11, 5, 19, 13], [30, 20, 46, 36]]
    assert set(found[:, 5]) == {1}
    one = nas.sliding_windows(network, image, background=0, stride=1)
    assert one[:, :4].tolist() == [[11, 5, 19, 13]]


def test_lenet_slides_at_once() -> None:
    """It pads nothing if its window has 32 pixels."""
    scores, steps = window_scores(compile(classic("lenet5")).eval(), torch.randn(1, 44, 60))
    assert (scores.shape, steps) == ((10, 4, 8), (4, 4))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda g: g.global_pool(g.conv(g.input, 4, 3, padding=1)), "node 'conv1' sees"),
        (
            lambda g: g.global_pool(g.max_pool(g.input, 3, 2, ceil_mode=True)),
            "node 'max_pool1' sees",
        ),
        (lambda g: g.global_pool(g.group_norm(g.input, 1)), "node 'group_norm1' sees"),
        (lambda g: g.flatten(g.resize(g.input, 4)), "node 'resize1' sees"),
        (lambda g: g.input, "a classifier of images"),
    ],
)
def test_what_sees_other_things_in_an_image(
    build: Callable[[Builder], Handle], message: str
) -> None:
    g = Builder((1, 8, 8))
    x = build(g)
    network = compile(g.build(x if x is g.input else g.linear(x, 2))).eval()
    with pytest.raises(InputError, match=message):
        window_scores(network, torch.randn(1, 14, 14))


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((1, 7, 9), {}, r"image \(1, 7, 9\) has no windows \(1, 8, 8\)"),
        ((3, 9, 9), {}, "has no windows"),
        ((9, 9), {}, r"image: must be \[C, H, W\], got \[9, 9\]"),
        ((1, 9, 9), {"scales": [1, 0.5]}, r"image \(1, 4, 4\) has no windows"),
        ((1, 9, 9), {"scales": [-1]}, r"scales: must be numbers above 0, got \[-1\]"),
        ((1, 9, 9), {"background": 2}, "background: must be from 0 to 1, got 2"),
        ((1, 9, 9), {"stride": 0}, "stride: must be a whole number >= 1, got 0"),
    ],
)
def test_wrong_images_and_options(shape: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        nas.sliding_windows(frames(), torch.zeros(shape), **options)
    with pytest.raises(InputError, match="eval mode"):
        nas.sliding_windows(frames().train(), torch.zeros(1, 9, 9))
