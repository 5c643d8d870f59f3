"""The searcher interface: a searcher is a function of its seed and its observations."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, ClassVar

import numpy as np
from numpy.random.bit_generator import ISeedSequence

from nas.searchers.screening import Screen
from nas.spaces.choices import Genotype
from nas.spaces.search_space import SearchSpace


@dataclass(frozen=True)
class Proposal:
    """A genotype to evaluate.

    Attributes:
        genotype: a member of the searcher's space.
        note: plain JSON that the searcher wants recorded with the trial, such as its parent.
        fidelity: the total number of epochs that the network has been trained for when the trial
            ends. If the campaign's fidelity is not epochs, it is a percentage. None means full
            fidelity.
        continues: the id of the trial that this trial continues. If the fidelity is epochs, the
            training resumes from that trial's checkpoint.
    """

    genotype: Genotype
    note: Mapping[str, Any] = field(default_factory=dict)
    fidelity: int | None = None
    continues: int | None = None


@dataclass(frozen=True)
class Observation:
    """The result of a trial. It has no place for a test metric.

    Attributes:
        trial_id: the id under which :meth:`Searcher.ask` returned the proposal.
        genotype: the genotype that was evaluated.
        values: the objectives, all to be minimised; None if the trial failed.
        note: the note of the proposal.
        fidelity: the fidelity of the proposal.
        suggested: genotypes that the evaluator suggests.
        curve: the only objective after 1, 2, ... epochs, minimised like ``values``, with the epochs
            of the trials that it continues; empty unless :attr:`Searcher.takes_curves`.
    """

    trial_id: int
    genotype: Genotype
    values: tuple[float, ...] | None
    note: Mapping[str, Any] = field(default_factory=dict)
    fidelity: int | None = None
    suggested: Sequence[Genotype] = ()
    curve: Sequence[float] = ()

    def __post_init__(self) -> None:
        if self.values is not None and (not self.values or any(map(math.isnan, self.values))):
            raise ValueError(
                f"trial {self.trial_id}: values are numbers or, for a failed trial, None; "
                f"got {self.values!r}"
            )


def prediction(note: Mapping[str, Any], fidelity: float | None) -> float:
    """Returns the value that a searcher predicted for a trial, minimised; NaN if it did not.

    A prediction for another fidelity than that of the trial is no prediction of its result.
    """
    expected = note.get("predicted")
    meant = note.get("model", fidelity) == fidelity
    return expected if meant and isinstance(expected, float) else math.nan


class Searcher(ABC):
    """Proposes genotypes (:meth:`ask`) and learns from their results (:meth:`tell`).

    A searcher depends on its seed and on the sequence of calls of :meth:`ask` and :meth:`tell`
    alone. After an interruption it is rebuilt by calling :meth:`replay` and :meth:`tell` with
    what was recorded. Several trials may run at the same time and end in any order.

    Args:
        space: the space to search.
        seed: one or more non-negative integers.
        objectives: how many values an observation holds.

    A subclass takes its options as keyword-only arguments and raises
    :class:`nas.errors.InputError` if their values are wrong.
    """

    takes_initial: ClassVar[bool] = True
    """Whether it can start from known genotypes, which it observes before its own proposals."""
    takes_suggestions: ClassVar[bool] = False
    """Whether its proposals are those that the evaluator suggests."""
    takes_curves: bool = False
    """Whether it learns from the learning curves of trials."""
    takes_filter: bool = False
    """Whether a proxy can choose what it proposes, because it calls :meth:`screened`."""
    takes_proxies: bool = False
    """Whether it learns from the values of proxies, :attr:`Screen.features`."""
    screen: Screen = Screen()
    """What it may measure before it proposes."""

    def __init_subclass__(cls) -> None:
        # A subclass that proposes in its own way has to say itself what it takes.
        if "ask" in vars(cls):
            for name in ("takes_filter", "takes_proxies"):
                if name not in vars(cls):
                    setattr(cls, name, False)

    def __init__(self, space: SearchSpace, seed: int | Sequence[int], objectives: int = 1) -> None:
        self.space = space
        self.seed = (seed,) if isinstance(seed, int) else tuple(map(int, seed))
        self.objectives = objectives

    def rng(self, trial_id: int) -> np.random.Generator:
        """Returns the random generator of one trial, which depends on seed and id alone."""
        entropy = _Entropy(b"%a %d" % (self.seed, trial_id))
        # numpy's documentation lets PCG64 take any ISeedSequence, its type stub does not.
        return np.random.Generator(np.random.PCG64(entropy))  # type: ignore[arg-type]

    def use(self, screen: Screen) -> None:
        """Receives what it may measure before it proposes."""
        self.screen = screen

    def screened(
        self, rng: np.random.Generator, propose: Callable[[np.random.Generator], Proposal]
    ) -> Proposal:
        """Returns a proposal; with a filter, the best of several by a proxy.

        Args:
            rng: the generator of the trial.
            propose: makes a proposal with it, and changes nothing else.
        """
        return self.screen.best(lambda: propose(rng), lambda proposal: proposal.genotype)

    @abstractmethod
    def ask(self, trial_id: int) -> Proposal | None:
        """Returns what to evaluate under this id, or None if it needs more results first.

        Two calls with the same id return the same proposal if there was no :meth:`tell` between.
        """

    def is_owed(self, trial_id: int) -> bool:
        """Returns whether a proposal is the result of what the budget was spent on.

        It is then evaluated even if the budget is spent.
        """
        return False

    def replay(self, trial_id: int, proposal: Proposal) -> None:  # noqa: B027 - most need nothing
        """Registers a recorded or an initial proposal; needed if :meth:`ask` changes the searcher.

        The note of an initial proposal, which the searcher did not make, holds ``initial`` alone.
        """

    @abstractmethod
    def tell(self, observation: Observation) -> None:
        """Learns from a finished trial.

        A trial that was neither asked nor replayed here comes from another searcher and has an
        empty note. Its result counts like any other.
        """


class _Entropy(ISeedSequence):
    """Seeds a generator with the hash of a text: five times faster than ``SeedSequence``."""

    def __init__(self, text: bytes) -> None:
        self._text = text

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> np.ndarray:
        """Returns ``n_words`` words of the hash; numpy's generators call this."""
        size = n_words * np.dtype(dtype).itemsize
        return np.frombuffer(blake2b(self._text, digest_size=size).digest(), dtype)
