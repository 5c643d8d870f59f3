"""Objects are assigned to positions as torchvision does; boxes move with their images."""

import importlib
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nas.architecture.network import compile
from nas.boxes import BETWEEN, NEGATIVE, anchors, by_overlap, by_place
from nas.classics import classic
from nas.configuration import Named
from nas.errors import InputError
from nas.tasks import make
from nas.tasks.detection import Detection
from nas.training.augmentation import TRANSFORMATIONS
from nas.training.data import Part, SearchData
from nas.training.loop import Trainer
from nas.training.pipeline import MOVES, Pipeline
from nas.training.recipe import check_augment, resolve
from tests.classics.references import torchvision_models


def drawn(images: int = 6, objects: int = 5, side: int = 128) -> torch.Tensor:
    """True boxes of many sizes, [N, M, 5]; one of each image is missing, the last is the image."""
    rng = np.random.default_rng(0)
    sizes = 2 ** rng.uniform(2, 6.5, (images, objects, 2))
    corners = rng.uniform(0, 1, (images, objects, 2)) * (side - sizes)
    classes = rng.integers(0, 3, (images, objects, 1))
    classes[:, 2] = -1
    found = torch.from_numpy(np.concatenate([corners, corners + sizes, classes], 2)).float()
    return torch.cat([found, torch.tensor([0.0, 0.0, side, side, -1.0]).expand(images, 1, 5)], 1)


def test_objects_are_assigned_to_anchors_as_in_torchvision() -> None:
    torchvision_models()
    matcher = importlib.import_module("torchvision.models.detection._utils").Matcher
    overlap = importlib.import_module("torchvision.ops").box_iou
    around = anchors((16, 16), (8, 8), [(8, 8), (24, 12), (32, 40)])
    truth = drawn()
    found = by_overlap(truth[..., :4], truth[..., 4] >= 0, around)
    assert {NEGATIVE, BETWEEN} < set(found.unique().tolist())
    for each, chosen in zip(truth, found, strict=True):
        there = each[each[:, 4] >= 0, :4]
        expected = matcher(0.5, 0.4, allow_low_quality_matches=True)(overlap(there, around))
        places = torch.cumsum(each[:, 4] >= 0, 0) - 1  # numbers among those that exist
        ours = torch.where(chosen >= 0, places[chosen.clamp(min=0)], chosen)
        assert ours.equal(expected)


