"""What every search space promises to searchers and campaigns, as checks."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from nas.architecture.graph import Architecture
from nas.architecture.reference import reference_cost
from nas.errors import InputError
from nas.spaces.choices import Genotype, Option, same
from nas.spaces.search_space import SearchSpace

LIMIT = 40_000
"""The largest space that is enumerated."""


@dataclass(frozen=True)
class SpaceCase:
    """A search space to be checked.

    Attributes:
        space: the space. Give it small networks: the checks build about two hundred of them.
        tiny: the same space with so few options that all of its genotypes can be listed: at
            most 40,000. None leaves out the checks that list them.
        input_shape: of every architecture, such as (3, 16, 16); None: whatever the first has.
        output_shape: of every architecture, such as (10,); None: whatever the first has.
        seeds: each random check runs once for each of them.
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

    The arguments are those of :class:`SpaceCase`. Raises :class:`AssertionError` where a promise
    is broken.
    """
    case = SpaceCase(space, tiny, input_shape, output_shape, seeds)
    for check in CHECKS:
        check(case)
    if tiny is not None:
        for check in TINY_CHECKS:
            check(case)
    the_cost_is_fvcores(case)


def items(genotype: Genotype) -> list[tuple[str, str]]:
    """The answers with their order and types, which ``==`` between dicts leaves out."""
    return [(name, repr(option)) for name, option in genotype.items()]


def asked(space: SearchSpace, genotype: Genotype) -> dict[str, tuple[Option, ...]]:
    """The options that every choice of a genotype was asked with, in order."""
    options: dict[str, tuple[Option, ...]] = {}

    def answer(name: str, given: tuple[Option, ...]) -> Option:
        options[name] = given
        return genotype[name]

    space.run(answer)
    return options


def allowed(option: Option, options: tuple[Option, ...]) -> bool:
    """Whether the option is one of these, its type included."""
    return any(same(option, each) for each in options)


def a_sample_is_valid_decodes_and_is_replayed_exactly(case: SpaceCase) -> None:
    """A sample repeats by its seed, passes through JSON and notation, and builds one network."""
    space, first = case.space, None
    for seed in case.seeds:
        genotype = space.sample(np.random.default_rng(seed))
        again = space.sample(np.random.default_rng(seed))
        assert items(again) == items(genotype), f"seed {seed} gives {genotype}, then {again}"
        text = json.dumps(genotype)
        assert items(json.loads(text)) == items(genotype), f"JSON does not give {genotype} back"
        space.validate(genotype)
        for name, options in asked(space, genotype).items():
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
    """Check that one answer is another one, and that no answer changed which did not have to.

    The answers before it are kept, and so are those after it that are still asked and allowed.
    """
    assert items(child) != items(parent), f"nothing has changed: {parent}"
    options = asked(space, child)
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
    """Three mutations in a row change one answer each, and stay in the space."""
    for seed in case.seeds:
        generator = np.random.default_rng(seed)
        parent = case.space.sample(generator)
        for _ in range(3):
            child = case.space.mutate(parent, generator)
            check_changed(case.space, parent, child)
            case.space.validate(child)
            parent = child


def crossover_takes_every_answer_it_can_from_a_parent(case: SpaceCase) -> None:
    """A child of two parents is valid, and new only where neither parent's answer is allowed."""
    space = case.space
    for seed in case.seeds:
        generator = np.random.default_rng(seed)
        a, b = space.sample(generator), space.sample(generator)
        child = space.crossover(a, b, generator)
        space.validate(child)
        alone = space.crossover(a, a, generator)
        assert items(alone) == items(a), f"the child of {a} with itself is {alone}"
        for choice, options in asked(space, child).items():
            parental = [p[choice] for p in (a, b) if choice in p and allowed(p[choice], options)]
            assert not parental or allowed(child[choice], tuple(parental)), (
                f"choice {choice!r}: {child[choice]!r} is of neither parent: {parental}"
            )


def neighbours_are_valid_distinct_and_one_change_away(case: SpaceCase) -> None:
    """A genotype has neighbours; each differs in one answer, and no two are the same."""
    parent = case.space.sample(np.random.default_rng(0))
    found = list(islice(case.space.neighbors(parent), 100))
    assert found, f"{parent} has no neighbour"
    assert len({str(items(genotype)) for genotype in found}) == len(found), "two are the same"
    for genotype in found:
        check_changed(case.space, parent, genotype)
        case.space.validate(genotype)


def validation_names_the_first_choice_at_fault(case: SpaceCase) -> None:
    """A wrong, a missing and an unknown answer are refused by name, by ``decode`` as well."""
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
    """One-hot features differ where genotypes do; cells, where a space has any, give paths."""
    space, generator = case.space, np.random.default_rng(3)
    drawn = [space.sample(generator) for _ in range(50)]
    features = [space.encode(genotype, "one_hot") for genotype in drawn]
    assert [len(each) for each in features] == [len(genotype) for genotype in drawn]

    def distinct(found: list[Any]) -> int:
        return len({str(sorted(each)) for each in found})

    assert distinct(features) == distinct([items(genotype) for genotype in drawn])
    if space.cell_graphs(drawn[0]):
        assert any(space.encode(genotype, "path") for genotype in drawn)


def the_size_is_the_number_that_enumeration_finds(case: SpaceCase) -> None:
    """The tiny space lists each of its genotypes once, and as many as its size says."""
    assert case.tiny is not None
    found = [str(items(genotype)) for genotype in islice(case.tiny.enumerate(), LIMIT)]
    assert 5 < len(found) < LIMIT, f"the tiny space has {len(found)} genotypes or more"
    assert len(set(found)) == len(found), "a genotype is listed twice"
    size = case.tiny.size()
    assert (size.count, size.exact) == (len(found), True), f"{len(found)} are listed, not {size}"
    assert str(items(case.tiny.sample(np.random.default_rng(0)))) in set(found)


def neighbours_are_all_that_mutation_can_return(case: SpaceCase) -> None:
    """A hundred mutants of a genotype of the tiny space are all among its neighbours."""
    assert case.tiny is not None
    generator = np.random.default_rng(1)
    parent = case.tiny.sample(generator)
    neighbours = {str(items(genotype)) for genotype in case.tiny.neighbors(parent)}
    for _ in range(100):
        mutant = case.tiny.mutate(parent, generator)
        assert str(items(mutant)) in neighbours, f"{mutant} is no neighbour of {parent}"


def the_cost_is_fvcores(case: SpaceCase) -> None:
    """Parameters, FLOPs and activations of two samples are what fvcore counts; it takes seconds."""
    generator = np.random.default_rng(2)
    for _ in range(2):
        genotype = case.space.sample(generator)
        architecture = case.space.decode(genotype)
        counted = reference_cost(architecture).cost
        assert architecture.cost == counted, f"{genotype}: {architecture.cost}, fvcore {counted}"


CHECKS: tuple[Callable[[SpaceCase], None], ...] = (
    a_sample_is_valid_decodes_and_is_replayed_exactly,
    mutation_changes_what_it_says,
    crossover_takes_every_answer_it_can_from_a_parent,
    neighbours_are_valid_distinct_and_one_change_away,
    validation_names_the_first_choice_at_fault,
    encodings_tell_genotypes_apart,
)
"""The checks of one space, each a function of a case."""

TINY_CHECKS: tuple[Callable[[SpaceCase], None], ...] = (
    the_size_is_the_number_that_enumeration_finds,
    neighbours_are_all_that_mutation_can_return,
)
"""The checks that list all genotypes of the case's tiny space."""
