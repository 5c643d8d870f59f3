"""The staged spaces: their sizes, their published networks, what is asked and what is refused."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import nas
from nas.architecture.graph import Architecture
from nas.architecture.reference import reference_cost
from nas.errors import InputError
from nas.spaces import spaces
from nas.spaces.choices import Genotype, Option
from nas.spaces.search_space import SearchSpace
from tests.classics.references import timm

IMAGENET = ((3, 224, 224), 1000)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def keys(name: str) -> dict[str, Any]:
    """What is written in a space's file."""
    found: dict[str, Any] = yaml.safe_load(spaces()[name].read_text())
    return found


# --- sizes ---


def test_sizes_are_those_of_the_papers() -> None:
    counts = {name: nas.space(name).size() for name in ("mnasnet", "mobilenetv3_ofa", "anynet")}
    assert all(size.exact for size in counts.values())
    # Tan et al. 2019, section 4.1: S = 432, B = 5, "about 10^13".
    assert counts["mnasnet"].count == 432**5 == pytest.approx(1.5e13, rel=0.01)
    # Cai et al. 2020, section 3.2: "roughly ((3x3)^2 + (3x3)^3 + (3x3)^4)^5, about 2x10^19".
    assert counts["mobilenetv3_ofa"].count == (9**2 + 9**3 + 9**4) ** 5
    assert counts["mobilenetv3_ofa"].count == pytest.approx(2.2e19, rel=0.02)
    # Radosavovic et al. 2020, table 1: (16 x 128 x 3 x 6)^4, about 1.8e18.
    assert counts["anynet"].count == (16 * 128 * 3 * 6) ** 4 == pytest.approx(1.8e18, rel=0.03)


def test_proxylessnas_leaves_a_layer_out_only_where_it_keeps_the_shape() -> None:
    # 21 layers (Cai et al. 2019): the first of six stages changes the shape and has six kinds.
    space = nas.space("proxylessnas")
    assert space.size().count == 6**6 * 7**15
    options: dict[str, tuple[Option, ...]] = {}

    def answer(name: str, given: tuple[Option, ...]) -> Option:
        options[name] = given
        return given[-1]

    space.run(answer)
    assert len(options) == 21
    without = {name for name, given in options.items() if "zero" not in given}
    assert without == {f"stage{stage}.layer0.operation" for stage in range(1, 7)}


def small(**changes: Any) -> SearchSpace:
    """Two stages whose first layers may keep the shape, or not, by the widths."""
    data = {
        "family": "staged", "paper": "none", "each": "layer", "stem": {"channels": 8},
        "strides": [2, 1, 1],
        "operations": {
            "conv": {"layer": "conv"}, "mobile": {"layer": "inverted_residual"},
            "no": {"layer": "identity"},
        },
        "default": {
            "operation": ["conv", "mobile", "no"], "width": [8, 16], "depth": [1, 2],
            "settings": {"kernel": [3, 5], "expansion": [2, 3.5]},
        },
        "stages": [{}, {"width": [8, 16, 24], "depth": 2}],
    }  # fmt: skip
    with TemporaryDirectory() as folder:
        path = Path(folder) / "small.yaml"
        path.write_text(yaml.safe_dump(data | changes))
        return nas.space(path, (3, 9, 9), 4)


@pytest.mark.parametrize("strides", [[2, 1, 1], [1, 1, 2]])
@pytest.mark.parametrize("multiplier", [1.0, 0.5])  # 8 and 16 both become 8
def test_the_size_sums_over_the_widths_that_decide_what_may_be_left_out(
    multiplier: float, strides: list[int]
) -> None:
    space = small(width_multiplier=multiplier, strides=strides)
    assert space.size().count == sum(1 for _ in space.enumerate())


# --- published networks ---


def test_mnasnet_b1_is_the_classic() -> None:
    space = nas.space("mnasnet", *IMAGENET)
    built = space.decode(space.member("mnasnet_b1"))
    assert built.fingerprint == nas.classic("mnasnet1_0").fingerprint
    assert built.cost.params == 4_383_312  # torchvision's


