"""Metrics against their definitions, protocols against views made by hand."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, top_k_accuracy_score
from torch import Tensor, nn

from nas.tasks.classification import Classification
from nas.training.data import Part, SearchData
from nas.training.evaluation import VIEWS, predictions
from nas.training.loop import measure

TASK = Classification()
metrics = TASK.evaluate


def drawn(n: int, classes: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(n, classes, generator=generator, dtype=torch.float64)
    return scores.softmax(1), torch.randint(classes, (n,), generator=generator)


@given(n=st.integers(1, 60), classes=st.integers(2, 12), seed=st.integers(0, 99))
def test_metrics_agree_with_scikit_learn(n: int, classes: int, seed: int) -> None:
    probability, labels = drawn(n, classes, seed)
    found = metrics(probability, labels)
    truth, predicted, every = labels.numpy(), probability.argmax(1).numpy(), list(range(classes))
    assert found["accuracy"] == pytest.approx(accuracy_score(truth, predicted))
    assert found["loss"] == pytest.approx(log_loss(truth, probability.numpy(), labels=every))
    confusion = confusion_matrix(truth, predicted, labels=every)
    assert np.array_equal(found["confusion"], confusion)
    if classes > 5:
        top5 = top_k_accuracy_score(truth, probability.numpy(), k=5, labels=every)
        assert found["top5"] == pytest.approx(top5)
    else:
        assert found["top5"] == 1
    sizes = confusion.sum(1)
    expected = [h / s if s else None for h, s in zip(confusion.diagonal(), sizes, strict=True)]
    assert found["per_class"] == expected


def test_per_class_accuracy_is_the_diagonal() -> None:
    probability = torch.eye(3)[[0, 1, 1, 1]]
    found = metrics(probability, torch.tensor([0, 0, 1, 1]))
    assert found["per_class"] == [0.5, 1.0, None]


def test_very_many_classes_need_no_confusion_matrix() -> None:
    """The matrix of 100,000 classes would take 80 GB."""
    truth = torch.tensor([0, 0, 7, 99_999])
    predicted = torch.tensor([0, 1, 8, 99_999])
    found = metrics(torch.zeros(4, 100_000).scatter(1, predicted[:, None], 1.0), truth)
    shares = {place: share for place, share in enumerate(found["per_class"]) if share is not None}
    assert shares == {0: 0.5, 7: 0.0, 99_999: 1.0}
    assert "confusion" not in found
    assert TASK.concise(found)["accuracy"] == 0.5


def test_a_record_holds_what_tells_something_and_is_short() -> None:
    long = {"per_class", "confusion"}
    for classes, left_out in ((5, {"top5"}), (6, set()), (20, set()), (21, long)):
        whole = metrics(*drawn(30, classes, seed=1))
        kept = TASK.concise(whole)
        assert whole.keys() - kept.keys() == left_out
        assert kept == json.loads(json.dumps({name: whole[name] for name in kept}))


def test_calibration_error_by_the_definition() -> None:
    probability, labels = drawn(500, 4, seed=3)
    confidence, predicted = probability.max(1)
    expected = 0.0
    rows = []
    for b in range(15):
        inside = (confidence > b / 15) & (confidence <= (b + 1) / 15)
        right = (predicted == labels)[inside].double()
        rows.append([len(right), right.sum(), confidence[inside].sum()])
        if inside.any():
            expected += len(right) / 500 * abs(right.mean() - confidence[inside].mean())
    found = metrics(probability, labels)
    assert found["calibration_error"] == pytest.approx(float(expected))
    assert np.allclose(found["reliability"], np.array(rows, dtype=float))
    sure = torch.eye(2)[[0, 0, 0, 0]]
    assert metrics(sure, torch.tensor([0, 0, 0, 1]))["calibration_error"] == pytest.approx(0.25)


@pytest.mark.parametrize("says", [0.6, 0.8, 0.51])
def test_calibration_error_of_known_probabilities(says: float) -> None:
    """A network that is right in 60 of 100 cases and says p errs by |p - 0.6|."""
    probability = torch.tensor([says, 1 - says], dtype=torch.float64).repeat(100, 1)
    labels = (torch.arange(100) >= 60).long()
    found = metrics(probability, labels)
    assert found["calibration_error"] == pytest.approx(abs(says - 0.6), abs=1e-12)
    assert [row[:2] for row in found["reliability"] if row[0]] == [[100, 60]]


# --- protocols ---


class Sum(nn.Module):
    """Scores that show which pixels were seen: the brightness of each corner."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x[:, 0, i, j] for i in (0, -1) for j in (0, -1)], 1) / 50


