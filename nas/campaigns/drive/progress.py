"""What a person sees of a running campaign: a live display, or a line a trial, and ``run.log``."""

import math
import textwrap
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nas.campaigns.spec.objectives import Objectives
from nas.campaigns.store.provenance import gpu_use
from nas.campaigns.store.types import Ask, Result

SUMMARY_SECONDS = 60.0
"""How often a line sums up where the campaign stands."""

_GPU_SECONDS = 10.0
"""How often the GPUs are asked how busy they are."""


@dataclass
class Status:
    """Where a campaign stands.

    Attributes:
        total: trials of the whole campaign; None while nobody knows.
        estimated: whether that is a guess, by how much of the budget is spent.
        done: trials with a result, failed ones included, those of earlier runs too.
        failed: of these, how many failed.
        running: trials under way.
        objectives: what the campaign optimises.
        tested: the primary metric on the test images, as the final stage records it.
        best: the best value of the first objective in the campaign's own search so far.
        best_trial: which trial that was.
        front: how many of that search's trials no other dominates.
        budget: the limit that the search under way is nearest to; "" where none is under way.
    """

    unit: ClassVar[str] = "trials"

    total: int | None
    done: int = 0
    failed: int = 0
    running: int = 0
    objectives: Objectives = ()
    tested: str = ""
    best: float | None = None
    best_trial: str | None = None
    front: int = 0
    estimated: bool = False
    budget: str = ""

    @property
    def shown(self) -> list[str]:
        """What a display says of it, the count first."""
        counts = [f"{self.count} {self.unit}", f"{self.running} running"]
        best = [] if self.best is None else [f"best {shown(self.best)} ({self.best_trial})"]
        front = [f"front {self.front}"] if len(self.objectives) > 1 else []
        budget = [self.budget] if self.budget else []
        return [*counts, f"{self.failed} failed", *best, *front, *budget]

    @property
    def count(self) -> str:
        """Trials done, of how many."""
        if self.total is None:
            return f"{self.done}"
        return f"{self.done}/{'~' if self.estimated else ''}{self.total}"


class Progress:
    """Shows a :class:`Status` live in a terminal; elsewhere, prints the lines as they come.

    Args:
        folder: of the campaign; every line is appended to its ``run.log``, with the time.
        status: what to show; the runner keeps it up to date.
        console: where to.
    """

    def __init__(self, folder: Path, status: Status, console: Console | None = None) -> None:
        self._folder = folder
        self._status = status
        self._console = console or Console()
        self._started = self._summed_up = time.monotonic()
        self._gpus: list[int] = []
        self._gpus_due: float = 0
        self._done_before = status.done
        self._live = Live(
            get_renderable=self._render, console=self._console, refresh_per_second=2, transient=True
        )

    def __enter__(self) -> "Progress":
        self._log = open(self._folder / "run.log", "a", encoding="utf-8", buffering=1)
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()
        with suppress(OSError):
            self._log.close()

    def line(self, text: str) -> None:
        """Prints a line, above the live display where there is one, and logs it."""
        self._write(text)
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def trial(self, ask: Ask, result: Result) -> None:
        """The line of a trial that has ended."""
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
        if time.monotonic() - self._summed_up > SUMMARY_SECONDS:
            self.summary()

    def summary(self) -> None:
        """A line that says where the campaign stands; where there is a display, to the log only."""
        self._summed_up = time.monotonic()
        text = " · ".join(self._parts())
        if self._console.is_terminal:
            self._write(text)
        else:
            self.line(text)

    def left(self) -> str:
        """How much longer it will take, by the rate of this run so far."""
        done, total = self._status.done - self._done_before, self._status.total
        if not done or total is None:
            return "time left: unknown"
        elapsed = time.monotonic() - self._started
        waiting = max(0, total - self._status.done)
        return f"about {_clock(elapsed / done * waiting)} left"

    def _parts(self) -> list[str]:
        elapsed = time.monotonic() - self._started
        hourly = (self._status.done - self._done_before) * 3600 / max(elapsed, 1e-9)
        if elapsed >= self._gpus_due:
            self._gpus = gpu_use()
            # Who does not tell is not asked again: that may take its time.
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
        with suppress(OSError):  # the disk is full: the records will say so, and this log can wait
            self._log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}\n")


def shown(value: float) -> str:
    """A metric for people: counts whole, others with four places."""
    return f"{value:,.0f}" if isinstance(value, int) or value >= 1000 else f"{value:.4f}"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
