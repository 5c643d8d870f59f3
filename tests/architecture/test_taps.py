"""Taps are articulation nodes, by search of all paths; dilation keeps maps and weights."""

import pytest
import torch
from hypothesis import given

from nas.architecture.builder import Builder
from nas.architecture.graph import Architecture
from nas.architecture.network import compile
from nas.architecture.node import INPUT
from nas.architecture.operations import ArchitectureError
from nas.architecture.taps import _articulation, dilated, taps
from nas.classics import classic
from tests.architecture.examples import architectures


def reaches_around(architecture: Architecture, left_out: str) -> bool:
    """Whether a path from the input to the output does not pass through a node."""
    reached = {INPUT}
    for node in architecture.nodes:
        if node.name != left_out and reached & set(node.inputs):
            reached.add(node.name)
    return architecture.outputs[0] in reached


@given(architectures(heads=False))
def test_no_path_leads_around_an_articulation_node(architecture: Architecture) -> None:
    found = {node.name for node in _articulation(architecture)}
    for node in architecture.nodes:
        assert (node.name in found) == (not reaches_around(architecture, node.name)), node


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("resnet18", (3, 64, 64), {2: (64, 32, 32), 4: (64, 16, 16), 8: (128, 8, 8),
                                   16: (256, 4, 4), 32: (512, 2, 2)}),
        ("mobilenet_v3_large", (3, 64, 64), {2: (16, 32, 32), 4: (24, 16, 16), 8: (40, 8, 8),
                                             16: (112, 4, 4), 32: (960, 2, 2)}),
        ("vgg16", (3, 64, 64), {1: (64, 64, 64), 2: (128, 32, 32), 4: (256, 16, 16),
                                8: (512, 8, 8), 16: (512, 4, 4), 32: (512, 2, 2)}),
        ("squeezenet1_1", (3, 64, 64), {2: (64, 31, 31), 4: (128, 15, 15), 8: (256, 7, 7),
                                        16: (512, 3, 3)}),
        ("lenet5", (1, 28, 28), {1: None, 2: None, 4: None}),
    ],
)  # fmt: skip
def test_taps_of_classics(
    name: str, shape: tuple[int, ...], expected: dict[int, tuple[int, ...] | None]
) -> None:
    architecture = classic(name, shape, 10)
    found = taps(architecture)
    assert list(found) == list(expected)
    for stride, tap in found.items():
        assert expected[stride] in (None, architecture.shapes[tap])


def test_the_last_node_of_a_stage_is_tapped_and_not_one_within_a_block() -> None:
    found = taps(classic("resnet50", (3, 64, 64), 10))
    assert [found[stride].rpartition(".")[0] for stride in (4, 8, 16, 32)] == [
        "layer1.2", "layer2.3", "layer3.5", "layer4.2",
    ]  # fmt: skip


def test_a_network_without_maps_has_no_taps() -> None:
    g = Builder((1, 8, 8))
    with pytest.raises(ArchitectureError, match="no map before its head"):
        taps(g.build(g.linear(g.flatten(g.input), 3)))


def test_included_networks_compute_the_same_and_can_be_extended() -> None:
    """Half of a network is read, half a network behind another; parts that repeat stay parts."""
    inner = classic("resnet18", (3, 32, 32), 7)
    g = Builder((3, 32, 32))
    with g.scope("body"):
        handles = g.include(inner)
    tap = handles[taps(inner)[8]]
    architecture = g.build(g.conv(tap, 2, 1, name="head"))
    assert architecture.nodes[-1].inputs == (tap.name,)
    network, body = compile(architecture).eval(), compile(inner).eval()
    own = {f"body.{key}": value for key, value in body.state_dict().items()}
    missing, unexpected = network.load_state_dict(own, strict=False)
    assert missing == ["head.weight", "head.bias"]
    assert all(key.startswith(("body.layer3", "body.layer4", "body.fc")) for key in unexpected)
    short = compile(Architecture(inner.input_shape, inner.nodes, [taps(inner)[8]])).eval()
    short.load_state_dict({key: body.state_dict()[key] for key in short.state_dict()})
    images = torch.randn(2, 3, 32, 32)
    expected = network.get_submodule("head")(short(images))
    assert torch.allclose(network(images), expected, atol=1e-6)
    again = Architecture(architecture.input_shape, architecture.nodes, architecture.outputs)
    assert again.fingerprint == architecture.fingerprint
    assert again.cost == architecture.cost


def test_include_reads_another_node_and_refuses_another_shape() -> None:
    inner = classic("lenet5", (1, 28, 28), 10)
    g = Builder((3, 28, 28))
    x = g.conv(g.input, 1, 1)
    with g.scope("inner"):
        out = g.include(inner, x)[inner.outputs[0]]
    assert g.build(out).output_shape == (10,)
    with g.scope("other"), pytest.raises(ArchitectureError, match=r"for \(1, 28, 28\) cannot read"):
        g.include(inner)


def test_dilation_keeps_maps_and_weights() -> None:
    plain = classic("resnet50", (3, 64, 64), 10)
    wide = dilated(plain, 8)
    assert wide.cost.params == plain.cost.params
    assert list(taps(wide)) == [2, 4, 8]
    assert wide.shapes[taps(wide)[8]] == (2048, 8, 8)
    assert dilated(plain, 32) == plain
    assert [node.name for node in wide.nodes] == [node.name for node in plain.nodes]
