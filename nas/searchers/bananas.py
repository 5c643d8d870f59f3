"""BANANAS: search guided by an ensemble of networks that predict the value of architectures."""

import warnings
from bisect import insort
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from threadpoolctl import ThreadpoolController

from nas.errors import InputError
from nas.searchers.base import Observation, Proposal, Searcher
from nas.searchers.population import mutations_of, one_objective, succeeded, value
from nas.spaces.choices import Genotype
from nas.spaces.encodings import Encoding, matrix, vocabulary
from nas.spaces.mutations import Neutral
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
    with the lowest value is evaluated. As in the authors' code, the first ten genotypes are
    random, and the networks are trained again after every ten results.

    Deviations from the paper:

    - Candidates are drawn and judged for every trial, by networks that may lack the last nine
      results. The paper evaluates the ten best candidates of one draw.
    - There are 200 candidates, made from the ten best genotypes by one or two mutations. The
      authors' code has 100, nearly all made from the very best by one mutation, which got stuck
      more often on NAS-Bench-201.
    - The networks have three layers of 20 units instead of ten layers. They are trained by 30
      iterations of L-BFGS, which takes a third of the time of 100 epochs of Adam and predicts no
      worse on NAS-Bench-201.
    - The networks learn the logarithm of the rank instead of the relative error. So units,
      outliers and infinite values do not matter, and the best genotypes are separated most.

    A genotype whose encoding equals that of an earlier trial, failed or not, is not a candidate,
    as in the authors' code for NAS-Bench-101. If there is no candidate, a random genotype is
    proposed. The time of a fit grows with the number of results:
    on NAS-Bench-201 it is 0.2 seconds for 1,000 results and 5 seconds for 30,000.

    Args:
        space: the space to search.
        seed: one or more non-negative integers.
        objectives: must be 1.
        encoding: the input of the networks, see :mod:`nas.spaces.encodings`; by default ``path``
            if the space has cells, else ``one_hot``.
        initial_size: trials are random until this many have succeeded.
        refit_every: the networks are trained again after this many successful trials.
        networks: the number of networks in the ensemble.
        parents: the number of best genotypes that are mutated.
        max_mutations: the largest number of mutations between a candidate and its parent.
        candidates: how many mutants are judged for one trial.
        mutations, neutral: as in regularized evolution.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int | Sequence[int],
        objectives: int = 1,
        *,
        encoding: Encoding | None = None,
        initial_size: int = 10,
        refit_every: int = 10,
        networks: int = 5,
        parents: int = 10,
        max_mutations: int = 2,
        candidates: int = 200,
        mutations: dict[str, float] | None = None,
        neutral: Neutral | None = None,
    ) -> None:
        super().__init__(space, seed, objectives)
        one_objective("bananas", objectives)
        for name, number, least in (
            ("initial_size", initial_size, 2),
            ("refit_every", refit_every, 1),
            ("networks", networks, 2),
            ("parents", parents, 1),
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
        self.max_mutations = max_mutations
        self.candidates = candidates
        self.mutations = mutations_of("bananas", space, mutations, neutral)
        self._known: list[Features] = []
        self._values: list[float] = []
        self._best: list[tuple[float, int, Genotype]] = []
        self._asked: dict[frozenset[str], int] = {}
        self._ensemble: _Ensemble | None = None

    def ask(self, trial_id: int) -> Proposal:
        """Proposes a random genotype at first, then the candidate with the lowest draw."""
        rng = self.rng(trial_id)
        candidates = self._candidates(trial_id, rng)
        if candidates:
            predictions = self._fitted().predictions([features for _, features in candidates])
            genotype, _ = candidates[thompson(predictions, rng)]
        else:
            genotype = self.space.sample(rng)
        proposal = Proposal(genotype)
        self.replay(trial_id, proposal)
        return proposal

    def replay(self, trial_id: int, proposal: Proposal) -> None:
        """Registers the proposal, so that no equal encoding is proposed again."""
        self._asked.setdefault(frozenset(self._features(proposal.genotype)), trial_id)

    def tell(self, observation: Observation) -> None:
        """Adds a result to learn from; nothing is learnt from a failed trial."""
        features = self._features(observation.genotype)
        self._asked.setdefault(frozenset(features), observation.trial_id)
        if succeeded(observation, 1):
            self._known.append(features)
            self._values.append(value(observation))
            insort(self._best, (value(observation), len(self._values), observation.genotype))

    def _features(self, genotype: Genotype) -> Features:
        if self.encoding is None:
            self.encoding = "path" if self.space.cell_graphs(genotype) else "one_hot"
        return self.space.encode(genotype, self.encoding)

    def _candidates(
        self, trial_id: int, rng: np.random.Generator
    ) -> list[tuple[Genotype, Features]]:
        """Returns mutants of the best genotypes whose encoding no other trial has."""
        if len(self._values) < self.initial_size:
            return []
        parents = [genotype for _, _, genotype in self._best[: self.parents]]
        found: dict[frozenset[str], tuple[Genotype, Features]] = {}
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
            features = self._features(mutant)
            alike = frozenset(features)
            if self._asked.get(alike, trial_id) == trial_id:
                found[alike] = mutant, features
        return list(found.values())

    def _fitted(self) -> "_Ensemble":
        """Returns the ensemble, trained again if enough new results have arrived."""
        results = len(self._values)
        known = results - (results - self.initial_size) % self.refit_every
        if self._ensemble is None or self._ensemble.known != known:
            # A negative id, which no trial has.
            rng = self.rng(-known)
            self._ensemble = _Ensemble(
                self._known[:known], self._values[:known], self.networks, rng
            )
        return self._ensemble


def thompson(predictions: NDArray[np.float64], rng: np.random.Generator) -> int:
    """Returns the candidate with the lowest draw; ``predictions`` is [networks, candidates]."""
    draws = rng.normal(predictions.mean(axis=0), predictions.std(axis=0))
    return int(draws.argmin())


class _Ensemble:
    """Networks that predict the logarithm of a result's rank divided by the number of results.

    Attributes:
        known: how many results the networks were trained on.
    """

    def __init__(
        self,
        features: Sequence[Features],
        values: Sequence[float],
        networks: int,
        rng: np.random.Generator,
    ) -> None:
        self.known = len(values)
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
        inputs = matrix(features, self._columns)
        with _THREADS.limit(limits=1):
            return np.array([network.predict(inputs) for network in self._networks])
