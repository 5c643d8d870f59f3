"""The engine on Ray Tune. Only it, its workers and :mod:`nas.campaigns.engines.cluster` import ray.

One Tune run carries out both the searches and the final stage: Tune's actors live as long as its
run, and a new actor takes seconds (a process, ``import torch``, a CUDA context), while a warm one
takes milliseconds. Tune keeps every trial of a run in memory and looks through all of them, so
after :data:`ROUND` trials, when the last of them has ended, a new run begins.

How Tune is used, and why:

- The worker is a *class* trainable, whose steps are epochs (several, if they are short). A
  function trainable runs in a thread that must unwind within two seconds when its actor is
  reused, or the next trial vanishes; a class has no thread.
- Trial and outcome are each passed as one value that Tune does not inspect (an :class:`Errand`, a
  JSON string), because Tune flattens, merges and interprets mappings (a key ``grid_search`` is a
  command). Checkpoints are passed in the same way, so nodes need no common file system: only the
  driver writes the campaign's folder.
- The data set, which trials share, is loaded by the driver and kept in Ray's object store, once
  per node; workers read its arrays without a copy.
- ``tune.run`` is used because ``Tuner`` pickles the searcher and the callbacks. Nothing is ever
  restored from Tune's own snapshots: the records of the campaign are the truth.
- Outcomes are taken in the callbacks, which get the trial and so the cause of a failure; a
  searcher would only get ``error=True``.
- Progress is taken in the stopper, which Tune calls first and which can end the trial.
- Our exceptions must not pass through Tune, which would record them as failures of the trial. So
  an exception is kept, the run is stopped, and the exception is raised after Tune has ended.
"""

import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from nas.campaigns.engines import cluster  # isort: skip - its settings, before ray reads them

import ray
from ray import tune
from ray.tune.experiment import Trial

from nas.campaigns.engines.base import (
    Cause,
    Engine,
    Evaluator,
    Outcome,
    Settings,
    Source,
    Update,
    failure,
    stopped,
)
from nas.campaigns.engines.signals import is_over, signals, tell
from nas.campaigns.engines.worker import Errand, Worker
from nas.training.hardware import cores
from nas.user_code import user_packages

T = TypeVar("T")

ROUND = 2000
"""The number of trials of one Tune run."""


