"""Classifiers that slide, and heads of other classes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.network import Network, compile
from nas.architecture.operations import ArchitectureError, AvgPool, Conv
from nas.architecture.surgery import (
    convolutional_weights,
    convolutionalize,
    ensemble,
    ensemble_weights,
    tempered,
    with_classes,
)
from nas.classics import CLASSICS, classic


def perturbed(architecture: Architecture) -> Network:
    """In eval mode, with running statistics that are not those of a new network."""
    network = compile(architecture).eval()
    with torch.no_grad():
        for name, buffer in network.named_buffers():
            if not name.endswith("num_batches_tracked"):
                buffer.uniform_(0.5, 1.5)
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.uniform_(-0.5, 1.5)
    return network


def sliding(network: Network, input_shape: tuple[int, ...] | None = None) -> Network:
    architecture = convolutionalize(network.architecture, input_shape)
    result = compile(architecture).eval()
    result.load_state_dict(convolutional_weights(architecture, network.state_dict()))
    return result


def assert_slides(architecture: Architecture, larger: tuple[int, ...], stride: int) -> None:
    """Equal at the original size, and on a larger image equal to the classifier on each crop."""
    network = perturbed(architecture)
    image = torch.randn(2, *architecture.input_shape)
    classes, rank = architecture.output_shape[0], len(larger) - 1
    with torch.no_grad():
        expected = network(image)
        found = sliding(network)(image)
        assert found.shape == (2, classes, *(1,) * rank)
        torch.testing.assert_close(found.flatten(1), expected, rtol=1e-4, atol=1e-5)

        wide = sliding(network, larger)
        image = torch.randn(1, *larger)
        scores = wide(image)
        assert tuple(scores.shape[1:]) == wide.architecture.output_shape
        assert max(scores.shape[2:]) > 1
        height, width = architecture.input_shape[1:]
        for row in range(scores.shape[2]):
            for column in range(scores.shape[3]):
                top, left = row * stride, column * stride
                crop = image[:, :, top : top + height, left : left + width]
                torch.testing.assert_close(
                    scores[:, :, row, column], network(crop), rtol=1e-4, atol=1e-5
                )


def test_lenet_slides() -> None:
    """Without padding, each position is the classifier on its own crop, to the rounding."""
    assert_slides(classic("lenet5"), (1, 44, 36), 4)


def small(head: Callable[[Builder, Handle], Handle]) -> Architecture:
    g = Builder((2, 12, 10))
    x = g.max_pool(g.relu(g.batch_norm(g.conv(g.input, 6, 3, name="stem"))), 2)
    return g.build(head(g, x))


HEADS: dict[str, Callable[[Builder, Handle], Handle]] = {
    "flattened": lambda g, x: g.linear(g.relu(g.linear(g.dropout(g.flatten(x)), 7)), 3),
    "mean": lambda g, x: g.linear(g.batch_norm(g.linear(g.global_pool(x), 7)), 3, bias=False),
    "mean of kept axes": lambda g, x: g.linear(g.flatten(g.global_pool(x, True)), 3),
    "adaptive to one": lambda g, x: g.linear(g.flatten(g.adaptive_avg_pool(x, 1)), 3),
    "adaptive to the map": lambda g, x: g.linear(g.flatten(g.adaptive_avg_pool(x, (5, 4))), 3),
    "layer norm": lambda g, x: g.linear(g.layer_norm(g.global_pool(x), "last"), 3),
    "scale": lambda g, x: g.linear(g.scale(g.global_pool(x), 0.5), 3),
    "branches": lambda g, x: g.linear(
        g.concat(g.linear(g.flatten(x), 4), g.slice(g.global_pool(x), 1, 5)), 3
    ),
    "sum before": lambda g, x: g.linear(g.add(g.flatten(x), g.flatten(g.relu(x))), 3),
    "convolution": lambda g, x: g.flatten(g.global_pool(g.relu(g.conv(x, 3, 1)), True)),
}


@pytest.mark.parametrize("head", HEADS)
def test_small_heads_slide(head: str) -> None:
    assert_slides(small(HEADS[head]), (2, 18, 14), 2)


def test_pooling_to_several_moves_on_by_its_length() -> None:
    g = Builder((2, 14, 14))
    x = g.adaptive_avg_pool(g.conv(g.input, 4, 3), 3)  # of 12: windows of 4
    architecture = g.build(g.linear(g.flatten(x), 3))
    assert_slides(architecture, (2, 22, 18), 4)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet18", {"input_shape": (3, 64, 64)}),
        ("alexnet", {"input_shape": (3, 224, 224), "width": 0.25}),
        ("squeezenet1_1", {"input_shape": (3, 64, 64)}),
        ("mobilenet_v3_small", {"input_shape": (3, 64, 64)}),
        ("legacy_seresnet18", {"input_shape": (3, 64, 64)}),
        ("convnext_tiny", {"input_shape": (3, 64, 64), "width": 0.25}),
        ("densenet_bc_100_12", {}),
        ("googlenet", {"input_shape": (3, 64, 64), "stem": "imagenet"}),
    ],
)
def test_classics_are_equal_at_their_size(name: str, options: dict[str, Any]) -> None:
    architecture = classic(name, classes=10, **options)
    network = compile(architecture).eval()
    image = torch.randn(1, *architecture.input_shape)
    _, height, width = architecture.input_shape
    with torch.no_grad():
        expected = network(image)
        found = sliding(network)(image)
        assert found.shape == (1, 10, 1, 1)
        torch.testing.assert_close(found.flatten(1), expected, rtol=1e-4, atol=1e-5)
        larger = sliding(network, (3, height + 32, width + 32))
        scores = larger(torch.randn(1, 3, height + 32, width + 32))
        assert tuple(scores.shape[1:]) == larger.architecture.output_shape > (10, 1, 1)


@pytest.mark.parametrize("name", CLASSICS)
def test_every_classic_slides_at_the_same_cost(name: str) -> None:
    architecture = classic(name)
    slid = convolutionalize(architecture)
    assert slid.output_shape == (*architecture.output_shape, 1, 1)
    assert slid.cost[:2] == architecture.cost[:2]  # params and macs
    assert len(slid.nodes) <= len(architecture.inference().nodes)
    channels, *sizes = architecture.input_shape
    larger = convolutionalize(architecture, (channels, *(size + 64 for size in sizes)))
    classes, *scores = larger.output_shape
    assert classes == CLASSICS[name].classes
    assert min(scores) > 1


def test_gates_stay_global() -> None:
    architecture = classic("legacy_seresnet18", (3, 64, 64), 10)
    kinds = [node.operation.kind for node in convolutionalize(architecture).nodes]
    before = [node.operation.kind for node in architecture.nodes]
    assert "linear" not in kinds
    pools = ("mean", "adaptive_avg_pool")
    assert sum(map(kinds.count, pools)) == sum(map(before.count, pools)) - 1


@pytest.mark.slow
def test_vgg16_is_equal_at_224_and_a_map_at_256() -> None:
    network = compile(classic("vgg16")).eval()
    image = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        expected = network(image)
        found = sliding(network)(image)
        assert found.shape == (1, 1000, 1, 1)
        assert (found.flatten(1) - expected).abs().max() < 1e-4 * expected.abs().max()
        wide = sliding(network, (3, 256, 256))
        assert wide(torch.randn(1, 3, 256, 256)).shape == (1, 1000, 2, 2)


def test_vgg16_as_an_architecture() -> None:
    vgg = classic("vgg16")
    slid = convolutionalize(vgg, (3, 256, 256))
    assert slid.output_shape == (1000, 2, 2)
    operations = {node.name: node.operation for node in slid.nodes}
    assert operations["classifier.0"] == Conv((7, 7), channels=4096)
    assert operations["classifier.3"] == Conv((1, 1), channels=4096)
    assert "adaptive_avg_pool1" not in operations
    assert convolutionalize(vgg).cost[:2] == vgg.cost[:2]  # params and macs


def test_resnet_pools_with_its_own_window() -> None:
    slid = convolutionalize(classic("resnet18"))
    operations = {node.name: node.operation for node in slid.nodes}
    assert operations["adaptive_avg_pool1"] == AvgPool((7, 7))


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (lambda g, x: g.linear(g.flatten(g.adaptive_avg_pool(x, (3, 4))), 3), "uneven length"),
        (lambda g, x: g.linear(g.batch_norm(g.flatten(x)), 3), "batch_norm of flattened"),
        (lambda g, x: g.linear(g.slice(g.flatten(x), 0, 9), 3), "'slice1': slice of flattened"),
        (lambda g, x: g.linear(g.concat(g.flatten(x), g.global_pool(x)), 3), "concat of flattened"),
        (lambda g, x: g.relu(g.flatten(x)), "the output is a flattened map"),
    ],
)
def test_what_cannot_slide_is_named(
    head: Callable[[Builder, Handle], Handle], message: str
) -> None:
    with pytest.raises(ArchitectureError, match=message):
        convolutionalize(small(head))


def test_features_do_not_slide() -> None:
    g = Builder((5,))
    with pytest.raises(ArchitectureError, match="nothing to slide over"):
        convolutionalize(g.build(g.linear(g.input, 2)))


# --- with_classes ---


@pytest.mark.parametrize("name", CLASSICS)
def test_a_new_head_is_the_classic_with_other_classes(name: str) -> None:
    """The classic's own function with another number of classes is the peer."""
    assert with_classes(classic(name), 7) == classic(name, classes=7)


