"""One contract for every block, and the closed forms of those that no classic pins down."""

import inspect

import pytest
import torch

from nas.architecture.builder import Builder, Handle
from nas.architecture.cost import Cost
from nas.architecture.network import compile
from nas.architecture.operations import ArchitectureError
from nas.architecture.reference import reference_cost
from nas.blocks import BLOCKS, inverted_residual, self_attention, shuffle_unit, squeeze_excitation
from tests.architecture.test_cost import torch_macs

OPTIONS = {
    "kernel": 5,
    "dilation": 2,
    "squeeze": 4,
    "expansion": 3,
    "reduction": 2,
    "drop_path": 0.3,
    "dropout": 0.3,
    "heads": 2,
    "activation": "silu",
    "gate": "hard_sigmoid",
}


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("side", [1, 6, 7])
@pytest.mark.parametrize("given", [False, True])
def test_it_keeps_the_shape_whatever_its_options(name: str, side: int, given: bool) -> None:
    """What a search space relies on: any block may stand anywhere in a cell."""
    block = BLOCKS[name]
    options = {
        key: OPTIONS[key]
        for key, parameter in inspect.signature(block).parameters.items()
        if given and parameter.kind is parameter.KEYWORD_ONLY and key in OPTIONS
    }
    g = Builder((8, side, side))
    x = block(g, g.input, **options)
    assert x.shape == g.input.shape
    architecture = g.build(x)
    assert compile(architecture)(torch.randn(2, 8, side, side)).shape == (2, 8, side, side)
    # fvcore counts no attention; torch's counter does.
    assert architecture.cost.macs == torch_macs(architecture)
    counted = reference_cost(architecture).cost
    assert architecture.cost._replace(macs=0) == counted._replace(macs=0)


@pytest.mark.parametrize("name", BLOCKS)
def test_it_has_the_stride_and_the_width_that_are_given(name: str) -> None:
    g = Builder((8, 7, 6))
    x = BLOCKS[name](g, g.input, 12, 2)
    assert x.shape == (12, 4, 3)
    assert compile(g.build(x))(torch.randn(2, 8, 7, 6)).shape == (2, 12, 4, 3)


def params_and_macs(g: Builder, x: Handle) -> tuple[int, int]:
    cost = g.build(x).cost
    return cost.params, cost.macs


def test_inverted_residual_with_squeeze() -> None:
    """Sandler et al. 2018, table 1; two linear layers at one position more."""
    g = Builder((8, 6, 6))
    plain = params_and_macs(g, inverted_residual(g, g.input, expansion=3))
    expand, depthwise, norms = 2 * 8 * 24, 24 * 9, 2 * (24 + 24 + 8)
    assert plain == (expand + depthwise + norms, 36 * (expand + depthwise))
    h = Builder((8, 6, 6))
    squeezed = params_and_macs(h, inverted_residual(h, h.input, expansion=3, squeeze=4))
    assert squeezed == (plain[0] + 2 * 24 * 6 + 6 + 24, plain[1] + 2 * 24 * 6)


def test_inverted_residual_keeps_no_shortcut_past_a_stride() -> None:
    """Not even where the map has one position, which a stride keeps."""
    g = Builder((8, 1, 1))
    kinds = [node.operation.kind for node in g.build(inverted_residual(g, g.input, 8, 2)).nodes]
    assert "add" not in kinds


def test_squeeze_excitation_pools_two_ways() -> None:
    costs = []
    for adaptive in (False, True):
        g = Builder((8, 6, 6))
        costs.append(g.build(squeeze_excitation(g, g.input, inner=4, adaptive=adaptive)).cost)
    assert costs[0] == Cost(2 * 32 + 4 + 8, 2 * 32, 2 * 32, 4 + 8)
    assert costs[1] == costs[0]._replace(flops=costs[0].flops + 8 * 36)


def test_shuffle_unit_passes_half_the_channels() -> None:
    """The first half of the input comes out untouched, on every other channel."""
    g = Builder((6, 4, 4))
    x = shuffle_unit(g, g.input)
    batch = torch.randn(2, 6, 4, 4)
    assert torch.equal(compile(g.build(x))(batch)[:, ::2], batch[:, :3])
    with pytest.raises(ArchitectureError, match=r"node 'channel_shuffle1'.*groups must divide"):
        shuffle_unit(Builder((5, 4, 4)), Builder((5, 4, 4)).input)


def test_self_attention_mixes_positions_and_keeps_their_order() -> None:
    g = Builder((8, 2, 3))
    x = self_attention(g, g.input, heads=2)
    # Four projections; 6 queries and 6 keys, of 8 features in all, like the values.
    assert params_and_macs(g, x) == (4 * (64 + 8), 4 * 64 * 6 + 6 * 6 * (8 + 8))
    network = compile(g.build(x))
    batch = torch.randn(1, 8, 2, 3, requires_grad=True)
    out = network(batch)
    out[0, :, 0, 0].sum().backward()
    assert batch.grad is not None
    assert (batch.grad != 0).all()
    moved = batch.detach().flip(2, 3)
    torch.testing.assert_close(network(moved), out.detach().flip(2, 3))
