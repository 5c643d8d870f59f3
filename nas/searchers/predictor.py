"""Search guided by a predictor: a model is trained on all results and says what to try next."""

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from nas.configuration import validate_options
from nas.errors import InputError, at, in_file
from nas.predictors import PREDICTORS, Features, Prediction, Predictor
from nas.searchers.base import Observation, Proposal, Searcher
from nas.searchers.population import mutations_of, one_objective, succeeded, value
from nas.spaces.asked_space import NothingFeasible
from nas.spaces.choices import Genotype, difference, genotype_key, recipe_choices
from nas.spaces.encodings import Encoding
from nas.spaces.mutations import Neutral, Weights
from nas.spaces.search_space import SearchSpace

Floats = NDArray[np.float64]


def expected_improvement(found: Prediction, best: float, rng: np.random.Generator) -> Floats:
    """Returns how much lower than ``best`` each value is expected to be, negated."""
    deviation = np.maximum(found.deviation, 1e-12)
    z = (best - found.mean) / deviation
    scores: Floats = -deviation * (z * norm.cdf(z) + norm.pdf(z))
    return scores


def confidence_bound(found: Prediction, best: float, rng: np.random.Generator) -> Floats:
    """Returns two standard deviations below each mean."""
    return found.mean - 2 * found.deviation


def thompson(found: Prediction, best: float, rng: np.random.Generator) -> Floats:
    """Draws one value each (independent Thompson sampling, White et al. 2021, section 4)."""
    return rng.normal(found.mean, found.deviation)


def mean(found: Prediction, best: float, rng: np.random.Generator) -> Floats:
    """Returns the expected values."""
    return found.mean


ACQUISITIONS: dict[str, Callable[[Prediction, float, np.random.Generator], Floats]] = {
    "ei": expected_improvement,
    "ucb": confidence_bound,
    "thompson": thompson,
    "mean": mean,
}
"""What is proposed next: the candidate with the lowest score, given the lowest known value."""


_MOST_EXPLORATION = 1000


