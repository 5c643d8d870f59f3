"""Checks what every search space promises to searchers and campaigns."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from nas.architecture.graph import Architecture
from nas.architecture.reference import reference_cost
from nas.errors import InputError
from nas.spaces.asked_space import NothingFeasible
from nas.spaces.choices import Genotype, Option, is_ordered, same
from nas.spaces.mutations import GENERAL
from nas.spaces.search_space import SearchSpace

LIMIT = 40_000
"""The number of genotypes up to which a space is enumerated."""


@dataclass(frozen=True)
class SpaceCase:
    """A search space to be checked.

    Attributes:
        space: the space. Its networks should be small: the checks build about two hundred.
        tiny: the same space with fewer options, so that it has at most 40,000 genotypes, which the
            checks can enumerate. If it is None, these checks are skipped.
        input_shape: the input shape of every architecture, such as (3, 16, 16); None if the first
            one decides it.
        output_shape: the output shape of every architecture, such as (10,); None if the first one
            decides it.
        seeds: the seeds; each random check runs once per seed.
    """

    space: SearchSpace
    tiny: SearchSpace | None = None
    input_shape: tuple[int, ...] | None = None
    output_shape: tuple[int, ...] | None = None
    seeds: Sequence[int] = (0, 2**32 - 1, *range(1, 49))


def check_space(
    space: SearchSpace,
    tiny: SearchSpace | None = None,
    *,
    input_shape: tuple[int, ...] | None = None,
    output_shape: tuple[int, ...] | None = None,
    seeds: Sequence[int] = SpaceCase.seeds,
) -> None:
    """Run every check of :data:`CHECKS` on a space, and :func:`the_cost_is_fvcores`.

    The arguments are those of :class:`SpaceCase`. Raises :class:`AssertionError` if a promise is
    broken.
    """
    case = SpaceCase(space, tiny, input_shape, output_shape, seeds)
    for check in CHECKS:
        check(case)
    if tiny is not None:
        for check in TINY_CHECKS:
            check(case)
    the_cost_is_fvcores(case)


def items(genotype: Genotype) -> list[tuple[str, str]]:
    """Lists the answers with their order and types, which ``==`` of dicts does not compare."""
    return [(name, repr(option)) for name, option in genotype.items()]


def offered(space: SearchSpace, genotype: Genotype) -> dict[str, tuple[Option, ...]]:
    """Returns the options of each choice of a genotype, in the order of the choices."""
    options: dict[str, tuple[Option, ...]] = {}

    def answer(name: str, given: tuple[Option, ...]) -> Option:
        options[name] = given
        return genotype[name]

    space.run(answer)
    return options


def allowed(option: Option, options: tuple[Option, ...]) -> bool:
    """Tells if the option is one of these, with the same type."""
    return any(same(option, each) for each in options)


def a_sample_is_valid_decodes_and_is_replayed_exactly(case: SpaceCase) -> None:
    """A sample depends only on its seed, and JSON and notation keep it and its network."""
    space, first = case.space, None
    for seed in case.seeds:
        genotype = space.sample(np.random.default_rng(seed))
        again = space.sample(np.random.default_rng(seed))
        assert items(again) == items(genotype), f"seed {seed} gives {genotype}, then {again}"
        text = json.dumps(genotype)
        assert items(json.loads(text)) == items(genotype), f"JSON does not give {genotype} back"
        space.validate(genotype)
        for name, options in offered(space, genotype).items():
            assert allowed(genotype[name], options), f"choice {name!r}: {genotype[name]!r}"
        # Neither the order of a dict's keys nor the identity of its values matters.
        parts = list(json.loads(text).items())
        shuffled = dict(
            parts[index] for index in np.random.default_rng(seed).permutation(len(parts))
        )
        replayed, _ = space.run(lambda choice, _, answers=shuffled: answers[choice])  # type: ignore[misc]
        assert items(replayed) == items(genotype), f"{genotype} is replayed as {replayed}"
        architecture = space.decode(genotype)
        assert space.decode(shuffled) == architecture, f"{genotype} builds two networks"
        first = first or architecture
        _check_shapes(case, architecture, first)
        as_json = Architecture.from_json(architecture.to_json())
        assert as_json == architecture, f"JSON does not give the network of {genotype} back"
        notation = space.to_string(genotype)
        read = space.from_string(notation)
        assert items(read) == items(genotype), f"{notation} is read as {read}"
        assert space.decode(read) == architecture


def _check_shapes(case: SpaceCase, architecture: Architecture, first: Architecture) -> None:
    expected = (
        case.input_shape or first.input_shape,
        case.output_shape or first.output_shape,
    )
    found = (architecture.input_shape, architecture.output_shape)
    assert found == expected, f"input and output have shapes {found}, expected {expected}"


def check_changed(space: SearchSpace, parent: Genotype, child: Genotype) -> None:
    """Check that one answer of the parent has changed, and others only if they had to.

    All answers before it are kept; those after it are kept if their choice still has that option.
    """
    assert items(child) != items(parent), f"nothing has changed: {parent}"
    options = offered(space, child)
    differing = [n for n in child if n not in parent or not same(child[n], parent[n])]
    changed = differing[0]
    assert changed in parent, f"choice {changed!r} is new, but no answer before it has changed"
    before = list(child).index(changed)
    assert items(child)[:before] == items(parent)[:before]
    for name in differing[1:]:
        assert name not in parent or not allowed(parent[name], options[name]), (
            f"choice {name!r} changed along with {changed!r}, though its answer is still allowed"
        )


def mutation_changes_what_it_says(case: SpaceCase) -> None:
    """A mutation changes one answer and gives a member of the space; this holds three in a row."""
    for seed in case.seeds:
        generator = np.random.default_rng(seed)
        parent = case.space.sample(generator)
        for _ in range(3):
            child = case.space.mutate(parent, generator)
            check_changed(case.space, parent, child)
            case.space.validate(child)
            parent = child


def every_mutation_gives_another_member(case: SpaceCase) -> None:
    """Each of the space's own mutations, where it can be applied, gives another valid genotype."""
    space = case.space
    for name in dict.fromkeys((*GENERAL, *space.mutations.weights)):
        mutations = space.mutations_with(weights={name: 1.0})
        for seed in case.seeds[:10]:
            parent = space.sample(np.random.default_rng(seed))
            try:
                child = space.child(parent, np.random.default_rng(seed), mutations)
            except NothingFeasible:
                continue
            again = space.child(parent, np.random.default_rng(seed), mutations)
            assert child == again, f"{name} of seed {seed} gives {child}, then {again}"
            assert child.mutation == name
            assert items(child.genotype) != items(parent), f"{name} changes nothing: {parent}"
            space.validate(child.genotype)


