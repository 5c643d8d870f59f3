"""The serial engine, which runs one trial after another in this process."""

import time
from contextlib import chdir, closing
from typing import Any, Self

from nas.campaigns.engines.base import (
    Engine,
    Evaluator,
    Outcome,
    Settings,
    Source,
    Trial,
    carry_out,
    failure,
    is_interrupt,
    poisons_the_process,
    stopped,
)
from nas.campaigns.engines.signals import signals
from nas.errors import CampaignError, text_of, told


class SerialEngine(Engine):
    """Runs trials one at a time in this process, bit-for-bit repeatable on a CPU.

    It is meant for cheap evaluators and for debugging. An exception is a failed trial, also a
    KeyboardInterrupt that did not come from a signal; signals stop the run even if the
    evaluator swallows their exception. If a trial kills its process (no memory, a crash in native
    code), the campaign ends too; run it again to resume it.

    Args:
        evaluator: the evaluator.
        time_limit: the largest number of seconds per trial, checked after each epoch; None for no
            limit.
    """

    slots = 1

    def __init__(self, evaluator: Evaluator, time_limit: float | None = None) -> None:
        self._evaluator = evaluator
        self._time_limit = time_limit
        self._shared: dict[str, Any] = {}
        self._interrupted = False

    @classmethod
    def for_campaign(cls, evaluate: Evaluator, settings: Settings) -> Self:
        """The engine that ``campaign.yaml`` asks for."""
        return cls(evaluate, settings.time_limit)

    def run(self, source: Source) -> None:
        """Carries out trials until the source has no more; KeyboardInterrupt on a signal.

        Raises :class:`CampaignError` if a trial has left the GPU unusable for this process.
        """
        self._interrupted = False
        with signals(self._interrupt):
            self._run(source)

    def _interrupt(self) -> None:
        self._interrupted = True
        raise KeyboardInterrupt

    def _run(self, source: Source) -> None:
        while (trial := source.next()) is not None:
            started = time.monotonic()
            try:
                outcome = self._carried_out(trial, source)
            except Exception as error:
                if not poisons_the_process(error):
                    raise
                seconds = time.monotonic() - started
                source.done(trial.id, failure(told(error), seconds))
                reason = text_of(error).strip().partition("\n")[0]
                raise CampaignError(
                    f"{trial.id} has failed and left the GPU unusable for this process "
                    f"({reason}): run the campaign again to resume it"
                ) from error
            source.done(trial.id, outcome)
            if self._interrupted:
                raise KeyboardInterrupt

    def _carried_out(self, trial: Trial, source: Source) -> Outcome:
        started = time.monotonic()
        for key, load in trial.shared.values():
            if key not in self._shared:
                self._shared[key] = load()
        given = {**trial.payload, **{n: self._shared[key] for n, (key, _) in trial.shared.items()}}
        events = carry_out(
            self._evaluator, given, trial.state(), trial.keep, fatal=self._ends_the_run
        )
        with chdir("."), closing(events):  # the evaluator may change the current folder
            for event in events:
                if isinstance(event, Outcome):
                    return event
                stop = source.update(trial.id, event)
                seconds = time.monotonic() - started
                if stop:
                    return stopped(seconds)
                if self._time_limit is not None and seconds > self._time_limit:
                    reason = f"took longer than the limit of {self._time_limit:g} s"
                    return failure(reason, seconds, "time_limit")
        raise AssertionError("an evaluation ended without an outcome")

    def _ends_the_run(self, error: BaseException) -> bool:
        return (is_interrupt(error) and self._interrupted) or poisons_the_process(error)
