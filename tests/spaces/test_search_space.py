"""SearchSpace against brute force over randomly made conditional spaces."""

import itertools
import json
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nas.architecture.builder import Builder
from nas.architecture.graph import Architecture
from nas.architecture.operations import Activation
from nas.errors import InputError
from nas.spaces.choices import Choose, Genotype, Infeasible, Option
from nas.spaces.search_space import SearchSpace, Size
from tests.spaces.chance import assert_distributed


def space_of(function: Callable[[Choose], Any], **members: Genotype) -> SearchSpace:
    """A space that returns whatever its toy function does, where a real one builds a graph."""
    return SearchSpace(cast(Any, function), "toy", members)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# --- conditional spaces as data, and what brute force says of them ---------------------------


@dataclass(frozen=True)
class Asked:
    """A choice, and what each of its options asks next. Branches share names, not options."""

    options: tuple[Option, ...]
    then: "tuple[tuple[Asked, ...], ...]"


Items = tuple[tuple[str, type, Option], ...]


def items(genotype: Genotype) -> Items:
    """Order and types included, which == between dicts leaves out."""
    return tuple((name, type(option), option) for name, option in genotype.items())


def feasible(genotype: Genotype) -> bool:
    return zlib.crc32(repr(items(genotype)).encode()) % 4 != 0


def toy(tree: Sequence[Asked]) -> SearchSpace:
    def function(choose: Choose) -> Items:
        answers: Genotype = {}

        def ask(level: Sequence[Asked], prefix: str) -> None:
            for i, asked in enumerate(level):
                answer = choose(f"{prefix}{i}", list(asked.options))
                answers[f"{prefix}{i}"] = answer
                ask(asked.then[position(asked.options, answer)], f"{prefix}{i}.")

        ask(tree, "c")
        if not feasible(answers):
            raise Infeasible("the checksum says so")
        return items(answers)

    return space_of(function)


def position(options: Sequence[Option], answer: Option) -> int:
    return [(type(o), o) for o in options].index((type(answer), answer))


def all_answers(tree: Sequence[Asked], prefix: str = "c") -> Iterator[Genotype]:
    per_choice: list[list[Genotype]] = [
        [
            {f"{prefix}{i}": option} | rest
            for option, then in zip(asked.options, asked.then, strict=True)
            for rest in all_answers(then, f"{prefix}{i}.")
        ]
        for i, asked in enumerate(tree)
    ]
    for combination in itertools.product(*per_choice):
        yield {name: o for part in combination for name, o in part.items()}


def genotypes(tree: Sequence[Asked]) -> list[Genotype]:
    return [g for g in all_answers(tree) if feasible(g)]


def offered(tree: Sequence[Asked], genotype: Genotype, prefix: str = "c") -> dict[str, Any]:
    """The options that each choice of ``genotype`` had."""
    found: dict[str, Any] = {}
    for i, asked in enumerate(tree):
        name = f"{prefix}{i}"
        found[name] = [(type(o), o) for o in asked.options]
        found |= offered(asked.then[position(asked.options, genotype[name])], genotype, f"{name}.")
    return found


def typed(genotype: Genotype) -> dict[str, tuple[type, Option]]:
    return {name: (kind, option) for name, kind, option in items(genotype)}


def changed_name(parent: Genotype, child: Genotype) -> str | None:
    before, after = typed(parent), typed(child)
    return next((name for name in after if after[name] != before.get(name)), None)


def is_neighbour(tree: Sequence[Asked], parent: Genotype, child: Genotype) -> bool:
    """One answer of the parent's changed; of the others, all kept that could be."""
    before, after, could = typed(parent), typed(child), offered(tree, child)
    changed = changed_name(parent, child)
    return changed in before and all(
        after[name] == before[name]
        for name in after
        if name != changed and name in before and before[name] in could[name]
    )


options = st.lists(
    st.sampled_from([0, 1, 1.0, 2, "1", "a", None, -0.5]),
    min_size=1,
    max_size=3,
    unique_by=lambda option: (type(option), option),
)


