"""Reads NAS-Bench-201 from CSV files, and other benchmarks with the same kind of cell."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from nas.errors import InputError
from nas.evaluators.tables.columns import Files, column_of, evenly, joined, numeric
from nas.evaluators.tabular import Table

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")

_EDGES = ("0>1", "0>2", "1>2", "0>3", "1>3", "2>3")
"""The edges in the order in which NAS-Bench-201 writes a cell."""


def nasbench201(folder: Path, *, file: str, join: dict[str, str] | None = None) -> Table:
    """Reads NAS-Bench-201 (Dong & Yang 2020, arXiv:2001.00326) from a CSV file.

    Args:
        folder: the folder to which file names are relative.
        file: the CSV file. Its column ``op_code`` names the cell by six digits for the edges 0>1,
            0>2, 1>2, 0>3, 1>3, 2>3: 0 none, 1 skip_connect, 2 nor_conv_1x1, 3 nor_conv_3x3, 4
            avg_pool_3x3. Every column of numbers is a metric.
        join: further files, with a column that both files have. For the latencies of HW-NAS in the
            form of HELP (Lee et al. 2021, arXiv:2106.08630), use ``{latency.csv.gz: arch_idx}``.
    """
    read = Files(folder)
    frame = read.frame(file, text=("op_code",))
    for other, column in (join or {}).items():
        text = ("op_code",) if column == "op_code" else ()  # its digits may begin with zeros
        frame = joined(frame, file, read.frame(other, text=text), other, column)
    source = str(folder / file)
    keys = _notations(frame, source, _EDGES)
    metrics = {name: column_of(frame, name, source) for name in numeric(frame)}
    return Table(source, keys, "notation", metrics, files=read.checksums)


def spikenas(folder: Path, *, file: str, curves: str) -> Table:
    """Reads SpikeNAS-Bench (Sun et al. 2025, doi:10.1109/TAI.2025.3534136) on CIFAR-10.

    It has spiking networks with the cell of NAS-Bench-201. Their five operations are zero,
    identity, and a 3x3 convolution after neurons with a low, middle or high threshold. Here they
    have the names of NAS-Bench-201's operations, in that order. So the table can be used to search
    in that space, but not to build its networks.

    Args:
        folder: the folder to which file names are relative.
        file: CSV with ``arch_id``, ``op_code`` (six digits, edges 0>1, 0>2, 0>3, 1>2, 1>3, 2>3),
            ``n_epochs``, ``params``, ``test_acc``, ``final_val_acc`` (in %), ``train_seconds``.
        curves: an ``.npz`` file with ``val_correct_of_25000`` and ``train_correct_of_25000``
            [rows, 100], and with ``long_ids``, ``long_val_correct``, ``long_train_correct``
            [690, 200] for the rows that were trained for 200 epochs.

    The metrics are ``validation`` and ``train`` (curves in %), ``test_acc``, ``final_val_acc`` and
    ``params``. The learning rate of networks that were trained for 200 epochs fell half as fast. So
    only every second epoch of them is used, and equal epochs are equal parts of the training. Their
    seconds are those of the whole training. Seconds are divided evenly over the epochs.
    """
    read = Files(folder)
    frame = read.frame(file, text=("op_code",))
    source = str(folder / file)
    keys = _notations(frame, source, ("0>1", "0>2", "0>3", "1>2", "1>3", "2>3"))
    long = read.array(curves, "long_ids").astype(int)
    metrics = {name: column_of(frame, name, source) for name in ("test_acc", "final_val_acc")}
    metrics["params"] = column_of(frame, "params", source)
    for name, short in (("validation", "val"), ("train", "train")):
        correct = read.array(curves, f"{short}_correct_of_25000")
        correct[long] = read.array(curves, f"long_{short}_correct")[:, 1::2]
        metrics[name] = correct / 250
    epochs = tuple(range(1, metrics["validation"].shape[1] + 1))
    seconds = evenly(column_of(frame, "train_seconds", source), epochs)
    return Table(source, keys, "notation", metrics, epochs, seconds, read.checksums)


def transnasbench101(folder: Path, *, file: str) -> Table:
    """Reads the cells of TransNAS-Bench-101 (Duan et al. 2021, arXiv:2105.11871), level "micro".

    A cell has four states, as in NAS-Bench-201, but no pooling: there are 4,096. The cells were
    trained on seven tasks over the same pictures. Here they have the notation of NAS-Bench-201, so
    the table can be used to search in the space ``{name: nasbench201, operations: [none,
    skip_connect, nor_conv_1x1, nor_conv_3x3]}``, but not to build its networks.

    Args:
        folder: the folder to which ``file`` is relative.
        file: a CSV file. Its column ``arch`` names the cell in the form of NASLib, six digits such
            as ``(0, 1, 2, 3, 0, 1)`` for the edges 0>1, 0>2, 1>2, 0>3, 1>3, 2>3: 0 none, 1
            skip_connect, 2 nor_conv_1x1, 3 nor_conv_3x3. Every column of numbers is a metric.
    """
    read = Files(folder)
    frame = read.frame(file, text=("arch",))
    source = str(folder / file)
    keys = _notations(frame, source, _EDGES, column="arch", operations=4)
    metrics = {name: column_of(frame, name, source) for name in numeric(frame)}
    return Table(source, keys, "notation", metrics, files=read.checksums)


def _notations(
    frame: pd.DataFrame,
    source: str,
    edges: Sequence[str],
    column: str = "op_code",
    operations: int = len(OPERATIONS),
) -> list[str]:
    """Converts digits to the benchmark's form, ``|nor_conv_3x3~0|+|none~0|skip_connect~1|+|…|``.

    The digits, each below ``operations``, may be written as a tuple.
    """
    if column not in frame:
        raise InputError(f"{source}: column {column} is missing, which names the cells")
    places = [edges.index(edge) for edge in _EDGES]
    form = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|"
    written: list[str] = [str(code) for code in frame[column]]
    digits = [re.sub("[(), ]", "", code) for code in written]
    for row, code in enumerate(digits):
        if len(code) != len(edges) or set(code) - set(string.digits[:operations]):
            raise InputError(
                f"{source}: column {column}, row {row + 1}: must be six digits from 0 to "
                f"{operations - 1}, got {written[row]!r}"
            )
    return [form.format(*(OPERATIONS[int(code[place])] for place in places)) for code in digits]
