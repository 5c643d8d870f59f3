"""The networks that were made small: SqueezeNet to EfficientNet, and RegNet and ConvNeXt."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from nas.architecture.graph import Architecture
from nas.architecture.network import compile
from nas.architecture.operations import ArchitectureError
from nas.classics import classic
from nas.classics.convnext import convnext
from nas.classics.regnet import regnet
from tests.classics.references import randomised, timm, torchvision_models

NAMES = [
    "squeezenet1_0",
    "squeezenet1_1",
    "shufflenet_v2_x1_0",
    "mobilenetv1_100",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "mnasnet1_0",
    "efficientnet_b0",
    "regnet_y_400mf",
    "convnext_tiny",
]


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [
        ("squeezenet1_0", 1_248_424, None),  # Iandola et al. 2016, table 1
        ("shufflenet_v2_x1_0", None, 146e6),  # Ma et al. 2018, table 8
        ("mobilenetv1_100", 4.2e6, 569e6),  # Howard et al. 2017, table 8
        ("mobilenet_v2", 3.4e6, 300e6),  # Sandler et al. 2018, table 4; it has 3.50M
        ("mobilenet_v3_large", 5.4e6, 219e6),  # Howard et al. 2019, table 3
        ("mobilenet_v3_small", 2.5e6, 56e6),
        ("efficientnet_b0", 5.3e6, 0.39e9),  # Tan & Le 2019, table 2
        ("regnet_y_400mf", 4.3e6, 0.4e9),  # Radosavovic et al. 2020, table 8
        ("convnext_tiny", 29e6, 4.5e9),  # Liu et al. 2022, table 1
    ],
)
def test_published_counts(name: str, params: float | None, macs: float | None) -> None:
    cost = classic(name).cost
    assert params is None or cost.params == pytest.approx(params, rel=0.035)
    assert macs is None or cost.macs == pytest.approx(macs, rel=0.02)


def test_squeezenet_is_exact() -> None:
    assert classic("squeezenet1_0").cost.params == 1_248_424


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 16, 16)])
def test_cifar_stem_trains(name: str, shape: tuple[int, ...]) -> None:
    """The last map is 1/8 of the image, 1/4 in SqueezeNet; every parameter has its gradient."""
    architecture = classic(name, shape, 7, stem="cifar", width=0.25)
    reduction = 4 if name.startswith("squeezenet") else 8
    last_map = [shape for shape in architecture.shapes.values() if len(shape) == 3 and shape[1] > 1]
    assert last_map[-1][1:] == (shape[1] // reduction,) * 2
    network = compile(architecture)
    out = network(torch.randn(3, *shape))
    assert out.shape == (3, 7)
    out.square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "shape", "node"),
    [
        ("squeezenet1_0", (3, 6, 6), "features.0"),
        ("convnext_tiny", (3, 3, 3), "features.0.0"),
        ("convnext_tiny", (3, 16, 16), "features.6.1"),
        ("mobilenet_v3_large", (4,), "features.0.0"),
    ],
)
def test_an_input_that_does_not_fit_names_the_node(
    name: str, shape: tuple[int, ...], node: str
) -> None:
    with pytest.raises(ArchitectureError, match=f"node '{node}'"):
        classic(name, shape)


# --- other members of the families, which share the function ---


def shapes(build: Callable[[], nn.Module]) -> dict[str, torch.Size]:
    with torch.device("meta"):
        return {name: tensor.shape for name, tensor in build().state_dict().items()}


def ours(architecture: Architecture) -> dict[str, torch.Size]:
    return shapes(lambda: compile(architecture))


@pytest.mark.parametrize("width", [0.35, 0.75, 1.4])
def test_widths_are_torchvisions(width: float) -> None:
    models = torchvision_models()
    for name, build in {
        "mobilenet_v2": lambda: models.mobilenet_v2(width_mult=width),
        "mobilenet_v3_small": lambda: models.mobilenet_v3_small(width_mult=width),
        "mobilenet_v3_large": lambda: models.mobilenet_v3_large(width_mult=width),
        "mnasnet1_0": lambda: models.mnasnet.MNASNet(width),
        "efficientnet_b0": lambda: models.efficientnet._efficientnet(
            models.efficientnet._efficientnet_conf(
                "efficientnet_b0", width_mult=width, depth_mult=1.0
            )[0],
            dropout=0.2, last_channel=None, weights=None, progress=False,
        ),
    }.items():  # fmt: skip
        assert ours(classic(name, width=width)) == shapes(build), name


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "mobilenet_v3_large"])
def test_reduced_tails_are_torchvisions(name: str) -> None:
    build = getattr(torchvision_models(), name)
    found = ours(classic(name, width=0.75, reduced_tail=True))
    assert found == shapes(lambda: build(width_mult=0.75, reduced_tail=True))


def test_wider_mobilenet_v1_is_timms() -> None:
    expected = shapes(lambda: timm().create_model("mobilenetv1_125"))
    assert ours(classic("mobilenetv1_100", width=1.25)) == expected


@pytest.mark.parametrize(
    ("depth", "initial_width", "slope", "step", "group_width", "squeeze"),
    [
        (16, 48, 27.89, 2.09, 8, 0.25),  # RegNetY-400MF
        (14, 56, 38.84, 2.4, 16, 0.25),  # RegNetY-800MF
        (27, 48, 20.71, 2.65, 24, 0.25),  # RegNetY-1.6GF
        (22, 24, 24.48, 2.54, 16, None),  # RegNetX-400MF
        (16, 56, 35.73, 2.28, 16, None),  # RegNetX-800MF
    ],
)
def test_regnets_are_torchvisions(
    depth: int,
    initial_width: int,
    slope: float,
    step: float,
    group_width: int,
    squeeze: float | None,
) -> None:
    module = torchvision_models().regnet
    parameters = module.BlockParams.from_init_params(
        depth, initial_width, slope, step, group_width, se_ratio=squeeze
    )
    found = regnet((3, 224, 224), 1000, depth, initial_width, slope, step, group_width, squeeze)
    assert ours(found) == shapes(lambda: module.RegNet(parameters))


def test_convnext_small_is_torchvisions() -> None:
    found = convnext((3, 224, 224), 1000, (3, 3, 27, 3))
    assert ours(found) == shapes(lambda: torchvision_models().convnext_small())


# --- stochastic depth ---


@pytest.mark.parametrize("name", ["efficientnet_b0", "convnext_tiny"])
def test_paths_drop_where_the_reference_drops_them(name: str) -> None:
    images = torch.randn(6, 3, 32, 32)
    build = getattr(torchvision_models(), name)
    reference = randomised(lambda: build(stochastic_depth_prob=0.9), images)
    network = compile(classic(name, (3, 32, 32), drop_path=0.9))
    network.load_state_dict(reference.state_dict())
    outputs = []
    for model in (reference, network):
        torch.manual_seed(5)
        outputs.append(model.train()(images))
    scale = outputs[0].abs().max().item()
    torch.testing.assert_close(outputs[1], outputs[0], rtol=0, atol=1e-4 * scale)
    torch.manual_seed(6)
    assert (network(images) - outputs[0]).abs().max() > 0.01 * scale


def test_the_rate_of_dropped_paths_rises() -> None:
    def rates(name: str, **options: float) -> list[float]:
        operations = [node.operation for node in classic(name, **options).nodes]
        return [it.attributes()["probability"] for it in operations if it.kind == "drop_path"]

    assert rates("convnext_tiny") == pytest.approx([0.1 * n / 17 for n in range(1, 18)])
    # The first block of a stage changes the shape: no shortcut, nothing to drop.
    kept = (2, 4, 6, 7, 9, 10, 12, 13, 14)
    assert rates("efficientnet_b0", drop_path=0.32) == pytest.approx([0.02 * n for n in kept])
    assert rates("efficientnet_b0", drop_path=0.0) == []
