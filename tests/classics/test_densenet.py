"""DenseNets."""

import pytest

from nas.architecture.operations import ArchitectureError
from nas.classics import classic


def test_published_parameters() -> None:
    # Huang et al. 2017, table 2: DenseNet-BC (L = 100, k = 12) has 0.8M; exactly, as counted of
    # the authors' network by andreasveit/densenet-pytorch:
    assert classic("densenet_bc_100_12").cost.params == 769_162


@pytest.mark.parametrize(
    ("name", "layers", "channels"),
    [("densenet121", 121, (256, 512, 1024, 1024)), ("densenet161", 161, (384, 768, 2112, 2208)),
     ("densenet169", 169, (256, 512, 1280, 1664)), ("densenet201", 201, (256, 512, 1792, 1920)),
     ("densenet_bc_100_12", 100, (216, 300, 342))],
)  # fmt: skip
def test_depth_and_channels(name: str, layers: int, channels: tuple[int, ...]) -> None:
    architecture = classic(name)
    weighted = [n for n in architecture.nodes if n.operation.kind in ("conv", "linear")]
    assert len(weighted) == layers
    stages = range(1, len(channels))
    ends = [f"features.transition{stage}.norm" for stage in stages] + ["features.norm5"]
    assert tuple(architecture.shapes[end][0] for end in ends) == channels


def test_every_layer_reads_all_before_it() -> None:
    # Section 3: layer l of a block has k0 + k (l - 1) input maps.
    shapes = classic("densenet121").shapes
    inputs = [shapes[f"features.denseblock2.denselayer{n}.norm1"][0] for n in range(1, 13)]
    assert inputs == [128 + 32 * n for n in range(12)]


def test_sizes() -> None:
    for shape in ((3, 32, 32), (1, 16, 16)):
        assert classic("densenet121", shape, 10, stem="cifar").output_shape == (10,)
        assert classic("densenet_bc_100_12", shape).output_shape == (10,)
    assert classic("densenet121", (1, 97, 64)).output_shape == (1000,)
    assert classic("densenet_bc_100_12", (3, 224, 224), stem="imagenet").output_shape == (10,)
    with pytest.raises(ArchitectureError, match=r"node 'features\.transition3\.avg_pool1'"):
        classic("densenet121", (3, 16, 16))


def test_width_scales_growth() -> None:
    shapes = classic("densenet121", width=0.5).shapes
    assert shapes["features.denseblock1.denselayer1.conv2"][0] == 16
    assert shapes["features.norm5"][0] == 512
