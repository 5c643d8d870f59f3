"""Pictures made with a trained network: one in another's style, and what excites a unit most."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nas.architecture.graph import Architecture
from nas.architecture.network import Network, compile, in_training
from nas.architecture.operations import Conv
from nas.architecture.receptive_field import fields
from nas.architecture.taps import taps
from nas.errors import InputError
from nas.jobs import names as named
from nas.jobs.inputs import images_of, preprocessing_of, trained
from nas.preprocessing import Preprocessing
from nas.training.datasets import Pixels
from nas.training.datasets.parts import Role
from nas.training.datasets.pictures import read_picture
from nas.training.loop import normalizer

_BATCH = 64

Maps = Callable[[Tensor], list[Tensor]]
"""Turns normalised images into maps of the network."""


def style(
    name: str,
    content: Path,
    model: Path,
    size: int | None = None,
    weight: float = 1e3,
    steps: int = 100,
) -> Pixels:
    """Returns a picture with the content of one picture and the style of another, uint8 [C, H, W].

    Gatys et al. 2016 (Image style transfer using convolutional neural networks, equation 7). The
    loss of content compares the map that stands last but one of the network's taps, those of style
    the Gram matrices of all taps (:func:`nas.architecture.taps.taps`), with equal weights. It is
    minimised by L-BFGS, as in the paper. Deviations: the picture starts as the content, and both
    losses are means over elements, so that ``weight`` does not depend on the size.

    Args:
        name: a reference to a trained network.
        content: the picture whose content is kept.
        model: the picture whose style is taken.
        size: the side of the result in pixels; by default that of the network's images.
        weight: the weight of style; that of content is 1.
        steps: the number of steps.

    Raises :class:`InputError` if the network was not trained on pictures.
    """
    network, expected = _of_pictures(name)
    channels, *sides = expected.input_shape
    height, width = (size, size) if size is not None else sides
    points = [*taps(network.architecture).values()]
    maps = _maps(network, points, (channels, height, width))
    normalize = normalizer(expected, torch.device("cpu"), torch.contiguous_format)
    start, like = (
        normalize(torch.tensor(read_picture(path, channels, (height, width)))[None])
        for path in (content, model)
    )
    kept, grams = maps(start)[-2:][0], [gram(each) for each in maps(like)]
    made = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([made], max_iter=steps, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        found = maps(made)
        of_style = [(gram(x) - y).square().mean() for x, y in zip(found, grams, strict=True)]
        total: Tensor = (found[-2:][0] - kept).square().mean() + weight * sum(of_style) / len(grams)
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    ones = (-1, 1, 1)
    mean, std = (torch.tensor(each).view(ones) for each in (expected.mean, expected.std))
    pixels: Pixels = (made.detach()[0] * std + mean).round().clamp(0, 255).byte().numpy()
    return pixels


def gram(maps: Tensor) -> Tensor:
    """Returns the products of all pairs of channels, mean over positions, [N, C, C]."""
    x = maps.flatten(2)
    return x @ x.mT / x.shape[2]


class Patch(NamedTuple):
    """The part of an image that a position of a unit sees.

    Attributes:
        place: the place of the image in its data set.
        value: what the unit returns there.
        pixels: the part, uint8 [C, h, w]; outside the image it is black.
    """

    place: str
    value: float
    pixels: Pixels


def patches(
    name: str, node: str, channel: int, part: Role = "validation", count: int = 9
) -> list[Patch]:
    """Returns the patches of different images that excite a unit most, the most exciting first.

    Zeiler & Fergus 2014 (arXiv:1311.2901, section 4.1 and figure 2), without their projection of
    the activations back to pixels. A patch is the receptive field of the position.

    Args:
        name: a reference to a trained network.
        node: a node of the network that returns a map.
        channel: the channel of the map.
        part: the part of the data set of the training.
        count: the number of patches.

    Raises :class:`InputError` if there is no such node or channel.
    """
    network, expected = _of_pictures(name)
    architecture = network.architecture.inference()
    shape = architecture.shapes.get(node, ())
    if len(shape) != len(architecture.input_shape):
        known = [each for each, found in architecture.shapes.items() if len(found) == 3]
        raise InputError(f"{name}: {node} is no node with a map; allowed: {', '.join(known[1:])}")
    if not 0 <= channel < shape[0]:
        raise InputError(f"{name}: {node} has the channels 0 to {shape[0] - 1}, got {channel}")
    maps = _maps(network, [node], expected.input_shape)
    normalize = normalizer(expected, torch.device("cpu"))
    seen = fields(architecture)[node]
    places, images, _ = zip(*images_of(name, named.reference(name), part), strict=True)
    held = torch.from_numpy(np.stack(images))
    with torch.inference_mode():
        batches = (held[first : first + _BATCH] for first in range(0, len(held), _BATCH))
        found = torch.cat([maps(normalize(each))[0][:, channel] for each in batches])
    values, positions = found.flatten(1).max(1)
    best = values.argsort(descending=True, stable=True)[:count].tolist()
    made = []
    for index in best:
        at = divmod(int(positions[index]), shape[2])
        pixels = images[index]
        for axis, (position, field) in enumerate(zip(at, seen, strict=True), start=1):
            first = math.ceil(position * field.stride - field.padding)
            pixels = _cut(pixels, axis, first, field.size)
        made.append(Patch(places[index], values[index].item(), pixels))
    return made


def grid(made: Sequence[Patch]) -> Pixels:
    """Puts patches side by side, [C, H, W], in about as many rows as columns."""
    columns = math.ceil(math.sqrt(len(made)))
    channels, height, width = made[0].pixels.shape
    rows = -(-len(made) // columns)
    whole = np.full((channels, rows * (height + 1) - 1, columns * (width + 1) - 1), 255, np.uint8)
    for number, patch in enumerate(made):
        top, left = (number // columns) * (height + 1), (number % columns) * (width + 1)
        whole[:, top : top + height, left : left + width] = patch.pixels
    return whole


def _cut(pixels: Pixels, axis: int, first: int, size: int) -> Pixels:
    """Returns ``size`` positions of an axis from ``first`` on; those outside are black."""
    before, after = max(-first, 0), max(first + size - pixels.shape[axis], 0)
    around = [(before, after) if each == axis else (0, 0) for each in range(pixels.ndim)]
    start = first + before
    cut: Pixels = np.pad(pixels, around).take(range(start, start + size), axis)
    return cut


def _of_pictures(name: str) -> tuple[Network, Preprocessing]:
    if not named.is_reference(name):
        raise InputError(f"{name}: must name a trained network, as results/NAME:best")
    reference = named.reference(name)
    expected, _ = preprocessing_of(name, reference)
    if expected.colour is None:
        raise InputError(f"{name}: takes {list(expected.input_shape)}, which is no picture")
    architecture = reference.architecture
    first = next((node for node in architecture.nodes if isinstance(node.operation, Conv)), None)
    if first is None or len(architecture.shapes[first.name]) != len(architecture.input_shape):
        raise InputError(f"{name}: does not read an image as it is, and so has no maps of it")
    return trained(name, reference), expected


def _maps(network: Network, names: Sequence[str], input_shape: tuple[int, ...]) -> Maps:
    """Returns what computes the maps of some nodes, in the order of the network, in eval mode."""
    main = network.architecture.inference()
    order = [node.name for node in main.nodes]
    last = max(map(order.index, names))
    end, *others = order[last], *(name for name in names if name != order[last])
    wanted, needed = {end}, []
    for node in reversed(main.nodes[: last + 1]):
        if node.name in wanted:
            wanted |= {*node.inputs}
            needed.append(node)
    body = compile(Architecture(input_shape, needed[::-1], [end, *others]))
    weights = network.state_dict()
    body.load_state_dict({key: weights[key] for key in body.state_dict()})
    run = in_training(body.requires_grad_(False).eval())

    def maps(images: Tensor) -> list[Tensor]:
        found = run(images)
        found = dict(zip([end, *others], found if others else (found,), strict=True))
        return [found[name] for name in names]

    return maps
