"""The architecture: valid or never made, immutable, ordered, pruned, the same through JSON."""

import copy
import json
import pickle
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.architecture.builder import Builder
from nas.architecture.graph import Architecture
from nas.architecture.node import Node
from nas.architecture.operations import Add, ArchitectureError, Conv, Linear
from nas.errors import InputError
from tests.architecture.examples import architectures

random_graphs = settings(max_examples=150)


def node(name: str, *inputs: str, features: int = 3) -> Node:
    return Node(name, Linear(features), inputs or ("input",))


def small() -> Architecture:
    g = Builder((2, 8, 8))
    with g.scope("body"):
        x = g.relu(g.conv(g.input, 4, 3, padding="same"))
        x = g.add(x, g.conv(x, 4, 1))
    head = g.linear(g.global_pool(x), 5, name="aux")
    return g.build(g.linear(g.flatten(x), 10, name="fc"), head)


# --- immutable ---


def test_nothing_can_be_changed() -> None:
    architecture = small()
    for name in [*vars(architecture), "cost", "fingerprint", "new"]:
        with pytest.raises(AttributeError, match=f"immutable: cannot set '{name}'"):
            setattr(architecture, name, None)
    with pytest.raises(AttributeError, match="immutable: cannot delete 'nodes'"):
        del architecture.nodes
    with pytest.raises(TypeError):
        architecture.shapes["fc"] = (11,)  # type: ignore[index]
    with pytest.raises(AttributeError):
        architecture.nodes[0].name = "x"  # type: ignore[misc]


def test_what_it_is_made_of_can_change_afterwards() -> None:
    shape, inputs, outputs = [3], ["input"], ["a"]
    nodes = [Node("a", Linear(3), inputs)]  # type: ignore[arg-type]
    architecture = Architecture(shape, nodes, outputs)
    for given_list in (shape, inputs, nodes, outputs):
        given_list.clear()
    assert architecture == Architecture((3,), (node("a"),), ("a",))
    assert hash(architecture) == hash(Architecture((3,), (node("a"),), ("a",)))


# --- order and pruning ---


@random_graphs
@given(architectures(), st.data())
def test_any_order_of_nodes_will_do(architecture: Architecture, data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(architecture.nodes))
    again = Architecture(architecture.input_shape, shuffled, architecture.outputs)
    seen = {"input"}
    for later in again.nodes:
        assert seen.issuperset(later.inputs)
        seen.add(later.name)
    assert set(again.nodes) == set(architecture.nodes)
    assert again.fingerprint == architecture.fingerprint
    assert again.cost == architecture.cost
    assert again.shapes == architecture.shapes


def test_given_order_is_kept_where_it_can_be() -> None:
    a, b, c, d = node("a", "d"), node("b"), node("c", "b"), node("d")
    out = Node("out", Add(), ("a", "c"))
    names = [n.name for n in Architecture((3,), [b, c, d, a, out], ["out"]).nodes]
    assert names == ["b", "c", "d", "a", "out"], "the order given, not alphabet or depth"
    names = [n.name for n in Architecture((3,), [out, a, b, c, d], ["out"]).nodes]
    assert names.index("b") < names.index("c") < names.index("d") < names.index("a")


@random_graphs
@given(architectures())
def test_only_what_outputs_need_is_left(architecture: Architecture) -> None:
    needed = set(architecture.outputs)
    while more := {i for n in architecture.nodes if n.name in needed for i in n.inputs} - needed:
        needed |= more
    assert {n.name for n in architecture.nodes} == needed - {"input"}
    assert set(architecture.shapes) == needed | {"input"}


def test_dead_nodes_change_nothing_but_must_be_valid() -> None:
    dead = [node("dead1", "a", features=7), node("dead2", "dead1")]
    architecture = Architecture((3,), [node("a"), *dead], ["a"])
    assert architecture == Architecture((3,), [node("a")], ["a"])
    assert architecture.cost == Architecture((3,), [node("a")], ["a"]).cost
    with pytest.raises(ArchitectureError, match="node 'sum'"):
        Architecture((3,), [node("a"), *dead, Node("sum", Add(), ("dead1", "a"))], ["a"])


def test_input_alone_is_an_architecture() -> None:
    architecture = Architecture((3, 4), [], ["input"])
    assert architecture.output_shape == (3, 4)
    assert architecture.cost == (0, 0, 0, 0)
    assert Architecture.from_json(architecture.to_json()) == architecture


def test_heads_and_inference() -> None:
    architecture = small()
    assert architecture.outputs == ("fc", "aux")
    assert architecture.output_shape == (10,)
    alone = architecture.inference()
    assert alone.outputs == ("fc",)
    assert "aux" not in alone.shapes
    assert alone.inference() is alone