class TuneEngine(Engine):
    """Runs trials on Ray Tune with warm workers.

    Args:
        evaluator: the evaluator. Workers import a name; a function is sent to them by value if
            it is of a user's file or of a notebook.
        concurrency: how many trials run at the same time; None for as many as the GPUs, or without
            GPUs the CPU cores, allow.
        cpus: the cores of one trial.
        gpus: the GPUs of one trial, which may be a fraction below one; None for one if there are
            any.
        address: ``host:port`` (or "auto") of a running Ray cluster; None starts one here for
            the time of :meth:`run`.
        niceness: how much nicer workers are than this process, if the cluster is started here.
        time_limit: the largest number of seconds per trial; None for no limit.
        name: the name of this campaign's scratch folder, from which the remains of a killed run are
            removed; None for a folder of this process.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        *,
        concurrency: int | None = None,
        cpus: int = 1,
        gpus: float | None = None,
        address: str | None = None,
        niceness: int = 0,
        time_limit: float | None = None,
        name: str | None = None,
    ) -> None:
        self._evaluator = evaluator
        self._time_limit = time_limit
        self._concurrency = concurrency
        self._cpus = cpus
        self._gpus = gpus
        self._address = address
        self._niceness = niceness
        self._name = f"nas-{name or os.getpid()}"
        self.slots = concurrency or 1

    @classmethod
    def for_campaign(cls, evaluate: Evaluator, settings: Settings) -> Self:
        """The engine that ``campaign.yaml`` asks for."""
        return cls(
            evaluate,
            cpus=settings.cpus,
            gpus=settings.gpus,
            time_limit=settings.time_limit,
            name=settings.campaign,
            **settings.options,
        )

    def run(self, source: Source) -> None:
        """Carries out trials until the source has no more; KeyboardInterrupt on a signal."""
        for package in user_packages():  # which workers cannot import
            ray.cloudpickle.register_pickle_by_value(package)
        bridge = _Bridge(source, self._evaluator, self._time_limit)
        # Signals are handled from the start: ray.init loses a KeyboardInterrupt that occurs inside
        # it, and installs its own SIGTERM handler.
        with (
            signals(bridge.interrupt) as install,
            cluster.scratch(self._name) as scratch,
            nullcontext() if ray.is_initialized() else self._cluster(scratch),
        ):
            install()
            if not bridge.stopping:
                self._tune(bridge, scratch / "tune")
        if bridge.error is not None:
            raise bridge.error

    def _tune(self, bridge: "_Bridge", storage: Path) -> None:
        resources = self._resources()
        bridge.slots = self.slots
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(self.slots)
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        while not bridge.stopping and not bridge.exhausted:
            tune.run(
                Worker,
                search_alg=_Asker(bridge),
                callbacks=[_Listener(bridge)],
                stop=_Stopper(bridge),
                num_samples=ROUND,
                resources_per_trial=resources,
                reuse_actors=True,
                max_failures=0,  # a failure is a row, and a bug would fail again
                raise_on_failed_trial=False,
                storage_path=str(storage),
                name="round",
                trial_dirname_creator=lambda trial: trial.trial_id,
                verbose=0,
            )
            shutil.rmtree(storage, ignore_errors=True)

    def _cluster(self, scratch: Path) -> AbstractContextManager[None]:
        if self._address is not None:
            return cluster.joined(self._address, self._evaluator)
        # By itself, Ray takes all cores of the machine, also those that this process may not use.
        most = cores() if self._concurrency is None else self._concurrency * self._cpus
        return cluster.local(most, scratch, self._niceness)

    def _resources(self) -> dict[str, float]:
        """Returns the resources of one trial; sets :attr:`slots` to the number of such trials."""
        gpus = float("GPU" in ray.cluster_resources()) if self._gpus is None else self._gpus
        rooms = cluster.rooms({"CPU": self._cpus, "GPU": gpus})
        self.slots = rooms if self._concurrency is None else min(rooms, self._concurrency)
        return {"cpu": self._cpus, "gpu": gpus}


class _Bridge:
    """Connects a source with Tune, which calls it by the three adapters below."""

    def __init__(self, source: Source, evaluator: Evaluator, time_limit: float | None) -> None:
        self.error: BaseException | None = None
        self.exhausted = False
        self.slots = 1
        self._after_limit = False
        self._source = source
        self._evaluator = evaluator
        self._time_limit = time_limit
        self._overdue: set[str] = set()
        self._ids: dict[str, str] = {}  # from Tune's id of each running trial to ours
        self._started: dict[str, tuple[Trial, float]] = {}  # and when
        self._shared: dict[str, ray.ObjectRef] = {}

    @property
    def stopping(self) -> bool:
        return self.error is not None

    def interrupt(self) -> None:
        """Stops the run in good order at the first call, and immediately at the second.

        The signal of a time limit does not count: the user's first one may come right after it.
        """
        if self.stopping and not self._after_limit:
            if sys.stdout.isatty():
                os.write(1, b"\x1b[?25h\n")  # the cursor, which a live display hides
            os._exit(130)
        self._after_limit = is_over() and not self.stopping
        if not self._after_limit:
            tell("stopping; to quit at once, press Ctrl-C again")
        self.error = self.error or KeyboardInterrupt()

    def suggest(self, tune_id: str) -> dict[str, Any] | str | None:
        # Tune asks for one trial more than it can place, but later a searcher knows more.
        if len(self._ids) >= self.slots and not self.stopping:
            return None
        given = None if self.stopping else self._kept(self._next)
        if given is None:
            if self._ids and not self.stopping:
                return None
            # If no trial is running, Tune would block here for ten minutes.
            self.exhausted = True
            finished: str = tune.search.Searcher.FINISHED
            return finished
        self._ids[tune_id], errand = given
        return {"errand": errand}

    def _next(self) -> tuple[str, Errand] | None:
        given = self._source.next()
        if given is None:
            return None
        for key, load in given.shared.values():
            if key not in self._shared:
                self._shared[key] = ray.put(load())
        shared = {name: self._shared[key] for name, (key, _) in given.shared.items()}
        return given.id, Errand(self._evaluator, given.payload, given.keep, given.state(), shared)

    def start(self, trial: Trial) -> None:
        self._started[trial.trial_id] = trial, time.monotonic()

    def update(self, tune_id: str, result: dict[str, Any]) -> bool:
        """Takes the progress of a trial; returns whether Tune should end it."""
        ours = self._ids.get(tune_id)
        if ours is None or "updates" not in result or self.stopping:
            return False
        *earlier, last = json.loads(result["updates"])
        updates = [*(Update(metrics, None) for metrics in earlier)]
        updates.append(Update(last, result["checkpoint"]))
        return any(self._kept(partial(self._source.update, ours, update)) for update in updates)

    def complete(self, trial: Trial) -> None:
        result = trial.last_result
        if "outcome" in result:
            told = Outcome(**json.loads(result["outcome"]))
            self.finish(trial, replace(told, checkpoint=result["checkpoint"]))
        else:
            self.finish(trial, stopped(self._seconds(trial)))

    def finish(self, trial: Trial, outcome: Outcome) -> None:
        outcome = replace(outcome, worker=trial.last_result.get("worker"))
        # Tune would keep these values until the end of its run.
        trial.config["errand"].empty()
        trial.metric_analysis.clear()
        trial.metric_n_steps.clear()
        for part in ("outcome", "updates", "checkpoint"):
            trial.last_result.pop(part, None)
        self._started.pop(trial.trial_id, None)
        ours = self._ids.pop(trial.trial_id, None)
        if ours is not None and not self.stopping:
            self._kept(lambda: self._source.done(ours, outcome))

    def fail(self, trial: Trial, reason: str) -> None:
        no_memory = "OutOfMemory" in reason or "CUDA error: out of memory" in reason
        cause: Cause = "out_of_memory" if no_memory else "worker_died"
        if trial.trial_id in self._overdue:
            self._overdue.discard(trial.trial_id)
            reason, cause = f"took longer than the limit of {self._time_limit:g} s", "time_limit"
        self.finish(trial, failure(reason, self._seconds(trial), cause))

    def _seconds(self, trial: Trial) -> float:
        _, since = self._started.get(trial.trial_id, (trial, time.monotonic()))
        return time.monotonic() - since

    def enforce_time_limit(self) -> None:
        """Kills the workers of trials that take too long, because Tune has no limit per trial."""
        if self._time_limit is None:
            return
        for trial, since in self._started.values():
            actor = trial.temporary_state.ray_actor
            late = time.monotonic() - since > self._time_limit
            if late and actor is not None and trial.trial_id not in self._overdue:
                self._overdue.add(trial.trial_id)
                ray.kill(actor)

    def reconcile(self, trials: list[Trial]) -> None:
        """Fails trials that Tune ended without notice, for example if an actor was not reset."""
        for trial in trials:
            if trial.trial_id in self._ids and trial.is_finished():
                self.fail(trial, "Ray Tune dropped the trial and gave no reason")

    def abandon(self) -> None:
        """Kills the workers that are busy, because a running step cannot be interrupted."""
        for trial, _ in self._started.values():
            if trial.temporary_state.ray_actor is not None:
                ray.kill(trial.temporary_state.ray_actor)
        self._started.clear()

    def _kept(self, call: Callable[[], T]) -> T | None:
        try:
            return call()
        except BaseException as error:
            self.error = error
            return None


class _Asker(tune.search.Searcher):  # type: ignore[misc]
    """Gives trials to Tune."""

    def __init__(self, bridge: _Bridge) -> None:
        super().__init__()
        self._bridge = bridge

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        return self._bridge.suggest(trial_id)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Does nothing, because the listener gets the outcome with its reason."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Saves nothing, because the records are the truth."""


class _Listener(tune.Callback):  # type: ignore[misc]
    """Takes the outcomes of trials from Tune."""

    def __init__(self, bridge: _Bridge) -> None:
        self._bridge = bridge

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        self._bridge.reconcile(trials)
        self._bridge.enforce_time_limit()

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        self._bridge.start(trial)

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        self._bridge.complete(trial)

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        # trial.get_error() would look for the file where Tune puts it later.
        _, _, reason = Path(trial.error_file).read_text(encoding="utf-8").partition("\n")
        self._bridge.fail(trial, reason)


class _Stopper(tune.Stopper):  # type: ignore[misc]
    """Tells Tune that a trial, or the run, is over."""

    def __init__(self, bridge: _Bridge) -> None:
        self._bridge = bridge

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return self._bridge.update(trial_id, result)

    def __reduce__(self) -> tuple[Any, ...]:
        # Tune pickles this into its snapshots, which nothing reads.
        return tune.stopper.NoopStopper, ()

    def stop_all(self) -> bool:
        if self._bridge.stopping:
            self._bridge.abandon()
        return self._bridge.stopping