def test_objects_are_assigned_to_places_as_in_torchvision() -> None:
    torchvision_models()
    fcos = importlib.import_module("torchvision.models.detection.fcos").FCOS
    strides = (8, 16, 32)
    levels = [anchors((128 // s, 128 // s), (s, s), [(s, s)]) for s in strides]
    around = torch.cat(levels)
    truth = drawn()
    found = by_place(
        truth[..., :4],
        truth[..., 4] >= 0,
        around,
        torch.cat(
            [torch.full((len(part),), float(s)) for part, s in zip(levels, strides, strict=True)]
        ),
    )
    head = SimpleNamespace(compute_loss=lambda targets, outputs, anchors, matched: matched)
    there = [{"boxes": each[each[:, 4] >= 0, :4]} for each in truth]
    model = SimpleNamespace(center_sampling_radius=1.5, head=head)
    expected = fcos.compute_loss(model, there, {}, [around] * len(truth), [*map(len, levels)])
    for each, ours, theirs in zip(truth, found, expected, strict=True):
        places = torch.cumsum(each[:, 4] >= 0, 0) - 1
        assert torch.where(ours >= 0, places[ours.clamp(min=0)], ours).equal(theirs)
        assert (ours >= 0).any()


def test_anchors_are_where_the_network_decodes_its_boxes() -> None:
    """Also if the strides do not divide the sides."""
    levels = {4: [(8, 8), (12, 6)], 8: [(20, 16), (16, 20)]}
    task = Detection(
        anchors=tuple(each for part in levels.values() for each in part), strides=(4, 8)
    )
    targets = torch.tensor([[[0.0, 0.0, 30.0, 18.0, -1.0]]])
    positions, _ = task.output_shape((3, 18, 30), 2)
    found, strides = task._grid(torch.zeros(1, positions, 6), targets)
    grids = {4: (5, 8), 8: (3, 4)}
    expected = [anchors(grids[stride], (stride, stride), sizes) for stride, sizes in levels.items()]
    assert found.equal(torch.cat(expected))
    assert strides.tolist() == [4.0] * 80 + [8.0] * 24


@pytest.mark.parametrize("anchors", [None, ((8, 8), (24, 12))])
def test_a_detector_begins_at_its_anchors_with_the_prior_probability(anchors: object) -> None:
    """Lin et al. 2017, section 4.1: a probability of 0.01 everywhere, whatever the recipe draws."""
    task = make(Named(name="detection", anchors=anchors, strides=[8]))
    architecture = task.network(classic("lenet5", (3, 64, 64), 2), 2)
    rng, boxes = np.random.default_rng(0), drawn(8, side=64).numpy()
    images = rng.integers(0, 256, (8, 3, 64, 64)).astype(np.uint8)
    part = Part(images, boxes)
    data = SearchData(part, part, (128.0,) * 3, (74.0,) * 3, 2, "split", "data")
    recipe = resolve({"preset": "quick", "augment": []})
    network = Trainer(lambda: compile(architecture), data, recipe, 0, task=task).network
    with torch.no_grad():  # in training mode, because batch norms have no statistics yet
        found = task.predictions(network.train()(torch.from_numpy(images).float() / 74))
    assert found[..., 4:].median().item() == pytest.approx(0.01, rel=0.2)
    sides = found[..., 2:4] - found[..., :2]
    expected = torch.tensor(anchors or ((8.0, 8.0),)).repeat(64, 1).expand_as(sides)
    assert (sides / expected).log().abs().median() < 0.2


@pytest.mark.parametrize("name", MOVES["boxes"])
def test_boxes_move_with_their_images(name: str) -> None:
    """A bright rectangle is where its box is, afterwards too."""
    options = {"shift": {"pixels": 9}, "resized_crop": {"area": [0.4, 1.0]}}.get(name, {})
    truth = torch.tensor([[10.0, 14.0, 30.0, 26.0, 1.0], [0, 0, 0, 0, -1]]).repeat(40, 1, 1)
    images = torch.zeros(40, 1, 40, 48, dtype=torch.uint8)
    images[:, :, 14:26, 10:30] = 200
    pipeline = Pipeline([Named(name=name, **options)], Detection(), 3)
    moved, targets = pipeline(images, truth, torch.Generator().manual_seed(0))
    assert not targets[:, 0].equal(truth[:, 0])
    assert (targets[:, 1, 4] == -1).all()
    left = 0
    for image, box in zip(moved[:, 0], targets[:, 0], strict=True):
        bright = (image >= 100).nonzero()
        if box[4] >= 0:
            low, high = bright.amin(0), bright.amax(0) + 1
            seen = torch.stack([low[1], low[0], high[1], high[0]])
            assert (seen - box[:4]).abs().max() <= (0.001 if name != "resized_crop" else 1.01)
            left += 1
    assert left > 30


def test_a_box_that_leaves_the_image_is_left_out() -> None:
    truth = torch.tensor([[0.0, 0.0, 8.0, 8.0, 2.0]]).repeat(60, 1, 1)
    pipeline = Pipeline([Named(name="shift", pixels=8)], Detection(), 3)
    images = torch.zeros(60, 1, 16, 16, dtype=torch.uint8)
    _, targets = pipeline(images, truth, torch.Generator().manual_seed(0))
    sides = targets[..., 2:4] - targets[..., :2]
    shares = sides.prod(-1) / 64
    assert (targets[..., :4] >= 0).all()
    assert ((targets[..., 4] == 2) == (shares >= 0.25)).all()
    assert 0 < (targets[..., 4] < 0).sum() < 60


def test_colours_leave_boxes_and_all_others_are_refused() -> None:
    allowed = (*MOVES["boxes"], "brightness", "contrast", "saturation", "lighting")
    for name in TRANSFORMATIONS:
        options = {"size": 4} if name == "cutout" else {}
        recipe = resolve({"preset": "quick", "augment": [{"name": name, **options}]})
        if name in allowed:
            check_augment(recipe, Detection(), (3, 16, 16))
        else:
            with pytest.raises(InputError, match=f"augment.0: {name} cannot move the targets of"):
                check_augment(recipe, Detection(), (3, 16, 16))


def test_perfect_boxes_have_a_precision_of_one_and_the_commonest_ones_are_chance() -> None:
    task, truth = Detection(strides=(8,)), drawn(images=4, objects=3)
    positions, values = task.output_shape((3, 128, 128), 3)
    predictions = torch.zeros(4, positions, values)
    for image, each in zip(predictions, truth, strict=True):
        for place, box in enumerate(each[each[:, 4] >= 0]):
            image[place, :4] = box[:4]
            image[place, 4 + int(box[4])] = 0.9
    found = task.evaluate(predictions, truth)
    assert found["ap"] == found["ap50"] == pytest.approx(1.0)
    assert 0 < found["chance"]["ap"] < 1
    empty = task.evaluate(predictions, torch.cat([truth[..., :4], torch.full((4, 4, 1), -1.0)], 2))
    assert empty["ap"] == 0.0
    assert empty["per_class"] == [None] * 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": "tower"}, r"head: unknown head 'tower' \(did you mean 'towers'\?\)"),
        ({"head": {"name": "grid", "depth": 2}}, "head.depth: unknown key"),
        ({"strides": []}, "strides: must be different strides"),
        ({"strides": [8, 8]}, "strides: must be different strides"),
        ({"anchors": [[8, 8]]}, "anchors: must be a multiple of the 2 strides, got 1"),
        ({"anchors": [[8, 0], [8, 8]]}, "anchors.0.1: "),
        ({"nms": 0}, "nms: "),
    ],
)
def test_bad_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(Named(name="detection", **options))


@pytest.mark.parametrize("head", ["grid", "towers"])
@pytest.mark.parametrize("anchors", [None, [[8, 8], [12, 20], [40, 40]]])
@pytest.mark.parametrize("name", ["lenet5", "resnet20", "mobilenet_v2", "vgg8"])
def test_every_head_fits_every_kind_of_classic(
    name: str, head: str, anchors: list[list[int]] | None
) -> None:
    """Also if the backbone has no map of a stride, or maps of another size."""
    task = make(Named(name="detection", head=head, anchors=anchors, strides=[4, 8, 32]))
    shape = (3, 45, 70)
    network = task.network(classic(name, shape, 5), 5)
    positions = 12 * 18 + 6 * 9 + 2 * 3
    assert network.output_shape == task.output_shape(shape, 5) == (positions, 9)
    assert {node.name.partition(".")[0] for node in network.nodes} <= {
        "backbone",
        "head",
        "boxes",
        "boxes4",
        "boxes8",
        "boxes32",
    }
