"""A cluster that is there already: two nodes on this machine, one of which dies."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from nas.campaigns.spec.engine import RayConfig
from nas.configuration import validate
from nas.errors import CampaignError, InputError
from tests.campaigns import toy
from tests.campaigns.lines import read_records

HERE = "tests.campaigns.engines.test_cluster:unhurried"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ray://head:10001", r"a ray:// address \(Ray Client\) is not supported"),
        ("head", "must be local, auto or host:port of a Ray cluster, got 'head'"),
        ("http://head:1", "must be local, auto or host:port"),
    ],
)
def test_an_address_is_one_that_the_records_can_be_written_from(address: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        validate(RayConfig, {"address": address})


def test_local_is_the_same_as_no_address() -> None:
    read = [validate(RayConfig, {"address": given}).address for given in ("local", None)]
    assert read == [None, None]
    for address in ("auto", "10.0.0.1:6379", "head.example.org:6379"):
        assert validate(RayConfig, {"address": address}).address == address


def test_a_cluster_that_is_joined_has_its_own_niceness() -> None:
    assert validate(RayConfig, {"niceness": 19}).niceness == 19
    with pytest.raises(InputError, match=r"^niceness: workers of a running cluster .* got 5$"):
        validate(RayConfig, {"address": "auto", "niceness": 5})


def test_a_trial_has_a_share_of_one_gpu_or_whole_ones() -> None:
    for gpus in (0, 0.25, 1, 2.0):
        assert validate(RayConfig, {"gpus_per_trial": gpus}).gpus_per_trial == gpus
    allowed = r"must be a share of one GPU or a whole number of GPUs, got 1\.5"
    with pytest.raises(InputError, match=allowed):
        validate(RayConfig, {"gpus_per_trial": 1.5})


@pytest.mark.parametrize(
    ("nodes", "needs", "expected"),
    [
        ([{"CPU": 2.0}], {"CPU": 1, "GPU": 0.0}, 2),
        ([{"CPU": 6.0}, {"CPU": 6.0}], {"CPU": 4, "GPU": 0.0}, 2),  # of twelve cores, not three
        ([{"CPU": 64.0, "GPU": 2.0}], {"CPU": 1, "GPU": 0.4}, 4),  # two a GPU, not five in all
        ([{"CPU": 96.0, "GPU": 8.0}], {"CPU": 1, "GPU": 0.1}, 80),
        ([{"CPU": 64.0, "GPU": 1.0}], {"CPU": 1, "GPU": 1 / 3}, 3),
        ([{"CPU": 64.0, "GPU": 1.0}], {"CPU": 1, "GPU": 0.7}, 1),
        ([{"CPU": 2.0, "GPU": 4.0}, {"CPU": 8.0}], {"CPU": 1, "GPU": 1.0}, 2),
        ([{"CPU": 16.0, "GPU": 7.0}], {"CPU": 2, "GPU": 2.0}, 3),
    ],
)
def test_as_many_trials_as_fit_on_each_node(
    monkeypatch: pytest.MonkeyPatch, nodes: Any, needs: dict[str, float], expected: int
) -> None:
    from nas.campaigns.engines import cluster

    listed = [{"Alive": True, "Resources": node} for node in nodes]
    dead = {"Alive": False, "Resources": {"CPU": 99.0, "GPU": 99.0}}
    monkeypatch.setattr(cluster.ray, "nodes", lambda: [*listed, dead])
    assert cluster.rooms(needs) == expected


def test_a_cluster_that_does_not_start_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nas.campaigns.engines import cluster

    def init(**settings: Any) -> None:
        raise Exception("The current node timed out during startup.\nMore.")

    monkeypatch.setattr(cluster.ray, "init", init)
    # The real one would end the cluster of the other tests of this process.
    ended: list[bool] = []
    monkeypatch.setattr(cluster.ray, "shutdown", lambda: ended.append(True))
    before = dict(os.environ)
    message = r"^Ray could not be started on this machine \(The current node .* startup\.\): run"
    with pytest.raises(CampaignError, match=message), cluster.local(1, tmp_path):
        pass
    assert os.environ == before
    assert ended == [True]


def test_without_a_temporary_folder_the_message_names_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from nas.campaigns.engines import cluster

    def fails(**options: Any) -> str:
        raise OSError(30, "Read-only file system", "/tmp/nas-x")

    monkeypatch.setattr(cluster.tempfile, "mkdtemp", fails)
    with (
        pytest.raises(CampaignError, match=r"Ray needs a folder .*Read-only.*set TMPDIR to"),
        cluster.scratch("nas-x"),
    ):
        pass


def test_ray_has_the_cores_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    from nas.campaigns.engines import cluster, tune

    asked: list[int] = []
    monkeypatch.setattr(cluster, "local", lambda cores, *_: asked.append(cores))
    monkeypatch.setattr(tune, "cores", lambda: 3)
    given: list[dict[str, Any]] = [{}, {"concurrency": 2, "cpus": 4}, {"cpus": 3}]
    for options in given:
        tune.TuneEngine("", **options)._cluster(Path())
    assert asked == [3, 8, 3]


# --- two nodes ---


def unhurried(trial: Mapping[str, Any]) -> dict[str, Any]:
    """Takes a while, and tells what of this code was sent to where it runs."""
    time.sleep(0.5)
    sent = [Path(entry) for entry in sys.path if "py_modules_files" in entry]
    code = sorted(found.name for entry in sent for found in entry.iterdir())
    return {**toy.evaluate(trial), "code": code}


class Cluster:
    """Ray nodes, each started by hand, on a port and in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = ""
        self.environment = {**os.environ, "RAY_AUTH_MODE": "disabled"}
        # Without the path to this checkout: the code comes with the campaign.
        self.elsewhere = {k: v for k, v in self.environment.items() if k != "PYTHONPATH"}

    def start(self, *options: str) -> list[int]:
        """Starts a node; the ids of its processes."""
        before = processes(str(self.folder))
        command = [Path(sys.executable).parent / "ray", "start", "--num-cpus=1", "--num-gpus=0",
                   "--object-store-memory=80000000", "--disable-usage-stats", *options]  # fmt: skip
        done = subprocess.run(
            command, cwd=self.folder, env=self.elsewhere, capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f"ray start does not work here: {(done.stdout + done.stderr)[-800:]}")
        started = re.search(r"--address='([^']+)'", done.stdout)
        if started is not None:
            self.address = started[1]
        return sorted(processes(str(self.folder)).keys() - before.keys())

    def stop(self) -> None:
        kill(sorted(processes(str(self.folder))))