def crossover_takes_every_answer_it_can_from_a_parent(case: SpaceCase) -> None:
    """A child of two parents is valid, and takes an answer of a parent wherever one is allowed."""
    space = case.space
    for seed in case.seeds:
        generator = np.random.default_rng(seed)
        a, b = space.sample(generator), space.sample(generator)
        child = space.crossover(a, b, generator)
        space.validate(child)
        alone = space.crossover(a, a, generator)
        assert items(alone) == items(a), f"the child of {a} with itself is {alone}"
        for choice, options in offered(space, child).items():
            parental = [p[choice] for p in (a, b) if choice in p and allowed(p[choice], options)]
            assert not parental or allowed(child[choice], tuple(parental)), (
                f"choice {choice!r}: {child[choice]!r} comes from neither parent: {parental}"
            )


def neighbours_are_valid_distinct_and_one_change_away(case: SpaceCase) -> None:
    """A genotype has neighbours; each differs in one answer, and no two are the same."""
    parent = case.space.sample(np.random.default_rng(0))
    found = list(islice(case.space.neighbors(parent), 100))
    assert found, f"{parent} has no neighbour"
    assert len({str(items(genotype)) for genotype in found}) == len(found), (
        "two neighbours are the same"
    )
    for genotype in found:
        check_changed(case.space, parent, genotype)
        case.space.validate(genotype)


