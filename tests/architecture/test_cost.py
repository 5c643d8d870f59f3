"""The analytic cost: against fvcore on random graphs, and against counts done by hand."""

import pytest
import torch
from hypothesis import given, settings
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from nas.architecture.builder import Builder
from nas.architecture.cost import Cost
from nas.architecture.graph import Architecture, cost
from nas.architecture.network import compile
from nas.architecture.operations import Attention, Operation, Shape
from nas.architecture.reference import reference_cost
from tests.architecture.examples import (
    EXAMPLES,
    architectures,
    example_id,
    one_operation,
    with_attention,
)


def torch_macs(architecture: Architecture) -> int:
    """Returns the multiply-accumulates that torch's own ``FlopCounterMode`` counts.

    It counts convolutions and matrix products, attention's included (by the mathematical kernel),
    each multiplication and addition as two. Nothing is computed: tensors have shapes alone.
    """
    with torch.device("meta"):
        network = compile(architecture.inference()).eval()
        example = torch.zeros(1, *architecture.input_shape)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network(example)
    return int(counter.get_total_flops()) // 2


@settings(max_examples=150)
@given(architectures())
def test_equals_fvcore_on_random_graphs(architecture: Architecture) -> None:
    """fvcore counts nothing of attention, so there it has fewer MACs."""
    counted = architecture.cost.macs - architecture.macs_without_flops
    assert architecture.cost._replace(macs=counted) == reference_cost(architecture).cost


@pytest.mark.parametrize("example", EXAMPLES, ids=example_id)
def test_macs_of_every_operation_are_those_of_torch(
    example: tuple[Operation, tuple[Shape, ...]],
) -> None:
    architecture = one_operation(*example)
    assert architecture.cost.macs == torch_macs(architecture)


@settings(max_examples=150)
@given(with_attention())
def test_macs_are_those_of_torch_on_random_graphs_with_attention(
    architecture: Architecture,
) -> None:
    assert any(isinstance(node.operation, Attention) for node in architecture.nodes)
    assert architecture.cost.macs == torch_macs(architecture)
    assert architecture.macs_without_flops > 0


def test_attention_by_hand() -> None:
    """Six queries and ten keys of 8 features, values of 4: every pair costs 8 and 4."""
    g = Builder((10, 8))
    queries, values = g.slice(g.input, 0, 6), g.linear(g.input, 4, bias=False)
    architecture = g.build(g.attention(queries, g.input, values, heads=2))
    assert architecture.costs["attention1"] == Cost(macs=6 * 10 * (8 + 4))
    assert architecture.macs_without_flops == 720
    assert architecture.cost.macs == torch_macs(architecture) == 720 + 320
    assert reference_cost(architecture).cost.macs == 320
    # What earlier versions recorded: nothing for attention.
    assert architecture.recorded_as("")[1] == architecture.cost._replace(macs=320)


@settings(max_examples=100)
@given(architectures(heads=False))
def test_params_are_those_of_the_network(architecture: Architecture) -> None:
    network = compile(architecture)
    assert architecture.cost.params == sum(p.numel() for p in network.parameters())


def lenet5() -> Architecture:
    g = Builder((1, 32, 32))
    x = g.activation(g.conv(g.input, 6, 5), "tanh")
    x = g.avg_pool(x, 2)
    x = g.activation(g.conv(x, 16, 5), "tanh")
    x = g.avg_pool(x, 2)
    x = g.activation(g.conv(x, 120, 5), "tanh")
    x = g.activation(g.linear(g.flatten(x), 84), "tanh")
    return g.build(g.linear(x, 10))


def test_lenet5() -> None:
    """LeCun et al. 1998, section II.B, with all maps of S2 connected to all of C3.

    The paper's own counts for C1 (156 parameters, 122,304 connections with biases), C5 (48,120)
    and F6 (10,164) are terms of these sums.
    """
    connections = 122_304 - 28 * 28 * 6
    assert lenet5().cost == Cost(
        params=156 + 16 * (6 * 25 + 1) + 48_120 + 10_164 + 850,
        macs=connections + 10 * 10 * 16 * 150 + 48_000 + 10_080 + 840,
        flops=connections + 10 * 10 * 16 * 150 + 48_000 + 10_080 + 840,
        activations=6 * 28 * 28 + 16 * 10 * 10 + 120 + 84 + 10,
    )
    assert lenet5().cost.params == 61_706
    assert lenet5().cost.macs == 416_520
    assert cost(lenet5()) == lenet5().cost


def test_convolution_in_closed_form() -> None:
    """Weights are filters x channels of a group x kernel; each is used once a position."""
    g = Builder((6, 11, 8))
    x = g.conv(g.input, 10, (3, 5), (2, 1), (1, 0), groups=2)
    assert x.shape == (10, 6, 4)
    weights = 10 * 3 * 15
    expected = Cost(weights + 10, weights * 24, weights * 24, 240)
    assert g.build(x).cost == expected


@pytest.mark.parametrize(("affine", "per_element"), [(True, 2), (False, 1)])
def test_norms_count_as_flops_only(affine: bool, per_element: int) -> None:
    g = Builder((6, 8))
    expected = Cost(12 * affine, 0, 48 * per_element, 0)
    assert g.build(g.batch_norm(g.input, affine=affine)).cost == expected


def test_two_ways_to_pool_globally() -> None:
    g = Builder((6, 8, 8))
    assert g.build(g.adaptive_avg_pool(g.input, 1)).cost == Cost(flops=6 * 64)
    assert g.build(g.global_pool(g.input)).cost == Cost()


def test_a_node_read_twice_is_counted_once() -> None:
    g = Builder((5,))
    x = g.linear(g.input, 5)
    assert g.build(g.add(x, x, g.relu(x))).cost == Cost(30, 25, 25, 5)


def test_auxiliary_heads_cost_nothing() -> None:
    g = Builder((3, 8, 8))
    x = g.conv(g.input, 8, 3)
    main = g.linear(g.global_pool(x), 10)
    head = g.linear(g.flatten(g.conv(x, 4, 1)), 10)
    with_head, without = g.build(main, head), g.build(main)
    assert with_head.cost == without.cost == reference_cost(with_head).cost
    assert with_head.inference() == without
    trained = sum(p.numel() for p in compile(with_head).parameters())
    assert trained > without.cost.params


def test_a_head_inside_the_main_path_is_no_extra() -> None:
    g = Builder((4,))
    x = g.linear(g.input, 4)
    main = g.linear(x, 2)
    assert g.build(main, x).cost == Cost(20 + 10, 16 + 8, 16 + 8, 4 + 2)


def test_reference_names_what_it_does_not_count() -> None:
    g = Builder((3, 8, 8))
    x = g.max_pool(g.activation(g.input, "silu"), 2)
    found = reference_cost(g.build(g.multiply(x, g.global_pool(x, keep_axes=True))))
    assert found.cost == Cost()
    operators = ("silu", "max_pool2d", "mean", "mul")
    assert found.uncounted == {f"aten::{name}": 1 for name in operators}


def test_reference_leaves_the_random_numbers_alone() -> None:
    before = torch.get_rng_state()
    reference_cost(lenet5())
    assert torch.equal(torch.get_rng_state(), before)
