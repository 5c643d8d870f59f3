"""Embedding: vectors that are near to each other if images show the same person or thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import comb
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field, PositiveInt

from nas.errors import InputError
from nas.metrics import Metric
from nas.tasks.base import Joint, Json

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Generator, Tensor

    from nas.architecture.graph import Architecture
    from nas.tasks.pictures import Pictures

# torch is imported in the methods that need it, so that reading a campaign does not load it.

Loss = Literal["batch_hard", "semi_hard", "contrastive"]
Margin = Annotated[float, Field(gt=0)]

_MARGINS: dict[Loss, float] = {"batch_hard": 0.2, "semi_hard": 0.2, "contrastive": 1.0}
_NEIGHBOURS = 4
"""How many neighbours of an image a report shows."""
_ROWS = 512
"""For how many images the distances to all others are computed at a time."""


class Embedding(Joint):
    """A network returns a vector of length 1; the classes of the data set are identities.

    Networks are judged by pairs of images of identities that they have never seen, so every
    identity is in one part only. Batches have several images of each of several identities.

    Args:
        dimension: the length of the list of numbers that a network returns.
        loss: ``batch_hard``, the triplet loss of each image with its farthest positive and its
            nearest negative in the batch (Hermans et al. 2017, arXiv:1703.07737, equation 5);
            ``semi_hard``, that of each pair of one identity with the nearest negative that is
            farther than the positive, or else with the farthest one (Schroff et al. 2015, FaceNet,
            arXiv:1503.03832, equations 1 and 4; squared distances); or ``contrastive`` (Hadsell et
            al. 2006, equation 4), over all pairs of the batch.
        margin: by how much negatives should be farther away than positives, and, with
            ``contrastive``, how far they should be; by default 0.2, and 1.0 with ``contrastive``.
            ``soft`` is the soft margin of Hermans et al. (section 3), for ``batch_hard``.
        images_per_identity: how many images of an identity are drawn for a batch at a time.
    """

    metrics = (
        Metric(
            name="roc_auc", direction="maximize", unit="fraction", words="ROC AUC", title="ROC AUC",
            meaning="probability that two images of one identity are nearer to each other than two "
            "of different ones",
        ),
        Metric(name="loss", direction="minimize", meaning="the training loss, over all images"),
        Metric(
            name="eer", direction="minimize", unit="fraction", words="equal error rate",
            title="EER",
            meaning="share of the pairs that are wrong, where it is the same for pairs of one "
            "identity and of different ones",
        ),
        Metric(
            name="verification_accuracy", direction="maximize", unit="fraction",
            meaning="mean of the shares of right pairs of one identity and of different ones, at "
            "the best distance",
        ),
        Metric(
            name="recall_at_1", direction="maximize", unit="fraction", words="recall at 1",
            meaning="share of the images whose nearest other image is of their identity",
        ),
        Metric(
            name="recall_at_5", direction="maximize", unit="fraction", words="recall at 5",
            meaning="share of the images with one of their identity among the five nearest others",
        ),
    )  # fmt: skip

    def __init__(
        self,
        *,
        dimension: PositiveInt = 64,
        loss: Loss = "batch_hard",
        margin: Margin | Literal["soft"] | None = None,
        images_per_identity: Annotated[int, Field(ge=2)] = 4,
    ) -> None:
        if margin == "soft" and loss != "batch_hard":
            raise InputError(f"soft is for the loss batch_hard, got {loss}", "margin")
        self._dimension = dimension
        self._loss = loss
        self._margin = _MARGINS[loss] if margin is None else margin
        self._images = images_per_identity

    def output_shape(self, input_shape: tuple[int, ...], classes: int) -> tuple[int, ...]:
        """Returns (dimension,)."""
        return (self._dimension,)

    def network(self, backbone: Architecture, outputs: int) -> Architecture:
        """Returns the backbone with its vector brought to length 1."""
        from nas.architecture.builder import Builder

        g = Builder(backbone.input_shape)
        with g.scope("backbone"):
            handles = g.include(backbone.inference())
        return g.build(g.l2_norm(handles[backbone.outputs[0]], name="embedding"))

    def check_fit(
        self, architecture: Architecture, input_shape: tuple[int, ...], classes: int
    ) -> None:
        """Raises :class:`InputError` unless the network returns vectors of length 1."""
        super().check_fit(architecture, input_shape, classes)
        last = next(each for each in architecture.nodes if each.name == architecture.outputs[0])
        if last.operation.kind != "l2_norm":
            raise InputError("the task Embedding needs a network that ends with l2_norm")

    def check_parts(self, parts: Mapping[Any, NDArray[Any]]) -> None:
        """Raises :class:`InputError` unless all parts have pairs, and identities of their own."""
        seen: dict[int, str] = {}
        for role, labels in parts.items():
            identities, counts = np.unique(labels[labels >= 0], return_counts=True)
            if len(labels) and (len(counts) < 2 or counts.max() < 2):
                raise InputError(
                    f"the {role} part has {len(labels)} images of {len(counts)} identities; the "
                    "task Embedding needs two identities or more in each part, and two images or "
                    "more of an identity"
                )
            for identity in identities.tolist():
                if identity in seen:
                    raise InputError(
                        f"identity {identity} is in the {seen[identity]} part and in the {role} "
                        "part; the task Embedding needs identities that are in one part only: set "
                        "data.split.of: classes, or use official parts that have none in common"
                    )
                seen[identity] = role

    def order(
        self, labels: NDArray[Any], bounds: Sequence[tuple[int, int]], generator: Generator
    ) -> Tensor:
        """Draws for each batch random identities, and ``images_per_identity`` images of each.

        An identity with fewer images gives all that it has. If all identities together do not fill
        a batch, they are drawn again.
        """
        import torch

        word = torch.randint(2**62, (), generator=generator, device=generator.device)
        rng = np.random.default_rng(int(word))
        members = [np.flatnonzero(labels == identity) for identity in np.unique(labels)]
        drawn: list[int] = []
        for first, last in bounds:
            batch: list[int] = []
            each = min(self._images, max((last - first) // 2, 1))
            while len(batch) < last - first:
                for identity in rng.permutation(len(members))[: (last - first) // each + 1]:
                    batch += rng.permutation(members[identity])[:each].tolist()
            drawn += batch[: last - first]
        return torch.tensor(drawn, device=generator.device)

    def loss(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """Returns the mean loss of the triplets or pairs in a batch of vectors [N, dimension].

        It is 0 if there are none.
        """
        total, count = self._sum(outputs, outputs, targets, 0)
        return total / count.clamp(min=1)

    def _sum(
        self, rows: Tensor, outputs: Tensor, targets: Tensor, first: int
    ) -> tuple[Tensor, Tensor]:
        """Returns the sum of the loss over the triplets or pairs of some images, and their number.

        ``rows`` are the vectors of these images, which begin at position ``first`` of all.
        """
        import torch
        from torch.nn.functional import softplus

        distances, same, other = _distances(rows, outputs, targets, first)
        positive = same & other
        if self._loss == "contrastive":
            assert not isinstance(self._margin, str)
            apart = (self._margin - distances).relu()
            terms = torch.where(same, distances, apart).square() / 2
            return (terms * other).sum(), other.sum()
        if self._loss == "batch_hard":
            farthest = distances.where(positive, -torch.inf).amax(1)
            nearest = distances.where(~same, torch.inf).amin(1)
            counted = positive.any(1) & (~same).any(1)
            gap = (farthest - nearest).where(counted, 0.0)
        else:
            squares = distances.square()
            ordered = squares.where(~same, torch.inf).sort(1).values
            negatives = (~same).sum(1, keepdim=True)
            chosen = torch.searchsorted(ordered.detach(), squares.detach(), right=True)
            chosen = chosen.minimum(negatives - 1).clamp(min=0)
            counted = positive & (negatives > 0)
            gap = (squares - ordered.gather(1, chosen)).where(counted, 0.0)
        terms = softplus(gap) if self._margin == "soft" else (gap + self._margin).relu()
        return (terms * counted).sum(), counted.sum()

    def predictions(self, outputs: Tensor) -> Tensor:
        """Returns the vectors as float32."""
        return outputs.float()

    def average(self, predictions: Sequence[Tensor]) -> Tensor:
        """Returns the mean vectors of several views or networks, at the length of the first ones.

        So vectors of length 1 keep it.
        """
        mean = super().average(predictions)
        length, present = (each.norm(dim=-1, keepdim=True) for each in (predictions[0], mean))
        averaged: Tensor = mean / present.clamp(min=1e-12) * length
        return averaged

    def evaluate(self, predictions: Tensor, targets: Tensor) -> Json:
        """Evaluates vectors [N, dimension] of images of identities [N], by all of their pairs.

        Equal distances count against the network in recall, and half in the area. Images that are
        alone in their identity are not searched for.

        Returns the metrics, and ``chance``: those of vectors that do not depend on the image.
        """
        import torch

        genuine, impostor = [], []
        ranks = []
        total, count = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.int64)
        for first in range(0, len(predictions), _ROWS):
            rows = predictions[first : first + _ROWS]
            terms, number = self._sum(rows, predictions, targets, first)
            total, count = total + terms, count + number
            distances, same, other = _distances(rows, predictions, targets, first)
            later = torch.ones_like(same).triu(first + 1)
            genuine.append(distances[same & later])
            impostor.append(distances[~same & later])
            nearest = distances.where(same & other, torch.inf).amin(1, keepdim=True)
            found = ((distances <= nearest) & ~same).sum(1)
            ranks.append(found[(same & other).any(1)])
        rank = torch.cat(ranks)
        return {
            **_verification(torch.cat(genuine), torch.cat(impostor)),
            "loss": (total / count.clamp(min=1)).item(),
            **{f"recall_at_{k}": (rank < k).double().mean().item() for k in (1, 5)},
            "chance": {
                "roc_auc": 0.5,
                "eer": 0.5,
                "verification_accuracy": 0.5,
                **{f"recall_at_{k}": _recall_by_chance(targets.tolist(), k) for k in (1, 5)},
            },
        }

    def pictures(
        self, images: NDArray[np.uint8], predictions: Tensor, targets: Tensor, names: Sequence[str]
    ) -> Sequence[Pictures]:
        """Returns images with their nearest others, and whether these show the same identity."""
        from nas.tasks.pictures import ROWS, plain

        rows = []
        for place in np.linspace(0, len(images) - 1, min(ROWS, len(images))).astype(int).tolist():
            distances, same, other = _distances(
                predictions[place : place + 1], predictions, targets, place
            )
            nearest = distances.where(other, float("inf"))[0].argsort()[:_NEIGHBOURS]
            row = {"image": plain(images[place])}
            for rank, found in enumerate(nearest.tolist(), start=1):
                kind = "same" if same[0, found] else "other"
                row[f"{rank}: {kind}, {distances[0, found]:.2f}"] = plain(images[found])
            rows.append(row)
        return rows


def _distances(
    rows: Tensor, outputs: Tensor, targets: Tensor, first: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the distances of some images from all, [R, N], and two masks of the same shape.

    The masks tell which images are of the same identity, and which are not the image itself.
    """
    import torch

    distances = torch.cdist(rows, outputs, compute_mode="donot_use_mm_for_euclid_dist")
    same = targets[first : first + len(rows), None] == targets
    other = ~torch.ones_like(same).triu(first).tril(first)
    return distances, same, other


