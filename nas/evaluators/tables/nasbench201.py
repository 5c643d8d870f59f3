"""NAS-Bench-201 as digits in CSV files, and SpikeNAS-Bench, which is over the same kind of cell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from nas.errors import InputError
from nas.evaluators.tables.columns import Files, column_of, evenly, joined, numeric
from nas.evaluators.tabular import Table

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")

_EDGES = ("0>1", "0>2", "1>2", "0>3", "1>3", "2>3")
"""In the order in which NAS-Bench-201 writes a cell."""


def nasbench201(folder: Path, *, file: str, join: dict[str, str] | None = None) -> Table:
    """NAS-Bench-201 (Dong & Yang 2020, arXiv:2001.00326) as a CSV file.

    Args:
        folder: what file names are relative to.
        file: its column ``op_code`` names the cell: six digits, edges 0>1, 0>2, 1>2, 0>3, 1>3,
            2>3; 0 none, 1 skip_connect, 2 nor_conv_1x1, 3 nor_conv_3x3, 4 avg_pool_3x3.
            Every column of numbers is a metric.
        join: further files by the column that both have: HW-NAS latencies as HELP publishes them
            (Lee et al. 2021, arXiv:2106.08630) are ``{latency.csv.gz: arch_idx}``.
    """
    read = Files(folder)
    frame = read.frame(file, text=("op_code",))
    for other, column in (join or {}).items():
        frame = joined(frame, file, read.frame(other), other, column)
    source = str(folder / file)
    keys = _notations(frame, source, _EDGES)
    metrics = {name: column_of(frame, name, source) for name in numeric(frame)}
    return Table(source, keys, "notation", metrics, files=read.checksums)


def spikenas(folder: Path, *, file: str, curves: str) -> Table:
    """SpikeNAS-Bench (Sun et al. 2025, doi:10.1109/TAI.2025.3534136) on CIFAR-10.

    Spiking networks over the cell of NAS-Bench-201. Their five operations are zero, identity, and
    a 3x3 convolution behind neurons with a low, middle or high threshold: they stand here under
    the names of NAS-Bench-201, in that order, so the table is for searching in its space, not for
    building its networks.

    Args:
        folder: what file names are relative to.
        file: CSV with ``arch_id``, ``op_code`` (six digits, edges 0>1, 0>2, 0>3, 1>2, 1>3, 2>3),
            ``n_epochs``, ``params``, ``test_acc``, ``final_val_acc`` (in %), ``train_seconds``.
        curves: ``.npz`` with ``val_correct_of_25000`` and ``train_correct_of_25000`` [rows, 100],
            and ``long_ids``, ``long_val_correct``, ``long_train_correct`` [690, 200] of those rows
            that were trained for 200 epochs.

    Metrics: ``validation`` and ``train`` (curves in %), ``test_acc``, ``final_val_acc``,
    ``params``. A network that was trained for 200 epochs had a learning rate that fell half as
    fast: it enters with every second epoch, so that equal epochs are equal parts of the training,
    and with the seconds that its whole training took. Seconds pass evenly over the epochs.
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


def _notations(frame: pd.DataFrame, source: str, edges: Sequence[str]) -> list[str]:
    """Digits as ``|nor_conv_3x3~0|+|none~0|skip_connect~1|+|…|``, the form of the benchmark."""
    if "op_code" not in frame:
        raise InputError(f"{source}: column op_code is missing, which names the cells")
    places = [edges.index(edge) for edge in _EDGES]
    form = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|"
    digits: list[str] = [str(code) for code in frame["op_code"]]
    for row, code in enumerate(digits):
        if len(code) != len(edges) or set(code) - set("01234"):
            raise InputError(
                f"{source}: column op_code, row {row + 1}: must be six digits from 0 to 4, "
                f"got {code!r}"
            )
    return [form.format(*(OPERATIONS[int(code[place])] for place in places)) for code in digits]
