"""Computes with boxes: overlap, non-maximum suppression, coding, anchors, and losses.

Boxes are x and y of two corners, in pixels: [..., 4]. torchvision's operators are not needed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

Sizes = Sequence[tuple[float, float]]
"""The width and height of each anchor, in pixels."""


def areas(boxes: Tensor) -> Tensor:
    """Returns the area of each box, 0 if its second corner comes before the first."""
    sides = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0)
    return sides[..., 0] * sides[..., 1]


def overlaps(a: Tensor, b: Tensor) -> Tensor:
    """Returns the intersection over union, IoU, of boxes whose leading axes broadcast."""
    both = _intersection(a, b)
    return both / (areas(a) + areas(b) - both).clamp(min=1e-9)


def generalized_overlaps(a: Tensor, b: Tensor) -> Tensor:
    """Returns the generalized IoU (Rezatofighi et al. 2019, arXiv:1902.09630, algorithm 1)."""
    both = _intersection(a, b)
    union = (areas(a) + areas(b) - both).clamp(min=1e-9)
    corners = torch.minimum(a[..., :2], b[..., :2]), torch.maximum(a[..., 2:], b[..., 2:])
    hull = areas(torch.cat(corners, -1)).clamp(min=1e-9)
    return both / union - (hull - union) / hull


def _intersection(a: Tensor, b: Tensor) -> Tensor:
    corners = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    return areas(torch.cat(corners, -1))


def suppressed(boxes: Tensor, scores: Tensor, classes: Tensor, threshold: float) -> Tensor:
    """Says which boxes non-maximum suppression, NMS, removes: [..., n] of bool.

    Greedily, the box with the best score is kept, and the others of its class that overlap it by
    more than ``threshold`` are removed. All images are computed at once, as the only solution of "a
    box is removed if a better one that is kept overlaps it" (Zheng et al. 2021, arXiv:2005.03572,
    section 3.4). The leading axes are separate images.
    """
    order = scores.argsort(dim=-1, descending=True, stable=True)
    sorted_boxes = boxes.gather(-2, order[..., None].expand_as(boxes))
    kinds = classes.gather(-1, order)
    over = overlaps(sorted_boxes[..., :, None, :], sorted_boxes[..., None, :, :]) > threshold
    over &= kinds[..., :, None] == kinds[..., None, :]
    over = over.triu(1)
    removed = torch.zeros_like(kinds, dtype=torch.bool)
    while True:
        again = (over & ~removed[..., :, None]).any(-2)
        if again.equal(removed):
            return torch.empty_like(removed).scatter_(-1, order, removed)
        removed = again


def encoded(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Returns boxes relative to anchors: Girshick et al. 2014 (R-CNN), appendix C."""
    (x, y, w, h), (ax, ay, aw, ah) = _centred(boxes), _centred(anchors)
    return torch.stack([(x - ax) / aw, (y - ay) / ah, (w / aw).log(), (h / ah).log()], -1)


def _centred(boxes: Tensor) -> tuple[Tensor, ...]:
    sides = boxes[..., 2:] - boxes[..., :2]
    return (*(boxes[..., :2] + sides / 2).unbind(-1), *sides.unbind(-1))


def anchors(
    grid: tuple[int, int], stride: tuple[float, float], sizes: Sizes, offset: float = 0.5
) -> Tensor:
    """Returns the anchors of a map, [H * W * len(sizes), 4], in the order of its positions.

    Args:
        grid: height and width of the map.
        stride: the pixels from one row, and from one column, to the next.
        sizes: the width and height of each anchor at a position.
        offset: where the centre of the first anchor is, in strides; 0 in torchvision.
    """
    y, x = ((torch.arange(n) + offset) * step for n, step in zip(grid, stride, strict=True))
    centres = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).view(-1, 1, 2)
    halves = torch.tensor(sizes, dtype=torch.float32) / 2
    return torch.cat([centres - halves, centres + halves], -1).view(-1, 4)


def anchor_sizes(sizes: NDArray[np.floating], count: int, seed: int = 0) -> list[tuple[int, int]]:
    """Chooses widths and heights of anchors for boxes of these sizes [n, 2], the smallest first.

    Redmon & Farhadi 2017 (YOLO9000, arXiv:1612.08242, section 2): k-means with the distance
    1 - IoU of boxes with one centre. Deviation: clusters are updated by their medians.

    Raises :class:`ValueError` if there are fewer different sizes.
    """
    different = np.unique(sizes, axis=0)
    if len(different) < count:
        raise ValueError(f"{len(different)} different sizes are too few for {count} anchors")
    rng = np.random.default_rng(seed)
    found = rng.choice(different, count, replace=False)
    chosen = np.full(len(sizes), -1)
    while True:
        both = np.minimum(sizes[:, None], found).prod(-1)
        union = sizes.prod(-1)[:, None] + found.prod(-1) - both
        nearest = (both / union).argmax(1)
        if np.array_equal(nearest, chosen):
            break
        chosen = nearest
        for each in set(chosen.tolist()):
            found[each] = np.median(sizes[chosen == each], axis=0)
    ordered = sorted(found.tolist(), key=lambda size: size[0] * size[1])
    return [(max(1, round(width)), max(1, round(height))) for width, height in ordered]