def data() -> SearchData:
    rng = np.random.default_rng(1)
    part = Part(rng.integers(0, 256, (7, 1, 16, 16), dtype=np.uint8), rng.integers(0, 4, 7))
    return SearchData(part, part, (0.0,), (1.0,), 4, "")


def test_a_single_view_is_what_measure_sees() -> None:
    found = data()
    made = predictions(Sum(), found.validation, found, TASK)
    result = metrics(made, torch.from_numpy(found.validation.labels))
    told = measure(Sum(), found.validation, found)
    assert told == pytest.approx({name: result[name] for name in ("loss", "accuracy")})


def test_ten_crops_are_the_corners_and_the_centre_and_their_mirrors() -> None:
    found = data()
    images = np.pad(found.validation.images, ((0, 0), (0, 0), (2, 2), (2, 2)))
    expected = []
    for down, right in ((2, 2), (0, 0), (0, 4), (4, 0), (4, 4)):
        crop = images[:, :, down : down + 16, right : right + 16]
        for view in (crop, crop[:, :, :, ::-1]):
            scores = Sum()(torch.from_numpy(view.astype(np.float32)))
            expected.append(scores.softmax(1))
    made = predictions(Sum(), found.validation, found, TASK, "ten_crop")
    assert len(VIEWS["ten_crop"]) == 10
    assert torch.allclose(made, torch.stack(expected).mean(0), atol=1e-6)


def test_larger_images_are_cut_to_their_centre_and_have_no_frame() -> None:
    flat = torch.full((1, 3, 16, 24), 100, dtype=torch.uint8)
    assert all(torch.allclose(view(flat).float(), flat.float()) for view in VIEWS["multi_scale"])
    images = data().validation.images
    pillow = [Image.fromarray(image[0].astype(np.float32)) for image in images]
    larger = [np.asarray(each.resize((18, 18), Image.Resampling.BILINEAR)) for each in pillow]
    centres = np.stack(larger)[:, None, 1:17, 1:17]
    for view, expected in zip(
        VIEWS["multi_scale"],
        (images, centres, images[..., ::-1], centres[..., ::-1]),
        strict=True,
    ):
        assert np.allclose(view(torch.from_numpy(images)).numpy(), expected, atol=1e-3)


@pytest.mark.parametrize("protocol", VIEWS)
def test_views_keep_shape_and_range_and_a_flat_image_where_there_is_no_border(
    protocol: str,
) -> None:
    images = torch.full((2, 3, 16, 24), 100, dtype=torch.uint8)
    for view in VIEWS[protocol]:  # type: ignore[index]
        seen = view(images)
        assert seen.shape == images.shape
        assert 0 <= seen.min() <= seen.max() <= 100.01
        assert torch.allclose(seen[:, :, 4:-4, 4:-4].float(), torch.tensor(100.0), atol=0.01)


def test_an_ensemble_averages_probabilities() -> None:
    members = [drawn(5, 3, seed)[0] for seed in range(3)]
    made = TASK.average(members)
    assert torch.allclose(made, sum(members) / 3)  # type: ignore[arg-type]
    # Jensen: never worse in loss than the average member.
    labels = torch.tensor([0, 1, 2, 0, 1])
    losses = [metrics(member, labels)["loss"] for member in members]
    assert metrics(made, labels)["loss"] <= np.mean(losses)
