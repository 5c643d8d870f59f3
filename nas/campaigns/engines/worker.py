"""The process on a node of Ray that carries out the trials of a campaign, one after another."""

import gc
import json
import os
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from nas.campaigns.engines import cluster  # noqa: F401 # isort: skip - its settings, before ray reads them

import ray
from ray import tune

from nas.campaigns.engines.base import Evaluator, Outcome, carry_out, poisons_the_process


@dataclass
class Errand:
    """The work of a worker, which is the only entry, ``errand``, of a Tune trial's configuration.

    Tune copies a configuration several times, writes it into the trial's tag and its snapshot, and
    keeps all copies until its run ends. That would be megabytes per trial that continues from a
    checkpoint. So copying an errand returns the errand itself, and it is emptied when the trial
    has ended.
    """

    evaluator: Evaluator
    payload: Mapping[str, Any]
    keep: bool
    checkpoint: bytes | None
    shared: Mapping[str, ray.ObjectRef]

    def __deepcopy__(self, memo: object) -> "Errand":
        return self

    def __repr__(self) -> str:
        return type(self).__name__

    def empty(self) -> None:
        """Frees the large parts."""
        self.payload, self.checkpoint, self.shared = {}, None, {}


class Worker(tune.Trainable):  # type: ignore[misc]
    """A process that carries out one trial after another."""

    step_seconds = 1.0
    """The least length of a step of Tune, which costs Tune milliseconds."""

    def setup(self, config: dict[str, Any]) -> None:
        """Starts the first trial."""
        node = ray.get_runtime_context().get_node_id()
        self._name = f"{socket.gethostname()}/{node[:8]}/{os.getpid()}"
        self._shared: dict[ray.ObjectRef, Any] = {}
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Starts another trial."""
        errand: Errand = new_config["errand"]
        # The same objects serve all trials, because they own what is in the GPU's memory.
        for held in errand.shared.values():
            if held not in self._shared:
                self._shared[held] = ray.get(held)
        shared = {name: self._shared[held] for name, held in errand.shared.items()}
        self._events = carry_out(
            errand.evaluator,
            {**errand.payload, **shared},
            errand.checkpoint,
            errand.keep,
            fatal=poisons_the_process,
        )
        errand.empty()  # a worker sends its configuration back with every result
        return True

    def step(self) -> dict[str, Any]:
        """Returns to Tune ``updates``, or at the end ``outcome``, and ``checkpoint``."""
        started = time.monotonic()
        updates: list[dict[str, Any]] = []
        checkpoint = None
        result: dict[str, Any] = {"worker": self._name, "done": False}
        for event in self._events:
            if isinstance(event, Outcome):
                self._events.close()  # frees the network
                _free_gpu_memory()
                told = json.dumps(asdict(replace(event, checkpoint=None)))
                return {**result, "outcome": told, "checkpoint": event.checkpoint, "done": True}
            updates.append(event.metrics)
            checkpoint = event.checkpoint or checkpoint
            if checkpoint or time.monotonic() - started >= self.step_seconds:
                break
        return {**result, "updates": json.dumps(updates), "checkpoint": checkpoint}


def _free_gpu_memory() -> None:
    """Frees the memory that torch keeps for the next trial, because others may share the GPU."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        gc.collect()  # a graph module has reference cycles
        torch.cuda.empty_cache()
