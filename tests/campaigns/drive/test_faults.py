"""Faults of every kind: whatever happens, each trial ends once and nothing recorded is lost."""

import os
import resource
import signal
import time
from collections.abc import Callable, Mapping
from hashlib import blake2b
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from nas.campaigns.drive.run import run
from nas.campaigns.store.checkpoints import Checkpoints
from nas.campaigns.store.log import RecordLog
from nas.errors import CampaignError
from tests.campaigns import toy
from tests.campaigns.lines import read_records

TRIALS = 11
"""Of the toy campaign: two searches of four, and three in the final stage."""

QUICK = f"{toy.HERE}:evaluate"


def unhurried(trial: Mapping[str, Any]) -> dict[str, Any]:
    """Takes a moment, so that a signal comes anywhere."""
    time.sleep(0.02)
    return toy.evaluate(trial)


def no_memory(trial: Mapping[str, Any]) -> dict[str, Any]:
    """Asks for more memory than there is, for every other width."""
    return {"size": len(bytearray(1 << 60))} if toy.width(trial) % 2 else toy.evaluate(trial)


def killed_once(trial: Mapping[str, Any]) -> dict[str, Any]:
    """Kills its worker the first time that it is called with a trial; keeps marks beside the data.

    Not where a variable of the environment says: a worker has that of the cluster's start.
    """
    what = blake2b(trial["architecture"].encode(), digest_size=8).hexdigest()
    mark = Path(trial["data"]["path"]).with_name(f"{what}-{trial['seed']}")
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return toy.evaluate(trial)


def hangs(trial: Mapping[str, Any]) -> dict[str, Any]:
    """Never ends, for one width."""
    return toy.hang(trial) if toy.width(trial) == 3 else toy.evaluate(trial)


def start(folder: Path, evaluator: str, prepare: Callable[[], object] = lambda: None) -> Any:
    """A run in a process of its own."""

    def child() -> None:
        prepare()
        try:
            run(folder, evaluator=evaluator)
        except KeyboardInterrupt:
            os._exit(130)
        except CampaignError as error:
            os._exit(3 if "cannot be written" in str(error) else 1)
        os._exit(0)

    process = get_context("fork").Process(target=child)
    process.start()
    return process


def results(folder: Path) -> list[dict[str, Any]]:
    path = folder / "records.jsonl"
    if not path.exists() or not path.read_bytes():
        return []
    return [record for record in read_records(folder) if record["type"] == "result"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Any]]:
    """What the campaign asks when nothing happens."""
    folder = toy.write(tmp_path_factory.mktemp("undisturbed") / "campaign")
    run(folder, evaluator=QUICK)
    return toy.genotypes(folder)


def check(folder: Path, before: list[dict[str, Any]], expected: list[tuple[str, Any]]) -> None:
    """Ends the campaign; it is as if nothing had happened."""
    run(folder, evaluator=QUICK)
    assert results(folder)[: len(before)] == before
    toy.check_complete(folder, TRIALS)
    assert toy.genotypes(folder) == expected


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_driver_that_is_stopped_at_twenty_random_moments(
    folder: Path, undisturbed: list[tuple[str, Any]], number: signal.Signals
) -> None:
    random = Random(int(number))
    stopped = 0
    before: list[dict[str, Any]] = []
    for _ in range(20):
        process = start(folder, f"{__name__}:unhurried")
        process.join(random.uniform(0.0, 0.15))
        if process.is_alive():
            os.kill(process.pid, number)
            stopped += 1
        process.join()
        now = results(folder)
        assert now[: len(before)] == before
        before = now
    assert stopped > 5
    check(folder, before, undisturbed)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_driver_that_dies_in_the_middle_of_a_record(
    folder: Path, undisturbed: list[tuple[str, Any]], share: float
) -> None:
    """At each record in turn: some of its bytes are written, then the power fails."""
    append = RecordLog.append
    for number in range(2, 8):

        def torn(self: RecordLog, written: Any, *, last: int = number) -> Any:
            if self._path.read_bytes().count(b"\n") + 1 < last:
                return append(self, written)
            size = self._path.stat().st_size
            record = append(self, written)
            whole = self._path.stat().st_size
            os.truncate(self._path, size + int((whole - size) * share))
            os.kill(os.getpid(), signal.SIGKILL)
            return record

        process = start(folder, QUICK, lambda torn=torn: setattr(RecordLog, "append", torn))
        process.join()
        assert process.exitcode == -signal.SIGKILL
    check(folder, results(folder), undisturbed)


def test_a_disk_that_is_full(folder: Path, undisturbed: list[tuple[str, Any]]) -> None:
    """No file may grow beyond a limit, which moves on from run to run."""
    for limit in range(2_000, 8_000, 1_000):

        def small(limit: int = limit) -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        process = start(folder, QUICK, small)
        process.join()
        assert process.exitcode == 3
    before = results(folder)
    assert before
    check(folder, before, undisturbed)


def test_a_log_that_cannot_be_written_stops_nothing(folder: Path) -> None:
    (folder / "run.log").symlink_to("/dev/full")
    run(folder, evaluator=QUICK)
    toy.check_complete(folder, TRIALS)


def test_a_state_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path)
    (tmp_path / "checkpoints").write_text("where the folder should be")
    with pytest.raises(CampaignError, match=r"checkpoints/a\.pt: cannot be written: "):
        kept.write("a", b"state")


# --- on Ray: rows, not the end ---


@pytest.fixture
def on_ray(tmp_path: Path) -> Path:
    text = toy.CAMPAIGN.replace("name: serial", "name: ray, concurrency: 2")
    return toy.write(tmp_path / "campaign", text)


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.usefixtures("cluster")
def test_workers_that_are_killed_cost_an_attempt(on_ray: Path, tmp_path: Path) -> None:
    images = np.arange(30 * 64, dtype=np.uint8).reshape(30, 8, 8, 1)
    np.savez(tmp_path / "images.npz", images=images, labels=np.arange(30) % 3)
    path = on_ray / "campaign.yaml"
    text = path.read_text().replace("name: digits", f"name: arrays, path: {tmp_path}/images.npz")
    # Each worker that dies takes seconds to replace.
    path.write_text(text.replace("trials: 4", "trials: 2") + "random_baseline: false\n")
    run(on_ray, evaluator=f"{__name__}:killed_once")
    kinds = [record["type"] for record in read_records(on_ray)]
    assert kinds.count("failure") == len(results(on_ray)) == 4
    assert {result["status"] for result in results(on_ray)} == {"completed"}
    toy.check_complete(on_ray, len(results(on_ray)))


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.usefixtures("cluster")
def test_no_memory_and_no_end_are_failed_rows(on_ray: Path) -> None:
    path = on_ray / "campaign.yaml"
    text = path.read_text().replace("concurrency: 2", "concurrency: 2, minutes_per_trial: 0.05")
    path.write_text(text.replace("trials: 4", "trials: 6") + "random_baseline: false\n")
    run(on_ray, evaluator=f"{__name__}:hangs")
    late = [result for result in results(on_ray) if result["status"] == "failed"]
    assert late
    assert {result["cause"] for result in late} == {"time_limit"}
    toy.check_complete(on_ray, len(results(on_ray)))


def test_out_of_memory_is_a_failed_row(folder: Path) -> None:
    run(folder, evaluator=f"{__name__}:no_memory")
    causes = {result["cause"] for result in results(folder)}
    assert causes == {None, "out_of_memory"}
    toy.check_complete(folder, len(results(folder)))
