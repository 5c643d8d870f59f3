"""Detection: a network finds boxes around the objects in an image, and their classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from nas.configuration import Named, validate_options
from nas.errors import InputError, at
from nas.heads import BOX_HEADS
from nas.heads.boxes import Level, detector, grid_of
from nas.metrics import Metric
from nas.tasks.base import Joint, Json
from nas.tasks.coco import average_precision

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from nas.architecture.graph import Architecture
    from nas.architecture.operations.boxes import Coder
    from nas.tasks.pictures import Pictures

# torch is imported in the methods that need it, so that reading a campaign does not load it.

_CANDIDATES = 300
"""How many true boxes are tried as the commonest ones."""
_IMAGES = 32
"""The objects of so many images are assigned to positions at a time."""
_SHOWN = 0.3
"""Boxes of a smaller probability are not drawn."""

Overlap = Annotated[float, Field(gt=0, le=1)]


class Detection(Joint):
    """A network returns boxes and a logit per class for each anchor, [P, 4 + classes].

    A head on a backbone makes them. The loss is the focal loss of the logits plus 1 - GIoU of the
    boxes that have an object, both summed and divided by the number of these; the primary metric is
    COCO's average precision, AP.

    Args:
        head: a head of :data:`nas.heads.BOX_HEADS`, with its options.
        strides: the strides of the maps on which the head looks for objects.
        anchors: the width and height of each anchor in pixels. The smallest ones belong to the
            smallest stride, and each stride has the same number. If None, the detector is free of
            anchors as FCOS: a position finds the distances of the sides.
        nms: the overlap from which on the less probable of two boxes of a class is left out.
    """

    metrics = (
        Metric(
            name="ap", direction="maximize", unit="fraction", words="AP", title="AP",
            meaning="COCO's average precision, mean over overlaps from 0.5 to 0.95 and classes",
        ),
        Metric(
            name="loss", direction="minimize",
            meaning="focal loss and 1 - GIoU per position that has an object",
        ),
        Metric(
            name="ap50", direction="maximize", unit="fraction", words="AP50", title="AP50",
            meaning="average precision at an overlap of 0.5, mean over classes",
        ),
    )  # fmt: skip
    labels = "boxes"
    placed = True
    output = "boxes"

    def __init__(
        self,
        *,
        head: Named | str = "towers",
        strides: tuple[PositiveInt, ...] = (8, 16),
        anchors: tuple[tuple[PositiveFloat, PositiveFloat], ...] | None = None,
        nms: Overlap = 0.5,
    ) -> None:
        self._head = head if isinstance(head, Named) else Named(name=head)
        with at("head"):
            self._options = validate_options(BOX_HEADS[self._head.name], self._head.options)
        if not strides or len(set(strides)) < len(strides):
            raise InputError(f"must be different strides, got {list(strides)}", "strides")
        if anchors is not None and (not anchors or len(anchors) % len(strides)):
            raise InputError(
                f"must be a multiple of the {len(strides)} strides, got {len(anchors)}", "anchors"
            )
        self._levels = _levels(sorted(strides), anchors)
        self._coder: Coder = "distances" if anchors is None else "centres"
        self.nms = self._nms = nms

    def output_shape(self, input_shape: tuple[int, ...], classes: int) -> tuple[int, ...]:
        """Returns (P, 4 + classes), where P is the number of anchors on all maps."""
        if len(input_shape) != 3:
            raise InputError(f"boxes are found in images, the data set has {input_shape}")
        positions = 0
        for stride, sizes in self._levels:
            height, width = grid_of(input_shape[1:], stride)
            positions += height * width * len(sizes)
        return positions, 4 + classes

    def outputs(self, input_shape: tuple[int, ...], classes: int) -> int:
        """Returns the number of classes; the last layer of a backbone is left out."""
        return classes

    def network(self, backbone: Architecture, outputs: int) -> Architecture:
        """Returns the backbone with the task's head instead of its own."""
        return detector(
            backbone, self._head.name, outputs, self._levels, self._options, self._coder
        )

    def start(
        self, architecture: Architecture, labels: NDArray[Any]
    ) -> Mapping[str, Callable[[nn.Module], None]]:
        """Draws the last layers with a standard deviation of 0.01.

        So scores begin near their prior probability, and boxes near their anchors (Lin et al. 2017,
        RetinaNet, arXiv:1708.02002, section 4.1).
        """
        nodes = architecture.nodes
        last = {node.inputs[0] for node in nodes if node.operation.kind == "boxes"}
        layers = [node for node in nodes if node.name in last and node.operation.kind == "conv"]
        return {node.owner: _draw for node in layers}

    def loss(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """Returns the loss of outputs [N, P, 4 + classes] per position that has an object."""
        total, positions = self._sums(outputs, targets)
        return total / positions.clamp(min=1)

    def predictions(self, outputs: Tensor) -> Tensor:
        """Returns boxes and a probability per class, the sigmoid of its logit: [N, P, 4 + C]."""
        import torch

        outputs = outputs.float()
        return torch.cat([outputs[..., :4], outputs[..., 4:].sigmoid()], -1)

    def evaluate(self, predictions: Tensor, targets: Tensor) -> Json:
        """Evaluates boxes and probabilities [N, P, 4 + classes] against true boxes [N, M, 5].

        Returns:
            - ``ap``, ``ap50``: COCO's AP and AP50 of the boxes after non-maximum suppression.
            - ``loss``: the mean loss.
            - ``coco``: COCO's twelve numbers, -1 if there is no such box.
            - ``per_class``: the AP of each class; None if no image has it.
            - ``chance``: the metrics of finding the same boxes in every image, those that are
              right most often.
        """
        import torch

        from nas.boxes import candidates, detected

        classes = predictions.shape[2] - 4
        logits = predictions[..., 4:].logit(eps=1e-7)
        total, positions = self._sums(torch.cat([predictions[..., :4], logits], -1), targets)
        sides = _sides(targets)
        found = detected(candidates(predictions[..., :4], predictions[..., 4:], sides), self._nms)
        truth = _present(targets)
        measured, by_class = average_precision(found, truth, classes, ("", "s", "m", "l"))
        same, _ = average_precision([_commonest(truth, self._nms)] * len(truth), truth, classes)
        return {
            "ap": max(measured["AP"], 0.0),
            "loss": total.item() / max(positions.item(), 1),
            "ap50": max(measured["AP50"], 0.0),
            "coco": measured,
            "per_class": by_class,
            "chance": {"ap": max(same["AP"], 0.0), "ap50": max(same["AP50"], 0.0)},
        }

    def pictures(
        self, images: NDArray[np.uint8], predictions: Tensor, targets: Tensor, names: Sequence[str]
    ) -> Sequence[Pictures]:
        """Returns images with their true boxes and those that are found."""
        from nas.boxes import candidates, detected
        from nas.tasks.pictures import ROWS, with_boxes

        some = predictions[:ROWS]
        sides = _sides(targets)
        found = detected(candidates(some[..., :4], some[..., 4:], sides), self._nms)
        rows = zip(images[:ROWS], _present(targets[:ROWS]), found, strict=True)
        return [
            {
                "truth": with_boxes(image, truth[:, :4], truth[:, 4], names),
                "prediction": with_boxes(
                    image, *((seen := boxes[boxes[:, 4] >= _SHOWN])[:, :4], seen[:, 5]), names
                ),
            }
            for image, truth, boxes in rows
        ]

    def _sums(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the sum of the losses, and the number of positions that have an object."""
        import torch

        from nas.boxes import BETWEEN, focal_loss, generalized_overlaps

        chosen = self._assigned(outputs, targets)
        has_object = chosen >= 0
        matched = targets.gather(1, chosen.clamp(min=0)[..., None].expand(-1, -1, 5))
        classes = torch.arange(outputs.shape[2] - 4, device=outputs.device)
        right = (matched[..., 4:] == classes) & has_object[..., None]
        scored = (chosen != BETWEEN)[..., None]
        focal = (focal_loss(outputs[..., 4:], right.to(outputs.dtype)) * scored).sum()
        overlap = generalized_overlaps(outputs[..., :4], matched[..., :4])
        return focal + ((1 - overlap) * has_object).sum(), has_object.sum()

    def _assigned(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Returns the index of the true box of each position, [N, P], or a negative number."""
        import torch

        from nas.boxes import by_overlap, by_place

        anchors, strides = self._grid(outputs, targets)
        assigned = []
        for part in torch.split(targets, _IMAGES):
            boxes, present = part[..., :4], part[..., 4] >= 0
            assigned.append(
                by_place(boxes, present, anchors, strides)
                if self._coder == "distances"
                else by_overlap(boxes, present, anchors)
            )
        return torch.cat(assigned)

    def _grid(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the anchors of all positions, [P, 4], and the stride of each, [P].

        They are computed on the device, so that no step waits for the size of the images.
        """
        import torch

        width, height = targets[0, -1, 2], targets[0, -1, 3]
        place = torch.arange(outputs.shape[1], device=outputs.device)
        found = outputs.new_zeros(outputs.shape[1], 5)
        start = torch.zeros((), device=outputs.device)
        for stride, sizes in self._levels:
            columns, rows = (width / stride).ceil(), (height / stride).ceil()
            inner = place - start
            position = inner // len(sizes)
            centre = torch.stack([position % columns, position // columns], 1) * stride + stride / 2
            half = outputs.new_tensor(sizes)[(inner % len(sizes)).long()] / 2
            level = torch.cat(
                [centre - half, centre + half, torch.full_like(half[:, :1], stride)], 1
            )
            found = torch.where((inner >= 0)[:, None], level, found)
            start = start + columns * rows * len(sizes)
        return found[:, :4], found[:, 4]


def _sides(targets: Tensor) -> tuple[int, int]:
    """Returns the height and width of the images, which the last row of targets holds."""
    width, height = targets[0, -1, 2:4].int().tolist()
    return height, width


def _draw(layer: nn.Module) -> None:
    from torch.nn import init

    for name, parameter in layer.named_parameters():
        init.normal_(parameter, std=0.01 if name == "weight" else 0.0)


def _levels(
    strides: Sequence[int], anchors: Sequence[tuple[float, float]] | None
) -> tuple[Level, ...]:
    """Divides anchors among strides; without any, each stride has a square of its size."""
    if anchors is None:
        return tuple((stride, ((stride, stride),)) for stride in strides)
    ordered = sorted(anchors, key=lambda size: size[0] * size[1])
    each = len(ordered) // len(strides)
    parts = [ordered[place * each : (place + 1) * each] for place in range(len(strides))]
    return tuple(zip(strides, map(tuple, parts), strict=True))


def _present(targets: Tensor) -> list[NDArray[np.floating]]:
    """Returns the true boxes of each image and their classes, [m, 5]."""
    return [each[each[:, 4] >= 0].numpy() for each in targets.double().cpu()]


def _commonest(truth: Sequence[NDArray[np.floating]], nms: float) -> NDArray[np.floating]:
    """Returns the true boxes that would be right most often if they were found in every image."""
    import torch

    from nas.boxes import detected, overlaps

    every = torch.from_numpy(np.concatenate(truth))
    some = every[torch.linspace(0, len(every) - 1, min(len(every), _CANDIDATES)).long()]
    alike = overlaps(some[:, None, :4], every[:, :4]) >= 0.5
    score = (alike & (some[:, None, 4] == every[:, 4])).sum(1, keepdim=True) / len(truth)
    return detected(torch.cat([some[:, :4], score, some[:, 4:]], 1)[None], nms)[0]
