"""The catalogue of classics: one row per network. Reading it imports no family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from nas.registry import resolve

CIFAR = (3, 32, 32)
IMAGENET = (3, 224, 224)


@dataclass(frozen=True)
class Classic:
    """Describes one hand-designed network.

    Attributes:
        family: the function that builds it, ``"module:function"``. It takes the input shape, the
            number of classes, the arguments in ``fixed``, and keyword-only options of the user.
        year: when it was published.
        paper: where it was published.
        source: the implementation whose node names and counts it has, so that its state dict
            loads. It is "paper" if there is none; counts are then the paper's.
        input_shape: the input that it was designed for, without the batch.
        classes: the number of classes that it was designed for.
        fixed: the arguments that make it this member of the family.
        initialization: the scheme by which ``source``, or else the paper, draws the weights (see
            :func:`nas.training.initialization.initialize`); torch's default if neither says.
    """

    family: str
    year: int
    paper: str
    source: str
    input_shape: tuple[int, ...] = IMAGENET
    classes: int = 1000
    fixed: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    initialization: str = "default"

    @property
    def function(self) -> Callable[..., Any]:
        """The family's function, imported now."""
        family: Callable[..., Any] = resolve(self.family)
        return family


def _cifar(
    family: str, year: int, paper: str, initialization: str = "default", **fixed: Any
) -> Classic:
    path = f"nas.classics.{family}"
    return Classic(path, year, paper, "paper", CIFAR, 10, fixed, initialization)


def _imagenet(
    family: str,
    year: int,
    paper: str,
    source: str = "torchvision",
    input_shape: tuple[int, ...] = IMAGENET,
    initialization: str = "default",
    **fixed: Any,
) -> Classic:
    path = f"nas.classics.{family}"
    return Classic(path, year, paper, source, input_shape, 1000, fixed, initialization)


_VGG = "Simonyan & Zisserman 2015, arXiv:1409.1556"
_RESNET = "He et al. 2016, arXiv:1512.03385"
_WIDE = "Zagoruyko & Komodakis 2016, arXiv:1605.07146"
_DENSENET = "Huang et al. 2017, arXiv:1608.06993"
_SENET = "Hu et al. 2018, arXiv:1709.01507"
_INCEPTION_V4 = "Szegedy et al. 2017, arXiv:1602.07261"
_NASNET = "Zoph et al. 2018, arXiv:1707.07012"
_AMOEBANET = "Real et al. 2019, arXiv:1802.01548"
_SQUEEZENET = "Iandola et al. 2016, arXiv:1602.07360"
_MOBILENET_V2 = "Sandler et al. 2018, arXiv:1801.04381"
_MOBILENET_V3 = "Howard et al. 2019, arXiv:1905.02244"

