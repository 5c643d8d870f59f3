"""The language expresses torchvision's detectors of one stage: costs, weights and outputs.

Not expressed are those of two stages (Faster, Mask and Keypoint R-CNN), whose regions depend on the
image.
"""

import csv
import importlib
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from torch import Tensor, nn

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.network import compile
from nas.architecture.taps import taps
from nas.blocks import conv_norm
from nas.classics import classic
from tests.classics.references import randomised, torchvision_models

VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512)


def ssd300(side: int, classes: int = 91) -> Architecture:
    """Liu et al. 2016 on VGG-16, with torchvision's names."""
    g = Builder((3, side, side))
    sources: list[Handle] = []

    def conv(x: Handle, channels: int, kernel: int, name: str, **options: Any) -> Handle:
        return g.relu(g.conv(x, channels, kernel, name=name, **options))

    x, scope, place = g.input, "backbone.features", 0
    for width in VGG16:
        if width == "M":
            if place == 23:  # the fourth pool opens the next part
                scaled = g.scale(g.l2_norm(x), 20.0, name="backbone.scale_weight")
                sources.append(scaled)
                scope, place = "backbone.extra.0", 0
            x = g.max_pool(x, 2, ceil_mode=place == 16)
        else:
            x = conv(x, int(width), 3, f"{scope}.{place}", padding=1)
        place += 1 if width == "M" else 2
    x = g.max_pool(x, 3, stride=1, padding=1)
    x = conv(x, 1024, 3, "backbone.extra.0.7.1", padding=6, dilation=6)
    sources.append(x := conv(x, 1024, 1, "backbone.extra.0.7.3"))
    strided: dict[str, Any] = {"stride": 2, "padding": 1}
    extras = ((256, 512, strided), (128, 256, strided), (128, 256, {}), (128, 256, {}))
    for place, (narrow, wide, options) in enumerate(extras, start=1):
        x = conv(x, narrow, 1, f"backbone.extra.{place}.0")
        sources.append(x := conv(x, wide, 3, f"backbone.extra.{place}.2", **options))
    return g.build(heads(g, sources, (4, 6, 6, 6, 4, 4), classes))