@st.composite
def trees(draw: st.DrawFn, depth: int = 2) -> tuple[Asked, ...]:
    def choice() -> Asked:
        own = tuple(draw(options))
        deeper = depth > 0 and draw(st.booleans())
        then = tuple(draw(trees(depth - 1)) if deeper else () for _ in own)
        return Asked(own, then)

    return tuple(choice() for _ in range(draw(st.integers(0 if depth < 2 else 1, 2))))


small_trees = trees().filter(lambda tree: len(genotypes(tree)) in range(1, 300))
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=60, deadline=None)


@few
@given(small_trees)
def test_enumeration_is_brute_force_in_its_order(tree: tuple[Asked, ...]) -> None:
    expected = [items(g) for g in genotypes(tree)]
    assert [items(g) for g in toy(tree).enumerate()] == expected
    assert toy(tree).size() == Size(len(expected), exact=True)
    assert toy(tree).size(limit=len(expected)).exact
    assert toy(tree).size(limit=len(expected) - 1) == Size(len(expected) - 1, exact=False)


@few
@given(small_trees, seeds)
def test_sample_is_of_the_space_and_decodes_to_what_was_built(
    tree: tuple[Asked, ...], seed: int
) -> None:
    space = toy(tree)
    genotype = space.sample(rng(seed))
    assert items(genotype) in [items(g) for g in genotypes(tree)]
    assert items(space.sample(rng(seed))) == items(genotype)
    again, built = space.run(lambda name, _: genotype[name])
    assert items(again) == items(genotype) == cast(Any, built)
    # Decoding needs neither the order nor anything but plain JSON.
    shuffled = dict(sorted(genotype.items(), reverse=True))
    assert cast(Any, space.decode(json.loads(json.dumps(shuffled)))) == items(genotype)
    space.validate(genotype)


@few
@given(small_trees, seeds)
def test_mutation_changes_one_choice_and_what_depends_on_it(
    tree: tuple[Asked, ...], seed: int
) -> None:
    generator = rng(seed)
    space = toy(tree)
    parent = space.sample(generator)
    assume(any(is_neighbour(tree, parent, g) for g in genotypes(tree)))
    child = space.mutate(parent, generator)
    assert is_neighbour(tree, parent, child)
    space.validate(child)


@few
@given(small_trees, seeds)
def test_neighbours_are_exactly_what_mutation_can_return(
    tree: tuple[Asked, ...], seed: int
) -> None:
    generator = rng(seed)
    space = toy(tree)
    parent = space.sample(generator)
    found = [items(g) for g in space.neighbors(parent)]
    assert len(set(found)) == len(found)
    assert set(found) == {items(g) for g in genotypes(tree) if is_neighbour(tree, parent, g)}
    assume(found)
    assert {items(space.mutate(parent, generator)) for _ in range(20)} <= set(found)


@few
@given(small_trees, seeds)
def test_crossover_takes_every_answer_it_can_from_a_parent(
    tree: tuple[Asked, ...], seed: int
) -> None:
    generator = rng(seed)
    space = toy(tree)
    a, b = space.sample(generator), space.sample(generator)
    child = space.crossover(a, b, generator)
    space.validate(child)
    assert items(space.crossover(a, a, generator)) == items(a)
    could = offered(tree, child)
    for name, answer in typed(child).items():
        parental = {typed(p)[name] for p in (a, b) if name in p} & set(could[name])
        assert not parental or answer in parental


# --- distributions ----------------------------------------------------------------------------


def test_sampling_is_uniform_over_the_options_of_each_choice() -> None:
    space = space_of(lambda choose: (choose("a", [1, 2, 3]), choose("b", ["w", "x", "y", "z"])))
    generator = rng(1)
    counts = Counter(tuple(space.sample(generator).values()) for _ in range(6000))
    assert_distributed(counts, dict.fromkeys(itertools.product([1, 2, 3], "wxyz"), 1 / 12))


