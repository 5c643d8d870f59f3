"""The builder: names, scopes, shapes, and each method's operation."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.operations import ArchitectureError, Conv, Linear


def test_handles_know_their_shape() -> None:
    g = Builder([3, 32, 24])
    assert g.input == Handle("input", (3, 32, 24))
    assert (g.input.channels, g.input.spatial) == (3, (32, 24))
    x = g.conv(g.input, 8, 3, 2, "same")
    assert (x.channels, x.spatial) == (8, (16, 12))
    assert g.linear(g.flatten(x), 10).spatial == ()


def test_names() -> None:
    g = Builder((3, 8, 8))
    with g.scope("stage1"):
        x = g.relu(g.conv(g.input, 3, 1))
        with g.scope("0"):
            y = g.relu(x)
            z = g.relu(y, name="last")
            assert g.relu(z).name == "stage1.0.relu2"
        assert g.relu(z).name == "stage1.relu2"
    assert [x.name, y.name, z.name] == ["stage1.relu1", "stage1.0.relu1", "stage1.0.last"]
    assert g.activation(x, "gelu").name == "gelu1"
    assert g.add(x, y).name == "add1"


def test_a_scope_ends_when_something_fails_inside() -> None:
    g = Builder((3, 8))
    with pytest.raises(ArchitectureError), g.scope("inner"):
        g.linear(g.input, 0)
    assert g.linear(g.input, 2).name == "linear1"


def test_made_up_names_avoid_given_ones() -> None:
    g = Builder((3, 8))
    g.relu(g.input, name="relu1")
    assert g.relu(g.input).name == "relu2"


def test_name_twice() -> None:
    g = Builder((3, 8))
    with g.scope("a"):
        g.relu(g.input, name="b")
    with pytest.raises(ArchitectureError, match=r"node 'a\.b': the name is already used"):
        g.relu(g.input, name="a.b")
    with pytest.raises(ArchitectureError, match=r"node 'input': the name is already used"):
        g.build(g.relu(g.input, name="input"))


def test_errors_name_the_node() -> None:
    g = Builder((3, 8, 8))
    with g.scope("stage1"), pytest.raises(ArchitectureError, match=r"node 'stage1\.down': conv"):
        g.conv(g.input, 4, 9, name="down")
    with pytest.raises(ArchitectureError, match=r"node 'add1': add needs inputs of one shape"):
        g.add(g.input, g.global_pool(g.input))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"kernel": (3, 3, 3)}, "conv: kernel must be 2 whole numbers, got (3, 3, 3)"),
        ({"kernel": 0}, "conv: kernel must be a whole number >= 1, got 0"),
        ({"kernel": 3, "stride": 0}, "conv: stride must be a whole number >= 1, got 0"),
        ({"kernel": 3, "dilation": "2"}, "conv: dilation must be 2 whole numbers, got '2'"),
        ({"kernel": 3, "padding": "some"}, "valid, same, full or numbers, got 'some'"),
        ({"kernel": 3, "padding": (1,)}, "conv: padding must be 2 whole numbers, got (1,)"),
    ],
)
@pytest.mark.parametrize("padding", ["same", "full", 1])
def test_bad_windows(arguments: dict[str, object], said: str, padding: object) -> None:
    g = Builder((3, 8, 8))
    with pytest.raises(ArchitectureError) as caught:
        g.conv(g.input, 4, **{"padding": padding, **arguments})
    assert said in str(caught.value)


def test_a_pool_steps_by_its_kernel() -> None:
    g = Builder((3, 12, 12))
    assert g.max_pool(g.input, (2, 3)).spatial == (6, 4)
    assert g.avg_pool(g.input, 4).spatial == (3, 3)


def test_depthwise() -> None:
    g = Builder((6, 8))
    g.depthwise(g.input, 3, 2, "same", bias=False, name="dw")
    (node,) = g.build(Handle("dw", (6, 4))).nodes[-1:]
    assert node.operation == Conv(3, 2, channels=6, groups=6, bias=False)


def test_build_leaves_out_what_no_output_needs() -> None:
    g = Builder((3,))
    x = g.linear(g.input, 4)
    g.linear(x, 5)
    assert [node.operation for node in g.build(x).nodes] == [Linear(4)]


def test_every_method_takes_a_name_and_gives_one_node() -> None:
    """``name`` is the last argument everywhere, and it is the name of what comes out."""
    g = Builder((8, 6, 6))
    arguments = {
        "channels": 4,
        "kernel": 3,
        "size": 2,
        "amounts": [(1, 0), (0, 1)],
        "features": 3,
        "function": "silu",
        "start": 1,
        "stop": 3,
        "b": g.input,
        "key": g.input,
        "value": g.input,
        "heads": 2,
        "groups": 2,
        "probability": 0.2,
        "order": (2, 0, 1),
        "factor": 0.5,
        "pool": g.max_pool(g.input, 1),
    }
    others = {"build", "scope", "add_operation", "repeated", "include"}
    for method_name, method in inspect.getmembers(g, inspect.ismethod):
        if method_name.startswith("_") or method_name in others:
            continue
        parameters = inspect.signature(method).parameters
        assert list(parameters)[-1] == "name", method_name
        given = {key: arguments[key] for key in parameters if key in arguments}
        if method_name == "local_response_norm":
            given = {"size": 3}
        if method_name == "unflatten":
            given = {"axis": 0, "sizes": (2, 4)}
        if method_name == "boxes":  # four numbers for a box, and a class
            given = {"stride": 2, "sizes": [(2.0, 3.0)]}
        if "inputs" in parameters:
            found = method(g.input, g.input, name=f"its_{method_name}")
        else:
            found = method(g.input, **given, name=f"its_{method_name}")
        assert found.name == f"its_{method_name}"
        assert g.build(found).shapes[found.name] == found.shape


@pytest.mark.parametrize("shape", [(), (3, 0, 8), (3, 8.0, 8), (True, 8, 8), "38", 3, None])
def test_an_input_that_is_none_is_refused_at_once(shape: Any) -> None:
    with pytest.raises(ArchitectureError, match="input shape must be positive whole numbers, got"):
        Builder(shape)


def _residual(g: Builder, x: Handle, channels: int) -> Handle:
    y = g.relu(g.batch_norm(g.conv(x, channels, 3, padding=1)))
    g.conv(x, 5, 1, name="that_nothing_needs")
    return g.add(x, y) if y.shape == x.shape else y


def _gated(g: Builder, x: Handle, channels: int) -> Handle:
    y = g.conv(x, channels, 1)
    return g.add(y, g.multiply(g.repeated("gate", _residual, x, channels), g.add(y, y)))


def _concatenated(g: Builder, x: Handle, channels: int) -> Handle:
    return g.conv(g.concat(g.relu(x), g.repeated("inner", _residual, x, channels)), channels, 1)


def _same(g: Builder, x: Handle, channels: int) -> Handle:
    return x


def _zeros(g: Builder, x: Handle, channels: int) -> Handle:
    zero = g.repeated("of_zero", _residual, g.zero(x), channels)
    return g.add(g.conv(x, channels, 1), g.conv(zero, channels, 1), g.identity(x))


@pytest.mark.parametrize("block", [_residual, _gated, _concatenated, _same, _zeros])
def test_repeated_parts_are_those_that_are_built_each_time(
    block: Callable[[Builder, Handle, int], Handle],
) -> None:
    def network(repeat: bool) -> Architecture:
        g = Builder((4, 8, 8), norm_epsilon=1e-3)
        x = g.input
        for index, channels in enumerate((4, 4, 8, 8) if block in (_residual, _gated) else (4, 4)):
            if repeat:
                x = g.repeated(f"block{index}", block, x, channels)
            else:
                with g.scope(f"block{index}"):
                    x = block(g, x, channels)
        return g.build(g.linear(g.global_pool(x), 2))

    one, other = network(True), network(False)
    plain = Architecture.from_json(one.to_json())  # it knows of no parts
    assert one == other == network(True) == plain
    for each in (other, plain):
        assert (one.shapes, one.costs, one.cost) == (each.shapes, each.costs, each.cost)
        assert one.fingerprint == each.fingerprint


def test_a_repeated_part_that_reads_another_node_is_built_in_its_place() -> None:
    g = Builder((4, 8))
    x = g.relu(g.input)
    y = g.repeated("part", lambda g, y: g.add(g.linear(y, 8), x), g.linear(x, 8))
    assert g.build(y).nodes[-1].inputs == ("part.linear1", "relu1")


def test_what_does_not_fit_in_a_repeated_part_is_named_by_its_whole_path() -> None:
    g = Builder((3, 8))
    with g.scope("a"), pytest.raises(ArchitectureError, match=r"node 'a\.b\.conv': "):
        g.repeated("b", lambda g, x: g.conv(x, 4, 99, name="conv"), g.input)


def test_names_in_repeated_parts_are_checked() -> None:
    def part(g: Builder, x: Handle) -> Handle:
        return g.relu(x, name="inner.relu")

    g = Builder((3, 8))
    x = g.repeated("a", part, g.input)
    with pytest.raises(ArchitectureError, match=r"'a\.inner': the name is also the scope"):
        g.build(g.relu(x, name="a.inner"))
    with pytest.raises(ArchitectureError, match=r"'a\.inner\.relu': the name is already used"):
        g.repeated("a", part, g.input)
    g = Builder((3, 8))
    with pytest.raises(ArchitectureError, match="reserved"):
        g.build(g.repeated("class", part, g.input))
    with pytest.raises(ArchitectureError, match="reserved"):
        g.repeated("b", lambda g, x: g.relu(x, name="class"), g.input)


def test_a_handle_of_another_shape_than_its_node_is_found() -> None:
    g = Builder((3, 8))
    x = g.relu(g.input)
    forged = Handle(x.name, (4, 8))
    with pytest.raises(ArchitectureError):
        g.build(g.add(forged, g.conv(g.input, 4, 1)))