def processes(mark: str) -> dict[int, str]:
    """Those whose command line holds a text."""
    listed = subprocess.run(
        ["ps", "-eww", "-o", "pid,args"], capture_output=True, text=True, check=True
    )
    rows = [line.split(None, 1) for line in listed.stdout.splitlines()[1:]]
    return {int(pid): args for pid, args in rows if mark in args and int(pid) != os.getpid()}


def children(parent: int) -> list[int]:
    listed = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True)
    pairs = [tuple(map(int, line.split())) for line in listed.stdout.splitlines()[1:]]
    return [pid for pid, of in pairs if of == parent]


def kill(pids: list[int]) -> None:
    """Processes and their children, which a raylet's workers are."""
    workers = [child for parent in pids for child in children(parent)]
    for pid in [*pids, *workers]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def cluster_by_hand() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="nas2-", dir="/tmp"))
    cluster = Cluster(folder)
    try:
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.xdist_group("ray")
def test_a_node_that_dies_costs_an_attempt_and_the_other_goes_on(
    tmp_path: Path, cluster_by_hand: Cluster
) -> None:
    there = cluster_by_hand
    there.start("--head", f"--port={there.port}", f"--temp-dir={there.folder}",
                "--include-dashboard=false")  # fmt: skip
    second = there.start(f"--address={there.address}")
    text = toy.CAMPAIGN.replace(
        "{name: serial}", f"{{name: ray, address: '{there.address}', gpus_per_trial: 0}}"
    ).replace("trials: 4", "trials: 12")
    folder = toy.write(tmp_path / "campaign", text)
    program = f"from nas.campaigns.drive.run import run; run({str(folder)!r}, evaluator='{HERE}')"
    log = (tmp_path / "log").open("w+")
    driver = subprocess.Popen(
        [sys.executable, "-c", program], stdout=log, stderr=subprocess.STDOUT, env=there.environment
    )

    def ended() -> list[dict[str, Any]]:
        path = folder / "records.jsonl"
        if not path.exists() or not path.read_bytes():
            return []
        return [record for record in read_records(folder) if record["type"] == "result"]

    def nodes(records: list[dict[str, Any]]) -> set[str]:
        return {record["worker"].split("/")[1] for record in records}

    try:
        while len(nodes(ended())) < 2:
            assert driver.poll() is None, Path(log.name).read_text()
            time.sleep(0.1)
        before = ended()
        kill(second)
        assert driver.wait(timeout=200) == 0, Path(log.name).read_text()
    finally:
        driver.kill()
        log.close()
    results = ended()
    assert results[: len(before)] == before
    assert len(results) > len(before) + 5, "the node died too late"
    # What was under way when it was found dead may still be told; all else is of the other node.
    assert len(nodes(results[len(before) + 2 :])) == 1
    assert {record["status"] for record in results} == {"completed"}
    toy.check_complete(folder, 27)
    assert all({"nas", "tests"} <= set(record["metrics"]["code"]) for record in results)