def shapes(architecture: Architecture) -> Counter[tuple[int, ...]]:
    with torch.device("meta"):
        state = nas.compile(architecture).state_dict()
    return Counter(tuple(tensor.shape) for tensor in state.values())


def test_mnasnet_a1_is_timms() -> None:
    space = nas.space("mnasnet", *IMAGENET)
    built = space.decode(space.member("mnasnet_a1"))
    with torch.device("meta"):
        theirs = timm().create_model("semnasnet_100").state_dict()
    assert shapes(built) == Counter(tuple(tensor.shape) for tensor in theirs.values())
    assert built.cost.params == 3_887_038  # Tan et al. 2019, table 1: 3.9M
    assert built.cost.macs == pytest.approx(312e6, rel=0.002)  # ibid.: 312M


def ofa(layers: str) -> Genotype:
    """Kernel and expansion of every layer, stages apart: ``33 33 | 53 34 34``."""
    genotype: Genotype = {}
    for number, stage in enumerate(layers.split(" | "), start=1):
        genotype[f"stage{number}.depth"] = len(stage.split())
        for index, (kernel, expansion) in enumerate(stage.split()):
            genotype[f"stage{number}.layer{index}.kernel"] = int(kernel)
            genotype[f"stage{number}.layer{index}.expansion"] = int(expansion)
    return genotype


# The networks that the authors specialised for devices: their configurations (han-cai/files),
# with the millions of parameters and MACs of the table in mit-han-lab/once-for-all.
SPECIALISED = [
    ("ofa-note10-22", 224, "33 33 | 53 34 34 | 74 54 54 | 54 36 34 | 36 36 36 33", 5.9, 237),
    ("ofa-note10-16", 192, "33 33 | 53 54 34 33 | 54 54 33 | 54 54 33 | 36 74 54 33", 4.9, 163),
    ("ofa-lg-24", 220, "33 33 | 74 53 33 | 56 54 53 | 34 74 53 | 56 76 36 34", 5.8, 230),
    ("ofa-lg-11", 156, "33 33 | 53 34 74 | 54 33 | 54 34 53 | 56 76 54", 5.0, 103),
    ("ofa-s7edge-88", 192, "53 34 | 56 36 34 | 74 56 53 | 56 56 34 54 | 36 76 36 34", 6.4, 219),
    ("ofa-s7edge-29", 144, "33 33 | 53 34 | 54 34 | 54 54 | 36 53", 3.8, 66),
    ("ofa-note8-65", 204, "73 33 | 34 54 33 | 76 36 34 | 56 36 34 | 56 54 54 33", 5.3, 220),
    ("ofa-pixel1-28", 160, "33 34 | 73 36 34 | 73 36 | 36 54 | 36 34 33 36", 5.2, 109),
    ("ofa-pixel2-50", 208, "33 34 | 33 33 | 33 56 | 56 74 | 36 53 74 53", 4.7, 166),
    ("ofa-pixel2-25", 144, "33 33 | 56 54 | 74 33 | 74 73 34 | 56 34", 4.1, 79),
]
WIDER = [
    ("ofa-595M", 236, "33 54 33 | 54 54 36 53 | 76 56 33 54 | 36 56 76 34 | 36 36 56 33", 9.1, 595),
    ("ofa-482M", 224, "53 33 33 | 54 34 54 33 | 54 56 33 33 | 56 76 36 54 | 76 36 36 33", 9.1, 482),
    ("ofa-389M", 224, "33 33 | 53 56 33 | 54 54 33 | 56 54 34 34 | 36 36 76 33", 8.4, 389),
]


@pytest.mark.parametrize(
    ("multiplier", "name", "side", "layers", "params", "macs"),
    [(1.0, *row) for row in SPECIALISED] + [(1.2, *row) for row in WIDER],
)
def test_once_for_alls_specialised_networks(
    multiplier: float, name: str, side: int, layers: str, params: float, macs: float
) -> None:
    space = nas.space("mobilenetv3_ofa", (3, side, side), 1000, width_multiplier=multiplier)
    cost = space.decode(ofa(layers)).cost
    assert round(cost.params / 1e6, 1) == params
    assert cost.macs / 1e6 == pytest.approx(macs, abs=1)
    member = name.replace("-", "_")
    if member in space.members:
        assert space.member(member) == ofa(layers)


