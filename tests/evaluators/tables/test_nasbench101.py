import base64
import json
import re
import struct
from pathlib import Path

import numpy as np
import pytest

import nas
from nas.errors import InputError
from nas.evaluators.tables.nasbench101 import module_hash, nasbench101
from nas.evaluators.tabular import Lookup

OPERATIONS = ["conv3x3-bn-relu", "maxpool3x3", "conv3x3-bn-relu", "conv3x3-bn-relu",
              "conv1x1-bn-relu"]  # fmt: skip
MATRIX = [
    [0, 1, 0, 0, 1, 1, 0],
    [0, 0, 1, 0, 0, 0, 0],
    [0, 0, 0, 1, 0, 0, 1],
    [0, 0, 0, 0, 0, 1, 0],
    [0, 0, 0, 0, 0, 1, 0],
    [0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0, 0],
]
"""The first cell of the official file, and the hash by which that knows it."""
HASH = "00005c142e6f48ac74fdcf73e3439874"


def notation(matrix: list[list[int]], ops: list[str]) -> str:
    return json.dumps({"matrix": matrix, "ops": ["input", *ops, "output"]})


def test_the_published_hash_of_a_published_cell() -> None:
    assert module_hash(notation(MATRIX, OPERATIONS)) == HASH


def test_the_hash_does_not_see_order_or_what_is_idle() -> None:
    rng = np.random.default_rng(0)
    matrix, labels = np.array(MATRIX), np.array(["input", *OPERATIONS, "output"], object)
    orders = 0
    while orders < 5:
        order = np.array([0, *(1 + rng.permutation(5)), 6])
        moved = matrix[np.ix_(order, order)]
        if np.tril(moved).any():
            continue  # the benchmark writes cells in topological order
        orders += 1
        assert module_hash(notation(moved.tolist(), labels[order].tolist()[1:-1])) == HASH
    # One more vertex that leads nowhere, and one that nothing leads to.
    wider = np.zeros((9, 9), int)
    kept = np.array([0, 1, 2, 3, 4, 5, 8])
    wider[np.ix_(kept, kept)] = matrix
    wider[0, 6] = wider[7, 8] = 1
    ops = [*OPERATIONS, "maxpool3x3", "maxpool3x3"]
    assert module_hash(notation(wider.tolist(), ops)) == HASH
    assert module_hash(notation(MATRIX, [*OPERATIONS[:4], "maxpool3x3"])) != HASH


def encoded(evaluations: list[dict[str, float]], params: int) -> bytes:
    """A `ModelMetrics` message, written by Google's own implementation of protocol buffers."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="m.proto", package="nasbench", syntax="proto2")
    data = file.message_type.add(name="EvaluationData")
    kinds = descriptor_pb2.FieldDescriptorProto
    for number, name in enumerate(
        ["current_epoch", "training_time", "train_accuracy", "validation_accuracy",
         "test_accuracy"], 1
    ):  # fmt: skip
        data.field.add(name=name, number=number, type=kinds.TYPE_DOUBLE, label=1)
    data.field.add(name="checkpoint_path", number=6, type=kinds.TYPE_STRING, label=1)
    metrics = file.message_type.add(name="ModelMetrics")
    metrics.field.add(
        name="evaluation_data", number=1, type=kinds.TYPE_MESSAGE, label=3,
        type_name=".nasbench.EvaluationData",
    )  # fmt: skip
    metrics.field.add(name="trainable_parameters", number=2, type=kinds.TYPE_INT32, label=1)
    metrics.field.add(name="total_time", number=3, type=kinds.TYPE_DOUBLE, label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    made = message_factory.GetMessageClass(pool.FindMessageTypeByName("nasbench.ModelMetrics"))
    message = made(trainable_parameters=params, total_time=1.5)
    for each in evaluations:
        message.evaluation_data.add(checkpoint_path="model.ckpt-0", **each)
    content = message.SerializeToString()
    assert isinstance(content, bytes)
    return content


def record(key: str, epochs: int, repeat: int) -> bytes:
    final = {
        "current_epoch": float(epochs), "training_time": 10.0 * epochs + repeat,
        "train_accuracy": 1.0, "validation_accuracy": 0.5 + 0.01 * repeat + epochs / 1000,
        "test_accuracy": 0.4,
    }  # fmt: skip
    start = dict.fromkeys(final, 0.0)
    metrics = base64.b64encode(encoded([start, start, final], 8_555_530)).decode()
    adjacency = "".join(str(edge) for row in MATRIX for edge in row)
    line = json.dumps([key, epochs, adjacency, ",".join(OPERATIONS), metrics]).encode()
    return struct.pack("<QI", len(line), 0) + line + struct.pack("<I", 0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "nb.tfrecord"
    keys = (HASH, "f" * 32)
    path.write_bytes(
        b"".join(record(k, e, repeat) for k in keys for e in (4, 108) for repeat in range(3))
    )
    return path


def test_a_tfrecord_reads_as_a_table(file: Path) -> None:
    table = nasbench101(file.parent, file=file.name)
    assert list(table.keys) == [HASH, "f" * 32]
    assert table.epochs == (4, 108)
    np.testing.assert_allclose(table.metrics["validation"][0], [51.4, 61.8])
    np.testing.assert_allclose(table.metrics["test"], 40)
    assert table.metric("params").tolist() == [8_555_530, 8_555_530]
    assert table.seconds is not None
    np.testing.assert_allclose(table.seconds[0], [41, 1081])
    one = nasbench101(file.parent, file=file.name, repeat=2)
    np.testing.assert_allclose(one.metrics["validation"][0], [52.4, 62.8])


def test_a_genotype_finds_its_cell(file: Path) -> None:
    space = nas.space("nasbench101")
    lookup = Lookup(nasbench101(file.parent, file=file.name), space)
    assert lookup.row(space.from_string(notation(MATRIX, OPERATIONS))) == 0
    with pytest.raises(InputError, match="no row for the architecture"):
        lookup.row(space.from_string(notation(MATRIX, [*OPERATIONS[:4], "maxpool3x3"])))


def test_a_torn_file_is_named(file: Path) -> None:
    content = file.read_bytes()
    for end in (5, 11, 200, len(content) - 1):
        file.write_bytes(content[:end])
        with pytest.raises(InputError, match=re.escape(f"{file}: is torn")):
            nasbench101(file.parent, file=file.name)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "record 0: is not in NAS-Bench-101's form: ValueError"),
        (b'["h", 4, "", "", "AAAA"]', "record 0: is not in NAS-Bench-101's form"),
        (b'["h", 4, "", "", "CgM"]', "record 0: is not in NAS-Bench-101's form"),
    ],
    ids=["json", "message", "base64"],
)
def test_a_record_of_another_form_is_named(file: Path, line: bytes, message: str) -> None:
    file.write_bytes(struct.pack("<QI", len(line), 0) + line + b"1234")
    with pytest.raises(InputError, match=re.escape(message)):
        nasbench101(file.parent, file=file.name)


def test_a_training_that_is_missing_is_named(file: Path) -> None:
    with pytest.raises(InputError, match=f"cell {HASH} has 3 trainings of 4 epochs, and repeat"):
        nasbench101(file.parent, file=file.name, repeat=3)
    file.write_bytes(record(HASH, 4, 0) + record("f" * 32, 108, 0))
    with pytest.raises(InputError, match=f"cell {HASH} has 0 trainings of 108 epochs"):
        nasbench101(file.parent, file=file.name)
