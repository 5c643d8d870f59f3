import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import nas
from nas.benchmark.config import load_benchmark
from nas.benchmark.run import bench
from nas.cli import main
from nas.errors import InputError
from tests.benchmark.conftest import write


def quiet() -> Console:
    return Console(file=StringIO(), width=500)  # no line is broken, however long a path is


def said(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_benchmark_from_end_to_end(folder: Path) -> None:
    console = quiet()
    text = bench(folder, processes=1, console=console)
    for progress in (said(console), (folder / "run.log").read_text()):
        assert re.search(r"6/6 runs · .* runs an hour · .* elapsed", progress)
    frame = pd.read_parquet(folder / "trials.parquet")
    assert list(frame) == [
        "searcher", "seed", "trial", "evaluation", "seconds", "status", "reused", "fidelity",
        "validation", "test", "key",
    ]  # fmt: skip
    assert list(frame.groupby(["searcher", "seed"], observed=True)["evaluation"].max()) == [12] * 6
    assert set(frame["status"]) == {"completed"}
    assert set(frame["fidelity"]) == {9}
    table = pd.read_csv(folder / "t.csv").set_index("architecture").loc[frame["key"].astype(str)]
    np.testing.assert_array_equal(frame["validation"], table["val_9"])
    np.testing.assert_array_equal(frame["test"], table["test"])
    assert frame["reused"].any()
    assert (folder / "summary.md").read_text() == text
    assert "- search by val, test test; duplicates: reuse" in text
    assert re.search(r"- table t\.csv, SHA-256 [0-9a-f]{64}", text)
    resolved = json.loads((folder / "resolved.json").read_text())
    assert resolved["specification"] == load_benchmark(folder).specification
    assert resolved["environment"]["versions"]["numpy"]


def test_results_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    searchers = {
        "random": "random",
        "predictor": {"name": "predictor", "initial_size": 4},
        "filter": {"name": "random", "filter": {"proxy": "latency", "candidates": 2}},
    }
    folder, other = (write(tmp_path / name, searchers=searchers) for name in "ab")
    bench(folder, processes=1, console=quiet())
    bench(other, processes=2, console=quiet())
    frames = [pd.read_parquet(each / "trials.parquet") for each in (folder, other)]
    pd.testing.assert_frame_equal(*frames)
    predicted = frames[0].dropna(subset="predicted")
    assert set(predicted["searcher"]) == {"predictor"}
    assert (predicted["predicted"] - predicted["validation"]).abs().median() < 20  # of 60 to 95
    space = nas.space("nasbench201", nodes=3)
    judged = frames[0].dropna(subset="params")
    for key, params in zip(judged["key"], judged["params"], strict=True):
        assert params == space.decode(space.from_string(key)).cost.params
    filtered = judged[judged["searcher"] == "filter"]
    assert len(filtered) + len(predicted) == len(judged)
    latency = pd.read_csv(folder / "t.csv").set_index("architecture")["latency"]
    assert filtered["proxy latency"].tolist() == latency[filtered["key"].astype(str)].tolist()
    assert judged["proxy latency"].notna().sum() == len(filtered)
    seeds = [frame for _, frame in frames[0].groupby("seed")]
    assert not np.array_equal(seeds[0]["key"][:12], seeds[1]["key"][:12])


def test_a_searcher_of_the_benchmark_is_that_of_the_readme(folder: Path) -> None:
    """What it did can be done again in a loop of five lines."""
    benchmark = load_benchmark(folder)
    bench(folder, processes=1, console=quiet())
    frame = pd.read_parquet(folder / "trials.parquet")
    frame = frame[(frame["searcher"] == "evolution") & (frame["seed"] == 2)]
    searcher = nas.searcher(
        "evolution", space=benchmark.space, seed=2, population_size=4, tournament_size=2
    )
    for trial, key in enumerate(frame["key"]):
        proposal = searcher.ask(trial)
        assert proposal is not None
        row = benchmark.lookup.row(proposal.genotype)
        first = next(
            k for k in frame["key"]
            if benchmark.space.identity(benchmark.space.from_string(k))
            == benchmark.space.identity(proposal.genotype)
        )  # fmt: skip
        value = -benchmark.lookup.value("val", benchmark.table.keys.index(first))
        assert benchmark.table.keys[row] == key
        searcher.tell(nas.Observation(trial, proposal.genotype, (value,), proposal.note))


def test_what_is_there_is_reported_and_another_specification_runs_again(folder: Path) -> None:
    first = bench(folder, processes=1, console=quiet())
    written = (folder / "trials.parquet").stat().st_mtime_ns
    console = quiet()
    assert bench(folder, processes=1, console=console) == first
    assert "is complete: reporting on it; delete it to run again" in said(console)
    assert (folder / "trials.parquet").stat().st_mtime_ns == written
    resolved = json.loads((folder / "resolved.json").read_text())
    resolved["question"] = resolved.pop("specification")  # its name in earlier versions
    (folder / "resolved.json").write_text(json.dumps(resolved))
    assert bench(folder, processes=1, console=quiet()) == first
    assert (folder / "trials.parquet").stat().st_mtime_ns == written
    write(folder, seeds=4)
    console = quiet()
    assert bench(folder, processes=1, console=console) != first
    assert re.search(r"\d+ trials in", said(console))


def test_workers_and_time_are_columns_where_they_are_asked_for(tmp_path: Path) -> None:
    folder = write(tmp_path / "w", workers=[1, 4], budget={"seconds": 900.0})
    bench(folder, processes=1, console=quiet())
    frame = pd.read_parquet(folder / "trials.parquet")
    assert set(frame["workers"]) == {1, 4}
    trials = frame.groupby("workers")["trial"].count()
    assert trials[4] > 2 * trials[1]
    assert frame["seconds"].max() <= 900


def test_several_objectives_and_fidelities(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "m",
        searchers={"random": "random", "nsga2": {"name": "nsga2", "population_size": 4}},
        objectives={"ms": {"metric": "latency"}},
    )
    text = bench(folder, processes=1, console=quiet())
    frame = pd.read_parquet(folder / "trials.parquet")
    table = pd.read_csv(folder / "t.csv").set_index("architecture").loc[frame["key"].astype(str)]
    np.testing.assert_array_equal(frame["ms"], table["latency"])
    assert "hypervolume" in text
    asha = {"name": "asha", "max_fidelity": 9, "reduction_factor": 3}
    folder = write(tmp_path / "f", searchers={"random": "random", "asha": asha})
    bench(folder, processes=1, console=quiet())
    frame = pd.read_parquet(folder / "trials.parquet")
    mine = frame[frame["searcher"] == "asha"]
    assert set(mine["fidelity"]) == {1, 3, 9}
    curves = pd.read_csv(folder / "t.csv").set_index("architecture")
    expected = [
        curves.loc[key, f"val_{epoch}"]
        for key, epoch in zip(mine["key"].astype(str), mine["fidelity"], strict=True)
    ]
    np.testing.assert_array_equal(mine["validation"], expected)


def test_failed_trials_have_no_values(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", faults={"probability": 0.3})
    text = bench(folder, processes=1, console=quiet())
    frame = pd.read_parquet(folder / "trials.parquet")
    failed = frame["status"] == "failed"
    assert failed.any()
    assert frame.loc[failed, ["validation", "test"]].isna().all(axis=None)
    assert "injected faults: straggling 0.0, losses_per_hour 0.0, probability 0.3" in text


def test_an_architecture_that_the_table_lacks_is_named(folder: Path) -> None:
    path = folder / "t.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:60]))
    for processes in (1, 2):
        with pytest.raises(InputError, match=r"t\.csv: no row for the architecture \|\w+~0\|"):
            bench(folder, processes=processes, console=quiet())
    assert not (folder / "trials.parquet").exists()


def test_a_search_that_ended_early_is_told_of(tmp_path: Path) -> None:
    folder = write(tmp_path / "s", budget={"evaluations": 200}, searchers={"random": "random"})
    text = bench(folder, processes=1, console=quiet())
    line = "- random: 3 runs ended before their budget: 1000 proposals in a row repeated earlier"
    assert line in text
    assert bench(folder, processes=1, console=quiet()) == text


def group(leader: int) -> int:
    """How many processes the leader's group has."""
    listed = subprocess.run(["ps", "-eo", "pgid"], capture_output=True, text=True, check=True)
    return listed.stdout.split().count(str(leader))


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.1)


def test_ctrl_c_stops_a_benchmark_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    slow = {"name": "optuna", "sampler": "TPE"}
    folder = write(tmp_path / "slow", searchers={"tpe": slow}, seeds=400,
                   budget={"evaluations": 80})  # fmt: skip
    command = [sys.executable, "-m", "nas.cli", "bench", str(folder), "--processes", "2"]
    # A group of its own, as a terminal's Ctrl-C reaches the workers, too.
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0,
        # In the background of a script, the tests themselves ignore Ctrl-C and would pass that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        until(lambda: group(running.pid) >= 4)  # the parent, Python's tracker and two workers
        time.sleep(0.5)
        assert running.poll() is None
        os.killpg(running.pid, signal.SIGINT)
        output, _ = running.communicate(timeout=30)
        assert running.returncode == 130
        assert "Traceback" not in output
        assert not (folder / "trials.parquet").exists()
        until(lambda: group(running.pid) == 0)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)


def test_the_command_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "t.csv").rename(tmp_path / "t.csv")
    assert main(["bench", str(folder)]) == 2
    assert re.search(r"nas: .*t\.csv: cannot be read", capsys.readouterr().err)
    assert main(["bench", str(folder), "--data", str(tmp_path), "--processes", "1"]) == 0
    printed = capsys.readouterr()
    assert printed.out == (folder / "summary.md").read_text()
    assert "trials in" in printed.err
