"""Embeddings: losses by their definitions, metrics of pairs by scikit-learn, batches, parts."""

from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.neighbors import NearestNeighbors

from nas.errors import InputError
from nas.tasks.classification import Classification
from nas.tasks.embedding import Embedding
from nas.training.batches import batch_bounds
from nas.training.datasets import DATASETS, Images
from nas.training.splitting import SplitConfig, split

IDENTITIES = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 4])


def vectors(seed: int = 0, number: int = len(IDENTITIES)) -> torch.Tensor:
    drawn = torch.randn(number, 5, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(drawn)


def by_definition(loss: str, margin: float, x: torch.Tensor, who: list[int]) -> float:
    """The loss as the papers write it, one triplet or pair at a time."""
    d = torch.cdist(x.double(), x.double()).tolist()
    positives = [(a, p) for a, p in permutations(range(len(who)), 2) if who[a] == who[p]]
    terms = []
    if loss == "contrastive":
        for a, b in permutations(range(len(who)), 2):
            apart = d[a][b] if who[a] == who[b] else max(margin - d[a][b], 0)
            terms.append(apart**2 / 2)
    elif loss == "semi_hard":
        for a, p in positives:
            squares = [d[a][n] ** 2 for n in range(len(who)) if who[n] != who[a]]
            harder = [each for each in squares if each > d[a][p] ** 2]
            terms.append(max(d[a][p] ** 2 - (min(harder) if harder else max(squares)) + margin, 0))
    else:
        for a in sorted({a for a, _ in positives}):
            far = max(d[a][p] for other, p in positives if other == a)
            near = min(d[a][n] for n in range(len(who)) if who[n] != who[a])
            terms.append(max(far - near + margin, 0))
    return float(np.mean(terms))


@pytest.mark.parametrize("loss", ["batch_hard", "semi_hard", "contrastive"])
@pytest.mark.parametrize("margin", [0.05, 0.5])
def test_losses_are_those_of_the_papers(loss: Any, margin: float, monkeypatch: Any) -> None:
    task, x = Embedding(loss=loss, margin=margin), vectors()
    expected = by_definition(loss, margin, x, IDENTITIES.tolist())
    assert task.loss(x, IDENTITIES).item() == pytest.approx(expected, rel=1e-5)
    monkeypatch.setattr("nas.tasks.embedding._ROWS", 5)  # in parts, and the same
    assert task.evaluate(x, IDENTITIES)["loss"] == pytest.approx(expected, rel=1e-5)


def test_the_soft_margin() -> None:
    x, who = torch.tensor([[0.0], [0.5], [0.75]]), torch.tensor([0, 0, 1])
    expected = np.mean([np.log1p(np.exp(0.5 - 0.75)), np.log1p(np.exp(0.5 - 0.25))])
    assert Embedding(margin="soft").loss(x, who).item() == pytest.approx(expected)
    with pytest.raises(InputError, match="margin: soft is for the loss batch_hard"):
        Embedding(margin="soft", loss="contrastive")


@pytest.mark.parametrize("loss", ["batch_hard", "semi_hard", "contrastive"])
def test_a_batch_of_one_identity_or_of_equal_vectors_has_finite_gradients(loss: Any) -> None:
    for x, who in ((vectors(), IDENTITIES * 0), (torch.ones(4, 3), torch.tensor([0, 0, 1, 1]))):
        x = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(Embedding(loss=loss).loss(x, who), x)
        assert gradient.isfinite().all()


@pytest.mark.parametrize("seed", range(3))
def test_metrics_of_all_pairs_are_those_of_scikit_learn(seed: int) -> None:
    who = np.random.default_rng(seed).integers(0, 6, 60)
    x = vectors(seed, 60) + torch.randn(6, 5)[who] / 2
    x[3], x[7] = x[5], x[5]  # with equal distances
    found = Embedding().evaluate(x, torch.from_numpy(who))
    first, second = np.triu_indices(60, 1)
    nearness = -torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")[first, second]
    false, true, _ = roc_curve(who[first] == who[second], nearness, drop_intermediate=False)
    assert found["roc_auc"] == pytest.approx(roc_auc_score(who[first] == who[second], nearness))
    assert found["verification_accuracy"] == pytest.approx(((true + 1 - false) / 2).max())
    grid = np.linspace(0, 1, 200_001)
    crossing = grid[np.argmin(np.abs(1 - grid - np.interp(grid, false, true)))]
    assert found["eer"] == pytest.approx(crossing, abs=1e-5)
    x[3], x[7] = vectors(9, 2)  # without, as neighbours would be in any order
    near = NearestNeighbors(n_neighbors=6).fit(x).kneighbors(x, return_distance=False)[:, 1:]
    hits = who[near] == who[:, None]
    again = Embedding().evaluate(x, torch.from_numpy(who))
    assert again["recall_at_1"] == pytest.approx(hits[:, 0].mean())
    assert again["recall_at_5"] == pytest.approx(hits.any(1).mean())


def test_perfect_and_useless_vectors() -> None:
    perfect = Embedding().evaluate(torch.eye(5)[IDENTITIES], IDENTITIES)
    assert [perfect[each] for each in ("roc_auc", "eer", "recall_at_1")] == [1, 0, 1]
    useless = Embedding().evaluate(torch.ones(len(IDENTITIES), 5), IDENTITIES)
    assert [useless[each] for each in ("roc_auc", "eer", "recall_at_5")] == [0.5, 0.5, 0]


def test_recall_by_chance_is_that_of_random_vectors() -> None:
    found = [Embedding().evaluate(vectors(seed), IDENTITIES) for seed in range(400)]
    for name in ("roc_auc", "recall_at_1", "recall_at_5"):
        mean = np.mean([each[name] for each in found])
        assert mean == pytest.approx(found[0]["chance"][name], abs=0.03)


def test_pictures_are_the_nearest_others() -> None:
    images = np.zeros((len(IDENTITIES), 1, 4, 4), np.uint8)
    rows = Embedding().pictures(images, torch.eye(5)[IDENTITIES], IDENTITIES, ())
    assert [*rows[0]] == ["image", "1: same, 0.00", "2: same, 0.00", "3: other, 1.41",
                          "4: other, 1.41"]  # fmt: skip
    assert len(rows) == 4


def test_batches_have_several_images_of_several_identities() -> None:
    labels = np.repeat(np.arange(20), 8)
    task, generator = Embedding(images_per_identity=4), torch.Generator().manual_seed(0)
    order = task.order(labels, batch_bounds(len(labels), 32), generator)
    assert len(order) == len(labels)
    for batch in order.view(-1, 32):
        assert len(set(batch.tolist())) == 32
        assert np.bincount(labels[batch], minlength=20).tolist().count(4) == 8
    few = task.order(labels[:16], [(0, 7), (7, 16)], generator)  # of two identities
    assert set(labels[few[:7]]) == set(labels[few[7:]]) == {0, 1}


def test_a_split_of_classes_puts_each_into_one_part() -> None:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(10), [2, 9] * 5))
    images = Images(np.zeros((55, 1, 2, 2), np.uint8), labels, 10)
    config = SplitConfig(train=0.6, validation=0.2, test=0.2, of="classes")
    parts = split(images, config)
    held = [set(labels[each]) for each in (parts.train, parts.validation, parts.test)]
    assert [len(each) for each in held] == [6, 2, 2]
    assert set.union(*held) == set(range(10))
    assert sum(map(len, (parts.train, parts.validation, parts.test))) == 55
    assert parts.checksum == split(images, config).checksum
    with pytest.raises(InputError, match=r"split: 2 class\(es\) are too few"):
        split(Images(images.images[:4], np.array([0, 0, 1, 1]), 2), config)