class PredictorSearch(Searcher):
    """Evaluates the mutant of the best genotypes that a predictor thinks most of.

    This is Bayesian optimisation in the form of White et al. 2021, "BANANAS" (AAAI;
    arXiv:1910.11858), Algorithm 1, with the predictor and the acquisition function by choice. The
    predictor is trained on all results. Candidates are mutations of the best genotypes so far, and
    random genotypes by choice; the one with the best acquisition is evaluated.

    Two parents differ in at least ``spacing`` choices ("clearing", Pétrowski 1996,
    doi:10.1109/ICEC.1996.542703): of close genotypes, only the best is a parent. Without this rule,
    all parents soon lie around one local optimum.

    The predictor learns the logarithm of a result's rank divided by the number of results. So
    units, outliers and infinite values do not matter, and the best genotypes are separated most.

    A genotype that was suggested before, failed or not, is no candidate. Where cells decide the
    identity (:meth:`nas.spaces.search_space.SearchSpace.identity`), this holds for the architecture
    and the searched recipe. If no candidate is left, a random genotype is proposed.

    Args:
        space: the space to search.
        seed: one or more non-negative integers.
        objectives: must be 1.
        model: the predictor, ``{name: ..., option: ...}`` or its bare name.
        features: the encodings that the predictor learns from, see :mod:`nas.spaces.encodings`; by
            default ``wl`` if the space has cells, else ``one_hot``.
        acquisition: how a candidate is chosen: ``ei`` is the expected improvement, ``ucb`` the mean
            minus two standard deviations, ``thompson`` a draw of its own for each candidate and
            trial, and ``mean`` the prediction alone.
        initial_size: trials are random until this many have succeeded.
        refit_every: the predictor is trained again, and candidates are made again, after this many
            successful trials.
        parents: the number of best genotypes that are mutated.
        spacing: two parents differ in at least this many choices.
        max_mutations: the largest number of mutations between a candidate and its parent.
        candidates: how many mutants are made each time.
        exploration: after n results, ``exploration / n`` times as many random genotypes are
            candidates, too (0: none). The published algorithm has none. With few results, the best
            genotypes are not good yet, and most others are far from them.
        mutations: the weights of the mutations by name (:mod:`nas.spaces.mutations`), by default
            those of the space.
        neutral: whether a child that is the same network as its parent is kept or redrawn, by
            default as the space says.

    With ``proxies`` in the campaign, the predictor also learns from their values. The feature of a
    proxy is the share of evaluated genotypes that have a smaller value, scaled to unit variance, so
    units and outliers do not matter.

    The note of a proposal that the predictor chose holds ``predicted``: the value that was
    predicted for it before it was evaluated, in the units of the objective, which is minimised.
    """

    name: ClassVar[str] = "predictor"
    takes_filter = takes_proxies = True
    of_cells: ClassVar[tuple[Encoding, ...]] = ("wl",)
    """The features of spaces that have cells, if none are named."""

    def __init__(
        self,
        space: SearchSpace,
        seed: int | Sequence[int],
        objectives: int = 1,
        *,
        model: dict[str, Any] | str = "gaussian_process",
        features: tuple[Encoding, ...] | None = None,
        acquisition: Literal["ei", "ucb", "thompson", "mean"] = "ucb",
        initial_size: int = 10,
        refit_every: int = 1,
        parents: int = 10,
        spacing: int = 2,
        max_mutations: int = 2,
        candidates: int = 100,
        exploration: float = 0.0,
        mutations: Weights | None = None,
        neutral: Neutral | None = None,
    ) -> None:
        super().__init__(space, seed, objectives)
        one_objective(self.name, objectives)
        for name, number, least in (
            ("initial_size", initial_size, 2),
            ("refit_every", refit_every, 1),
            ("parents", parents, 1),
            ("spacing", spacing, 1),
            ("max_mutations", max_mutations, 1),
            ("candidates", candidates, 1),
        ):
            if number < least:
                raise InputError(
                    f"searcher {self.name}: {name} must be at least {least}, got {number}"
                )
        if features is not None and not features:
            raise InputError(
                f"searcher {self.name}: features must be at least one of "
                f"{', '.join(get_args(Encoding))}, got none"
            )
        if not 0 <= exploration <= _MOST_EXPLORATION:
            raise InputError(
                f"searcher {self.name}: exploration must be from 0 to {_MOST_EXPLORATION}, got "
                f"{exploration}"
            )
        self.model = _predictor(model, f"searcher {self.name}")
        self.features = features
        self.acquisition = ACQUISITIONS[acquisition]
        self.initial_size = initial_size
        self.refit_every = refit_every
        self.parents = parents
        self.spacing = spacing
        self.max_mutations = max_mutations
        self.candidates = candidates
        self.exploration = exploration
        self.mutations = mutations_of(self.name, space, mutations, neutral)
        self._known: list[Features] = []
        self._values: list[float] = []
        self._genotypes: list[Genotype] = []
        self._asked: dict[Hashable, int] = {}
        self._round: _Round | None = None

    def ask(self, trial_id: int) -> Proposal:
        """Proposes a random genotype at first, then the candidate of the best acquisition."""
        rng = self.rng(trial_id)
        proposal = None
        # A space without choices has no features to learn from.
        if len(self._values) >= self.initial_size and any(self._known):
            proposal = self._chosen(self._current(), trial_id, rng)
        proposal = proposal or self.screened(rng, lambda rng: Proposal(self.space.sample(rng)))
        self.replay(trial_id, proposal)
        return proposal

    def replay(self, trial_id: int, proposal: Proposal) -> None:
        """Registers the proposal, so that its like is not proposed again."""
        self._features(proposal.genotype)  # raises at once if the space lacks the encoding
        self._asked.setdefault(self._likeness(proposal.genotype), trial_id)

    def tell(self, observation: Observation) -> None:
        """Adds a result to learn from; nothing is learnt from a failed trial."""
        self._asked.setdefault(self._likeness(observation.genotype), observation.trial_id)
        if succeeded(observation, 1):
            self._known.append(self._features(observation.genotype))
            self._values.append(value(observation))
            self._genotypes.append(observation.genotype)

    def _features(self, genotype: Genotype) -> Features:
        if self.features is None:
            self.features = self.of_cells if self.space.cell_graphs(genotype) else ("one_hot",)
        found: dict[str, float] = {}
        for encoding in self.features:
            found |= self.space.encode(genotype, encoding)
        return found

    def _with_places(
        self, features: list[Features], genotypes: list[Genotype], others: dict[str, Floats]
    ) -> list[Features]:
        """Adds where each genotype stands among others by each proxy, with unit variance."""
        for name, known in others.items():
            values = self.screen.scores[name](genotypes)
            between = known.searchsorted(values, "left") + known.searchsorted(values, "right")
            places = 12**0.5 * between / (2 * len(known))
            features = [
                {**each, f"proxy {name}": place}
                for each, place in zip(features, places.tolist(), strict=True)
            ]
        return features

    def _likeness(self, genotype: Genotype) -> Hashable:
        """Returns what genotypes share of which only one is proposed."""
        if not self.space.language.cells_decide:  # the identity would have to build the network
            return genotype_key(genotype)
        return self.space.identity(genotype), genotype_key(recipe_choices(genotype))

    def _chosen(
        self, current: "_Round", trial_id: int, rng: np.random.Generator
    ) -> Proposal | None:
        """Returns the best candidate whose like no other trial has."""
        scores = self.acquisition(current.prediction, current.targets[0], rng)
        for position in scores.argsort(kind="stable").tolist():
            genotype = current.candidates[position]
            if self._asked.get(self._likeness(genotype), trial_id) == trial_id:
                expected = float(current.prediction.mean[position])
                return Proposal(genotype, {"predicted": current.in_units(expected)})
        return None

    def _current(self) -> "_Round":
        """Returns what is predicted for the candidates, renewed if enough results have arrived."""
        results = len(self._values)
        known = results - (results - self.initial_size) % self.refit_every
        if self._round is None or self._round.known != known:
            rng = self.rng(-known)  # a negative id, which no trial has
            values = self._values[:known]
            targets = np.log((rankdata(values) - 0.5) / known)
            places = {
                name: np.sort(self.screen.scores[name](self._genotypes[:known]))
                for name in self.screen.features
            }
            examples = self._with_places(self._known[:known], self._genotypes[:known], places)
            self.model.fit(examples, targets, rng)
            candidates = self._candidates(known, rng)
            features = [self._features(each) for each in candidates]
            prediction = self.model.predict(self._with_places(features, candidates, places))
            self._round = _Round(known, candidates, prediction, np.sort(targets), np.sort(values))
        return self._round

    def _parents(self, known: int) -> list[Genotype]:
        """Returns the best of the first results that differ enough from each other, best first."""
        found: list[Genotype] = []
        for position in np.argsort(self._values[:known], kind="stable").tolist():
            genotype = self._genotypes[position]
            if all(difference(genotype, other) >= self.spacing for other in found):
                found.append(genotype)
                if len(found) == self.parents:
                    break
        return found

    def _candidates(self, known: int, rng: np.random.Generator) -> list[Genotype]:
        """Returns different mutants of the best results, and random genotypes."""
        parents = self._parents(known)
        found: dict[Hashable, Genotype] = {}
        childless: set[int] = set()  # a parent is found to have no feasible child only once
        for which, often in rng.random((self.candidates, 2)).tolist():
            position = int(which * len(parents))
            if position in childless:
                continue
            mutate = partial(self._mutant, parents[position], often, rng)
            try:
                mutant = self.screen.best(mutate, lambda genotype: genotype, repeats=True)
            except NothingFeasible:
                childless.add(position)
                continue
            found[genotype_key(mutant)] = mutant
        for _ in range(round(self.candidates * self.exploration / known)):
            draw = partial(self.space.sample, rng)
            genotype = self.screen.best(draw, lambda genotype: genotype, repeats=True)
            found[genotype_key(genotype)] = genotype
        return list(found.values())

    def _mutant(self, parent: Genotype, often: float, rng: np.random.Generator) -> Genotype:
        """Mutates a parent once or more; ``often``, from 0 to 1, says how often."""
        for _ in range(1 + int(often * self.max_mutations)):
            parent = self.space.child(parent, rng, self.mutations).genotype
        return parent


