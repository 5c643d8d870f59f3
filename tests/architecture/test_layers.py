"""What attention, scales, norms and drop path compute, against torch's and torchvision's own."""

import pytest
import torch
from torch import nn

from nas.architecture.builder import Builder
from nas.architecture.network import Network, compile
from nas.architecture.reference import reference_cost
from tests.classics.references import torchvision_models


def test_attention_is_torch_multihead_attention() -> None:
    """With the projections as linear layers, which fvcore counts; it leaves out the products."""
    g = Builder((5, 12))
    query, key, value = (g.linear(g.input, 12, name=name) for name in ("q", "k", "v"))
    x = g.linear(g.attention(query, key, value, heads=3), 12, name="out")
    architecture = g.build(x)
    network = compile(architecture)
    theirs = nn.MultiheadAttention(12, 3, batch_first=True)
    weights = theirs.state_dict()
    rows = {"weight": weights["in_proj_weight"], "bias": weights["in_proj_bias"]}
    for index, name in enumerate(("q", "k", "v")):
        part = {key: value[12 * index : 12 * index + 12] for key, value in rows.items()}
        network.get_submodule(name).load_state_dict(part)
    network.get_submodule("out").load_state_dict(theirs.out_proj.state_dict())
    batch = torch.randn(4, 5, 12)
    torch.testing.assert_close(network(batch), theirs(batch, batch, batch)[0])
    projections = 4 * 5 * 12 * 12
    macs = projections + 5 * 5 * (12 + 12)
    assert architecture.cost == (4 * (144 + 12), macs, projections, 4 * 5 * 12)
    assert "aten::scaled_dot_product_attention" in reference_cost(architecture).uncounted


def test_attention_over_a_map_is_over_its_positions() -> None:
    g = Builder((4, 2, 3))
    x = g.permute(g.input, (1, 2, 0))
    network = compile(g.build(g.attention(x, x, x, heads=1)))
    batch = torch.randn(2, 4, 2, 3)
    sequence = batch.flatten(2).transpose(1, 2)
    weights = torch.softmax(sequence @ sequence.transpose(1, 2) / 4**0.5, -1)
    torch.testing.assert_close(network(batch).flatten(1, 2), weights @ sequence)


def test_attention_across_sequences() -> None:
    """Queries set the number of positions that come out, values that of features."""
    g = Builder((6, 4))
    few = g.slice(g.input, 0, 2)
    x = g.attention(few, g.input, g.linear(g.input, 8), heads=2)
    assert x.shape == (2, 8)
    assert compile(g.build(x))(torch.randn(3, 6, 4)).shape == (3, 2, 8)


def scaled() -> Network:
    g = Builder((3, 2, 2))
    with g.scope("block.0"):
        x = g.scale(g.conv(g.input, 3, 1, bias=False, name="conv"), 0.5, name="layer_scale")
    return compile(g.build(x))


def test_scale_is_a_parameter_at_its_own_path() -> None:
    network = scaled()
    assert dict(network.named_parameters()).keys() == {"block.0.conv.weight", "block.0.layer_scale"}
    assert network.state_dict()["block.0.layer_scale"].tolist() == [[[0.5]]] * 3
    weights = {
        "block.0.conv.weight": torch.eye(3).reshape(3, 3, 1, 1),
        "block.0.layer_scale": torch.tensor([1.0, 2.0, 3.0]).reshape(3, 1, 1),
    }
    network.load_state_dict(weights, strict=True)
    out = network(torch.ones(1, 3, 2, 2))
    assert out.mean((2, 3)).tolist() == [[1.0, 2.0, 3.0]]
    out.sum().backward()
    parameter = network.get_parameter("block.0.layer_scale")
    assert parameter.grad is not None
    assert parameter.grad.flatten().tolist() == [4.0, 4.0, 4.0]


def test_scale_survives_pickle_and_copy() -> None:
    import copy
    import pickle

    network = scaled()
    with torch.no_grad():
        network.get_parameter("block.0.layer_scale").fill_(7.0)
    for again in (pickle.loads(pickle.dumps(network)), copy.deepcopy(network)):
        parameter = again.get_parameter("block.0.layer_scale")
        assert isinstance(parameter, nn.Parameter)
        assert parameter.requires_grad
        assert parameter.flatten().tolist() == [7.0] * 3


@pytest.mark.parametrize("axis", ["channels", "last"])
def test_layer_norm_normalises_the_named_axis(axis: str) -> None:
    g = Builder((5, 4, 6))
    network = compile(g.build(g.layer_norm(g.input, axis, epsilon=0.0, affine=False)))
    out = network(3 + 2 * torch.randn(2, 5, 4, 6))
    dim = 1 if axis == "channels" else 3
    torch.testing.assert_close(out.mean(dim), torch.zeros_like(out.mean(dim)), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.var(dim, correction=0), torch.ones_like(out.mean(dim)))


def test_group_norm_normalises_groups_of_channels() -> None:
    g = Builder((6, 4, 4))
    network = compile(g.build(g.group_norm(g.input, 2, epsilon=0.0, affine=False)))
    out = network(3 + 2 * torch.randn(2, 6, 4, 4)).reshape(2, 2, -1)
    torch.testing.assert_close(out.mean(2), torch.zeros(2, 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.var(2, correction=0), torch.ones(2, 2))


def dropping(probability: float) -> Network:
    g = Builder((3, 4))
    return compile(g.build(g.drop_path(g.input, probability)))


def test_drop_path_draws_as_torchvision_does() -> None:
    torchvision_models()
    from torchvision.ops import stochastic_depth

    batch = torch.randn(64, 3, 4)
    torch.manual_seed(3)
    ours = dropping(0.3)(batch)
    torch.manual_seed(3)
    assert torch.equal(ours, stochastic_depth(batch, 0.3, "row"))
    torch.manual_seed(4)
    assert not torch.equal(ours, dropping(0.3)(batch))


def test_drop_path_drops_whole_samples_at_its_rate() -> None:
    out = dropping(0.25)(torch.ones(4000, 3, 4)).reshape(4000, -1)
    dropped = (out == 0).all(1)
    assert torch.all(dropped | torch.isclose(out, torch.tensor(4 / 3)).all(1))
    assert abs(dropped.float().mean().item() - 0.25) < 4 * (0.25 * 0.75 / 4000) ** 0.5


@pytest.mark.parametrize(("probability", "kept"), [(0.0, 1.0), (1.0, 0.0)])
def test_drop_path_at_its_limits(probability: float, kept: float) -> None:
    network, batch = dropping(probability), torch.randn(5, 3, 4)
    assert torch.equal(network(batch), kept * batch)
    assert torch.equal(network.eval()(batch), batch)
