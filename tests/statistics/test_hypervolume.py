"""Against counting: every cell of an integer grid, every pair of points."""

import itertools

import numpy as np
import pytest

from nas.errors import InputError
from nas.statistics.hypervolume import hypervolume, hypervolume_over_time, pareto_front
from nas.statistics.pareto import non_dominated_rank

NAN = float("nan")


def counted(points: np.ndarray, reference: list[int]) -> int:
    """Unit cells of the grid that some point dominates."""
    return sum(
        any(all(low <= cell for low, cell in zip(point, cells, strict=True)) for point in points)
        for cells in itertools.product(*(range(side) for side in reference))
    )


@pytest.mark.parametrize("reference", [[9], [9, 7], [6, 5, 7], [4, 5, 4, 3]], ids=str)
def test_hypervolume_is_the_number_of_dominated_cells(reference: list[int]) -> None:
    rng = np.random.default_rng(len(reference))
    for _ in range(40):
        # Duplicates, dominated points and points on and beyond the reference are among them.
        points = rng.integers(0, np.array(reference) + 2, (rng.integers(0, 9), len(reference)))
        assert hypervolume(points, reference) == counted(points, reference)


def test_hypervolume_of_a_quarter_circle_approaches_its_area() -> None:
    angle = np.linspace(0, np.pi / 2, 20001)
    points = 1 - np.stack([np.cos(angle), np.sin(angle)], axis=1)
    assert hypervolume(points, [1, 1]) == pytest.approx(np.pi / 4, abs=1e-4)


def test_hypervolume_is_optunas_in_four_objectives() -> None:
    from optuna._hypervolume import compute_hypervolume

    points = np.random.default_rng(0).random((40, 4))
    reference = np.full(4, 1.1)
    assert hypervolume(points, reference) == pytest.approx(compute_hypervolume(points, reference))


def test_nothing_below_the_reference_counts_nothing() -> None:
    assert hypervolume(np.empty((0, 2)), [1, 1]) == 0
    assert hypervolume([[1.0, 0.0], [NAN, 0.0]], [1, 1]) == 0


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_hypervolume_over_time_is_that_of_every_prefix(objectives: int) -> None:
    rng = np.random.default_rng(objectives)
    points = rng.integers(0, 8, (6, 25, objectives)).astype(float)
    points[rng.random((6, 25)) < 0.2] = NAN
    reference = np.full(objectives, 6.0)
    volumes = hypervolume_over_time(points, reference)
    for run, step in itertools.product(range(6), range(25)):
        prefix = points[run, : step + 1]
        assert volumes[run, step] == pytest.approx(hypervolume(prefix, reference))


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_front_is_what_no_other_point_dominates(objectives: int) -> None:
    points = np.random.default_rng(objectives).integers(0, 7, (80, objectives))
    dominated = [any((q <= p).all() and (q < p).any() for q in points) for p in points]
    assert pareto_front(points).tolist() == [not bad for bad in dominated]
    assert pareto_front(points).tolist() == (non_dominated_rank(points) == 0).tolist()


def test_copies_belong_to_the_front_and_nan_to_none() -> None:
    points = [[1, 2], [2, 1], [1, 2], [2, 2], [0, NAN]]
    assert pareto_front(points).tolist() == [True, True, True, False, False]
    assert pareto_front(np.empty((0, 2))).tolist() == []


def test_bad_shapes_are_named() -> None:
    with pytest.raises(InputError, match=r"must be \[points, objectives\], got shape \(3,\)"):
        pareto_front([1, 2, 3])
    with pytest.raises(InputError, match="must be 2 finite numbers"):
        hypervolume([[1, 2]], [3])
    with pytest.raises(InputError, match="must be 2 finite numbers"):
        hypervolume([[1, 2]], [3, NAN])
