"""Every classic: the shared laws, the table of reference costs, and the reference's own weights."""

import csv
from collections.abc import Callable, Collection, Iterable
from functools import partial
from inspect import Parameter, signature
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.architecture.cost import Cost
from nas.architecture.graph import Architecture
from nas.architecture.network import Network, compile
from nas.architecture.node import Node
from nas.architecture.reference import reference_cost
from nas.classics import CLASSICS, classic
from nas.classics.catalogue import CIFAR
from tests.classics import cell_peers, peers
from tests.classics.references import on_cpu, randomised, timm, torchvision_models
from tests.data import DATA

REFERENCES: dict[str, Callable[[], nn.Module]] = {
    "lenet5": peers.LeNet5,
    "alexnet_2012": peers.AlexNet2012,
    "alexnet": lambda: torchvision_models().alexnet(),
    "vgg11": lambda: torchvision_models().vgg11(),
    "vgg11_lrn": lambda: peers.vgg([[3], [3], [3, 3], [3, 3], [3, 3]], "local"),
    "vgg13": lambda: torchvision_models().vgg13(),
    "vgg16_c": lambda: peers.vgg([[3, 3]] * 2 + [[3, 3, 1]] * 3),
    "vgg16": lambda: torchvision_models().vgg16(),
    "vgg19": lambda: torchvision_models().vgg19(),
    "vgg11_bn": lambda: torchvision_models().vgg11_bn(),
    "vgg13_bn": lambda: torchvision_models().vgg13_bn(),
    "vgg16_c_bn": lambda: peers.vgg([[3, 3]] * 2 + [[3, 3, 1]] * 3, "batch"),
    "vgg16_bn": lambda: torchvision_models().vgg16_bn(),
    "vgg19_bn": lambda: torchvision_models().vgg19_bn(),
    "googlenet": lambda: torchvision_models().googlenet(aux_logits=True, init_weights=False),
    "inception_v3": lambda: torchvision_models().inception_v3(init_weights=False),
    "resnet18": lambda: torchvision_models().resnet18(),
    "resnet34": lambda: torchvision_models().resnet34(),
    "resnet50": lambda: torchvision_models().resnet50(),
    "resnet101": lambda: torchvision_models().resnet101(),
    "resnet152": lambda: torchvision_models().resnet152(),
    "resnet20": lambda: peers.ResNetCifar(3),
    "resnet32": lambda: peers.ResNetCifar(5),
    "resnet44": lambda: peers.ResNetCifar(7),
    "resnet56": lambda: peers.ResNetCifar(9),
    "resnet110": lambda: peers.ResNetCifar(18),
    "wide_resnet50_2": lambda: torchvision_models().wide_resnet50_2(),
    "wrn_28_10": lambda: peers.WideResNet(4, 10),
    "resnext50_32x4d": lambda: torchvision_models().resnext50_32x4d(),
    "legacy_seresnet18": lambda: timm().create_model("legacy_seresnet18"),
    "legacy_seresnet50": lambda: timm().create_model("legacy_seresnet50"),
    "seresnet50": lambda: timm().create_model("seresnet50"),
    "se_resnet20": lambda: peers.ResNetCifar(3, squeeze=16),
    "densenet121": lambda: torchvision_models().densenet121(),
    "densenet161": lambda: torchvision_models().densenet161(),
    "densenet169": lambda: torchvision_models().densenet169(),
    "densenet201": lambda: torchvision_models().densenet201(),
    "densenet_bc_100_12": lambda: peers.densenet_bc(16, 12),
    "inception_v4": lambda: timm().create_model("inception_v4"),
    "inception_resnet_v2": lambda: timm().create_model("inception_resnet_v2"),
    "legacy_xception": lambda: timm().create_model("legacy_xception"),
    "squeezenet1_0": lambda: torchvision_models().squeezenet1_0(),
    "squeezenet1_1": lambda: torchvision_models().squeezenet1_1(),
    "shufflenet_v2_x1_0": lambda: torchvision_models().shufflenet_v2_x1_0(),
    "mobilenetv1_100": lambda: timm().create_model("mobilenetv1_100"),
    "mobilenet_v2": lambda: torchvision_models().mobilenet_v2(),
    "mobilenet_v3_small": lambda: torchvision_models().mobilenet_v3_small(),
    "mobilenet_v3_large": lambda: torchvision_models().mobilenet_v3_large(),
    "mnasnet1_0": lambda: torchvision_models().mnasnet1_0(),
    "efficientnet_b0": lambda: torchvision_models().efficientnet_b0(),
    "regnet_y_400mf": lambda: on_cpu(torchvision_models().regnet_y_400mf),
    "convnext_tiny": lambda: torchvision_models().convnext_tiny(),
    "nasnetalarge": lambda: timm().create_model("nasnetalarge"),
    "nasnetamobile": lambda: cell_peers.CellNetwork("nasnet_a", 4, 44, 32, 1000, True),
    "nasneta_cifar": lambda: cell_peers.CellNetwork("nasnet_a", 6, 32, 96, 10, False),
    "pnasnet5large": lambda: timm().create_model("pnasnet5large"),
    **{
        f"amoebanet_{variant}_large": partial(
            cell_peers.CellNetwork, f"amoebanet_{variant}", 6, 190, 96, 1000, True
        )
        for variant in "abcd"
    },
    **{
        f"amoebanet_{variant}_cifar": partial(
            cell_peers.CellNetwork, f"amoebanet_{variant}", 6, 36, 108, 10, False
        )
        for variant in "abcd"
    },
    "darts_v2": lambda: cell_peers.Darts(20, 36),
}
"""Per classic, the implementation whose weights and outputs it must have."""

