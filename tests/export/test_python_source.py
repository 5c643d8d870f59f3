"""The written file: torch alone, the network's names and output, a formatter's layout."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import nn

import nas
from nas.architecture.builder import Builder
from nas.architecture.graph import Architecture
from nas.architecture.network import compile
from nas.export.layout import WIDTH, laid_out
from nas.export.parity import difference, draw_weights, random_inputs
from nas.export.python_source import class_name, python_source
from tests.architecture.examples import EXAMPLES, architectures, example_id, one_operation

SMALL = {
    "resnet50": (3, 32, 32),
    "inception_v3": (3, 107, 107),
    "densenet121": (3, 32, 32),
    "mobilenet_v3_large": (3, 32, 32),
    "amoebanet_a_cifar": (3, 16, 16),
    "shufflenet_v2_x1_0": (3, 32, 32),
    "convnext_tiny": (3, 32, 32),
    "vgg11_bn": (3, 32, 32),
}
MEMBERS = ["primitives", "nasbench201", "nasbench101", "darts", "hierarchical"]


def small(name: str) -> Architecture:
    if name in SMALL:
        return nas.classic(name, SMALL[name], 10)
    space = nas.space(name, input_shape=(3, 16, 16))
    return space.decode(space.sample(np.random.default_rng(1)))


def made(architecture: Architecture) -> tuple[str, nn.Module]:
    """The source, and the module that it makes."""
    source = python_source(architecture, "Made", "A network.")
    names: dict[str, Any] = {"__name__": "made"}
    exec(source, names)
    return source, names["Made"]()


def check(architecture: Architecture) -> str:
    """Strict weights, equal shapes of the state, equal output; returns the source."""
    network = compile(architecture)
    draw_weights(network)
    network.eval()
    source, module = made(architecture)
    module.load_state_dict(network.state_dict())
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    assert {name: value.shape for name, value in module.state_dict().items()} == shapes
    inputs = random_inputs(architecture.input_shape, (1, 3))
    assert difference(network, module.eval(), inputs) <= 1e-6
    return source


@pytest.mark.parametrize("name", [*SMALL, *MEMBERS])
def test_computes_what_the_network_computes(name: str) -> None:
    source = check(small(name))
    imported = {
        getattr(node, "module", None) or node.names[0].name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert {module.split(".")[0] for module in imported} == {"torch"}


@pytest.mark.parametrize("example", EXAMPLES, ids=map(example_id, EXAMPLES))
def test_every_operation(example: Any) -> None:
    architecture = one_operation(*example)
    network = compile(architecture).eval()
    module = made(architecture)[1].eval()
    module.load_state_dict(network.state_dict())
    x = torch.randn(3, *architecture.input_shape)
    with torch.no_grad():
        torch.testing.assert_close(module(x), network(x), rtol=0, atol=0, equal_nan=True)


@settings(max_examples=60)
@given(architecture=architectures())
def test_any_graph(architecture: Architecture) -> None:
    """Scopes that leave and come back, heads, names of every kind: eval output to the bit."""
    network = compile(architecture).eval()
    module = made(architecture)[1].eval()
    module.load_state_dict(network.state_dict())
    x = torch.randn(2, *architecture.input_shape)
    with torch.no_grad():
        torch.testing.assert_close(module(x), network(x), rtol=0, atol=0, equal_nan=True)


def test_repeated_scopes_are_one_class() -> None:
    source = check(nas.classic("resnet50", (3, 32, 32), 10))
    # Of 16 blocks: those that change the shape, and the others.
    assert [line for line in source.splitlines() if line.startswith("class ")] == [
        "class Layer(nn.Module):",
        "class Layer2(nn.Module):",
        "class Made(nn.Module):",
    ]
    assert "*(Layer(1024, 256) for _ in range(5))" in source
    assert source.count("\n") < 110
    assert python_source(nas.classic("resnet152"), "Made", "").count("\n") < 110


@pytest.mark.parametrize("name", ["inception_v3", "nasbench101", "convnext_tiny"])
def test_a_formatter_leaves_it_alone(name: str, tmp_path: Path) -> None:
    file = tmp_path / "made.py"
    file.write_text(python_source(small(name), "Made", "A network."))
    ruff = [sys.executable, "-m", "ruff"]
    for command in (["format", "--check"], ["check"]):
        done = subprocess.run(
            [*ruff, *command, "--isolated", file], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_heads_are_of_training_alone() -> None:
    architecture = nas.classic("inception_v3", (3, 107, 107), 10)
    _, module = made(architecture)
    called: list[str] = []
    module.get_submodule("AuxLogits").register_forward_hook(lambda *_: called.append("head"))
    x = torch.randn(2, 3, 107, 107)
    assert module.eval()(x).shape == (2, 10)
    assert not called
    main, head = module.train()(x)
    assert main.shape == head.shape == (2, 10)
    assert called


def test_training_has_the_networks_gradients() -> None:
    architecture = nas.classic("resnet20", (3, 16, 16))
    network, (_, module) = compile(architecture), made(architecture)
    module.load_state_dict(network.state_dict())
    x = torch.randn(4, 3, 16, 16)
    for each in (network, module):
        each.train()(x).square().sum().backward()
    expected = {name: value.grad for name, value in network.named_parameters()}
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name])


def test_names_that_are_no_identifiers() -> None:
    g = Builder((3, 8, 8))
    x = g.conv(g.input, 4, 3, name="Conv3x3-BN")
    with g.scope("0"):
        y = g.conv(x, 4, 1, name="a-b")
        y = g.add(y, g.conv(y, 4, 1, name="keys"))
    with g.scope("list"):
        z = g.add(g.conv(y, 4, 1, name="0"), g.conv(x, 4, 1, name="2"))
    source = check(g.build(g.linear(g.global_pool(z), 2)))
    assert 'getattr(self, "Conv3x3-BN")' in source
    assert "self.list[2]" in source


def test_a_scope_that_is_left_and_entered_again_is_no_module() -> None:
    g = Builder((3, 8, 8))
    with g.scope("a"):
        x = g.conv(g.input, 4, 1, name="first")
    with g.scope("b"):
        y = g.relu(g.conv(x, 4, 1, name="first"))
    with g.scope("a"):
        z = g.conv(y, 4, 1, name="second")
    with g.scope("b"):
        z = g.add(g.conv(z, 4, 1, name="second"), y)
    check(g.build(z))


def test_class_names() -> None:
    assert class_name("mobilenet_v3_large") == "MobilenetV3Large"
    assert class_name("darts:darts_v2") == "DartsDartsV2"
    assert class_name("2x") == "Network2x"


def test_layout() -> None:
    short = "x = f(a, b)"
    assert laid_out(short) == [short]
    long = f"x = f({', '.join(f'argument{i}' for i in range(10))}, g(1, 2))"
    assert laid_out(long)[0] == "x = f("
    assert laid_out(long)[-3:] == ["    argument9,", "    g(1, 2),", ")"]
    assert "".join(line.strip() for line in laid_out(long)).replace(",)", ")") == long.replace(
        ", ", ","
    ).replace("g(1,2)", "g(1, 2)")
    assert max(map(len, laid_out(long))) <= WIDTH
