"""Finds things in large images by a classifier of windows, which slides over them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from nas.architecture.graph import Architecture
from nas.architecture.network import Network, compile
from nas.architecture.operations import ArchitectureError
from nas.architecture.receptive_field import fields
from nas.architecture.surgery import convolutional_weights, convolutionalize
from nas.boxes import anchors, likely
from nas.errors import InputError


def sliding_windows(
    network: Network,
    image: Tensor,
    *,
    scales: Sequence[float] = (1.0,),
    background: int | None = None,
    stride: int | None = None,
    nms: float = 0.5,
) -> NDArray[np.floating]:
    """Returns the objects in an image, by a classifier of windows: [n, 6], the best first.

    Each row has x and y of two corners in pixels of the image, a probability and a class. A box is
    a window, divided by its scale. The 300 most probable ones go through non-maximum suppression
    for each class, and those of a probability below 0.05 are left out.

    Sermanet et al. 2014 (OverFeat, arXiv:1312.6229). Deviations: boxes are not regressed, so they
    have the shape of the window (section 4); suppression replaces their merging (section 4.3); the
    last pooling has no offsets (section 3.3), so windows are as far apart as the classifier's
    strides say, or as ``stride`` says.

    Args:
        network: a classifier, in eval mode.
        image: normalised as the images that the classifier was trained on, [C, H, W].
        scales: factors by which the image is resized, bilinearly; at 0.5, a window covers twice as
            many pixels of the image on each side.
        background: the class of windows without an object, which is left out.
        stride: see :func:`window_scores`.
        nms: the overlap from which on the less probable of two boxes of a class is left out.

    Raises:
        InputError: if the image or an option does not fit the network, and as
            :func:`window_scores`.
    """
    if image.ndim != 3:
        raise InputError(f"image: must be [C, H, W], got {list(image.shape)}")
    if not scales or not all(0 < scale < float("inf") for scale in scales):
        raise InputError(f"scales: must be numbers above 0, got {list(scales)}")
    _, *sides = image.shape
    _, height, width = network.architecture.input_shape
    corner = torch.tensor([width, height, width, height]) / 2
    found = []
    for scale in scales:
        size = [max(1, round(scale * side)) for side in sides]
        resized = interpolate(image[None], size, mode="bilinear", antialias=True)[0]
        scores, steps = window_scores(network, resized, stride)
        if background is not None and not 0 <= background < len(scores):
            raise InputError(f"background: must be from 0 to {len(scores) - 1}, got {background!r}")
        probabilities = scores.softmax(0).flatten(1).T.cpu()
        if background is not None:
            probabilities[:, background] = 0
        _, rows, columns = scores.shape
        boxes = anchors((rows, columns), steps, [(width, height)], offset=0) + corner
        ratio = torch.tensor([full / now for full, now in zip(sides, size, strict=True)])
        found.append(torch.cat([boxes * ratio.flip(0).repeat(2), probabilities], 1))
    return likely(torch.cat(found), (sides[0], sides[1]), nms)


@torch.inference_mode()
def window_scores(
    network: Network, image: Tensor, stride: int | None = None
) -> tuple[Tensor, tuple[int, int]]:
    """Returns the scores of a classifier for each window of an image, [classes, rows, columns].

    They are those that it gives for each window by itself, to the rounding. Without ``stride``, all
    windows are computed at once by :func:`~nas.architecture.surgery.convolutionalize`, and the
    second result says how many pixels rows and columns are apart. This needs a classifier that sees
    the same in a window and in an image: none of its nodes pads a map, so that it would see zeros
    around a window but pixels in the image, and none reads all positions of a map, except for
    pooling before the classifier. With ``stride``, any classifier is run on one window after the
    other, which are this many pixels apart.

    Raises:
        InputError: if the network is no classifier of images in eval mode, if the image is smaller
            than a window or has other channels, or if there is no ``stride`` and the classifier
            sees other things in an image; it names the node.
    """
    architecture = network.architecture.inference()
    if len(architecture.input_shape) != 3 or len(architecture.output_shape) != 1:
        raise InputError("sliding windows need a classifier of images [C, H, W]")
    if network.training:
        raise InputError("sliding windows need a network in eval mode; call its eval() first")
    channels, height, width = architecture.input_shape
    fits = image.ndim == 3 and image.shape[1] >= height and image.shape[2] >= width
    if not fits or len(image) != channels:
        raise InputError(
            f"an image {tuple(image.shape)} has no windows {architecture.input_shape}: it needs as "
            "many channels, and sides at least as long"
        )
    if stride is not None:
        if type(stride) is not int or stride < 1:
            raise InputError(f"stride: must be a whole number >= 1, got {stride!r}")
        windows = image.unfold(1, height, stride).unfold(2, width, stride)
        scores = torch.stack([network(row.transpose(0, 1)) for row in windows.unbind(1)])
        return scores.permute(2, 0, 1), (stride, stride)
    large = convolutionalize(architecture, tuple(image.shape))
    steps = _steps(convolutionalize(architecture), large)
    with torch.device("meta"):
        sliding = compile(large)
    sliding.load_state_dict(convolutional_weights(large, network.state_dict()), assign=True)
    scores = sliding.eval()(image[None])[0]
    # A classifier that leaves out the last pixels of a window has a position for one window more,
    # which ends behind the image.
    rows, columns = (image.shape[1] - height) // steps[0], (image.shape[2] - width) // steps[1]
    return scores[:, : rows + 1, : columns + 1], steps


def _steps(small: Architecture, large: Architecture) -> tuple[int, int]:
    """Returns the stride of a sliding classifier on each axis.

    Args:
        small: the classifier as convolution, on one window.
        large: the same on an image.

    Raises:
        ArchitectureError: naming the first node of which a position may be another on an image.
    """
    before, after = fields(small), fields(large)
    steps = [field.stride for field in after[large.outputs[0]]]
    for node in small.nodes:
        output = small.shapes[node.name]
        outside = any(
            reach is not None
            and reach.axis > 0
            and (reach.first <= -1 or (n - 1) * reach.stride + reach.last >= source[reach.axis])
            for source in (small.shapes[name] for name in node.inputs)
            for n, reach in zip(output, node.operation.reach(source, output), strict=True)
        )
        views = zip(steps, before[node.name], after[node.name], strict=True)
        if outside or any(a.stride != b.stride or s % 1 or s % b.stride for s, a, b in views):
            raise ArchitectureError(
                f"node {node.name!r} sees other things in an image than in a window by itself: it "
                "pads its map, or does not move with the window; give a stride, and windows are "
                "classified one after the other"
            )
    return int(steps[0]), int(steps[1])