CLASSICS: dict[str, Classic] = {
    "lenet5": Classic(
        "nas.classics.lenet:lenet5", 1998, "LeCun et al. 1998, Proc. IEEE 86(11)", "paper",
        (1, 32, 32), 10,
    ),
    "alexnet_2012": _imagenet(
        "alexnet:alexnet_2012", 2012, "Krizhevsky et al. 2012, NeurIPS 25", "paper",
        initialization="alexnet_2012",
    ),
    "alexnet": _imagenet("alexnet:alexnet", 2014, "Krizhevsky 2014, arXiv:1404.5997"),
    "nin": _cifar("nin:nin", 2013, "Lin et al. 2014, arXiv:1312.4400"),
    "vgg11": _imagenet("vgg:vgg", 2014, _VGG, configuration="A", initialization="vgg"),
    "vgg11_lrn": _imagenet(
        "vgg:vgg", 2014, _VGG, "paper", configuration="A", norm="local",
        initialization="xavier_uniform",
    ),
    "vgg13": _imagenet("vgg:vgg", 2014, _VGG, configuration="B", initialization="vgg"),
    "vgg16_c": _imagenet(
        "vgg:vgg", 2014, _VGG, "paper", configuration="C", initialization="xavier_uniform"
    ),
    "vgg16": _imagenet("vgg:vgg", 2014, _VGG, configuration="D", initialization="vgg"),
    "vgg19": _imagenet("vgg:vgg", 2014, _VGG, configuration="E", initialization="vgg"),
    "vgg11_bn": _imagenet(
        "vgg:vgg", 2014, _VGG, configuration="A", norm="batch", initialization="vgg"
    ),
    "vgg13_bn": _imagenet(
        "vgg:vgg", 2014, _VGG, configuration="B", norm="batch", initialization="vgg"
    ),
    "vgg16_c_bn": _imagenet(
        "vgg:vgg", 2014, _VGG, "paper", configuration="C", norm="batch",
        initialization="xavier_uniform",
    ),
    "vgg16_bn": _imagenet(
        "vgg:vgg", 2014, _VGG, configuration="D", norm="batch", initialization="vgg"
    ),
    "vgg19_bn": _imagenet(
        "vgg:vgg", 2014, _VGG, configuration="E", norm="batch", initialization="vgg"
    ),
    "vgg8": _cifar("vgg:vgg8", 2020, "Tian et al. 2020, arXiv:1910.10699", initialization="vgg"),
    "googlenet": _imagenet(
        "googlenet:googlenet", 2014, "Szegedy et al. 2015, arXiv:1409.4842",
        initialization="googlenet",
    ),
    "inception_v3": _imagenet(
        "inception_v3:inception_v3", 2015, "Szegedy et al. 2016, arXiv:1512.00567",
        input_shape=(3, 299, 299), initialization="inception_v3",
    ),
    "inception_v4": _imagenet(
        "inception_v4:inception_v4", 2016, _INCEPTION_V4, "timm", input_shape=(3, 299, 299)
    ),
    "inception_resnet_v2": _imagenet(
        "inception_v4:inception_resnet_v2", 2016, _INCEPTION_V4, "timm",
        input_shape=(3, 299, 299),
    ),
    "inception_small": _cifar(
        "inception:inception_small", 2016, "Zhang et al. 2017, arXiv:1611.03530"
    ),
    "resnet18": _imagenet(
        "resnet:resnet", 2015, _RESNET, blocks=(2, 2, 2, 2), initialization="resnet"
    ),
    "resnet34": _imagenet(
        "resnet:resnet", 2015, _RESNET, blocks=(3, 4, 6, 3), initialization="resnet"
    ),
    "resnet50": _imagenet(
        "resnet:resnet", 2015, _RESNET, blocks=(3, 4, 6, 3), bottlenecks=True,
        initialization="resnet",
    ),
    "resnet101": _imagenet(
        "resnet:resnet", 2015, _RESNET, blocks=(3, 4, 23, 3), bottlenecks=True,
        initialization="resnet",
    ),
    "resnet152": _imagenet(
        "resnet:resnet", 2015, _RESNET, blocks=(3, 8, 36, 3), bottlenecks=True,
        initialization="resnet",
    ),
    "resnet20": _cifar(
        "resnet:resnet_cifar", 2015, _RESNET, blocks=3, initialization="kaiming_normal"
    ),
    "resnet32": _cifar(
        "resnet:resnet_cifar", 2015, _RESNET, blocks=5, initialization="kaiming_normal"
    ),
    "resnet44": _cifar(
        "resnet:resnet_cifar", 2015, _RESNET, blocks=7, initialization="kaiming_normal"
    ),
    "resnet56": _cifar(
        "resnet:resnet_cifar", 2015, _RESNET, blocks=9, initialization="kaiming_normal"
    ),
    "resnet110": _cifar(
        "resnet:resnet_cifar", 2015, _RESNET, blocks=18, initialization="kaiming_normal"
    ),
    "wide_resnet50_2": _imagenet(
        "resnet:resnet", 2016, _WIDE, blocks=(3, 4, 6, 3), bottlenecks=True, reduction=2,
        initialization="resnet",
    ),
    "wrn_28_10": _cifar(
        "resnet:wide_resnet_cifar", 2016, _WIDE, blocks=4, factor=10,
        initialization="kaiming_normal",
    ),
    "resnext50_32x4d": _imagenet(
        "resnet:resnet", 2016, "Xie et al. 2017, arXiv:1611.05431", blocks=(3, 4, 6, 3),
        bottlenecks=True, reduction=2, groups=32, initialization="resnet",
    ),
    "legacy_seresnet18": _imagenet(
        "senet:legacy_seresnet", 2017, _SENET, "timm", blocks=(2, 2, 2, 2),
        initialization="resnet",
    ),
    "legacy_seresnet50": _imagenet(
        "senet:legacy_seresnet", 2017, _SENET, "timm", blocks=(3, 4, 6, 3), bottlenecks=True,
        initialization="resnet",
    ),
    "seresnet50": _imagenet(
        "resnet:resnet", 2017, _SENET, "timm", blocks=(3, 4, 6, 3), bottlenecks=True, squeeze=16,
        initialization="resnet_zero_last",
    ),
    "se_resnet20": _cifar(
        "resnet:resnet_cifar", 2017, _SENET, blocks=3, squeeze=16,
        initialization="kaiming_normal",
    ),
    "densenet121": _imagenet(
        "densenet:densenet", 2016, _DENSENET, blocks=(6, 12, 24, 16), growth=32, channels=64,
        initialization="densenet",
    ),
    "densenet161": _imagenet(
        "densenet:densenet", 2016, _DENSENET, blocks=(6, 12, 36, 24), growth=48, channels=96,
        initialization="densenet",
    ),
    "densenet169": _imagenet(
        "densenet:densenet", 2016, _DENSENET, blocks=(6, 12, 32, 32), growth=32, channels=64,
        initialization="densenet",
    ),
    "densenet201": _imagenet(
        "densenet:densenet", 2016, _DENSENET, blocks=(6, 12, 48, 32), growth=32, channels=64,
        initialization="densenet",
    ),
    "densenet_bc_100_12": _cifar(
        "densenet:densenet", 2016, _DENSENET, blocks=(16, 16, 16), growth=12, channels=24,
        stem="cifar", initialization="kaiming_normal",
    ),
    "legacy_xception": _imagenet(
        "xception:xception", 2016, "Chollet 2017, arXiv:1610.02357", "timm",
        input_shape=(3, 299, 299), initialization="resnet",
    ),
    "squeezenet1_0": _imagenet(
        "squeezenet:squeezenet", 2016, _SQUEEZENET, version="1.0", initialization="squeezenet"
    ),
    "squeezenet1_1": _imagenet(
        "squeezenet:squeezenet", 2016, _SQUEEZENET, version="1.1", initialization="squeezenet"
    ),
    "shufflenet_v2_x1_0": _imagenet(
        "shufflenet:shufflenet_v2", 2018, "Ma et al. 2018, arXiv:1807.11164"
    ),
    "mobilenetv1_100": _imagenet(
        "mobilenet:mobilenet_v1", 2017, "Howard et al. 2017, arXiv:1704.04861", "timm",
        initialization="mobilenet_v1",
    ),
    "mobilenet_v2": _imagenet("mobilenet:mobilenet_v2", 2018, _MOBILENET_V2, initialization="vgg"),
    "mobilenet_v3_small": _imagenet(
        "mobilenet:mobilenet_v3", 2019, _MOBILENET_V3, size="small", last=1024,
        initialization="vgg",
    ),
    "mobilenet_v3_large": _imagenet(
        "mobilenet:mobilenet_v3", 2019, _MOBILENET_V3, size="large", last=1280,
        initialization="vgg",
    ),
    "mnasnet1_0": _imagenet(
        "mnasnet:mnasnet", 2018, "Tan et al. 2019, arXiv:1807.11626", initialization="mnasnet"
    ),
    "efficientnet_b0": _imagenet(
        "efficientnet:efficientnet", 2019, "Tan & Le 2019, arXiv:1905.11946",
        initialization="efficientnet",
    ),
    "regnet_y_400mf": _imagenet(
        "regnet:regnet", 2020, "Radosavovic et al. 2020, arXiv:2003.13678", depth=16,
        initial_width=48, slope=27.89, step=2.09, group_width=8, squeeze=0.25,
        initialization="regnet",
    ),
    "convnext_tiny": _imagenet(
        "convnext:convnext", 2022, "Liu et al. 2022, arXiv:2201.03545", blocks=(3, 3, 9, 3),
        initialization="convnext",
    ),
    "nasnetalarge": _imagenet(
        "cell_networks:pairwise", 2017, _NASNET, "timm", input_shape=(3, 331, 331),
        published="nasnet_a", cells=6, channels=168, stem_channels=96, reach_back=True,
    ),
    "nasnetamobile": _imagenet(
        "cell_networks:pairwise", 2017, _NASNET, "paper",
        published="nasnet_a", cells=4, channels=44, stem_channels=32,
    ),
    "nasneta_cifar": _cifar(
        "cell_networks:pairwise", 2017, _NASNET,
        published="nasnet_a", cells=6, channels=32, stem_channels=96, stem="cifar",
    ),
    "pnasnet5large": _imagenet(
        "cell_networks:pairwise", 2017, "Liu et al. 2018, arXiv:1712.00559", "timm",
        input_shape=(3, 331, 331), published="pnasnet_5", cells=4, channels=216, stem_channels=96,
    ),
    **{
        f"amoebanet_{variant}_large": _imagenet(
            "cell_networks:pairwise", 2018, _AMOEBANET, "paper", input_shape=(3, 331, 331),
            published=f"amoebanet_{variant}", cells=6, channels=190, stem_channels=96,
        )
        for variant in "abcd"
    },
    **{
        f"amoebanet_{variant}_cifar": _cifar(
            "cell_networks:pairwise", 2018, _AMOEBANET,
            published=f"amoebanet_{variant}", cells=6, channels=36, stem_channels=108, stem="cifar",
        )
        for variant in "abcd"
    },
    "darts_v2": _cifar(
        "cell_networks:pairwise", 2018, "Liu et al. 2019, arXiv:1806.09055",
        published="darts_v2", cells=6, channels=36, stem_channels=108, stem="cifar",
    ),
}  # fmt: skip
"""Every classic by name."""
