"""Limits on cost: what they let through, against a filter over everything."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import nas
from nas.architecture.passes import depth
from nas.configuration import validate
from nas.errors import InputError
from nas.spaces.choices import Choose, Genotype, Infeasible, architecture_choices
from nas.spaces.constrained_space import ConstrainedSpace, constrained, rejections
from nas.spaces.constraints import Constraints
from nas.spaces.finishing import finished
from nas.spaces.hyperparameters import joint
from nas.spaces.search_space import SearchSpace, Size

HERE = Path()


def function(choose: Choose) -> Any:
    """A stack of convolutions: 3 widths, 1 to 3 layers, of 2 kernels each: 42 genotypes."""
    width = choose("width", (4, 8, 16))
    kernels = [choose(f"kernel{i}", (1, 3)) for i in range(choose("layers", (1, 2, 3)))]

    def build() -> nas.Architecture:
        g = nas.Builder((3, 8, 8))
        x = g.input
        for kernel in kernels:
            x = g.relu(g.conv(x, width, kernel=kernel, padding="same"))
        return g.build(g.linear(g.global_pool(x), 5))

    return build


def whole() -> SearchSpace:
    return SearchSpace(function, "stack", {"small": {"width": 4, "layers": 1, "kernel0": 1}})


def limited(**limits: Any) -> SearchSpace:
    return constrained(whole(), Constraints(**limits), HERE)


def kept(**limits: int) -> list[Genotype]:
    def within(genotype: Genotype) -> bool:
        architecture = whole().decode(genotype)
        have = {**architecture.cost._asdict(), "depth": depth(architecture)}
        return all(have[column] <= limit for column, limit in limits.items())

    return [genotype for genotype in whole().enumerate() if within(genotype)]


@pytest.mark.parametrize(
    ("limits", "some"),
    [
        ({"params": 1_000}, True),
        ({"macs": 50_000}, True),
        ({"flops": 50_000, "activations": 1_100}, True),
        ({"depth": 3, "macs": 60_000}, True),
        ({"depth": 2}, True),  # the classifier is a layer, too
        ({"params": 10**9}, False),
    ],
)
def test_a_constrained_space_is_a_filter_of_the_whole(limits: dict[str, int], some: bool) -> None:
    space, expected = limited(**limits), kept(**limits)
    assert list(space.enumerate()) == expected
    assert space.size() == Size(len(expected), exact=True)
    assert (0 < len(expected) < 42) == some
    rng = np.random.default_rng(0)
    drawn = [space.sample(rng) for _ in range(300)]
    assert {str(g) for g in drawn} == {str(g) for g in expected}
    for parent in expected[:10]:
        near = list(space.neighbors(parent))
        assert near == [g for g in whole().neighbors(parent) if g in expected]
        if near:
            assert space.mutate(parent, rng) in near
        assert space.crossover(parent, drawn[0], rng) in expected
    refused = [g for g in whole().enumerate() if g not in expected]
    for genotype in refused[:3]:
        with pytest.raises(InputError, match=r"not in the space: \w+ is [\d,]+, over the limit of"):
            space.decode(genotype)


def test_draws_are_uniform_and_rejections_counted_by_cause() -> None:
    space = limited(params=1_000, depth=3)
    rng = np.random.default_rng(1)
    for _ in range(500):
        space.sample(rng)
    unlimited, rng = whole(), np.random.default_rng(1)
    causes, accepted = {"params": 0, "depth": 0}, 0
    while accepted < 500:  # the same draws, by the same generator
        architecture = unlimited.decode(unlimited.sample(rng))
        if architecture.cost.params > 1_000:
            causes["params"] += 1
        elif depth(architecture) > 3:
            causes["depth"] += 1
        else:
            accepted += 1
    assert space.rejected == causes
    assert not unlimited.rejected
    total = sum(causes.values())
    listed = rejections(space.rejected)
    assert listed.startswith(f"draws rejected and drawn again: {total:,} (")
    assert f"params {causes['params']:,}" in listed
    assert rejections({}) == ""


def test_limits_of_space_and_campaign_are_both_kept() -> None:
    of_space = limited(params=1_000, macs=10**9)
    both = constrained(of_space, Constraints(macs=50_000, params=2_000), HERE)
    assert isinstance(both, ConstrainedSpace)
    assert not isinstance(both.unconstrained, ConstrainedSpace)
    assert list(both.enumerate()) == kept(params=1_000, macs=50_000)
    assert constrained(of_space, Constraints(), HERE) is of_space
    assert both.member("small") == whole().member("small")


# --- a fitted choice ---


TINY = {width: whole().decode({"width": width, "layers": 1, "kernel0": 1}) for width in (4, 8, 16)}


def fitted() -> SearchSpace:
    return limited(macs=60_000, fit="width")


def test_a_fitted_space_has_the_widest_of_each_shape() -> None:
    widest: dict[tuple[Any, ...], Genotype] = {}
    for genotype in kept(macs=60_000):  # by rising width
        shape = tuple(option for name, option in genotype.items() if name != "width")
        if genotype["width"] >= widest.get(shape, genotype)["width"]:
            widest[shape] = genotype
    assert len({genotype["width"] for genotype in widest.values()}) == 3
    found = list(fitted().enumerate())
    assert sorted(map(sorted_items, found)) == sorted(map(sorted_items, widest.values()))
    assert fitted().size() == Size(len(widest), True)


def sorted_items(genotype: Genotype) -> list[tuple[str, Any]]:
    return sorted(genotype.items())


@pytest.mark.parametrize("way", ["sample", "mutate", "child", "crossover", "subtree_crossover"])
def test_what_is_made_of_parents_is_fitted(way: str) -> None:
    space, rng = fitted(), np.random.default_rng(0)
    every = {tuple(sorted_items(genotype)) for genotype in space.enumerate()}

    def made(a: Genotype, b: Genotype) -> Genotype:
        if way == "sample":
            return a
        if way == "child":
            return space.child(a, rng, space.mutations).genotype
        if way == "mutate":
            return space.mutate(a, rng)
        found: Genotype = getattr(space, way)(a, b, rng)
        return found

    seen = set()
    for _ in range(100):
        genotype = made(space.sample(rng), space.sample(rng))
        space.validate(genotype)
        seen.add(tuple(sorted_items(genotype)))
    assert seen == every


def test_every_child_of_a_fitted_space_is_fitted() -> None:
    space = fitted()
    parent = next(iter(space.enumerate()))
    children = [child.genotype for child in space.children(parent, space.mutations)]
    # Another kernel, or one or two more layers, each of two kernels.
    assert len(children) == 1 + 2 + 4
    for child in children:
        space.validate(child)


def test_a_space_around_a_fitted_one_is_fitted() -> None:
    searched = joint(fitted(), {"learning_rate": (0.1, 0.2)}, lambda asked: None)
    headed = finished(fitted(), lambda architecture: architecture)
    members = {tuple(sorted_items(genotype)) for genotype in fitted().enumerate()}
    assert {tuple(sorted_items(genotype)) for genotype in headed.enumerate()} == members
    found = list(searched.enumerate())
    assert len(found) == 2 * len(members)
    assert {tuple(sorted_items(architecture_choices(each))) for each in found} == members


def test_a_width_that_does_not_combine_is_left_out() -> None:
    def narrow(choose: Choose) -> Any:
        width = choose("width", (16, 8, 4))
        if width == 16:
            raise Infeasible("too wide")
        return TINY[width]

    space = constrained(SearchSpace(narrow, "narrow"), Constraints(macs=10**9, fit="width"), HERE)
    assert list(space.enumerate()) == [{"width": 8}]


def test_another_width_than_the_largest_is_no_member() -> None:
    space = fitted()
    genotype = next(genotype for genotype in space.enumerate() if genotype["width"] == 16)
    with pytest.raises(InputError, match="choice 'width': 4 is not an option; allowed: 16"):
        space.validate({**genotype, "width": 4})


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"fit": "width"}, "fit: needs a limit to fit, but there is none"),
        ({"macs": 60_000, "fit": "layers"}, "fit: space stack: the choice 'kernel1' depends on "
         "'layers', which must be a choice that no other one depends on"),
        ({"macs": 60_000, "fit": "depth"}, "fit: space stack must ask the choice 'depth', whose "
         "options are numbers; its options are none; its choices are width, layers, kernel0"),
    ],
)  # fmt: skip
def test_a_choice_that_cannot_be_fitted_is_named(limits: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        limited(**limits).sample(np.random.default_rng(0))


def test_what_nothing_keeps_ends_soon_and_tells_the_smallest() -> None:
    smallest = min(whole().decode(g).cost.params for g in whole().enumerate())
    space = limited(params=smallest - 1, depth=9)
    started = time.monotonic()
    with pytest.raises(InputError) as caught:
        space.sample(np.random.default_rng(0))
    assert time.monotonic() - started < 5
    assert str(caught.value) == (
        "space stack: none of 1,000 draws keeps the constraints: the smallest params was "
        f"{smallest}, the limit is {smallest - 1}; the smallest depth was 2, the limit is 9"
    )


def test_a_limit_that_little_keeps_is_no_reason_to_give_up_once_something_has() -> None:
    class Rare:
        draws = 0

        def __call__(self, choose: Choose) -> Any:
            Rare.draws += 1
            return function(lambda name, options: choose(name, options))

    space = constrained(SearchSpace(Rare(), "rare"), Constraints(params=10**9), HERE)
    assert isinstance(space, ConstrainedSpace)
    column, _, measure = space.limits[0]
    # Of 1,500 draws one is within the limit, the first and the last.
    space.limits[0] = type(space.limits[0])(
        column, 10**9, lambda g, a: measure(g, a) if Rare.draws % 1500 == 1 else 10**10
    )
    rng = np.random.default_rng(0)
    space.sample(rng)
    space.sample(rng)
    assert Rare.draws == 1501


def test_a_latency_table_by_notation_or_by_fingerprint(tmp_path: Path) -> None:
    genotypes = list(whole().enumerate())
    milliseconds = [float(index % 7) + 0.5 for index in range(len(genotypes))]
    expected = [g for g, ms in zip(genotypes, milliseconds, strict=True) if ms <= 2]
    by_string = pd.DataFrame(
        {"architecture": [whole().to_string(g) for g in genotypes], "phone_ms": milliseconds}
    )
    by_string.to_csv(tmp_path / "named.csv", index=False)
    # Several genotypes are one architecture only where a layer more is asked: not here.
    prints = [whole().decode(g).fingerprint for g in genotypes]
    by_print = pd.DataFrame({"fingerprint": prints, "phone_ms": milliseconds})
    by_print.to_csv(tmp_path / "printed.csv.gz", index=False)
    for name in ("named.csv", "printed.csv.gz"):
        latency = {"limit": 2, "table": name, "column": "phone_ms"}
        limits = validate(Constraints, {"latency_ms": latency})
        assert list(constrained(whole(), limits, tmp_path).enumerate()) == expected
        told = limits.definition(tmp_path)["latency_ms"]
        assert told.pop("checksum")
        assert told == {**latency, "limit": 2.0}


@pytest.mark.parametrize(
    ("content", "column", "said"),
    [
        ("architecture,ms\n", "ms", 'has no row whose architecture is \'{"width":'),
        ("architecture,a_ms,b_ms\nx,1,2\n", "c_ms", "unknown column 'c_ms'"),
        ("arch,ms\nx,1\n", "ms", "needs a column architecture or fingerprint"),
        ("architecture,ms\nx,1\ny,fast\n", "ms", "row 3: ms must be a number, got 'fast'"),
        ("architecture,ms\nx,1\ny,\n", "ms", "row 3: ms must be a number, got 'nan'"),
        ("architecture,ms\nx,1\nx,2\n", "ms", "architecture 'x' is in the table twice"),
        ("", "ms", "not a CSV table: No columns"),
    ],
)
def test_a_table_that_does_not_do_is_named(
    tmp_path: Path, content: str, column: str, said: str
) -> None:
    path = tmp_path / "latency.csv"
    path.write_text(content)
    limits = validate(
        Constraints,
        {"latency_ms": {"limit": 5.0, "table": "latency.csv", "column": column}},
    )
    with pytest.raises(InputError) as caught:
        constrained(whole(), limits, tmp_path).sample(np.random.default_rng(0))
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)


def test_whole_numbers_may_be_written_with_an_exponent(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    text = (Path(__file__).parents[2] / "search_spaces" / "primitives.yaml").read_text()
    path.write_text(text + "\nconstraints: {macs: 3e6, params: 4.0e4}\n")
    space = nas.space(path, (3, 12, 12), 7)
    rng = np.random.default_rng(4)
    for _ in range(20):
        cost = space.decode(space.sample(rng)).cost
        assert cost.macs <= 3_000_000
        assert cost.params <= 40_000
    assert space.rejected["params"] > 0
    path.write_text(text + "\nconstraints: {macs: 3.5}\n")
    with pytest.raises(InputError, match=r"mine.yaml: constraints.macs: .* integer, got 3.5"):
        nas.space(path)
