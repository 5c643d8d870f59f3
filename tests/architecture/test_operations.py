"""One contract for every operation, and what is said about an attribute that is wrong."""

import dataclasses
import json
import math
import pickle

import pytest
import torch

from nas.architecture.network import compile
from nas.architecture.operations import (
    OPERATIONS,
    ArchitectureError,
    Conv,
    Operation,
    Shape,
    from_attributes,
    infer,
)
from nas.architecture.reference import reference_cost
from nas.supernet.mixing import Mixture
from tests.architecture.examples import EXAMPLES, example_id, one_operation

every_example = pytest.mark.parametrize(
    ("operation", "inputs"), EXAMPLES, ids=map(example_id, EXAMPLES)
)
one_of_each_kind = pytest.mark.parametrize(
    "operation",
    {operation.kind: operation for operation, _ in reversed(EXAMPLES)}.values(),
    ids=lambda operation: operation.kind,
)
NODE_KEYS = {"name", "operation", "inputs", "weights"}
JUNK = [None, "x", [], {}, -1, 0.5, 1e999, math.nan, True, 10**400, [[1]], [1, "x"], [1] * 5]


def test_every_operation_has_an_example() -> None:
    assert {operation.kind for operation, _ in EXAMPLES} == set(OPERATIONS)


def test_every_operation_is_listed_under_its_kind() -> None:
    def concrete(cls: type[Operation]) -> list[type[Operation]]:
        below = [found for sub in cls.__subclasses__() for found in concrete(sub)]
        return below if cls.__name__.startswith("_") or cls is Operation else [cls, *below]

    ours = [cls for cls in concrete(Operation) if cls.__module__.startswith("nas.")]
    recorded = {cls.kind: cls for cls in ours if cls is not Mixture}  # a mixture is never a result
    assert recorded == OPERATIONS
    assert len({cls.kind for cls in ours}) == len(ours)


@every_example
def test_attributes_survive_json(operation: Operation, inputs: tuple[Shape, ...]) -> None:
    text = json.dumps(operation.attributes())
    again = from_attributes(operation.kind, json.loads(text))
    assert again == operation
    assert hash(again) == hash(operation)
    assert json.dumps(again.attributes()) == text
    assert pickle.loads(pickle.dumps(operation)) == operation
    assert not NODE_KEYS & set(operation.attributes()), "taken by the node itself in JSON"


@every_example
def test_attributes_are_frozen(operation: Operation, inputs: tuple[Shape, ...]) -> None:
    for name, value in operation.attributes().items():
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(operation, name, value)


@every_example
@pytest.mark.parametrize("training", [True, False])
def test_torch_puts_out_the_promised_shape(
    operation: Operation, inputs: tuple[Shape, ...], training: bool
) -> None:
    architecture = one_operation(operation, inputs)
    network = compile(architecture).train(training)
    output = network(torch.randn(2, *inputs[0]))
    assert tuple(output.shape) == (2, *architecture.shapes["it"])


@every_example
def test_cost_equals_fvcore(operation: Operation, inputs: tuple[Shape, ...]) -> None:
    architecture = one_operation(operation, inputs)
    counted = architecture.cost.macs - architecture.macs_without_flops
    assert architecture.cost._replace(macs=counted) == reference_cost(architecture).cost
    assert architecture.cost == infer(operation, inputs)[1], "the feeding nodes must be free"


@every_example
def test_params_are_those_of_the_module(operation: Operation, inputs: tuple[Shape, ...]) -> None:
    architecture = one_operation(operation, inputs)
    parameters = compile(architecture).parameters()
    assert architecture.cost.params == sum(p.numel() for p in parameters)


@every_example
def test_number_of_inputs(operation: Operation, inputs: tuple[Shape, ...]) -> None:
    wrong = () if operation.arity is None else (*inputs, inputs[0])
    with pytest.raises(ArchitectureError, match=f"{operation.kind} (takes|needs)"):
        infer(operation, wrong)


