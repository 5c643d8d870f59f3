"""The samplers of Optuna as searchers."""

import inspect
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from operator import or_
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.samplers._ga import BaseGASampler
from optuna.trial import TrialState, create_trial
from pydantic import create_model

from nas.configuration import Config, validate
from nas.errors import InputError
from nas.registry import unknown
from nas.searchers.base import Observation, Proposal, Searcher
from nas.spaces.search_space import Answer, Genotype, Infeasible, Option, SearchSpace, same

# Not here: CMA-ES samples categorical choices at random without a word; brute force stops a study
# of its own accord; the grid and partly fixed samplers take Python objects.
SAMPLERS = (
    "GPSampler",
    "NSGAIIISampler",
    "NSGAIISampler",
    "QMCSampler",
    "RandomSampler",
    "TPESampler",
)
"""The classes of ``optuna.samplers`` that can be named."""

_SUGGESTIONS = 10
_PLAIN = {"bool": bool, "int": int, "float": float, "str": str, "None": None}


class OptunaSearch(Searcher):
    """One sampler of Optuna (Akiba et al. 2019, arXiv:1907.10902) over one in-memory study.

    Every choice is a categorical parameter whose values are the positions of the options, so the
    space may be conditional. A name that is asked with other options is another parameter.
    Failed trials are no data to a sampler, and nor are infeasible suggestions.

    A sampler that maximises may suggest the same infeasible combination for ever. So after ten
    in a row the last is repaired: it takes the answers of a random genotype, choice by choice in
    random order, until it is feasible. The note of such a proposal holds ``repaired``.

    Samplers remember more than the study shows: where their random stream stands, generations,
    the last fit. So a recorded ask is replayed by asking it again, and asks and tells repeated in
    their order rebuild all of it exactly, at the price of the first time.

    Args:
        space: where to search.
        seed: one or more non-negative integers.
        objectives: how many values an observation holds.
        sampler: a class of :data:`SAMPLERS`, in any case, with or without "Sampler".
        sampler_options: its constructor's arguments that are plain values, but the seed.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int | Sequence[int],
        objectives: int = 1,
        *,
        sampler: str = "TPE",
        sampler_options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(space, seed, objectives)
        kind = _sampler_class(sampler)
        options = _checked_options(kind, sampler_options or {})
        if kind is optuna.samplers.QMCSampler:
            options = {"scramble": True, **options}
        (state,) = np.random.SeedSequence(self.seed).generate_state(1)
        with _quiet():
            try:
                made = kind(seed=int(state), **options)
            except (ValueError, TypeError) as error:
                raise InputError(f"searcher optuna: sampler_options: {error}") from None
            self._study = optuna.create_study(sampler=made, directions=["minimize"] * objectives)
        self._asked: dict[int, tuple[int, Proposal]] = {}

    def ask(self, trial_id: int) -> Proposal:
        """What the sampler suggests; for a trial id asked before, the same again."""
        if trial_id not in self._asked:
            with _quiet():
                self._asked[trial_id] = self._suggest(trial_id)
        return self._asked[trial_id][1]

    def replay(self, trial_id: int, proposal: Proposal) -> None:
        """Asks again, for what that leaves in the sampler and the study.

        Where the answer is not the recorded one (another version of Optuna gave that, say), the
        record stands.
        """
        if self.ask(trial_id).genotype != proposal.genotype:
            number, _ = self._asked[trial_id]
            with _quiet():
                self._study.tell(number, state=TrialState.FAIL)
                self._asked[trial_id] = self._instead_of(number, proposal.genotype), proposal

    def tell(self, observation: Observation) -> None:
        """Ends a trial that was asked or replayed; adds another searcher's success."""
        if observation.trial_id in self._asked:
            number, _ = self._asked[observation.trial_id]
        elif observation.values is None:
            return
        else:
            with _quiet():
                number = self._foreign(observation.genotype)
        state = TrialState.FAIL if observation.values is None else TrialState.COMPLETE
        with _quiet():
            self._study.tell(number, observation.values, state)

    def _suggest(self, trial_id: int) -> tuple[int, Proposal]:
        for _ in range(_SUGGESTIONS):
            number, answers, feasible = self._suggestion()
            if feasible:
                return number, Proposal(answers)
            # Not pruned: its partial answers would count as a trial's, and as a bad one's.
            self._study.tell(number, state=TrialState.FAIL)
        genotype = self._repaired(answers, self.rng(trial_id))
        return self._instead_of(number, genotype), Proposal(genotype, {"repaired": True})

    def _suggestion(self) -> tuple[int, Genotype, bool]:
        """The number of a new running trial, what the sampler answered, whether it is feasible."""
        trial = self._study.ask()
        answers: Genotype = {}

        def answer(name: str, options: tuple[Option, ...]) -> Option:
            position = trial.suggest_categorical(_parameter(name, options), range(len(options)))
            answers[name] = options[position]
            return options[position]

        try:
            self.space.run(answer)
        except Infeasible as reason:
            self.space.rejected[reason.cause] += 1
            return trial.number, answers, False
        return trial.number, answers, True

    def _repaired(self, answers: Genotype, rng: np.random.Generator) -> Genotype:
        """``answers`` with as many of a random genotype's, choice by choice, as it takes."""
        target = self.space.sample(rng)
        order = [str(name) for name in rng.permutation(list(target))]
        for count in range(1, len(order)):
            taken = {name: target[name] for name in order[:count]}
            try:
                return self.space.run(_first_of([taken, answers, target], rng))[0]
            except Infeasible as reason:
                self.space.rejected[reason.cause] += 1
        return target

    def _foreign(self, genotype: Genotype) -> int:
        """The number of a new running trial with a genotype that was never suggested."""
        trial = self._study.ask()
        if isinstance(self._study.sampler, BaseGASampler):
            # Genetic samplers mark a trial's generation where they suggest something for it.
            _ = trial.relative_params
        self._study.tell(trial.number, state=TrialState.FAIL)
        return self._instead_of(trial.number, genotype)

    def _instead_of(self, number: int, genotype: Genotype) -> int:
        """The number of a new running trial with this genotype, to replace a failed one."""
        params: dict[str, int] = {}
        distributions: dict[str, BaseDistribution] = {}

        def answer(name: str, options: tuple[Option, ...]) -> Option:
            parameter = _parameter(name, options)
            distributions[parameter] = CategoricalDistribution(range(len(options)))
            params[parameter] = next(i for i, o in enumerate(options) if same(o, genotype[name]))
            return genotype[name]

        self.space.validate(genotype)
        self.space.run(answer)
        trials = self._study.get_trials(deepcopy=False)
        self._study.add_trial(
            create_trial(
                state=TrialState.RUNNING,
                params=params,
                distributions=distributions,
                # The sampler's own marks, such as the generation.
                system_attrs=trials[number].system_attrs,
            )
        )
        return len(trials)


