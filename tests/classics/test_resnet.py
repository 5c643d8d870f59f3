"""Residual networks."""

import pytest

from nas.architecture.graph import Architecture
from nas.classics import classic


def weighted_depth(architecture: Architecture) -> int:
    """Convolutions and linear layers on the main path: those of shortcuts left out."""
    return sum(
        node.operation.kind in ("conv", "linear")
        and not any(word in node.name for word in ("downsample", "Shortcut", "se."))
        for node in architecture.nodes
    )


@pytest.mark.parametrize(
    ("depth", "params"),
    [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018), (110, 1_727_962)],
)
def test_cifar_forms(depth: int, params: int) -> None:
    # He et al. 2016, table 6: 0.27M, 0.46M, 0.66M, 0.85M, 1.7M.
    architecture = classic(f"resnet{depth}")
    assert architecture.cost.params == params
    assert weighted_depth(architecture) == depth


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_depth_is_the_name(depth: int) -> None:
    assert weighted_depth(classic(f"resnet{depth}")) == depth


def test_wide_resnet() -> None:
    # Zagoruyko & Komodakis 2016, table 4: WRN-28-10 has 36.5M; table 5's dropout costs nothing.
    architecture = classic("wrn_28_10")
    assert architecture.cost.params == 36_479_194
    # 28 = 6n + 4: the paper counts convolutions, those of the three shortcuts too.
    assert sum(node.operation.kind == "conv" for node in architecture.nodes) == 28
    dropped = classic("wrn_28_10", dropout=0.3)
    assert dropped.cost == architecture.cost
    assert len(dropped.nodes) == len(architecture.nodes) + 12


def test_inner_widths() -> None:
    # Xie et al. 2017, table 1; Zagoruyko & Komodakis 2016: twice the inner width of ResNet-50.
    for name, inner in (("resnet50", 64), ("resnext50_32x4d", 128), ("wide_resnet50_2", 128)):
        shapes = classic(name).shapes
        assert [shapes[f"layer{n}.0.conv2"][0] for n in (1, 2, 3, 4)] == [
            inner, 2 * inner, 4 * inner, 8 * inner,
        ]  # fmt: skip
        assert shapes["layer4.0.conv3"][0] == 2048


def test_groups_hold_at_any_width() -> None:
    shapes = classic("resnext50_32x4d", width=0.4).shapes
    assert shapes["layer1.0.conv2"][0] == 32  # 52 rounded down to whole groups
    assert shapes["layer1.0.conv3"][0] == 104


def test_sizes() -> None:
    for name in ("resnet18", "resnet50", "resnext50_32x4d", "seresnet50"):
        for shape in ((3, 32, 32), (1, 16, 16)):
            architecture = classic(name, shape, 10, stem="cifar")
            assert architecture.output_shape == (10,)
            channels, side = 512 if name == "resnet18" else 2048, shape[1] // 8
            assert architecture.shapes["layer4.1.add1"] == (channels, side, side)
    assert classic("resnet18", (3, 65, 100)).output_shape == (1000,)
    assert classic("resnet20", (1, 28, 28)).output_shape == (10,)
    assert classic("wrn_28_10", (1, 16, 16)).output_shape == (10,)


def test_squeeze_and_excitation_as_published() -> None:
    # Hu et al. 2018, section 4 and table 2: SE-ResNet-50 adds about 2.5M parameters to 25.6M, and
    # under 1 % of computation; its blocks add 2 / r times the sum of their squared widths.
    plain, squeezed = classic("resnet50").cost, classic("seresnet50").cost
    blocks = zip((256, 512, 1024, 2048), (3, 4, 6, 3), strict=True)
    weights_and_biases = sum(n * (2 * c * c // 16 + c + c // 16) for c, n in blocks)
    assert squeezed.params - plain.params == weights_and_biases == 2_530_992
    assert 1 < squeezed.macs / plain.macs < 1.01
    # pycls's ResNet-56 and 110 for CIFAR: a projection at the second and the third stage.
    for name in ("resnet56", "resnet110"):
        projected = classic(name, shortcut="projection").cost.params
        assert projected - classic(name).cost.params == 16 * 32 + 64 + 32 * 64 + 128 == 2_752
    assert classic("se_resnet20").cost.params - classic("resnet20").cost.params == 2_373