def test_sampling_is_uniform_given_feasible() -> None:
    def two_of_four(choose: Choose) -> None:
        if sum(choose(f"bit{i}", [0, 1]) for i in range(4)) != 2:
            raise Infeasible("not two bits")

    space = space_of(two_of_four)
    generator = rng(2)
    counts = Counter(tuple(space.sample(generator).values()) for _ in range(3000))
    two = [bits for bits in itertools.product([0, 1], repeat=4) if sum(bits) == 2]
    assert_distributed(counts, dict.fromkeys(two, 1 / 6))
    # 6 of 16 are feasible: 10/6 rejections to an acceptance, give or take five deviations.
    assert abs(space.rejected.total() / 3000 - 10 / 6) < 5 * np.sqrt(10 / 16) / (6 / 16) / np.sqrt(
        3000
    )


def test_mutation_is_uniform_over_choices_then_over_other_options() -> None:
    space = space_of(
        lambda choose: (choose("a", [0, 1]), choose("fixed", [7]), choose("b", [0, 1, 2, 3]))
    )
    generator = rng(3)
    parent: Genotype = {"a": 0, "fixed": 7, "b": 2}
    counts = Counter(tuple(space.mutate(parent, generator).values()) for _ in range(4000))
    assert_distributed(
        counts, {(1, 7, 2): 1 / 2, (0, 7, 0): 1 / 6, (0, 7, 1): 1 / 6, (0, 7, 3): 1 / 6}
    )


def test_mutation_draws_what_is_newly_asked_and_redraws_what_is_no_longer_allowed() -> None:
    def function(choose: Choose) -> None:
        nodes = choose("nodes", [1, 2])
        choose("input", list(range(nodes)))
        if nodes == 2:
            choose("op", ["a", "b"])

    space = space_of(function)
    generator = rng(5)
    grown = Counter(
        tuple(space.mutate({"nodes": 1, "input": 0}, generator).values()) for _ in range(2000)
    )
    assert_distributed(grown, {(2, 0, "a"): 1 / 2, (2, 0, "b"): 1 / 2})
    shrunk = [space.mutate({"nodes": 2, "input": 1, "op": "b"}, rng(seed)) for seed in range(60)]
    assert {tuple(g.items()) for g in shrunk if g["nodes"] == 1} == {(("nodes", 1), ("input", 0))}


def test_crossover_takes_either_parent_with_equal_chance() -> None:
    space = space_of(lambda choose: (choose("a", [0, 1, 2]), choose("b", [0, 1, 2])))
    generator = rng(4)
    counts = Counter(
        tuple(space.crossover({"a": 0, "b": 0}, {"a": 1, "b": 2}, generator).values())
        for _ in range(4000)
    )
    assert_distributed(counts, dict.fromkeys(itertools.product([0, 1], [0, 2]), 1 / 4))


# --- known sizes and laziness ----------------------------------------------------------------


def test_nas_bench_201_has_15625_genotypes() -> None:
    edges = [f"{j}<-{i}" for j in range(1, 4) for i in range(j)]
    space = space_of(lambda choose: [choose(edge, list("01234")) for edge in edges])
    assert space.size() == Size(15_625, exact=True)  # Dong & Yang 2020, section 2.1


def test_walks_are_lazy() -> None:
    space = space_of(lambda choose: [choose(f"c{i}", [0, 1, 2]) for i in range(200)])
    first = list(itertools.islice(space.enumerate(), 2))
    assert [list(g.values())[-2:] for g in first] == [[0, 0], [0, 1]]
    assert len(list(space.neighbors(first[0]))) == 400
    assert str(space.size(limit=10)) == "at least 10"


# --- options by type --------------------------------------------------------------------------


def test_options_are_told_apart_by_type() -> None:
    space = space_of(lambda choose: choose("x", [1, 1.0, "1", None]))
    assert [type(g["x"]) for g in space.enumerate()] == [int, float, str, type(None)]
    assert repr(space.decode({"x": 1.0})) == "1.0"
    drawn = {type(space.mutate({"x": 1}, rng(i))["x"]) for i in range(50)}
    assert drawn == {float, str, type(None)}
    with pytest.raises(InputError, match=r"^space toy: choice 'x': True is not an option; "):
        space.decode({"x": True})


