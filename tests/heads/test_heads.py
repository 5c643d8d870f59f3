"""Heads on backbones are torchvision's dense models: parameters, MACs, FLOPs and outputs."""

import csv
import importlib
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from nas.architecture.builder import Builder
from nas.architecture.graph import Architecture
from nas.architecture.network import compile
from nas.architecture.node import Node
from nas.architecture.operations import Conv
from nas.architecture.reference import reference_cost
from nas.classics import classic
from nas.configuration import defaults
from nas.heads import BOX_HEADS, HEADS, dense
from nas.registry import Registry
from nas.spaces import space
from tests.classics.references import randomised, torchvision_models

MODELS: dict[str, tuple[str, str, int]] = {
    "fcn_resnet50": ("resnet50", "fcn", 8),
    "fcn_resnet101": ("resnet101", "fcn", 8),
    "deeplabv3_resnet50": ("resnet50", "deeplab_v3", 8),
    "deeplabv3_resnet101": ("resnet101", "deeplab_v3", 8),
    "deeplabv3_mobilenet_v3_large": ("mobilenet_v3_large", "deeplab_v3", 16),
    "lraspp_mobilenet_v3_large": ("mobilenet_v3_large", "lraspp", 16),
}


def built(name: str) -> Architecture:
    backbone, head, stride = MODELS[name]
    return dense(classic(backbone, (3, 64, 64), 1000), head, 21, {}, stride)


@pytest.mark.parametrize("name", MODELS)
def test_costs_are_torchvisions(name: str, shared_data: Path) -> None:
    with (shared_data / "tasks" / "torchvision_dense_models.csv").open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["model"] == name)
    found = built(name).cost
    assert found.params == int(row["params_default_classes_no_aux"])
    assert found.macs == int(row["macs_64x64"])
    assert found.flops == int(row["fvcore_flops_64x64"])


def as_torchvision(name: str) -> Architecture:
    """Our network with the two deviations of torchvision's MobileNetV3 from its other backbones.

    It also dilates the window whose stride is left out, and LR-ASPP reads the first map of stride
    8, not the last.
    """
    found = built(name)

    def changed(node: Node) -> Node:
        if node.name == "backbone.features.13.block.1.0" and isinstance(node.operation, Conv):
            window = replace(node.operation, dilation=(2, 2), padding=(4, 4))
            return node._replace(operation=window)
        if node.name == "classifier.low_classifier":
            return node._replace(inputs=("backbone.features.4.block.3.1",))
        return node

    return Architecture(found.input_shape, [changed(node) for node in found.nodes], found.outputs)


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=[pytest.mark.slow] * ("101" in each)) for each in MODELS]
)
def test_torchvisions_weights_load_and_give_its_scores(name: str) -> None:
    torch.manual_seed(0)
    torchvision_models()
    build = getattr(importlib.import_module("torchvision.models.segmentation"), name)
    images = torch.randn(2, 3, 64, 64)
    reference = randomised(lambda: build(weights=None, weights_backbone=None), images)
    network = compile(as_torchvision(name)).eval()
    state = {
        key.replace("backbone.", "backbone.features.") if "mobilenet" in name else key: value
        for key, value in reference.state_dict().items()
    }
    network.load_state_dict(state, strict=True)
    with torch.inference_mode():
        expected, found = reference(images)["out"], network(images)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


SIDES = {
    "lenet5": (1, 28, 28),
    "nin": (3, 32, 32),
    "vgg8": (3, 32, 32),
    "resnet20": (3, 32, 32),
    "inception_small": (3, 32, 32),
    "mobilenet_v2": (3, 64, 64),
    "densenet121": (3, 64, 64),
    "googlenet": (3, 96, 96),
    "convnext_tiny": (3, 64, 64),
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", SIDES)
def test_every_head_fits_every_kind_of_classic(name: str, head: str) -> None:
    shape = SIDES[name]
    architecture = dense(classic(name, shape, 5), head, 5, {})
    assert architecture.output_shape == (5, *shape[1:])
    own = {node.name.partition(".")[0] for node in architecture.nodes}
    assert own <= {"backbone", "classifier", "scores"}


@pytest.mark.parametrize("name", ["primitives", "nasbench201", "darts", "hierarchical"])
def test_every_head_fits_the_spaces(name: str) -> None:
    found = space(name, (3, 32, 32), 4)
    body = found.decode(found.sample(np.random.default_rng(0)))
    for head in HEADS:
        assert dense(body, head, 4, {}).output_shape == (4, 32, 32)


@pytest.mark.parametrize("head", HEADS)
def test_costs_are_fvcores(head: str) -> None:
    architecture = dense(classic("mobilenet_v3_small", (3, 32, 32), 5), head, 5, {})
    assert architecture.cost == reference_cost(architecture).cost


def test_a_head_of_one_dimension_and_of_three() -> None:
    for sides in ((32,), (8, 8, 8)):
        g = Builder((2, *sides))
        x = g.relu(g.conv(g.input, 4, 3, padding=1))
        x = g.relu(g.conv(g.max_pool(x, 2), 8, 3, padding=1))
        body = g.build(g.linear(g.global_pool(x), 3))
        for head in HEADS:
            made = dense(body, head, 3, {})
            assert compile(made)(torch.randn(2, 2, *sides)).shape == (2, 3, *sides)


@pytest.mark.parametrize(("place", "heads"), [(1, HEADS), (2, BOX_HEADS)])
def test_the_documents_name_every_head_and_its_options(place: int, heads: Registry) -> None:
    page = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text(encoding="utf-8")
    table = page.split("| `head:` |")[place]
    rows = [line.split("|") for line in table.partition("\n\n")[0].splitlines()[2:]]
    told = {row[1].strip(" `"): dict(re.findall(r"`(\w+): ([^`]+)`", row[2])) for row in rows}
    assert told.keys() == heads.keys()
    for name, options in told.items():
        shown = {key: yaml.safe_load(value) for key, value in options.items()}
        expected = {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in defaults(heads[name]).items()
        }
        assert shown == expected, name
