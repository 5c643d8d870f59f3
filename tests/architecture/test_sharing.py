"""Weights that are shared: what a torch module gives that calls one layer several times."""

from collections.abc import Iterable
from pathlib import Path
from typing import cast

import onnx
import pytest
import torch
from fvcore.nn import FlopCountAnalysis, parameter_count
from torch import Tensor, nn
from torch.nn import functional

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.network import compile
from nas.architecture.node import Node
from nas.architecture.operations import ArchitectureError, BatchNorm, Linear
from nas.architecture.passes import by_node
from nas.architecture.surgery import convolutional_weights, convolutionalize, ensemble
from nas.export.exporting import export
from nas.supernet.bank import Bank
from nas.supernet.member import Member
from nas.training.transfer import frozen_nodes
from tests.export.test_python_source import check


def encoder(g: Builder, x: Handle) -> Handle:
    for place, channels in enumerate((4, 8)):
        x = g.conv(x, channels, 3, padding=1, bias=False, name=f"conv{place}")
        x = g.relu(g.batch_norm(x, name=f"norm{place}"))
        x = g.max_pool(x, 2)
    return g.linear(g.flatten(x), 6, name="fc")


def siamese(first: str = "encoder", second: str = "other") -> Architecture:
    """The difference of two views, which stand in one image one above the other."""
    g = Builder((3, 16, 8))
    views = [g.pad(g.input, [(0, -8), (0, 0)]), g.pad(g.input, [(-8, 0), (0, 0)])]
    with g.scope(first):
        x = encoder(g, views[first != "encoder"])
    with g.scope(second, weights=first):
        y = encoder(g, views[first == "encoder"])
    a, b = (x, y) if first == "encoder" else (y, x)
    return g.build(g.linear(g.concat(a, g.rescale(b, 0.5)), 1, name="same"))


class Siamese(nn.Module):
    """The same network as torch's users write it."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.ModuleDict()
        for place, (x, y) in enumerate(((3, 4), (4, 8))):
            self.encoder[f"conv{place}"] = nn.Conv2d(x, y, 3, padding=1, bias=False)
            self.encoder[f"norm{place}"] = nn.BatchNorm2d(y)
        self.encoder["fc"] = nn.Linear(32, 6)
        self.same = nn.Linear(12, 1)

    def encoded(self, x: Tensor) -> Tensor:
        *layers, last = self.encoder.values()
        for conv, norm in zip(layers[::2], layers[1::2], strict=True):
            x = functional.max_pool2d(torch.relu(norm(conv(x))), 2)
        return cast(Tensor, last(x.flatten(1)))

    def forward(self, x: Tensor) -> Tensor:
        both = self.encoded(x[:, :, :8]), 0.5 * self.encoded(x[:, :, 8:])
        return cast(Tensor, self.same(torch.cat(both, 1)))


def test_a_siamese_network_is_one_module_called_twice() -> None:
    """Outputs, gradients of both uses, statistics of both batches, and fvcore's counts."""
    ours, theirs, images = compile(siamese()), Siamese(), torch.randn(5, 3, 16, 8)
    ours.load_state_dict(theirs.state_dict())  # strict: the second encoder has no names
    bank = Bank()
    member = Member(bank, siamese())
    for name, value in member.weights().items():
        value.data.copy_(theirs.state_dict()[name])
    for network in (ours, member, theirs):
        network(images).square().sum().backward()
    gradients = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    for name, parameter in ours.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, gradients[name])
    of_bank = [each.grad.norm() for each in bank.parameters() if each.grad is not None]
    expected = torch.stack([each.norm() for each in gradients.values() if each is not None])
    torch.testing.assert_close(torch.stack(of_bank).norm(), expected.norm())
    expected = theirs.eval()(images)
    assert torch.allclose(ours.eval()(images), expected, atol=1e-6)
    assert torch.allclose(member.eval()(images), expected, atol=1e-6)
    counted = FlopCountAnalysis(theirs, images[:1]).unsupported_ops_warnings(False)
    cost = siamese().cost
    assert (cost.params, cost.flops) == (parameter_count(theirs)[""], counted.total())
    assert cost.macs == 2 * 64 * (3 * 4 * 9) + 2 * 16 * (4 * 8 * 9) + 2 * 32 * 6 + 12
    assert sum(row.params for row in by_node(siamese())) == cost.params


def test_shared_weights_survive_every_form() -> None:
    network = siamese()
    assert Architecture.from_json(network.to_json()) == network
    source = check(network)
    assert source.count("nn.Conv2d(") == 2
    double = ensemble([network, network], softmax=False)
    assert double.cost.params == 2 * network.cost.params
    assert double.cost.macs == 2 * network.cost.macs
    assert frozen_nodes(network, "until=other.conv0") == ["pad2", "encoder.conv0"]


@pytest.mark.parametrize("form", ["onnx", "torchscript", "torch-export"])
def test_exports_hold_shared_weights_once(form: str, tmp_path: Path) -> None:
    """The export compares outputs; its file has no room for a second encoder."""
    network, file = compile(siamese()).eval(), tmp_path / "net"
    export(network, form, "net", file)
    if form == "onnx":
        initializers = onnx.load(str(file)).graph.initializer
        assert sum(each.dims == [8, 4, 3, 3] for each in initializers) == 1
    elif form == "torchscript":
        held = sum(each.numel() for each in torch.jit.load(file).parameters())  # type: ignore[no-untyped-call]
        assert held == network.architecture.cost.params


