"""The network of a whole space, which is trained by sampling a member for every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from itertools import islice
from math import ceil
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from nas.architecture.graph import Architecture
from nas.spaces.asked_space import MAX_REJECTED, NothingFeasible
from nas.spaces.choices import Genotype, Infeasible, Option
from nas.spaces.search_space import SearchSpace
from nas.supernet.bank import Bank, Kernels, Start, check_room
from nas.supernet.covering import extreme, is_number
from nas.supernet.member import Member
from nas.supernet.mixing import plain_norms
from nas.supernet.parts import PartialSteps
from nas.training.loop import Trainer

Sampling = Literal["uniform", "fair", "sandwich", "shrinking"]

_SANDWICH = 4
"""How many members a step of the sandwich rule trains."""


class Supernet(nn.Module):
    """All members of a space as one module; each call in training mode runs another member.

    This is single path training (Guo et al. 2020, "Single Path One-Shot", arXiv:1904.00420,
    section 3.2). The module is trained by :class:`nas.training.loop.Trainer` like any network, so
    data, recipe, checkpoints and resume are the same. In evaluation mode, it runs the member of
    step 0, whose accuracy says little about the others.

    Args:
        space: the space. Members that break its constraints are not drawn.
        steps: the number of training steps. The bank is made as large as their members need.
        sampling: how members are drawn, see :data:`SAMPLINGS`.
        kernels: how kernels of other sizes share weights, see :class:`nas.supernet.bank.Bank`.
        affine: whether batch norms have learned factors and offsets.
        seed: decides initial weights and members.
        initialization: the scheme of initial weights.
        start: what prepares them, see :class:`nas.supernet.bank.Bank`.
    """

    step: Tensor

    def __init__(
        self,
        space: SearchSpace,
        steps: int,
        sampling: Sampling = "uniform",
        kernels: Kernels = "own",
        affine: bool = True,
        seed: int = 0,
        initialization: str = "default",
        start: Start = lambda architecture: {},
    ) -> None:
        super().__init__()
        self.bank = Bank(kernels, seed, initialization, start)
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        count = steps * _SANDWICH if sampling == "sandwich" else steps
        self._space = space
        self._affine = affine
        drawn = SAMPLINGS[sampling](space, np.random.default_rng(seed), count)
        self._members = list(islice(drawn, count))
        for genotype in self._members:
            architecture = space.decode(genotype)
            check_room(architecture.cost.params)  # of one alone, before it takes the memory
            self.member(architecture)

    def member(self, architecture: Architecture) -> Member:
        """Return a member with the weights of this module."""
        return Member(self.bank, architecture if self._affine else plain_norms(architecture))

    def forward(self, x: Tensor) -> Any:
        """Return the outputs of the next member, or of the first one in evaluation mode."""
        at = int(self.step) % len(self._members) if self.training else 0
        if self.training:
            self.step += 1
        member = self.member(self._space.decode(self._members[at]))
        return member.train(self.training)(x)


def uniform(space: SearchSpace, rng: np.random.Generator, count: int = 0) -> Iterator[Genotype]:
    """Yield members by drawing every choice uniformly (Guo et al. 2020, section 3.2)."""
    while True:
        yield space.sample(rng)


def fair(space: SearchSpace, rng: np.random.Generator, count: int = 0) -> Iterator[Genotype]:
    """Yield members so that the options of a choice are taken equally often.

    Each choice takes its options in a random order, and starts again once all were taken (Chu et
    al. 2021, "FairNAS", arXiv:1907.01845, algorithm 1). Unlike there, weights are updated after
    each member and not once per round, and a choice that a member does not ask waits.
    """
    waiting: dict[str, list[Option]] = {}

    def answer(name: str, options: tuple[Option, ...]) -> Option:
        left = waiting.setdefault(name, [])
        if not any(each in options for each in left):
            left += [options[place] for place in rng.permutation(len(options))]
        chosen = next(each for each in left if each in options)
        left.remove(chosen)
        return chosen

    vain = 0
    while vain < MAX_REJECTED:
        try:
            yield space.run(answer)[0]
            vain = 0
        except Infeasible as reason:
            vain, last = vain + 1, reason
    raise _nothing(space, vain, last)


def _nothing(space: SearchSpace, vain: int, last: Infeasible) -> NothingFeasible:
    return NothingFeasible(
        f"space {space.name}: {vain} draws in a row were infeasible; the last: {last}"
    )


def sandwich(space: SearchSpace, rng: np.random.Generator, count: int = 0) -> Iterator[Genotype]:
    """Yield the largest member, the smallest, and two random ones, again and again.

    This is the sandwich rule (Yu & Huang 2019, "Universally Slimmable Networks", arXiv:1903.05134,
    section 3.2; Yu et al. 2020, "BigNAS", arXiv:2003.11142, section 3.1). Sizes are
    multiply-accumulates, see :func:`nas.supernet.covering.extreme`.
    """
    ends = extreme(space, rng, 1), extreme(space, rng, -1)
    while True:
        yield from (*ends, space.sample(rng), space.sample(rng))


def shrinking(space: SearchSpace, rng: np.random.Generator, count: int) -> Iterator[Genotype]:
    """Yield the largest member, and then members with more and more of the smaller options.

    This is progressive shrinking (Cai et al. 2020, "Once-for-All", arXiv:1908.09791, section 3.3).
    In the first quarter of the ``count`` members, every choice among numbers has its largest one;
    over the next two quarters the others join, from the largest to the smallest, and the last
    quarter has all. Options that are not numbers are drawn from the beginning. Deviations: kernels,
    depths and widths shrink together and not one after the other, and the largest member teaches
    no others. Where the largest member breaks a constraint, smaller options join sooner.
    """
    more = 0.0
    for step in range(count):
        vain = 0
        while True:
            share = min(max(2 * step / count - 0.5, 0.0) + more, 1.0)

            def answer(_: str, options: tuple[Option, ...], share: float = share) -> Option:
                numbers = sorted(filter(is_number, options), reverse=True)
                allowed: list[Option] = [each for each in options if not is_number(each)]
                allowed += numbers[: max(1, ceil(share * len(numbers)))]
                return allowed[int(rng.integers(len(allowed)))]

            try:
                genotype = space.run(answer)[0]
                break
            except Infeasible as reason:
                vain, more = vain + 1, min(more + 0.01, 1.0)
                if vain == MAX_REJECTED:
                    raise _nothing(space, vain, reason) from None
        yield genotype


class SupernetTrainer(Trainer):
    """Trains a :class:`Supernet`; a step reads and writes only the weights of its members.

    What no member of a step has keeps its values and its moments, and is not decayed.
    """

    @cached_property
    def _steps(self) -> PartialSteps:
        return PartialSteps(self._optimizer)

    def _update(self, images: Tensor, targets: Tensor) -> Tensor:
        assert isinstance(self._network, Supernet)
        with self._network.bank.lending() as used:
            loss = self._loss(images, targets)
            loss.backward()  # type: ignore[no-untyped-call]
        self._step([leaf for _, leaf in used], partial(self._steps.step, used))
        return loss.detach()


class SandwichTrainer(SupernetTrainer):
    """Trains four members of a :class:`Supernet` in every step, by the sandwich rule.

    The largest one learns from the labels, and the others from its predictions, through which no
    gradient flows (in-place distillation: Yu et al. 2020, section 3.1). The losses are added.
    """

    def _loss(self, images: Tensor, targets: Tensor) -> Tensor:
        outputs = self._outputs(images, self._network)
        loss = self._loss_of(outputs, targets)
        largest = outputs[0] if isinstance(outputs, tuple) else outputs
        soft = self._task.predictions(largest.detach())
        for _ in range(_SANDWICH - 1):
            outputs = self._outputs(images, self._network)
            loss = loss + self._task.training_loss(
                outputs, soft, 0.0, self._recipe.auxiliary_weight
            )
        return loss


def trainer_of(sampling: Sampling) -> type[SupernetTrainer]:
    """Return the class that trains a supernet with this sampling."""
    return SandwichTrainer if sampling == "sandwich" else SupernetTrainer


SAMPLINGS: Mapping[str, Callable[[SearchSpace, np.random.Generator, int], Iterator[Genotype]]] = {
    "uniform": uniform,
    "fair": fair,
    "sandwich": sandwich,
    "shrinking": shrinking,
}
"""How a supernet draws the members that it trains, given how many are needed."""