def test_once_for_alls_largest_network() -> None:
    space = nas.space("mobilenetv3_ofa", *IMAGENET)
    largest = " | ".join(["76 76 76 76"] * 5)
    # Cai et al. 2020, section 3.2: "we only require 7.7M parameters to store all of them".
    assert round(space.decode(ofa(largest)).cost.params / 1e6, 1) == 7.7


def test_mobilenet_v3_is_a_staged_network() -> None:
    """With the expansions 2.3 and 2.5, and norms and head as torchvision's: the classic itself."""
    data = keys("mobilenetv3_ofa")
    data["default"]["settings"]["expansion"] = [2.3, 2.5, 3, 4, 6]
    space = nas.space(
        "mobilenetv3_ofa", *IMAGENET, default=data["default"],
        norm={"epsilon": 1e-3, "momentum": 0.01},
        excitation=data["excitation"] | {"adaptive": True},
        head=data["head"] | {"adaptive": True, "hidden_bias": True, "dropout": 0.2},
    )  # fmt: skip
    genotype = ofa("34 33 | 53 53 53 | 36 32 30 30 | 36 36 | 56 56 56")
    genotype |= {"stage3.layer1.expansion": 2.5}
    genotype |= {f"stage3.layer{layer}.expansion": 2.3 for layer in (2, 3)}
    built = space.decode(genotype)
    assert built.fingerprint == nas.classic("mobilenet_v3_large").fingerprint


@pytest.mark.parametrize(
    ("name", "multiplier", "second_stage", "params"),
    [  # trainable parameters as osmr/pytorchcv counts them in the published configurations
        ("proxyless_mobile", 1.0, 32, 4_080_512),
        ("proxyless_gpu", 1.35, 24, 7_119_848),
        ("proxyless_cpu", 1.12, 24, 4_361_648),
    ],
)
def test_proxylessnas(name: str, multiplier: float, second_stage: int, params: int) -> None:
    stages = keys("proxylessnas")["stages"]
    stages[1]["width"] = second_stage
    space = nas.space("proxylessnas", *IMAGENET, width_multiplier=multiplier, stages=stages)
    cost = space.decode(space.member(name)).cost
    assert cost.params == params
    if name == "proxyless_mobile":
        assert cost.macs == pytest.approx(320e6, rel=0.002)


def test_single_path_one_shots_network() -> None:
    """323M FLOPs and 3.5M parameters, in the table of megvii-model/SinglePathOneShot."""
    space = nas.space("spos", *IMAGENET)
    cost = space.decode(space.member("spos")).cost
    assert space.size().count == 4**20
    assert cost.macs == pytest.approx(323e6, rel=0.005)
    assert int(cost.params / 1e5) == 35


@pytest.mark.parametrize("name", ["regnetx_200mf", "regnetx_400mf", "regnetx_800mf"])
def test_an_anynet_is_a_regnet_whose_widths_lie_on_a_line(name: str) -> None:
    anynet, regnet = nas.space("anynet", *IMAGENET), nas.space("regnet", *IMAGENET)
    found = anynet.decode(anynet.member(name))
    assert found.fingerprint == regnet.decode(regnet.member(name)).fingerprint


# --- what is asked, and built ---


def test_mutating_the_depth_redraws_only_what_is_new() -> None:
    space = nas.space("mobilenetv3_ofa")
    genotype = space.sample(rng(1)) | {"stage2.depth": 2}
    genotype = {n: o for n, o in genotype.items() if "stage2.layer2" not in n}
    genotype = {n: o for n, o in genotype.items() if "stage2.layer3" not in n}
    space.validate(genotype)
    deeper = [g for g in space.neighbors(genotype) if g["stage2.depth"] == 3]
    assert len(deeper) == 9
    for child in deeper:
        new = {"stage2.layer2.kernel", "stage2.layer2.expansion"}
        assert set(child) - set(genotype) == new
        assert {n: o for n, o in child.items() if n not in new} == genotype | {"stage2.depth": 3}


