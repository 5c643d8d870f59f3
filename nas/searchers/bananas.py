"""BANANAS: search guided by an ensemble of networks that predict the value of architectures."""

from collections.abc import Sequence
from typing import ClassVar

from nas.searchers.predictor import PredictorSearch
from nas.spaces.encodings import Encoding
from nas.spaces.mutations import Neutral, Weights
from nas.spaces.search_space import SearchSpace


class Bananas(PredictorSearch):
    """Search with a predictor that is an ensemble, over paths, by independent Thompson sampling.

    White et al. 2021, "BANANAS: Bayesian Optimization with Neural Architectures for Neural
    Architecture Search" (AAAI; arXiv:1910.11858), Algorithm 1. It is
    :class:`nas.searchers.predictor.PredictorSearch` with other defaults. As in the authors' code,
    the networks are trained again and the candidates are made again after every ten results.

    Deviations from the paper, beside those of the ensemble
    (:class:`nas.predictors.ensemble.Ensemble`):

    - Every trial draws values of its own for the candidates that are left. The paper evaluates
      the ten best candidates of one draw.
    - There are 300 candidates, made from ten parents by one or two mutations. The authors' code
      has 100, nearly all made from the very best by one mutation.
    - Parents differ in two choices. The first twenty genotypes are random, where the authors' code
      has ten. What the networks know about other regions of the space comes from these alone.
    - The networks learn the logarithm of the rank instead of the relative error.

    Args:
        space: the space to search.
        seed: one or more non-negative integers.
        objectives: must be 1.
        encoding: the only feature; by default ``path`` if the space has cells, else ``one_hot``.
        networks: the number of networks in the ensemble.
        initial_size: see :class:`nas.searchers.predictor.PredictorSearch`, also for all further
            options.
        refit_every: see there.
        parents: see there.
        spacing: see there.
        max_mutations: see there.
        candidates: see there.
        mutations: see there.
        neutral: see there.
    """

    name: ClassVar[str] = "bananas"
    of_cells: ClassVar[tuple[Encoding, ...]] = ("path",)

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
        super().__init__(
            space,
            seed,
            objectives,
            model={"name": "ensemble", "networks": networks},
            features=None if encoding is None else (encoding,),
            acquisition="thompson",
            initial_size=initial_size,
            refit_every=refit_every,
            parents=parents,
            spacing=spacing,
            max_mutations=max_mutations,
            candidates=candidates,
            mutations=mutations,
            neutral=neutral,
        )
