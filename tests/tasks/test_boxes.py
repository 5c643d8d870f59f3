"""Boxes are computed as torchvision does, and detections are measured as pycocotools does."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from nas.architecture.builder import Builder
from nas.architecture.network import compile
from nas.boxes import (
    anchor_sizes,
    anchors,
    encoded,
    focal_loss,
    generalized_overlaps,
    overlaps,
    suppressed,
)
from nas.tasks.coco import average_precision


@pytest.fixture(scope="module")
def reference(shared_data: Path) -> dict[str, Tensor]:
    with np.load(shared_data / "tasks" / "torchvision_box_ops_reference.npz") as held:
        return {name: torch.from_numpy(values) for name, values in held.items()}


def test_overlaps_and_losses_are_torchvisions(reference: dict[str, Tensor]) -> None:
    a, b = reference["a"], reference["b"]
    assert overlaps(a[:, None], b).allclose(reference["iou"], atol=1e-6)
    assert generalized_overlaps(a[:, None], b).allclose(reference["giou"], atol=1e-6)
    assert (1 - generalized_overlaps(a[:30], b)).allclose(reference["giou_loss"], atol=1e-6)
    found = focal_loss(reference["focal_x"], reference["focal_t"])
    assert found.allclose(reference["focal"], atol=1e-6)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_suppression_is_torchvisions(reference: dict[str, Tensor], threshold: float) -> None:
    boxes, scores = reference["a"], reference["scores"]
    one = torch.zeros(len(boxes), dtype=torch.int64)
    removed = suppressed(boxes, scores, one, threshold)
    order = scores.argsort(descending=True)
    assert order[~removed[order]].equal(reference[f"nms_{threshold}"])
    # Boxes of other classes are left, and images are separate.
    classes = torch.arange(len(boxes)) % 2
    both = torch.stack([boxes, boxes]), torch.stack([scores, scores])
    found = suppressed(*both, torch.stack([classes, one]), threshold)
    assert found[1].equal(removed)
    for each in (0, 1):
        part = classes == each
        alone = suppressed(boxes[part], scores[part], classes[part], threshold)
        assert found[0][part].equal(alone)


def test_coding_is_torchvisions(reference: dict[str, Tensor]) -> None:
    """With its weights for R-CNN; the operation of the graph decodes what is encoded."""
    boxes, around = reference["a"][:30], reference["b"]
    codes = encoded(boxes, around)
    weights = torch.tensor([10.0, 10.0, 5.0, 5.0])
    assert (codes * weights).allclose(reference["encoded"], atol=1e-5)
    for box, code, anchor in zip(reference["decoded"], codes, around, strict=True):
        size = (anchor[2:] - anchor[:2]).tolist()
        g = Builder((5, 1, 1))
        network = compile(g.build(g.boxes(g.input, 2, [size])))
        found = network(torch.cat([code, torch.zeros(1)]).view(1, 5, 1, 1))[0, 0]
        moved = (anchor[:2] + anchor[2:]) / 2 - 1  # the operation's anchor is around (1, 1)
        assert (found[:4] + moved.repeat(2)).allclose(box, atol=1e-4)


def test_anchors_are_torchvisions(reference: dict[str, Tensor]) -> None:
    """Sizes 8 and 16 in three shapes on a map of stride 8, and 32 on one of stride 16."""

    def rounded(size: int, ratio: float) -> tuple[float, float]:
        return 2 * round(size * ratio**-0.5 / 2), 2 * round(size * ratio**0.5 / 2)

    sizes = [rounded(size, ratio) for ratio in (0.5, 1, 2) for size in (8, 16)]
    found = [
        anchors((8, 8), (8, 8), sizes, offset=0),
        anchors((4, 4), (16, 16), [(32, 32)], offset=0),
    ]
    assert torch.cat(found).equal(reference["anchors_8_4"])


@pytest.mark.parametrize("coder", ["centres", "distances"])
def test_a_map_of_zeros_decodes_to_the_anchors(coder: str) -> None:
    g = Builder((14, 3, 5))
    sizes = [(4, 6), (8, 2)]
    network = compile(g.build(g.boxes(g.input, (8, 4), sizes, coder)))  # type: ignore[arg-type]
    found = network(torch.zeros(2, 14, 3, 5))
    assert found.shape == (2, 30, 7)
    assert found[1, :, :4].equal(anchors((3, 5), (8, 4), sizes))
    assert found[..., 4:].sigmoid().allclose(torch.tensor(0.01))


def test_anchors_by_k_means() -> None:
    """Three clusters, far apart, are found from any start, and their medians are the anchors."""
    rng = np.random.default_rng(0)
    centres = np.array([[10, 40], [50, 50], [200, 20]])
    sizes = np.concatenate([centre + rng.integers(-2, 3, (31, 2)) for centre in centres])
    medians = [tuple(np.median(part, axis=0).round().tolist()) for part in np.split(sizes, 3)]
    found = [anchor_sizes(sizes, 3, seed) for seed in range(4)]
    assert any(sorted(each) == sorted(medians) for each in found)
    with pytest.raises(ValueError, match="1 different sizes are too few for 2 anchors"):
        anchor_sizes(np.full((5, 2), 3.0), 2)


def test_detections_are_measured_as_pycocotools_does(shared_data: Path) -> None:
    folder = shared_data / "tasks"
    given = json.loads((folder / "coco_map_reference_bccd.json").read_text())
    names, images = given["categories"], given["images"]
    truth: list[list[list[float]]] = [[] for _ in images]
    with (folder / "bccd_detection_boxes.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["image"] in images:
                corners = [float(row[key]) for key in ("xmin", "ymin", "xmax", "ymax")]
                truth[images.index(row["image"])].append([*corners, names.index(row["label"])])
    found: list[list[list[float]]] = [[] for _ in images]
    for each in given["detections"]:
        x, y, width, height = each["bbox"]
        found[each["image_id"]].append(
            [x, y, x + width, y + height, each["score"], each["category_id"] - 1]
        )
    measured, by_class = average_precision(
        [np.array(each).reshape(-1, 6) for each in found],
        [np.array(each).reshape(-1, 5) for each in truth],
        len(names),
        ("", "s", "m", "l"),
    )
    assert measured == pytest.approx(given["stats"], abs=1e-12)
    assert dict(zip(names, by_class, strict=True)) == pytest.approx(given["AP_by_class"])


def test_detections_in_closed_form() -> None:
    """Of two true boxes one is found, after a wrong one: precision 1/2 up to a recall of 1/2."""
    truth = [np.array([[0, 0, 10, 10, 0], [20, 20, 30, 30, 0]], float), np.empty((0, 5))]
    found = [np.array([[0, 0, 10, 8, 0.5, 0]], float), np.array([[0, 0, 9, 9, 0.9, 0]], float)]
    measured, by_class = average_precision(found, truth, 2)
    assert measured["AP50"] == pytest.approx(51 / 101 / 2)
    assert measured["AP"] == pytest.approx(51 / 101 / 2 * 7 / 10)  # the overlap is 0.8
    assert measured["AR100"] == pytest.approx(0.5 * 7 / 10)
    assert by_class[1] is None
    nothing, _ = average_precision([np.empty((0, 6))] * 2, truth, 2)
    assert nothing["AP"] == nothing["AR1"] == 0.0
    empty, _ = average_precision(found, [np.empty((0, 5))] * 2, 2)
    assert set(empty.values()) == {-1.0}