def _verification(genuine: Tensor, impostor: Tensor) -> dict[str, float]:
    """Returns the area under the curve, the equal error rate and the best accuracy.

    Args:
        genuine: the distances of the pairs of one identity.
        impostor: those of the pairs of different ones.
    """
    import torch

    genuine, impostor = genuine.sort().values, impostor.sort().values
    nearer, as_near = (
        torch.searchsorted(impostor, genuine, right=right).double() for right in (False, True)
    )
    area = 1 - (nearer + as_near).mean() / 2 / len(impostor)
    accepted = torch.cat([genuine, impostor]).unique()  # type: ignore[no-untyped-call]
    false = torch.searchsorted(impostor, accepted, right=True).double() / len(impostor)
    missed = 1 - torch.searchsorted(genuine, accepted, right=True).double() / len(genuine)
    false, missed = torch.cat([false[:1] * 0, false]), torch.cat([missed[:1] * 0 + 1, missed])
    # The errors cross between two of these points, and the curve is straight there.
    after = int((false >= missed).nonzero()[0, 0])
    gaps = (missed - false)[[after - 1, after]].tolist()
    error = false[after - 1].lerp(false[after], gaps[0] / (gaps[0] - gaps[1]))
    return {
        "roc_auc": area.item(),
        "eer": error.item(),
        "verification_accuracy": (1 - (false + missed) / 2).max().item(),
    }


def _recall_by_chance(identities: Sequence[int], k: int) -> float:
    """Returns the recall of a random order of the other images."""
    others = len(identities) - 1
    known = [n for n in np.unique(identities, return_counts=True)[1].tolist() if n > 1]
    k = min(k, others)
    missed = sum(n * comb(others - (n - 1), k) for n in known) / comb(others, k)
    return float(1 - missed / sum(known))
