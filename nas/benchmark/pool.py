"""Runs a benchmark in several processes; the results do not depend on their number."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray
from rich.console import Console

from nas.benchmark.config import Benchmark, load_benchmark
from nas.benchmark.search import Search
from nas.campaigns.drive.progress import SUMMARY_SECONDS, Progress, Status


class Run(NamedTuple):
    """One run: a searcher with a seed on a cluster of one size."""

    label: str
    workers: int
    seed: int


class Result(NamedTuple):
    """The result of a run; see :meth:`nas.benchmark.search.Search.run`."""

    columns: dict[str, NDArray[Any]]
    stuck: bool


class _Runs(Status):
    """The state of a benchmark."""

    unit = "runs"

    @property
    def shown(self) -> list[str]:
        return [f"{self.count} {self.unit}"]


def run_all(benchmark: Benchmark, processes: int, console: Console) -> list[tuple[Run, Result]]:
    """Carries out every run of a benchmark, in the order of its labels, workers and seeds."""
    config = benchmark.config
    runs = [Run(*each) for each in product(config.searchers, config.workers, range(config.seeds))]
    done: dict[Run, Result] = {}
    status = _Runs(len(runs))
    with Progress(benchmark.folder, status, console) as progress:
        for run, result in _carried_out(benchmark, runs, min(processes, len(runs))):
            done[run] = result
            status.done += 1
            progress.summary(every=0 if status.done == len(runs) else SUMMARY_SECONDS)
    return [(run, done[run]) for run in runs]


def _carried_out(
    benchmark: Benchmark, runs: list[Run], processes: int
) -> Iterator[tuple[Run, Result]]:
    if processes == 1:
        for run in runs:
            yield run, _carry_out(benchmark, run)
        return
    executor = ProcessPoolExecutor(
        processes,
        multiprocessing.get_context("spawn"),
        initializer=_start,
        initargs=(benchmark.folder, benchmark.data),
    )
    # Workers inherit the blocked signal, so that Ctrl-C reaches only this process.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    futures: dict[Future[Result], Run] = {executor.submit(_in_worker, run): run for run in runs}
    try:
        # A Ctrl-C that has arrived until now is raised here, where the workers are stopped.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        executor.shutdown(cancel_futures=True)
        raise
    executor.shutdown()


_benchmark: Benchmark
"""The benchmark of a worker process, which loads it once."""


def _start(folder: Path, data: Path | None) -> None:
    global _benchmark
    _benchmark = load_benchmark(folder, data)


def _in_worker(run: Run) -> Result:
    return _carry_out(_benchmark, run)


def _carry_out(benchmark: Benchmark, run: Run) -> Result:
    search = Search(benchmark, run.label, run.seed, run.workers)
    return Result(search.run(), search.stuck)
