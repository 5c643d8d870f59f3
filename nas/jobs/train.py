"""Trains one architecture in a folder: ``nas train``."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from rich.console import Console

from nas.architecture.network import compile
from nas.architecture.weights import weights_bytes
from nas.campaigns.drive.progress import Progress, Status
from nas.campaigns.engines.signals import keyboard_interrupt, signals
from nas.campaigns.spec.campaign import FILE_NAME
from nas.campaigns.spec.specification import differences
from nas.campaigns.store.defaults import recorded_specification, with_defaults
from nas.campaigns.store.provenance import environment
from nas.errors import InputError
from nas.files import checksum, is_damaged, read_json, write_whole
from nas.jobs import names as named
from nas.jobs.job import Job
from nas.jobs.row import Row, as_written, read_row, summary
from nas.metrics import Catalogue, Metric
from nas.training.curve import Epoch
from nas.training.data import held_out
from nas.training.evaluation import evaluate, preprocessing
from nas.training.hardware import cores, free_cores
from nas.training.loop import Trainer
from nas.user_code import short_name

WEIGHTS = "weights.safetensors"

CHECKPOINT_SECONDS = 30.0
"""The least time between two checkpoints."""

_NAMED = 6
"""The largest number of parameters that a line names; more are only counted."""


def train(
    job: Job,
    folder: Path | None = None,
    *,
    threads: int | None = None,
    console: Console | None = None,
) -> Row:
    """Trains a network, or resumes the training where an earlier run in the folder has stopped.

    Args:
        job: the training.
        folder: the folder, by default ``results/ARCHITECTURE-DATA-SEED``. The training writes
            ``resolved.json`` (the specification and the environment), ``run.log`` and
            ``checkpoint.pt`` (the state for the next epoch) there, and at the end
            ``weights.safetensors``, ``architecture.json`` and ``row.json``.
        threads: the number of torch's CPU threads; by default that of the run that is resumed, else
            that of :func:`nas.training.hardware.free_cores`.
        console: where progress is shown; by default on the standard output.

    Returns the row, which describes the training and holds the metrics on the validation and the
    test images. The test images are read only once, here.

    Raises:
        InputError: the folder holds another training, or another run is active there.
        nas.training.curve.Diverged: the loss is not finite any more.
        KeyboardInterrupt: it was stopped; a line has shown how to resume it.
    """
    label = re.sub(
        r"[^\w.-]+", "_", f"{named.short(job.name)}-{short_name(job.data.name)}-{job.seed}"
    )
    folder = Path("results") / label if folder is None else folder
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "train.lock", timeout=0):
            return _train(job, folder, threads, console)
    except Timeout:
        raise InputError(f"{folder}: another run is active there; wait for its end") from None


def _train(job: Job, folder: Path, threads: int | None, console: Console | None) -> Row:
    checkpoint, end = folder / "checkpoint.pt", folder / "row.json"
    specification = job.specification()
    here = environment()  # first, because the checkout may change during a training
    begun = checkpoint.exists() or end.exists()
    if not begun and (weights := folder / WEIGHTS).exists():
        raise InputError(
            f"{weights}: is there, but neither {end.name} nor {checkpoint.name}: the results of an "
            "earlier training are lost. Put them back, or choose another folder with --out; to "
            f"train anew, delete {weights}"
        )
    before = _check_same(folder, specification, job.fingerprints, begun)
    # With another number of threads, sums are rounded in other ways.
    torch.set_num_threads(threads or (min(before, cores()) if before else free_cores()))
    architecture = job.architecture
    trainer = Trainer(
        lambda: compile(architecture),
        job.images,
        job.recipe.with_reference(job.initialization),
        job.seed,
        job.device,
        None if job.start is None else job.start.apply,
        job.compile,
        job.cuda_graphs,
        job.task,
    )
    if checkpoint.exists():
        _resume(trainer, checkpoint)
    else:
        write_whole(
            folder / "resolved.json",
            _json(
                {
                    "specification": specification,
                    "preprocessing": preprocessing(job.images, job.task).record(),
                    "environment": {**here, "threads": torch.get_num_threads()},
                }
            ),
        )
    kept, written = len(trainer.curve), time.monotonic()
    status = _Epochs(job.recipe.epochs, job.task.primary)
    for epoch in trainer.curve:
        status.hear(epoch)

    with Progress(folder, status, console) as progress:
        if end.exists():
            progress.line(f"{folder}: this training has ended before")
            ended = read_row(folder)
            assert ended is not None
            with as_written(folder):
                summary(ended)
            return ended
        progress.line(
            f"{job.name} on {short_name(job.data.name)}: {architecture.cost.params:,} parameters, "
            f"{trainer.precision} on {job.device}, up to epoch {job.recipe.epochs}"
            + (f", going on after epoch {kept}" if kept else "")
        )
        for note in job.notes:
            progress.line(note)
        if job.start is not None:
            progress.line(_taken(job, trainer))

        def tell(epoch: Epoch) -> None:
            nonlocal kept, written
            status.hear(epoch)
            primary = job.task.primary
            progress.line(
                f"epoch {epoch.epoch}/{job.recipe.epochs}  train loss {epoch.train_loss:.4f}  "
                f"validation loss {epoch.validation['loss']:.4f}  "
                f"{primary.in_words} {epoch.validation[primary.name]:.4f}  "
                f"{epoch.train_seconds + epoch.evaluation_seconds:.1f} s  ({progress.left()})"
            )
            due = time.monotonic() - written >= CHECKPOINT_SECONDS
            if due or epoch.epoch in (1, job.recipe.epochs):
                content = io.BytesIO()
                torch.save(trainer.state_dict(), content)
                write_whole(checkpoint, content.getvalue())
                kept, written = epoch.epoch, time.monotonic()

        try:
            with signals(keyboard_interrupt):
                trainer.run(job.recipe.epochs, tell)
            row = _row(job, trainer, here)
        except KeyboardInterrupt:
            progress.line(
                f"stopped; {kept} of {job.recipe.epochs} epochs are kept: "
                "run the same command again to go on"
            )
            raise
        content = weights_bytes(trainer.network)
        write_whole(folder / WEIGHTS, content)
        row["weights"] = checksum(content)
        write_whole(folder / "architecture.json", architecture.to_json().encode() + b"\n")
        write_whole(end, _json(row))  # it is the last file, so it implies the others
        return row


class _Epochs(Status):
    """The state of a training."""

    unit = "epochs"

    def __init__(self, total: int, primary: Metric) -> None:
        super().__init__(total)
        self._primary = primary

    def hear(self, epoch: Epoch) -> None:
        self.done = epoch.epoch
        value, better = epoch.validation[self._primary.name], self._primary.flipped
        if self.best is None or better(value) < better(self.best):
            self.best, self.best_trial = value, f"epoch {epoch.epoch}"

    @property
    def shown(self) -> list[str]:
        best = [] if self.best is None else [f"best {self.best:.4f} ({self.best_trial})"]
        return [f"{self.done}/{self.total} epochs", *best]


def _row(job: Job, trainer: Trainer, here: Mapping[str, Any]) -> Row:
    parts = {"validation": job.images.validation, "test": held_out(job.data)}
    worth = evaluate([trainer.network], parts, job.images, job.task, job.protocol)
    specification = job.specification()
    curve = [epoch.record() for epoch in trainer.curve]
    declared = Catalogue(job.task.metrics).definition()
    started = {"file": str(job.weights), "inherited_params": trainer.inherited_params,
               "drawn": list(trainer.drawn)}  # fmt: skip
    return {
        "name": job.name,
        "kind": job.kind,
        "fingerprint": job.architecture.fingerprint,
        **job.architecture.cost._asdict(),
        "data": specification["data"],
        "images": specification["images"],
        "recipe": specification["recipe"],
        **({"task": task, "metrics": declared} if (task := specification.get("task")) else {}),
        "recipe_fingerprint": job.recipe.fingerprint,
        "reference_initialization": job.initialization,
        "seed": job.seed,
        "start": specification["start"] and specification["start"] | started,
        "protocol": job.protocol,
        "classes": job.images.names,
        "preprocessing": preprocessing(job.images, job.task).record(),
        "test": {},
        **worth,
        "train_seconds": sum(epoch["train_seconds"] for epoch in curve),
        "evaluation_seconds": sum(epoch["evaluation_seconds"] for epoch in curve),
        "precision": trainer.precision,
        "pipeline": job.images.train.pipeline,
        "compiled": trainer.compiled,
        "captured": trainer.captured,
        "device": job.device,
        "threads": torch.get_num_threads(),
        "environment": here,
        "curve": curve,
        **({"kept_epoch": trainer.kept.epoch} if job.recipe.keep == "best" else {}),
    }


def _taken(job: Job, trainer: Trainer) -> str:
    """Describes the initial weights of the training."""
    params = sum(parameter.numel() for parameter in trainer.network.parameters())
    assert job.start is not None
    said = f"{job.start.source}: {trainer.inherited_params:,} of {params:,} parameters taken"
    if not trainer.drawn:
        return said
    more = len(trainer.drawn) - _NAMED
    return f"{said}; left as drawn: {', '.join(trainer.drawn[:_NAMED])}" + (
        f" and {more} more" if more > 0 else ""
    )


def _check_same(
    folder: Path, specification: Mapping[str, Any], fingerprints: Sequence[str], begun: bool
) -> int | None:
    """Raises :class:`InputError` with all differences if the folder holds another training.

    Returns the number of threads with which the training began; None if it is new or not recorded.
    """
    if (folder / FILE_NAME).exists():
        raise InputError(f"{folder}: holds a campaign; choose another folder with --out")
    if not begun:
        return None
    path = folder / "resolved.json"
    try:
        resolved = read_json(path)
        recorded = recorded_specification(resolved)
        environment_then = resolved.get("environment")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: does not say what was trained here ({error}); choose another folder with "
            "--out"
        ) from None
    if recorded.get("images") in fingerprints:  # an earlier version's is no difference
        recorded["images"] = specification["images"]
    if lines := differences(with_defaults(recorded), with_defaults(specification)):
        raise InputError(
            f"{folder}: holds another training:\n{lines}\nChoose another folder with --out, or "
            "put the recorded values back."
        )
    then = environment_then.get("threads") if isinstance(environment_then, Mapping) else None
    return then if type(then) is int and then > 0 else None


def _resume(trainer: Trainer, path: Path) -> None:
    try:
        if is_damaged(path):
            raise ValueError("its checksum is wrong")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch may raise any exception for a damaged file
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(
            f"{path}: is no readable checkpoint: {reason}; delete it to begin anew"
        ) from None
    try:
        trainer.load_state_dict(state)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"{path}: is no checkpoint of this training ({type(error).__name__}: {reason}); "
            "delete it to begin anew"
        ) from None


def _json(values: Mapping[str, Any]) -> bytes:
    """Writes JSON with one line per key."""
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in values.items()]
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()
