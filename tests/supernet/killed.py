"""Kills runs of a campaign: ``python -m tests.supernet.killed FOLDER EVENT...``.

Each run is a process that kills itself at an event, counted over the starts of epochs, the reports
of epochs (whose states are saved at once) and the records. The last run is left alone.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nas.campaigns.engines.base as engines
import nas.evaluators.gradient
import nas.evaluators.supernet  # noqa: F401 - once for all processes
from nas.campaigns.drive.run import run
from nas.campaigns.drive.runner import Runner
from nas.campaigns.store.log import RecordLog
from nas.training.loop import Trainer


def kill_at(event: int) -> None:
    """Makes this process kill itself at an event."""
    left = event

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return called

    for place, name in ((Trainer, "_train_epoch"), (Runner, "update"), (RecordLog, "append")):
        setattr(place, name, counted(getattr(place, name)))


def main(folder: Path, events: list[int]) -> None:
    engines.CHECKPOINT_SECONDS = 0.0
    for event in [*events, 0]:
        child = os.fork()  # before torch has threads
        if child == 0:
            if event:
                kill_at(event)
            run(folder)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(f"event {event}: {'killed' if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(each) for each in sys.argv[2:]])