def test_a_folder_may_have_other_identities_in_each_part(tmp_path: Path) -> None:
    for person in ("train/a", "train/b", "test/c", "test/d"):
        for number in range(2):
            (tmp_path / person).mkdir(parents=True, exist_ok=True)
            pixels = np.full((4, 4), 60 * ord(person[-1]) % 251 + number, np.uint8)
            Image.fromarray(pixels).save(tmp_path / person / f"{number}.png")
    found = DATASETS["folder"](root=str(tmp_path), colour="grey")
    assert (found.names, found.classes, found.official_test) == (("a", "b", "c", "d"), 4, 4)
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    parts = {"train": found.labels[:4], "validation": found.labels[:0], "test": found.labels[4:]}
    Embedding().check_parts(parts)
    with pytest.raises(InputError, match="the test part has no class of the training part"):
        Classification().check_parts(parts)


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (
            [4, 5, 6],
            "the test part has 3 images of 3 identities; .* two images or more of an ident",
        ),
        ([4, 4, 4], "the test part has 3 images of 1 identities"),
        ([0, 0, 5], "identity 0 is in the train part and in the test part; .*split.of: classes"),
    ],
)
def test_parts_without_pairs_or_with_known_identities_are_refused(test: Any, message: str) -> None:
    parts = {"train": [0, 0, 1], "validation": [2, 2, 3], "test": test}
    with pytest.raises(InputError, match=message):
        Embedding().check_parts({role: np.array(labels) for role, labels in parts.items()})