SIZES = {
    "alexnet_2012": 224,
    "inception_v3": 107,
    "inception_v4": 107,
    "inception_resnet_v2": 107,
}
"""Side of the images for outputs, where it is not 64 for ImageNet networks."""

GRADIENTS = {
    "lenet5": 32,
    "alexnet": 64,
    "vgg11_bn": 32,
    "googlenet": 64,
    "inception_v3": 299,
    "resnet18": 64,
    "resnet50": 64,
    "resnet20": 32,
    "resnext50_32x4d": 64,
    "wrn_28_10": 16,
    "legacy_seresnet18": 64,
    "legacy_seresnet50": 64,
    "seresnet50": 64,
    "se_resnet20": 32,
    "densenet121": 64,
    "densenet_bc_100_12": 32,
    "inception_v4": 107,
    "inception_resnet_v2": 107,
    "legacy_xception": 64,
    "squeezenet1_0": 64,
    "squeezenet1_1": 64,
    "shufflenet_v2_x1_0": 64,
    "mobilenetv1_100": 64,
    "mobilenet_v2": 64,
    "mobilenet_v3_small": 64,
    "mobilenet_v3_large": 64,
    "mnasnet1_0": 64,
    "efficientnet_b0": 64,
    "regnet_y_400mf": 64,
    "convnext_tiny": 64,
    "nasnetalarge": 64,
    "pnasnet5large": 64,
    "darts_v2": 16,
}
"""Classics whose gradients are compared in training mode, and the side of the images for it."""

SLOW = {
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
    "inception_v3",
    "resnet152",
    "wide_resnet50_2",
    "densenet161",
    "densenet201",
    "nasnetalarge",
    "pnasnet5large",
    "amoebanet_a_large",
    "amoebanet_c_large",
}
"""The largest of their families."""

ALIKE = {f"amoebanet_{cell}_cifar" for cell in "bcd"} | {"amoebanet_b_large", "amoebanet_d_large"}
"""Of the same operations as others that are counted."""

COUNTED = {name for name, entry in CLASSICS.items() if entry.source != "paper"}
"""What fvcore counts on the library's own network, at this size, is in the table of costs."""

DEEP = {
    "resnet101",
    "resnet110",
    "densenet121",
    "densenet169",
    "densenet_bc_100_12",
    "inception_v4",
    "inception_resnet_v2",
    "nasnetamobile",
    "nasneta_cifar",
    "amoebanet_a_cifar",
    "darts_v2",
}
"""More than 300 nodes: they take fvcore seconds."""


def each(names: Iterable[str], slow: Collection[str] = SLOW) -> list[Any]:
    return [pytest.param(name, marks=[pytest.mark.slow] * (name in slow)) for name in names]


