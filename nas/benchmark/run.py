"""Runs a benchmark: every searcher with every seed, each on a simulated cluster over the table."""

from __future__ import annotations

import io
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

from nas.benchmark.config import FILE_NAME, Benchmark, load_benchmark
from nas.benchmark.pool import Result, Run, run_all
from nas.benchmark.report import report
from nas.benchmark.search import STATUSES, stuck_note
from nas.campaigns.store.defaults import recorded_specification
from nas.campaigns.store.provenance import environment
from nas.errors import InputError
from nas.files import checksum, read_bytes, read_json, write_whole
from nas.training.hardware import cores

TRIALS, RESOLVED = "trials.parquet", "resolved.json"


def bench(
    folder: Path,
    *,
    data: Path | None = None,
    processes: int | None = None,
    console: Console | None = None,
) -> str:
    """Runs the benchmark in ``folder``, unless its results are complete, and reports on them.

    It writes ``trials.parquet`` (one row per trial, see :func:`as_frame`), ``resolved.json`` (the
    experiment specification with all defaults, the table's checksums, versions and hardware) and
    the tables and figures of :func:`nas.benchmark.report.report`, whose text is returned.

    Args:
        folder: the folder that holds ``benchmark.yaml``.
        data: the folder of the table's files; by default paths are relative to the describing file.
        processes: how many runs are carried out at the same time; by default one per core. The
            results do not depend on it.
        console: where progress is shown; by default on the standard error stream. It is also
            appended to ``run.log``.

    Raises :class:`nas.errors.InputError`, or KeyboardInterrupt if it was stopped; no results are
    written in that case.
    """
    console = console or Console(stderr=True)
    benchmark = load_benchmark(folder, data)
    trials, resolved = folder / TRIALS, folder / RESOLVED
    recorded = _recorded(trials, resolved)
    if recorded is not None and recorded_specification(recorded) == benchmark.specification:
        frame = _read(trials, recorded)
        notes = recorded["notes"]
        console.print(f"{trials} is complete: reporting on it; delete it to run again")
    else:
        resolved.unlink(missing_ok=True)  # until there are trials that it describes
        started = time.perf_counter()
        results = run_all(benchmark, processes or cores(), console)
        frame = as_frame(benchmark, results)
        seconds = time.perf_counter() - started
        console.print(f"{len(frame):,} trials in {seconds:.1f} s")
        stuck = Counter(run.label for run, result in results if result.stuck)
        notes = [stuck_note(label, runs) for label, runs in stuck.items()]
        content = frame.to_parquet(index=False)
        write_whole(trials, content)
        described = {
            "trials": checksum(content),
            "specification": benchmark.specification,
            "environment": environment(),
            "seconds": round(seconds, 1),
            "notes": notes,
        }
        write_whole(resolved, (json.dumps(described, indent=2) + "\n").encode())
    return _report(benchmark, frame, notes)


