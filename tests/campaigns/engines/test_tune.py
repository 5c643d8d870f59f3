import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from nas.campaigns.drive.run import run
from nas.campaigns.engines.base import Outcome, Trial, Update
from nas.campaigns.engines.serial import SerialEngine
from nas.errors import CampaignError, InputError
from nas.evaluators.work import Progress, Work
from tests.campaigns import toy
from tests.campaigns.lines import read_records

pytestmark = pytest.mark.xdist_group("ray")  # one cluster for all of them


@pytest.fixture
def on_ray(folder: Path) -> Path:
    path = folder / "campaign.yaml"
    path.write_text(path.read_text().replace("{name: serial}", "{name: ray, concurrency: 2}"))
    return folder


def results(folder: Path) -> list[dict[str, object]]:
    return [r for r in read_records(folder) if r["type"] == "result"]


class Trials:
    """A source of trials, counting how many are out at a time."""

    def __init__(self, payloads: list[dict[str, object]]) -> None:
        self.left = [Trial(f"trial-{n}", payload) for n, payload in enumerate(payloads)]
        self.out: set[str] = set()
        self.most_out = 0
        self.outcomes: dict[str, Outcome] = {}

    def next(self) -> Trial | None:
        if not self.left:
            return None
        trial = self.left.pop(0)
        self.out.add(trial.id)
        self.most_out = max(self.most_out, len(self.out))
        return trial

    def update(self, trial: str, update: Update) -> bool:
        return False

    def done(self, trial: str, outcome: Outcome) -> None:
        self.out.remove(trial)
        self.outcomes[trial] = outcome


def where(payload: dict[str, object]) -> dict[str, object]:
    """An evaluator that tells where it runs."""
    time.sleep(0.05)
    return {"pid": os.getpid(), "folder": os.getcwd(), "payload": payload}


@pytest.mark.usefixtures("cluster")
def test_workers_stay_warm_and_no_more_are_asked_than_there_are_slots() -> None:
    from nas.campaigns.engines.tune import TuneEngine

    payloads: list[dict[str, object]] = [{"n": n, "grid_search": [1, {"a/b": None}]}
                                         for n in range(40)]  # fmt: skip
    source = Trials(payloads)
    engine = TuneEngine(f"{__name__}:where")
    engine.run(source)
    assert engine.slots == source.most_out == 2
    metrics = [source.outcomes[f"trial-{n}"].metrics for n in range(40)]
    assert [m["payload"] for m in metrics] == payloads
    assert {m["folder"] for m in metrics} == {os.getcwd()}
    # Warm: forty trials need no more processes than there are slots.
    assert len({m["pid"] for m in metrics}) <= 2


def around(payload: dict[str, Any]) -> dict[str, Any]:
    """An evaluator that tells its priority, and what others could reach of its cluster."""
    import ray

    import psutil  # isort: skip - which ray brings

    driver = psutil.Process(payload["driver"])
    family = [driver, *driver.children(recursive=True)]
    sockets = [s for each in family for s in each.net_connections("inet") if s.status == "LISTEN"]
    scratch = Path(ray.get_runtime_context().get_temp_dir()).parent
    return {
        "niceness": os.nice(0),
        "listening": sorted({s.laddr.ip for s in sockets}),
        "mode": oct(scratch.stat().st_mode & 0o777),
        "name": scratch.name,
        "token": os.environ.get("RAY_AUTH_TOKEN"),
        "arguments": str([each.cmdline() for each in family]),
    }


