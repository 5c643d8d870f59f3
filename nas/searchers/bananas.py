"""BANANAS: search guided by an ensemble of networks that predict the value of architectures."""

import warnings
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from threadpoolctl import ThreadpoolController

from nas.errors import InputError
from nas.searchers.base import Observation, Proposal, Searcher
from nas.searchers.population import mutations_of, one_objective, succeeded, value
from nas.spaces.choices import Genotype, difference, genotype_key, recipe_choices
from nas.spaces.encodings import Encoding, matrix, vocabulary
from nas.spaces.mutations import Neutral, Weights
from nas.spaces.search_space import NothingFeasible, SearchSpace

Features = Mapping[str, float]

# The matrices are too small to gain from threads. One thread also gives the same sums on any
# number of cores.
_THREADS = ThreadpoolController()


class Bananas(Searcher):
    """Mutates the best genotypes and evaluates the mutant that an ensemble predicts to be best.

    White et al. 2021, "BANANAS: Bayesian Optimization with Neural Architectures for Neural
    Architecture Search" (AAAI; arXiv:1910.11858), Algorithm 1. An ensemble of five networks is
    trained on all results. Candidates are mutations of the best genotypes so far. For each
    candidate, one value is drawn from the normal distribution that has the mean and the standard
    deviation of the five predictions (independent Thompson sampling, section 4). The candidate
    with the lowest value is evaluated. As in the authors' code, the networks are trained again and
    the candidates are made again after every ten results.

    Deviations from the paper:

    - Every trial draws values of its own for the candidates that are left. The paper evaluates
      the ten best candidates of one draw.
    - There are 300 candidates, made from ten parents by one or two mutations. The authors' code
      has 100, nearly all made from the very best by one mutation.
    - Two parents differ in at least two choices ("clearing", Pétrowski 1996,
      doi:10.1109/ICEC.1996.542703): of close genotypes, only the best is a parent. Without this
      rule, all parents soon lie around one local optimum. On NAS-Bench-201 such searches often
      stayed there, because no mutant reached the region of the best cells.
    - The first twenty genotypes are random, where the authors' code has ten. What the networks
      know about other regions of the space comes from these trials alone.
    - The networks have three layers of 20 units instead of ten layers. They are trained by 30
      iterations of L-BFGS, which takes a third of the time of 100 epochs of Adam and predicts no
      worse on NAS-Bench-201.
    - The networks learn the logarithm of the rank instead of the relative error. So units,
      outliers and infinite values do not matter, and the best genotypes are separated most.

    A genotype that was suggested before, failed or not, is no candidate. Where cells decide the
    identity (:meth:`nas.spaces.search_space.SearchSpace.identity`), this holds for the architecture
    and the searched recipe; equal path encodings do not count, because unlike cells can share
    one. If no candidate is left, a random genotype is proposed. The time of a fit grows with the
    number of results: on NAS-Bench-201 it is 0.2 seconds for 1,000 results and 5 seconds for
    30,000.

    Args:
        space: the space to search.
        seed: one or more non-negative integers.
        objectives: must be 1.
        encoding: the input of the networks, see :mod:`nas.spaces.encodings`; by default ``path``
            if the space has cells, else ``one_hot``.
        initial_size: trials are random until this many have succeeded.
        refit_every: the networks are trained again, and candidates are made again, after this many
            successful trials.
        networks: the number of networks in the ensemble.
        parents: the number of best genotypes that are mutated.
        spacing: two parents differ in at least this many choices.
        max_mutations: the largest number of mutations between a candidate and its parent.
        candidates: how many mutants are made each time.
        mutations: the weights of the mutations by name (:mod:`nas.spaces.mutations`), by default
            those of the space.
        neutral: whether a child that is the same network as its parent is kept or redrawn, by
            default as the space says.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int | Sequence[int],
        objectives: int = 1,
        *,
        encoding: Encoding | None = None,
        initial_size: int = 20,
        refit_every: int = 10,
        networks: int = 5,
        parents: int = 10,
        spacing: int = 2,
        max_mutations: int = 2,
        candidates: int = 300,
        mutations: Weights | None = None,
        neutral: Neutral | None = None,
    ) -> None:
        super().__init__(space, seed, objectives)
        one_objective("bananas", objectives)
        for name, number, least in (
            ("initial_size", initial_size, 2),
            ("refit_every", refit_every, 1),
            ("networks", networks, 2),
            ("parents", parents, 1),
            ("spacing", spacing, 1),
            ("max_mutations", max_mutations, 1),
            ("candidates", candidates, 1),
        ):
            if number < least:
                raise InputError(f"searcher bananas: {name} must be at least {least}, got {number}")
        self.encoding = encoding
        self.initial_size = initial_size
        self.refit_every = refit_every
        self.networks = networks
        self.parents = parents
        self.spacing = spacing
        self.max_mutations = max_mutations
        self.candidates = candidates
        self.mutations = mutations_of("bananas", space, mutations, neutral)
        self._known: list[Features] = []
        self._values: list[float] = []
        self._genotypes: list[Genotype] = []
        self._asked: dict[Hashable, int] = {}
        self._round: _Round | None = None

    def ask(self, trial_id: int) -> Proposal:
        """Proposes a random genotype at first, then the candidate with the lowest draw."""
        rng = self.rng(trial_id)
        chosen = None
        # A space without choices has no features to learn from.
        if len(self._values) >= self.initial_size and any(self._known):
            chosen = self._chosen(self._current(), trial_id, rng)
        proposal = Proposal(self.space.sample(rng) if chosen is None else chosen)
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
        if self.encoding is None:
            self.encoding = "path" if self.space.cell_graphs(genotype) else "one_hot"
        return self.space.encode(genotype, self.encoding)

    def _likeness(self, genotype: Genotype) -> Hashable:
        """Returns what genotypes share of which only one is proposed."""
        if not self.space.language.cells_decide:  # the identity would have to build the network
            return genotype_key(genotype)
        return self.space.identity(genotype), genotype_key(recipe_choices(genotype))

    def _chosen(
        self, current: "_Round", trial_id: int, rng: np.random.Generator
    ) -> Genotype | None:
        """Returns the best draw among the candidates whose like no other trial has."""
        for position in thompson(current.predictions, rng):
            genotype = current.candidates[position]
            if self._asked.get(self._likeness(genotype), trial_id) == trial_id:
                return genotype
        return None

    def _current(self) -> "_Round":
        """Returns the ensemble's view of the candidates, renewed if enough results have arrived."""
        results = len(self._values)
        known = results - (results - self.initial_size) % self.refit_every
        if self._round is None or self._round.known != known:
            rng = self.rng(-known)  # a negative id, which no trial has
            ensemble = _Ensemble(self._known[:known], self._values[:known], self.networks, rng)
            candidates = self._mutants(self._parents(known), rng)
            predictions = ensemble.predictions([self._features(each) for each in candidates])
            self._round = _Round(known, candidates, predictions)
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

    def _mutants(self, parents: list[Genotype], rng: np.random.Generator) -> list[Genotype]:
        """Returns different mutants of the parents."""
        found: dict[Hashable, Genotype] = {}
        childless: set[int] = set()  # a parent is found to have no feasible child only once
        for which, often in rng.random((self.candidates, 2)).tolist():
            position = int(which * len(parents))
            if position in childless:
                continue
            mutant = parents[position]
            try:
                for _ in range(1 + int(often * self.max_mutations)):
                    mutant = self.space.child(mutant, rng, self.mutations).genotype
            except NothingFeasible:
                childless.add(position)
                continue
            found[genotype_key(mutant)] = mutant
        return list(found.values())


