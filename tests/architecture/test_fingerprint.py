"""The fingerprint: one for all drawings of a graph, another for every other graph."""

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.node import INPUT, Node
from tests.architecture.examples import architectures

# --- what must not matter ---


def redrawn(architecture: Architecture, random: Random) -> Architecture:
    """New names, another order, and the inputs of commutative operations in another order."""
    numbers = random.sample(range(100_000), len(architecture.nodes))
    names = {node.name: f"x{n}" for node, n in zip(architecture.nodes, numbers, strict=True)}
    names[INPUT] = INPUT
    nodes = []
    for node in architecture.nodes:
        inputs = [names[name] for name in node.inputs]
        if node.operation.commutative:
            random.shuffle(inputs)
        nodes.append(Node(names[node.name], node.operation, tuple(inputs)))
    random.shuffle(nodes)
    outputs = [names[name] for name in architecture.outputs]
    return Architecture(architecture.input_shape, nodes, outputs)


@settings(max_examples=300)
@given(architectures(), st.integers(0, 2**32))
def test_names_and_orders_do_not_matter(architecture: Architecture, seed: int) -> None:
    assert redrawn(architecture, Random(seed)).fingerprint == architecture.fingerprint


def test_neither_process_nor_hash_seed_matters() -> None:
    program = (
        "from nas.architecture.builder import Builder; g = Builder((3, 8, 8));"
        "print(g.build(g.add(g.relu(g.input), g.conv(g.input, 3, 1))).fingerprint)"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    g = Builder((3, 8, 8))
    ours = g.build(g.add(g.relu(g.input), g.conv(g.input, 3, 1))).fingerprint
    assert found == {f"{ours}\n".encode()}
    assert len(ours) == 40
    int(ours, 16)


def idle(g: Builder, x: Handle) -> Handle:
    return g.add(x, g.zero(g.linear(x, 4)), g.batch_norm(g.relu(g.zero(x))))


def identity(g: Builder, x: Handle) -> Handle:
    return g.identity(g.add(x))


def nested(g: Builder, x: Handle) -> Handle:
    return g.add(x, g.add(x, x))


def flat(g: Builder, x: Handle) -> Handle:
    return g.add(x, x, x)


def untouched(g: Builder, x: Handle) -> Handle:
    return x


@pytest.mark.parametrize(
    ("drawn", "canonical"), [(idle, untouched), (identity, untouched), (nested, flat)]
)
def test_idle_wiring_does_not_matter_to_identity_but_is_built(
    drawn: Callable[[Builder, Handle], Handle], canonical: Callable[[Builder, Handle], Handle]
) -> None:
    made = []
    for wiring in (drawn, canonical):
        g, x = build()
        middle = wiring(g, g.linear(x, 4))
        # A sum that two nodes read is flattened into both.
        made.append(g.build(g.add(middle, g.linear(middle, 4))))
    assert made[0].fingerprint == made[1].fingerprint
    assert len(made[0].nodes) > len(made[1].nodes)
    assert (drawn is idle) == (made[0].cost != made[1].cost)


def test_networks_that_their_input_does_not_reach_differ_in_shape_alone() -> None:
    def constant(features: int, layers: int) -> str:
        g, x = build()
        x = g.zero(x)
        for _ in range(layers):
            x = g.linear(x, features)
        return g.build(x).fingerprint

    assert constant(4, 1) == constant(4, 2) == constant(4, 0) != constant(5, 1)


# --- what must matter ---


def build(width: int = 4) -> tuple[Builder, Handle]:
    g = Builder((width,))
    return g, g.input


def layers(g: Builder, x: Handle, count: int) -> list[Handle]:
    return [g.linear(x, 4) for _ in range(count)]


def sharing(shared: bool) -> Architecture:
    g, x = build()
    first = layers(g, x, 1)[0]
    second = first if shared else layers(g, x, 1)[0]
    return g.build(g.add(g.relu(first), g.activation(second, "tanh")))


def concat_order(swapped: bool) -> Architecture:
    g, x = build()
    parts = [g.relu(x), g.linear(x, 4)]
    return g.build(g.concat(*(reversed(parts) if swapped else parts)))


def concat_of_twins(swapped: bool) -> Architecture:
    """Both concats read both twins; in one graph the second reads them in the other order."""
    g, x = build()
    a, b = layers(g, x, 2)
    return g.build(g.add(g.concat(a, b), g.concat(b, a) if swapped else g.concat(a, b)))


def products(crossed: bool) -> Architecture:
    """a*a + b*b against a*b + a*b: every node has equal neighbours, only not the same ones."""
    g, x = build()
    a, b = layers(g, x, 2)
    pairs = [(a, b), (a, b)] if crossed else [(a, a), (b, b)]
    return g.build(g.add(*(g.multiply(*pair) for pair in pairs)))


def multiplicities(crossed: bool) -> Architecture:
    """2a+b and a+2b against 2a+b twice."""
    g, x = build()
    a, b = layers(g, x, 2)
    return g.build(
        g.add(*(g.add(*sources) for sources in [(a, a, b), (a, b, b if crossed else a)]))
    )


def fences(equal: bool) -> Architecture:
    """Chains of sums of neighbours, with two and two sums or one and three.

    What tells them apart has to travel up and down: one round of sweeps is not enough.
    """
    g, x = build()
    sums = []
    for count in (2, 2) if equal else (1, 3):
        lower = layers(g, x, count + 1)
        sums += [g.relu(g.add(*pair)) for pair in pairwise(lower)]
    return g.build(g.add(*sums))


def residuals(crossed: bool) -> Architecture:
    """Two parallel residual branches, each with its own shortcut or with the other's."""
    g, x = build()
    starts = layers(g, x, 2)
    bodies = [g.linear(start, 4) for start in starts]
    shortcuts = starts[::-1] if crossed else starts
    sums = [g.add(y, s) for y, s in zip(bodies, shortcuts, strict=True)]
    return g.build(g.add(*map(g.relu, sums)))


def outputs(swapped: bool) -> Architecture:
    g, x = build()
    ends = [g.linear(x, 2), g.linear(x, 3)]
    return g.build(*(reversed(ends) if swapped else ends))


def head(present: bool) -> Architecture:
    g, x = build()
    inner = g.relu(x)
    return g.build(g.linear(inner, 2), *([inner] if present else []))


def input_shape(wide: bool) -> Architecture:
    g, x = build(8 if wide else 4)
    return g.build(g.relu(x))


def attribute(other: bool) -> Architecture:
    g, x = build()
    return g.build(g.batch_norm(x, momentum=0.2 if other else 0.1))


def repeated_input(twice: bool) -> Architecture:
    g, x = build()
    return g.build(g.add(x, x) if twice else g.add(x))


@pytest.mark.parametrize(
    "pair",
    [
        *(sharing, concat_order, concat_of_twins, products, multiplicities, residuals, fences),
        *(outputs, head, input_shape, attribute, repeated_input),
    ],
)
def test_what_differs_is_told_apart(pair: object) -> None:
    assert callable(pair)
    assert pair(False).fingerprint != pair(True).fingerprint


def joined(pairs: list[tuple[int, int]]) -> Architecture:
    """As many equal layers, and further ones that each read the sum of two of them."""
    g, x = build()
    lower = layers(g, x, len(pairs))
    return g.build(g.add(*(g.linear(g.add(lower[i], lower[j]), 4) for i, j in pairs)))


RING = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0)]
TRIANGLES = [(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3)]
SQUARE, PAIRS = [(0, 1), (1, 2), (2, 3), (3, 0)], [(0, 1), (0, 1), (2, 3), (2, 3)]


