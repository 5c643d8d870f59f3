"""Segmentation's numbers are scikit-learn's and torch's; masks move with their images."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, jaccard_score
from torch.nn.functional import cross_entropy

from nas.configuration import Named
from nas.errors import InputError
from nas.tasks import make
from nas.tasks.segmentation import Segmentation
from nas.training.augmentation import TRANSFORMATIONS
from nas.training.pipeline import MOVES, Pipeline
from nas.training.recipe import check_augment, resolve

CLASSES = 5


def drawn(classes: int = CLASSES) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and masks; some pixels have no class, and class 3 has no pixel."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(0, classes, (4, 6, 7), generator=generator)
    targets[targets == 3] = 1
    targets[torch.rand(targets.shape, generator=generator) < 0.2] = 255
    return 2 * torch.randn(4, classes, 6, 7, generator=generator), targets


def test_metrics_are_scikit_learns() -> None:
    task, (scores, targets) = Segmentation(), drawn()
    found = task.evaluate(task.predictions(scores), targets)
    known = targets != 255
    truth, predicted = targets[known].numpy(), scores.argmax(1)[known].numpy()
    assert found["miou"] == pytest.approx(jaccard_score(truth, predicted, average="macro"))
    assert found["per_class"] == pytest.approx(jaccard_score(truth, predicted, average=None))
    assert found["pixel_accuracy"] == pytest.approx(accuracy_score(truth, predicted))
    assert found["loss"] == pytest.approx(cross_entropy(scores, targets, ignore_index=255).item())
    commonest = np.full_like(truth, np.bincount(truth).argmax())
    assert found["chance"] == {
        "miou": pytest.approx(jaccard_score(truth, commonest, average="macro")),
        "pixel_accuracy": pytest.approx(accuracy_score(truth, commonest)),
    }


def test_a_class_that_does_not_occur_is_left_out() -> None:
    task, (scores, targets) = Segmentation(), drawn()
    scores[:, 3] = -100
    found = task.evaluate(task.predictions(scores), targets)
    assert found["per_class"][3] is None
    others = [each for each in found["per_class"] if each is not None]
    assert found["miou"] == pytest.approx(sum(others) / 4)


def test_the_loss_is_torchs() -> None:
    scores, targets = drawn()
    for smoothing in (0.0, 0.1):
        assert Segmentation().loss(scores, targets, smoothing).item() == pytest.approx(
            cross_entropy(scores, targets, ignore_index=255, label_smoothing=smoothing).item()
        )
    assert Segmentation().loss(scores, torch.full_like(targets, 255)).item() == 0.0


def test_the_dice_loss_in_closed_form() -> None:
    """Two classes, four pixels, the last without a class; both terms smoothed by one."""
    targets = torch.tensor([[[0, 1], [1, 255]]])
    scores = torch.zeros(1, 2, 2, 2)
    dice = Segmentation(dice=1.0).loss(scores, targets).item()
    by_class = [(2 * 0.5 + 1) / (1.5 + 1 + 1), (2 * 1.0 + 1) / (1.5 + 2 + 1)]
    assert dice == pytest.approx(1 - sum(by_class) / 2)
    entropy = Segmentation().loss(scores, targets).item()
    assert Segmentation(dice=0.25).loss(scores, targets).item() == pytest.approx(
        0.75 * entropy + 0.25 * dice
    )


@pytest.mark.parametrize("name", MOVES["masks"])
@pytest.mark.parametrize("fill", ["black", "reflect"])
def test_masks_move_with_their_images(name: str, fill: str) -> None:
    options = {"pixels": 3, "fill": fill} if name == "shift" else {}
    images = torch.randint(1, 5, (8, 1, 9, 7), dtype=torch.uint8)
    pipeline = Pipeline([Named(name=name, **options)], Segmentation(), CLASSES)
    moved, targets = pipeline(images, images[:, 0] - 1, torch.Generator().manual_seed(0))
    inside = moved[:, 0] > 0
    assert torch.equal(targets[inside], moved[:, 0][inside].long() - 1)
    assert (targets[~inside] == 255).all()
    assert not torch.equal(moved, images)


def test_colours_leave_masks_and_all_others_are_refused() -> None:
    shape = (3, 16, 16)
    for name in TRANSFORMATIONS:
        options = {"size": 4} if name == "cutout" else {}
        recipe = resolve({"preset": "quick", "augment": [{"name": name, **options}]})
        if name in ("shift", "flip", "brightness", "contrast", "saturation", "lighting"):
            check_augment(recipe, Segmentation(), shape)
        else:
            with pytest.raises(InputError, match=f"augment.0: {name} cannot move the targets of"):
                check_augment(recipe, Segmentation(), shape)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": "unett"}, r"head: unknown head 'unett' \(did you mean 'unet'\?\)"),
        ({"head": {"name": "unet", "depth": 2}}, "head.depth: unknown key"),
        ({"dice": 2.0}, "dice: "),
        ({"output_stride": 0}, "output_stride: "),
    ],
)
def test_bad_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(Named(name="segmentation", **options))


def test_its_networks_have_the_head_that_is_named() -> None:
    from nas.classics import classic

    task = make(Named(name="segmentation", head={"name": "unet", "width": 8}, output_stride=4))
    network = task.network(classic("resnet18", (3, 32, 32), 3), 3)
    assert network.output_shape == task.output_shape((3, 32, 32), 3) == (3, 32, 32)
    widths = {n.name: network.shapes[n.name][0] for n in network.nodes if "classifier.up" in n.name}
    assert widths["classifier.up2.0"] == 8
    with pytest.raises(InputError, match="needs masks, a class per pixel, the data set has one cl"):
        task.check_labels("classes")