class _Round(NamedTuple):
    """The candidates of some trials, and what an ensemble predicts for them.

    Attributes:
        known: how many results the ensemble was trained on.
        candidates: the genotypes.
        predictions: [networks, candidates].
    """

    known: int
    candidates: list[Genotype]
    predictions: NDArray[np.float64]


def thompson(predictions: NDArray[np.float64], rng: np.random.Generator) -> list[int]:
    """Returns the candidates by their draws, lowest first; takes [networks, candidates]."""
    draws = rng.normal(predictions.mean(axis=0), predictions.std(axis=0))
    order: list[int] = draws.argsort(kind="stable").tolist()
    return order


class _Ensemble:
    """Networks that predict the logarithm of a result's rank divided by the number of results."""

    def __init__(
        self,
        features: Sequence[Features],
        values: Sequence[float],
        networks: int,
        rng: np.random.Generator,
    ) -> None:
        self._columns = vocabulary(features)
        inputs = matrix(features, self._columns)
        targets = np.log((rankdata(values) - 0.5) / len(values))
        self._networks = [
            MLPRegressor(
                hidden_layer_sizes=(20, 20, 20),
                solver="lbfgs",
                alpha=0.1,
                max_iter=30,
                random_state=int(rng.integers(2**31)),
            )
            for _ in range(networks)
        ]
        with _THREADS.limit(limits=1), warnings.catch_warnings():
            # Training stops early on purpose: fully trained networks agree too much.
            warnings.simplefilter("ignore", ConvergenceWarning)
            for network in self._networks:
                network.fit(inputs, targets)

    def predictions(self, features: Sequence[Features]) -> NDArray[np.float64]:
        """Returns the predictions of every network, [networks, genotypes]."""
        if not features:
            return np.empty((len(self._networks), 0))
        inputs = matrix(features, self._columns)
        with _THREADS.limit(limits=1):
            return np.array([network.predict(inputs) for network in self._networks])