@pytest.mark.parametrize(("one", "two"), [(RING, TRIANGLES), (SQUARE, PAIRS)])
def test_what_colour_refinement_takes_for_one_is_told_apart(
    one: list[tuple[int, int]], two: list[tuple[int, int]]
) -> None:
    a, b = joined(one), joined(two)
    assert a.fingerprint != b.fingerprint
    assert a.recorded_as("")[0] == b.recorded_as("")[0]  # what earlier versions recorded
    for architecture in (a, b):
        prints = {redrawn(architecture, Random(seed)).fingerprint for seed in range(50)}
        assert prints == {architecture.fingerprint}


def test_many_equal_branches_take_no_time() -> None:
    """A network has 64 factorial drawings of them, and the search must not go through these."""

    def branches(crossed: bool) -> Architecture:
        g, x = build()
        lower = layers(g, x, 64)
        upper = [g.relu(layer) for layer in lower]
        every = [g.linear(g.add(*upper), 4) for _ in range(64)]
        pairs = zip(lower, every[1:] + every[:1] if crossed else every, strict=True)
        return g.build(g.add(*(g.multiply(a, b) for a, b in pairs)))

    assert branches(False).fingerprint == branches(True).fingerprint


@pytest.mark.parametrize("seen", [False, True])
def test_the_order_of_a_concatenation_matters_where_something_sees_it(seen: bool) -> None:
    def network(swapped: bool) -> str:
        g = Builder((3, 6, 6))
        parts = [g.conv(g.input, 4, 3), g.conv(g.input, 4, 3, bias=False)]
        x = g.relu(g.batch_norm(g.concat(*(reversed(parts) if swapped else parts))))
        x = g.slice(x, 0, 6) if seen else g.max_pool(g.add(x, g.conv(x, 8, 1)), 2)
        return g.build(g.linear(g.global_pool(x), 2)).fingerprint

    assert (network(False) != network(True)) == seen


def test_tied_concatenations_keep_their_orders() -> None:
    """Both sums have the channels of two concatenations: one order decides the other."""

    def network(swapped: bool) -> str:
        g = Builder((3, 6, 6))
        a, b = g.conv(g.input, 4, 3), g.conv(g.input, 4, 3)
        second = g.concat(b, a) if swapped else g.concat(a, b)
        x = g.add(g.relu(g.concat(a, b)), second)
        return g.build(g.linear(g.global_pool(x), 2)).fingerprint

    assert network(False) != network(True)


def test_a_fingerprint_is_the_same_in_every_version() -> None:
    """It is the key of records and caches: a change of it needs a new schema."""
    g = Builder((3, 8, 8))
    x = g.relu(g.batch_norm(g.conv(g.input, 4, kernel=3, padding="same")))
    architecture = g.build(g.concat(x, g.max_pool(x, 3, 1, 1)))
    assert architecture.fingerprint == "83aef294daebcd31788f01f8c9e4d62f76070a80"
    assert architecture.recorded_as("0" * 32)[0] == "fba8019aa5a49df210f330687ea05463"
    assert architecture.recorded_as("0" * 40)[0] == architecture.fingerprint
