"""Depth, peak memory and shares: closed forms, published numbers, and what torch holds."""

import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from nas.architecture.builder import Builder
from nas.architecture.cost import Cost
from nas.architecture.graph import Architecture
from nas.architecture.network import compile
from nas.architecture.passes import by_node, depth, depths, peak_memory
from nas.classics import classic
from nas.errors import InputError


@pytest.mark.parametrize(
    ("name", "layers"),
    [  # as the names or the papers say
        ("lenet5", 5),
        ("alexnet", 8),
        ("vgg11", 11),
        ("vgg19_bn", 19),
        ("googlenet", 22),
        ("resnet18", 18),
        ("resnet152", 152),
        ("resnet110", 110),
        ("densenet121", 121),
        ("mobilenetv1_100", 28),
    ],
)
def test_depth_is_the_one_in_the_name(name: str, layers: int) -> None:
    assert depth(classic(name)) == layers


def test_depth_is_of_the_longest_path() -> None:
    g = Builder((3, 8, 8))
    x = g.conv(g.input, 4, 1, name="a")
    y = g.conv_transpose(g.conv(g.relu(x), 4, 1, name="b"), 4, 1, name="c")
    z = g.add(x, g.batch_norm(y), g.conv(g.input, 4, 1, name="d"), name="e")
    head = g.linear(g.global_pool(z), 5, name="f")
    found = depths(g.build(head))
    assert {name: found[name] for name in "abcdef"} == {
        "a": 1,
        "b": 2,
        "c": 3,
        "d": 1,
        "e": 3,
        "f": 4,
    }
    assert found["input"] == 0
    assert depth(g.build(z, head)) == 3
    assert depth(g.build(g.relu(g.input))) == 0


# --- peak memory ---


def test_a_chain_holds_two_neighbours_and_the_input() -> None:
    g = Builder((100,))
    x = g.input
    for features in (10, 500, 300, 40):
        x = g.linear(x, features)
    assert peak_memory(g.build(x)) == 4 * (100 + 500 + 300)
    assert peak_memory(g.build(x), batch=7, bytes_per_element=2) == 7 * 2 * 900


def test_a_shortcut_is_held_until_it_is_read() -> None:
    g = Builder((10,))
    x = g.linear(g.input, 100)
    y = g.linear(g.linear(x, 50), 100)
    assert peak_memory(g.build(y)) == 4 * (10 + 50 + 100)
    assert peak_memory(g.build(g.add(x, y))) == 4 * (10 + 100 + 100 + 100)


def test_branches_wait_for_their_concatenation() -> None:
    g = Builder((8,))
    branches = [g.linear(g.input, 20) for _ in range(3)]
    assert peak_memory(g.build(g.concat(*branches))) == 4 * (8 + 60 + 60)


def test_views_share_and_keep_memory() -> None:
    g = Builder((4, 5, 5))
    x = g.relu(g.input)
    part = g.slice(g.identity(g.dropout(x)), 0, 1)
    flat = g.flatten(part)
    assert peak_memory(g.build(flat)) == 4 * (100 + 100)
    # The slice of 25 holds all 100, while two layers of 30 follow.
    y = g.linear(g.linear(flat, 30), 30)
    kept = g.linear(flat, 2)
    assert peak_memory(g.build(g.concat(y, kept))) == 4 * (100 + 100 + 60)


def test_the_input_and_the_output_stay() -> None:
    g = Builder((50,))
    assert peak_memory(g.build(g.identity(g.input))) == 200
    x = g.linear(g.linear(g.input, 2), 2)
    assert peak_memory(g.build(x)) == 4 * (50 + 2 + 2)


def test_heads_are_not_held() -> None:
    g = Builder((10,))
    x = g.linear(g.input, 10)
    head = g.linear(x, 1000)
    assert peak_memory(g.build(g.linear(x, 10), head)) == 4 * 30
    with pytest.raises(InputError, match="at least 1, got 0 and 4"):
        peak_memory(g.build(x), batch=0)


class Held(TorchDispatchMode):
    """Bytes in tensors that are alive, and the most of them at any time; weights left out."""

    def __init__(self, given: Tensor, network: nn.Module) -> None:
        super().__init__()
        weights = network.state_dict().values()
        self.ignored = {tensor.untyped_storage().data_ptr() for tensor in weights}
        self.users: dict[int, int] = {}
        self.bytes = self.peak = 0
        self._watch(given)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, Tensor):
                self._watch(tensor)
        self.peak = max(self.peak, self.bytes)
        return result

    def _watch(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        place, size = storage.data_ptr(), storage.nbytes()
        if size and place not in self.ignored:
            if not self.users.get(place):
                self.bytes += size
            self.users[place] = self.users.get(place, 0) + 1
            weakref.finalize(tensor, self._drop, place, size)

    def _drop(self, place: int, size: int) -> None:
        self.users[place] -= 1
        if not self.users[place]:
            self.bytes -= size


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vgg11", {"input_shape": (3, 32, 32), "classes": 10, "stem": "cifar"}),
        ("alexnet", {"input_shape": (3, 64, 64)}),
        ("resnet20", {}),
        ("resnet18", {"input_shape": (3, 64, 64)}),
        ("googlenet", {"input_shape": (3, 64, 64)}),
        ("squeezenet1_1", {"input_shape": (3, 64, 64)}),
        ("legacy_seresnet18", {"input_shape": (3, 64, 64)}),
    ],
)
def test_torch_holds_as_much(name: str, options: dict[str, Any]) -> None:
    architecture = classic(name, **options)
    network = compile(architecture.inference()).eval()
    image = torch.randn(2, *architecture.input_shape)
    with torch.no_grad(), Held(image, network) as held:
        network(image)
    assert held.peak == peak_memory(architecture, batch=2)


# --- by node ---


def lenet() -> Architecture:
    g = Builder((1, 32, 32))
    x = g.max_pool(g.relu(g.conv(g.input, 6, 5, name="conv1")), 2)
    x = g.flatten(g.max_pool(g.relu(g.conv(x, 16, 5, name="conv2")), 2))
    head = g.linear(g.flatten(x), 10, name="head")
    return g.build(g.linear(x, 10, name="fc"), head)


def test_shares_by_node() -> None:
    architecture = lenet()
    nodes = {node.name: node for node in by_node(architecture)}
    assert "head" not in nodes
    assert list(nodes) == [n.name for n in architecture.inference().nodes]
    conv2, params, macs = nodes["conv2"], 156 + 2416 + 4010, 117_600 + 240_000 + 4000
    assert (conv2.operation, conv2.shape) == ("conv", (16, 10, 10))
    assert (conv2.params, conv2.params_share) == (2416, 2416 / params)
    assert (conv2.macs, conv2.macs_share) == (240_000, 240_000 / macs)
    assert conv2.field == ((14, 2, 0), (14, 2, 0))
    assert sum(node.params_share for node in nodes.values()) == pytest.approx(1)
    assert sum(node.macs_share for node in nodes.values()) == pytest.approx(1)


def test_shares_of_nothing_are_nothing() -> None:
    g = Builder((3, 4, 4))
    (node,) = by_node(g.build(g.relu(g.input)))
    assert (node.params_share, node.macs_share) == (0, 0)


def test_costs_are_of_live_nodes() -> None:
    g = Builder((4,))
    x = g.linear(g.input, 3, name="live")
    g.linear(g.input, 1000, name="dead")
    architecture = g.build(x)
    assert architecture.costs == {"live": Cost(15, 12, 12, 3)}
    with pytest.raises(TypeError):
        architecture.costs["live"] = Cost()  # type: ignore[index]
