"""An engine: trials in this process, each called twice."""

import nas
from nas.campaigns.engines.base import attempt


class Twice(nas.Engine):
    slots = 1

    def __init__(self, evaluate, *, times: int = 2):
        self.evaluate = evaluate
        self.times = times

    def run(self, source):
        while (trial := source.next()) is not None:
            outcomes = [attempt(self.evaluate, trial.payload) for _ in range(self.times)]
            source.done(trial.id, outcomes[-1])