@pytest.mark.timeout(240)
def test_a_local_cluster_has_the_priority_asked_for_and_others_cannot_reach_it(
    tmp_path: Path,
) -> None:
    script = f"""
import json, os
from {__name__} import Trials, around
from nas.campaigns.engines.tune import TuneEngine
for niceness in ({{}}, {{"niceness": 3}}):
    source = Trials([{{"driver": os.getpid()}}])
    TuneEngine("{__name__}:around", concurrency=1, name="same", **niceness).run(source)
    print("told", json.dumps(source.outcomes["trial-0"].metrics))
"""
    home = tmp_path / "file" / "home"  # which cannot be made
    home.parent.touch()
    environment = {**os.environ, "HOME": str(home), "RAY_AUTH_MODE": "disabled"}
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment
    )
    told = [json.loads(line[5:]) for line in ran.stdout.splitlines() if line.startswith("told ")]
    assert len(told) == 2, ran.stdout + ran.stderr
    # By default, workers have the priority of the driver.
    assert [each["niceness"] for each in told] == [os.nice(0), min(19, os.nice(0) + 3)]
    if not all(each["listening"] for each in told):
        pytest.skip("the sockets of other processes cannot be seen here")
    for each in told:
        assert {address.removeprefix("::ffff:") for address in each["listening"]} == {"127.0.0.1"}
        assert each["mode"] == "0o700"
        assert re.fullmatch("nas-same-.{8}", each["name"])
        assert len(each["token"]) == 64
        assert each["token"] not in each["arguments"]
    assert told[0]["token"] != told[1]["token"]
    assert told[0]["name"] != told[1]["name"]


@pytest.mark.usefixtures("cluster")
def test_more_than_there_is_is_refused_and_never_waited_for() -> None:
    from nas.campaigns.engines.tune import TuneEngine

    for needed in ({"cpus": 3}, {"gpus": 0.5}):
        with pytest.raises(InputError, match=r"engine\.[cg]pus_per_trial: must be at most [02], "):
            TuneEngine(f"{__name__}:where", **needed).run(Trials([{}]))
    engine = TuneEngine(f"{__name__}:where", concurrency=5)
    engine.run(Trials([]))
    assert engine.slots == 2


@pytest.mark.usefixtures("cluster")
def test_a_long_campaign_takes_several_runs_of_tune(monkeypatch: pytest.MonkeyPatch) -> None:
    from nas.campaigns.engines import tune

    monkeypatch.setattr(tune, "ROUND", 2)
    source = Trials([{"n": n} for n in range(3)])
    tune.TuneEngine(f"{__name__}:where").run(source)
    assert {t: o.metrics["payload"] for t, o in source.outcomes.items()} == {
        f"trial-{n}": {"n": n} for n in range(3)
    }


def goes_on(payload: dict[str, object], checkpoint: bytes | None) -> Work:
    """An evaluator whose state is as large as the one that it starts from."""
    assert checkpoint is not None
    yield Progress({"epoch": 1}, lambda: checkpoint)
    return {"payload": payload}


@pytest.mark.usefixtures("cluster")
def test_tune_keeps_neither_payload_nor_checkpoint_of_what_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray import cloudpickle
    from ray import tune as ray_tune

    from nas.campaigns.engines.tune import TuneEngine

    kept = []
    tune_run = ray_tune.run

    def noted(*arguments: Any, **options: Any) -> Any:
        analysis = tune_run(*arguments, **options)
        kept.extend(analysis.trials)
        return analysis

    monkeypatch.setattr(ray_tune, "run", noted)
    state = bytes(1_000_000)
    (tmp_path / "state").write_bytes(state)
    source = Trials([])
    payload = {"words": "x" * 1_000_000}
    source.left = [Trial(f"trial-{n}", payload, tmp_path / "state", True) for n in range(3)]
    TuneEngine(f"{__name__}:goes_on").run(source)
    outcomes = [source.outcomes[f"trial-{n}"] for n in range(3)]
    assert [(o.metrics["payload"], o.checkpoint) for o in outcomes] == [(payload, state)] * 3
    assert [len(cloudpickle.dumps(trial)) < 10_000 for trial in kept] == [True] * 3


@pytest.mark.usefixtures("cluster")
def test_failures_and_dead_workers_are_rows(on_ray: Path) -> None:
    path = on_ray / "campaign.yaml"
    path.write_text(path.read_text() + "seed: 125\n")  # the baseline draws widths 4, 3, 2, 1
    run(on_ray, evaluator=f"{toy.HERE}:faulty")
    toy.check_complete(on_ray, len(results(on_ray)))
    widths = {trial: (genotype or {}).get("width") for trial, genotype in toy.genotypes(on_ray)}
    reasons = {
        1: r"Traceback(?s:.)*ArithmeticError: no luck\n$",
        2: r"worker process has died",
        3: r"the evaluator returned None as validation_accuracy",
    }
    seen = set()
    for result in results(on_ray):
        if (reason := reasons.get(widths[str(result["trial"])] or 0)) is not None:
            assert result["status"] == "failed"
            assert re.search(reason, str(result["error"]))
            seen.add(reason)
        else:
            assert result["status"] == "completed"
    assert seen == set(reasons.values()), "the case is not tried"