def second_shape(name: str) -> tuple[int, ...]:
    """Another input that the classic is built for: smaller by 64 pixels, or larger by 16."""
    channels, *sides = CLASSICS[name].input_shape
    return (channels, *(side - 64 if side > 200 else side + 16 for side in sides))


def small_shape(name: str, side: int | None = None) -> tuple[int, ...]:
    channels, *sides = CLASSICS[name].input_shape
    if side is None:
        side = SIZES.get(name, min(64, *sides))
    return (channels, *(side for _ in sides))


# --- the laws of the language ---


@pytest.mark.parametrize("name", CLASSICS)
def test_json_gives_it_back_bit_for_bit(name: str) -> None:
    for shape in (None, second_shape(name)):
        architecture = classic(name, shape)
        text = architecture.to_json()
        again = Architecture.from_json(text)
        assert again == architecture
        assert again.to_json() == text
        assert again.cost == architecture.cost
        assert again.shapes == architecture.shapes


@pytest.mark.parametrize("name", CLASSICS)
def test_names_and_order_do_not_change_the_fingerprint(name: str) -> None:
    for shape in (None, second_shape(name)):
        architecture = classic(name, shape)
        changed = relabelled(architecture, Random(0))
        assert changed != architecture
        assert changed.fingerprint == architecture.fingerprint
        assert changed.cost == architecture.cost


def relabelled(architecture: Architecture, random: Random) -> Architecture:
    """The same graph with other names, its nodes and commutative inputs in another order."""
    nodes = random.sample(architecture.nodes, len(architecture.nodes))
    names = {node.name: f"renamed{index}" for index, node in enumerate(nodes)}
    changed = []
    for node in nodes:
        inputs = [names.get(source, source) for source in node.inputs]
        if node.operation.commutative:
            random.shuffle(inputs)
        changed.append(Node(names[node.name], node.operation, tuple(inputs)))
    outputs = [names[output] for output in architecture.outputs]
    return Architecture(architecture.input_shape, changed, outputs)


def test_no_two_classics_are_one_graph() -> None:
    fingerprints = {classic(name).fingerprint for name in CLASSICS}
    assert len(fingerprints) == len(CLASSICS)


@pytest.mark.parametrize("name", each(CLASSICS, SLOW | ALIKE | COUNTED))
def test_the_analytic_cost_is_fvcores(name: str) -> None:
    architecture = classic(name)
    assert architecture.cost == reference_cost(architecture).cost


@pytest.mark.parametrize("name", each(CLASSICS, SLOW | ALIKE | DEEP))
def test_the_analytic_cost_of_another_input_is_fvcores(name: str) -> None:
    architecture = classic(name, second_shape(name))
    assert architecture.cost == reference_cost(architecture).cost


@pytest.mark.parametrize("name", CLASSICS)
def test_every_output_has_the_classes_asked_for(name: str) -> None:
    architecture = classic(name, classes=7)
    assert {architecture.shapes[output] for output in architecture.outputs} == {(7,)}


def takes(name: str, option: str) -> bool:
    parameters = signature(CLASSICS[name].function).parameters
    return option in parameters and parameters[option].kind is Parameter.KEYWORD_ONLY


@pytest.mark.parametrize("name", [name for name in CLASSICS if takes(name, "stem")])
def test_the_form_for_small_images_learns(name: str) -> None:
    assert classic(name, CIFAR, 10, stem="cifar").output_shape == (10,)
    options = {"width": 0.25} if takes(name, "width") else {}
    network = compile(classic(name, CIFAR, 10, stem="cifar", **options))
    outputs = network(torch.randn(2, *CIFAR))
    outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
    torch.stack(outputs).logsumexp(-1).sum().backward()
    for parameter, weight in network.named_parameters():
        assert weight.grad is not None, parameter
        assert weight.grad.isfinite().all(), parameter
    assert network.eval()(torch.randn(1, *CIFAR)).shape == (1, 10)


@pytest.mark.parametrize("name", CLASSICS)
def test_it_is_built_for_grey_images(name: str) -> None:
    shape = (1, *CLASSICS[name].input_shape[1:])
    assert classic(name, shape).output_shape == classic(name).output_shape


# --- the table of reference costs ---


