"""Reads the official file of NAS-Bench-101 without TensorFlow."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nas.errors import InputError
from nas.evaluators.tabular import Floats, Table
from nas.files import parse_json, read_bytes

_OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
"""The operations in the order in which the benchmark numbers them."""

_METRICS = ("train", "validation", "test")


def nasbench101(folder: Path, *, file: str, repeat: int | None = None) -> Table:
    """Reads NAS-Bench-101 (Ying et al. 2019, arXiv:1902.09635), all epochs or only 108.

    Args:
        folder: the folder to which ``file`` is relative.
        file: the official file, ``nasbench_full.tfrecord`` or ``nasbench_only108.tfrecord``.
        repeat: which of the three trainings of a cell, from 0; by default their mean.

    The metrics are ``train``, ``validation`` and ``test`` accuracy in %, after 4, 12, 36 and 108
    epochs or after 108 only, and ``params``. Seconds are those of the training. Each number of
    epochs was a separate training with a learning rate that falls to zero. So a trial that
    continues from fewer epochs costs less here than in the original.

    Cells are found by the hash that is their key in the benchmark, so isomorphic cells share a row.
    Reading the full file of 1.3 million records takes about a minute. Raises :class:`InputError`
    naming the file and the record if it is damaged or has another form. The CRC32C checksums of the
    records are not verified.
    """
    path = folder / file
    content = read_bytes(path)
    found: dict[str, dict[int, list[list[float]]]] = {}
    params: dict[str, int] = {}
    for number, record in enumerate(_records(content, path)):
        try:
            key, epochs, _, _, encoded = parse_json(record)
            metrics = _message(base64.b64decode(encoded))
            final = _message(metrics[1][2])
            params[key] = metrics[2][0]
            values = [100 * _double(final[field][0]) for field in (3, 4, 5)]
            values.append(_double(final[2][0]))
        except (ValueError, KeyError, IndexError, TypeError, struct.error) as error:
            raise InputError(
                f"{path}: record {number}: is not in NAS-Bench-101's form: {error!r}"
            ) from None
        found.setdefault(key, {}).setdefault(int(epochs), []).append(values)
    along = tuple(sorted({epochs for of_cell in found.values() for epochs in of_cell}))
    cube: Floats = np.full((4, len(found), len(along)), np.nan)
    for row, of_cell in enumerate(found.values()):
        for column, epochs in enumerate(along):
            runs = of_cell.get(epochs, [])
            if not runs or (repeat is not None and not 0 <= repeat < len(runs)):
                raise InputError(
                    f"{path}: cell {list(found)[row]} has {len(runs)} trainings of {epochs} epochs"
                    + ("" if repeat is None else f", and repeat is {repeat}")
                )
            cube[:, row, column] = np.mean(runs, axis=0) if repeat is None else runs[repeat]
    arrays: dict[str, Floats] = dict(zip(_METRICS, cube[:3], strict=True))
    arrays["params"] = np.array([params[key] for key in found], float)
    checksum = {file: hashlib.sha256(content).hexdigest()}
    return Table(str(path), list(found), module_hash, arrays, along, cube[3], checksum)


def module_hash(notation: str) -> str:
    """The benchmark's key of a cell, from the cell as ``{"matrix": ..., "ops": ...}``.

    MD5 sums that spread over neighbours as many times as there are vertices, of what is left when
    vertices that are not on a path from input to output are cut off.
    """
    cell = parse_json(notation)
    matrix, ops = _pruned(np.array(cell["matrix"], int), cell["ops"])
    labels = [-1, *(_OPERATIONS.index(op) for op in ops[1:-1]), -2]
    leaving, entering = matrix.sum(axis=1).tolist(), matrix.sum(axis=0).tolist()
    hashes = [_md5(str(vertex)) for vertex in zip(leaving, entering, labels, strict=True)]
    vertices = range(len(hashes))
    for _ in vertices:
        hashes = [
            _md5(
                "".join(sorted(hashes[w] for w in vertices if matrix[w, v]))
                + "|"
                + "".join(sorted(hashes[w] for w in vertices if matrix[v, w]))
                + "|"
                + hashes[v]
            )
            for v in vertices
        ]
    return _md5(str(sorted(hashes)))


def _pruned(matrix: np.ndarray[Any, Any], ops: list[str]) -> tuple[np.ndarray[Any, Any], list[str]]:
    reach = np.linalg.matrix_power(matrix + np.eye(len(ops), dtype=int), len(ops))
    kept = np.flatnonzero((reach[0] > 0) & (reach[:, -1] > 0))
    return matrix[np.ix_(kept, kept)], [ops[vertex] for vertex in kept]


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _records(content: bytes, path: Path) -> Iterator[bytes]:
    """TFRecord: eight bytes of length, four of checksum, the record, four of checksum."""
    place = 0
    while place < len(content):
        length = int.from_bytes(content[place : place + 8], "little")
        end = place + 12 + length
        if end + 4 > len(content):
            raise InputError(f"{path}: is torn: it ends in the middle of a record")
        yield content[place + 12 : end]
        place = end + 4


def _message(content: bytes) -> dict[int, list[Any]]:
    """The fields of a protocol buffer by number: whole numbers, or the bytes of any other."""
    fields: dict[int, list[Any]] = {}
    place = 0
    while place < len(content):
        tag, place = _varint(content, place)
        value: int | bytes
        match tag & 7:
            case 0:
                value, place = _varint(content, place)
            case 1:
                value, place = content[place : place + 8], place + 8
            case 2:
                length, place = _varint(content, place)
                value, place = content[place : place + length], place + length
            case 5:
                value, place = content[place : place + 4], place + 4
            case kind:
                raise ValueError(f"wire type {kind}")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _varint(content: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[place]
        place += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, place


def _double(content: bytes) -> float:
    (value,) = struct.unpack("<d", content)
    return float(value)
