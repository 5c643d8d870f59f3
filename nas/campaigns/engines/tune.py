"""The engine on Ray Tune. Only it, its workers and :mod:`nas.campaigns.engines.cluster` import ray.

One Tune run serves searches and final stage alike: Tune's actors live as long as its run, and a
new one costs seconds (a process, ``import torch``, a CUDA context) where a warm one costs
milliseconds. Tune keeps every trial of a run in memory and looks through all of them, so after
:data:`ROUND` trials, when the last of them has ended, the next run takes over.

How Tune is used, and why:

- The worker is a *class* trainable, whose steps are epochs (several, if they are short). A
  function trainable runs in a thread that must unwind within two seconds when its actor is
  reused, or the next trial vanishes; a class has no thread.
- Trial and outcome each pass as one value that Tune does not look into (an :class:`Errand`, a
  JSON string): it flattens, merges and interprets the mappings that it is given (a key
  ``grid_search`` is a command). Checkpoints pass with them, so nodes need no file system in
  common: the driver alone writes the campaign's folder.
- What trials share, the data set, is loaded by the driver and lies in Ray's object store, once a
  node: its arrays are the workers' to read without a copy.
- ``tune.run`` and not ``Tuner``, which pickles the searcher and the callbacks. Nothing is ever
  restored from Tune's own snapshots: the records of the campaign are the truth.
- Outcomes are taken in the callbacks, which are given the trial and so the cause of a failure;
  a searcher only hears ``error=True``.
- Progress is taken in the stopper, which Tune asks first and may end the trial.
- No exception of ours may pass through Tune, which would book it as a failure of the trial: it
  is kept, the run is stopped, and it is raised when Tune has let go.
"""

import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from nas.campaigns.engines import cluster  # isort: skip - its settings, before ray reads them

import ray
from ray import tune
from ray.tune.experiment import Trial

from nas.campaigns.engines.base import Cause, Outcome, Source, Update, failure, stopped
from nas.campaigns.engines.signals import signals
from nas.campaigns.engines.worker import Errand, Worker

T = TypeVar("T")

ROUND = 2000
"""Trials of one Tune run."""


class TuneEngine:
    """Runs trials on Ray Tune with warm workers.

    Args:
        evaluator: ``"module:attribute"``, resolved in the workers.
        concurrency: trials at a time, or None: as many as there are GPUs, or else CPU cores,
            for.
        cpus: cores of one trial.
        gpus: GPUs of one trial, fractions below one allowed, or None: one if there are any.
        address: ``host:port`` (or "auto") of a running Ray cluster; None starts one here for
            the time of :meth:`run`.
        time_limit: seconds that a trial may take; None: any.
        name: tells this campaign's scratch folder from those of others; what a killed run has
            left there is removed. None: this process's.
    """

    def __init__(
        self,
        evaluator: str,
        *,
        concurrency: int | None = None,
        cpus: int = 1,
        gpus: float | None = None,
        address: str | None = None,
        time_limit: float | None = None,
        name: str | None = None,
    ) -> None:
        self._evaluator = evaluator
        self._time_limit = time_limit
        self._concurrency = concurrency
        self._cpus = cpus
        self._gpus = gpus
        self._address = address
        scratch = f"nas-{os.getuid()}-{name or os.getpid()}"
        self._scratch = cluster.short_temporary_folder() / scratch
        self.slots = concurrency or 1

    def run(self, source: Source) -> None:
        """Carries out trials until the source has no more; KeyboardInterrupt on SIGINT."""
        bridge = _Bridge(source, self._evaluator, self._time_limit)
        # Not only while trials run: ray.init loses a KeyboardInterrupt that comes up inside it,
        # and installs a SIGTERM handler of its own.
        with signals(bridge.interrupt) as install:
            ours = not ray.is_initialized()
            try:
                shutil.rmtree(self._scratch, ignore_errors=True)
                if ours:
                    self._connect()
                    install()
                if not bridge.stopping:
                    self._tune(bridge)
            finally:
                if ours:
                    ray.shutdown()
                shutil.rmtree(self._scratch, ignore_errors=True)
        if bridge.error is not None:
            raise bridge.error

    def _tune(self, bridge: "_Bridge") -> None:
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
                max_failures=0,  # a failure is a row; what failed by a bug would fail again
                raise_on_failed_trial=False,
                storage_path=str(self._scratch / "tune"),
                name="round",
                trial_dirname_creator=lambda trial: trial.trial_id,
                verbose=0,
            )
            shutil.rmtree(self._scratch / "tune", ignore_errors=True)

    def _connect(self) -> None:
        if self._address is not None:
            cluster.join(self._address, self._evaluator)
        else:
            cluster.start(self._concurrency and self._concurrency * self._cpus, self._scratch)

    def _resources(self) -> dict[str, float]:
        """The resources of one trial; sets :attr:`slots` to how many trials they suffice for."""
        gpus = float("GPU" in ray.cluster_resources()) if self._gpus is None else self._gpus
        rooms = cluster.rooms({"CPU": self._cpus, "GPU": gpus})
        self.slots = rooms if self._concurrency is None else min(rooms, self._concurrency)
        return {"cpu": self._cpus, "gpu": gpus}


