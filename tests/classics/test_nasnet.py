"""NASNet-A and PNASNet-5."""

from collections.abc import Callable

import pytest
import torch

from nas.architecture.graph import Architecture
from nas.architecture.network import compile
from nas.architecture.operations import ArchitectureError, DropPath
from nas.classics import classic
from nas.classics.nasnet import NASNET_A_NORMAL, NASNET_A_REDUCTION, PNASNET_5, pnasnet5
from nas.pairwise import NASNET, PNASNET, pairwise_network


@pytest.mark.parametrize(
    ("network", "params", "macs"),
    [
        # Zoph et al. 2018, arXiv:1707.07012, tables 1 to 3
        (lambda: classic("nasneta_cifar"), 3.3e6, None),
        (lambda: classic("nasnetamobile"), 5.3e6, 564e6),
        (lambda: classic("nasnetalarge"), 88.9e6, 23.8e9),
        # Liu et al. 2018, arXiv:1712.00559, tables 3 to 5
        (lambda: pnasnet5((3, 32, 32), 10, 3, 48, 144, stem="cifar"), 3.2e6, None),
        (lambda: pnasnet5((3, 224, 224), 1000, 3, 54, 32), 5.1e6, 588e6),
        (lambda: classic("pnasnet5large"), 86.1e6, 25.0e9),
    ],
)
def test_published_counts(
    network: Callable[[], Architecture], params: float, macs: float | None
) -> None:
    cost = network().cost
    assert cost.params == pytest.approx(params, rel=0.02)
    assert macs is None or cost.macs == pytest.approx(macs, rel=0.01)


def test_exact_parameters_of_the_smaller_forms() -> None:
    # 5,289,978 is also what other implementations of the mobile form have.
    assert classic("nasnetamobile").cost.params == 5_289_978
    assert classic("nasneta_cifar").cost.params == 3_346_538


def test_the_genotypes_alone_give_the_same_graph() -> None:
    large = pairwise_network(
        (3, 331, 331), 1000, NASNET_A_NORMAL, NASNET_A_REDUCTION, NASNET,
        stages=(6, 6, 6), channels=168, stem_channels=96, reach_back=True,
    )  # fmt: skip
    assert large.fingerprint == classic("nasnetalarge").fingerprint
    large = pairwise_network(
        (3, 331, 331), 1000, PNASNET_5, PNASNET_5, PNASNET,
        stages=(4, 3, 3), channels=216, stem_channels=96,
    )  # fmt: skip
    assert large.fingerprint == classic("pnasnet5large").fingerprint


@pytest.mark.parametrize(
    "name", ["nasnetalarge", "nasnetamobile", "nasneta_cifar", "pnasnet5large"]
)
def test_small_images(name: str) -> None:
    for shape in ((3, 32, 32), (1, 16, 16)):
        architecture = classic(
            name, shape, 7, stem="cifar", width=0.125, drop_path=0.3, auxiliary=True
        )
        stem = "conv_0.bn" if name == "pnasnet5large" else "conv0.bn"
        assert architecture.shapes[stem][1:] == shape[1:]
        outputs = compile(architecture)(torch.randn(2, *shape))
        assert [tuple(output.shape) for output in outputs] == [(2, 7)] * 2
        torch.stack(outputs).sum().backward()
    assert classic(name, (3, 32, 32), 7, stem="imagenet").output_shape == (7,)


def test_errors_name_the_node() -> None:
    with pytest.raises(ArchitectureError, match=r"node 'conv0\.conv'"):
        classic("nasnetalarge", (3, 2, 2))
    with pytest.raises(ArchitectureError, match=r"node 'auxiliary_head\.avg_pool1'"):
        classic("nasneta_cifar", (3, 8, 8), auxiliary=True)


def test_drop_path_of_the_last_cell_is_the_given_one() -> None:
    nodes = classic("nasneta_cifar", drop_path=0.4).nodes
    dropped = [n.operation.probability for n in nodes if isinstance(n.operation, DropPath)]
    # Eight edges of a normal cell and nine of a reduction are no identities, and one more in the
    # first cell, which projects the stem.
    assert len(dropped) == 18 * 8 + 2 * 9 + 1
    assert (dropped[0], dropped[-1]) == (pytest.approx(0.4 / 20), pytest.approx(0.4))