def validation_names_the_first_choice_at_fault(case: SpaceCase) -> None:
    """``validate`` and ``decode`` name the first answer that is wrong, missing or unknown."""
    space = case.space
    for seed in case.seeds[:20]:
        generator = np.random.default_rng(seed)
        genotype = space.sample(generator)
        names = list(genotype)
        first = int(generator.integers(len(names)))
        spoilt = [*names[first : first + 1], *names[first + 1 :: 2]]
        wrong: Genotype = {**genotype, **dict.fromkeys(spoilt, "no such option")}
        missing = {n: o for n, o in genotype.items() if n not in spoilt}
        for fault, said in [
            (wrong, f"choice {names[first]!r}: 'no such option' is not an option; allowed: "),
            (missing, f"choice {names[first]!r} is missing; allowed: "),
            ({**genotype, "no such choice": 1}, "choice 'no such choice' is not asked"),
        ]:
            for check in (space.validate, space.decode):
                try:
                    check(fault)
                except InputError as error:
                    message = str(error)
                else:
                    message = "no error"
                assert message.startswith(f"space {space.name}: {said}"), message


def encodings_tell_genotypes_apart(case: SpaceCase) -> None:
    """Different genotypes have different one-hot features; a space with cells also gives paths."""
    space, generator = case.space, np.random.default_rng(3)
    drawn = [space.sample(generator) for _ in range(50)]
    features = [space.encode(genotype, "one_hot") for genotype in drawn]
    assert [len(each) for each in features] == [len(genotype) for genotype in drawn]

    def distinct(found: list[Any]) -> int:
        return len({str(sorted(each)) for each in found})

    given = [[*each.items()] for each in features]
    assert distinct(given) == distinct([items(genotype) for genotype in drawn])
    if space.cell_graphs(drawn[0]):
        assert any(space.encode(genotype, "path") for genotype in drawn)


def the_size_is_the_number_that_enumeration_finds(case: SpaceCase) -> None:
    """Enumeration gives each genotype of the tiny space once, as many as ``size`` says."""
    assert case.tiny is not None
    found = [str(items(genotype)) for genotype in islice(case.tiny.enumerate(), LIMIT)]
    assert 5 < len(found) < LIMIT, f"the tiny space has {len(found)} genotypes or more"
    assert len(set(found)) == len(found), "a genotype is listed twice"
    size = case.tiny.size()
    assert (size.count, size.exact) == (len(found), True), f"{len(found)} are listed, not {size}"
    assert str(items(case.tiny.sample(np.random.default_rng(0)))) in set(found)


def neighbours_are_all_that_mutation_can_return(case: SpaceCase) -> None:
    """All of a hundred mutants of a genotype of the tiny space are among its neighbours.

    A mutant in which an ordered choice has an option that is not beside the parent's is none.
    """
    assert case.tiny is not None
    generator = np.random.default_rng(1)
    parent = case.tiny.sample(generator)
    neighbours = {str(items(genotype)) for genotype in case.tiny.neighbors(parent)}
    for _ in range(100):
        mutant = case.tiny.mutate(parent, generator)
        changed = next(n for n in parent if n not in mutant or not same(mutant[n], parent[n]))
        options = offered(case.tiny, mutant)[changed]
        if is_ordered(options) and (
            abs(options.place(mutant[changed]) - options.place(parent[changed])) > 1
        ):
            continue
        assert str(items(mutant)) in neighbours, f"{mutant} is not a neighbour of {parent}"


def the_cost_is_fvcores(case: SpaceCase) -> None:
    """The costs of two samples equal those that fvcore counts; this takes some seconds."""
    generator = np.random.default_rng(2)
    for _ in range(2):
        genotype = case.space.sample(generator)
        architecture = case.space.decode(genotype)
        counted = reference_cost(architecture).cost
        assert architecture.cost == counted, f"{genotype}: {architecture.cost}, fvcore {counted}"


CHECKS: tuple[Callable[[SpaceCase], None], ...] = (
    a_sample_is_valid_decodes_and_is_replayed_exactly,
    mutation_changes_what_it_says,
    every_mutation_gives_another_member,
    crossover_takes_every_answer_it_can_from_a_parent,
    neighbours_are_valid_distinct_and_one_change_away,
    validation_names_the_first_choice_at_fault,
    encodings_tell_genotypes_apart,
)
"""All checks of a space; each is a function of a case."""

TINY_CHECKS: tuple[Callable[[SpaceCase], None], ...] = (
    the_size_is_the_number_that_enumeration_finds,
    neighbours_are_all_that_mutation_can_return,
)
"""The checks that enumerate the tiny space of a case."""
