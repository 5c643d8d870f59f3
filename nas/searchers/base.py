"""What every searcher is: a function of its seed and of what it was told."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence

from nas.spaces.search_space import Genotype, SearchSpace


@dataclass(frozen=True)
class Proposal:
    """A genotype to evaluate.

    Attributes:
        genotype: of the searcher's space.
        note: what the searcher wants recorded with the trial (its parent, say), plain JSON.
        fidelity: how many epochs it will have been trained when the trial ends, or percent of
            what else the campaign saves on; None: all that the campaign trains.
        continues: the trial id whose training this trial goes on with, from its checkpoint where
            fidelity is epochs.
    """

    genotype: Genotype
    note: Mapping[str, Any] = field(default_factory=dict)
    fidelity: int | None = None
    continues: int | None = None


@dataclass(frozen=True)
class Observation:
    """How a trial did. There is no place in it for a test metric.

    Attributes:
        trial_id: the id that the proposal was asked under.
        genotype: what was evaluated.
        values: the objectives, all to be minimised; None when the trial failed.
        note: the proposal's.
        fidelity: the proposal's.
    """

    trial_id: int
    genotype: Genotype
    values: tuple[float, ...] | None
    note: Mapping[str, Any] = field(default_factory=dict)
    fidelity: int | None = None

    def __post_init__(self) -> None:
        if self.values is not None and (not self.values or any(map(math.isnan, self.values))):
            raise ValueError(
                f"trial {self.trial_id}: values are numbers or, for a failed trial, None; "
                f"got {self.values!r}"
            )


class Searcher(ABC):
    """Proposes genotypes (:meth:`ask`) and hears how they did (:meth:`tell`).

    A searcher is a function of its seed and of the asks and tells so far, in their order: it is
    rebuilt by :meth:`replay` and :meth:`tell` of what was recorded. Several trials may be under
    way at a time and end in any order.

    Args:
        space: where to search.
        seed: one or more non-negative integers.
        objectives: how many values an observation holds.

    A subclass takes its options as keyword-only arguments, and raises
    :class:`nas.errors.InputError` where their values are wrong.
    """

    def __init__(self, space: SearchSpace, seed: int | Sequence[int], objectives: int = 1) -> None:
        self.space = space
        self.seed = (seed,) if isinstance(seed, int) else tuple(map(int, seed))
        self.objectives = objectives

    def rng(self, trial_id: int) -> np.random.Generator:
        """The randomness of one trial: the same whenever, and after whatever, it is asked."""
        entropy = _Entropy(b"%a %d" % (self.seed, trial_id))
        # numpy's documentation lets PCG64 take any ISeedSequence, its type stub does not.
        return np.random.Generator(np.random.PCG64(entropy))  # type: ignore[arg-type]

    @abstractmethod
    def ask(self, trial_id: int) -> Proposal | None:
        """What to evaluate under this id; None: nothing until more is told.

        Asked twice with nothing told in between, it answers the same.
        """

    def replay(self, trial_id: int, proposal: Proposal) -> None:  # noqa: B027 - most need nothing
        """Takes a recorded ask for asked; needed only where :meth:`ask` leaves a trace."""

    @abstractmethod
    def tell(self, observation: Observation) -> None:
        """Takes note of a finished trial.

        One that was neither asked nor replayed is another searcher's, with an empty note: a
        result to learn from all the same.
        """


class _Entropy(ISeedSequence):
    """A text's hash as the seed of a generator: a fifth of the time of numpy's ``SeedSequence``."""

    def __init__(self, text: bytes) -> None:
        self._text = text

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> np.ndarray:
        """``n_words`` of the hash, as numpy's generators ask for them."""
        size = n_words * np.dtype(dtype).itemsize
        return np.frombuffer(blake2b(self._text, digest_size=size).digest(), dtype)
