"""Shows running work: a live display, or lines, and ``run.log``."""

import math
import os
import textwrap
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nas.campaigns.spec.objectives import Objectives
from nas.campaigns.store.provenance import gpu_use
from nas.campaigns.store.types import Ask, Result
from nas.escape import printable
from nas.files import open_to_append

SUMMARY_SECONDS = 60.0
"""How often a line summarises the state of the campaign."""

_GPU_SECONDS = 10.0
"""How often the use of the GPUs is measured."""


@dataclass
class Status:
    """The state of a campaign.

    Attributes:
        total: the number of trials of the whole campaign; None while it is unknown.
        estimated: whether ``total`` is estimated from the share of the budget that is spent.
        done: trials with a result, including failed ones and those of earlier runs.
        failed: how many of these failed.
        running: the number of running trials.
        epoch: how far the running trial is whose epoch ended last; "" if none has.
        objectives: the objectives of the campaign.
        tested: the primary metric on the test images, as the final stage records it.
        best: the best value of the first objective in the campaign's own search so far.
        best_trial: the trial that reached it.
        front: how many trials of that search no other trial dominates.
        budget: the nearest limit of the running search; "" if no search is running.
        ends: when the time limit is reached, on the clock time.monotonic; None without a limit.
    """

    unit: ClassVar[str] = "trials"

    total: int | None
    done: int = 0
    failed: int = 0
    running: int = 0
    epoch: str = ""
    objectives: Objectives = ()
    tested: str = ""
    best: float | None = None
    best_trial: str | None = None
    front: int = 0
    estimated: bool = False
    budget: str = ""
    ends: float | None = None

    @property
    def time_left(self) -> float:
        """Returns the seconds until the time limit; infinity without a limit."""
        return math.inf if self.ends is None else max(0.0, self.ends - time.monotonic())

    @property
    def shown(self) -> list[str]:
        """Returns the texts of a display, the count first."""
        counts = [f"{self.count} {self.unit}", f"{self.running} running"]
        counts += [self.epoch] if self.epoch else []
        best = [] if self.best is None else [f"best {shown(self.best)} ({self.best_trial})"]
        front = [f"front {self.front}"] if len(self.objectives) > 1 else []
        budget = [self.budget] if self.budget else []
        return [*counts, f"{self.failed} failed", *best, *front, *budget]

    @property
    def count(self) -> str:
        """Returns the number of finished trials and the total."""
        if self.total is None:
            return f"{self.done}"
        return f"{self.done}/{'~' if self.estimated else ''}{self.total}"


