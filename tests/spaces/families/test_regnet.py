"""RegNet: the rule of its widths, the authors' 24 networks, its size."""

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest

import nas
from nas.classics.regnet import block_widths, regnet
from nas.errors import InputError
from nas.spaces.search_space import SearchSpace, Size
from tests.data import DATA


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return nas.space("regnet", (3, 224, 224), 1000)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_authors_networks(space: SearchSpace) -> None:
    """All 24 of pycls's model zoo, from their six numbers: parameters to the unit."""
    zoo = pd.read_csv(DATA / "regnet_costs.csv")
    assert len(zoo) == 24
    assert set(zoo.member) == set(space.members)
    for row in zoo.itertuples():
        cost = space.decode(space.member(row.member)).cost
        assert cost.params == row.params, row.member
        # pycls adds the biases of the classifier and of squeeze-and-excitation.
        assert cost.macs == pytest.approx(row.macs, rel=4e-5), row.member
        assert cost.activations == row.activations, row.member


def test_widths_are_rounded_as_the_authors_do(space: SearchSpace) -> None:
    genotype = space.member("regnetx_400mf")
    assert space.decode(genotype).cost.params == 5_157_512  # pycls's
    numbers = [
        genotype[name] for name in ("depth", "initial_width", "slope", "step", "group_width")
    ]
    as_torchvision = regnet((3, 224, 224), 1000, *numbers)  # type: ignore[arg-type]
    assert as_torchvision.cost.params == 5_495_976  # torchvision's regnet_x_400mf


def test_regnet_y_400mf_is_the_classic(space: SearchSpace) -> None:
    built = space.decode(space.member("regnety_400mf"))
    assert built.fingerprint == nas.classic("regnet_y_400mf").fingerprint


@pytest.mark.parametrize("seed", range(20))
def test_widths_are_equations_2_to_4(space: SearchSpace, seed: int) -> None:
    """As numpy works them out, the block on the line a power of w_m times w_0."""
    genotype = space.sample(rng(seed))
    depth, initial, slope, step = (
        float(genotype[name])
        for name in ("depth", "initial_width", "slope", "step")  # type: ignore[arg-type]
    )
    line = initial + slope * np.arange(depth)
    powers = np.round(np.log(line / initial) / np.log(step))
    widths = np.round(initial * step**powers / 8).astype(int) * 8
    assert block_widths(int(depth), int(initial), slope, step) == widths.tolist()
    assert len(set(widths)) == 4
    assert all(b >= a for a, b in pairwise(widths))
    # One block of a new width a stage is strided, and projects its shortcut.
    nodes = space.decode(genotype).nodes
    assert sum(node.name.endswith("proj.0") for node in nodes) == 4
    assert sum(node.name.endswith("f.b.0") for node in nodes) == depth


FEW: dict[str, Any] = {
    "depth": [3, 4, 5, 9],
    "initial_width": [8, 16],
    "slope": [4, 8, 36.44],
    "step": [1.5, 2.0, 2.25],
    "group_width": [8, 16],
}


@pytest.mark.parametrize("stages", [2, 3, 4])
def test_the_size_leaves_out_other_numbers_of_stages(stages: int) -> None:
    few = nas.space("regnet", stages=stages, **FEW)
    assert few.size().count == sum(1 for _ in few.enumerate()) > 0


def test_the_size(space: SearchSpace) -> None:
    # The paper, quantising w_a and w_m as finely as the rest: 64^4 x 6 x 3, about 3.0 x 10^8,
    # of which 3 are bottleneck ratios that neither RegNetX nor RegNetY has.
    assert space.size() == Size(30_337_884, exact=True)


def test_another_number_of_stages_is_infeasible(space: SearchSpace) -> None:
    genotype = space.member("regnetx_200mf") | {"slope": 8.0}
    with pytest.raises(InputError, match="space regnet: not in the space: 3 stages, not 4"):
        space.decode(genotype)
    drawn = nas.space("regnet")
    for seed in range(20):
        drawn.sample(rng(seed))
    assert set(drawn.rejected) == {"stages"}


def test_a_group_is_at_most_a_stage_wide() -> None:
    space = nas.space("regnet", (3, 32, 32), 10, stem="cifar")
    genotype = space.member("regnetx_200mf") | {"group_width": 232}
    convolutions = [n for n in space.decode(genotype).nodes if n.name.endswith("f.b.0")]
    groups = {(n.operation.channels, n.operation.groups) for n in convolutions}  # type: ignore[attr-defined]
    # Widths 24, 56, 152 and 368: one group each, and 368 to the nearest multiple of 232.
    assert groups == {(24, 1), (56, 1), (152, 1), (464, 2)}


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"initial_width": [8, 12]}, ["initial_width.1", "multiple of 8", "got 12"]),
        ({"step": [1.0]}, ["step.0", "greater than 1", "got 1.0"]),
        ({"depth": []}, ["depth", "at least 1 item"]),
        ({"slope": [8, 8.0]}, ["slope", "an option is given twice"]),
        ({"squeeze": [2]}, ["squeeze.0", "less than or equal to 1", "got 2"]),
        ({"stem": "mnist"}, ["stem", "'imagenet' or 'cifar'", "got 'mnist'"]),
    ],
)
def test_a_mistake_in_a_space_file_is_named(changes: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        nas.space("regnet", **changes)
    for part in ["regnet.yaml", *parts]:
        assert part in str(caught.value)