@one_of_each_kind
def test_wrong_attribute_is_named_or_right(operation: Operation) -> None:
    """Whatever JSON holds, it makes an operation or one message: kind, attribute and value."""
    for name in operation.attributes():
        for junk in JUNK:
            attributes = {**operation.attributes(), name: junk}
            try:
                again = from_attributes(operation.kind, attributes)
            except ArchitectureError as error:
                message = str(error)
            else:
                text = json.dumps(again.attributes(), allow_nan=False)
                assert from_attributes(operation.kind, json.loads(text)) == again
                continue
            parts = [junk, *junk] if isinstance(junk, list) else [junk]
            assert operation.kind in message
            assert name in message
            assert any(repr(part) in message for part in parts)


@one_of_each_kind
def test_missing_attribute_is_named_or_has_a_default(operation: Operation) -> None:
    for field in dataclasses.fields(operation):
        attributes = operation.attributes()
        attributes.pop(field.name, None)
        if field.default is dataclasses.MISSING:
            with pytest.raises(ArchitectureError, match=f"{operation.kind}.*'{field.name}'"):
                from_attributes(operation.kind, attributes)


@pytest.mark.parametrize(
    ("kind", "attributes", "said"),
    [
        ("conf", {}, "unknown operation 'conf' (did you mean 'conv'?); allowed: conv,"),
        ("conv", {"kernel": 3, "chanels": 3}, "'chanels' (did you mean 'channels'?); allowed:"),
        ("conv", {"kernel": 3}, "conv: attribute 'channels' is missing"),
        ("conv", {"kernel": [3, 0], "channels": 4}, "kernel must be a whole number >= 1, got 0"),
        ("conv", {"kernel": [3, 3], "stride": [1], "channels": 4}, "stride must be 2 whole number"),
        ("conv", {"kernel": [3] * 4, "channels": 4}, "kernel must have one to three axes"),
        ("conv", {"kernel": 3, "padding": -1, "channels": 4}, "padding must be a whole number >="),
        ("conv", {"kernel": 3, "channels": 4.0}, "channels must be a whole number >= 1, got 4.0"),
        ("conv", {"kernel": 3, "channels": 4, "bias": 1}, "bias must be true or false, got 1"),
        ("max_pool", {"kernel": 3, "padding": 2}, "padding must be at most half the kernel"),
        ("avg_pool", {"kernel": [4, 3], "padding": [2, 2]}, "at most half the kernel"),
        ("activation", {"function": "rely"}, "unknown function 'rely' (did you mean 'relu'?)"),
        ("dropout", {"probability": 1.5}, "must be a number >= 0.0 and <= 1.0, got 1.5"),
        ("batch_norm", {"epsilon": -1}, "epsilon must be a number >= 0.0, got -1"),
        ("slice", {"start": 3, "stop": 3}, "stop must be greater than start, got 3 and 3"),
        ("pad", {"amounts": [[1, 1]], "fill": "one"}, "unknown fill 'one'"),
        ("pad", {"amounts": [[1, 0.5]]}, "amounts must be a whole number, got 0.5"),
        ("unflatten", {"axis": -1, "sizes": [2, 2]}, "axis must be a whole number >= 0, got -1"),
        ("unflatten", {"axis": 0, "sizes": []}, "sizes must be one or more, got []"),
        ("unflatten", {"axis": 0, "sizes": [0, 2]}, "sizes must be a whole number >= 1, got 0"),
        ("permute", {"order": [0, 2]}, "order must name each axis once, from 0, got [0, 2]"),
        ("upsample", {"scale": 2, "mode": "cubic"}, "unknown mode 'cubic'"),
        ("layer_norm", {"axis": "first"}, "unknown axis 'first'"),
        (
            "conv_transpose", {"kernel": 3, "channels": 4, "stride": 2, "output_padding": 2},
            "output_padding must be smaller than stride or dilation, got (2,) for (2,) and (1,)",
        ),
    ],
)  # fmt: skip
def test_messages(kind: str, attributes: dict[str, object], said: str) -> None:
    with pytest.raises(ArchitectureError) as caught:
        from_attributes(kind, attributes)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "attributes", "inputs", "said"),
    [
        ("conv", {"kernel": [3, 3], "channels": 4}, [(3, 8)], "needs a shape of 3 numbers"),
        ("conv", {"kernel": 9, "channels": 4}, [(3, 8)], "a window of 9 does not fit into size 8"),
        ("conv", {"kernel": 1, "channels": 4, "groups": 2}, [(3, 8)], "groups must divide"),
        ("conv", {"kernel": 1, "channels": 3, "groups": 2}, [(4, 8)], "groups must divide"),
        ("adaptive_avg_pool", {"size": 1}, [(3, 8, 8)], "needs a shape of 2 numbers"),
        ("mean", {}, [(3,)], "mean needs spatial axes, got (3,)"),
        ("local_response_norm", {}, [(3,)], "needs spatial axes, got (3,)"),
        ("batch_norm", {}, [(3, 2, 2, 2, 2)], "at most three spatial axes"),
        ("add", {}, [(3, 8), (3, 9)], "add needs inputs of one shape, got (3, 8), (3, 9)"),
        ("multiply", {}, [(3, 8), (3, 2)], "multiply needs shapes that are equal or 1"),
        ("multiply", {}, [(3, 8), (3,)], "multiply needs shapes that are equal or 1"),
        ("concat", {}, [(3, 8), (3, 9)], "concat needs inputs of one spatial size"),
        ("slice", {"start": 1, "stop": 5}, [(4, 8)], "slice to 5 of only 4 channels"),
        ("pad", {"amounts": [[1, 1]]}, [(3, 8, 8)], "needs a shape of 2 numbers"),
        ("pad", {"amounts": [[-5, -3]]}, [(3, 8)], "amounts (-5, -3) crop all of size 8"),
        ("pad", {"amounts": [[-9, 5]]}, [(3, 8)], "amounts (-9, 5) crop all of size 8"),
        (
            "unflatten",
            {"axis": 1, "sizes": [3, 2]},
            [(3, 8)],
            "sizes (3, 2) must multiply to",
        ),
        ("unflatten", {"axis": 2, "sizes": [8]}, [(3, 8)], "must multiply to axis 2 of (3, 8)"),
        ("permute", {"order": [1, 0]}, [(3, 8, 8)], "order (1, 0) is not that of the axes of"),
        ("channel_shuffle", {"groups": 2}, [(3, 8)], "groups must divide the channels"),
        ("group_norm", {"groups": 2}, [(3, 8)], "groups must divide the channels"),
        (
            "conv_transpose",
            {"kernel": 1, "channels": 3, "groups": 2},
            [(4, 8)],
            "groups must divide",
        ),
        ("group_norm", {"groups": 4}, [(4, 1)], "each of 4 groups has a single value of (4, 1)"),
        ("upsample", {"scale": 2}, [(3, 8, 8)], "needs a shape of 2 numbers"),
        ("attention", {"heads": 2}, [(4, 6), (4, 6), (5, 6)], "as many positions in keys as in"),
        ("attention", {"heads": 2}, [(4, 6), (4, 8), (4, 6)], "as many features in queries as in"),
        ("attention", {"heads": 1}, [(4,), (4,), (4,)], "attention needs (positions, features)"),
        ("attention", {"heads": 4}, [(4, 6), (4, 6), (4, 6)], "heads must divide the features"),
    ],
)
def test_shapes_that_do_not_fit(
    kind: str, attributes: dict[str, object], inputs: list[Shape], said: str
) -> None:
    with pytest.raises(ArchitectureError) as caught:
        infer(from_attributes(kind, attributes), tuple(inputs))
    assert said in str(caught.value)


def test_one_form_of_an_attribute() -> None:
    """Ints become one number an axis and lists tuples, or equal operations would differ."""
    assert Conv(3, channels=4) == Conv((3,), (1,), [0], channels=4, dilation=[1])
    assert len({Conv([3, 3], channels=4), Conv((3, 3), 1, channels=4)}) == 1
    assert Conv((3, 3), 2, channels=4).stride == (2, 2)
