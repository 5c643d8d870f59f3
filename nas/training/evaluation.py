"""Evaluates trained networks by metrics of their predictions, with several views per image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from nas.metrics import Metric, Protocol
from nas.preprocessing import Preprocessing
from nas.tasks.base import Json, Task
from nas.tasks.mistakes import packed
from nas.training.batches import batches, evaluation_bounds
from nas.training.data import Part, SearchData
from nas.training.loop import normalizer

View = Callable[[Tensor], Tensor]
"""A function that turns images into a view of them, with the same shape."""

SCALES = (1.0, 1.125)


def evaluate(
    networks: Sequence[nn.Module],
    parts: Mapping[str, Part],
    data: SearchData,
    task: Task,
    protocol: Protocol = "single",
    metrics: Sequence[Metric] = (),
) -> dict[str, Json]:
    """Evaluates a network, or the average prediction of several, on each part.

    Args:
        networks: one network, or the members of an ensemble.
        parts: the parts of the data set, by name.
        data: the data on which the networks were trained.
        task: the task for which they were trained.
        protocol: the views of each image.
        metrics: further metrics of the user; each has a function.

    Returns, by part whose labels are known, the result of :meth:`nas.tasks.base.Task.evaluate` and
    the further metrics; for the test part also ``mistakes``, those of
    :meth:`nas.tasks.base.Task.mistakes`, packed.
    """
    found = {}
    for name, part in parts.items():
        if not part.labelled:
            continue
        members = [predictions(network, part, data, task, protocol) for network in networks]
        joint = task.average(members)
        targets = truth(part, data.classes, task)
        own = {each.name: each.measure(joint, targets) for each in metrics}
        found[name] = {**task.evaluate(joint, targets), **own}
        mistakes = task.mistakes(joint, targets) if name == "test" else None
        if mistakes is not None:
            found[name]["mistakes"] = packed(mistakes.numpy())
    return found


def evaluations(
    networks: Sequence[nn.Module],
    parts: Mapping[str, Part],
    data: SearchData,
    task: Task,
    protocol: Protocol = "single",
    metrics: Sequence[Metric] = (),
) -> dict[str, dict[str, Json]]:
    """Evaluates with single views and with the protocol, for the records of campaigns.

    Returns, by protocol and part, what :meth:`nas.tasks.base.Task.concise` keeps.
    """
    return {
        each: {
            name: task.concise(found)
            for name, found in evaluate(networks, parts, data, task, each, metrics).items()
        }
        for each in dict.fromkeys(("single", protocol))
    }


def preprocessing(data: SearchData, task: Task) -> Preprocessing:
    """Describes how a picture becomes the input of a network that was trained on these data."""
    classifies = task.output in ("probabilities", "tags", "masks", "boxes")
    names = data.names or tuple(map(str, range(data.classes)))
    low, high = data.value_range or (None, None)
    channels = data.input_shape[0] if len(data.input_shape) == 3 and low is None else 0
    return Preprocessing(
        input_shape=data.input_shape,
        colour={1: "grey", 3: "rgb"}.get(channels),  # type: ignore[arg-type]
        fit=data.fit,
        mean=data.mean,
        std=data.std,
        output=task.output,
        classes=names if classifies else None,
        nms=task.nms,
        low=low,
        high=high,
    )


def truth(part: Part, classes: int, task: Task) -> Tensor:
    """Returns the targets of a part, on the CPU."""
    if task.labels != "images":
        return task.targets(torch.tensor(part.labels), classes)
    pairs = batches(part, evaluation_bounds(len(part.labels)), torch.device("cpu"))
    return torch.cat([task.truth(images, labels, classes) for images, labels in pairs])


@torch.inference_mode()
def predictions(
    network: nn.Module,
    part: Part,
    data: SearchData | Preprocessing,
    task: Task,
    protocol: Protocol = "single",
    clean: bool = False,
) -> Tensor:
    """Returns the network's predictions for a part, on the CPU, averaged over the views.

    - ``single``: the image as it is.
    - ``flip``: the image and its mirror image.
    - ``ten_crop``: the four corners and the centre of the image with a border of an eighth of its
      side, and their mirror images (Krizhevsky et al. 2012, section 4.1, who cut from larger
      images and had no border).
    - ``multi_scale``: the image, the centre of the image at 9/8 of its size, and their mirror
      images. All scales are at least 1, as in Szegedy et al. 2015 (arXiv:1409.4842, section 7),
      who used four scales and more windows. Simonyan & Zisserman 2015 (section 4.2) also used a
      smaller scale; this would need a frame here, because an architecture has a fixed input shape.

    Images are normalised as the training images were. The network is left in evaluation mode. It
    sees what the task lets it see, such as noise, unless it is to see ``clean`` images.
    """
    network.eval()
    device = next(network.parameters()).device
    normalize = normalizer(data, device)
    generator = torch.Generator(device).manual_seed(0)
    averages = []
    for images, _ in batches(part, evaluation_bounds(len(part.labels)), device):
        shown = images if clean else task.inputs(images, generator)
        seen = [task.predictions(network(normalize(view(shown)))) for view in VIEWS[protocol]]
        averages.append(task.average(seen).cpu())
    return torch.cat(averages)


def _as_is(images: Tensor) -> Tensor:
    return images


def _mirrored(view: View) -> View:
    return lambda images: view(images).flip(3)


def _window(down: int, right: int) -> View:
    """Makes a view: a window into the image with a border, moved by 0, 1 or 2 border widths."""

    def view(images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        border = max(1, min(height, width) // 8)
        padded = pad(images, [border] * 4)
        top, left = down * border, right * border
        return padded[:, :, top : top + height, left : left + width]

    return view


def _enlarged(scale: float) -> View:
    """Makes a view: the centre of the image enlarged by ``scale``, which is at least 1."""

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
"""The views of each image, by protocol."""
