"""NASNet-A, AmoebaNet, PNASNet-5 and DARTS."""

from typing import Any

import pytest
import torch

from nas.architecture.network import compile
from nas.architecture.operations import ArchitectureError, DropPath
from nas.classics import classic
from nas.classics.cell_networks import pairwise
from nas.errors import InputError

CIFAR, MOBILE, LARGE = (3, 32, 32), (3, 224, 224), (3, 331, 331)


def test_exact_parameters() -> None:
    # Of nasnetamobile, other implementations have the same; of darts_v2, the authors' code.
    params = {
        "nasnetamobile": 5_289_978,
        "nasneta_cifar": 3_346_538,
        "amoebanet_a_cifar": 3_218_266,
        "amoebanet_b_cifar": 2_839_186,
        "amoebanet_c_cifar": 3_979_126,
        "amoebanet_d_cifar": 2_378_350,
        "amoebanet_a_large": 86_739_341,
        "amoebanet_b_large": 79_060_388,
        "amoebanet_c_large": 108_711_594,
        "amoebanet_d_large": 67_981_285,
        "darts_v2": 3_349_342,
    }
    assert {name: classic(name).cost.params for name in params} == params


@pytest.mark.parametrize(
    ("published", "cells", "channels", "millions"),
    [
        # Zoph et al. 2018, arXiv:1707.07012, table 1; Liu et al. 2018, arXiv:1712.00559, table 3
        ("nasnet_a", 6, 32, 3.3),
        ("pnasnet_5", 3, 48, 3.2),
        # Real et al. 2019, arXiv:1802.01548, tables of CIFAR-10 networks
        ("amoebanet_a", 6, 32, 2.6),
        ("amoebanet_a", 6, 36, 3.2),
        ("amoebanet_b", 6, 36, 2.8),
        ("amoebanet_b", 6, 80, 13.7),
        ("amoebanet_b", 6, 128, 34.9),
    ],
)
def test_published_parameters_on_cifar(
    published: str, cells: int, channels: int, millions: float
) -> None:
    network = pairwise(CIFAR, 10, published, cells, channels, 3 * channels, stem="cifar")
    assert network.cost.params / 1e6 == pytest.approx(millions, rel=0.02)


@pytest.mark.parametrize(
    ("published", "cells", "channels", "millions", "macs"),
    [
        ("nasnet_a", 4, 44, 5.3, 564e6),
        ("pnasnet_5", 3, 54, 5.1, 588e6),
        ("amoebanet_a", 4, 50, 5.1, 555e6),
        ("amoebanet_b", 3, 62, 5.3, 555e6),
        ("amoebanet_c", 4, 50, 6.4, None),  # published with 570 million: here it has 677
    ],
)
def test_published_counts_of_the_mobile_forms(
    published: str, cells: int, channels: int, millions: float, macs: float | None
) -> None:
    cost = pairwise(MOBILE, 1000, published, cells, channels, 32).cost
    assert cost.params / 1e6 == pytest.approx(millions, rel=0.02)
    assert macs is None or cost.macs == pytest.approx(macs, rel=0.02)


def test_published_counts_of_the_large_forms() -> None:
    for name, params, macs in (
        ("nasnetalarge", 88.9, 23.8),
        ("pnasnet5large", 86.1, 25.0),
        ("amoebanet_a_large", 86.7, 23.1),
    ):
        cost = classic(name).cost
        assert cost.params / 1e6 == pytest.approx(params, rel=0.02)
        assert cost.macs / 1e9 == pytest.approx(macs, rel=0.02)
    cost = pairwise(LARGE, 1000, "amoebanet_a", 6, 448, 96).cost
    assert cost.params / 1e6 == pytest.approx(469, rel=0.02)
    cost = pairwise(LARGE, 1000, "amoebanet_b", 6, 512, 96).cost  # Huang et al. 2019, 1811.06965
    assert cost.params / 1e6 == pytest.approx(557, rel=0.02)
    cost = pairwise(LARGE, 1000, "amoebanet_c", 6, 228, 96).cost  # Tan & Le 2019, table 2
    assert cost.params / 1e6 == pytest.approx(155, rel=0.02)
    assert cost.macs / 1e9 == pytest.approx(41, rel=0.02)


@pytest.mark.parametrize(
    "name",
    [
        "nasnetalarge",
        "nasnetamobile",
        "nasneta_cifar",
        "pnasnet5large",
        "darts_v2",
        *(f"amoebanet_{variant}_cifar" for variant in "abcd"),
    ],
)
def test_small_images(name: str) -> None:
    options: dict[str, Any] = {"stem": "cifar", "width": 0.125, "drop_path": 0.3}
    for shape in ((3, 32, 32), (1, 16, 16)):
        # The head of DARTS reads a map behind the last reduction, which is smaller.
        auxiliary = name != "darts_v2" or shape[1] > 16
        architecture = classic(name, shape, 7, auxiliary=auxiliary, **options)
        stem = {"pnasnet5large": "conv_0.bn", "darts_v2": "stem.1"}.get(name, "conv0.bn")
        assert architecture.shapes[stem][1:] == shape[1:]
        outputs = compile(architecture)(torch.randn(2, *shape))
        outputs = outputs if auxiliary else [outputs]
        assert [tuple(output.shape) for output in outputs] == [(2, 7)] * (1 + auxiliary)
        torch.stack(list(outputs)).sum().backward()


def test_every_stem() -> None:
    for name in ("nasnetalarge", "pnasnet5large", "darts_v2"):
        assert classic(name, (3, 32, 32), 7, stem="imagenet").output_shape == (7,)
    assert classic("darts_v2", (3, 30, 33), 7, width=0.25).output_shape == (7,)


def test_errors_name_what_is_too_small() -> None:
    with pytest.raises(ArchitectureError, match=r"node 'conv0\.conv'"):
        classic("nasnetalarge", (3, 2, 2))
    for name, side in (("nasneta_cifar", 8), ("darts_v2", 16)):
        with pytest.raises(ArchitectureError, match=r"node 'auxiliary_head\.avg_pool1'"):
            classic(name, (3, side, side), auxiliary=True)
    with pytest.raises(InputError, match=r"channels must be at least 8 with stem 'imagenet', got"):
        classic("nasnetalarge", width=0.04)


def test_the_auxiliary_head_of_darts_is_whole() -> None:
    head = compile(classic("darts_v2", auxiliary=True)).state_dict()
    assert sum(name.startswith("auxiliary_head.") for name in head) == 14


def test_drop_path_of_the_last_cell_is_the_given_one() -> None:
    nodes = classic("nasneta_cifar", drop_path=0.4).nodes
    dropped = [n.operation.probability for n in nodes if isinstance(n.operation, DropPath)]
    # Eight edges of a normal cell and nine of a reduction are no identities, and one more in the
    # first cell, which projects the stem.
    assert len(dropped) == 18 * 8 + 2 * 9 + 1
    assert (dropped[0], dropped[-1]) == (pytest.approx(0.4 / 20), pytest.approx(0.4))