class _Bridge:
    """Our side of the conversation; Tune's side is the three adapters below."""

    def __init__(self, source: Source, evaluator: str, time_limit: float | None) -> None:
        self.error: BaseException | None = None
        self.exhausted = False
        self.slots = 1
        self._source = source
        self._evaluator = evaluator
        self._time_limit = time_limit
        self._overdue: set[str] = set()
        self._ids: dict[str, str] = {}  # Tune's id of each trial under way: ours
        self._started: dict[str, tuple[Trial, float]] = {}  # and when
        self._shared: dict[str, ray.ObjectRef] = {}

    @property
    def stopping(self) -> bool:
        return self.error is not None

    def interrupt(self) -> None:
        """The first time, the run is stopped in good order; the second, on the spot."""
        if self.stopping:
            if sys.stdout.isatty():
                os.write(1, b"\x1b[?25h\n")  # the cursor, which a live display hides
            os._exit(130)
        self.error = KeyboardInterrupt()

    def suggest(self, tune_id: str) -> dict[str, Any] | str | None:
        # Tune asks for one trial more than it can place; asked later, a searcher knows more.
        if len(self._ids) >= self.slots and not self.stopping:
            return None
        given = None if self.stopping else self._kept(self._next)
        if given is None:
            if self._ids and not self.stopping:
                return None
            # With nothing under way Tune would block here for ten minutes.
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
        checkpoint = given.checkpoint.read_bytes() if given.checkpoint is not None else None
        shared = {name: self._shared[key] for name, (key, _) in given.shared.items()}
        return given.id, Errand(self._evaluator, given.payload, given.keep, checkpoint, shared)

    def start(self, trial: Trial) -> None:
        self._started[trial.trial_id] = trial, time.monotonic()

    def update(self, tune_id: str, result: dict[str, Any]) -> bool:
        """Takes the progress of a trial; whether Tune is to end it."""
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
        # Tune keeps all of this for as long as its run.
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
        """Kills the workers of trials that take too long: Tune has no limit for a trial."""
        if self._time_limit is None:
            return
        for trial, since in self._started.values():
            actor = trial.temporary_state.ray_actor
            late = time.monotonic() - since > self._time_limit
            if late and actor is not None and trial.trial_id not in self._overdue:
                self._overdue.add(trial.trial_id)
                ray.kill(actor)

    def reconcile(self, trials: list[Trial]) -> None:
        """Tune can end a trial without a word (its actor would not reset): a failure too."""
        for trial in trials:
            if trial.trial_id in self._ids and trial.is_finished():
                self.fail(trial, "Ray Tune dropped the trial and gave no reason")

    def abandon(self) -> None:
        """Kills the workers that are busy: a step that runs cannot be asked to end."""
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
    """Tune's way to ask us for trials."""

    def __init__(self, bridge: _Bridge) -> None:
        super().__init__()
        self._bridge = bridge

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        return self._bridge.suggest(trial_id)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """The listener hears it, with the reason."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing to save: the records are the truth."""


class _Listener(tune.Callback):  # type: ignore[misc]
    """Tune's way to tell us how trials went."""

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
        # Not trial.get_error(), which looks where the file is only once Tune has synced it.
        _, _, reason = Path(trial.error_file).read_text(encoding="utf-8").partition("\n")
        self._bridge.fail(trial, reason)


class _Stopper(tune.Stopper):  # type: ignore[misc]
    """Tune's way to hear from us that a trial, or the run, is over."""

    def __init__(self, bridge: _Bridge) -> None:
        self._bridge = bridge

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return self._bridge.update(trial_id, result)

    def __reduce__(self) -> tuple[Any, ...]:
        # Tune pickles it into the snapshots that nobody reads.
        return tune.stopper.NoopStopper, ()

    def stop_all(self) -> bool:
        if self._bridge.stopping:
            self._bridge.abandon()
        return self._bridge.stopping
