"""A block that a user has written is one of the operations of any family of YAML spaces."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import nas
from nas.campaigns.spec.frame import Frame
from nas.campaigns.spec.space import read_space
from nas.configuration import Named
from nas.errors import InputError
from nas.spaces import spaces

CODE = '''
def mine(g, x, channels, stride, *, power: int = 1):
    """A learnt factor per channel behind a convolution."""
    for _ in range(power):
        x, stride = g.conv(x, channels, 3, stride, 1, name=None), 1
    return g.scale(x, 0.5)

def narrow(g, x, channels, stride):
    return g.conv(x, 1, 3, stride, 1)

def old(g, x):
    return x

def nothing(g, x, channels, stride):
    return None
'''
MINE = "parts.py:mine"
CASES: dict[str, dict[str, Any]] = {
    "nasbench201": {"operations": ["skip_connect", MINE]},
    "nasbench101": {"operations": ["maxpool3x3", MINE]},
    "hierarchical": {"operations": ["identity", MINE], "members": {}},
    "darts": {"operations": ["skip_connect", MINE], "published": []},
    "natsbench_size": {"cell": {"edge0-1": MINE}},
    "proxylessnas": {
        "operations": {"a": {"layer": MINE, "settings": {"power": 2}}},
        "default": {"operation": "a", "depth": 1},
        "stages": [{"width": 8}],
        "strides": [1, 2],
        "members": {},
    },
    "primitives": {
        "operations": {"a": {"block": MINE, "options": {"power": 2}}, "b": {"block": "identity"}},
        "members": {},
    },
}
SMALL = {"cells": 1, "channels": 8}


def written(folder: Path, name: str, **changes: Any) -> str:
    (folder / "parts.py").write_text(CODE)
    data = yaml.safe_load(spaces()[name].read_text()) | changes
    data |= {key: value for key, value in SMALL.items() if type(data.get(key)) is int}
    path = folder / "space.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return str(path)


@pytest.mark.parametrize("name", CASES)
def test_a_space_has_networks_with_the_block(tmp_path: Path, name: str) -> None:
    space = nas.space(written(tmp_path, name, **CASES[name]), (3, 16, 16), 10)
    rng = np.random.default_rng(0)
    built = [space.decode(space.sample(rng)) for _ in range(8)]
    assert any(node.operation.kind == "scale" for each in built for node in each.nodes)
    assert all(each.output_shape == (10,) for each in built)


def test_one_of_the_project_is_an_operation_of_any_family(tmp_path: Path) -> None:
    options = ["none", "skip_connect", "identity", "convnext"]
    space = nas.space(written(tmp_path, "nasbench201", operations=options), (3, 16, 16), 10)
    edges = list(space.sample(np.random.default_rng(0)))
    same = [dict.fromkeys(edges, name) for name in ("skip_connect", "identity")]
    assert space.identity(same[0]) == space.identity(same[1])  # as their networks are
    assert space.decode(same[0]).fingerprint == space.decode(same[1]).fingerprint
    kinds = {node.operation.kind for node in space.decode(dict.fromkeys(edges, "convnext")).nodes}
    assert "layer_norm" in kinds


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("parts.py:mien", ["operations.0", "'mien' (did you mean 'mine'?)"]),
        ("missing.py:mine", ["operations.0", "missing.py"]),
        ("parts.py:narrow", ["operations.0", "it makes (1, 8, 8) of (8, 8, 8)"]),
        ("parts.py:old", ["operations.0", "takes (g, x, channels, stride)", "takes (g, x)"]),
        ("parts.py:nothing", ["operations.0", "returns a Handle", "NoneType"]),
        ("mine", ["operations.0", "unknown block 'mine'", "nor_conv_3x3", "file.py:NAME"]),
    ],
)
def test_a_block_that_cannot_be_used_is_named(tmp_path: Path, name: str, parts: list[str]) -> None:
    path = written(tmp_path, "nasbench201", operations=[name, "none"])
    with pytest.raises(InputError) as caught:
        nas.space(path)
    for part in ["space.yaml", *parts]:
        assert part in str(caught.value)


def test_what_the_block_was_is_known(tmp_path: Path) -> None:
    path = written(tmp_path, "nasbench201", operations=["none", MINE])
    first = nas.space(path).language.code()
    assert list(first) == ["parts.py"]
    (tmp_path / "parts.py").write_text(CODE.replace("0.5", "0.25"))
    assert nas.space(path).language.code() != first
    assert nas.space("nasbench201").language.code() == {}


def test_a_campaign_records_what_the_block_was(tmp_path: Path) -> None:
    path = written(tmp_path, "nasbench201", operations=["none", MINE])
    space, recorded = read_space(Named(name=path), tmp_path, Frame((3, 16, 16), 10))
    assert recorded["code"] == space.language.code()
    assert "code" not in read_space(Named(name="nasbench201"), tmp_path, Frame((3, 16, 16), 10))[1]
