"""What a trained network is worth: metrics of its predictions, made as the classics made them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from nas.training.batches import batches
from nas.training.data import Part, SearchData
from nas.training.loop import evaluation_bounds, normalizer
from nas.training.protocols import Protocol

View = Callable[[Tensor], Tensor]
"""From images to the images that the network sees instead, of the same shape."""

CALIBRATION_BINS = 15
SCALES = (1.0, 1.125)
DETAILED = 20
"""Of more classes, records of campaigns hold no accuracy of each and no confusion matrix: of 20,
these are 1.6 kB, and of 100 they would be 32."""


@dataclass(frozen=True)
class Metrics:
    """How good probabilities are.

    Attributes:
        loss: mean cross entropy in nats.
        accuracy: the fraction whose most probable class is right (top-1).
        top5: the fraction with the truth among the five most probable; 1 for up to 5 classes.
        per_class: for each class, the fraction of its images that are right; None without images.
        confusion: rows are true classes, columns predicted ones; counts.
        calibration_error: expected calibration error (Guo et al. 2017, arXiv:1706.04599, eq. 5)
            of the most probable class, in 15 equal bins.
    """

    loss: float
    accuracy: float
    top5: float
    per_class: tuple[float | None, ...]
    confusion: tuple[tuple[int, ...], ...]
    calibration_error: float

    def concise(self) -> dict[str, Any]:
        """As plain JSON, without what tells nothing or is long.

        That is ``top5`` of five classes or fewer, ``per_class`` and ``confusion`` of more than
        :data:`DETAILED`.
        """
        kept = asdict(self)
        classes = len(self.per_class)
        if classes <= 5:
            del kept["top5"]
        if classes > DETAILED:
            del kept["per_class"], kept["confusion"]
            return kept
        return kept | {"per_class": [*self.per_class], "confusion": [*map(list, self.confusion)]}


def evaluate(
    networks: Sequence[nn.Module],
    parts: Mapping[str, Part],
    data: SearchData,
    protocol: Protocol = "single",
) -> dict[str, Metrics]:
    """What a network, or several by the average of their probabilities, is worth on each part."""
    return {
        name: metrics(
            ensemble([probabilities(network, part, data, protocol) for network in networks]),
            torch.tensor(part.labels),
        )
        for name, part in parts.items()
    }


def evaluations(
    networks: Sequence[nn.Module],
    parts: Mapping[str, Part],
    data: SearchData,
    protocol: Protocol = "single",
) -> dict[str, dict[str, Any]]:
    """For the records of campaigns: :func:`evaluate` by single views and by the protocol.

    Returns :meth:`Metrics.concise` by part, by protocol.
    """
    return {
        each: {
            name: found.concise() for name, found in evaluate(networks, parts, data, each).items()
        }
        for each in dict.fromkeys(("single", protocol))
    }


def metrics(probabilities: Tensor, labels: Tensor) -> Metrics:
    """The metrics of probabilities [N, classes] for the true labels [N]."""
    n, classes = probabilities.shape
    confidence, predicted = probabilities.max(1)
    right = predicted == labels
    counts = torch.bincount(labels * classes + predicted, minlength=classes**2)
    confusion = counts.view(classes, classes)
    of_truth = probabilities[torch.arange(n, device=labels.device), labels]
    top5 = probabilities.topk(min(5, classes)).indices.eq(labels[:, None]).any(1)
    bins = (confidence * CALIBRATION_BINS).ceil().long().clamp(1, CALIBRATION_BINS) - 1
    gaps = torch.zeros(CALIBRATION_BINS, dtype=torch.float64, device=labels.device)
    gaps.index_add_(0, bins, right.double() - confidence.double())
    sizes = confusion.sum(1).tolist()
    hits = confusion.diagonal().tolist()
    return Metrics(
        loss=-of_truth.clamp(min=torch.finfo(of_truth.dtype).tiny).log().mean().item(),
        accuracy=right.double().mean().item(),
        top5=top5.double().mean().item(),
        per_class=tuple(h / s if s else None for h, s in zip(hits, sizes, strict=True)),
        confusion=tuple(map(tuple, confusion.tolist())),
        calibration_error=(gaps.abs().sum() / n).item(),
    )


@torch.inference_mode()
def probabilities(
    network: nn.Module, part: Part, data: SearchData, protocol: Protocol = "single"
) -> Tensor:
    """[N, classes], on the CPU: the softmax of the network, averaged over the protocol's views.

    - ``single``: the image as it is.
    - ``flip``: the image and its mirror image.
    - ``ten_crop``: four corners and the centre of the image with a border of an eighth of its
      side, and their mirror images (Krizhevsky et al. 2012, section 4.1; they cut out of larger
      images and had no border).
    - ``multi_scale``: the image, and the centre of the image at 9/8 of its size, with mirror
      images. Larger sizes alone, as Szegedy et al. 2015 (arXiv:1409.4842, section 7), who had four
      of them and more windows. Simonyan & Zisserman 2015 (section 4.2) also had a smaller one,
      which here, where an architecture is bound to its input, would need a frame.

    Images are normalised as the network's training images were; it is left in evaluation mode.
    """
    network.eval()
    device = next(network.parameters()).device
    normalize = normalizer(data, device)
    averages = []
    for images, _ in batches(part, evaluation_bounds(len(part.labels)), device):
        seen = [network(normalize(view(images))).float().softmax(1) for view in VIEWS[protocol]]
        averages.append(torch.stack(seen).mean(0).cpu())
    return torch.cat(averages)


def ensemble(members: Sequence[Tensor]) -> Tensor:
    """The average of the probabilities of several networks."""
    return torch.stack(list(members)).mean(0)


def _as_is(images: Tensor) -> Tensor:
    return images


def _mirrored(view: View) -> View:
    return lambda images: view(images).flip(3)


def _window(down: int, right: int) -> View:
    """A window moved by so many borders (0, 1 or 2) into the image with a border."""

    def view(images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        border = max(1, min(height, width) // 8)
        padded = pad(images, [border] * 4)
        top, left = down * border, right * border
        return padded[:, :, top : top + height, left : left + width]

    return view


def _enlarged(scale: float) -> View:
    """The centre of the image at so many times its size, at least 1."""

    def view(images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        size = (round(height * scale), round(width * scale))
        resized = interpolate(images.float(), size, mode="bilinear")
        top, left = (size[0] - height) // 2, (size[1] - width) // 2
        return resized[:, :, top : top + height, left : left + width]

    return view


def _with_mirrors(views: Sequence[View]) -> tuple[View, ...]:
    return (*views, *map(_mirrored, views))


VIEWS: dict[Protocol, tuple[View, ...]] = {
    "single": (_as_is,),
    "flip": _with_mirrors([_as_is]),
    "ten_crop": _with_mirrors(
        [_window(1, 1), *(_window(down, right) for down in (0, 2) for right in (0, 2))]
    ),
    "multi_scale": _with_mirrors([_enlarged(scale) for scale in SCALES]),
}
"""What the network sees of each image, by protocol."""