def test_which_layer_is_left_out_does_not_matter() -> None:
    space = nas.space("proxylessnas")
    genotype = space.member("proxyless_mobile")
    first, second = "stage1.layer1.operation", "stage1.layer2.operation"
    swapped = genotype | {first: genotype[second], second: genotype[first]}
    assert space.decode(swapped) != space.decode(genotype)
    assert space.identity(swapped) == space.identity(genotype)
    other = genotype | {second: "mbconv3_3x3"}
    assert space.identity(other) != space.identity(genotype)


@pytest.mark.parametrize(
    ("skip", "stride", "widens", "kinds"),
    [
        ("none", 1, False, []), ("identity", 1, False, ["add"]), ("identity", 2, False, []),
        ("identity", 1, True, []), ("pool", 1, False, ["avg_pool", "add"]),
        ("pool", 2, False, ["avg_pool", "add"]), ("pool", 2, True, []),
    ],
)  # fmt: skip
@pytest.mark.parametrize("layer", ["conv", "separable", "inverted_residual"])
def test_skips(layer: str, skip: str, stride: int, widens: bool, kinds: list[str]) -> None:
    operations = {"a": {"layer": layer, "settings": {"skip": skip, "squeeze": 0.25}}}
    stage = {"operation": "a", "width": 16 if widens else 8, "depth": 1}
    space = small(operations=operations, strides=[1, stride], default={}, stages=[stage])
    architecture = space.decode({})
    found = [node.operation.kind for node in architecture.nodes]
    assert [kind for kind in found if kind in ("add", "avg_pool")] == kinds
    assert architecture.cost == reference_cost(architecture).cost


def test_squeeze_is_of_the_input_or_of_the_hidden_channels() -> None:
    def squeezed(**excitation: Any) -> int:
        settings = {"expansion": 3, "squeeze": 0.3}
        space = small(
            excitation=excitation, strides=[1, 1], default={},
            operations={"a": {"layer": "inverted_residual", "settings": settings}},
            stages=[{"operation": "a", "width": 8, "depth": 1}],
        )  # fmt: skip
        nodes = {node.name: node.operation for node in space.decode({}).nodes}
        return int(nodes["stage0.0.block.2.fc1"].channels)  # type: ignore[attr-defined]

    assert squeezed() == 3  # 2.4, and 2 is more than a tenth below
    assert squeezed(of="hidden") == 7  # 7.2
    assert squeezed(of="hidden", divisor=8) == 8


def test_bottlenecks_of_any_group_width_are_built() -> None:
    space = nas.space("anynet", (3, 32, 32), 10)
    genotype = {
        f"stage{stage}.{key}": value
        for stage in range(4)
        for key, value in {"width": 40, "depth": 1, "reduction": 4, "group_width": 32}.items()
    }
    # The inner width, 40 // 4 = 10, is one group of ten.
    groups = [
        (node.operation.channels, node.operation.groups)  # type: ignore[attr-defined]
        for node in space.decode(genotype).nodes
        if node.name.endswith("f.b.0")
    ]
    assert groups == [(10, 1)] * 4
    wider = space.decode(genotype | {"stage3.width": 200})  # 50, to 2 x 32
    last = next(n.operation for n in wider.nodes if n.name == "stage3.0.f.b.0")
    assert (last.channels, last.groups) == (64, 2)  # type: ignore[attr-defined]


@pytest.mark.parametrize("shape", [(1, 40), (2, 12, 20), (1, 8, 8, 8)])
def test_sequences_images_and_volumes(shape: tuple[int, ...]) -> None:
    for name in ("mnasnet", "mobilenetv3_ofa"):
        space = nas.space(name, shape, 3, width_multiplier=0.25)
        architecture = space.decode(space.sample(rng(2)))
        assert nas.compile(architecture)(torch.randn(2, *shape)).shape == (2, 3)


