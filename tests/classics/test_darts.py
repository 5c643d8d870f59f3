"""DARTS."""

import pytest
import torch

from nas.architecture.network import compile
from nas.architecture.operations import ArchitectureError
from nas.classics import classic


def test_published_parameters() -> None:
    # What the authors' code prints for 20 layers of 36 channels, without the auxiliary head.
    architecture = classic("darts_v2", auxiliary=True)
    assert architecture.cost.params == 3_349_342
    head = [n for n in compile(architecture).state_dict() if n.startswith("auxiliary_head.")]
    assert len(head) == 14


def test_small_images() -> None:
    for shape in ((3, 32, 32), (1, 16, 16), (3, 30, 33)):
        architecture = classic("darts_v2", shape, 7, width=0.25, drop_path=0.2)
        output = compile(architecture)(torch.randn(2, *shape))
        assert output.shape == (2, 7)
        output.sum().backward()


def test_errors_name_the_node() -> None:
    with pytest.raises(ArchitectureError, match=r"node 'auxiliary_head\.avg_pool1'"):
        classic("darts_v2", (3, 16, 16), auxiliary=True)
