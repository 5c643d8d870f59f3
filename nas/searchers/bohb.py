"""BOHB: Hyperband in which a model proposes the new configurations."""

from collections.abc import Sequence
from typing import Any, ClassVar

from nas.searchers.hyperband import Hyperband
from nas.searchers.multi_fidelity import Promotion
from nas.spaces.search_space import SearchSpace


class BOHB(Hyperband):
    """Hyperband with a tree-structured Parzen estimator (TPE), in the manner of BOHB.

    Falkner et al. 2018, "BOHB: Robust and Efficient Hyperparameter Optimization at Scale" (ICML;
    arXiv:1807.01774), Algorithm 2: a third of the new configurations are random, the others come
    from the model of the largest budget with enough observations. It is
    :class:`nas.searchers.hyperband.Hyperband` with other defaults; the option ``searcher``
    replaces the model.

    Deviations from the paper: the model is Optuna's TPE over all choices jointly instead of the
    paper's kernel density estimators, so there are no options for their bandwidth. Enough
    observations means ``min_points``; the paper takes the number of hyperparameters plus three,
    but that number varies within a conditional space.

    The options are those of :class:`nas.searchers.multi_fidelity.MultiFidelity`.
    """

    name: ClassVar[str] = "bohb"

    def __init__(
        self,
        space: SearchSpace,
        seed: int | Sequence[int],
        objectives: int = 1,
        *,
        max_fidelity: int,
        min_fidelity: int = 1,
        reduction_factor: int = 3,
        searcher: dict[str, Any] | str = "optuna",
        min_points: int = 10,
        random_fraction: float = 1 / 3,
        promotion: Promotion = "value",
    ) -> None:
        super().__init__(
            space,
            seed,
            objectives,
            max_fidelity=max_fidelity,
            min_fidelity=min_fidelity,
            reduction_factor=reduction_factor,
            searcher=searcher,
            min_points=min_points,
            random_fraction=random_fraction,
            promotion=promotion,
        )
