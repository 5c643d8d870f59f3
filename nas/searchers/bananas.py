"""BANANAS: search guided by an ensemble of networks that predict what architectures are worth."""

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
from nas.searchers.population import one_objective, succeeded, value
from nas.spaces.encodings import Encoding, matrix, vocabulary
from nas.spaces.search_space import Genotype, SearchSpace

Features = Mapping[str, float]

# The matrices are so small that threads only wait for each other, and the sums of one thread are
# the same on any number of cores.
_THREADS = ThreadpoolController()


class Bananas(Searcher):
    """Mutates the best, asks an ensemble what the mutants are worth, takes the most promising.

    White et al. 2021, "BANANAS: Bayesian Optimization with Neural Architectures for Neural
    Architecture Search" (AAAI; arXiv:1910.11858), Algorithm 1: an ensemble of five networks is
    trained on all that was evaluated; candidates are mutations of the best so far; each is given
    a draw from the normal distribution with mean and deviation of the five predictions
    (independent Thompson sampling, section 4), and the least of them is evaluated. As in the
    authors' code, ten random genotypes come first, and networks are trained anew after every ten
    results.

    Deviations. Candidates are drawn and judged anew for every trial, with networks up to nine
    results old, where the paper evaluates the ten best of one draw. There are 200, of the ten best
    with one or two mutations, where the authors' code has 100, nearly all of the very best with
    one: that got stuck more often on NAS-Bench-201. Networks have three layers of 20 and not ten,
    and L-BFGS trains them, 30 iterations: that takes a third of the time of 100 epochs of Adam,
    and predicts no worse there. They learn the logarithm of the rank and not the relative error:
    neither units nor outliers nor infinite values matter, and the best are told apart the most.

    What the networks cannot tell from an earlier trial is no candidate, failed or not; as in the
    authors' code for NAS-Bench-101. The time of a fit grows with the results: on NAS-Bench-201 a
    fifth of a second for 1,000, five seconds for 30,000.

    Args:
        space: where to search.
        seed: one or more non-negative integers.
        objectives: must be 1.
        encoding: what the networks see, see :mod:`nas.spaces.encodings`; by default ``path``
            where the space has cells and ``one_hot`` elsewhere.
        initial_size: trials are random until so many have succeeded.
        refit_every: the networks are trained again after so many successes.
        networks: how many are the ensemble.
        parents: so many of the best are mutated.
        max_mutations: a mutant differs from its parent by 1 to so many mutations.
        candidates: how many mutants are judged for a trial.
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
        self._known: list[Features] = []
        self._values: list[float] = []
        self._best: list[tuple[float, int, Genotype]] = []
        self._asked: dict[frozenset[str], int] = {}
        self._ensemble: _Ensemble | None = None

    def ask(self, trial_id: int) -> Proposal:
        """A random genotype at first, then the candidate of the least draw."""
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
        """Takes note that nothing like it needs another trial."""
        self._asked.setdefault(frozenset(self._features(proposal.genotype)), trial_id)

    def tell(self, observation: Observation) -> None:
        """One more result to learn from; a failure is none."""
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
        """Mutants of the best that no other trial is like."""
        if len(self._values) < self.initial_size:
            return []
        parents = [genotype for _, _, genotype in self._best[: self.parents]]
        found: dict[frozenset[str], tuple[Genotype, Features]] = {}
        for which, often in rng.random((self.candidates, 2)).tolist():
            mutant = parents[int(which * len(parents))]
            for _ in range(1 + int(often * self.max_mutations)):
                mutant = self.space.mutate(mutant, rng)
            features = self._features(mutant)
            alike = frozenset(features)
            if self._asked.get(alike, trial_id) == trial_id:
                found[alike] = mutant, features
        return list(found.values())

    def _fitted(self) -> "_Ensemble":
        """The networks of the last results that they are to know."""
        results = len(self._values)
        known = results - (results - self.initial_size) % self.refit_every
        if self._ensemble is None or self._ensemble.known != known:
            # Below zero, where no trial draws.
            rng = self.rng(-known)
            self._ensemble = _Ensemble(
                self._known[:known], self._values[:known], self.networks, rng
            )
        return self._ensemble


def thompson(predictions: NDArray[np.float64], rng: np.random.Generator) -> int:
    """Which of the candidates has the least draw; ``predictions`` [networks, candidates]."""
    draws = rng.normal(predictions.mean(axis=0), predictions.std(axis=0))
    return int(draws.argmin())


class _Ensemble:
    """Networks that predict the logarithm of a result's rank, as a share of all.

    Attributes:
        known: how many results they were trained on.
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
            # They stop early on purpose: trained to the end, they agree with each other too much.
            warnings.simplefilter("ignore", ConvergenceWarning)
            for network in self._networks:
                network.fit(inputs, targets)

    def predictions(self, features: Sequence[Features]) -> NDArray[np.float64]:
        """Every network's, [networks, genotypes]."""
        inputs = matrix(features, self._columns)
        with _THREADS.limit(limits=1):
            return np.array([network.predict(inputs) for network in self._networks])