def test_the_body_keeps_its_weights() -> None:
    network = compile(classic("resnet20"))
    other = compile(with_classes(network.architecture, 3))
    state, changed = network.state_dict(), other.state_dict()
    assert list(state) == list(changed)
    differ = {name for name in state if state[name].shape != changed[name].shape}
    assert differ == {name for name in state if name.rpartition(".")[0] == "fc"}


@pytest.mark.parametrize(
    ("head", "node"),
    [
        (lambda g, x: g.add(g.linear(x, 4), g.linear(x, 4)), "add1"),
        (lambda g, x: g.add(y := g.linear(x, 4), g.relu(y)), "add1"),
        (lambda g, x: g.relu(x), "input"),
    ],
)
def test_a_head_that_is_not_one_layer(head: Callable[[Builder, Handle], Handle], node: str) -> None:
    g = Builder((6,))
    with pytest.raises(ArchitectureError, match="is not made by one linear layer") as error:
        with_classes(g.build(head(g, g.input)), 3)
    assert node in str(error.value)


def test_a_head_that_the_body_reads() -> None:
    g = Builder((6,))
    x = g.linear(g.input, 4, name="inner")
    with pytest.raises(ArchitectureError, match="output 'inner'"):
        with_classes(g.build(g.linear(g.relu(x), 2), x), 3)