# --- errors ---


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([node("a", "b"), node("b", "a"), node("ok")], "nodes 'a', 'b': form a cycle"),
        ([node("a", "a")], "nodes 'a': form a cycle"),
        ([node("a", "b")], "node 'a': unknown input 'b'"),
        ([node("a"), node("a")], "node 'a': the name is already used"),
        ([node("input")], "node 'input': the name is already used"),
        ([node("a"), node("a.b", "a")], "node 'a': the name is also"),
        ([node("a.b.c"), node("a.b", "a.b.c")], "node 'a.b': the name is also"),
        ([node("")], "node '': a name is parts of letters"),
        ([node("a..b")], "node 'a..b': a name is parts of letters"),
        ([node("a b")], "node 'a b': a name is parts of letters"),
        ([node("a\n")], "node 'a\\n': a name is parts of letters"),
        ([node("a"), node("b", features=4), Node("s", Add(), ("a", "b"))], "node 's': add needs"),
        ([node("a", "input", "input")], "node 'a': linear takes 1 input(s), got 2"),
        ([Node("s", Add(), ())], "node 's': add needs at least one input"),
        ([Node("c", Conv(3, channels=4), ("input",))], "node 'c': conv over 1 axes needs a shape"),
    ],
)
def test_errors_name_the_node(nodes: list[Node], said: str) -> None:
    with pytest.raises(ArchitectureError) as caught:
        Architecture((3,), nodes, [nodes[-1].name])
    assert said in str(caught.value)
    assert isinstance(caught.value, InputError)


@pytest.mark.parametrize("shape", [(), (0,), (3, -1), (3.0,), (True,), ("3",)])
def test_input_shape(shape: tuple[object, ...]) -> None:
    with pytest.raises(ArchitectureError, match="input shape must be positive whole numbers"):
        Architecture(shape, [], ["input"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outputs", "said"),
    [([], "at least one output"), (["b"], "output 'b' is not a node"), (["a", "a"], "given twice")],
)
def test_outputs(outputs: list[str], said: str) -> None:
    with pytest.raises(ArchitectureError, match=said):
        Architecture((3,), [node("a")], outputs)


# --- JSON, equality, pickle ---


@random_graphs
@given(architectures())
def test_json_round_trip(architecture: Architecture) -> None:
    text = architecture.to_json()
    again = Architecture.from_json(text)
    assert again == architecture
    assert hash(again) == hash(architecture)
    assert again.to_json() == text
    assert again.fingerprint == architecture.fingerprint
    assert again.cost == architecture.cost
    assert json.loads(text, parse_constant=pytest.fail) == json.loads(text), "strict JSON"


@random_graphs
@given(architectures())
def test_copies_are_equal(architecture: Architecture) -> None:
    for again in (pickle.loads(pickle.dumps(architecture)), copy.deepcopy(architecture)):
        assert again == architecture
        assert {again: 1}[architecture] == 1
        assert again.shapes == architecture.shapes
        assert again.cost == architecture.cost


def test_equality_is_to_the_letter() -> None:
    one = Architecture((3,), [node("a")], ["a"])
    assert one != Architecture((3,), [node("b")], ["b"])
    assert one != Architecture((3,), [node("a", features=4)], ["a"])
    assert one != Architecture((4,), [node("a")], ["a"])
    assert one != Architecture((3,), [node("a")], ["a", "input"])
    assert one != "a"


GOOD = small().to_json()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("{", "", "not JSON"),
        ('"outputs"', '"output"', "has the keys input_shape, nodes and outputs"),
        ('["fc", "aux"]', '"fc"', "outputs must be a list, got 'fc'"),
        ('["fc", "aux"]', "[[1]]", "outputs must be names, got [[1]]"),
        ("[2, 8, 8]", "[2, 8, 8.5]", "input shape must be positive whole numbers"),
        ('"name": "fc", ', "", "a node has name, operation, inputs and attributes"),
        ('"name": "fc"', '"name": 3', "name and operation are text"),
        ('"operation": "flatten"', '"operation": ["flatten"]', "name and operation are text"),
        ('"inputs": ["body.add1"]', '"inputs": "body.add1"', "inputs a list of names"),
        ('"inputs": ["body.add1"]', '"inputs": [["body.add1"]]', "inputs a list of names"),
        ('"flatten"', '"fatten"', "unknown operation 'fatten' (did you mean 'flatten'?)"),
        ('"features": 10', '"featurs": 10', "node 'fc': linear: unknown attribute 'featurs'"),
        ('"features": 10', '"features": "10"', "node 'fc': linear: features must be a whole"),
        (', "features": 10', "", "node 'fc': linear: attribute 'features' is missing"),
        ('["body.add1"]', '["body.add"]', "unknown input 'body.add'"),
    ],
)
def test_bad_json(old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(ArchitectureError) as caught:
        Architecture.from_json(GOOD.replace(old, new, 1))
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["", "null", "[]", '"x"', "3", "{}", "[" * 10])
def test_json_that_is_something_else(text: str) -> None:
    with pytest.raises(ArchitectureError):
        Architecture.from_json(text)


def test_the_language_needs_no_torch() -> None:
    program = (
        "import sys; from nas.architecture.builder import Builder; g = Builder((3, 8, 8));"
        "a = g.build(g.conv(g.input, 4, 3)); a.cost; a.fingerprint; a.to_json();"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