def focal_loss(logits: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Returns the focal loss of each logit (Lin et al. 2017, arXiv:1708.02002, equation 5)."""
    entropy = binary_cross_entropy_with_logits(logits, targets, reduction="none")
    wrong = torch.lerp(logits.sigmoid(), 1 - logits.sigmoid(), targets)
    return (
        torch.lerp(torch.full_like(targets, 1 - alpha), torch.full_like(targets, alpha), targets)
        * wrong**gamma
        * entropy
    )


NEGATIVE, BETWEEN = -1, -2
"""What :func:`by_overlap` and :func:`by_place` return for positions without a true box, and for
those that are too near to one to count as wrong."""


def by_overlap(
    truth: Tensor, present: Tensor, anchors: Tensor, low: float = 0.4, high: float = 0.5
) -> Tensor:
    """Assigns a true box to each anchor, [N, P]: its index, or :data:`NEGATIVE` or `BETWEEN`.

    Lin et al. 2017 (RetinaNet, arXiv:1708.02002, section 4), as in torchvision: the box that
    overlaps it most, if by ``high`` or more; none below ``low``. Each box also gets the anchors
    that overlap it most.

    Args:
        truth: true boxes, [N, M, 4].
        present: which of them exist, [N, M].
        anchors: [P, 4].
        low: below this IoU, an anchor belongs to no box.
        high: from this IoU on, it belongs to the box.
    """
    found = overlaps(anchors[:, None], truth[:, None]) * present[:, None]  # [N, P, M]
    best, index = found.max(2)
    chosen = torch.where(best >= high, index, torch.where(best < low, NEGATIVE, BETWEEN))
    mine = (found == found.amax(1, keepdim=True)) & (found > 0)
    return torch.where(mine.any(2), index, chosen)


def by_place(
    truth: Tensor, present: Tensor, anchors: Tensor, strides: Tensor, radius: float = 1.5
) -> Tensor:
    """Assigns a true box to each position, [N, P]: its index, or :data:`NEGATIVE`.

    Tian et al. 2019 (FCOS, arXiv:1904.01355, section 3), as in torchvision: the smallest box around
    the position, if its centre is within ``radius`` strides, and its farthest side within 4 to 8
    strides, except that the smallest stride has no lower and the largest no upper bound.

    Args:
        truth: true boxes, [N, M, 4].
        present: which of them exist, [N, M].
        anchors: [P, 4], in whose centres the positions are.
        strides: the stride of each position, [P].
        radius: how far from the centre of a box its positions are, in strides.
    """
    places = (anchors[:, :2] + anchors[:, 2:])[:, None] / 2  # [P, 1, 2]
    boxes = truth[:, None]  # [N, 1, M, 4]
    sides = torch.cat([places - boxes[..., :2], boxes[..., 2:] - places], -1)
    centres = (boxes[..., :2] + boxes[..., 2:]) / 2
    near = (places - centres).abs().amax(-1) < radius * strides[:, None]
    farthest = sides.amax(-1)
    lower = torch.where(strides == strides.min(), 0.0, 4.0 * strides)
    upper = torch.where(strides == strides.max(), torch.inf, 8.0 * strides)
    fits = near & (sides.amin(-1) > 0) & present[:, None]
    fits &= (farthest > lower[:, None]) & (farthest < upper[:, None])
    smallest, index = torch.where(fits, areas(boxes), torch.inf).min(2)
    return torch.where(smallest < torch.inf, index, NEGATIVE)


def candidates(
    boxes: Tensor, probabilities: Tensor, sides: tuple[int, int], most: int = 300
) -> Tensor:
    """Returns the most probable boxes of each image, [N, k, 6]: corners, probability and class.

    Args:
        boxes: [N, P, 4].
        probabilities: of each class, [N, P, C].
        sides: the height and width of the images, to which boxes are cut.
        most: the largest number of boxes.
    """
    positions, classes = probabilities.shape[1:]
    values, places = probabilities.flatten(1).topk(min(most, positions * classes), 1)
    chosen = boxes.gather(1, (places // classes)[..., None].expand(-1, -1, 4))
    height, width = sides
    cut = [chosen[..., axis].clamp(0, end) for axis, end in enumerate((width, height) * 2)]
    return torch.stack([*cut, values, (places % classes).to(values.dtype)], -1)


LEAST = 0.05
"""Boxes of a smaller probability are not told to people."""


def likely(predictions: Tensor, sides: tuple[int, int], nms: float) -> NDArray[np.floating]:
    """Returns the boxes that a network has found in one image, [n, 6], as :func:`detected`.

    Those of a probability below :data:`LEAST` are left out.

    Args:
        predictions: boxes and probabilities, [P, 4 + C].
        sides: the height and width of the image.
        nms: see :func:`detected`.
    """
    found = candidates(predictions[None, :, :4], predictions[None, :, 4:], sides)
    boxes = detected(found, nms)[0]
    return boxes[boxes[:, 4] >= LEAST]


def detected(found: Tensor, nms: float, most: int = 100) -> list[NDArray[np.floating]]:
    """Returns the boxes of each image that non-maximum suppression keeps, the best first, [n, 6].

    Args:
        found: from :func:`candidates`.
        nms: from which overlap on the less probable of two boxes of a class is removed.
        most: the largest number of boxes in an image.
    """
    kept = []
    for part in torch.split(found, 64):
        removed = suppressed(part[..., :4], part[..., 4], part[..., 5], nms)
        for boxes, out in zip(part, removed, strict=True):
            left = boxes[~out]
            order = left[:, 4].argsort(descending=True, stable=True)[:most]
            kept.append(left[order].double().numpy())
    return kept