def _first_of(sources: Sequence[Genotype], rng: np.random.Generator) -> Answer:
    def answer(name: str, options: tuple[Option, ...]) -> Option:
        for source in sources:
            for option in options:
                if name in source and same(option, source[name]):
                    return option
        return options[int(rng.integers(len(options)))]

    return answer


def _parameter(name: str, options: tuple[Option, ...]) -> str:
    return json.dumps([name, *options])


def _sampler_class(name: str) -> Callable[..., BaseSampler]:
    short = [known.removesuffix("Sampler") for known in SAMPLERS]
    for known in short:
        if name.lower() in (known.lower(), f"{known}Sampler".lower()):
            found: Callable[..., BaseSampler] = getattr(optuna.samplers, f"{known}Sampler")
            return found
    raise InputError(f"searcher optuna: {unknown('sampler', name, short)}")


def _checked_options(
    sampler: Callable[..., BaseSampler], options: dict[str, Any]
) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(sampler).parameters.items():
        parts = parameter.annotation.split(" | ")
        if name != "seed" and _PLAIN.keys() >= set(parts):
            fields[name] = (reduce(or_, [_PLAIN[part] for part in parts]), parameter.default)
    model: type[Config] = create_model("sampler_options", __base__=Config, **fields)
    checked = validate(model, options, "searcher optuna", "sampler_options")
    return {name: getattr(checked, name) for name in options}


@contextmanager
def _quiet() -> Iterator[None]:
    """Holds back what Optuna logs and warns about; what goes wrong it raises."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            # ExperimentalWarning, deprecated options, options that imply others.
            for category in (ExperimentalWarning, FutureWarning, UserWarning):
                warnings.simplefilter("ignore", category)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