# --- what is wrong with a genotype: InputError ---------------------------------------------------


def cell(choose: Choose) -> str:
    nodes = choose("cell.nodes", [2, 3, 4])
    ops = [choose(f"cell.{i}.op", ["conv", "pool"]) for i in range(nodes)]
    if set(ops) == {"pool"}:
        raise Infeasible("nothing to learn")
    return f"{nodes}: {ops}"


@pytest.mark.parametrize(
    ("genotype", "message"),
    [
        (
            {"cell.nodes": 9, "cell.0.op": "nonsense"},
            "space toy: choice 'cell.nodes': 9 is not an option; allowed: 2, 3, 4",
        ),
        (
            {"cell.nodes": 2, "cell.0.op": "conv"},
            "space toy: choice 'cell.1.op' is missing; allowed: 'conv', 'pool'",
        ),
        (
            {"cell.nodes": 2, "cell.0.op": "conv", "cell.1.op": "pool", "cell.2.op": "pool"},
            "space toy: choice 'cell.2.op' is not asked",
        ),
        (
            {"cell.nodes": 2, "cell.0.op": "pool", "cell.1.op": "pool"},
            "space toy: not in the space: nothing to learn",
        ),
    ],
)
def test_decode_names_the_first_choice_at_fault(genotype: Genotype, message: str) -> None:
    for check in (space_of(cell).decode, space_of(cell).validate):
        with pytest.raises(InputError) as caught:
            check(genotype)
        assert str(caught.value) == message
    with pytest.raises(InputError):
        next(space_of(cell).neighbors(genotype))


def test_members_are_validated_when_decoded() -> None:
    good: Genotype = {"cell.1.op": "pool", "cell.0.op": "conv", "cell.nodes": 2}
    space = space_of(cell, good=good, bad={"cell.nodes": 5})
    member = space.member("good")
    assert list(member) == ["cell.nodes", "cell.0.op", "cell.1.op"]
    member["cell.nodes"] = 3
    assert space.members["good"]["cell.nodes"] == 2
    with pytest.raises(InputError, match=r"choice 'cell\.nodes': 5 is not an option"):
        space.member("bad")
    with pytest.raises(InputError, match=r"^space toy: unknown member 'god' .*allowed: good, bad$"):
        space.member("god")
    with pytest.raises(InputError, match="has no members"):
        space_of(cell).member("good")


def test_a_space_with_nothing_in_it_says_so() -> None:
    def nothing(choose: Choose) -> None:
        raise Infeasible(f"no room for {choose('x', ['u', 'v'])}")

    space = space_of(nothing)
    with pytest.raises(
        InputError, match=r"^space toy: 10000 draws in a row were infeasible; the last: no room for"
    ):
        space.sample(rng())
    assert space.rejected.total() == 10_000
    assert list(space.enumerate()) == []
    assert space.size().count == 0


def test_a_space_of_one_genotype_cannot_mutate() -> None:
    space = space_of(lambda choose: choose("only", [1]))
    assert list(space.neighbors({"only": 1})) == []
    with pytest.raises(InputError, match="no choice has two options"):
        space.mutate({"only": 1}, rng())


def test_a_space_without_choices_holds_one_genotype() -> None:
    assert list(space_of(lambda choose: "constant").enumerate()) == [{}]