def as_frame(benchmark: Benchmark, results: list[tuple[Run, Result]]) -> pd.DataFrame:
    """Returns a table with one row per trial of all runs, in the order observed.

    The columns are ``searcher`` (its label), ``workers`` (only if the benchmark sets it, or if its
    budget is a time), ``seed``, ``trial`` (the searcher's number), ``evaluation`` (how many trials
    had been evaluated when this one was observed), ``seconds`` (on the virtual clock), ``status``,
    ``reused`` (answered by an earlier trial), ``fidelity`` (epochs; 0 if the table has no curves),
    ``validation`` and further objectives after these epochs, ``test`` after full training, both in
    the table's units, and ``key`` (of the table's row). Failed trials have no values. With one
    objective and a searcher that predicts it or uses proxies, there are also ``predicted`` (the
    validation that it predicted for a trial before it was evaluated), ``proxy NAME`` for each
    proxy, and ``params`` (of the network); they are NaN for other searchers.
    """
    config, table = benchmark.config, benchmark.table
    sizes = [len(result.columns["row"]) for _, result in results]
    columns = {
        name: np.concatenate(
            [
                result.columns.get(name, np.full(size, np.nan))
                for (_, result), size in zip(results, sizes, strict=True)
            ]
        )
        for name in dict.fromkeys(name for _, result in results for name in result.columns)
    }
    rows = columns["row"].astype(int)
    labels = list(config.searchers)
    codes = [labels.index(run.label) for run, _ in results]
    frame = pd.DataFrame(
        {
            "searcher": pd.Categorical.from_codes(np.repeat(codes, sizes), labels),
            "workers": np.repeat([run.workers for run, _ in results], sizes),
            "seed": np.repeat([run.seed for run, _ in results], sizes),
            "trial": columns["trial"].astype(int),
            "evaluation": columns["evaluation"].astype(int),
            "seconds": columns["seconds"].astype(float),
            "status": pd.Categorical.from_codes(columns["status"].astype(int), STATUSES),
            "reused": columns["reused"].astype(bool),
        }
    )
    if "workers" not in config.model_fields_set and config.budget.virtual_seconds is None:
        del frame["workers"]
    whole = table.epochs[-1] if table.epochs else 0
    fidelity = columns["fidelity"].astype(int)
    fidelity[fidelity == 0] = whole
    frame["fidelity"] = fidelity
    further = {name: each.metric for name, each in config.objectives.items()}
    completed = (frame["status"] == "completed").to_numpy()
    for name, metric in ({"validation": config.validation} | further).items():
        values = table.metrics[metric]
        if values.ndim > 1:
            found = values[rows, np.searchsorted(table.epochs, fidelity)]
        else:
            found = values[rows]
        frame[name] = np.where(completed, found, np.nan)
    frame["test"] = np.where(completed, benchmark.objective("test")[rows], np.nan)
    frame["key"] = pd.Categorical.from_codes(rows, list(table.keys))
    judged = {name: values for name, values in columns.items() if name.startswith("proxy ")}
    predicted = columns["predicted"].astype(float)
    if not np.isnan(predicted).all():
        judged["predicted"] = predicted if config.direction == "min" else -predicted
    if judged and not further:
        for name, values in {**judged, "params": columns["params"]}.items():
            frame[name] = values.astype(float)
    return frame


def _report(benchmark: Benchmark, frame: pd.DataFrame, notes: list[str]) -> str:
    directions = benchmark.directions
    several = len(directions) > 1
    return report(
        frame,
        benchmark.folder,
        title=benchmark.folder.resolve().name,
        direction={"validation": directions["validation"], "test": directions["validation"]},
        optimum=benchmark.optimum,
        objectives=directions if several else None,
        true_front=np.stack([benchmark.objective(name) for name in directions], axis=1)
        if several
        else None,
        reference_point=benchmark.reference_point if several else None,
        origin=[*_origin(benchmark), *notes],
    )


def _origin(benchmark: Benchmark) -> Iterator[str]:
    config = benchmark.config
    yield f"made by `nas bench {benchmark.folder.resolve().name}` from {FILE_NAME}"
    for file, digest in benchmark.table.files.items():
        yield f"table {file}, SHA-256 {digest}"
    yield f"search by {config.validation}, test {config.test}; duplicates: {config.duplicates}"
    if any(dict(config.faults).values()):
        yield f"injected faults: {', '.join(f'{name} {rate}' for name, rate in config.faults)}"


def _recorded(trials: Path, resolved: Path) -> dict[str, Any] | None:
    """Reads ``resolved.json``, which describes the existing trials; None if there are none.

    Raises :class:`InputError` if it does not describe them, because then they might be of another
    specification, and would be replaced.
    """
    if not trials.exists():
        return None
    try:
        found: dict[str, Any] = read_json(resolved)
        recorded_specification(found)
        found["notes"] = [str(note) for note in found["notes"]]
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(
            f"{resolved}: does not say how {trials.name} was made ({error!r:.200}); put it back, "
            f"or delete {trials} to run again"
        ) from None
    return found


def _read(trials: Path, recorded: dict[str, Any]) -> pd.DataFrame:
    """Reads the trials, which must have the recorded checksum; earlier versions recorded none."""
    content = read_bytes(trials)
    try:
        if recorded.get("trials") not in (None, found := checksum(content)):
            raise ValueError(f"its checksum is {found}, recorded {recorded['trials']}")
        return pd.read_parquet(io.BytesIO(content))
    except (ValueError, OSError) as error:  # pyarrow raises both for a damaged file
        raise InputError(f"{trials}: is damaged: {error}; delete it to run again") from None