def test_nothing_is_asked_where_there_is_one_option() -> None:
    space = small(
        stages=[{"width": [8], "depth": 1, "operation": "conv", "settings": {"kernel": 3}}],
        strides=[1, 1],
        default={},
    )
    assert space.sample(rng()) == {}
    assert space.size().count == 1


# --- what is refused ---

CONV = {"a": {"layer": "conv"}}


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"strides": [2, 1]}, ["one for each of the 2 stages", "[2, 1]"]),
        ({"operations": {"a": {"layer": "cnv"}}}, ["operations.a.layer", "unknown block 'cnv'"]),
        (
            {"operations": {"a": {"layer": "conv", "settings": {"kernal": 3}}}},
            ["operations.a.settings", "unknown key 'kernal' (did you mean 'kernel'?)"],
        ),
        (
            {"operations": {"a": {"layer": "conv", "settings": {"kernel": 4}}}},
            ["operations.a.settings.kernel", "must be odd", "got 4"],
        ),
        ({"operations": CONV}, ["stages.0.operation", "unknown operation 'conv'", "allowed: a"]),
        ({"each": "stage"}, ["stages.0.operation", "each: layer", "'no'"]),
        (
            {"default": {"operation": "no", "width": 8, "depth": 1}},
            ["stages.0.operation", "['no']"],
        ),
        (
            {"default": {"width": 8, "depth": 1}},
            ["stages.0.operation: is missing here and in default"],
        ),
        (
            {"default": {"operation": "conv", "width": 8}},
            ["stages.0.depth: is missing here and in default"],
        ),
        (
            {"default": {"operation": "conv", "width": 8, "depth": 1, "settings": {"kern": 3}}},
            ["default.settings", "unknown setting 'kern'", "allowed: activation, kernel"],
        ),
        (
            {"stages": [{"settings": {"kernel": [3, 6]}}, {}]},
            ["stages.0.settings.kernel", "must be odd", "got 6"],
        ),
        (
            {"stages": [{"settings": {"squeeze": 4}}, {}]},
            ["stages.0.settings.squeeze", "less than or equal to 1", "got 4"],
        ),
        ({"stages": [{"width": [8, 8]}, {}]}, ["stages.0.width", "an option is given twice"]),
        ({"stages": [{"depth": 0}, {}]}, ["stages.0.depth", "greater than or equal to 1"]),
        ({"stages": [{"depth": []}, {}]}, ["stages.0.depth", "at least 1 item"]),
        ({"width_multiplier": 0}, ["width_multiplier", "got 0"]),
        ({"head": {"chanels": 8}}, ["head.chanels", "did you mean 'channels'?"]),
    ],
)
def test_a_mistake_in_a_space_file_is_named(changes: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        small(**changes)
    for part in ["small.yaml", *parts]:
        assert part in str(caught.value)


@pytest.mark.parametrize("layer", ["conv", "separable", "depthwise"])
def test_a_convolution_without_activation(tmp_path: Path, layer: str) -> None:
    (tmp_path / "plain.yaml").write_text(
        "family: staged\npaper: none\neach: stage\nstem: {channels: 4}\nstrides: [1, 1]\n"
        f"operations:\n  plain: {{layer: {layer}, settings: {{activation: null}}}}\n"
        f"  chosen: {{layer: {layer}}}\n"
        "stages:\n  - {operation: [plain, chosen], width: 8, depth: 1,"
        " settings: {activation: [null, relu]}}\n"
    )
    found = nas.space(str(tmp_path / "plain.yaml"), input_shape=(3, 8, 8), classes=2)
    counts = {
        tuple(genotype.values()): sum(
            node.operation.kind == "activation" for node in found.decode(genotype).nodes
        )
        for genotype in found.enumerate()
    }
    stem = 1
    assert counts == {
        ("plain",): stem,
        ("chosen", None): stem,
        ("chosen", "relu"): stem + 1,
    }