# --- what is wrong with a space or a searcher: a plain ValueError --------------------------------


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda choose: (choose("x", [1, 2]), choose("x", [1, 2])), "choice 'x' is asked twice"),
        (lambda choose: choose("x", []), "choice 'x': no options"),
        (lambda choose: choose("x", "relu"), "options must be a list, got the text 'relu'"),
        (lambda choose: choose("x\udce9", [1, 2]), r"'x\\udce9' must be the name of a choice"),
        (lambda choose: choose(3, [1, 2]), "3 must be the name of a choice"),  # type: ignore[arg-type]
        (lambda choose: choose("x", [1, True]), "choice 'x': option True is not a str"),
        (lambda choose: choose("x", [(1, 2)]), r"choice 'x': option \(1, 2\) is not a str"),
        (lambda choose: choose("x", [np.int64(1)]), "option .* is not a str"),
        (lambda choose: choose("x", [1.0, float("nan")]), "choice 'x': option nan is not finite"),
        (lambda choose: choose("x", [1, 2, 1]), "choice 'x': an option is given twice: 1, 2, 1"),
    ],
)
def test_a_faulty_space_is_a_bug(function: Callable[[Choose], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        space_of(function).sample(rng())
    assert type(caught.value) is ValueError


def test_a_faulty_answer_is_a_bug() -> None:
    with pytest.raises(
        ValueError, match=r"was answered with 1\.0, which is none of 1, 2"
    ) as caught:
        space_of(lambda choose: choose("x", [1, 2])).run(lambda name, options: 1.0)
    assert type(caught.value) is ValueError


def test_importing_spaces_imports_nothing_heavy() -> None:
    code = "import nas.spaces, sys; print({'torch', 'optuna', 'ray'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("genotype", [None, [], "text", 3, [("a", 1)]])
def test_what_is_no_mapping_is_no_genotype(genotype: Any) -> None:
    space = space_of(lambda choose: choose("a", [1, 2]))
    for method in (space.decode, space.validate):
        with pytest.raises(InputError, match="space toy: a genotype is a mapping of choices"):
            method(genotype)


def test_a_genotype_of_another_space_cannot_mutate() -> None:
    space = space_of(lambda choose: choose("a", [1, 2]))
    with pytest.raises(InputError, match=r"choice 'b' is not asked: .* is of another space"):
        space.mutate({"b": 1}, rng())


# --- what only asks ----------------------------------------------------------------------------


def lazy(builds: list[str]) -> SearchSpace:
    """Builds a one-node network of the activation asked for, and writes down that it did."""
    functions = ("relu", "tanh", "relu6")

    def function(choose: Choose) -> Callable[[], Architecture]:
        name = choose("activation", functions)
        choose("twice", (0, 1))

        def build() -> Architecture:
            builds.append(name)
            g = Builder((3,))
            return g.build(g.activation(g.input, name))

        return build

    return SearchSpace(function, "lazy")


def test_nothing_is_built_before_decoding() -> None:
    builds: list[str] = []
    space = lazy(builds)
    genotype = space.sample(rng())
    child = space.mutate(genotype, rng())
    space.crossover(genotype, child, rng())
    assert child in list(space.neighbors(genotype))
    assert space.size() == Size(6, exact=True)
    space.validate(space.from_string(space.to_string(child)))
    assert builds == []
    assert space.decode(child).nodes[0].operation == Activation(str(child["activation"]))
    assert builds == [child["activation"]]


def test_identity_is_the_architectures_and_remembered() -> None:
    builds: list[str] = []
    space = lazy(builds)
    identities = {
        space.to_string(g): space.identity(g) for _ in range(2) for g in space.enumerate()
    }
    assert len(identities) == len(builds) == 6
    assert len(set(identities.values())) == 3
    for text, identity in identities.items():
        assert space.decode(space.from_string(text)).fingerprint == identity


def test_without_a_notation_a_genotype_is_written_as_json() -> None:
    space = lazy([])
    assert space.to_string({"activation": "relu", "twice": 0}) == '{"activation":"relu","twice":0}'
    assert space.from_string('{"twice": 0, "activation": "relu"}') == {
        "activation": "relu",
        "twice": 0,
    }
    for text, fault in {
        "relu": "not a genotype in JSON: .*'relu'",
        "[1]": "an object of choices, got '\\[1\\]'",
        '{"activation": "selu", "twice": 0}': "choice 'activation': 'selu' is not an option",
    }.items():
        with pytest.raises(InputError, match=fault):
            space.from_string(text)


def test_a_list_of_options_is_checked_each_time() -> None:
    options: list[int] = [1, 2]
    space = space_of(lambda choose: choose("x", options))
    space.sample(rng())
    options.append(1)
    with pytest.raises(ValueError, match="an option is given twice"):
        space.sample(rng())
