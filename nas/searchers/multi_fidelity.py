"""The base of the multi-fidelity searchers: a training schedule around any other searcher."""

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

from nas.configuration import validate_options
from nas.errors import InputError, at, in_file
from nas.searchers import SEARCHERS, searcher
from nas.searchers.base import Observation, Proposal, Searcher
from nas.searchers.population import succeeded
from nas.searchers.screening import Screen
from nas.spaces.search_space import SearchSpace
from nas.statistics.learning_curves import FEWEST, expected_end
from nas.statistics.pareto import best_first

Values = tuple[float, ...]
"""The objectives of a trial, all to be minimised."""

Promotion = Literal["value", "learning_curve"]
"""What trials of a rung are compared by: see :class:`MultiFidelity`."""


def fidelities(minimum: int, maximum: int, factor: int) -> tuple[int, ...]:
    """Returns the epochs of every rung, rising: ``maximum / factor**k``, down to ``minimum``.

    If ``maximum`` is ``minimum * factor**K``, these are the papers' ``r * eta**k``. Otherwise they
    are the r_i of Hyperband's Algorithm 1, which are computed downwards from the maximum, rounded
    to whole epochs. The lowest is then above the minimum; the highest is always the maximum.
    """
    rungs = 0
    while minimum * factor ** (rungs + 1) <= maximum:
        rungs += 1
    return tuple((2 * maximum + factor**k) // (2 * factor**k) for k in range(rungs, -1, -1))


class Job(NamedTuple):
    """A training that a schedule requests, of a new configuration or of one that continues.

    Attributes:
        fidelity: the total number of epochs when it ends, or a percentage if the campaign's
            fidelity is not epochs.
        continues: the trial that is continued; None for a new configuration.
        bracket: the number of its bracket, if the schedule has brackets.
    """

    fidelity: int
    continues: int | None = None
    bracket: int | None = None


class Schedule(ABC):
    """Decides what is trained next and how long; only :meth:`start` and :meth:`end` change it."""

    @abstractmethod
    def next(self) -> Job:
        """Returns the next job; if nothing can be continued, a new configuration."""

    @abstractmethod
    def start(self, trial_id: int, job: Job) -> None:
        """Registers that the trial does the job."""

    @abstractmethod
    def end(self, trial_id: int, values: Values | None) -> None:
        """Registers the objectives of a trial; None if it failed."""

    @property
    @abstractmethod
    def waiting(self) -> set[int]:
        """The trials that have ended and may yet go on."""


def ranked(results: Iterable[tuple[Values, int]]) -> list[int]:
    """Returns trials, the best first: whom a schedule promotes before whom.

    One objective sorts them by its value, several by non-dominated rank and, within a front, by
    crowding distance (:func:`nas.statistics.pareto.best_first`). Among equals, the trial that was
    proposed first is the better one.

    Args:
        results: the objectives and the id of each trial.
    """
    given = sorted(results, key=lambda result: result[1])
    return [given[place][1] for place in best_first([values for values, _ in given])]


class MultiFidelity(Searcher):
    """Stops bad configurations early; an inner searcher proposes new ones.

    The inner searcher is any of :data:`nas.searchers.SEARCHERS` that is not multi-fidelity
    itself. Every rung has its own instance of it, which observes all results of that rung and no
    others, so values at different fidelities are never compared. A new configuration comes from
    the instance of the highest rung that has at least ``min_points`` successful trials, or from
    the lowest rung if there is none (Falkner et al. 2018, arXiv:1807.01774, section 4.1: the
    model of the largest budget with enough observations). With TPE as the inner searcher this is
    BOHB's rule; evolution picks its parents among the networks that were trained longest.

    New configurations start at the lowest rung. If the instance of a higher rung proposed one, it
    observes a failure at once, so that it does not wait. If the configuration later reaches the
    instance's rung, the instance observes it like a result of another searcher.

    Failed trials count as ended and are never promoted. With several objectives, trials are
    promoted by :func:`ranked`, as in MO-ASHA (Schmucker et al. 2021, "Multi-objective Asynchronous
    Successive Halving", arXiv:2106.12639, Algorithm 1). Deviation: within a front, the paper's
    recommended order is that of an epsilon-net; here it is the crowding distance of NSGA-II, which
    the paper compares with. The inner searcher must then take several objectives, too.

    With ``promotion: learning_curve``, a schedule compares the trials of a rung by the values that
    they are expected to reach at ``max_fidelity``
    (:func:`nas.statistics.learning_curves.expected_end`, after Domhan et al. 2015), because the
    curves of two trials may still cross. A trial that cannot be extrapolated is expected to keep
    its value: in the rungs of fewer than four epochs, where all trials are then compared by their
    values, and where a point of the curve is not finite. Among rising curves, this sets it back.
    The fidelity is then epochs, and there is one objective. The inner searcher observes the values
    that were measured. On published curves, promotion by value is better (results/promotion.md).

    Args:
        space: the space to search.
        seed: one or more non-negative integers.
        objectives: how many values an observation holds.
        max_fidelity: the epochs of a full training (R in the papers), or 100 if the campaign's
            fidelity is a percentage.
        min_fidelity: the lowest fidelity at which a configuration is judged (r in the papers).
        reduction_factor: one in this many configurations is promoted, to this many times the
            fidelity (eta in the papers).
        searcher: the inner searcher, ``{name: ..., option: ...}`` or its bare name.
        min_points: how many successful trials a rung needs before its instance proposes. A good
            choice is the number of random trials that the inner searcher starts with.
        random_fraction: the share of new configurations that are always random.
        promotion: what the trials of a rung are compared by: their ``value``, or the value that
            their ``learning_curve`` is expected to reach at ``max_fidelity``.

    The note of a new configuration is that of the inner searcher plus ``model``: the fidelity of
    the instance that proposed it, or None for a random one. With brackets, every note also holds
    ``bracket``.
    """

    name: ClassVar[str]
    takes_initial: ClassVar[bool] = False

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
        promotion: Promotion = "value",
    ) -> None:
        super().__init__(space, seed, objectives)
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
        self.takes_curves = promotion == "learning_curve"
        if self.takes_curves and objectives > 1:
            raise self._wrong(
                f"promotion: learning_curve compares trials by the curve of one objective; allowed "
                f"with {objectives} objectives: value"
            )
        self.reduction_factor = reduction_factor
        self.min_points = min_points
        self.random_fraction = random_fraction
        self.fidelities = fidelities(min_fidelity, max_fidelity, reduction_factor)
        self._models = {
            fidelity: self._within(searcher, rung) for rung, fidelity in enumerate(self.fidelities)
        }
        inner = self._models[self.fidelities[0]]
        self.takes_filter, self.takes_proxies = inner.takes_filter, inner.takes_proxies
        self._points = dict.fromkeys(self.fidelities, 0)
        self._asked: dict[int, Proposal] = {}
        self._schedule = self._make_schedule()

    def use(self, screen: Screen) -> None:
        """Receives what its inner searcher may measure before it proposes.

        With a filter, every new configuration is the best of several by a proxy, so the proxy is a
        rung below the lowest one.
        """
        super().use(screen)
        for model in self._models.values():
            model.use(screen)

    @abstractmethod
    def _make_schedule(self) -> Schedule:
        """Makes a schedule in its initial state."""

    def ask(self, trial_id: int) -> Proposal | None:
        """Proposes to continue a configuration, or a new one; None if the inner searcher has none.

        A second call with the same id returns the same proposal.
        """
        if trial_id not in self._asked:
            proposal = self._proposal(trial_id, self._schedule.next())
            if proposal is None:
                return None
            self._enter(trial_id, proposal)
        return self._asked[trial_id]

    def replay(self, trial_id: int, proposal: Proposal) -> None:
        """Registers a recorded proposal, whatever :meth:`ask` would return now."""
        proposer = proposal.note.get("model")
        if proposer is not None:
            note = _proposers(proposal.note)
            self._models[proposer].replay(trial_id, Proposal(proposal.genotype, note))
        self._enter(trial_id, proposal)

    def tell(self, observation: Observation) -> None:
        """Gives a result to the instance of its rung and, if it was asked, to the schedule."""
        trial_id, values = observation.trial_id, observation.values
        fidelity = observation.fidelity or self.fidelities[-1]
        note: Mapping[str, Any] = {}
        if trial_id in self._asked:
            proposal = self._asked[trial_id]
            fidelity = _fidelity(proposal)
            if proposal.note.get("model") == fidelity:
                note = _proposers(proposal.note)
            succeeded(observation, self.objectives)  # raises if there are not so many values
            self._schedule.end(trial_id, self._compared(observation))
        if fidelity in self._models:
            self._models[fidelity].tell(Observation(trial_id, observation.genotype, values, note))
            self._points[fidelity] += values is not None

    @property
    def waiting(self) -> set[int]:
        """The trials that have ended and may yet go on."""
        return self._schedule.waiting

    def _compared(self, observation: Observation) -> Values | None:
        """Returns what the schedule compares the trial by; None if it failed."""
        most, values, curve = self.fidelities[-1], observation.values, observation.curve
        if not self.takes_curves or values is None or not FEWEST <= len(curve) < most:
            return values
        if not all(map(math.isfinite, curve)):
            return values
        return (-expected_end([-value for value in curve], most),)

    def _proposal(self, trial_id: int, job: Job) -> Proposal | None:
        note: dict[str, Any] = {} if job.bracket is None else {"bracket": job.bracket}
        if job.continues is not None:
            genotype = self._asked[job.continues].genotype
            return Proposal(genotype, note, job.fidelity, job.continues)
        if self.random_fraction:
            rng = self.rng(trial_id)
            if rng.random() < self.random_fraction:
                note = {**note, "model": None}
                return self.screened(
                    rng, lambda rng: Proposal(self.space.sample(rng), note, job.fidelity)
                )
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
        with in_file(f"searcher {self.name}"), at("searcher", "name"):
            kind = SEARCHERS[name]
        if isinstance(kind, type) and issubclass(kind, MultiFidelity):
            raise self._wrong(f"searcher.name: {name} is a multi-fidelity searcher itself")
        if kind.takes_suggestions:
            raise self._wrong(f"searcher.name: {name} proposes only what an evaluator suggests")
        for key in ("warm_start", "filter", "proxies"):
            if key in options and key not in inspect.signature(kind).parameters:
                raise self._wrong(f"searcher.{key}: give it to {self.name} itself")
        with in_file(f"searcher {self.name}"), at("searcher"):
            initial = options.pop("initial", ())
            if not isinstance(initial, list | tuple):
                raise InputError(f"must be a list of members, got {initial!r}", "initial")
            options = validate_options(kind, options)
            return searcher(
                name,
                space=self.space,
                seed=(*self.seed, rung),
                objectives=self.objectives,
                initial=initial,
                **options,
            )

    def _wrong(self, what: str) -> InputError:
        return InputError(f"searcher {self.name}: {what}")


def _fidelity(proposal: Proposal) -> int:
    if proposal.fidelity is None:
        raise ValueError("the proposal is not of a multi-fidelity searcher: it has no fidelity")
    return proposal.fidelity


def _proposers(note: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the inner searcher's part of a note."""
    return {key: value for key, value in note.items() if key not in ("bracket", "model")}
