"""AmoebaNet."""

import pytest
import torch

from nas.architecture.network import compile
from nas.classics import classic
from nas.classics.amoebanet import amoebanet

CIFAR, MOBILE, LARGE = (3, 32, 32), (3, 224, 224), (3, 331, 331)


def test_exact_counts() -> None:
    params = {
        "amoebanet_a_cifar": 3_218_266,
        "amoebanet_b_cifar": 2_839_186,
        "amoebanet_c_cifar": 3_979_126,
        "amoebanet_d_cifar": 2_378_350,
        "amoebanet_a_large": 86_739_341,
        "amoebanet_b_large": 79_060_388,
        "amoebanet_c_large": 108_711_594,
        "amoebanet_d_large": 67_981_285,
    }
    assert {name: classic(name).cost.params for name in params} == params


@pytest.mark.parametrize(
    ("variant", "cells", "channels", "millions"),
    [
        ("a", 6, 32, 2.6),
        ("a", 6, 36, 3.2),
        ("b", 6, 36, 2.8),
        ("b", 6, 80, 13.7),
        ("b", 6, 128, 34.9),
    ],
)
def test_published_parameters_on_cifar(
    variant: str, cells: int, channels: int, millions: float
) -> None:
    # Real et al. 2019, arXiv:1802.01548, tables of CIFAR-10 networks.
    network = amoebanet(CIFAR, 10, variant, cells, channels, 3 * channels, stem="cifar")
    assert network.cost.params / 1e6 == pytest.approx(millions, rel=0.02)


@pytest.mark.parametrize(
    ("variant", "cells", "channels", "millions", "macs"),
    [("a", 4, 50, 5.1, 555e6), ("b", 3, 62, 5.3, 555e6), ("c", 4, 50, 6.4, None)],
)
def test_published_counts_of_the_mobile_forms(
    variant: str, cells: int, channels: int, millions: float, macs: float | None
) -> None:
    # C is published with 570 million multiply-adds: here it has 677.
    cost = amoebanet(MOBILE, 1000, variant, cells, channels, 32).cost
    assert cost.params / 1e6 == pytest.approx(millions, rel=0.02)
    assert macs is None or cost.macs == pytest.approx(macs, rel=0.02)


def test_published_counts_of_the_large_forms() -> None:
    cost = classic("amoebanet_a_large").cost
    assert cost.params / 1e6 == pytest.approx(86.7, rel=0.02)
    assert cost.macs / 1e9 == pytest.approx(23.1, rel=0.02)
    cost = amoebanet(LARGE, 1000, "a", 6, 448, 96).cost
    assert cost.params / 1e6 == pytest.approx(469, rel=0.02)
    cost = amoebanet(LARGE, 1000, "b", 6, 512, 96).cost  # Huang et al. 2019, arXiv:1811.06965
    assert cost.params / 1e6 == pytest.approx(557, rel=0.02)
    cost = amoebanet(LARGE, 1000, "c", 6, 228, 96).cost  # Tan & Le 2019, arXiv:1905.11946, table 2
    assert cost.params / 1e6 == pytest.approx(155, rel=0.02)
    assert cost.macs / 1e9 == pytest.approx(41, rel=0.02)


@pytest.mark.parametrize("variant", "abcd")
def test_both_forms_train_on_small_images(variant: str) -> None:
    for name in (f"amoebanet_{variant}_cifar", f"amoebanet_{variant}_large"):
        for shape in ((3, 32, 32), (1, 16, 16)):
            architecture = classic(
                name, shape, 7, stem="cifar", width=0.125, drop_path=0.3, auxiliary=True
            )
            outputs = compile(architecture)(torch.randn(2, *shape))
            assert [tuple(output.shape) for output in outputs] == [(2, 7)] * 2
            torch.stack(outputs).sum().backward()