def chain(weights: Iterable[str]) -> Architecture:
    """Four equal layers in a row, and whose weights each uses."""
    nodes = [
        Node(f"n{i}", Linear(3), (f"n{i - 1}" if i else "input",), of)
        for i, of in enumerate(weights)
    ]
    return Architecture((3,), nodes, ["n3"])


def test_the_fingerprint_tells_which_nodes_share() -> None:
    """All fifteen partitions of four layers differ; names, and which node holds them, do not."""
    partitions = {
        tuple("" if owner == place else f"n{owner}" for place, owner in enumerate(owners))
        for a in (0, 1)
        for b in (0, 1, 2)
        for c in (0, 1, 2, 3)
        if (owners := (0, a, b, c)) and all(owners[owner] == owner for owner in owners)
    }
    assert len(partitions) == 15
    assert len({chain(each).fingerprint for each in partitions}) == 15
    assert siamese().fingerprint == siamese("b", "a").fingerprint
    g = Builder((3,))
    plain = g.linear(g.linear(g.linear(g.linear(g.input, 3), 3), 3), 3)
    assert chain(["", "", "", ""]).fingerprint == g.build(plain).fingerprint


def test_scopes_within_scopes_share() -> None:
    """Parts that repeat, a scope that shares within another one that does, an included network."""

    def fc(g: Builder, x: Handle) -> Handle:
        return g.relu(g.linear(x, 3, name="fc"))

    def layers(g: Builder, x: Handle) -> Handle:
        x = g.repeated("part", fc, x)
        with g.scope("again", weights="part"):
            return fc(g, x)

    g = Builder((3,))
    x = layers(g, g.input)
    with g.scope("b", weights=""):
        x = layers(g, x)
    with g.scope("c", weights="b"):
        x = layers(g, x)
    six = g.build(x)
    assert [node.weights for node in six.nodes if node.operation.kind == "linear"] == [
        "", *["part.fc"] * 5
    ]  # fmt: skip
    assert (six.cost.params, six.cost.macs) == (12, 6 * 9)
    g = Builder((3,))
    with g.scope("one"):
        x = g.include(six)[six.outputs[0]]
    with g.scope("two", weights="one"):
        x = g.include(six, x)["c.again.relu1"]
    assert (g.build(x).cost.params, g.build(x).cost.macs) == (12, 12 * 9)
    check(g.build(x))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (
            [Node("a", Linear(3), ("input",)), Node("b", Linear(3), ("a",), "a.b")],
            "is also the scope",
        ),
        ([Node("b", Linear(3), ("input",), "not it")], "node 'not it': "),
        (
            [Node("a", Linear(3), ("input",)), Node("b", Linear(4), ("a",), "a")],
            r"Linear\(features=4.* of \(3,\) cannot use the weights 'a' of Linear\(features=3",
        ),
        (
            [Node("a", Linear(4), ("input",)), Node("b", Linear(4), ("a",), "a")],
            r"of \(4,\) cannot use the weights 'a' of .* of \(3,\)",
        ),
        (
            [
                Node("a", BatchNorm(affine=False), ("input",)),
                Node("b", Linear(4), ("a",)),
                Node("c", BatchNorm(affine=False), ("b",), "a"),
            ],
            "cannot use the weights 'a'",
        ),
    ],
)
def test_what_cannot_share_is_refused(nodes: list[Node], message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        Architecture((3,), nodes, [nodes[-1].name])


def test_weights_stay_where_they_are_if_their_first_user_is_left_out() -> None:
    """Here it is part of an auxiliary head; the parameters count all the same."""
    nodes = [Node("a", Linear(3), ("input",)), Node("b", Linear(3), ("input",), "a")]
    both = Architecture((3,), nodes, ["b", "a"])
    assert both.cost.params == both.inference().cost.params == 12
    assert both.inference().cost.macs == 9
    network = compile(both)
    assert network.state_dict().keys() == compile(both.inference()).state_dict().keys()
    one, other = network(torch.ones(1, 3))
    assert torch.equal(one, other)
    check(both.inference())


def test_a_scope_without_a_counterpart_is_refused() -> None:
    g = Builder((3,))
    match = "node 'b.fc': weights: there is no node 'a.fc'"
    with g.scope("b", weights="a"), pytest.raises(ArchitectureError, match=match):
        g.linear(g.input, 3, name="fc")


def test_a_sliding_siamese_network_shares_its_convolutions() -> None:
    """The linear layer, too, which is a convolution there; outputs are equal."""
    network = siamese()
    sliding = convolutionalize(network)
    one, other = compile(network).eval(), compile(sliding).eval()
    other.load_state_dict(convolutional_weights(sliding, one.state_dict()))
    images = torch.randn(2, 3, 16, 8)
    assert sliding.cost.params == network.cost.params
    torch.testing.assert_close(other(images).flatten(1), one(images))
