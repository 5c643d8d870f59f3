"""Hyperband: successive halving that starts from several fidelities in turn."""

from typing import ClassVar

from nas.searchers.multi_fidelity import MultiFidelity, Schedule
from nas.searchers.successive_halving import Brackets, halvings


class Hyperband(MultiFidelity):
    """Hyperband: brackets of successive halving, from many short trainings to few full ones.

    Li et al. 2018, "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization"
    (JMLR 18; arXiv:1603.06560), Algorithm 1: for s = s_max down to 0 there is a bracket of
    ``ceil((s_max + 1) / (s + 1) * eta**s)`` configurations, which are trained for ``R / eta**s``
    epochs first. (The authors' published code rounds ``(s_max + 1) / (s + 1)`` down before it
    multiplies, and so does other software.) After s = 0 the sequence starts again. The paper
    trains one bracket after the other. Here the next bracket begins as soon as the earlier ones
    leave a worker idle, as in Falkner et al. 2018 (arXiv:1807.01774, section 4.2).

    The options are those of :class:`nas.searchers.multi_fidelity.MultiFidelity`.
    """

    name: ClassVar[str] = "hyperband"

    def _make_schedule(self) -> Schedule:
        brackets = hyperband_brackets(len(self.fidelities) - 1, self.reduction_factor)
        return Brackets(self.fidelities, lambda number: brackets[number % len(brackets)])


def hyperband_brackets(s_max: int, eta: int) -> tuple[tuple[int, ...], ...]:
    """Returns the n_i of Hyperband's Algorithm 1 for s = s_max, ..., 0."""
    return tuple(
        halvings(-(-(s_max + 1) * eta**s // (s + 1)), s, eta) for s in range(s_max, -1, -1)
    )
