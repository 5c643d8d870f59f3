"""A searcher: draws at random, and keeps every second child of the best trial so far."""

import helper

import nas


class Climber(nas.Searcher):
    """Alternates between new draws and mutations of the best."""

    def __init__(self, space, seed, objectives=1, *, every: int = 2):
        super().__init__(space, seed, objectives)
        self.every = every
        self.best = None

    def ask(self, trial_id):
        rng = self.rng(trial_id)
        if self.best is None or trial_id % self.every < helper.STEP:
            return nas.Proposal(self.space.sample(rng))
        return nas.Proposal(self.space.mutate(self.best.genotype, rng))

    def tell(self, observation):
        if observation.values is None:
            return
        if self.best is None or observation.values < self.best.values:
            self.best = observation