def ssdlite(side: int, classes: int = 91) -> Architecture:
    """Sandler et al. 2018 on MobileNetV3; block 13 is read behind its first, expanding layer."""
    g = Builder((3, side, side), norm_epsilon=1e-3)
    block = partial(conv_norm, g, activation="relu6")
    with g.scope("backbone"):
        body = classic("mobilenet_v3_large", (3, side, side), reduced_tail=True)
        handles = g.include(body)
        sources = [handles[f"features.{place}.hard_swish1"] for place in (13, 16)]
        for place, width in enumerate((512, 256, 256, 128)):
            with g.scope(f"extra.{place}"):
                x = block(sources[-1], width // 2, kernel=1, names=("0.0", "0.1"))
                x = block(x, stride=2, groups=x.channels, names=("1.0", "1.1"))
                sources.append(block(x, width, kernel=1, names=("2.0", "2.1")))
    return g.build(heads(g, sources, [6] * 6, classes, lite=True))


def heads(
    g: Builder, sources: Sequence[Handle], counts: Sequence[int], classes: int, lite: bool = False
) -> Handle:
    """All boxes, and then all scores, of an SSD in one vector.

    In ``lite`` ones, a depthwise and a 1x1 convolution stand for the 3x3 convolution.
    """
    found = []
    for kind, values in (("regression", 4), ("classification", classes)):
        for place, (x, count) in enumerate(zip(sources, counts, strict=True)):
            name = f"head.{kind}_head.module_list.{place}"
            if lite:
                names = f"{name}.0.0", f"{name}.0.1"
                x = conv_norm(g, x, groups=x.channels, activation="relu6", names=names)
                last = g.conv(x, count * values, 1, name=f"{name}.1")
            else:
                last = g.conv(x, count * values, 3, padding=1, name=name)
            found.append(flat(g, last))
    return g.concat(*found)


def flat(g: Builder, x: Handle) -> Handle:
    return g.flatten(g.permute(x, (1, 2, 0)))


def on_pyramid(kind: str, side: int, classes: int = 91) -> Architecture:
    """RetinaNet, its second version, or FCOS on ResNet-50: one head reads five maps."""
    anchors = {"fcos": 1}.get(kind, 9)
    g = Builder((3, side, side))
    with g.scope("backbone.body"):
        body = classic("resnet50", (3, side, side), 1000)
        handles = g.include(body)
    maps = [handles[name] for stride, name in taps(body).items() if stride >= 8]
    inner: Handle | None = None
    pyramid: list[Handle] = []
    for place in (2, 1, 0):
        x = g.conv(maps[place], 256, 1, name=f"backbone.fpn.inner_blocks.{place}.0")
        inner = x if inner is None else g.add(x, g.resize(inner, x.spatial))
        name = f"backbone.fpn.layer_blocks.{place}.0"
        pyramid.insert(0, g.conv(inner, 256, 3, padding=1, name=name))
    last = maps[2] if kind == "retinanet_v2" else pyramid[2]
    for name in ("p6", "p7"):
        name = f"backbone.fpn.extra_blocks.{name}"
        last = g.conv(last if last in maps or last in pyramid[:3] else g.relu(last), 256, 3,
                      stride=2, padding=1, name=name)  # fmt: skip
        pyramid.append(last)
    boxes, others, scores = [], [], []
    for level, x in enumerate(pyramid):
        for part in ("regression_head", "classification_head"):
            name = f"head{level or ''}"
            with g.scope(name, weights="head" if level else None), g.scope(part):
                y = x
                for layer in range(4):
                    names = f"conv.{layer}.0", f"conv.{layer}.1"
                    if kind == "fcos":
                        names = f"conv.{3 * layer}", f"conv.{3 * layer + 1}"
                    normed = kind != "retinanet"
                    bias = kind != "retinanet_v2"
                    y = g.conv(y, 256, 3, padding=1, bias=bias, name=names[0])
                    y = g.relu(g.group_norm(y, 32, name=names[1]) if normed else y)

                def last_of(values: int, name: str, y: Handle = y) -> Handle:
                    return g.conv(y, anchors * values, 3, padding=1, name=name)

                if part == "classification_head":
                    scores.append(flat(g, last_of(classes, "cls_logits")))
                else:
                    box = last_of(4, "bbox_reg")
                    boxes.append(flat(g, g.relu(box) if kind == "fcos" else box))
                    if kind == "fcos":
                        others.append(flat(g, last_of(1, "bbox_ctrness")))
    return g.build(g.concat(*boxes, *others, *scores))


class Raw(nn.Module):
    """What a detector of torchvision finds before it decodes boxes, as a vector."""

    def __init__(self, name: str) -> None:
        super().__init__()
        torchvision_models()
        models = importlib.import_module("torchvision.models.detection")
        made = getattr(models, name)(weights=None, weights_backbone=None)
        self.backbone, self.head = made.backbone, made.head

    def forward(self, images: Tensor) -> Tensor:
        found = self.head([*self.backbone(images).values()])
        names = ("bbox_regression", "bbox_ctrness", "cls_logits")
        return torch.cat([found[name].flatten(1) for name in names if name in found], 1)


def published(name: str, shared_data: Path) -> dict[str, str]:
    with (shared_data / "tasks" / "torchvision_dense_models.csv").open(newline="") as file:
        return next(row for row in csv.DictReader(file) if row["model"] == name)


def compared(ours: Architecture, state: dict[str, Tensor], reference: Raw, images: Tensor) -> None:
    network = compile(ours).eval()
    network.load_state_dict(state, strict=True)
    with torch.inference_mode():
        expected, found = reference(images), network(images)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())
    flops = FlopCountAnalysis(reference, images[:1])
    flops.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    assert ours.cost.macs == flops.by_operator()["conv"]


@pytest.mark.parametrize(
    ("name", "build", "side"),
    [
        pytest.param("ssd300_vgg16", ssd300, 300, marks=pytest.mark.slow),
        ("ssdlite320_mobilenet_v3_large", ssdlite, 320),
    ],
)
def test_ssds_are_torchvisions(
    name: str, build: Callable[[int], Architecture], side: int, shared_data: Path
) -> None:
    row = published(name, shared_data)
    ours = build(side)
    assert ours.cost.params == int(row["params_default_classes_no_aux"])
    assert f"{ours.cost.macs / 1e9:.3f}" == row["published_gops"]
    images = torch.randn(2, 3, side, side)  # the last map of SSDLite is a single position
    reference = randomised(lambda: Raw(name), images)
    state = {
        re.sub(r"(?<=\.features\.)([01])\.(\d+)\.", uncut, key): value
        for key, value in reference.state_dict().items()
    }
    if (scale := "backbone.scale_weight") in state:
        state[scale] = state[scale].view(-1, 1, 1)
    compared(ours, state, reference, images)


def uncut(place: re.Match[str]) -> str:
    """MobileNetV3's name of a block; torchvision cuts it in two behind block 13's first layer."""
    half, block = int(place[1]), 13 * int(place[1]) + int(place[2])
    inner = ("block.0.", "block.")[half] if block == 13 else ""
    return f"{block}.{inner}"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["retinanet", "retinanet_v2", "fcos"])
def test_detectors_on_a_pyramid_are_torchvisions(kind: str, shared_data: Path) -> None:
    first, _, version = kind.partition("_")
    name = f"{first}_resnet50_fpn" + (f"_{version}" if version else "")
    images = torch.randn(2, 3, 128, 128)
    reference = randomised(lambda: Raw(name), images)
    ours = on_pyramid(kind, 128)
    row = published(name, shared_data)
    assert ours.cost.params == int(row["params_default_classes_no_aux"])
    compared(ours, reference.state_dict(), reference, images)