def test_a_flattened_map_of_classes_is_refused() -> None:
    g = Builder((2, 4, 4))
    with pytest.raises(ArchitectureError, match="48 features for 3 channels"):
        with_classes(g.build(g.flatten(g.conv(g.input, 5, 1))), 3)
    with pytest.raises(ArchitectureError, match="classes must be a whole number >= 1, got 0"):
        with_classes(classic("lenet5"), 0)


def test_a_tempered_network_divides_its_scores() -> None:
    member = perturbed(classic("nasneta_cifar", (3, 32, 32), 5, auxiliary=True))
    made = compile(tempered(member.architecture, 4)).eval()
    made.load_state_dict(member.state_dict(), strict=False)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(made(images), member(images) / 4)
    again = tempered(made.architecture, 0.5)
    assert [node.name for node in again.nodes][-2:] == ["tempered", "tempered_"]
    assert len(again.outputs) == 1


@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize("softmax", [True, False])
def test_an_ensemble_predicts_the_mean(softmax: bool, scale: float) -> None:
    """Also where all probabilities of a class are rounded to 0."""
    names = ("lenet5", "inception_small", "lenet5")
    members = [perturbed(classic(name, (3, 32, 32), 5)) for name in names]
    made = ensemble([each.architecture for each in members], softmax=softmax)
    network = compile(made).eval()
    network.load_state_dict(ensemble_weights(made, [each.state_dict() for each in members]))
    images = scale * torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        found, each = network(images), torch.stack([member(images) for member in members])
    assert found.isfinite().all()
    expected = each.double().softmax(2).mean(0) if softmax else each.double().mean(0)
    torch.testing.assert_close(
        found.double().softmax(1) if softmax else found.double(), expected, rtol=1e-4, atol=1e-5
    )
    assert made.cost.macs == sum(member.architecture.cost.macs for member in members)
