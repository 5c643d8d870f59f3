"""The engine that needs nothing: one trial after another, in this process."""

from nas.campaigns.trial import Source, attempt


class SerialEngine:
    """Runs trials one at a time here: bit-for-bit repeatable on a CPU.

    For cheap evaluators and for debugging: an exception is a failed trial, but a trial that
    kills its process (no memory, a crash in native code) takes the campaign with it; run it
    again and it goes on.
    """

    slots = 1

    def __init__(self, evaluator: str) -> None:
        self._evaluator = evaluator

    def run(self, source: Source) -> None:
        """Carries out trials until the source has no more."""
        while (trial := source.next()) is not None:
            source.done(trial.id, attempt(self._evaluator, trial.payload))