@pytest.fixture(scope="module")
def truth() -> dict[str, dict[str, str]]:
    with (DATA / "classic_costs.csv").open(newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize("name", [name for name in CLASSICS if name in COUNTED])
def test_costs_equal_the_reference_table(name: str, truth: dict[str, dict[str, str]]) -> None:
    row = truth[name]
    shape = tuple(int(size) for size in row["input"].split("x"))
    architecture = classic(name, shape, int(row["classes"]))
    columns = ("params", "macs", "flops", "activations")
    assert architecture.cost == Cost(*(int(row[column]) for column in columns))
    assert (shape, int(row["classes"])) == (CLASSICS[name].input_shape, CLASSICS[name].classes)
    assert row["source"].startswith(CLASSICS[name].source)


def test_no_row_of_the_reference_table_is_missing(truth: dict[str, dict[str, str]]) -> None:
    assert [name for name in truth if name not in CLASSICS] == []


# --- the reference's weights, outputs and gradients ---


def with_weights_of(reference: nn.Module, name: str, shape: tuple[int, ...]) -> Network:
    """The classic holding the reference's tensors; every key must be there, with its shape."""
    with torch.device("meta"):
        network = compile(classic(name, shape))
    network.load_state_dict(reference.state_dict(), strict=True, assign=True)
    return network


def assert_it_computes_what_the_reference_does(name: str, shape: tuple[int, ...]) -> None:
    images = torch.randn(2, *shape)
    reference = randomised(REFERENCES[name], images)
    network = with_weights_of(reference, name, shape).eval()
    with torch.inference_mode():
        expected, found = reference(images), network(images)
    scale = expected.abs().max()
    assert (expected[0] - expected[1]).abs().max() > 1e-2 * scale  # it depends on the image
    assert (found - expected).abs().max() < 1e-4 * scale


@pytest.mark.parametrize("name", each(REFERENCES))
def test_it_computes_what_the_reference_does(name: str) -> None:
    assert_it_computes_what_the_reference_does(name, small_shape(name))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "inception_v4",
        "inception_resnet_v2",
        "legacy_xception",
        "nasnetalarge",
        "pnasnet5large",
        "amoebanet_c_large",
    ],
)
def test_it_does_so_at_its_own_size(name: str) -> None:
    # Padding by TensorFlow's rule depends on whether a map's side is even.
    assert_it_computes_what_the_reference_does(name, CLASSICS[name].input_shape)


@pytest.mark.parametrize(
    "name",
    # Of alike networks, the smaller is compared: seresnet50 and legacy_seresnet18 here.
    each(GRADIENTS, SLOW | {"alexnet", "vgg11_bn", "inception_resnet_v2", "legacy_seresnet50"}),
)
def test_its_gradients_are_the_references(name: str) -> None:
    shape = small_shape(name, GRADIENTS[name])
    images = torch.randn(2, *shape)
    reference = randomised(REFERENCES[name], images)
    network = with_weights_of(reference, name, shape)
    (outputs, expected), (our_outputs, found) = (
        outputs_and_gradients(model.double(), images.double()) for model in (reference, network)
    )
    assert len(our_outputs) == len(outputs)
    for ours, theirs in zip(our_outputs, outputs, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-8 * theirs.abs().max().item())
    assert set(found) == set(expected)
    largest = max(gradient.abs().max().item() for gradient in expected.values())
    assert largest > 0
    for parameter, gradient in expected.items():
        # A bias before batch norm has no gradient but noise, hence the second term.
        tolerance = 1e-6 * gradient.abs().max().item() + 1e-12 * largest
        torch.testing.assert_close(found[parameter], gradient, rtol=0, atol=tolerance)


def outputs_and_gradients(
    network: nn.Module, images: Tensor
) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """All outputs in training mode and the gradients of a fixed weighting of them."""
    torch.manual_seed(1)  # dropout
    returned = network.train()(images)
    outputs = (returned,) if isinstance(returned, Tensor) else tuple(returned)
    torch.manual_seed(2)
    torch.autograd.backward([(output * torch.randn_like(output)).sum() for output in outputs])
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    assert len(gradients) == sum(1 for _ in network.parameters())
    return tuple(output.detach() for output in outputs), gradients


def test_every_classic_with_a_reference_library_is_compared() -> None:
    assert set(REFERENCES) >= COUNTED
    assert set(REFERENCES) <= set(CLASSICS)
    assert set(GRADIENTS) <= set(REFERENCES)
