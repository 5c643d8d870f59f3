"""What a person sees of a running campaign: a live display, or a line a trial, and ``run.log``."""

import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nas.campaigns.records import Record


@dataclass
class Status:
    """Where a campaign stands.

    Attributes:
        total: trials of the whole campaign, as far as known.
        done: trials with a result, failed ones included, those of earlier runs too.
        failed: of these, how many failed.
        running: trials under way.
        best: the best validation accuracy of the campaign's own search so far.
        best_trial: which trial that was.
    """

    total: int
    done: int = 0
    failed: int = 0
    running: int = 0
    best: float | None = None
    best_trial: str | None = None

    @property
    def shown(self) -> list[str]:
        """What a display says of it, the count first."""
        counts = [f"{self.done}/{self.total} trials", f"{self.running} running"]
        best = [] if self.best is None else [f"best {self.best:.4f} ({self.best_trial})"]
        return [*counts, f"{self.failed} failed", *best]


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
        self._started = time.monotonic()
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
        self._log.close()

    def line(self, text: str) -> None:
        """Prints a line, above the live display where there is one, and logs it."""
        self._log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}\n")
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def trial(self, ask: Record, result: Record) -> None:
        """The line of a trial that has ended."""
        if result["status"] == "completed":
            metrics = result["metrics"]
            how = f"validation {metrics['validation_accuracy']:.4f}"
            if "test_accuracy" in metrics:
                how += f"  test {metrics['test_accuracy']:.4f}"
        elif result["status"] == "stopped":
            how = f"stopped early, after epoch {result['metrics']['epochs']}"
        else:
            last_line = (result["error"] or "").strip().rpartition("\n")[2]
            how = "failed: " + textwrap.shorten(last_line, 100, placeholder=" ...")
        cost = ask["cost"]
        self.line(
            f"{ask['trial']}  {how}  params {cost['params']:,}  macs {cost['macs']:,}  "
            f"{result['seconds']:.1f} s  ({self._status.done}/{self._status.total}, {self.left()})"
        )

    def _render(self) -> RenderableType:
        status = self._status
        counts, *parts = status.shown
        parts += [f"{_clock(time.monotonic() - self._started)} elapsed", self.left()]
        bar = Table.grid(padding=(0, 1))
        bar.add_row(ProgressBar(total=status.total, completed=status.done, width=40), counts)
        return Group(bar, Text(" · ".join(parts), style="dim"))

    def left(self) -> str:
        """How much longer it will take, by the rate of this run so far."""
        done = self._status.done - self._done_before
        if not done:
            return "time left: unknown"
        elapsed = time.monotonic() - self._started
        waiting = max(0, self._status.total - self._status.done)
        return f"about {_clock(elapsed / done * waiting)} left"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
