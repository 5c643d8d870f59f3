"""What the multi-fidelity searchers share: a schedule of trainings over any other searcher."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from nas.configuration import validate_options
from nas.errors import InputError
from nas.registry import unknown
from nas.searchers import SEARCHERS, searcher
from nas.searchers.base import Observation, Proposal, Searcher
from nas.searchers.population import one_objective
from nas.spaces.search_space import SearchSpace


def fidelities(minimum: int, maximum: int, factor: int) -> tuple[int, ...]:
    """The epochs of every rung, in rising order: ``maximum / factor**k``, down to ``minimum``.

    Where ``maximum`` is ``minimum * factor**K`` these are the papers' ``r * eta**k``. Elsewhere
    they are the r_i of Hyperband's Algorithm 1, which hang from the maximum, rounded to epochs;
    the lowest is then more than the minimum, and the highest is the full training all the same.
    """
    rungs = 0
    while minimum * factor ** (rungs + 1) <= maximum:
        rungs += 1
    return tuple((2 * maximum + factor**k) // (2 * factor**k) for k in range(rungs, -1, -1))


class Job(NamedTuple):
    """A training that a schedule wants: of a new configuration, or of one that goes on.

    Attributes:
        fidelity: epochs trained in all when it ends, or percent of what else is saved on.
        continues: the trial that goes on; None: a new configuration.
        bracket: the run of successive halving that it belongs to, where there are several.
    """

    fidelity: int
    continues: int | None = None
    bracket: int | None = None


class Schedule(ABC):
    """Decides what is trained next and how far; changes in :meth:`start` and :meth:`end` alone."""

    @abstractmethod
    def next(self) -> Job:
        """What to train now. There always is something: a new configuration, if nothing else."""

    @abstractmethod
    def start(self, trial_id: int, job: Job) -> None:
        """Takes note that the trial does the job."""

    @abstractmethod
    def end(self, trial_id: int, value: float | None) -> None:
        """Takes note of what a trial reached, the smaller the better; None: it failed."""

    @property
    @abstractmethod
    def waiting(self) -> set[int]:
        """The trials that have ended and may yet go on."""


class MultiFidelity(Searcher):
    """A schedule that stops bad configurations early, over a searcher that proposes new ones.

    The searcher within is any of :data:`nas.searchers.SEARCHERS` that is not multi-fidelity
    itself. There is one instance of it for every rung, which is told the results of that rung
    alone, whoever proposed what: values at unlike fidelities are never compared. A new
    configuration comes from the instance of the highest rung with at least ``min_points``
    successes, otherwise of the lowest (Falkner et al. 2018, arXiv:1807.01774, section 4.1: the
    model of the largest budget with enough observations). With TPE within this is BOHB's rule,
    and evolution within picks its parents among what was trained the longest.

    What an instance proposed for another rung has failed as far as it knows, at once, so that it
    does not wait for it; where that configuration gets to its rung, it hears of it as of one that
    another searcher proposed.

    Failed trials count as told, and never go on.

    Args:
        space: where to search.
        seed: one or more non-negative integers.
        objectives: must be 1.
        max_fidelity: epochs of a full training (R of the papers), or 100 where the campaign's
            fidelity is in percent.
        min_fidelity: the fewest that a configuration is judged by (r).
        reduction_factor: one in so many goes on to so many times the fidelity (eta).
        searcher: the searcher within, ``{name: ..., option: ...}`` or its bare name.
        min_points: successes that a rung needs before its instance proposes. As many as the
            searcher within draws at random to start with is a good choice.
        random_fraction: the share of new configurations drawn at random all the same.

    The note of a new configuration is its proposer's with ``model`` (the fidelity of the instance
    that proposed it, None for a random one); with brackets, every note holds ``bracket``.
    """

    name: ClassVar[str]

    def __init__(
        self,
        space: SearchSpace,
        seed: int | Sequence[int],
        objectives: int = 1,
        *,
        max_fidelity: int,
        min_fidelity: int = 1,
        reduction_factor: int = 3,
        searcher: dict[str, Any] | str = "random",
        min_points: int = 10,
        random_fraction: float = 0.0,
    ) -> None:
        super().__init__(space, seed, objectives)
        one_objective(self.name, objectives)
        if reduction_factor < 2:
            raise self._wrong(f"reduction_factor must be at least 2, got {reduction_factor}")
        if not 1 <= min_fidelity <= max_fidelity:
            raise self._wrong(
                f"min_fidelity must be from 1 to max_fidelity ({max_fidelity}), got {min_fidelity}"
            )
        if min_points < 1:
            raise self._wrong(f"min_points must be at least 1, got {min_points}")
        if not 0 <= random_fraction <= 1:
            raise self._wrong(f"random_fraction must be from 0 to 1, got {random_fraction}")
        self.reduction_factor = reduction_factor
        self.min_points = min_points
        self.random_fraction = random_fraction
        self.fidelities = fidelities(min_fidelity, max_fidelity, reduction_factor)
        self._models = {
            fidelity: self._within(searcher, rung) for rung, fidelity in enumerate(self.fidelities)
        }
        self._points = dict.fromkeys(self.fidelities, 0)
        self._asked: dict[int, Proposal] = {}
        self._schedule = self._make_schedule()

    @abstractmethod
    def _make_schedule(self) -> Schedule:
        """A schedule at its start."""

    def ask(self, trial_id: int) -> Proposal | None:
        """A configuration that goes on, or a new one; None: the searcher within has none now.

        For a trial id asked before, the same again.
        """
        if trial_id not in self._asked:
            proposal = self._proposal(trial_id, self._schedule.next())
            if proposal is None:
                return None
            self._enter(trial_id, proposal)
        return self._asked[trial_id]

    def replay(self, trial_id: int, proposal: Proposal) -> None:
        """Takes a recorded ask for asked; the record stands, whatever would be asked now."""
        proposer = proposal.note.get("model")
        if proposer is not None:
            note = _proposers(proposal.note)
            self._models[proposer].replay(trial_id, Proposal(proposal.genotype, note))
        self._enter(trial_id, proposal)

    def tell(self, observation: Observation) -> None:
        """A result for the instance of its rung and, if it was asked, for the schedule."""
        trial_id, values = observation.trial_id, observation.values
        fidelity = observation.fidelity or self.fidelities[-1]
        note: Mapping[str, Any] = {}
        if trial_id in self._asked:
            proposal = self._asked[trial_id]
            fidelity = _fidelity(proposal)
            if proposal.note.get("model") == fidelity:
                note = _proposers(proposal.note)
            self._schedule.end(trial_id, None if values is None else values[0])
        if fidelity in self._models:
            self._models[fidelity].tell(Observation(trial_id, observation.genotype, values, note))
            self._points[fidelity] += values is not None

    @property
    def waiting(self) -> set[int]:
        """The trials that have ended and may yet go on."""
        return self._schedule.waiting

    def _proposal(self, trial_id: int, job: Job) -> Proposal | None:
        note = {} if job.bracket is None else {"bracket": job.bracket}
        if job.continues is not None:
            genotype = self._asked[job.continues].genotype
            return Proposal(genotype, note, job.fidelity, job.continues)
        if self.random_fraction:
            rng = self.rng(trial_id)
            if rng.random() < self.random_fraction:
                return Proposal(self.space.sample(rng), {**note, "model": None}, job.fidelity)
        lowest = self.fidelities[0]
        for model in reversed(self.fidelities):
            if model == lowest or self._points[model] >= self.min_points:
                asked = self._models[model].ask(trial_id)
                if asked is not None:
                    note = {**asked.note, **note, "model": model}
                    return Proposal(asked.genotype, note, job.fidelity)
        return None

    def _enter(self, trial_id: int, proposal: Proposal) -> None:
        self._asked[trial_id] = proposal
        fidelity, note = _fidelity(proposal), proposal.note
        self._schedule.start(trial_id, Job(fidelity, proposal.continues, note.get("bracket")))
        if note.get("model") not in (None, fidelity):
            elsewhere = Observation(trial_id, proposal.genotype, None, _proposers(note))
            self._models[note["model"]].tell(elsewhere)

    def _within(self, given: dict[str, Any] | str, rung: int) -> Searcher:
        options = {"name": given} if isinstance(given, str) else dict(given)
        name = str(options.pop("name", None))
        if name not in SEARCHERS:
            raise self._wrong(f"searcher.name: {unknown('searcher', name, SEARCHERS)}")
        kind = SEARCHERS[name]
        if isinstance(kind, type) and issubclass(kind, MultiFidelity):
            raise self._wrong(f"searcher.name: {name} is a multi-fidelity searcher itself")
        options = validate_options(kind, options, f"searcher {self.name}", "searcher")
        return searcher(name, space=self.space, seed=(*self.seed, rung), **options)

    def _wrong(self, what: str) -> InputError:
        return InputError(f"searcher {self.name}: {what}")


def _fidelity(proposal: Proposal) -> int:
    if proposal.fidelity is None:
        raise ValueError("the proposal is not of a multi-fidelity searcher: it has no fidelity")
    return proposal.fidelity


def _proposers(note: Mapping[str, Any]) -> dict[str, Any]:
    """What the searcher within has noted."""
    return {key: value for key, value in note.items() if key not in ("bracket", "model")}