class _Round(NamedTuple):
    """The candidates of some trials, and what is predicted for them.

    Attributes:
        known: how many results the predictor was trained on.
        candidates: the genotypes.
        prediction: what is predicted for each.
        targets: what it was trained on, rising.
        values: the results that these stand for.
    """

    known: int
    candidates: list[Genotype]
    prediction: Prediction
    targets: Floats
    values: Floats

    def in_units(self, target: float) -> float | None:
        """Returns the value of a target, between results by interpolation, with six digits.

        Beyond the best result, the line from the middle result to the best goes on. None without
        finite values.
        """
        known = np.isfinite(self.values)
        values, targets = self.values[known], self.targets[known]
        if not len(values):
            return None
        if target < targets[0]:
            middle = len(values) // 2
            rise = targets[middle] - targets[0]
            slope = (values[middle] - values[0]) / rise if rise else 0.0
            found = values[0] + slope * (target - targets[0])
        else:
            found = np.interp(target, targets, values)
        return float(f"{found:.6g}")


def _predictor(given: dict[str, Any] | str, where: str) -> Predictor:
    """Makes a predictor of ``{name: ..., option: ...}`` or its bare name."""
    options = {"name": given} if isinstance(given, str) else dict(given)
    name = str(options.pop("name", None))
    with in_file(where), at("model"):
        with at("name"):
            kind = PREDICTORS[name]
        made: Predictor = kind(**validate_options(kind, options))
    return made
