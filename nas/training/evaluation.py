"""What a trained network is worth: metrics of its predictions, made as the classics made them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from nas.metrics import Metric, Protocol
from nas.tasks.base import Json, Task
from nas.training.batches import batches
from nas.training.data import Part, SearchData
from nas.training.loop import evaluation_bounds, normalizer

View = Callable[[Tensor], Tensor]
"""From images to the images that the network sees instead, of the same shape."""

SCALES = (1.0, 1.125)


def evaluate(
    networks: Sequence[nn.Module],
    parts: Mapping[str, Part],
    data: SearchData,
    task: Task,
    protocol: Protocol = "single",
    metrics: Sequence[Metric] = (),
) -> dict[str, Json]:
    """What a network, or several by their average prediction, is worth on each part.

    Args:
        networks: one, or the members of an ensemble.
        parts: of the data set, by name.
        data: what the networks were trained on.
        task: what they were trained for.
        protocol: what they see of each image.
        metrics: of the user, measured beside the task's; each has a function.

    Returns by part what :meth:`nas.tasks.base.Task.evaluate` says, and the further metrics.
    """
    found = {}
    for name, part in parts.items():
        members = [predictions(network, part, data, task, protocol) for network in networks]
        joint = task.average(members)
        targets = task.targets(torch.tensor(part.labels), data.classes)
        own = {each.name: each.measure(joint, targets) for each in metrics}
        found[name] = {**task.evaluate(joint, targets), **own}
    return found


def evaluations(
    networks: Sequence[nn.Module],
    parts: Mapping[str, Part],
    data: SearchData,
    task: Task,
    protocol: Protocol = "single",
    metrics: Sequence[Metric] = (),
) -> dict[str, dict[str, Json]]:
    """For the records of campaigns: :func:`evaluate` by single views and by the protocol.

    Returns what the task finds worth recording, by part, by protocol.
    """
    return {
        each: {
            name: task.concise(found)
            for name, found in evaluate(networks, parts, data, task, each, metrics).items()
        }
        for each in dict.fromkeys(("single", protocol))
    }


@torch.inference_mode()
def predictions(
    network: nn.Module, part: Part, data: SearchData, task: Task, protocol: Protocol = "single"
) -> Tensor:
    """The network's predictions of a part, on the CPU, averaged over the protocol's views.

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
        seen = [task.predictions(network(normalize(view(images)))) for view in VIEWS[protocol]]
        averages.append(task.average(seen).cpu())
    return torch.cat(averages)


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
