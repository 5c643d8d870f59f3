"""The classic architectures: one function a family, one row of :data:`CLASSICS` a network."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nas.errors import InputError
from nas.registry import unknown

if TYPE_CHECKING:
    from nas.architecture.graph import Architecture

CIFAR = (3, 32, 32)
IMAGENET = (3, 224, 224)


@dataclass(frozen=True)
class Classic:
    """One hand-designed network.

    Attributes:
        family: the function that builds it, ``"module:function"``. It takes the input shape, the
            number of classes, the arguments in ``fixed``, and keyword-only options of the user.
        year: when it was published.
        paper: where.
        source: the implementation whose node names and counts it has: its state dict loads.
            "paper" where there is none, and counts are the paper's.
        input_shape: what it was designed for, without the batch.
        classes: likewise.
        fixed: what makes it this member of the family.
    """

    family: str
    year: int
    paper: str
    source: str
    input_shape: tuple[int, ...] = IMAGENET
    classes: int = 1000
    fixed: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


def _cifar(family: str, year: int, paper: str, source: str = "paper", **fixed: Any) -> Classic:
    return Classic(f"nas.classics.{family}", year, paper, source, CIFAR, 10, fixed)


def _imagenet(
    family: str, year: int, paper: str, source: str = "torchvision", **fixed: Any
) -> Classic:
    return Classic(f"nas.classics.{family}", year, paper, source, fixed=fixed)


_RESNET = "He et al. 2016, arXiv:1512.03385"
_MOBILENET_V2 = "Sandler et al. 2018, arXiv:1801.04381"

CLASSICS: dict[str, Classic] = {
    "lenet5": Classic(
        "nas.classics.lenet:lenet5", 1998, "LeCun et al. 1998, Proc. IEEE 86(11)", "paper",
        (1, 32, 32), 10,
    ),
    "alexnet": _imagenet(
        "alexnet:alexnet", 2014, "Krizhevsky 2014, arXiv:1404.5997"
    ),
    "nin": _cifar("nin:nin", 2013, "Lin et al. 2014, arXiv:1312.4400"),
    "vgg16": _imagenet("vgg:vgg", 2014, "Simonyan & Zisserman 2015, arXiv:1409.1556"),
    "vgg8": _cifar("vgg:vgg8", 2020, "Tian et al. 2020, arXiv:1910.10699"),
    "inception_small": _cifar(
        "inception:inception_small", 2016, "Zhang et al. 2017, arXiv:1611.03530"
    ),
    "resnet18": _imagenet(
        "resnet:resnet", 2015, _RESNET, blocks=(2, 2, 2, 2), bottlenecks=False
    ),
    "resnet50": _imagenet(
        "resnet:resnet", 2015, _RESNET, blocks=(3, 4, 6, 3), bottlenecks=True
    ),
    "resnet20": _cifar("resnet:resnet_cifar", 2015, _RESNET, blocks=3),
    "se_resnet20": _cifar(
        "resnet:resnet_cifar", 2017, "Hu et al. 2018, arXiv:1709.01507",
        blocks=3, squeeze=16,
    ),
    "mobilenet_v2": _imagenet("mobilenet:mobilenet_v2", 2018, _MOBILENET_V2),
}  # fmt: skip
"""Every classic by name."""


def classic(
    name: str,
    input_shape: tuple[int, ...] | None = None,
    classes: int | None = None,
    **options: Any,
) -> Architecture:
    """The architecture of a classic network.

    Args:
        name: a key of :data:`CLASSICS`.
        input_shape: without the batch, channels first; by default what it was designed for.
        classes: by default what it was designed for.
        options: the family's own, such as ``width`` or ``stem``.

    Raises:
        InputError: for an unknown name or option; as :class:`ArchitectureError`, for an input
            that is too small for its strides, naming the node that does not fit.
    """
    from nas.configuration import validate_options

    if name not in CLASSICS:
        raise InputError(unknown("classic", name, CLASSICS))
    entry = CLASSICS[name]
    module, function = entry.family.split(":")
    build = getattr(importlib.import_module(module), function)
    architecture: Architecture = build(
        tuple(input_shape or entry.input_shape),
        classes or entry.classes,
        **{**entry.fixed, **validate_options(build, options, f"classic {name}", "options")},
    )
    return architecture
