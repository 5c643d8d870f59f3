"""BANANAS: search guided by an ensemble of networks that predict what architectures are worth."""

import warnings
from bisect import insort
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from nas.errors import InputError
from nas.searchers.base import Observation, Proposal, Searcher
from nas.searchers.population import one_objective, succeeded, value
from nas.spaces.encodings import Encoding, matrix, vocabulary
from nas.spaces.search_space import Genotype, SearchSpace

Features = Mapping[str, float]


class Bananas(Searcher):
    """Mutates the best, asks an ensemble what the mutants are worth, takes the most promising.

    White et al. 2021, "BANANAS: Bayesian Optimization with Neural Architectures for Neural
    Architecture Search" (AAAI; arXiv:1910.11858), Algorithm 1: five networks are trained on all
    that was evaluated; candidates are mutations of the best so far; each candidate is given a draw
    from the normal distribution with mean and deviation of the five predictions (independent
    Thompson sampling, section 4), and the least of them is evaluated. Sizes are those of the
    authors' code: ten random genotypes first, five parents, a hundred candidates, networks that
    are trained anew after every ten results.

    Deviations. Candidates are drawn and judged anew for every trial, with networks up to nine
    results old, where the paper takes the ten best of one draw. Networks have three layers of 20
    and not ten, and L-BFGS trains them, 30 iterations: a fit takes a thirtieth of the time that
    150 epochs of Adam take, and predicts NAS-Bench-201 no worse. They are trained on the logarithm
    of the rank and not on the relative error, so that neither units nor outliers nor infinite
    values matter, and the best are told apart the most.

    No architecture is asked twice, unless nothing new is left: where cells do not decide what an
    architecture is, no genotype. The time of a fit is proportional to the results.

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
        parents: int = 5,
        max_mutations: int = 2,
        candidates: int = 100,
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
        self._features: list[Features] = []
        self._values: list[float] = []
        self._best: list[tuple[float, int, Genotype]] = []
        self._asked: dict[str, int] = {}
        self._ensemble: _Ensemble | None = None

    def ask(self, trial_id: int) -> Proposal:
        """A random genotype at first, then the candidate of the least draw."""
        rng = self.rng(trial_id)
        candidates = self._candidates(trial_id, rng)
        genotype = candidates[0]
        if len(candidates) > 1:
            features = [self.features(candidate) for candidate in candidates]
            genotype = candidates[thompson(self._fitted().predictions(features), rng)]
        proposal = Proposal(genotype)
        self.replay(trial_id, proposal)
        return proposal

    def replay(self, trial_id: int, proposal: Proposal) -> None:
        """Takes note that this architecture needs no other trial."""
        self._asked.setdefault(self._key(proposal.genotype), trial_id)

    def tell(self, observation: Observation) -> None:
        """One more result to learn from; a failure is none."""
        self._asked.setdefault(self._key(observation.genotype), observation.trial_id)
        if succeeded(observation, 1):
            self._features.append(self.features(observation.genotype))
            self._values.append(value(observation))
            insort(self._best, (value(observation), len(self._values), observation.genotype))

    def features(self, genotype: Genotype) -> Features:
        """What the networks see of it."""
        if self.encoding is None:
            self.encoding = "path" if self.space.cell_graphs(genotype) else "one_hot"
        return self.space.encode(genotype, self.encoding)

    def _candidates(self, trial_id: int, rng: np.random.Generator) -> list[Genotype]:
        """Mutants of the best that no other trial has; where there are none, a random one."""
        if len(self._values) < self.initial_size:
            return [self.space.sample(rng)]
        parents = [genotype for _, _, genotype in self._best[: self.parents]]
        fresh: dict[str, Genotype] = {}
        for which, often in rng.random((self.candidates, 2)).tolist():
            mutant = parents[int(which * len(parents))]
            for _ in range(1 + int(often * self.max_mutations)):
                mutant = self.space.mutate(mutant, rng)
            key = self._key(mutant)
            if self._asked.get(key, trial_id) == trial_id:
                fresh[key] = mutant
        return list(fresh.values()) or [self.space.sample(rng)]

    def _fitted(self) -> "_Ensemble":
        """The networks of the last results that they are to know."""
        results = len(self._values)
        known = results - (results - self.initial_size) % self.refit_every
        if self._ensemble is None or self._ensemble.known != known:
            # Below zero, where no trial draws.
            rng = self.rng(-known)
            self._ensemble = _Ensemble(
                self._features[:known], self._values[:known], self.networks, rng
            )
        return self._ensemble

    def _key(self, genotype: Genotype) -> str:
        if self.space.language.cells_decide:
            return self.space.identity(genotype)
        return repr(genotype)


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
        with warnings.catch_warnings():
            # They stop early on purpose: trained to the end, they agree with each other too much.
            warnings.simplefilter("ignore", ConvergenceWarning)
            for network in self._networks:
                network.fit(inputs, targets)

    def predictions(self, features: Sequence[Features]) -> NDArray[np.float64]:
        """Every network's, [networks, genotypes]."""
        inputs = matrix(features, self._columns)
        return np.array([network.predict(inputs) for network in self._networks])