class Progress:
    """Shows a :class:`Status` live in a terminal; elsewhere it prints lines.

    Args:
        folder: the folder of the campaign; every line is appended to its ``run.log`` with the time.
        status: the status to show, which the runner updates.
        console: the output.
    """

    def __init__(self, folder: Path, status: Status, console: Console | None = None) -> None:
        self._folder = folder
        self._status = status
        self._console = console or Console()
        self._started = self._summed_up = self._stage_began = self._ended = time.monotonic()
        self._stage = ""
        self._gpus: list[int] = []
        self._gpus_due: float = 0
        self._done_before = self._stage_before = status.done
        self._live = Live(
            get_renderable=self._render, console=self._console, refresh_per_second=2, transient=True
        )

    def __enter__(self) -> "Progress":
        try:
            descriptor = open_to_append(self._folder / "run.log")
        except OSError:  # the run goes on; if the disk is full, writing the records will say so
            descriptor = os.open(os.devnull, os.O_WRONLY)
        self._log = open(descriptor, "a", encoding="utf-8", buffering=1)
        if self._console.is_terminal:
            with self._heard():
                self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._heard(), suppress(IndexError):  # of rich, if the display could not start
            self._live.stop()
        with suppress(OSError):
            self._log.close()

    def line(self, text: str) -> None:
        """Prints a line, above the live display if there is one, and logs it.

        If it cannot be printed, because the terminal or the pipe is closed, the work goes on.
        """
        text = printable(text)
        self._write(text)
        with self._heard():
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def _heard(self) -> Iterator[None]:
        """Shows nothing any more after an error of the output; for a closed pipe, rich exits."""
        try:
            yield
        except (OSError, SystemExit):
            self._console.quiet = True

    def epoch(self, trial: str, point: Mapping[str, Any], total: int | None) -> None:
        """Shows that an epoch of a running trial has ended.

        An evaluator of the user may report anything, so values that make no sense are not shown.

        Args:
            trial: the id of the trial.
            point: the metrics of the epoch.
            total: the number of epochs of the trial, if it is known.
        """
        epoch = point.get("epoch")
        if not isinstance(epoch, int) or total is None or not 0 < epoch <= total:
            return
        parts = [point.get(f"{name}_seconds") for name in ("train", "evaluation")]
        known = [each for each in parts if isinstance(each, int | float) and 0 <= each < 1e9]
        seconds = sum(known) * (total - epoch)
        if seconds > self._status.time_left:  # the limit will end the training earlier
            told = f"of at most {total:,}"
        else:
            told = f"of {total:,}" + (f", about {_clock(seconds)} left" if known else "")
        self._status.epoch = f"{trial}: epoch {epoch:,} {told}"
        self.summary(every=SUMMARY_SECONDS)

    def trial(self, ask: Ask, result: Result) -> None:
        """Prints the line of a trial that has ended."""
        self._status.epoch = ""
        if ask.stage != self._stage:  # trainings of the final stage may take much longer
            self._stage, self._stage_began = ask.stage, self._ended
            self._stage_before = self._status.done - 1
        self._ended = time.monotonic()
        if result.completed:
            metrics = result.metrics
            names = [each.metric for each in self._status.objectives if each.metric in metrics]
            names += [name for name in (self._status.tested,) if name in metrics]
            how = "  ".join(f"{name} {shown(metrics[name])}" for name in names)
        elif result.status == "stopped":
            how = f"stopped early, after epoch {result.metrics['epochs']}"
        else:
            last_line = (result.error or "").strip().rpartition("\n")[2]
            how = "failed: " + textwrap.shorten(last_line, 100, placeholder=" ...")
        cost = ask.cost
        self.line(
            f"{ask.trial}  {how}  params {cost['params']:,}  macs {cost['macs']:,}  "
            f"{result.seconds:.1f} s  ({self._status.count}, {self.left()})"
        )
        self.summary(every=SUMMARY_SECONDS)

    def summary(self, every: float = 0) -> None:
        """Writes a line with the state of the work; with a live display, only to the log.

        Args:
            every: nothing is written if the last summary is not that many seconds old.
        """
        if time.monotonic() - self._summed_up < every:
            return
        self._summed_up = time.monotonic()
        text = " · ".join(self._parts())
        if self._console.is_terminal:
            self._write(text)
        else:
            self.line(text)

    def left(self) -> str:
        """Returns the time until the limit, or estimates it from the speed of this stage so far."""
        if self._status.ends is not None:
            return f"{_clock(self._status.time_left)} left"
        done, total = self._status.done - self._stage_before, self._status.total
        if not done or total is None:
            return "time left: unknown"
        elapsed = time.monotonic() - self._stage_began
        waiting = max(0, total - self._status.done)
        return f"about {_clock(elapsed / done * waiting)} left"

    def _parts(self) -> list[str]:
        elapsed = time.monotonic() - self._started
        hourly = (self._status.done - self._done_before) * 3600 / max(elapsed, 1e-9)
        if elapsed >= self._gpus_due:
            self._gpus = gpu_use()
            # If there is no answer, the query is not repeated, because it may take long.
            self._gpus_due = elapsed + _GPU_SECONDS if self._gpus else math.inf
        gpus = [f"GPU {' '.join(f'{use} %' for use in self._gpus)}"] if self._gpus else []
        ends = [
            f"{hourly:,.0f} {self._status.unit} an hour",
            f"{_clock(elapsed)} elapsed",
            self.left(),
        ]
        return [*self._status.shown, *ends, *gpus]

    def _render(self) -> RenderableType:
        status = self._status
        counts, *parts = self._parts()
        bar = Table.grid(padding=(0, 1))
        bar.add_row(ProgressBar(total=status.total, completed=status.done, width=40), counts)
        return Group(bar, Text(" · ".join(parts), style="dim"))

    def _write(self, text: str) -> None:
        with suppress(OSError):  # if the disk is full, writing the records will fail and say so
            self._log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}\n")


def shown(value: float) -> str:
    """Writes a metric for people: whole counts, other numbers with four decimals."""
    return f"{value:,.0f}" if isinstance(value, int) or value >= 1000 else f"{value:.4f}"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