@pytest.mark.usefixtures("cluster")
def test_an_exception_of_ours_stops_the_run_and_comes_out(on_ray: Path) -> None:
    with pytest.raises(CampaignError, match="first 5 trials of this run all failed"):
        run(on_ray, evaluator=f"{toy.HERE}:broken")
    assert len(results(on_ray)) == 5
    evaluate = f"{toy.HERE}:evaluate"
    run(on_ray, evaluator=evaluate, engine=SerialEngine(evaluate))
    toy.check_complete(on_ray, len(results(on_ray)))


@pytest.mark.usefixtures("cluster")
def test_a_trial_that_tune_drops_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """An actor that cannot be reset: Tune tells neither searcher nor callbacks."""
    from ray import cloudpickle

    import tests.campaigns.engines.test_tune as module
    from nas.campaigns.engines import tune

    class Stubborn(tune.Worker):
        def reset_config(self, new_config: dict[str, object]) -> bool:
            first = not hasattr(self, "_events")
            return bool(super().reset_config(new_config)) and first

    cloudpickle.register_pickle_by_value(module)
    monkeypatch.setattr(tune, "Worker", Stubborn)
    source = Trials([{}, {}, {}])
    tune.TuneEngine(f"{__name__}:where", concurrency=1).run(source)
    cloudpickle.unregister_pickle_by_value(module)
    statuses = [source.outcomes[f"trial-{n}"].status for n in range(3)]
    assert statuses == ["completed", "failed", "completed"]
    assert "dropped the trial" in str(source.outcomes["trial-1"].error)


def driver(folder: Path, wait_for: int) -> subprocess.Popen[str]:
    """A driver in a process of its own, once so many results are recorded."""
    command = [sys.executable, "-m", "tests.campaigns.toy", str(folder), "slow"]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    until(lambda: len(results(folder)) >= wait_for)
    return started


def until(condition: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.02)


def ray_processes(parent: int) -> list[str]:
    """The processes whose command line or parent says that the driver started them."""
    listed = subprocess.run(["ps", "-eo", "ppid,args"], capture_output=True, text=True, check=True)
    rows = [line.split(None, 1) for line in listed.stdout.splitlines()[1:]]
    return [row[1] for row in rows if row[0] == str(parent) and "ray" in row[1]]


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("cluster")
def test_a_driver_that_is_killed_and_one_that_is_stopped_lose_nothing(on_ray: Path) -> None:
    killed = driver(on_ray, wait_for=2)
    assert ray_processes(killed.pid)
    killed.kill()
    killed.communicate()
    recorded = results(on_ray)

    interrupted = driver(on_ray, wait_for=len(recorded) + 2)  # while the other's Ray winds up
    interrupted.send_signal(signal.SIGINT)
    output, _ = interrupted.communicate(timeout=30)
    assert interrupted.returncode == 130
    assert f"stopped; go on with: nas run {on_ray}" in output
    assert "Traceback" not in output
    assert not ray_processes(interrupted.pid)
    assert results(on_ray)[: len(recorded)] == recorded
    recorded = results(on_ray)

    run(on_ray, evaluator=f"{toy.HERE}:slow")
    assert results(on_ray)[: len(recorded)] == recorded
    toy.check_complete(on_ray, 11)


def test_the_signal_of_a_time_limit_is_not_the_first_of_the_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from nas.campaigns.engines.tune import _Bridge

    codes: list[int] = []
    monkeypatch.setattr("os._exit", codes.append)
    for limit, signals in ((False, 2), (True, 3)):
        monkeypatch.setattr("nas.campaigns.engines.tune.is_over", lambda limit=limit: limit)
        bridge = _Bridge(cast(Any, None), "", None)
        for _ in range(signals - 1):
            bridge.interrupt()
        assert bridge.stopping
        assert not codes
        bridge.interrupt()
        assert codes.pop() == 130
